"""Looks at the machine for `incoming doctor`. It changes nothing: what it writes is gone at once."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import pwd
import re
import resource
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

import requests

from incoming.commands import machine_findings as findings
from incoming.commands.machine_findings import MachineFinding
from incoming.commands.proxy_findings import Grade
from incoming.commands.server_client import redis_reading, with_period
from incoming.core.errors import BadSetting, IncomingError
from incoming.core.storage_kinds import LOCAL, S3
from incoming.http import listeners
from incoming.runtime.filesystem import mount_id, mounted, mounts
from incoming.runtime.redis_address import parse_address
from incoming.settings import load
from incoming.settings.table import Settings
from incoming.storage.local.probe import is_on_network
from incoming.storage.s3.store.client import S3Error

TIMEOUT_S: Final = 5.0
SYNCS: Final = 5
BLOCK: Final = b"\0" * 4096
MAX_DESCRIPTORS: Final = re.compile(r"^process_max_fds (\S+)$", re.MULTILINE)
SOMAXCONN: Final = Path("/proc/sys/net/core/somaxconn")
UNUSABLE: Final = "The setting {setting} can't be used: {why}"
TIMEX_BYTES: Final = 512
"""More than struct timex of adjtimex(2) has."""
TIME_ERROR: Final = 5
"""What adjtimex(2) returns for a clock that is not synchronized."""


def examine(settings: Settings, config_file: str, environment: Mapping[str, str]) -> list[MachineFinding]:
    """Returns what there is to say about this machine, with these settings."""
    found = findings.judge_settings(settings, config_file, load.unknown_variables(environment))
    found.append(findings.judge_callers(settings))
    if LOCAL in settings.storages or not settings.registry:
        found += _storage(settings)
    if settings.registry:
        found.append(_redis(settings))
    if settings.storage:
        found.append(_bucket(settings))
    server, descriptors = _server(settings)
    found.append(server)
    if not descriptors:
        _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
        found.append(findings.judge_descriptors(descriptors, "A server that starts here"))
    else:
        found.append(findings.judge_descriptors(descriptors, "The server"))
    with contextlib.suppress(OSError, ValueError):
        found.append(findings.judge_backlog(int(SOMAXCONN.read_text())))
    found.append(findings.judge_clock(clock_is_synchronized(), S3 in settings.storages))
    return found


def _storage(settings: Settings) -> Iterator[MachineFinding]:
    """Yields what there is to say about the storage directory."""
    top = Path(settings.storage_dir).absolute()
    if not top.is_dir():
        sentence = f"{top} does not exist. The first start creates it."
        fix = f"install -d -o incoming -g uploads -m 2770 {top}"
        yield MachineFinding("permissions", Grade.NOTE, sentence, fix)
        return
    user, problem, sync_s = _try_as_the_owner(top)
    journal_mode = None
    with contextlib.suppress(OSError):
        journal_mode = stat.S_IMODE((top / "journal").stat().st_mode)
    yield findings.judge_permissions(user, problem, journal_mode, str(top))
    room = os.statvfs(top)
    with contextlib.suppress(OSError):
        kind, _ = mounted(mounts(), mount_id(top))
        read_only = bool(room.f_flag & os.ST_RDONLY)
        yield findings.judge_file_system(kind, read_only, is_on_network(kind), str(top))
    if not problem:
        yield findings.judge_sync(sync_s)
    inodes = room.f_favail if room.f_files else -1
    yield findings.judge_room(room.f_bavail * room.f_frsize, inodes, settings.min_free_mib)


def _try_as_the_owner(top: Path) -> tuple[str, str, float]:
    """Writes, for root as the owner of the directory. Returns the user, the problem, the time of a sync."""
    uid, gid = (top.stat().st_uid, top.stat().st_gid) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    places = [place for place in (top / "data", top / "journal") if place.exists()] or [top]
    with _as_user(uid, gid):
        took_s = 0.0
        try:
            for place in places:
                took_s = max(took_s, _sync_s(place))
        except OSError as exc:
            if exc.errno == errno.ENOSPC:  # another finding says that
                return user, "", took_s
            return user, exc.strerror or str(exc), took_s
    return user, "", took_s


@contextlib.contextmanager
def _as_user(uid: int, gid: int) -> Iterator[None]:
    """Has root act as another user. Anybody else stays who they are."""
    if os.geteuid() != 0 or uid == 0:
        yield
        return
    own_groups, own_gid = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(own_gid)
        os.setgroups(own_groups)


def _sync_s(place: Path) -> float:
    """Returns the median of how long a file in a folder takes to be synced. Raises OSError."""
    took_s = []
    with tempfile.TemporaryFile(dir=place, buffering=0) as file:
        for _ in range(SYNCS):
            begun_s = time.monotonic()
            file.write(BLOCK)
            os.fdatasync(file.fileno())
            took_s.append(time.monotonic() - begun_s)
    return sorted(took_s)[SYNCS // 2]


def _redis(settings: Settings) -> MachineFinding:
    """Returns whether the Redis of the settings can keep tickets."""
    address, problem, version, keeps_tickets = "", "", "", False
    names: list[str] = []
    try:
        address = str(parse_address(settings.registry))
        fitness, names = redis_reading().examine_redis(settings)
        version, keeps_tickets = fitness.version, fitness.keeps_tickets
    except BadSetting as exc:
        problem = UNUSABLE.format(setting=exc.name, why=exc.why)
    except IncomingError as exc:
        problem = f"The Redis at {address} can't be used: {exc.__cause__ or exc}"
    return findings.judge_redis(address, with_period(problem), version, keeps_tickets, len(names))


def _bucket(settings: Settings) -> MachineFinding:
    """Returns whether the server can store objects where the settings say."""
    problem, took_s = "", 0.0
    try:
        took_s = import_module("incoming.composition.s3_files").examine_bucket(settings)
    except BadSetting as exc:
        problem = UNUSABLE.format(setting=exc.name, why=exc.why)
    except S3Error as exc:
        problem = f"{settings.storage} can't be used: {exc}"
    return findings.judge_bucket(settings.storage, with_period(problem), took_s)


def _server(settings: Settings) -> tuple[MachineFinding, int]:
    """Returns how the running server is, and how many files it may open; 0 if it does not tell."""
    address = listeners.browser_url(settings.host, settings.port)
    token = {"Authorization": f"Bearer {settings.backend_token}"} if settings.backend_token else {}
    with requests.Session() as session:
        session.trust_env = False  # ignore the proxy of the operator's shell
        try:
            health = session.get(f"{address}/incoming/healthz", timeout=TIMEOUT_S).text.strip()
            forwarded = {"X-Forwarded-For": "192.0.2.1"}  # RFC 5737: nobody's
            proxied = session.get(f"{address}/incoming/backend/uploads", headers=forwarded, timeout=TIMEOUT_S)
            metrics = session.get(f"{address}/incoming/metrics", headers=token, timeout=TIMEOUT_S).text
        except requests.RequestException:
            return findings.judge_server(address, "", 0), 0
    limit = MAX_DESCRIPTORS.search(metrics)
    return findings.judge_server(address, health, proxied.status_code), int(float(limit[1])) if limit else 0


def clock_is_synchronized() -> bool | None:
    """Returns what the kernel knows about its clock; None if it can't be asked."""
    with contextlib.suppress(OSError, AttributeError):
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
        return None if state < 0 else bool(state != TIME_ERROR)
    return None
