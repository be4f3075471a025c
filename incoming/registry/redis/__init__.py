"""Tickets, leases, news and time that all processes of a service share, in a Redis.

Keys, in addition to those of one ticket (`core.redis_keys`):

    incoming:all            sorted set of all ids, in the order of their text
    incoming:active         the same of those that are uploaded, or whose app has to be called
    incoming:rest:STATE     the others by state: id, and since when it rests (seconds of the service's clock)
    incoming:app:APP        set of the ids of an app for which bytes may still come
    incoming:leases         hash: id or name of work, to who holds it
    incoming:held:INSTANCE  sorted set: what an instance holds, and until when
    incoming:instances      sorted set: id of an instance, and until when it surely lives
    incoming:instance:ID    what an instance says of itself
    incoming:share:SOURCE   hash: upload, to the process that counts it and the bytes that it lacks
    incoming:clock          hash: how long the service has run, and when that was last moved on
    incoming:news           the channel of the news

Redis and Valkey from version 6 on, alone or with Sentinels. Redis Cluster is not supported: scripts use keys
of several slots.
"""
