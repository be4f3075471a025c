"""Whether a Redis is fit to keep tickets, by what it says of itself (INFO)."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from incoming.core.errors import BadSetting
from incoming.core.lifecycle import State
from incoming.registry.redis import scripts
from incoming.runtime.redis_address import SETTING
from incoming.runtime.redis_connection import RedisConnection

log = logging.getLogger(__name__)

MIN_VERSION: Final = (6, 0)
NO_AOF: Final = (
    "Redis (%(redis)s) has no append-only file, so a restart of it loses tickets and acknowledged bytes. Set "
    "appendonly yes"
)
SORTED_SETS: Final = (
    scripts.ALL, scripts.ACTIVE, scripts.TO_DELETE, scripts.INSTANCES,
    *(scripts.BY_STATE + state.value for state in State),
)  # fmt: skip
HASHES: Final = (scripts.CLOCK, scripts.LEASES)
FOREIGN: Final = "has data of another program: {keys}. Each service needs a database of its own"


@dataclass(frozen=True, slots=True)
class Fitness:
    """What a Redis that can keep tickets says of itself."""

    version: str
    keeps_tickets: bool
    """Whether a restart of it loses none: it has an append-only file."""


def check_server(connection: RedisConnection) -> None:
    """Logs a warning for a Redis that may lose tickets. Raises what `examine` raises."""
    if not examine(connection).keeps_tickets:
        log.warning(NO_AOF, {"redis": connection.address})


def examine(connection: RedisConnection) -> Fitness:
    """Returns what a Redis says of itself. Raises BadSetting if it can't keep tickets at all.

    Raises StorageFailed if Redis does not answer.
    """
    info = parse_info(connection.read("INFO").decode("utf-8", "replace"))
    why = unfit(info)
    if not why and (keys := foreign_keys(connection)):
        why = FOREIGN.format(keys=", ".join(keys))
    if why:
        raise BadSetting(SETTING, f"Redis ({connection.address}) {why}")
    return Fitness(info.get("redis_version", ""), info.get("aof_enabled") != "0")


def foreign_keys(connection: RedisConnection) -> list[str]:
    """Returns the keys of the service under which Redis has something else. Raises StorageFailed."""
    found = connection.run(scripts.FOREIGN, args=(*SORTED_SETS, "", *HASHES), repeat=True)
    return [key.decode() for key in found]


def parse_info(text: str) -> dict[str, str]:
    """Returns the fields of an INFO reply."""
    lines = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip() for name, _, value in lines if name}


def unfit(info: Mapping[str, str]) -> str:
    """Returns why a Redis with these facts can't keep tickets; an empty text if it can."""
    version = info.get("redis_version", "")
    if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) < MIN_VERSION:
        return f"has version {version}. It has to be 6.0 or newer"
    if info.get("redis_mode") == "cluster":
        return "is a Cluster. Use one Redis, or a primary with replicas and Sentinels"
    if info.get("role") == "slave":
        return "is a replica, which takes no changes. Name the primary, or the Sentinels that know it"
    policy = info.get("maxmemory_policy", "")
    if policy.startswith("allkeys") and info.get("maxmemory") != "0":
        return f"forgets tickets when its memory is full (maxmemory-policy {policy}). Set noeviction"
    return ""
