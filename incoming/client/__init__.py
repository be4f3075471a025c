"""The terminal client's side of the world: sockets, files and a screen, for the pure session in `sending`.

Plain sockets and one thread: it works with and without gevent's patches.
"""
