"""The keys of an upload in Redis. The registry and the storage share them.

The storage compares the token of the ticket in the same step in which it notes something, and the registry
forgets what the storage has noted together with the ticket. So both keys have the ticket's id in braces: in a
cluster they are on one server.
"""

from __future__ import annotations


def ticket_key(ticket_id: str) -> str:
    """Returns the key of the hash with a ticket. Its field `token` is that of the newest claim."""
    return f"incoming:{{{ticket_id}}}:t"


def manifest_key(ticket_id: str) -> str:
    """Returns the key of what a storage keeps for a ticket."""
    return f"incoming:{{{ticket_id}}}:m"
