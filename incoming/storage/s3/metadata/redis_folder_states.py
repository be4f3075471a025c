"""States of folders in Redis, next to the tickets: for instances on several machines.

The hash of a folder has the fields `folder` (its state) and `pieces` (how many there are). The pieces that
one change has added are in a field of their own: `b`, with the number of the first of them. Each change is a
script, which compares the token of the ticket in the same step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from incoming.core.errors import StorageFailed
from incoming.core.redis_keys import manifest_key
from incoming.runtime.base import Runtime
from incoming.runtime.redis_connection import RedisConnection, Script
from incoming.storage.s3.metadata.folder_states import (
    FolderState,
    StoredPiece,
    piece_lines,
    read_pieces,
    read_state,
    state_text,
)
from incoming.storage.s3.metadata.redis_fence import FENCED, change

_BEGIN: Final = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('HSET', KEYS[1], 'folder', ARGV[1], 'pieces', 0) end
return redis.call('HGET', KEYS[1], 'folder')
""")
_CHANGE: Final = Script(
    FENCED
    + """-- ARGV token, state, pieces before these, pieces, lines, cuts
local count = tonumber(redis.call('HGET', KEYS[1], 'pieces'))
if not count then return 'missing' end
local before = tonumber(ARGV[3])
if before > count then return 'gap' end
if ARGV[6] == '1' then
  local newest, lines = 0, ''
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local first = tonumber(string.match(field, '^b(%d+)$'))
    if first and first > before then redis.call('HDEL', KEYS[1], field)
    elseif first and first > newest then newest = first end
  end
  local left = before - newest + 1
  if newest > 0 then
    for line in string.gmatch(redis.call('HGET', KEYS[1], 'b' .. newest), '[^\\n]+\\n') do
      if left > 0 then lines = lines .. line end
      left = left - 1
    end
    redis.call('HSET', KEYS[1], 'b' .. newest, lines)
  end
end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'b' .. before + 1, ARGV[5]) end
redis.call('HSET', KEYS[1], 'folder', ARGV[2], 'pieces', before + tonumber(ARGV[4]))
return 'done'
"""
)


class RedisFolderStates:
    """See folder_states.FolderStates. The fence is the token of the ticket, which each claim replaces."""

    def __init__(self, redis: RedisConnection, runtime: Runtime) -> None:
        self._redis = redis
        self._runtime = runtime

    def read(self, ticket_id: str) -> FolderState | None:
        """See FolderStates."""
        return _state(self._redis.read("HGET", manifest_key(ticket_id), "folder"))

    def states(self, ticket_ids: Sequence[str]) -> dict[str, FolderState | None]:
        """See FolderStates."""
        replies = self._redis.read_all([("HGET", manifest_key(one), "folder") for one in ticket_ids])
        return {ticket_id: _state(reply) for ticket_id, reply in zip(ticket_ids, replies, strict=True)}

    def pieces(self, ticket_id: str) -> list[StoredPiece]:
        """See FolderStates."""
        reply = self._redis.read("HGETALL", manifest_key(ticket_id))
        fields = dict(zip(reply[::2], reply[1::2], strict=True))
        firsts = sorted(int(name[1:]) for name in fields if name[:1] == b"b")
        return self._runtime.in_pool(read_pieces, [fields[b"b%d" % first] for first in firsts])

    def begin(self, ticket_id: str, state: FolderState) -> FolderState:
        """See FolderStates."""
        reply = self._redis.run(_BEGIN, [manifest_key(ticket_id)], [state_text(state)], repeat=True)
        if reply is None:
            raise StorageFailed
        return read_state(reply)

    def fence(self, ticket_id: str, token: str) -> FolderState | None:
        """See FolderStates. The claim has put its token into the ticket already."""
        return self.read(ticket_id)

    def add(self, ticket_id: str, token: str, state: FolderState, pieces: Sequence[StoredPiece]) -> None:
        """See FolderStates."""
        self._change(ticket_id, token, state, pieces, cuts=False)

    def replace(self, ticket_id: str, token: str, state: FolderState, pieces: Sequence[StoredPiece]) -> None:
        """See FolderStates."""
        self._change(ticket_id, token, state, pieces, cuts=True)

    def forget(self, ticket_id: str) -> None:
        """See FolderStates."""
        self._redis.read("DEL", manifest_key(ticket_id))

    def _change(
        self, ticket_id: str, token: str, state: FolderState, pieces: Sequence[StoredPiece], cuts: bool
    ) -> None:
        before, lines = state.count - len(pieces), piece_lines(pieces)
        arguments = (state_text(state), before, len(pieces), lines, int(cuts))
        change(self._redis, _CHANGE, ticket_id, token, *arguments)


def _state(reply: Any) -> FolderState | None:
    return read_state(reply) if reply else None
