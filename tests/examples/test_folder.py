"""The backend of the folder example, with a real server beside it: one rename, or a copy elsewhere."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.examples.hosting import HostedExample, hosted
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.server import RunningServer
from tests.support.uploads import stream_of
from tests.support.waiting import wait_until

FILES: Final = {"a/one.txt": b"one", "a/b/two": b"two" * 1000, "empty/": b"", "c\\d": b"changed"}
KEPT: Final = {"a/one.txt": b"one", "a/b/two": b"two" * 1000, "c_d": b"changed"}


class Stream(FileBytes):
    """The stream of the folder."""

    def __init__(self) -> None:
        self._stream = stream_of(FILES, 1_700_000_000_000)
        super().__init__(len(self._stream))

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """See FileBytes."""
        return self._stream[offset_bytes : offset_bytes + size_bytes]


@pytest.fixture
def app(server: RunningServer, tmp_path: Path) -> Iterator[HostedExample]:
    """The folder example."""
    with hosted("6-folder", server, tmp_path / "uploads") as example:
        yield example


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, server: RunningServer) -> None:
    """The app's folder is on another file system than the server's."""
    rename = Path.rename

    def fails_across(self: Path, target: Path) -> Path:
        if self.is_relative_to(server.storage_dir):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails_across)


def ticket(app: HostedExample) -> str:
    """Asks for a ticket as the page does."""
    ticket_id: str = app.web.post("/api/frontend/request_upload").text
    return ticket_id


def upload(app: HostedExample, name: str = "Holiday") -> str:
    """Uploads the folder. Returns the ticket's id when the app has it."""
    ticket_id = ticket(app)
    ClientV1(app.server.url, ticket_id, Stream(), name).upload()
    return ticket_id


def kept(app: HostedExample, name: str = "Holiday") -> dict[str, bytes]:
    """Returns the files of a folder that the app has."""
    folder = app.uploads_dir / name
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def nothing_is_left(app: HostedExample, ticket_id: str) -> None:
    """Waits until the server has nothing of the upload any more."""
    place = app.server.stored_file(ticket_id).parent
    wait_until(lambda: not place.exists(), "the server has nothing left")


@pytest.mark.parametrize("way", ["rename", "copy"])
def test_a_folder_is_moved_in_one_step_or_copied(
    app: HostedExample, way: str, request: pytest.FixtureRequest
) -> None:
    if way == "copy":
        request.getfixturevalue("elsewhere")
    ticket_id = upload(app)
    assert kept(app) == KEPT
    assert (app.uploads_dir / "Holiday" / "empty").is_dir()
    assert (app.uploads_dir / "Holiday" / "a" / "one.txt").stat().st_mtime == 1_700_000_000
    assert [one["destType"] for one in app.deliveries] == ["folder"]
    result = app.web.get("/api/frontend/result", {"id": ticket_id}).json
    assert result == {
        "name": "Holiday", "left_out_count": 0, "renamed_count": 1, "left_out": [],
        "renamed": [["c\\d", "c_d"]],
    }  # fmt: skip
    nothing_is_left(app, ticket_id)


def test_a_folder_of_the_same_name_gets_a_number(app: HostedExample) -> None:
    for name in ("../Holiday", "Holiday", ".Holiday"):
        upload(app, name)
    assert sorted(p.name for p in app.uploads_dir.glob("[!.]*")) == ["Holiday", "Holiday (2)", "Holiday (3)"]


def test_a_repeated_call_gets_the_same_answer(app: HostedExample) -> None:
    upload(app)
    assert app.deliver().text == "done"
    assert kept(app) == KEPT


@pytest.mark.parametrize("secret", ["", "wrong"])
def test_nobody_else_can_make_the_app_move_a_folder(app: HostedExample, secret: str, tmp_path: Path) -> None:
    upload(app)
    precious = tmp_path / "precious"
    precious.mkdir()
    other = ticket(app)
    answer = app.deliver(id=other, backendSecret=secret, filename=str(precious))
    assert (answer.status_code, precious.exists()) == (404, True)


def not_finished(app: HostedExample, ticket_id: str, **state: str) -> None:
    """Has the app forget the end of an upload, as a kill does."""
    file = app.uploads_dir / ".tickets" / f"{ticket_id}.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"finished": False} | state))


@pytest.mark.parametrize("state", [{}, {"place": ""}])
def test_an_app_that_was_killed_after_its_rename_puts_the_folder_in_its_place(
    app: HostedExample, state: dict[str, str]
) -> None:
    ticket_id = upload(app)
    (app.uploads_dir / "Holiday").rename(app.uploads_dir / f".{ticket_id}.part")
    if not state:
        (app.uploads_dir / "Holiday").mkdir()
    not_finished(app, ticket_id, **state)
    app.start(0)
    wait_until(lambda: kept(app) == KEPT, "it is in its place")
    app.deliver()
    wait_until(lambda: app.deliver().text == "done", "the answer")


def test_an_app_that_was_killed_while_it_copied_begins_anew(app: HostedExample, elsewhere: None) -> None:
    ticket_id = ticket(app)
    client = ClientV1(app.server.url, ticket_id, Stream(), "Holiday")
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(shutil, "copytree", half_a_copy)
        client.open()
        client.send_until_acked()
        wait_until((app.uploads_dir / f".{ticket_id}.part" / "c_d").exists, "half a copy")
    client.drop()
    app.start(0)
    wait_until(lambda: kept(app) == KEPT, "all of it")
    nothing_is_left(app, ticket_id)


def half_a_copy(source: str, target: Path, symlinks: bool) -> None:
    """Copies a part, and then nothing happens any more."""
    target.mkdir()
    (target / "c_d").write_bytes(b"chan")
    threading.Event().wait()
