"""Who holds which upload, in all processes of a service.

A lease without a deadline lasts as long as its instance lives: see `instances`. When the instance does not
live any more, its leases have no holder, and `expired` yields them so that somebody releases them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from incoming.registry.redis import scripts
from incoming.runtime.redis_connection import RedisConnection

MAX_EXPIRED: Final = 5000
"""How many leases of an instance are looked at in one step, which Redis does nothing else in."""


class RedisLeases:
    """See registry.Leases. They are held in the name of one instance, which has to beat."""

    def __init__(self, connection: RedisConnection, instance: str) -> None:
        self._connection = connection
        self._instance = instance

    def take(self, ticket_id: str, token: str, until_s: float | None = None) -> str | None:
        """See registry.Leases."""
        args = (ticket_id, token, self._instance, _text(until_s))
        before: bytes | None = self._connection.run_marked(scripts.TAKE, args=args)
        return before.decode() if before is not None else None

    def acquire(self, name: str, token: str, until_s: float, now_s: float) -> bool:
        """See registry.Leases."""
        args = (name, token, self._instance, _text(until_s), _text(now_s))
        return bool(self._connection.run(scripts.ACQUIRE, args=args, repeat=True))

    def renew(self, ticket_id: str, token: str, until_s: float) -> bool:
        """See registry.Leases."""
        args = (ticket_id, token, self._instance, _text(until_s))
        return bool(self._connection.run(scripts.RENEW, args=args, repeat=True))

    def release(self, ticket_id: str, token: str, expired_at_s: float | None = None) -> bool:
        """See registry.Leases."""
        args = (ticket_id, token, self._instance, _text(expired_at_s))
        return bool(self._connection.run_marked(scripts.RELEASE, args=args))

    def holder(self, ticket_id: str) -> str | None:
        """See registry.Leases."""
        token: bytes | None = self._connection.run(
            scripts.HOLDER, args=(ticket_id, self._instance), repeat=True
        )
        return token.decode() if token is not None else None

    def expired(self, now_s: float) -> Iterator[tuple[str, str]]:
        """See registry.Leases. It also yields all leases of instances that do not live any more."""
        args = (self._instance, _text(now_s), MAX_EXPIRED)
        found = self._connection.run(scripts.EXPIRED, args=args, repeat=True)
        texts = [text.decode() for text in found]
        return iter(list(zip(texts[::2], texts[1::2], strict=True)))

    def instances_of(self, ticket_ids: Sequence[str]) -> list[str | None]:
        """Returns for each upload the id of the instance that holds it; None if none does, or it is unknown.

        The instance may not live any more. Raises StorageFailed.
        """
        if not ticket_ids:
            return []
        raw: list[bytes | None] = self._connection.read("HMGET", scripts.LEASES, *ticket_ids)
        return [lease.partition(b"\n")[0].decode() if lease else None for lease in raw]


def _text(time_s: float | None) -> str:
    return "" if time_s is None else repr(float(time_s))
