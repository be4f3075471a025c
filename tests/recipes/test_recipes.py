"""Every recipe under its framework beside a real server: takes files, refuses strangers, survives kills."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlencode

import pytest
import requests

from incoming.client.protocol.events import Ending
from tests.recipes.between import Between
from tests.recipes.hosting import BESIDE, RecipeApp, Sending, send
from tests.support.client_v2 import ClientV2
from tests.support.data import FileBytes
from tests.support.forked import ForkedServer, Launcher
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

SMALL_BYTES: Final = 20_000
LARGE_BYTES: Final = 300_000
LIMIT_KIB: Final = 64
"""The first process of each app may write no larger files. So it copies a large one to the middle at most."""
NAME: Final = """Übung <b>"1" & 'two'.mov"""
OTHER_DISK: Final = Path("/dev/shm")


@pytest.fixture(scope="module")
def server(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose files are on another file system than those of the apps, so that these have to copy."""
    if not OTHER_DISK.is_dir() or OTHER_DISK.stat().st_dev == tmp_path_factory.getbasetemp().stat().st_dev:
        pytest.skip(f"{OTHER_DISK} is not another file system")
    folder = Path(tempfile.mkdtemp(dir=OTHER_DISK))
    settings: dict[str, object] = {"handover_retry_first_s": 0.1, "handover_retry_max_s": 0.2}
    try:
        with ForkedServer(launcher, folder / "storage", **settings) as running:
            yield running
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def between() -> Iterator[Between]:
    with Between() as running:
        yield running


@pytest.fixture(scope="module", params=BESIDE)
def app(
    request: pytest.FixtureRequest, server: RunningServer, between: Between,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RecipeApp]:  # fmt: skip
    """Each recipe in turn, running. The tests of one use it one after another."""
    folder = tmp_path_factory.mktemp("recipe") / request.param
    running = RecipeApp(request.param, folder, between.url, server.port)
    between.port = running.port
    # Python does not notice the limit when it keeps what it has compiled, and can't read the half of it.
    running.start(f"export PYTHONDONTWRITEBYTECODE=1; ulimit -f {LIMIT_KIB}")
    yield running
    running.kill()


def file(folder: Path, length_bytes: int, name: str = "holiday.mov") -> Path:
    """Makes a file with a content of its own."""
    path = folder / name
    path.write_bytes(FileBytes(length_bytes, seed=length_bytes).read(0, length_bytes))
    return path


def test_a_file_arrives_and_is_on_the_list_by_the_name_that_the_user_gave_it(
    app: RecipeApp, server: RunningServer, tmp_path: Path
) -> None:
    assert app.listed() == []
    sent, ticket = file(tmp_path, SMALL_BYTES, NAME), app.ticket()
    assert send(server.url, ticket, sent).ending is Ending.FINISHED
    assert app.stored() == {ticket: sent.read_bytes()}
    assert app.listed() == [NAME]
    assert "<b>" not in requests.get(app.url, timeout=60).text
    assert not server.stored_file(ticket).exists(), "it was moved"


def test_a_call_that_comes_twice_changes_nothing(
    app: RecipeApp, server: RunningServer, between: Between, tmp_path: Path
) -> None:
    sent, ticket = file(tmp_path, SMALL_BYTES), app.ticket()
    between.on_answer[ticket] = lambda: None  # the answer is lost
    assert send(server.url, ticket, sent).ending is Ending.FINISHED
    one, other = between.about(ticket)
    assert one == other
    assert between.ask_app("/arrived", one) == (200, b"done")
    assert app.stored()[ticket] == sent.read_bytes()
    assert app.listed().count(sent.name) == 1


def test_a_stranger_gets_no_file_of_the_machine(app: RecipeApp, between: Between, tmp_path: Path) -> None:
    victim = file(tmp_path, 10, "victim")
    call = parse_qs(between.calls[-1].decode(), keep_blank_values=True)
    call |= {"filename": [str(victim)], "id": ["0b8a0f0e-4c1b-4c57-9d2a-6c0d3f6f1a55"]}
    secret = call.pop("backendSecret")[0]
    call.pop("secret")
    before = app.stored()
    for guess in ({}, {"backendSecret": ""}, {"backendSecret": secret[:-1]}, {"secret": "guess"}):
        status, _ = between.ask_app("/arrived", urlencode(call | guess, doseq=True).encode())
        assert status == 403, guess
    assert requests.get(f"{app.url}/arrived", timeout=60).status_code in (404, 405)
    assert victim.exists() and app.stored() == before
    assert (app.folder / "upload-secret").stat().st_mode & 0o777 == 0o600
    assert requests.get(f"{app.url}/upload-secret", timeout=60).status_code == 404
    without_token = requests.post(f"{app.url}/ticket", timeout=60).status_code
    assert without_token == (403 if app.recipe == "django" else 200), "Django's check of CSRF is as it comes"


def test_a_refused_file_does_not_arrive_and_its_user_is_told(
    app: RecipeApp, server: RunningServer, between: Between, tmp_path: Path
) -> None:
    ticket = app.ticket()
    outcome = send(server.url, ticket, file(tmp_path, SMALL_BYTES, "Setup.EXE"))
    assert outcome.ending is Ending.FAILED
    assert "the app answered with status 422" in outcome.text
    assert between.answers[-1] == 422
    assert ticket not in app.stored() and "Setup.EXE" not in app.listed()
    assert server.stored_file(ticket).stat().st_size == SMALL_BYTES, "the server keeps it for a while"


def test_a_cancelled_upload_leaves_nothing(app: RecipeApp, server: RunningServer, between: Between) -> None:
    client = ClientV2(server.url, app.ticket(), FileBytes(SMALL_BYTES)).open()
    client.cancel()
    wait_until(lambda: between.about(client.ticket_id), "the app is told")
    wait_until(lambda: server.journaled()[client.ticket_id].app_told, "the app has answered")
    assert client.ticket_id not in app.stored()


def test_an_app_that_is_killed_in_two_handovers_gets_both_files_when_it_is_back(
    app: RecipeApp, server: RunningServer, between: Between, tmp_path: Path
) -> None:
    copied, copied_ticket = file(tmp_path, LARGE_BYTES, "copied.mov"), app.ticket()
    moved, moved_ticket = file(tmp_path, SMALL_BYTES, "moved.mov"), app.ticket()
    partial = app.uploads / copied_ticket / f".{copied_ticket}.part"
    has_moved, killed = threading.Event(), threading.Event()

    def kill_while_it_copies() -> None:
        has_moved.set()
        wait_until(partial.parent.is_dir, "it copies the other file")
        app.kill()
        killed.set()

    between.on_answer[moved_ticket] = kill_while_it_copies
    moving = Sending(server.url, moved_ticket, moved)
    assert has_moved.wait(120)
    copying = Sending(server.url, copied_ticket, copied)
    assert killed.wait(120)
    assert app.stored()[moved_ticket] == moved.read_bytes()
    assert [path for path in partial.parent.iterdir() if path != partial] == [], "it is not there in part"
    partial.write_bytes(copied.read_bytes()[: LARGE_BYTES // 2])  # whatever a kill leaves at this moment
    wait_until(lambda: between.answers[-2:] == [0, 0], "it is called in vain")

    app.start()
    assert [copying.outcome().ending, moving.outcome().ending] == [Ending.FINISHED] * 2
    assert app.stored()[copied_ticket] == copied.read_bytes()
    assert app.stored()[moved_ticket] == moved.read_bytes()
    assert not partial.exists()
    assert {copied.name, moved.name} < set(app.listed())
    assert len(app.listed()) == len(set(app.listed()))
