"""`incoming send` with folders, from its start to its exit code, against the real server and a real app."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.commands.test_send_url import TicketPage
from tests.conftest import StartServer
from tests.support.app import Delivery, Reply, ScriptedApp
from tests.support.sending import PATCHED, Sending, wait_stored
from tests.support.server import RunningServer, new_upload
from tests.support.trees import TreeKeeper, tree_of


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says where the command keeps the lists of unfinished folders."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def server(start_server: StartServer) -> RunningServer:
    return start_server(handover_retry_first_s=0.05, handover_retry_max_s=0.2)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with some files, an empty folder and a link."""
    folder = tmp_path / "my photos"
    (folder / "2026" / "empty").mkdir(parents=True)
    for number in range(5):
        (folder / "2026" / f"{number}.jpg").write_bytes(bytes([number]) * 1000 * number)
    (folder / "link.jpg").symlink_to("2026/4.jpg")
    return folder


@pytest.fixture
def keeper(tmp_path: Path, app: ScriptedApp) -> TreeKeeper:
    keeper = TreeKeeper(tmp_path / "kept")
    app.answers = [keeper]
    app.hash_files = False
    return keeper


def to(server: RunningServer, ticket_id: str) -> list[str]:
    return ["--ticket", ticket_id, "--server", server.url]


@pytest.mark.parametrize("command", [None, PATCHED], ids=["by itself", "as a command of incoming"])
def test_a_folder_is_sent_and_the_app_has_it(
    server: RunningServer, app: ScriptedApp, keeper: TreeKeeper, photos: Path, command: list[str] | None
) -> None:
    ticket_id = new_upload(server, app.url, destType="folder")
    with Sending(photos, *to(server, ticket_id), command=command) as sending:
        assert sending.ends().exit_code == 0, sending.said
    (arrived,) = keeper.arrived[ticket_id]
    arrived.assert_consistent()
    assert arrived.tree == tree_of(photos)
    assert arrived.fields["filenameFromBrowser"] == "my photos"
    assert f"Links, pipes and devices are not sent: {photos / 'link.jpg'}." in sending.said
    assert "my photos: 5 files, 1" in sending.said
    assert "The app has the folder." in sending.said
    result = sending.result
    assert (result["ending"], result["files"], result["left_out"]) == ("finished", 5, [])
    assert result["not_sent"] == [str(photos / "link.jpg")]
    assert result["crc32c"] == arrived.fields["crc32c"]
    lists = photos.parent / "state" / "incoming" / "folders"
    assert not list(lists.iterdir()), "the list is needed no more"


def test_files_and_folders_are_sent_as_one_folder_with_a_ticket_that_the_app_was_asked_for(
    server: RunningServer, app: ScriptedApp, keeper: TreeKeeper, photos: Path
) -> None:
    film = photos.with_name("film.mov")
    film.write_bytes(b"film")
    ticket_id = new_upload(server, app.url, destType="folder")
    with TicketPage(ticket_id) as page:
        with Sending(photos, str(film), "--url", page.url, "--server", server.url) as sending:
            assert sending.ends().exit_code == 0, sending.said
        assert page.form == {"destType": "folder"}
    (arrived,) = keeper.arrived[ticket_id]
    assert {*arrived.tree} == {f"my photos/{path}" for path in tree_of(photos)} | {"film.mov"}


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_ticket_for_something_else_is_refused_before_anything_is_sent(
    server: RunningServer, app: ScriptedApp, photos: Path, what: str
) -> None:
    path = photos if what == "folder" else photos / "2026" / "1.jpg"
    wants = {} if what == "folder" else {"destType": "folder"}
    with Sending(path, *to(server, new_upload(server, app.url, **wants))) as sending:
        assert sending.ends().exit_code == 1
    assert f"This ticket is for a {'single file' if what == 'folder' else 'folder'}" in sending.said
    assert "Trying again" not in sending.said
    assert not app.deliveries


@pytest.mark.parametrize("content", [b"", b"1", bytes(5_000_000)], ids=len)
def test_a_file_that_was_sent_to_the_ticket_of_a_folder_leaves_it_to_the_folder(
    server: RunningServer, keeper: TreeKeeper, app: ScriptedApp, photos: Path, content: bytes
) -> None:
    ticket_id = new_upload(server, app.url, destType="folder")
    wrong = photos.with_name("wrong.bin")
    wrong.write_bytes(content)
    with Sending(wrong, *to(server, ticket_id)) as sending:
        assert sending.ends().exit_code == 1
    with Sending(photos, *to(server, ticket_id)) as sending:
        assert sending.ends().exit_code == 0, sending.said
    (arrived,) = keeper.arrived[ticket_id]
    assert arrived.tree == tree_of(photos)
    assert arrived.fields["filenameFromBrowser"] == "my photos"


