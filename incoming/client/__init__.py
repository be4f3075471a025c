"""The terminal client: sockets, files and the screen, around the pure session in `client.protocol`.

It uses plain sockets and one thread, so it works with and without gevent's patches.
"""
