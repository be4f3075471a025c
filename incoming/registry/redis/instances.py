"""The processes of a service, and which of them live.

An instance sends a heartbeat every few seconds. It lives for `LIFE_S` of the service's clock after each one.
That clock stops while no instance reaches Redis, so no instance dies in an outage of Redis. After a
kill of one instance, the others know of it within `LIFE_S`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Final

from incoming.core.errors import IncomingError
from incoming.core.instance import Instance
from incoming.registry.redis import scripts
from incoming.runtime.base import Runtime
from incoming.runtime.redis_connection import RedisConnection

log = logging.getLogger(__name__)

LIFE_S: Final = 15.0
BEAT_INTERVAL_S: Final = 3.0
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


def this_instance(name: str = "") -> Instance:
    """Returns what this process is from now on.

    Without a name, its name is made of the machine, the process id and a random part.
    """
    hostname, pid = socket.gethostname(), os.getpid()
    readable = _UNSAFE.sub("-", name or f"{hostname}-{pid}")
    unique = f"{readable}-{secrets.token_hex(4)}"
    return Instance(unique, name or unique, hostname, pid, time.time())


class Instances:
    """All instances of the service, and the life of this one."""

    def __init__(self, connection: RedisConnection, runtime: Runtime, own: Instance) -> None:
        self.own = own
        self.known = [own]
        """Those that lived when Redis last answered, with what they said of themselves."""
        self._connection = connection
        self._runtime = runtime
        self.count_sources: Callable[[int], Mapping[str, int]] = lambda _: {}
        """Returns `Instance.sources`, given the number of processes. It is called at each beat."""
        self._reported: list[int] = []
        self._has_left = False

    def report(self, bytes_per_s: int, connections: int) -> None:
        """Has the next beat tell what this instance does: the mean of all reports since the beat before."""
        self._reported.append(bytes_per_s)
        self.own = replace(self.own, connections=connections)

    def beat(self) -> None:
        """This instance lives. Raises StorageFailed."""
        if self._reported:
            self.own = replace(self.own, bytes_per_s=sum(self._reported) // len(self._reported))
            self._reported.clear()
        self.own = replace(self.own, sources=self.count_sources(len(self.known)))
        facts = json.dumps(asdict(self.own))
        self._connection.run(scripts.BEAT, args=(self.own.id, LIFE_S, facts), repeat=True)

    def run(self) -> None:
        """Beats until `leave`, also through an outage of Redis."""
        while not self._has_left:
            try:
                self.beat()
                self.refresh()
            except IncomingError as exc:
                log.debug("no sign of life of this instance: %(error)s", {"error": exc.__cause__})
            except Exception:
                log.exception("a defect: no sign of life of this instance")
            self._runtime.sleep(BEAT_INTERVAL_S)

    def refresh(self) -> None:
        """Asks which instances live now. Raises StorageFailed."""
        self.known = self.living()

    def connections_elsewhere(self, source: str) -> int:
        """Returns how many connections a source had to the other processes when Redis last answered."""
        return sum(one.sources.get(source, 0) for one in self.known if one.id != self.own.id)

    def leave(self) -> None:
        """This instance is about to end: its leases have no holder from now on. Raises StorageFailed."""
        self._has_left = True
        self._connection.run(scripts.LEAVE, args=(self.own.id,), repeat=True)

    def living(self) -> list[Instance]:
        """Returns the instances that live, in the order of their names. Raises StorageFailed."""
        found = self._connection.run(scripts.LIVING, repeat=True)
        pairs = zip(found[::2], found[1::2], strict=True)
        living = (_instance(instance_id.decode(), facts) for instance_id, facts in pairs)
        return sorted(living, key=lambda one: (one.name, one.id))


def _instance(instance_id: str, raw: bytes) -> Instance:
    """Returns an instance by what it, perhaps of another version, says of itself."""
    try:
        facts = json.loads(raw)
        name, hostname = str(facts["name"]), str(facts["hostname"])
        started = int(facts["pid"]), float(facts["since_s"])
        does = int(facts.get("bytes_per_s", 0)), int(facts.get("connections", 0))
        sources = {str(source): int(count) for source, count in facts.get("sources", {}).items()}
        return Instance(instance_id, name, hostname, *started, *does, sources)
    except (ValueError, LookupError, TypeError, AttributeError):
        return Instance(instance_id, instance_id, "", 0, 0.0)
