"""The command: patch first, then read the settings, put the parts together, serve, and stop cleanly."""

from __future__ import annotations

# Whatever opens a socket has to find gevent's, so this stands before every other import.
from gevent import monkey  # isort: skip

monkey.patch_all()

import logging
import os
import signal
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import gevent
import gevent.event

from incoming import __version__, chunks, config, demo, housekeeping
from incoming.admission import MIB
from incoming.app import make_app
from incoming.config import SETTINGS, Setting
from incoming.conversation import Conversation
from incoming.errors import BadSetting, IncomingError, StorageInUse
from incoming.messages import MAX_TEXT_BYTES
from incoming.parts import Parts
from incoming.registry.journal import Journal
from incoming.registry.memory import MemoryRegistry
from incoming.runtime import GeventRuntime, ServiceClock
from incoming.server import AppAt, Server
from incoming.settings import Settings
from incoming.steps import Limits
from incoming.storage.local import LocalStorage
from incoming.storage.ownership import Ownership
from incoming.transports.buffers import Buffers
from incoming.transports.connection import Connection
from incoming.transports.upgrade import adopter
from incoming.transports.websocket import WebSocket
from incoming.uploads import Uploads

log = logging.getLogger("incoming")

KIB = 1024

CLOCK_INTERVAL_S = 30.0


def _options(command: Any) -> Any:
    """Gives the command an option for each row of the settings table."""
    for setting in reversed(SETTINGS):
        text = f"{setting.help}  [{setting.unit}; default: {_shown(setting)}]"
        option = click.option(
            setting.option, setting.name, help=text, metavar="VALUE",
            is_flag=False, flag_value="yes" if setting.kind is bool else None,
        )  # fmt: skip
        command = option(command)
    return command


def _shown(setting: Setting) -> str:
    """Returns the default as a person would write it."""
    if setting.kind is bool:
        return "yes" if setting.default else "no"
    if setting.kind is float:
        return f"{setting.default:g}"
    return str(setting.default or "none") if setting.kind is not int else str(setting.default)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="Incoming!!")
@click.option("--config", "config_file", metavar="FILE", help="A TOML file with settings, by these names: "
              "storage_dir = \"/srv/uploads\".")  # fmt: skip
@click.option("--examples", is_flag=True, help="Also run the example apps, in this process.")
@click.option("--examples-ports", default="4001,4002,4003", metavar="PORTS",
              help="Where. [default: 4001,4002,4003]")  # fmt: skip
@_options
def main(config_file: str | None, examples: bool, examples_ports: str, **options: str | None) -> None:
    """Incoming!! takes large file uploads off a web app's back.

    Each setting can be given as an option, as an environment variable (INCOMING_PORT=4000) or in a TOML
    file; options win over the environment, and that over the file.
    """
    try:
        settings = _settings(config_file, {k: v for k, v in options.items() if v is not None})
        _log_to_stderr(settings.log_level)
        Process(settings).run(examples_ports if examples else "")
    except IncomingError as exc:
        sys.exit(f"Incoming!! does not start. {exc}")
    except OSError as exc:
        where = f" ({exc.filename})" if exc.filename else ""
        sys.exit(f"Incoming!! does not start. {exc.strerror or exc}{where}")


def _settings(config_file: str | None, options: dict[str, str]) -> Settings:
    """Returns the settings in force. Raises BadSetting."""
    toml: dict[str, object] = {}
    if config_file:
        try:
            toml = tomllib.loads(Path(config_file).read_text("utf-8"))
        except OSError as exc:
            raise BadSetting("config", f"{config_file} can't be read: {exc.strerror}") from exc
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise BadSetting("config", f"{config_file} is not TOML: {exc}") from exc
    return config.resolve(toml, os.environ, options)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)-7s %(message)s", stream=sys.stderr
    )
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    for variable in config.unknown_variables(os.environ):
        log.warning("the environment variable %s is not a setting", variable)


