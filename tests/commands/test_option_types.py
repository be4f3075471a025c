"""Empty options and arguments of all commands, as a script passes them whose variable was never set."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from incoming import commands
from incoming.settings.load import SETTINGS

MAY_BE_EMPTY = {"config_file", *(setting.name for setting in SETTINGS)}
"""No name of a configuration file means no file, and an empty setting is checked like any other value."""
OTHERS = {"send": ["/dev/null"], "serve": ["--port", "none"]}
"""What a command needs beside an option, before it looks at that. No server starts on such a port."""


def all_commands() -> list[click.Command]:
    """Returns the commands, by the modules that have them."""
    names = [one.name for one in pkgutil.iter_modules(commands.__path__)]
    modules = [import_module(f"{commands.__name__}.{name}") for name in names]
    found = [one for module in modules for one in vars(module).values() if isinstance(one, click.Command)]
    return list(dict.fromkeys(found))


ALL = [
    (command, parameter)
    for command in all_commands()
    for parameter in command.params
    if not getattr(parameter, "is_flag", False) and parameter.name not in MAY_BE_EMPTY
]


@pytest.mark.parametrize(("command", "parameter"), ALL, ids=[f"{one.name} {two.name}" for one, two in ALL])
def test_an_empty_option_or_argument_is_refused(command: click.Command, parameter: click.Parameter) -> None:
    words = [""]
    if isinstance(parameter, click.Option):
        words = [*OTHERS.get(command.name or "", []), parameter.opts[0], ""]
    result = CliRunner().invoke(command, words)
    assert result.exit_code == 2, result.output
    assert "Invalid value" in result.output


def test_all_commands_are_looked_at() -> None:
    names = {command.name for command, _ in ALL}
    assert names >= {"send", "serve", "uploads", "retry", "cancel", "sweep", "probe", "doctor"}
