"""Every setting, in one table: its name, default, unit and help. Options, environment, TOML file, docs
and validation are all made from it.

`defaults < TOML file < INCOMING_* environment < options`: `resolve` puts them together. A value that makes
no sense is refused with the setting's name and why (`BadSetting`), before the server does anything.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Final, get_type_hints
from urllib.parse import urlsplit

from incoming.errors import BadSetting

ENVIRONMENT_PREFIX: Final = "INCOMING_"
Check = Callable[[Any], str]
"""Returns what is wrong with a value, or an empty text."""


def _at_least(minimum: float) -> Check:
    return lambda value: "" if value >= minimum else f"has to be at least {minimum}"


def _between(minimum: float, maximum: float) -> Check:
    return lambda value: "" if minimum <= value <= maximum else f"has to be from {minimum} to {maximum}"


def _positive(value: float) -> str:
    return "" if value > 0 else "has to be more than 0"


def _not_empty(value: str) -> str:
    return "" if value.strip() else "must not be empty"


def _one_of(*words: str) -> Check:
    return lambda value: "" if value in words else f"has to be one of {', '.join(words)}"


def _networks(values: tuple[str, ...]) -> str:
    for value in values:
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            return f"{value!r} is no IP address or network such as 10.0.0.0/8"
    return ""


def _hosts(values: tuple[str, ...]) -> str:
    for value in values:
        if not _is_host(value):
            return f"{value!r} is no host name such as app.example.org (without a port)"
    return ""


def _is_host(value: str) -> bool:
    """Returns whether a URL can have exactly this host: else the setting would never match one."""
    try:
        return value == urlsplit(f"http://[{value}]/" if ":" in value else f"http://{value}/").hostname
    except ValueError:
        return False


def _setting(default: Any, unit: str, text: str, check: Check | None = None) -> Any:
    return field(default=default, metadata={"unit": unit, "help": text, "check": check})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force. Units stand in the names and in SETTINGS."""

    host: str = _setting("0.0.0.0", "address", "Address to listen on.", _not_empty)
    port: int = _setting(4000, "port", "Port to listen on; 0 takes a free one.", _between(0, 65535))
    storage_dir: str = _setting(
        "incoming-storage", "path",
        "Where uploads and their journal are kept. One process owns it.", _not_empty)
    wait_for_storage: bool = _setting(
        False, "yes/no",
        "Wait until the process that owns the storage directory lets go, instead of refusing to start.")
    allowed_backends: tuple[str, ...] = _setting(
        (), "addresses",
        "Addresses or networks, comma-separated, that may use the backend routes. Empty: this machine only.",
        _networks)
    backend_token: str = _setting(
        "", "text",
        "A secret that lets any caller use the backend routes: 'Authorization: Bearer TOKEN'. Empty: none.")
    handover_hosts: tuple[str, ...] = _setting(
        (), "hosts", "Hosts, comma-separated, that a signalFinishURL may name. Empty: any.", _hosts)
    chunk_size_kib: int = _setting(
        512, "KiB", "Size of the chunks that clients are asked to send.", _between(1, 16384))
    send_ahead: int = _setting(
        8, "chunks", "How many chunks a client may send ahead of their acknowledgements.", _between(1, 1024))
    max_chunk_kib: int = _setting(
        4096, "KiB", "The largest chunk that clients of protocol version 2 may send.", _between(8, 16384))
    max_window_mib: int = _setting(
        64, "MiB", "How much a client of protocol version 2 may send ahead of its acknowledgements.",
        _between(1, 1024))
    max_upload_bytes: int = _setting(
        0, "bytes", "The largest file that is taken; 0 sets no limit.", _at_least(0))
    reserve_ahead_mib: int = _setting(
        256, "MiB", "How much disk space is reserved ahead of each writer; 0 reserves none.", _at_least(0))
    min_free_mib: int = _setting(
        256, "MiB", "Free disk space that no upload may use up.", _at_least(0))
    reservation_idle_s: float = _setting(
        3600.0, "seconds",
        "How long an upload that nobody continues still counts against the free disk space.", _positive)
    fsync: bool = _setting(
        True, "yes/no",
        "Sync a file before it is handed over, and the journal at each change of state: they survive a power "
        "cut. A killed process loses nothing either way.")
    idle_timeout_s: float = _setting(
        259200.0, "seconds",
        "A ticket that nobody uses for this long expires. Time that the server is down does not count.",
        _positive)
    connection_timeout_s: float = _setting(
        10.0, "seconds", "A connection that is silent for this long is given up (the upload is not).",
        _at_least(1))
    handover_connect_timeout_s: float = _setting(
        5.0, "seconds", "How long the app may take to accept a connection.", _positive)
    handover_answer_timeout_s: float = _setting(
        600.0, "seconds", "How long the app may take to answer a handover.", _positive)
    handover_retry_first_s: float = _setting(
        1.0, "seconds", "The first delay before a handover is tried again; it doubles each time.", _positive)
    handover_retry_max_s: float = _setting(
        300.0, "seconds", "The longest delay before a handover is tried again.", _positive)
    handover_retry_for_s: float = _setting(
        86400.0, "seconds", "For how long a handover is tried; then the upload has failed.", _positive)
    handover_wait_timeout_s: float = _setting(
        43200.0, "seconds",
        "How long after its 'wait' an app may take to call finish_upload; then it is asked again.", _positive)
    handover_wait_asks: int = _setting(
        3, "times", "How often an app that answers 'wait' is asked; then the upload has failed.",
        _at_least(1))
    result_retention_s: float = _setting(
        86400.0, "seconds", "How long the result of an upload is kept for clients that come back.", _positive)
    failed_retention_s: float = _setting(
        604800.0, "seconds", "How long the file of a failed handover is kept.", _positive)
    stop_timeout_s: float = _setting(
        5.0, "seconds", "How long a stopping server waits for requests that are under way.", _at_least(0))
    log_level: str = _setting(
        "info", "level", "Which log lines are written: debug, info, warning or error.",
        _one_of("debug", "info", "warning", "error"))

    @property
    def chunk_size_bytes(self) -> int:
        """The chunk size in bytes."""
        return self.chunk_size_kib * 1024


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table."""

    name: str
    default: Any
    kind: Any
    unit: str
    help: str
    check: Check | None

    @property
    def option(self) -> str:
        """The command line's option: `--storage-dir`."""
        return "--" + self.name.replace("_", "-")

    @property
    def secret(self) -> bool:
        """Whether its value is never shown."""
        return self.name == "backend_token"

    @property
    def variable(self) -> str:
        """The environment's variable: `INCOMING_STORAGE_DIR`."""
        return ENVIRONMENT_PREFIX + self.name.upper()

    def validate(self, raw: object, source: str) -> Any:
        """Returns the value that `raw` (a text, or what TOML makes of it) means. Raises BadSetting."""
        name = f"{self.name} ({source})"
        try:
            value = _READERS[self.kind](raw)
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            given = "this" if self.secret else repr(raw)
            raise BadSetting(name, f"{given} is no {_KIND_NAMES[self.kind]}") from exc
        wrong = self.check(value) if self.check else ""
        if wrong:
            raise BadSetting(name, f"{wrong}, not {raw!r}")
        return value


