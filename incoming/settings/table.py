"""Every setting, in one table: its name, default, unit and help. The options, the environment variables, the
TOML file, the docs and the validation all follow from it (`load`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

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
    """Refuses what is no http address of a server, with a path or without."""
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or any(c <= " " or c in "\\?#@\x7f" for c in value):
        return "must be an absolute http or https URL such as https://uploads.example.org, without a query"
    return ""


def _setting(default: Any, unit: str, text: str, check: Check | None = None) -> Any:
    return field(default=default, metadata={"unit": unit, "help": text, "check": check})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force. Units are in the names and in `unit`."""

    host: str = _setting("0.0.0.0", "address", "Address to listen on.", _not_empty)
    port: int = _setting(4000, "port", "Port to listen on; 0 takes a free one.", _between(0, 65535))
    public_url: str = _setting(
        "",
        "URL",
        "The URL under which clients reach the server, without /incoming/, such as "
        "https://uploads.example.org. Answers then have absolute addresses. Empty: they have paths alone.",
        _base_url,
    )
    storage_dir: str = _setting(
        "incoming-storage",
        "path",
        "Where uploads and their journal are kept. One process owns it.",
        _not_empty,
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
        "Addresses or networks, comma-separated, that are never called, whatever name leads there. The "
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
        "no limit. This machine and trusted proxies are not counted.",
        _at_least(0),
    )
    max_unfinished_mib_per_source: int = _setting(
        0,
        "MiB",
        "How many bytes may still be missing of all unfinished uploads of a client's address; 0 sets no "
        "limit.",
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
        "Whether clients of the IETF's resumable uploads get interim responses (104), which tell where to "
        "resume: auto, on or off. auto: where nothing shows a proxy in front of the server. Some proxies "
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
    def chunk_size_bytes(self) -> int:
        """The chunk size in bytes."""
        return self.chunk_size_kib * 1024
