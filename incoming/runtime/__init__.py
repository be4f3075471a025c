"""What the process gives the server: a clock, tasks, locks, a thread pool, fair scheduling, logs and output.

`base` has the interfaces that the rest of the server names, and `gevent_runtime` implements them. Nothing
here knows what an upload is.
"""
