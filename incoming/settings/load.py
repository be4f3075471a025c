"""Reads settings from options, the environment and a TOML file. Their table is in `table`.

`defaults < TOML file < INCOMING_* environment < options`: `resolve` combines them. An invalid value is
refused with the name of the setting and the reason (`BadSetting`), before the server does anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, get_type_hints

from incoming.core.errors import BadSetting
from incoming.core.storage_kinds import name_in
from incoming.settings.table import Check, Settings

ENVIRONMENT_PREFIX: Final = "INCOMING_"
CONFIG_VARIABLE: Final = "INCOMING_CONFIG"
"""The environment variable that names the TOML file if no option does."""
DEFAULT_CONFIG: Final = "/etc/incoming.toml"
"""The TOML file that is read if nothing names one, where it exists."""
IN_FILE: Final = "configuration file"
HIDDEN: Final = "(set)"
"""What is shown in place of a secret."""
_LOGIN: Final = re.compile(r"^([a-z+]+://(?!/))?([^:@/?#]*:)?.*@", re.DOTALL)
_PASSWORD_OPTION: Final = re.compile(r"(?<=password=)[^&]*")


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table."""

    name: str
    default: Any
    kind: Any
    unit: str
    help: str
    check: Check | None
    keeps_case: bool = False

    @property
    def option(self) -> str:
        """The command line's option: `--storage-dir`."""
        return "--" + self.name.replace("_", "-")

    @property
    def secret(self) -> bool:
        """Whether its value is never shown."""
        return self.name == "backend_token"

    def public(self, value: Any) -> Any:
        """Returns a value without what nobody may see: a secret, or the passwords in an address."""
        if self.secret and value:
            return HIDDEN
        is_address = self.name == "registry" and isinstance(value, str)
        return without_passwords(value) if is_address else value

    @property
    def variable(self) -> str:
        """The environment's variable: `INCOMING_STORAGE_DIR`."""
        return ENVIRONMENT_PREFIX + self.name.upper()

    def validate(self, raw: object, source: str) -> Any:
        """Returns the value of `raw`, which is text or a value of TOML. Raises BadSetting."""
        name = f"{self.name} ({source})"
        try:
            value = _READERS[self.kind](raw)
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            given = "this" if self.secret else repr(self.public(raw))
            raise BadSetting(name, f"{given} is not {_KIND_NAMES[self.kind]}") from exc
        if isinstance(value, tuple) and not self.keeps_case:
            value = tuple(item.lower() for item in value)
        wrong = self.check(value) if self.check else ""
        if wrong:
            raise BadSetting(name, f"{wrong}, not {self.public(raw)!r}")
        return value


def without_passwords(address: str) -> str:
    """Returns the address of a Redis as people may see it, even if it is malformed."""
    hidden = _PASSWORD_OPTION.sub(HIDDEN, address)
    return hidden if hidden.startswith("unix:///") else _LOGIN.sub(rf"\1\2{HIDDEN}@", hidden)


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
    if not -1e15 < value < 1e15:  # this also excludes infinity and NaN
        raise ValueError(raw)
    return value


def _read_list(raw: object) -> tuple[str, ...]:
    items = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise TypeError
    return tuple(item.strip() for item in items if item.strip())


_READERS: Final[dict[Any, Callable[[object], Any]]] = {
    str: _read_text,
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    tuple[str, ...]: _read_list,
}
_KIND_NAMES: Final[dict[Any, str]] = {
    str: "a text",
    bool: "yes or no",
    int: "a whole number",
    float: "a number",
    tuple[str, ...]: "a list of texts",
}

SETTINGS: Final = _table()
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


def resolve(
    toml: Mapping[str, object], environment: Mapping[str, str], options: Mapping[str, object]
) -> Settings:
    """Returns the settings in force. Raises BadSetting for an unknown name or an invalid value.

    `options` holds only those of the command line.
    """
    return combined(given(toml, environment, options))


Given = Mapping[str, tuple[Any, str]]
"""{name: (value, source)} of settings."""


def combined(found: Given) -> Settings:
    """Returns the settings in force if these are given. Raises BadSetting."""
    return _consistent(Settings(**{name: value for name, (value, _) in found.items()}))


def given(toml: Mapping[str, object], environment: Mapping[str, str], options: Mapping[str, object]) -> Given:
    """Returns all given settings; the source with the highest priority wins.

    An invalid value is refused even if another source overrides it. Raises BadSetting.
    """
    found: dict[str, tuple[Any, str]] = {}
    for name, raw in toml.items():
        found[name] = _known(name, IN_FILE).validate(raw, IN_FILE), IN_FILE
    for setting in SETTINGS:
        if setting.variable in environment:
            raw = environment[setting.variable]
            found[setting.name] = setting.validate(raw, setting.variable), setting.variable
    for name, raw in options.items():
        setting = _known(name, "option")
        found[name] = setting.validate(raw, setting.option), setting.option
    return found


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Returns the INCOMING_* variables that are not settings, for a warning.

    They are not an error: other programs set such variables, too (Kubernetes does for each service).
    """
    known = {setting.variable for setting in SETTINGS} | {CONFIG_VARIABLE}
    return sorted(v for v in environment if v.startswith(ENVIRONMENT_PREFIX) and v not in known)


def _known(name: str, source: str) -> Setting:
    if name not in _BY_NAME:
        raise BadSetting(f"{name} ({source})", "this setting does not exist")
    return _BY_NAME[name]


def _consistent(settings: Settings) -> Settings:
    """Raises BadSetting for values that contradict each other."""
    if settings.handover_retry_first_s > settings.handover_retry_max_s:
        raise BadSetting("handover_retry_max_s", "must be at least handover_retry_first_s")
    if settings.storage_choice and not settings.storage:
        raise BadSetting("storage_choice", "needs a bucket: set storage")
    if name_in(settings.storage) not in settings.storages:
        raise BadSetting("storage_choice", f"must name {name_in(settings.storage)}, which storage is")
    return settings
