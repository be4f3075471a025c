"""Every setting, in one table: its name, default, unit and help. The options, the environment variables, the
TOML file, the docs and the validation all follow from it (`load`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from incoming.core.networks import is_possible_host
from incoming.core.storage_kinds import KINDS, choices, listed, name_in, remote_names

Check = Callable[[Any], str]
"""Returns what is wrong with a value, or an empty text."""


def _at_least(minimum: float) -> Check:
    return lambda value: "" if value >= minimum else f"must be at least {minimum}"


def _between(minimum: float, maximum: float) -> Check:
    return lambda value: "" if minimum <= value <= maximum else f"must be from {minimum} to {maximum}"


def _positive(value: float) -> str:
    return "" if value > 0 else "must be more than 0"


def _not_empty(value: str) -> str:
    return "" if value.strip() else "must not be empty"


def _one_of(*words: str) -> Check:
    return lambda value: "" if value in words else f"must be one of {', '.join(words)}"


def _choice(values: tuple[str, ...]) -> str:
    return "" if not values or ",".join(values) in choices() else f"must be {listed(choices())}"


def _networks(values: tuple[str, ...]) -> str:
    for value in values:
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            return f"{value!r} is not an IP address or network such as 10.0.0.0/8"
    return ""


def _hosts(values: tuple[str, ...]) -> str:
    for value in values:
        if not _is_host(value):
            return f"{value!r} is not a host name such as app.example.org (without a port)"
    return ""


def _is_host(value: str) -> bool:
    """Returns whether a URL can have exactly this host. Otherwise the setting would never match."""
    try:
        return value == urlsplit(f"http://[{value}]/" if ":" in value else f"http://{value}/").hostname
    except ValueError:
        return False


def _base_url(value: str) -> str:
    """Refuses what is not an http address of a server, with a path or without."""
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in ("http", "https") and is_possible_host(parts) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or any(c <= " " or c in "\\?#@\x7f" for c in value):
        return "must be an absolute http or https URL such as https://uploads.example.org, without a query"
    return ""


def _registry(value: str) -> str:
    """The connection reads the rest of the address, which may have a password."""
    schemes = ("", "redis", "rediss", "redis+sentinel", "rediss+sentinel", "unix")
    if value.partition("://")[0] in schemes:
        return ""
    return "must be the address of a Redis, such as redis://localhost:6379/0 or rediss://:PASSWORD@HOST"


def _storage(value: str) -> str:
    name = name_in(value)
    if not value or (name in remote_names() and len(value) > len(f"{name}://")):
        return ""
    addresses = listed(tuple(KINDS[name].addresses for name in remote_names()))
    return f"must be {addresses}; leave it empty to store uploads in storage_dir"


def _setting(
    default: Any, unit: str, text: str, check: Check | None = None, *, keeps_case: bool = False
) -> Any:
    """`keeps_case`: the texts of a list differ by case. Those of hosts and addresses do not."""
    return field(
        default=default, metadata={"unit": unit, "help": text, "check": check, "keeps_case": keeps_case}
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force. Units are in the names and in `unit`."""

    host: str = _setting("0.0.0.0", "address", "Address to listen on.", _not_empty)
    port: int = _setting(4000, "port", "Port to listen on; 0 takes a free one.", _between(0, 65535))
    public_url: str = _setting(
        "",
        "URL",
        "The URL under which clients reach the server, without /incoming/, such as "
        "https://uploads.example.org. Answers then have absolute addresses. Empty: they have only paths.",
        _base_url,
    )
    storage_dir: str = _setting(
        "incoming-storage",
        "path",
        "Where uploads and their journal are kept. One process owns it. Not used with Redis and S3.",
        _not_empty,
    )
    registry: str = _setting(
        "",
        "URL",
        "Where tickets are kept. Empty: in a journal in storage_dir, for one process. Or the address of a "
        "Redis, which several processes and machines may share: redis://, rediss:// (TLS), "
        "redis+sentinel://HOST,HOST/NAME.",
        _registry,
    )
    redis_insecure: bool = _setting(
        False,
        "yes/no",
        "Allow a Redis on another machine without TLS and a password. Only for a network that only "
        "your servers can reach.",
    )
    storage: str = _setting(
        "",
        "URL",
        "Where the bytes of uploads are stored. Empty: in storage_dir. Or s3://BUCKET/PREFIX, in S3 or a "
        "store with the same interface.",
        _storage,
    )
    storage_choice: tuple[str, ...] = _setting(
        (),
        "names",
        "Storages between which apps choose for each ticket, the default first: 'local,s3' or 's3,local'. "
        "local is storage_dir, s3 is what storage names. Empty: there is one, S3 if storage is set. Only for "
        "one process.",
        _choice,
    )
    s3_endpoint: str = _setting(
        "", "URL", "The address of a store that is not Amazon's, such as https://s3.example.org.", _base_url
    )
    s3_region: str = _setting("", "name", "The region of the bucket. Empty: from the environment.")
    s3_part_mib: int = _setting(
        8,
        "MiB",
        "The size of the parts of an upload in S3. A file that would need more than 10,000 parts has larger "
        "ones.",
        _between(5, 5120),
    )
    s3_parallel_parts: int = _setting(
        4, "parts", "How many parts of one upload are sent to S3 at a time.", _between(1, 64)
    )
    s3_memory_mib: int = _setting(
        256,
        "MiB",
        "How much memory full parts may take while they are sent to S3. Each upload needs memory for one "
        "more part.",
        _at_least(16),
    )
    s3_equal_parts: bool = _setting(
        False,
        "yes/no",
        "The store requires all parts except the last to have the same size, as Cloudflare R2 does. Uploads "
        "of unknown length are then refused.",
    )
    s3_url_lifetime_s: float = _setting(
        3600.0,
        "seconds",
        "How long the URL that an app gets for an object is valid. S3 allows a week.",
        _between(1, 604800),
    )
    s3_destination_prefixes: tuple[str, ...] = _setting(
        (),
        "prefixes",
        "Prefixes, comma-separated, of the keys that an app may name for its object (destinationKey). Empty: "
        "none.",
        keeps_case=True,
    )
    workers: int = _setting(
        1,
        "processes",
        "How many processes serve the port. More than one needs a Redis registry and S3 storage.",
        _between(1, 256),
    )
    instance: str = _setting(
        "",
        "name",
        "The name of this process in logs and on the status page; with several workers, the number of each "
        "follows. Empty: the machine, the process id and a random part. Only used with a Redis registry.",
    )
    wait_for_storage: bool = _setting(
        False,
        "yes/no",
        "Wait until the process that owns the storage directory releases it, instead of refusing to start.",
    )
    allowed_backends: tuple[str, ...] = _setting(
        (),
        "addresses",
        "Addresses or networks, comma-separated, that may use the backend routes. Empty: this machine only.",
        _networks,
    )
    backend_token: str = _setting(
        "",
        "text",
        "A secret that lets any caller use the backend routes: 'Authorization: Bearer TOKEN'. Empty: none.",
    )
    backend_hosts: tuple[str, ...] = _setting(
        (),
        "hosts",
        "Host names, comma-separated, that apps may use for the backend routes without the token. Addresses "
        "of the server, localhost, and names without a dot are always allowed.",
        _hosts,
    )
    status_hosts: tuple[str, ...] = _setting(
        (),
        "hosts",
        "Host names, comma-separated, that browsers may use for the status page without the token. "
        "Addresses and localhost are always allowed.",
        _hosts,
    )
    handover_hosts: tuple[str, ...] = _setting(
        (), "hosts", "Hosts, comma-separated, that a signalFinishURL may name. Empty: any.", _hosts
    )
    handover_refused: tuple[str, ...] = _setting(
        ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254", "100.100.100.200", "224.0.0.0/4", "ff00::/8"),
        "addresses",
        "Addresses or networks, comma-separated, that are never called, whatever name points there. The "
        "default is multicast, and the addresses where clouds keep their machines' secrets.",
        _networks,
    )
    handover_ca_file: str = _setting(
        "",
        "path",
        "A PEM file of certificate authorities to trust for https apps, besides those of the system. "
        "Empty: none.",
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        "addresses",
        "Addresses or networks, comma-separated, of proxies whose X-Forwarded-For has the client's address. "
        "This is only for the limits of a client; the backend routes trust no proxy.",
        _networks,
    )
    max_connections_per_source: int = _setting(
        5000,
        "connections",
        "How many connections a client's address may have (an IPv6 network of 64 bits counts as one); 0 sets "
        "no limit. This machine and trusted proxies are not counted. Servers with one Redis count "
        "together, within some seconds.",
        _at_least(0),
    )
    max_unfinished_mib_per_source: int = _setting(
        0,
        "MiB",
        "How many bytes may still be missing from all unfinished uploads of a client's address; 0 sets no "
        "limit. Servers with one Redis count together.",
        _at_least(0),
    )
    max_unfinished_per_app: int = _setting(
        300000,
        "tickets",
        "How many unfinished tickets an app (host and port of signalFinishURL) may have; 0 sets no limit.",
        _at_least(0),
    )
    chunk_size_kib: int = _setting(
        512,
        "KiB",
        "Size of the chunks of protocol version 1; twice as much for a file of 256 or more of them.",
        _between(1, 16384),
    )
    send_ahead: int = _setting(
        8,
        "chunks",
        "How many chunks a client of protocol version 1 may send ahead of their acknowledgements; half as "
        "many if they are twice as large.",
        _between(1, 1024),
    )
    max_chunk_kib: int = _setting(
        4096,
        "KiB",
        "The largest chunk that clients of protocol version 2 may send while there are few of them.",
        _between(8, 16384),
    )
    max_window_mib: int = _setting(
        64,
        "MiB",
        "How much a client of protocol version 2 may send ahead of its acknowledgements.",
        _between(1, 1024),
    )
    max_upload_bytes: int = _setting(
        0, "bytes", "The largest file that is accepted; 0 sets no limit.", _at_least(0)
    )
    max_folder_entries: int = _setting(
        100_000,
        "entries",
        "How many files and empty folders a folder that is one upload may have.",
        _between(1, 10_000_000),
    )
    max_folder_manifest_mib: int = _setting(
        32,
        "MiB",
        "How much the paths, sizes and times of a folder's files may take. The server needs about as much "
        "memory for each folder that is being uploaded.",
        _between(1, 1024),
    )
    reserve_ahead_mib: int = _setting(
        256, "MiB", "How much disk space is reserved ahead of each writer; 0 reserves none.", _at_least(0)
    )
    min_free_mib: int = _setting(256, "MiB", "Free disk space that no upload may use up.", _at_least(0))
    reservation_idle_s: float = _setting(
        3600.0,
        "seconds",
        "How long an idle upload still counts against the free disk space. One that has sent nothing yields "
        "after 5 s when another one needs the space.",
        _positive,
    )
    fsync: bool = _setting(
        True,
        "yes/no",
        "Sync a file before it is handed over, and the journal at each change of state: they survive a power "
        "cut. A killed process loses nothing either way.",
    )
    idle_timeout_s: float = _setting(
        259200.0,
        "seconds",
        "A ticket that is not used for this long expires. Time while the server is down does not count.",
        _positive,
    )
    connection_timeout_s: float = _setting(
        10.0,
        "seconds",
        "A connection that is silent for this long is closed. The upload can be resumed.",
        _at_least(1),
    )
    handover_connect_timeout_s: float = _setting(
        5.0, "seconds", "How long the app may take to accept a connection.", _positive
    )
    handover_answer_timeout_s: float = _setting(
        600.0, "seconds", "How long the app may take to answer a handover.", _positive
    )
    handover_retry_first_s: float = _setting(
        1.0, "seconds", "The first delay before a handover is tried again; it doubles each time.", _positive
    )
    handover_retry_max_s: float = _setting(
        300.0, "seconds", "The longest delay before a handover is tried again.", _positive
    )
    handover_retry_for_s: float = _setting(
        86400.0, "seconds", "For how long a handover is tried; then the upload has failed.", _positive
    )
    handover_wait_timeout_s: float = _setting(
        43200.0,
        "seconds",
        "How long after its answer 'wait' an app may take to call finish_upload; then it is called again.",
        _positive,
    )
    handover_wait_asks: int = _setting(
        3,
        "times",
        "How often an app that answers 'wait' is called; then the upload has failed.",
        _at_least(1),
    )
    http_hold_s: float = _setting(
        25.0,
        "seconds",
        "How long a request that completes an upload over HTTP waits for the app's answer. Proxies in front "
        "of the server must wait longer than this.",
        _between(0, 3600),
    )
    interim_responses: str = _setting(
        "auto",
        "mode",
        "Whether clients of the IETF's resumable uploads get interim responses (104), which say where to "
        "resume: auto, on or off. auto: unless something shows a proxy in front of the server. Some proxies "
        "fail on interim responses.",
        _one_of("auto", "on", "off"),
    )
    result_retention_s: float = _setting(
        86400.0, "seconds", "How long the result of an upload is kept for clients that reconnect.", _positive
    )
    failed_retention_s: float = _setting(
        604800.0, "seconds", "How long the file of a failed handover is kept.", _positive
    )
    stop_timeout_s: float = _setting(
        5.0, "seconds", "How long a stopping server waits for active requests.", _at_least(0)
    )
    log_level: str = _setting(
        "info",
        "level",
        "Which log lines are written: debug, info, warning or error.",
        _one_of("debug", "info", "warning", "error"),
    )
    log_format: str = _setting(
        "text",
        "format",
        "The format of log lines: text, or json (one object per line).",
        _one_of("text", "json"),
    )

    @property
    def is_shared(self) -> bool:
        """Whether several processes may have the same tickets and files."""
        return bool(self.registry and self.storage and not self.storage_choice)

    @property
    def storages(self) -> tuple[str, ...]:
        """The names of the storages, the default first."""
        return self.storage_choice or (name_in(self.storage),)

    @property
    def chunk_size_bytes(self) -> int:
        """The chunk size in bytes."""
        return self.chunk_size_kib * 1024
