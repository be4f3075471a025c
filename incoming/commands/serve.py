"""`incoming serve`: reads the settings, serves until a signal comes, and stops cleanly."""

from __future__ import annotations

import logging
import os
import signal
import sys

import click
import gevent
import gevent.event

from incoming import config, demo
from incoming.commands.given import setting_options, settings
from incoming.errors import BadSetting, IncomingError
from incoming.server import AppAt, Server
from incoming.service import Service
from incoming.settings import Settings

log = logging.getLogger("incoming")


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
    try:
        in_force = settings(config_file, options)
        _log_to_stderr(in_force.log_level)
        Process(in_force).run(examples_ports if examples else "")
    except IncomingError as exc:
        sys.exit(f"Incoming!! does not start. {exc}")
    except OSError as exc:
        where = f" ({exc.filename})" if exc.filename else ""
        sys.exit(f"Incoming!! does not start. {exc.strerror or exc}{where}")


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)-7s %(message)s", stream=sys.stderr
    )
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    for variable in config.unknown_variables(os.environ):
        log.warning("the environment variable %s is not a setting", variable)


class Process:
    """One server process: the service, its servers, and the order in which they start and stop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = gevent.event.Event()
        self._servers: list[Server] = []

    def run(self, examples_ports: str) -> None:
        """Serves until a signal comes. Raises StorageInUse, BadSetting, OSError."""
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(signal_number, self._signalled)
        service = Service(self._settings)
        self._start(service, examples_ports)
        self._stop.wait()
        service.stop()
        self._finish_requests()
        service.close()

    def _start(self, service: Service, examples_ports: str) -> None:
        settings, app = self._settings, service.wsgi()
        server = self._serve(lambda _: app, settings.host, settings.port)
        service.begin()
        click.echo(demo.welcome(settings.host, server.port, str(service.directory)))
        if examples_ports:
            for example in demo.examples(settings.host, server.port, examples_ports):
                example_server = self._serve(example.app_at, settings.host, example.port)
                click.echo(f"  {example.title:<34} {demo.address(settings.host, example_server.port)}")
        click.echo("  Ctrl-C stops it; uploads go on when it runs again.")
        sys.stdout.flush()

    def _serve(self, app_at: AppAt, host: str, port: int) -> Server:
        try:
            server = Server(app_at, host, port)
        except OSError as exc:
            raise BadSetting("port", f"{host}:{port} can't be listened on: {exc.strerror or exc}") from exc
        server.start()
        self._servers.append(server)
        return server

    def _signalled(self) -> None:
        if self._stop.is_set():
            os._exit(1)  # asked twice: whoever asks has no patience, and the journal needs none
        self._stop.set()

    def _finish_requests(self) -> None:
        for server in self._servers:
            server.stop_accepting()
        gevent.joinall(
            [gevent.spawn(s.finish_requests, self._settings.stop_timeout_s) for s in self._servers]
        )
