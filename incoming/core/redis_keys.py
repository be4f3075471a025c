"""The keys of an upload in Redis. The registry and the storage share them.

The storage compares the token of the ticket in the same step in which it changes its own key. And the
registry forgets both keys in one step.

The braces are a hash tag: Redis Cluster has all keys with the same tag on one server. Clusters are not
supported, because scripts use other keys as well. The braces stay: the keys of stored uploads have them.
"""

from __future__ import annotations


def ticket_key(ticket_id: str) -> str:
    """Returns the key of the hash with a ticket. Its field `token` is that of the newest claim."""
    return f"incoming:{{{ticket_id}}}:t"


def manifest_key(ticket_id: str) -> str:
    """Returns the key of what a storage keeps for a ticket."""
    return f"incoming:{{{ticket_id}}}:m"
