"""The upload protocol, versions 1 and 2: messages, chunks, and one pure state machine for each version.

A session takes events and returns actions. It does no I/O; `websocket` carries the actions out.
"""
