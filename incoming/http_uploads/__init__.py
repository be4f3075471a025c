"""Uploads over plain HTTP: the transport for every client that does not use our WebSocket protocol.

It is plain WSGI, since bodies are read from the connection's own socket. The rules of the protocols belong in
`protocol` and `wire`; what an upload is belongs in `uploads`.
"""