def _table() -> tuple[Setting, ...]:
    hints = get_type_hints(Settings)
    return tuple(
        Setting(f.name, f.default, hints[f.name], **f.metadata)
        for f in fields(Settings)
        if f.default is not MISSING
    )


def _read_text(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError
    return raw


def _read_bool(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    return _BOOLEANS[str(raw).strip().lower()]


_BOOLEANS: Final = {
    **dict.fromkeys(("yes", "true", "on", "1"), True),
    **dict.fromkeys(("no", "false", "off", "0"), False),
}


def _read_int(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise TypeError
    return int(raw)


def _read_float(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise TypeError
    value = float(raw)
    if not -1e15 < value < 1e15:  # also: neither infinite nor NaN
        raise ValueError(raw)
    return value


def _read_list(raw: object) -> tuple[str, ...]:
    items = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise TypeError
    return tuple(item.strip().lower() for item in items if item.strip())  # hosts and addresses


_READERS: Final[dict[Any, Callable[[object], Any]]] = {
    str: _read_text,
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    tuple[str, ...]: _read_list,
}
_KIND_NAMES: Final[dict[Any, str]] = {
    str: "text",
    bool: "yes or no",
    int: "whole number",
    float: "number",
    tuple[str, ...]: "list of texts",
}

SETTINGS: Final = _table()
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


def resolve(
    toml: Mapping[str, object], environment: Mapping[str, str], options: Mapping[str, object]
) -> Settings:
    """Returns the settings in force. Raises BadSetting for an unknown name or a value that makes no sense.

    `options` holds what was given on the command line only.
    """
    values: dict[str, Any] = {}
    for name, raw in toml.items():
        values[name] = _known(name, "configuration file").validate(raw, "configuration file")
    for variable, text in environment.items():
        setting = _BY_NAME.get(variable.removeprefix(ENVIRONMENT_PREFIX).lower())
        if setting and variable == setting.variable:
            values[setting.name] = setting.validate(text, variable)
    for name, raw in options.items():
        setting = _known(name, "option")
        values[name] = setting.validate(raw, setting.option)
    return _consistent(Settings(**values))


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Returns the INCOMING_* variables that are no settings: worth a warning, and no more than that.

    Other programs put such variables there too (Kubernetes does for each service, and tests do).
    """
    known = {setting.variable for setting in SETTINGS}
    return sorted(v for v in environment if v.startswith(ENVIRONMENT_PREFIX) and v not in known)


def _known(name: str, source: str) -> Setting:
    if name not in _BY_NAME:
        raise BadSetting(f"{name} ({source})", "there is no such setting")
    return _BY_NAME[name]


def _consistent(settings: Settings) -> Settings:
    """Raises BadSetting for values that make sense alone, but not together."""
    if settings.handover_retry_first_s > settings.handover_retry_max_s:
        raise BadSetting("handover_retry_max_s", "has to be at least handover_retry_first_s")
    return settings
