"""The command `incoming`: applies gevent's patches, then runs a subcommand."""

from __future__ import annotations

# This comes first: a file opened earlier could get the descriptor of a closed standard stream.
from incoming.runtime import output  # isort: skip

output.occupy_standard_descriptors()

# Until a command runs, Ctrl-C just ends the process: an interrupted import would be a traceback.
import signal  # isort: skip

_python_handles_ctrl_c = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _python_handles_ctrl_c:  # and nobody has the process ignore it, as nohup does
    signal.signal(signal.SIGINT, signal.SIG_DFL)

# Every module that opens a socket needs gevent's version, so this precedes the other imports.
from gevent import config  # isort: skip

from incoming.runtime import patches  # isort: skip

config.track_greenlet_tree = False  # it is a fifth of the cost of a greenlet, and is not used
patches.patch_all()

import sys
from importlib import import_module
from typing import Any, Final

import click
from gevent.hub import Hub

from incoming import __version__

Hub.NOT_ERROR = (*Hub.NOT_ERROR, KeyboardInterrupt)  # it reaches the main greenlet; gevent prints none

INTERRUPTED_EXIT_CODE: Final = 128 + signal.SIGINT
COMMANDS: Final = {
    "serve": "serve",
    "uploads": "operate",
    "retry": "operate",
    "cancel": "operate",
    "sweep": "operate",
    "send": "send",
    "config": "config",
    "probe": "probe",
    "doctor": "doctor",
}
"""{command: its module}, in the order of the help."""


class Commands(click.Group):
    """Without a command, or with options only, it is `serve`, which was once the only command.

    A command's module is imported when the command is called. The server starts in two thirds of the time if
    it does not load the client.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """See click.Group. From here on, an output that fails does not change what a command does."""
        output.guard()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """See click.Group. Ctrl-C ends a command quietly."""
        try:
            if _python_handles_ctrl_c:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED_EXIT_CODE)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click.Group."""
        mine = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if ctx.resilient_parsing:  # the shell completes a word
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