class Process:
    """One server process: its parts, its servers, and the order in which they start and stop."""

    def __init__(self, settings: Settings) -> None:
        """Takes the storage directory. Raises StorageInUse, OSError."""
        self._settings = settings
        self._runtime = GeventRuntime()
        self._directory = Path(settings.storage_dir).absolute()
        self._ownership = Ownership(self._directory)
        self._stop = gevent.event.Event()
        self._servers: list[Server] = []

    def run(self, examples_ports: str) -> None:
        """Serves until a signal comes. Raises StorageInUse, OSError."""
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(signal_number, self._signalled)
        self._own_storage()
        self._journal = Journal(self._directory / "journal", self._settings.fsync)
        self._parts = self._make_parts()
        self._uploads = Uploads(self._parts)
        self._start(examples_ports)
        self._stop.wait()
        self._shut_down()

    def _own_storage(self) -> None:
        try:
            self._ownership.take()
        except StorageInUse:
            if not self._settings.wait_for_storage:
                raise
            log.info("waiting for the process that owns %s", self._directory)
            self._runtime.in_pool(self._ownership.wait)

    def _make_parts(self) -> Parts:
        settings, runtime = self._settings, self._runtime
        clock = ServiceClock(runtime.now_s, self._journal.read_clock())
        registry = MemoryRegistry(self._journal, runtime, clock)
        storage = LocalStorage(self._directory / "data", settings.reserve_ahead_mib * MIB, runtime)
        return Parts(settings, runtime, clock, registry, storage)

    def _start(self, examples_ports: str) -> None:
        settings = self._settings
        self._limits = limits = Limits(
            chunk_size_bytes=settings.chunk_size_bytes,
            send_ahead=settings.send_ahead,
            max_chunk_bytes=settings.max_chunk_kib * KIB,
            max_window_bytes=settings.max_window_mib * MIB,
            silence_s=settings.connection_timeout_s,
        )
        largest_bytes = max(limits.chunk_size_bytes, limits.max_chunk_bytes + chunks.HEADER_BYTES)
        buffers = Buffers(max(largest_bytes, MAX_TEXT_BYTES))
        adopt = adopter(buffers, settings.connection_timeout_s)
        app = make_app(settings, self._uploads, adopt, self._converse)
        server = self._serve(lambda _: app, settings.host, settings.port)
        housekeeping.recover(self._parts, self._uploads)
        gevent.spawn(self._keep_house)
        click.echo(demo.welcome(settings.host, server.port, str(self._directory)))
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

    def _converse(self, websocket: WebSocket) -> None:
        Connection(websocket, Conversation(self._limits), self._uploads, self._runtime).run()

    def _keep_house(self) -> None:
        """Sweeps, and keeps the service's clock, until the process ends."""
        interval_s = housekeeping.sweep_interval_s(self._settings)
        while True:
            gevent.sleep(min(interval_s, CLOCK_INTERVAL_S))
            try:
                housekeeping.sweep(self._parts, self._uploads)
                self._runtime.in_pool(self._journal.write_clock, self._parts.clock.now_s())
            except IncomingError as exc:
                log.warning("housekeeping: %s", exc)
            except Exception:
                log.exception("a defect: housekeeping failed")

    def _signalled(self) -> None:
        if self._stop.is_set():
            os._exit(1)  # asked twice: whoever asks has no patience, and the journal needs none
        self._stop.set()

    def _shut_down(self) -> None:
        """Tells clients to come back, lets requests finish, and leaves everything to the next process."""
        log.info("stopping")
        self._uploads.stop()
        for server in self._servers:
            server.stop_accepting()
        gevent.joinall(
            [gevent.spawn(s.finish_requests, self._settings.stop_timeout_s) for s in self._servers]
        )
        self._journal.write_clock(self._parts.clock.now_s())
        self._ownership.give_up()


if __name__ == "__main__":
    main()
