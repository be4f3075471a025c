"""Settings of commands: an option for each row of the table, the environment, and a TOML file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from incoming.core.errors import BadSetting
from incoming.settings import load
from incoming.settings.load import SETTINGS, Setting
from incoming.settings.table import Settings


def config_path(named: str | None) -> str | None:
    """Returns the file with the settings: the one that is named, else the default one if it exists.

    An empty name stands for no file.
    """
    if named is not None:
        return named or None
    return load.DEFAULT_CONFIG if Path(load.DEFAULT_CONFIG).exists() else None


config_option = click.option(
    "--config", "config_file", metavar="FILE", envvar=load.CONFIG_VARIABLE, show_envvar=True,
    callback=lambda _context, _option, named: config_path(named),
    help="A TOML file with settings, by these names: storage_dir = \"/var/lib/incoming\". "
         f"[default: {load.DEFAULT_CONFIG}, if it exists]",
)  # fmt: skip


def setting_options(command: Callable[..., Any], only: tuple[str, ...] = ()) -> Callable[..., Any]:
    """Adds `--config` and an option for each setting, or for those in `only`, to a command."""
    for setting in reversed([s for s in SETTINGS if not only or s.name in only]):
        text = f"{setting.help}  [{setting.unit}; default: {shown(setting, setting.default)}]"
        option = click.option(
            setting.option, setting.name, help=text, metavar="VALUE",
            is_flag=False, flag_value="yes" if setting.kind is bool else None,
        )  # fmt: skip
        command = option(command)
    return config_option(command)


def shown(setting: Setting, value: object) -> str:
    """Returns a value as a person writes it."""
    if setting.kind is bool:
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    return str(value) if setting.kind is int else str(value or "none")


def _toml_settings(config_file: str | None) -> Mapping[str, object]:
    """Returns the settings in the file; empty if no file is given. Raises BadSetting."""
    if not config_file:
        return {}
    try:
        return tomllib.loads(Path(config_file).read_text("utf-8-sig"))
    except OSError as exc:
        raise BadSetting("config", f"{config_file} can't be read: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise BadSetting("config", f"{config_file} is not TOML: {exc}") from exc


def settings(config_file: str | None, options: Mapping[str, str | None]) -> Settings:
    """Returns the settings in force. Raises BadSetting."""
    return load.combined(given(config_file, options))


def given(config_file: str | None, options: Mapping[str, str | None]) -> load.Given:
    """Returns the settings in the file, the environment and the command line. Raises BadSetting."""
    on_command_line = {name: text for name, text in options.items() if text is not None}
    return load.given(_toml_settings(config_file), os.environ, on_command_line)
