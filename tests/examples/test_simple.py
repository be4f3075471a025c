"""The simple example's backend, with a real server beside it."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import pytest

from tests.examples.hosting import FINISHED_PATH, HostedExample, hosted
from tests.support.data import FileBytes
from tests.support.server import RunningServer
from tests.support.waiting import wait_until


def ticket(app: HostedExample) -> str:
    """Loads the page and returns the id of its ticket."""
    page = app.web.get("/")
    ticket_id: str = page.html.find(id="input_file")["data-upload-id"]
    return ticket_id


def test_each_page_has_a_ticket_of_its_own_and_is_not_kept(simple: HostedExample) -> None:
    ids = {ticket(simple), ticket(simple)}
    assert len(ids) == 2
    assert all(uuid.UUID(ticket_id).version == 4 for ticket_id in ids)
    assert simple.web.get("/").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("app.example:4001", "app.example"), ("app.example", "app.example"), ("[::1]:4001", "[::1]")],
)
def test_the_library_comes_from_the_machine_that_the_page_is_from(
    simple: HostedExample, host: str, expected: str
) -> None:
    page = simple.web.get("/", headers={"Host": host})
    source = f"//{expected}:{simple.server.port}/incoming/frontend/incoming.js"
    assert page.html.find(id="library")["src"] == source


def test_a_finished_upload_is_moved_to_the_uploads(simple: HostedExample) -> None:
    ticket_id = ticket(simple)
    content = simple.upload(ticket_id, "holiday.mov")
    assert simple.files() == {"holiday.mov": content.read(0, 1000)}
    assert not simple.server.stored_file(ticket_id).exists()


def test_an_unknown_upload_is_answered_with_404(simple: HostedExample) -> None:
    simple.web.post(FINISHED_PATH, {"id": str(uuid.uuid4()), "cancelled": "no"}, status=404)
    simple.web.post(FINISHED_PATH, {}, status=404)


def test_somebody_without_the_secret_cannot_have_a_file_of_the_machine_moved(
    simple: HostedExample, tmp_path: Path
) -> None:
    treasure = tmp_path / "treasure"
    treasure.write_text("mine")
    form = {"id": ticket(simple), "filename": str(treasure), "filenameFromBrowser": "x", "cancelled": "no"}
    for secret in ({}, {"backendSecret": ""}, {"backendSecret": "guess"}, {"backendSecret": "é"}):
        simple.web.post(FINISHED_PATH, form | secret, status=404)
    assert treasure.read_text() == "mine"
    assert simple.files() == {}


def test_a_second_delivery_of_the_same_file_is_done_again(simple: HostedExample) -> None:
    simple.upload(ticket(simple), "holiday.mov")
    assert simple.deliver().text == "done"
    assert list(simple.files()) == ["holiday.mov"]


def test_a_file_that_is_announced_several_times_at_once_is_kept_once(simple: HostedExample) -> None:
    ticket_id = ticket(simple)
    content = simple.upload(ticket_id, "holiday.mov", 3000)
    (simple.uploads_dir / "holiday.mov").rename(simple.uploads_dir.parent / "source")
    simple.start(0)
    form = {"filename": str(simple.uploads_dir.parent / "source")}
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(simple.deliver(**form).text)) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["done"] * 16
    assert simple.files() == {"holiday.mov": content.read(0, 3000)}


def test_an_app_that_was_restarted_still_takes_its_file(simple: HostedExample) -> None:
    ticket_id = ticket(simple)
    simple.start(0)
    content = simple.upload(ticket_id, "holiday.mov")
    assert simple.files() == {"holiday.mov": content.read(0, 1000)}


def test_a_file_that_is_not_there_is_refused(simple: HostedExample) -> None:
    simple.upload(ticket(simple), "holiday.mov")
    simple.start(0)  # it does not know that it has the file; the server knows why this one is gone
    assert simple.deliver().status_int == 404
    assert simple.deliver(cancelled="yes").text == "done"
    assert list(simple.files()) == ["holiday.mov"]


def test_a_cancellation_is_printed(simple: HostedExample, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    client = simple.client(ticket(simple), "holiday.mov", FileBytes(1000))
    client.open()
    client.cancel("too\nslow")
    wait_until(lambda: simple.answered, "the app has answered")
    assert simple.deliveries[0]["cancelled"] == "yes"
    assert r"'holiday.mov' was cancelled: 'too\nslow'" in caplog.messages
    assert simple.files() == {}


def test_files_are_given_back_as_downloads_only(simple: HostedExample) -> None:
    simple.upload(ticket(simple), "evil.html")
    link = simple.web.get("/").html.find("li").a["href"]
    answer = simple.web.get(link)
    assert answer.body == simple.files()["evil.html"]
    assert answer.headers["Content-Disposition"] == "attachment"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize("name", ["nothing", "..", "..%2f..%2fsecret", "%2e%2e", "a%00b"])
def test_only_uploads_are_served(simple: HostedExample, name: str) -> None:
    (simple.uploads_dir.parent / "secret").write_text("mine")
    answer = simple.web.get(f"/uploads/{name}", expect_errors=True)
    assert answer.status_int in (403, 404)


def test_the_list_has_the_latest_file_first_with_size_and_date(simple: HostedExample) -> None:
    for name, length_bytes in (("old.txt", 1), ("<b>new.txt", 12345)):
        simple.upload(ticket(simple), name, length_bytes)
    items = simple.web.get("/").html.find_all("li")
    assert [item.a.text for item in items] == ["<b>new.txt", "old.txt"]
    assert "12,345 B, " in items[0].text


def test_without_a_server_the_page_says_so(tmp_path: Path) -> None:
    nowhere = RunningServer(tmp_path / "storage")
    nowhere.port = 1
    with hosted("1-simple", nowhere, tmp_path / "uploads") as app:
        assert "did not issue a ticket" in app.web.get("/", status=503).text
