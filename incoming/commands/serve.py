"""`incoming serve`: reads the settings, serves until a signal comes, and stops cleanly."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import sys

import click

from incoming import config, demo, logs, output
from incoming.commands.given import setting_options, settings
from incoming.errors import IncomingError
from incoming.runtime import real_poll
from incoming.server import Servers
from incoming.service import Service
from incoming.settings import Settings

log = logging.getLogger("incoming")

INTERRUPTED = 130
"""The exit code that shells know for Ctrl-C."""


@click.command()
@click.option("--examples", is_flag=True, help="Also run the example apps, in this process.")
@click.option("--examples-ports", default="4001,4002,4003", metavar="PORTS",
              help="Where. [default: 4001,4002,4003]")  # fmt: skip
@setting_options
def serve(config_file: str | None, examples: bool, examples_ports: str, **options: str | None) -> None:
    """Run the server. This is what `incoming` does without a command.

    Each setting can be given as an option, as an environment variable (INCOMING_PORT=4000) or in a TOML
    file; options win over the environment, and that over the file.
    """
    output.wait_for_nobody()
    try:
        in_force = settings(config_file, options)
        log_to_stderr(in_force)
        _run(in_force, examples_ports if examples else "")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except IncomingError as exc:
        sys.exit(f"Incoming!! does not start. {exc}")
    except OSError as exc:
        where = f" ({exc.filename})" if exc.filename else ""
        sys.exit(f"Incoming!! does not start. {exc.strerror or exc}{where}")


def log_to_stderr(settings: Settings) -> None:
    """Has log lines written, as the settings say."""
    if sys.stderr is not None:  # under another program it may be closed
        stream = output.guarded(sys.stderr, output.PATIENCE_S, real_poll)
        coloured = stream.isatty() and not os.environ.get("NO_COLOR")  # https://no-color.org/
        logs.to_stream(stream, settings.log_format, settings.log_level, coloured=coloured)
    for variable in config.unknown_variables(os.environ):
        log.warning("the environment variable %(variable)s is not a setting", {"variable": variable})


def _run(settings: Settings, examples_ports: str) -> None:
    """Serves until a signal comes. Raises StorageInUse, BadSetting, OSError."""
    allow_all_descriptors()
    service = Service(settings)  # may wait for the storage, and is interrupted by any signal until it has it
    servers = Servers(settings)
    app = service.wsgi()
    port = servers.listen(lambda _: app, settings.host, settings.port)
    service.begin()
    click.echo(demo.welcome(settings.host, port, str(service.directory)))
    if examples_ports:
        for example in demo.examples(settings.host, port, examples_ports):
            example_port = servers.listen(example.app_at, settings.host, example.port)
            click.echo(f"  {example.title:<34} {demo.address(settings.host, example_port)}")
    click.echo("  Ctrl-C stops it; uploads go on when it runs again.")
    servers.serve_until_a_signal(service.stop)
    service.close()


def allow_all_descriptors() -> None:
    """Lets this process open as many files and connections as its hard limit says.

    The soft limit that shells give, mostly 1024, is for programs that use select(2); an upload takes two.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # where the system has lowered what may be asked for
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
