"""Changes to what is noted of an upload in Redis: only its newest claim may make them.

Each is a script that begins with FENCED. It compares the token of the ticket in the same step.
"""

from __future__ import annotations

from typing import Final

from incoming.core.errors import NotesLost, TakenOver
from incoming.core.redis_keys import manifest_key, ticket_key
from incoming.runtime.redis_connection import Argument, RedisConnection, Script

FENCED: Final = """
local token = redis.call('HGET', KEYS[2], 'token')
if token and token ~= ARGV[1] then return 'taken' end
if redis.call('EXISTS', KEYS[1]) == 0 then return 'missing' end
"""
"""KEYS[1] is the hash of the metadata, KEYS[2] that of the ticket, ARGV[1] the token of the claim."""


def change(redis: RedisConnection, script: Script, ticket_id: str, token: str, *arguments: Argument) -> None:
    """Runs such a script, which returns `done` if it has made the change. It may run twice.

    Raises TakenOver if there is a newer claim, NotesLost, StorageFailed.
    """
    keys = [manifest_key(ticket_id), ticket_key(ticket_id)]
    outcome = redis.run(script, keys, [token, *arguments], repeat=True)
    if outcome == b"taken":
        raise TakenOver
    if outcome != b"done":
        raise NotesLost
