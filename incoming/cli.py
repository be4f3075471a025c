"""The command `incoming`: patch first, then hand over to one of its commands."""

from __future__ import annotations

# Whatever opens a socket has to find gevent's, so this stands before every other import.
from gevent import monkey  # isort: skip

monkey.patch_all()

from typing import Final

import click

from incoming import __version__
from incoming.commands.config import config
from incoming.commands.operate import cancel, retry, sweep, uploads
from incoming.commands.send import send
from incoming.commands.serve import serve

COMMANDS: Final = (serve, uploads, retry, cancel, sweep, send, config)


class Commands(click.Group):
    """Without a command, or with options only, it is `serve`: so it was before there were others."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click.Group."""
        mine = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if ctx.resilient_parsing:  # the shell asks how words go on
            return super().parse_args(ctx, args)
        if not args or (args[0].startswith("-") and args[0] not in mine):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are met, not in that of the alphabet."""
        return list(self.commands)


@click.group(
    cls=Commands,
    commands={str(command.name): command for command in COMMANDS},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="Incoming!!")
def main() -> None:
    """Incoming!! takes large file uploads off a web app's back.

    Without a command it serves: `incoming --port 4000` is `incoming serve --port 4000`.
    """


if __name__ == "__main__":
    main()
