"""Under gunicorn: what it must be told is told, and a reload is survived."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.hosts.test_uwsgi import refusal
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import MIB, FileBytes
from tests.support.hosts import GunicornServer


def test_several_workers_are_refused_with_what_to_do(tmp_path: Path) -> None:
    server = GunicornServer(tmp_path / "storage", "--workers", "2")
    assert "gunicorn runs 2. Set workers = 1" in refusal(server, "workers = 1")


def test_an_app_that_is_loaded_before_its_worker_is_refused_with_what_to_do(tmp_path: Path) -> None:
    server = GunicornServer(tmp_path / "storage", "--preload")
    assert "needs a process that gevent has patched" in refusal(server, "no preload_app")


def test_a_worker_that_gevent_has_not_patched_is_refused_with_what_to_do(tmp_path: Path) -> None:
    server = GunicornServer(tmp_path / "storage", "--worker-class", "sync")
    assert "worker_class = 'gevent'" in refusal(server, "RuntimeError")


def test_a_reload_is_survived_by_an_upload(tmp_path: Path, app: ScriptedApp) -> None:
    with GunicornServer(tmp_path / "storage") as host:
        client = ClientV1(host.url, host.new_ticket(app.url), FileBytes(12 * MIB, 12))
        client.open().send_until_acked(2 * MIB)
        os.kill(host.pid, signal.SIGHUP)
        client.upload()
        assert app.wait_for(1)[0].sha256 == client.data.sha256
        assert client.resumed_at[-1] >= 2 * MIB
