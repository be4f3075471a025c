"""What an upload is: tickets, their life cycle, errors, checksums and limits, as plain values.

Nothing here knows a clock, a file, a socket or gevent. Times, ids and random numbers are arguments. Wire
formats belong in `protocol`, HTTP parameters in `http`.
"""
