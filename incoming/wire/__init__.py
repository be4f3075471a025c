"""The bytes of standard protocols: RFC 6455 frames and handshakes, and the heads of HTTP messages.

Pure functions and state machines over bytes. What a message means for an upload belongs in `protocol`.
Sockets belong in `websocket` and `http`.
"""
