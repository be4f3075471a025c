"""The command `incoming`: patch first, then hand over to one of its commands."""

from __future__ import annotations

# Nothing may open a file before this: it could get the number of a standard stream that is closed.
from incoming.runtime import output  # isort: skip

output.occupy_standard_descriptors()

# Whatever opens a socket has to find gevent's, so this stands before every other import.
from gevent import config, monkey  # isort: skip

config.track_greenlet_tree = False  # who has spawned whom: a fifth of what a greenlet costs, and nobody looks
monkey.patch_all()

from importlib import import_module
from typing import Any, Final

import click

from incoming import __version__

COMMANDS: Final = {
    "serve": "serve",
    "uploads": "operate",
    "retry": "operate",
    "cancel": "operate",
    "sweep": "operate",
    "send": "send",
    "config": "config",
    "probe": "probe",
}
"""{command: the module that has it}, in the order in which they are met."""


class Commands(click.Group):
    """Without a command, or with options only, it is `serve`: so it was before there were others.

    A command's module is imported when the command is called: the server starts in two thirds of the time
    when it does not load the client.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """See click.Group. From here on no trouble with the output ends or changes what a command does."""
        output.guard()
        return super().main(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click.Group."""
        mine = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if ctx.resilient_parsing:  # the shell asks how words go on
            return super().parse_args(ctx, args)
        if not args or (args[0].startswith("-") and args[0] not in mine):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See click.Group."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See click.Group."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"incoming.commands.{COMMANDS[cmd_name]}"), cmd_name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="Incoming!!")
def main() -> None:
    """Incoming!! takes large file uploads off a web app's back.

    Without a command it serves: `incoming --port 4000` is `incoming serve --port 4000`.
    """


if __name__ == "__main__":
    main()
