"""The HTTP side: the server with its limits, the routes, who may call them, and the pages and metrics.

What a request asks for is decided in `uploads`. WebSocket connections belong in `websocket`.
"""