def test_what_can_not_be_read_ends_it_before_a_ticket_is_asked_for_or_is_left_out(
    server: RunningServer, app: ScriptedApp, keeper: TreeKeeper, photos: Path
) -> None:
    deep = photos / "/".join("d" * 102)
    deep.mkdir(parents=True)
    with TicketPage("no") as page:
        with Sending(photos, "--url", page.url) as sending:
            assert sending.ends().exit_code == 1
        assert not page.asked
    assert "is too deep in the folder" in sending.said
    assert "With --leave-out, the rest of the folder is sent." in sending.said
    ticket_id = new_upload(server, app.url, destType="folder")
    with Sending(photos, *to(server, ticket_id), "--leave-out") as sending:
        assert sending.ends().exit_code == 4, sending.said
    assert len(sending.result["left_out"]) == 1
    (arrived,) = keeper.arrived[ticket_id]
    assert "2026/4.jpg" in arrived.tree


def test_a_folder_that_changes_before_it_is_sent_again_is_resumed_without_what_has_changed(
    server: RunningServer, app: ScriptedApp, keeper: TreeKeeper, photos: Path
) -> None:
    (photos / "a large film").write_bytes(bytes(3_000_000))
    changed, new = photos / "a large film", photos / "new"
    ticket_id = new_upload(server, app.url, destType="folder")
    with Sending(photos, *to(server, ticket_id), "--max-bytes-per-s", "500000") as sending:
        wait_stored(server.stored_file(ticket_id) / "a large film", 500_000)
    before = tree_of(photos)
    changed.write_bytes(b"changed")
    new.write_bytes(b"new")
    with Sending(photos, *to(server, ticket_id)) as sending:
        assert sending.ends().exit_code == 1
    assert f"{changed} has changed since its upload began. With --leave-out" in sending.said
    assert "Resume with:" in sending.said
    with Sending(photos, *to(server, ticket_id), "--leave-out") as sending:
        assert sending.ends().exit_code == 4, sending.said
    assert f"Not sent, because they appeared after the upload began: {new.name}." in sending.said
    assert sending.result["left_out"] == [str(changed)]
    assert sending.result["resumed"] == 1
    (arrived,) = keeper.arrived[ticket_id]
    del before["a large film"]
    assert arrived.tree == before


def killed_at_the_very_end(app: ScriptedApp, keeper: TreeKeeper, folder: Path, *options: str) -> None:
    """Runs the command, which is killed as soon as the app has taken the folder."""
    is_taken, is_killed = threading.Event(), threading.Event()

    def take(delivery: Delivery) -> Reply:
        reply = keeper(delivery)
        is_taken.set()
        assert is_killed.wait(60)
        return reply

    app.answers = [take]
    with Sending(folder, *options) as sending:
        assert is_taken.wait(60), sending.says()
    is_killed.set()


@pytest.mark.parametrize("meanwhile", ["it still differs", "it vanishes", "it is as it was"])
def test_a_command_that_was_killed_at_the_very_end_hears_that_the_app_has_all_but_what_was_left_out(
    server: RunningServer, app: ScriptedApp, keeper: TreeKeeper, photos: Path, meanwhile: str
) -> None:
    film = photos / "a large film"
    film.write_bytes(bytes(3_000_000))
    before = film.stat()
    ticket_id = new_upload(server, app.url, destType="folder")
    with Sending(photos, *to(server, ticket_id), "--max-bytes-per-s", "500000") as sending:
        wait_stored(server.stored_file(ticket_id) / "a large film", 500_000)
    film.write_bytes(b"changed")
    killed_at_the_very_end(app, keeper, photos, *to(server, ticket_id), "--leave-out")
    if meanwhile == "it vanishes":
        film.unlink()
    elif meanwhile == "it is as it was":
        film.write_bytes(bytes(3_000_000))
        os.utime(film, ns=(0, before.st_mtime_ns))
    with Sending(photos, *to(server, ticket_id)) as sending:
        assert sending.ends().exit_code == 4, sending.said
    assert "The app has the folder." in sending.said
    assert f"Left out: {film}." in sending.said
    assert (sending.result["ending"], sending.result["left_out"]) == ("finished", [str(film)])
    (arrived,) = keeper.arrived[ticket_id]
    assert sending.result["crc32c"] == arrived.fields["crc32c"]


@pytest.mark.parametrize("meanwhile", ["changes", "vanishes"])
def test_a_file_that_the_app_has_may_vanish_but_not_change_before_a_killed_command_runs_again(
    server: RunningServer, app: ScriptedApp, keeper: TreeKeeper, photos: Path, meanwhile: str
) -> None:
    """A script may delete the folder next, and with it what nobody has."""
    file = photos / "2026" / "3.jpg"
    ticket_id = new_upload(server, app.url, destType="folder")
    killed_at_the_very_end(app, keeper, photos, *to(server, ticket_id))
    file.unlink()
    if meanwhile == "changes":
        file.write_bytes(b"changed")
    with Sending(photos, *to(server, ticket_id)) as sending:
        sending.ends()
    (arrived,) = keeper.arrived[ticket_id]
    assert "2026/3.jpg" in arrived.tree
    if meanwhile == "vanishes":
        assert (sending.exit_code, sending.result["ending"]) == (0, "finished")
        assert f"The app has the folder. It could not be compared. {file} is gone" in sending.said
    else:
        assert (sending.exit_code, sending.result["ending"]) == (1, "failed")
        assert f"The app has the folder as it was when it was read. {file} has changed" in sending.said
