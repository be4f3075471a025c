"""Under uWSGI: what it must be told is told, and a reload is survived."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.cluster import CREDENTIALS, s3_settings
from tests.support.data import MIB, FileBytes
from tests.support.hosts import HostedServer, UwsgiServer
from tests.support.redis_server import RedisServer
from tests.support.s3_server import S3Server
from tests.support.server import new_upload
from tests.support.waiting import wait_until


def refusal(server: HostedServer, words: str) -> str:
    """Returns the log of a server that does not come up, as soon as it has these words."""
    server.launch()
    try:
        wait_until(lambda: words in server.log_text(), words)
        return server.log_text()
    finally:
        server.kill()


def test_several_processes_are_refused_with_what_to_do(tmp_path: Path) -> None:
    log = refusal(UwsgiServer(tmp_path / "storage", "--processes", "2", "--need-app"), "RuntimeError")
    assert "uWSGI runs 2. Set processes = 1" in log


def test_a_process_that_would_be_copied_is_refused_with_what_to_do(tmp_path: Path) -> None:
    server = UwsgiServer(tmp_path / "storage", "--need-app")
    ini = tmp_path / "uwsgi.ini"
    command = server._command()
    ini.write_text(ini.read_text().replace("lazy-apps = true", ""))
    server._command = lambda: command  # type: ignore[method-assign]
    assert "Set lazy-apps = true" in refusal(server, "RuntimeError")


def test_a_process_that_gevent_has_not_patched_is_refused_with_what_to_do(tmp_path: Path) -> None:
    server = UwsgiServer(tmp_path / "storage", "--need-app")
    command = server._command()
    ini = tmp_path / "uwsgi.ini"
    ini.write_text(ini.read_text().replace("gevent-early-monkey-patch = true", ""))
    server._command = lambda: command  # type: ignore[method-assign]
    assert "gevent-early-monkey-patch = true" in refusal(server, "RuntimeError")


def test_a_reload_is_survived_by_an_upload(tmp_path: Path, app: ScriptedApp) -> None:
    with UwsgiServer(tmp_path / "storage") as host:
        client = ClientV1(host.url, host.new_ticket(app.url), FileBytes(12 * MIB, 11))
        client.open().send_until_acked(2 * MIB)
        os.kill(host.pid, signal.SIGHUP)  # to the master, as `uwsgi --reload` does
        client.upload()
        assert app.wait_for(1)[0].sha256 == client.data.sha256
        assert client.resumed_at[-1] >= 2 * MIB


def test_several_processes_share_uploads_with_redis_and_s3(
    tmp_path: Path, s3_server: S3Server, app: ScriptedApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        settings = {"registry": redis.url, **s3_settings(s3_server, tmp_path.name)}
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        with UwsgiServer(tmp_path / "storage", "--processes", "2", "--need-app", **settings) as host:
            data = [FileBytes(9 * MIB, number) for number in range(4)]
            tickets = [new_upload(host, app.url, storage="s3") for _ in data]
            pairs = zip(tickets, data, strict=True)
            clients = [ClientV2(host.url, ticket_id, one).open() for ticket_id, one in pairs]
            for client in clients:
                client.finish()
            assert sorted(told.sha256 for told in app.wait_for(4)) == sorted(one.sha256 for one in data)
