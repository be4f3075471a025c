"""The recipes with the server in the app's process: they take and refuse files, and survive a kill."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import requests

from incoming.client.protocol.events import Ending
from tests.recipes.hosting import EMBEDDED, RecipeApp, Sending, send
from tests.support.data import FileBytes
from tests.support.waiting import wait_until

SIZE_BYTES: Final = 300_000


@pytest.fixture(scope="module", params=EMBEDDED)
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecipeApp]:
    """Each recipe in turn, running. A handover that has failed is soon repeated."""
    folder = tmp_path_factory.mktemp("recipe") / request.param
    running = RecipeApp(request.param, folder)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("INCOMING_HANDOVER_RETRY_FIRST_S", "0.1")
        running.start()
        yield running
        running.kill()


@pytest.fixture
def holiday(tmp_path: Path) -> Path:
    path = tmp_path / "<b>holiday.mov"
    path.write_bytes(FileBytes(SIZE_BYTES).read(0, SIZE_BYTES))
    return path


def test_a_file_arrives_and_is_on_the_list(app: RecipeApp, holiday: Path) -> None:
    assert app.listed() == []
    ticket = app.ticket()
    assert send(app.url, ticket, holiday).ending is Ending.FINISHED
    assert app.stored() == {ticket: holiday.read_bytes()}
    assert app.listed() == [holiday.name]
    assert "<b>" not in requests.get(app.url, timeout=60).text


def test_a_refused_file_does_not_arrive_and_its_user_reads_why(app: RecipeApp, tmp_path: Path) -> None:
    program = tmp_path / "Setup.EXE"
    program.write_bytes(b"MZ")
    ticket = app.ticket()
    outcome = send(app.url, ticket, program)
    assert outcome.ending is Ending.FAILED and "This app takes no programs." in outcome.text
    assert ticket not in app.stored()


def test_a_process_that_is_killed_in_two_handovers_has_both_files_after_its_next_start(
    app: RecipeApp, holiday: Path
) -> None:
    waiting, moved = app.ticket(), app.ticket()
    app.uploads.mkdir(exist_ok=True)
    for ticket in (waiting, moved):
        (app.uploads / ticket).touch()  # in the way of the folder: the callback can't move the file
    sending = [Sending(app.url, ticket, holiday) for ticket in (waiting, moved)]
    log = app.folder.with_suffix(".log")
    failed = {f"upload {ticket:.8}: the callback arrived failed" for ticket in (waiting, moved)}
    wait_until(lambda: all(line in log.read_text() for line in failed), "both are called")
    app.kill()
    for ticket in (waiting, moved):
        (app.uploads / ticket).unlink()
    (stored,) = app.folder.glob(f"uploads-under-way/data/{moved}/{moved}")
    (app.uploads / moved).mkdir()
    shutil.move(stored, app.uploads / moved / holiday.name)  # killed before the server knew
    app.start()
    assert [upload.outcome().ending for upload in sending] == [Ending.FINISHED] * 2
    assert app.stored()[waiting] == app.stored()[moved] == holiday.read_bytes()
    assert not [ticket for ticket in (waiting, moved) if list(app.folder.glob(f"*/data/{ticket}/{ticket}"))]
