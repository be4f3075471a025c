"""What the unfinished uploads of each client address still lack, in all processes of a service.

An upload is counted in one step when it is claimed. While it moves, its process corrects the count every few
seconds. What a dead process counts is ignored, and removed as soon as somebody looks at the same source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from incoming.registry.redis import scripts
from incoming.runtime.redis_connection import RedisConnection

MAX_SHARES: Final = 200
"""How many shares are corrected in one step, which Redis does nothing else in."""


class RedisShares:
    """See registry.Shares. They are counted in the name of one instance, which has to beat."""

    def __init__(self, connection: RedisConnection, instance: str, kept_for_s: float) -> None:
        """`kept_for_s`: after this time without a change, a source is forgotten."""
        self._connection = connection
        self._instance = instance
        self._kept_for_s = int(kept_for_s)
        self._counted: dict[str, tuple[str, int]] = {}
        """What this process has counted, as Redis has it, unless another process counts it by now."""

    def admit(self, source: str, upload_id: str, missing_bytes: int, limit_bytes: int) -> bool:
        """See registry.Shares."""
        args = (upload_id, self._instance, missing_bytes, limit_bytes, self._kept_for_s)
        if not self._connection.run(scripts.ADMIT, [scripts.SHARE + source], args, repeat=True):
            return False
        before = self._counted.get(upload_id)
        if before and before[0] != source:
            self._run([(before[0], upload_id, "")])
        self._counted[upload_id] = source, missing_bytes
        return True

    def keep(self, held: Mapping[str, tuple[str, int]]) -> None:
        """See registry.Shares."""
        changed = {one: held.get(one) for one, share in self._counted.items() if held.get(one) != share}
        pending = list(changed.items())
        while pending:
            page, pending = pending[:MAX_SHARES], pending[MAX_SHARES:]
            shares = []
            for upload_id, share in page:
                source = self._counted[upload_id][0]
                still = share is not None and share[0] == source
                shares.append((source, upload_id, str(share[1]) if share and still else ""))
            self._run(shares)
            for upload_id, share in page:
                if share is None:
                    self._counted.pop(upload_id, None)
                else:
                    self._counted[upload_id] = share

    def _run(self, shares: list[tuple[str, str, str]]) -> None:
        args: list[str | int] = [self._instance, self._kept_for_s]
        for source, upload_id, size in shares:
            args += [scripts.SHARE + source, upload_id, size]
        self._connection.run(scripts.KEEP, args=args, repeat=True)
