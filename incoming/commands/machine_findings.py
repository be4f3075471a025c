"""What `incoming doctor` can find about the machine, and how to fix it: pure."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from typing import Final

from incoming.commands.proxy_findings import Grade
from incoming.core.units import MIB
from incoming.http import listeners
from incoming.settings.table import Settings

ENOUGH_DESCRIPTORS: Final = 65_536
FEW_DESCRIPTORS: Final = 4_096
DESCRIPTORS_PER_UPLOAD: Final = 2
FEW_INODES: Final = 10_000
SLOW_SYNC_S: Final = 0.1
EXAMPLE_TOKEN: Final = "CHANGE-ME"
VOLATILE: Final = ("tmpfs", "ramfs")
OVERLAYS: Final = ("overlay", "aufs")
HTTP_OK: Final = 200
MANY_MACHINES: Final = "docs/how-to/many-machines.md"


@dataclass(frozen=True, slots=True)
class MachineFinding:
    """One result, for people. `fix`: a command, or a line of a file; empty where nothing is to be done."""

    topic: str
    grade: Grade
    sentence: str
    fix: str = ""

    @property
    def remedies(self) -> dict[str, tuple[str, ...]]:
        """What to change, under one heading."""
        return {"do": (self.fix,)} if self.fix else {}


def judge_settings(settings: Settings, file: str, unknown_variables: list[str]) -> list[MachineFinding]:
    """Returns what the settings mean for security; `file` is where they are, and may be empty."""
    topic = "settings"
    where = f"They are in {file}, and valid." if file else "There is no settings file. The defaults apply."
    found = [MachineFinding(topic, Grade.OK, where)]
    for variable in unknown_variables:
        sentence = f"The environment variable {variable} is not a setting."
        found.append(MachineFinding(topic, Grade.NOTE, sentence, f"unset {variable}"))
    if hmac.compare_digest(settings.backend_token.encode(), EXAMPLE_TOKEN.encode()):
        sentence = "backend_token is the one from the examples, which everybody knows."
        fix = "python3 -c 'import secrets; print(secrets.token_urlsafe())'  # a new one"
        found.append(MachineFinding(topic, Grade.CHANGE, sentence, fix))
    if not settings.handover_hosts:
        sentence = (
            "A signalFinishURL may name any host. Anyone who gets tickets can make the server call any host."
        )
        found.append(MachineFinding(topic, Grade.NOTE, sentence, 'handover_hosts = ["the.host.of.your.app"]'))
    return found


def judge_callers(settings: Settings) -> MachineFinding:
    """Returns who may call the backend routes, and through which proxies."""
    topic = "proxy headers"
    if everybody := _whole_internet(settings.allowed_backends):
        sentence = f"allowed_backends contains {everybody}: everybody may get tickets."
        return MachineFinding(
            topic, Grade.CHANGE, sentence, "backend_token = ...  # instead of allowed_backends"
        )
    if trusted := _whole_internet(settings.trusted_proxies):
        sentence = f"trusted_proxies contains {trusted}: every client can choose the address for its limits."
        return MachineFinding(
            topic, Grade.CHANGE, sentence, 'trusted_proxies = ["the.address.of.your.proxy"]'
        )
    if settings.host in ("0.0.0.0", "::"):
        sentence = "The server listens on all addresses, without https. Strangers can bypass the proxy."
        fix = 'host = "127.0.0.1"  # if the proxy is on this machine; not needed with incoming.socket'
        return MachineFinding(topic, Grade.NOTE, sentence, fix)
    return MachineFinding(topic, Grade.OK, f"The server listens on {settings.host} only.")


def _whole_internet(networks: tuple[str, ...]) -> str:
    """Returns the first network that has all addresses; empty if none has."""
    return next((one for one in networks if not ipaddress.ip_network(one, strict=False).prefixlen), "")


def judge_file_system(kind: str, read_only: bool, on_network: bool, path: str) -> MachineFinding:
    """Returns whether uploads are safe on a file system of this type."""
    topic = "file system"
    if read_only:
        return MachineFinding(
            topic, Grade.CHANGE, f"{path} is mounted read-only.", f"mount -o remount,rw {path}"
        )
    if kind in VOLATILE:
        sentence = f"{path} is in memory ({kind}). A restart of the machine loses all uploads."
        return MachineFinding(topic, Grade.CHANGE, sentence, 'storage_dir = "/var/lib/incoming"  # on a disk')
    if kind in OVERLAYS:
        sentence = f"{path} is in the container itself ({kind}). It disappears with the container."
        return MachineFinding(topic, Grade.CHANGE, sentence, f"docker run --volume incoming:{path} ...")
    if on_network:
        sentence = (
            f"{path} is on another machine ({kind}). While it is unavailable, no upload starts or ends."
        )
        fix = "docs/reference/file-systems.md says how to mount it, and what may be stored there."
        return MachineFinding(topic, Grade.NOTE, sentence, fix)
    return MachineFinding(topic, Grade.OK, f"{path} is on {kind or 'a file system of an unknown type'}.")


def judge_permissions(user: str, problem: str, journal_mode: int | None, path: str) -> MachineFinding:
    """Returns whether the server's user can write, and whether others can read the journal.

    `problem`: what the system said, or an empty text. `journal_mode`: None where there is no journal yet.
    """
    topic = "permissions"
    if problem:
        sentence = f"{user} can't write to {path}: {problem}."
        return MachineFinding(topic, Grade.CHANGE, sentence, f"chown -R {user}:uploads {path}")
    if journal_mode is not None and journal_mode & 0o077:
        sentence = f"Others may enter {path}/journal ({journal_mode:04o}), which has the apps' secrets."
        return MachineFinding(topic, Grade.CHANGE, sentence, f"chmod 700 {path}/journal")
    return MachineFinding(
        topic, Grade.OK, f"{user} can write to {path}, and nobody else can read the journal."
    )


def judge_server(address: str, health: str, proxied_status: int) -> MachineFinding:
    """Returns how the server at this address is.

    `health`: what healthz says; "" if nothing answers. `proxied_status`: what a request to a backend route
    with a proxy's header was answered with; 0 if none was sent.
    """
    topic = "server"
    if not health:
        return MachineFinding(topic, Grade.NOTE, f"No server answers at {address}.", "incoming serve")
    if health != "ok":
        sentence = f"The server at {address} accepts no new uploads: {health}."
        return MachineFinding(
            topic, Grade.CHANGE, sentence, "docs/how-to/monitoring.md#health says what to do."
        )
    if proxied_status == HTTP_OK:
        sentence = f"The server at {address} opens its backend routes to requests through a proxy."
        return MachineFinding(topic, Grade.CHANGE, sentence, 'allowed_backends = ["the.address.of.your.app"]')
    return MachineFinding(topic, Grade.OK, f"It answers at {address}, and is healthy.")


def judge_sync(took_s: float) -> MachineFinding:
    """Returns whether the disk syncs fast enough: each change of a ticket waits for that."""
    if took_s < SLOW_SYNC_S:
        return MachineFinding("disk", Grade.OK, f"A sync takes {took_s * 1000:.1f} ms.")
    sentence = f"A sync takes {took_s * 1000:.0f} ms. Each new ticket and each end of an upload waits for it."
    return MachineFinding(
        "disk", Grade.NOTE, sentence, "storage_dir = ...  # on an SSD, without other programs"
    )


def judge_room(free_bytes: int, free_inodes: int, min_free_mib: int) -> MachineFinding:
    """Returns whether uploads find room. `free_inodes`: -1 where the file system does not count them."""
    topic, fix = "free space", "df -h; df -i  # then make room, or set another storage_dir"
    if free_bytes <= min_free_mib * MIB:
        sentence = (
            f"{free_bytes / 1e9:.1f} GB are free. min_free_mib is {min_free_mib} MiB, so no upload can begin."
        )
        return MachineFinding(topic, Grade.CHANGE, sentence, fix)
    if 0 <= free_inodes < FEW_INODES:
        sentence = f"Only {free_inodes} inodes are free. Each upload takes two."
        return MachineFinding(topic, Grade.CHANGE, sentence, fix)
    return MachineFinding(topic, Grade.OK, f"{free_bytes / 1e9:.1f} GB are free.")


def judge_descriptors(most: int, who: str) -> MachineFinding:
    """Returns how many uploads the limit of open files allows; `who` has it."""
    uploads = most // DESCRIPTORS_PER_UPLOAD
    sentence = f"{who} may open {most} files, for about {uploads} uploads at a time."
    if most >= ENOUGH_DESCRIPTORS:
        return MachineFinding("open files", Grade.OK, sentence)
    grade = Grade.NOTE if most >= FEW_DESCRIPTORS else Grade.CHANGE
    fix = "LimitNOFILE=65536  # in incoming.service; in a shell: ulimit -n 65536"
    return MachineFinding("open files", grade, sentence, fix)


def judge_backlog(most: int) -> MachineFinding:
    """Returns whether clients that come back together find room in the queue of the listening socket."""
    sentence = f"{most} connections may wait to be accepted."
    if most >= listeners.BACKLOG:
        return MachineFinding("backlog", Grade.OK, sentence)
    fix = "sysctl -w net.core.somaxconn=4096  # and in /etc/sysctl.d/"
    return MachineFinding("backlog", Grade.NOTE, f"{sentence} After a restart, more may come at once.", fix)


def judge_redis(
    address: str, problem: str, version: str, keeps_tickets: bool, servers: int
) -> MachineFinding:
    """Returns whether the Redis at this address can keep tickets. `problem`: why not, as a sentence.

    `servers`: how many use it now. `keeps_tickets`: whether a restart of Redis loses none.
    """
    topic = "Redis"
    if problem:
        fix = f'registry = "redis://..."  # see "Redis" in {MANY_MACHINES}'
        return MachineFinding(topic, Grade.CHANGE, problem, fix)
    if not keeps_tickets:
        sentence = f"The Redis at {address} has no append-only file. A restart of it loses tickets and files."
        return MachineFinding(topic, Grade.CHANGE, sentence, "appendonly yes  # in redis.conf")
    many = "One server uses" if servers == 1 else f"{servers or 'No'} servers use"
    return MachineFinding(topic, Grade.OK, f"{many} the one at {address}. Its version is {version}.")


def judge_bucket(name: str, problem: str, took_s: float) -> MachineFinding:
    """Returns whether the server can store objects in S3. `problem`: why not, as a sentence."""
    topic = "S3"
    if problem:
        return MachineFinding(
            topic, Grade.CHANGE, problem, f'storage = "s3://..."  # see "S3" in {MANY_MACHINES}'
        )
    return MachineFinding(
        topic, Grade.OK, f"{name} can be used. A small object takes {took_s * 1000:.0f} ms."
    )


def judge_clock(synchronized: bool | None, uses_s3: bool) -> MachineFinding:
    """Returns what it means that the kernel's clock is synchronized, or not, or that nobody can tell."""
    if synchronized:
        return MachineFinding("clock", Grade.OK, "It is synchronized.")
    fix = "timedatectl set-ntp true"
    if synchronized is None:
        return MachineFinding(
            "clock", Grade.NOTE, "This system does not say whether it is synchronized.", fix
        )
    if uses_s3:
        sentence = "It is not synchronized. S3 refuses requests if the clock is off by 15 minutes."
        return MachineFinding("clock", Grade.CHANGE, sentence, fix)
    sentence = (
        "It is not synchronized. Times in the log may be wrong. Uploads and tickets do not depend on it."
    )
    return MachineFinding("clock", Grade.NOTE, sentence, fix)
