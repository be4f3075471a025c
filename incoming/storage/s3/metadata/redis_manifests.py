"""Manifests in Redis, next to the tickets: for instances on several machines.

The hash of a manifest has the fields `about` (key, plan, upload id), `complete`, `rest`, `count` and, for
each part, `p` with its number. Each change is a script, which compares the token of the ticket in the same
step.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from incoming.core.errors import StorageFailed
from incoming.core.redis_keys import manifest_key
from incoming.runtime.redis_connection import RedisConnection, Script
from incoming.storage.s3.metadata.manifest import Manifest, Remainder, StoredPart
from incoming.storage.s3.metadata.redis_fence import FENCED, change
from incoming.storage.s3.part_plan import PartPlan

_SET_REST: Final = """
local function set_rest(rest)
  if rest == '' then redis.call('HDEL', KEYS[1], 'rest') else redis.call('HSET', KEYS[1], 'rest', rest) end
end
"""
_WRITE: Final = """
local function write(about, complete, rest, first)
  redis.call('HSET', KEYS[1], 'about', about, 'complete', complete, 'count', #ARGV - first + 1)
  if rest ~= '' then redis.call('HSET', KEYS[1], 'rest', rest) end
  for i = first, #ARGV do redis.call('HSET', KEYS[1], 'p' .. (i - first + 1), ARGV[i]) end
end
"""
_BEGIN: Final = Script(
    f"""{_WRITE}
if redis.call('EXISTS', KEYS[1]) == 0 then write(ARGV[1], ARGV[2], ARGV[3], 4) end
return redis.call('HGETALL', KEYS[1])
"""
)
_ADD: Final = Script(
    f"""{FENCED}{_SET_REST}
local count = tonumber(redis.call('HGET', KEYS[1], 'count'))
local first = tonumber(ARGV[3])
if first > count + 1 then return 'gap' end
for i = 4, #ARGV do
  local number = first + i - 4
  if number > count then redis.call('HSET', KEYS[1], 'p' .. number, ARGV[i]) count = number end
end
redis.call('HSET', KEYS[1], 'count', count)
set_rest(ARGV[2])
return 'done'
"""
)
_CUT: Final = Script(
    f"""{FENCED}{_SET_REST}
local kept = tonumber(ARGV[3])
local count = tonumber(redis.call('HGET', KEYS[1], 'count'))
for number = kept + 1, count do redis.call('HDEL', KEYS[1], 'p' .. number) end
redis.call('HSET', KEYS[1], 'count', math.min(kept, count))
set_rest(ARGV[2])
return 'done'
"""
)
_REPLACE: Final = Script(
    f"""{FENCED}{_WRITE}
redis.call('DEL', KEYS[1])
write(ARGV[2], ARGV[3], ARGV[4], 5)
return 'done'
"""
)
_ENDS: Final = Script("""
local found = {}
for _, key in ipairs(KEYS) do
  local m = redis.call('HMGET', key, 'about', 'count', 'rest')
  found[#found + 1] = m[1] or ''
  found[#found + 1] = m[1] and redis.call('HGET', key, 'p' .. m[2]) or ''
  found[#found + 1] = m[3] or ''
end
return found
""")
"""For each manifest what tells its size: the plan, the last part and the remainder."""
_SET_COMPLETE: Final = Script(
    f"""{FENCED}
redis.call('HSET', KEYS[1], 'complete', 1)
redis.call('HDEL', KEYS[1], 'rest')
return 'done'
"""
)


class RedisManifests:
    """See manifest.Manifests. The fence is the token of the ticket, which each claim replaces."""

    def __init__(self, redis: RedisConnection) -> None:
        self._redis = redis

    def read(self, ticket_id: str) -> Manifest | None:
        """See Manifests."""
        return _manifest(self._redis.read("HGETALL", manifest_key(ticket_id)))

    def sizes(self, ticket_ids: Sequence[str]) -> dict[str, int | None]:
        """See Manifests."""
        if not ticket_ids:
            return {}
        found = iter(self._redis.run(_ENDS, [manifest_key(one) for one in ticket_ids], repeat=True))
        return {ticket_id: _size(next(found), next(found), next(found)) for ticket_id in ticket_ids}

    def begin(self, ticket_id: str, manifest: Manifest) -> Manifest:
        """See Manifests."""
        reply = self._redis.run(_BEGIN, [manifest_key(ticket_id)], _arguments(manifest), repeat=True)
        found = _manifest(reply)
        if found is None:
            raise StorageFailed
        return found

    def fence(self, ticket_id: str, token: str) -> Manifest | None:
        """See Manifests. The claim has put its token into the ticket already."""
        return self.read(ticket_id)

    def add(
        self, ticket_id: str, token: str, parts: Sequence[StoredPart], remainder: Remainder | None
    ) -> None:
        """See Manifests."""
        first = parts[0].number if parts else 0
        self._change(_ADD, ticket_id, token, _text(remainder), first, *(part.to_text() for part in parts))

    def cut(self, ticket_id: str, token: str, part_count: int, remainder: Remainder | None) -> None:
        """See Manifests."""
        self._change(_CUT, ticket_id, token, _text(remainder), part_count)

    def replace(self, ticket_id: str, token: str, manifest: Manifest) -> None:
        """See Manifests."""
        self._change(_REPLACE, ticket_id, token, *_arguments(manifest))

    def set_complete(self, ticket_id: str, token: str) -> None:
        """See Manifests."""
        self._change(_SET_COMPLETE, ticket_id, token)

    def forget(self, ticket_id: str) -> None:
        """See Manifests."""
        self._redis.read("DEL", manifest_key(ticket_id))

    def _change(self, script: Script, ticket_id: str, token: str, *args: str | int) -> None:
        change(self._redis, script, ticket_id, token, *args)


def _arguments(manifest: Manifest) -> list[str | int]:
    """Returns what `write` in the scripts takes."""
    plan = manifest.plan
    about = json.dumps([manifest.key, plan.part_bytes, plan.doubles_every, manifest.upload_id])
    parts = [part.to_text() for part in manifest.parts]
    return [about, int(manifest.is_complete), _text(manifest.remainder), *parts]


def _manifest(reply: Any) -> Manifest | None:
    """Returns the manifest of a reply to HGETALL."""
    fields = dict(zip(reply[::2], reply[1::2], strict=True))
    if not fields:
        return None
    key, part_bytes, doubles_every, upload_id = json.loads(fields[b"about"])
    remainder = fields.get(b"rest")
    names = [b"p%d" % number for number in range(1, int(fields[b"count"]) + 1)]
    return Manifest(
        key,
        PartPlan(part_bytes, doubles_every),
        upload_id,
        tuple(StoredPart.from_text(fields[name]) for name in names),
        Remainder.from_text(remainder) if remainder else None,
        fields[b"complete"] == b"1",
    )


def _size(about: bytes, last_part: bytes, remainder: bytes) -> int | None:
    """Returns how many bytes a manifest has. All parts but the last one are as long as the plan says."""
    if not about:
        return None
    _, part_bytes, doubles_every, _ = json.loads(about)
    size_bytes = Remainder.from_text(remainder).size_bytes if remainder else 0
    if last_part:
        last = StoredPart.from_text(last_part)
        size_bytes += PartPlan(part_bytes, doubles_every).start(last.number) + last.size_bytes
    return size_bytes


def _text(remainder: Remainder | None) -> str:
    return remainder.to_text() if remainder else ""
