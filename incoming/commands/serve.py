"""`incoming serve`: reads the settings, serves until a signal comes, and stops cleanly."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import sys
from dataclasses import replace
from typing import NoReturn

import click

from incoming.commands import demo
from incoming.commands.option_types import FILLED
from incoming.commands.setting_options import given, setting_options
from incoming.composition.service import Service
from incoming.core.errors import BadSetting, IncomingError
from incoming.http import listeners, workers
from incoming.http.lifetime import Servers
from incoming.protocol.rules import UPLOAD_PATHS
from incoming.runtime import logs, output
from incoming.runtime.native_threads import real_poll
from incoming.settings import load
from incoming.settings.table import Settings

log = logging.getLogger("incoming")

IGNORED = "the setting %(name)s (%(source)s) is ignored: %(why)s"
EXAMPLE_PORT = (
    "{example.title!r} can't listen on port {example.port}: {why}. "
    "Choose other ports: --examples-ports 5001,5002,5003,5005,5006, or 0 for any that is free"
)
EXAMPLES_NEED_ONE = "must be 1 with --examples: the example apps run in the process of the server"
CTRL_C = "  Ctrl-C stops it. Uploads resume at the next start."


@click.command()
@click.option("--examples", is_flag=True, help="Also run the example apps, in this process.")
@click.option("--examples-ports", type=FILLED, default="4001,4002,4003,4005,4006", metavar="PORTS",
              help="The ports of the example apps. [default: 4001,4002,4003,4005,4006]")  # fmt: skip
@setting_options
def serve(config_file: str | None, examples: bool, examples_ports: str, **options: str | None) -> None:
    """Run the server. This is what `incoming` does without a command.

    Each setting can be an option, an environment variable (INCOMING_PORT=4000) or a line of a TOML file.
    Options override the environment, which overrides the file.
    """
    output.wait_for_nobody()
    try:
        found = given(config_file, options)
        in_force = load.combined(found)
        log_to_stderr(in_force)
        _run(in_force, found, examples_ports if examples else "")
    except IncomingError as exc:
        sys.exit(f"Incoming!! does not start. {exc}")
    except OSError as exc:
        where = f" ({exc.filename})" if exc.filename else ""
        sys.exit(f"Incoming!! does not start. {exc.strerror or exc}{where}")


def log_to_stderr(settings: Settings) -> None:
    """Configures the log as the settings say."""
    if sys.stderr is not None:  # under another program it may be closed
        stream = output.guarded(sys.stderr, output.WAIT_BUDGET_S, real_poll)
        coloured = stream.isatty() and not os.environ.get("NO_COLOR")  # https://no-color.org/
        logs.to_stream(stream, settings.log_format, settings.log_level, coloured=coloured)
    for variable in load.unknown_variables(os.environ):
        log.warning("the environment variable %(variable)s is not a setting", {"variable": variable})


def warn_of_ignored(found: load.Given, why: str) -> None:
    """Warns if `host` or `port` is set but has no effect."""
    for name in ("host", "port"):
        if name in found:
            log.warning(IGNORED, {"name": name, "source": found[name][1], "why": why})


def _run(settings: Settings, found: load.Given, examples_ports: str) -> None:
    """Serves until a signal comes. Raises StorageInUse, BadSetting, OSError."""
    allow_all_descriptors()
    if settings.workers > 1:
        if examples_ports:
            raise BadSetting("workers", EXAMPLES_NEED_ONE)
        _run_workers(settings)
    workers.stop_without_parent()
    if settings.instance and (number := os.environ.get(workers.WORKER_VARIABLE)):
        settings = replace(settings, instance=f"{settings.instance}-{number}")
    service = Service(settings)  # may wait for the storage, and is interrupted by any signal until it has it
    servers = Servers(settings, service.uploads.refusals, service.new_client_limits())
    app = demo.FrontPage(service.wsgi())
    if inherited := servers.inherited_address:
        host, port = inherited
        if (host, port) != (settings.host, settings.port):
            warn_of_ignored(found, f"it was started with a listening socket, {host}:{port}")
        settings = replace(settings, host=host, port=port)
    port = servers.listen(lambda _: app, settings.host, settings.port, UPLOAD_PATHS)
    service.begin()
    workers.tell_ready()
    if not os.environ.get(workers.WORKER_VARIABLE):
        click.echo(demo.welcome(settings.host, port, service.location, examples=bool(examples_ports)))
    if examples_ports:
        for example in demo.examples(settings.host, port, examples_ports):
            try:
                example_port = servers.listen(example.app_at, settings.host, example.port)
            except BadSetting as exc:
                why = getattr(exc.__cause__, "strerror", exc)
                raise BadSetting("examples_ports", EXAMPLE_PORT.format(example=example, why=why)) from exc
            app.add_example(example.title, example_port)
            click.echo(f"  {example.title:<34} {listeners.browser_url(settings.host, example_port)}")
    if not os.environ.get(workers.WORKER_VARIABLE):
        click.echo(CTRL_C)
    servers.serve_until_signal(service.stop)
    service.close()


def _run_workers(settings: Settings) -> NoReturn:
    """Serves with several processes until a signal comes, and exits. Raises BadSetting."""
    if not settings.is_shared:
        raise BadSetting("workers", workers.NEEDS_SHARED)
    with listeners.listen_as_set(settings.host, settings.port) as listener:
        port = listener.getsockname()[1]
        place = f"{settings.storage}, by {settings.workers} processes"

        def greet() -> None:
            click.echo(f"{demo.welcome(settings.host, port, place)}\n{CTRL_C}")

        within_s = settings.stop_timeout_s + workers.STOP_MARGIN_S
        command = workers.command(port)
        sys.exit(workers.Workers(settings.workers, command, listener.fileno(), within_s, greet).run())


def allow_all_descriptors() -> None:
    """Raises the limit of open files and connections to the hard limit.

    The soft limit of shells, usually 1024, is for programs that use select(2). An upload takes two.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # where the system has lowered what may be asked for
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
