"""The dynamic example's backend, with a real server beside it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
import requests

from tests.examples.hosting import FINISHED_PATH, HostedExample, load
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.waiting import wait_until


def ticket(app: HostedExample, filename: str = "holiday.mov") -> str:
    """Asks for a ticket as the page does."""
    ticket_id: str = app.web.get("/api/frontend/request_upload", {"filename": filename}).text
    return ticket_id


def arrived(app: HostedExample, name: str = "holiday.mov") -> ClientV1:
    """Uploads all bytes, and returns when the app has answered for the first time."""
    client = app.client(ticket(app), name, FileBytes(1000))
    client.open().send_until_acked()
    wait_until(lambda: app.deliveries, "the app is told")
    return client


def test_the_page_itself_needs_no_ticket(dynamic: HostedExample) -> None:
    page = dynamic.web.get("/")
    assert f":{dynamic.server.port}/incoming/frontend/incoming.js" in page.html.find(id="library")["src"]


def test_a_finished_upload_is_stored_before_the_page_hears_of_it(dynamic: HostedExample) -> None:
    content = dynamic.upload(ticket(dynamic), "holiday.mov")
    assert dynamic.files() == {"holiday.mov": content.read(0, 1000)}


def test_each_upload_has_a_secret_of_its_own(dynamic: HostedExample) -> None:
    for name in ("first", "second"):
        dynamic.upload(ticket(dynamic), name)
    first, second = (delivery["backendSecret"] for delivery in dynamic.deliveries)
    assert first != second
    assert min(len(first), len(second)) >= 32


def test_a_wrong_secret_is_answered_with_418_and_an_unknown_id_with_404(
    dynamic: HostedExample, tmp_path: Path
) -> None:
    treasure = tmp_path / "treasure"
    treasure.write_text("mine")
    form = {"id": ticket(dynamic), "filename": str(treasure), "filenameFromBrowser": "x", "cancelled": "no"}
    for secret in ({}, {"backendSecret": ""}, {"backendSecret": "guess"}, {"backendSecret": "é"}):
        dynamic.web.post(FINISHED_PATH, form | secret, status=418)
    dynamic.web.post(FINISHED_PATH, form | {"id": "unknown"}, status=404)
    assert treasure.read_text() == "mine"
    assert dynamic.files() == {}


def test_a_second_delivery_waits_with_the_first_and_is_done_after_it(dynamic: HostedExample) -> None:
    client = arrived(dynamic)
    assert dynamic.deliver().text in ("wait", "done")
    client.receive_result()
    wait_until(lambda: dynamic.deliver().text == "done", "the app knows that all is said")
    assert list(dynamic.files()) == ["holiday.mov"]


def test_a_file_that_is_announced_several_times_at_once_is_kept_once(dynamic: HostedExample) -> None:
    client = arrived(dynamic)
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(dynamic.deliver().text)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {"wait", "done"}
    client.receive_result()
    assert list(dynamic.files()) == ["holiday.mov"]


def test_an_app_that_was_restarted_still_takes_its_file(dynamic: HostedExample) -> None:
    ticket_id = ticket(dynamic)
    dynamic.start(0)
    content = dynamic.upload(ticket_id, "holiday.mov")
    assert dynamic.files() == {"holiday.mov": content.read(0, 1000)}


def test_an_app_that_was_restarted_while_it_stored_a_file_completes_that(dynamic: HostedExample) -> None:
    dynamic.start(finish_delay_s=3600)
    client = arrived(dynamic)
    wait_until(lambda: "holiday.mov" in dynamic.files(), "the file is in its place")
    assert dynamic.deliver().text == "wait"
    dynamic.start(finish_delay_s=0)
    client.receive_result()
    wait_until(lambda: dynamic.deliver().text == "done", "the app remembers that")
    assert list(dynamic.files()) == ["holiday.mov"]


def test_a_file_that_is_not_there_is_refused(dynamic: HostedExample) -> None:
    dynamic.upload(ticket(dynamic), "first")
    dynamic.deliveries.append(dynamic.deliveries[-1] | {"id": ticket(dynamic), "backendSecret": ""})
    assert dynamic.deliver().status_int == 418
    ticket_file = next(dynamic.uploads_dir.glob(f".tickets/{dynamic.deliveries[-1]['id']}.json"))
    secret = json.loads(ticket_file.read_text())["secret"]
    assert dynamic.deliver(backendSecret=secret).status_int == 404
    assert list(dynamic.files()) == ["first"]


def test_a_cancelled_upload_is_not_stored(dynamic: HostedExample) -> None:
    client = dynamic.client(ticket(dynamic), "holiday.mov", FileBytes(1000)).open()
    client.cancel("too slow")
    wait_until(lambda: dynamic.deliveries, "the app is told")
    assert (dynamic.deliveries[0]["cancelled"], dynamic.deliveries[0]["cancelReason"]) == ("yes", "too slow")
    assert dynamic.deliver().text == "done"
    assert dynamic.files() == {}


def test_many_uploads_at_the_same_time_are_kept_apart(dynamic: HostedExample) -> None:
    contents = {f"file {n}": FileBytes(100_000 + n, seed=n) for n in range(8)}
    clients = [dynamic.client(ticket(dynamic, name), name, content) for name, content in contents.items()]
    threads = [threading.Thread(target=client.upload) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dynamic.files() == {name: content.read(0, 200_000) for name, content in contents.items()}


def test_what_fails_is_tried_again_until_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    troubles = [OSError("disk full"), requests.ConnectionError("server restarting")]
    backend = load("2-dynamic")

    def action() -> str:
        if troubles:
            raise troubles.pop()
        return "ok"

    assert backend.retried(action) == "ok"
    assert waits == [5, 5]


def test_files_are_given_back_as_downloads_only(dynamic: HostedExample) -> None:
    dynamic.upload(ticket(dynamic), "evil.html")
    answer = dynamic.web.get("/uploads/evil.html")
    assert answer.headers["Content-Disposition"] == "attachment"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Type"] == "application/octet-stream"
