"""The servers of a process: where they listen, and how a signal ends them."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import gevent
import gevent.event
import gevent.socket
import pytest

from incoming.core.errors import BadSetting
from incoming.http import listeners
from incoming.http.lifetime import Servers
from incoming.settings.table import Settings
from tests.http.serving import DEADLINE_S, GET, App, ask

CLOSING_GET = GET.replace(b"Host", b"Connection: close\r\nHost")


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    """The servers of this process, whose own handlers of signals stay."""
    monkeypatch.setattr(gevent, "signal_handler", lambda *_: None)
    all_servers = Servers(Settings(stop_timeout_s=0.05))
    yield all_servers
    for server in all_servers._servers:
        server.stop(timeout=0)


def silent_app() -> tuple[App, gevent.event.Event]:
    """Returns an app that never answers, and what is set once it is asked."""
    app, asked = App(), gevent.event.Event()

    def never_answers(_: object) -> None:
        asked.set()
        gevent.event.Event().wait()

    app.before = never_answers
    return app, asked


def test_each_app_has_a_server_of_its_own_and_learns_its_port(servers: Servers) -> None:
    ports: list[int] = []
    apps = [App(), App()]
    for app in apps:

        def app_at(port: int, app: App = app) -> App:
            ports.append(port)
            return app

        assert servers.listen(app_at, "127.0.0.1", 0) == ports[-1]
    assert len(set(ports)) == 2
    for server in servers._servers:
        assert ask(server, CLOSING_GET).endswith("hello")
    assert [len(app.environs) for app in apps] == [1, 1]


def test_a_port_in_use_is_refused_with_its_address(servers: Servers) -> None:
    port = servers.listen(lambda _: App(), "127.0.0.1", 0)
    with pytest.raises(BadSetting, match=f"can't listen on 127.0.0.1:{port}: Address already in use"):
        servers.listen(lambda _: App(), "127.0.0.1", port)


def test_only_the_first_app_gets_the_inherited_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        monkeypatch.setattr(gevent, "signal_handler", lambda *_: None)
        monkeypatch.setattr(listeners, "FIRST_INHERITED", os.dup(theirs.fileno()))
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "1")
        servers = Servers(Settings())
        assert servers.inherited_address == theirs.getsockname()
        assert servers.listen(lambda _: App(), "127.0.0.1", 0) == theirs.getsockname()[1]
        assert servers.inherited_address is None
        assert servers.listen(lambda _: App(), "127.0.0.1", 0) != theirs.getsockname()[1]
        for server in servers._servers:
            server.stop(timeout=0)


def test_while_a_server_stops_nobody_waits_for_it_to_accept(servers: Servers) -> None:
    app, asked = silent_app()
    port = servers.listen(lambda _: app, "127.0.0.1", 0)
    (server,) = servers._servers
    with gevent.socket.create_connection(("127.0.0.1", port)) as early:
        early.sendall(GET)
        assert asked.wait(DEADLINE_S)
        server.end_accepting()
        with pytest.raises(ConnectionRefusedError):
            gevent.socket.create_connection(("127.0.0.1", port))
        assert server.active_requests == 1


def test_a_signal_calls_stop_and_then_waits_for_requests_until_the_timeout(servers: Servers) -> None:
    app, asked = silent_app()
    stopped_with: list[int] = []
    servers.listen(lambda _: app, "127.0.0.1", 0)
    (server,) = servers._servers
    asking = gevent.spawn(ask, server, GET)
    assert asked.wait(DEADLINE_S)
    serving = gevent.spawn(servers.serve_until_signal, lambda: stopped_with.append(server.active_requests))
    gevent.idle()
    assert not serving.ready()
    servers._handle_signal()
    serving.get(timeout=DEADLINE_S)
    assert stopped_with == [1], "stop is called while requests are still active"
    asking.kill()


def test_a_second_signal_ends_the_process_at_once(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    servers._handle_signal()
    assert codes == []
    servers._handle_signal()
    assert codes == [1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_and_sigint_are_handled(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    handled: dict[int, object] = {}
    monkeypatch.setattr(gevent, "signal_handler", handled.__setitem__)
    servers = Servers(Settings())
    assert handled[number] == servers._handle_signal
