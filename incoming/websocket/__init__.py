"""The WebSocket transport: from an accepted connection to the events and actions of a session.

`upgrade` takes the connection from its HTTP server, `websocket` reads it, `writer` sends on it, `keepalive`
finds dead peers, and `session_driver` calls the service. The rules of RFC 6455 belong in `wire`.
"""
