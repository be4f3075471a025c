"""The dropzone's backend, with a real server beside it."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.hosting import FINISHED_PATH, HostedExample, hosted
from tests.support.client_v2 import ClientV2
from tests.support.data import FileBytes
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

REQUEST_PATH = "/api/frontend/request_upload"


@pytest.fixture
def dropzone(server: RunningServer, tmp_path: Path) -> Iterator[HostedExample]:
    """The dropzone, with a folder of its own."""
    with hosted("3-dropzone", server, tmp_path / "uploads") as app:
        yield app


def ticket(app: HostedExample, path: str = "album/holiday.mov") -> str:
    """Asks for a ticket as the page does."""
    ticket_id: str = app.web.post(REQUEST_PATH, {"path": path}).text
    return ticket_id


def stored(app: HostedExample) -> dict[str, bytes]:
    """Returns what a person finds in the app's folder, by path."""
    files = (path for path in app.uploads_dir.rglob("*") if path.is_file())
    return {
        name: path.read_bytes()
        for path in files
        if not (name := str(path.relative_to(app.uploads_dir))).startswith(".tickets/")
    }


def test_the_page_brings_its_scripts_and_the_library(dropzone: HostedExample) -> None:
    page = dropzone.web.get("/").html
    addresses = json.loads(page.find("script", type="importmap").string)["imports"]
    front = f"//localhost:{dropzone.server.port}/incoming/frontend"
    assert addresses == {
        "incoming-uploads": f"{front}/incoming.mjs",
        "incoming-uploads/queue": f"{front}/queue.mjs",
    }
    assert page.find(id="library")["href"] == addresses["incoming-uploads/queue"]
    script = dropzone.web.get(page.find("script", type="module")["src"])
    assert script.content_type == "text/javascript"
    assert script.headers["Cache-Control"] == "no-cache"
    for name in ("/backend.py", "/nothing.js", "/..js"):
        dropzone.web.get(name, status=404)


def test_the_path_of_a_file_comes_back_with_it_and_is_where_it_is_stored(dropzone: HostedExample) -> None:
    content = dropzone.upload(ticket(dropzone, "album/2024/holiday.mov"), "holiday.mov")
    assert json.loads(dropzone.deliveries[-1]["metadata"]) == {"path": "album/2024/holiday.mov"}
    assert stored(dropzone) == {"album/2024/holiday.mov": content.read(0, 1000)}


def test_files_of_one_name_in_two_folders_stay_two_files(dropzone: HostedExample) -> None:
    for path, length_bytes in (
        ("folder/a.txt", 10),
        ("other/a.txt", 20),
        ("a.txt", 30),
        ("folder/a.txt", 40),
    ):
        dropzone.upload(ticket(dropzone, path), "a.txt", length_bytes)
    sizes = {path: len(content) for path, content in stored(dropzone).items()}
    assert sizes == {"folder/a.txt": 10, "other/a.txt": 20, "a.txt": 30, "folder/a (2).txt": 40}


def test_a_path_that_leads_out_of_the_folder_leads_nowhere_else(dropzone: HostedExample) -> None:
    dropzone.upload(ticket(dropzone, "../../.ssh/../authorized_keys"), "authorized_keys")
    assert list(stored(dropzone)) == ["ssh/authorized_keys"]
    assert sorted(path.name for path in dropzone.uploads_dir.parent.iterdir()) == ["uploads"]


def test_the_name_that_the_browser_sends_later_changes_nothing(dropzone: HostedExample) -> None:
    dropzone.upload(ticket(dropzone, "album/a.txt"), "something else.html")
    assert list(stored(dropzone)) == ["album/a.txt"]


def test_a_path_too_long_for_a_disk_gets_no_ticket_but_words(dropzone: HostedExample) -> None:
    for path in ("d/" * 1000 + "a.txt", "é" * 230 + "/" + ("日" * 80 + "/") * 8):
        answer = dropzone.web.post(REQUEST_PATH, {"path": path}, status=400)
        assert answer.text == "The folders of this file are nested too deeply."
    dropzone.upload(ticket(dropzone, "d/" * 500 + "a.txt"), "a.txt")
    assert list(stored(dropzone)) == ["d/" * 500 + "a.txt"]


def test_without_a_server_there_is_no_ticket_yet(tmp_path: Path) -> None:
    nowhere = RunningServer(tmp_path / "storage")
    nowhere.port = 1
    with hosted("3-dropzone", nowhere, tmp_path / "uploads") as app:
        assert (
            app.web.post(REQUEST_PATH, {"path": "a"}, status=503).text
            == "The upload server did not issue a ticket."
        )


def test_each_ticket_has_a_secret_of_its_own_and_is_not_kept(dropzone: HostedExample) -> None:
    assert dropzone.web.post(REQUEST_PATH, {"path": "a"}).headers["Cache-Control"] == "no-store"
    for path in ("first", "second"):
        dropzone.upload(ticket(dropzone, path), path)
    first, second = (delivery["backendSecret"] for delivery in dropzone.deliveries)
    assert first != second
    assert min(len(first), len(second)) >= 32


def test_somebody_without_the_secret_cannot_have_a_file_of_the_machine_moved(
    dropzone: HostedExample, tmp_path: Path
) -> None:
    treasure = tmp_path / "treasure"
    treasure.write_text("mine")
    form = {"id": ticket(dropzone), "filename": str(treasure), "cancelled": "no", "metadata": '{"path": "x"}'}
    for secret in ({}, {"backendSecret": ""}, {"backendSecret": "guess"}, {"backendSecret": "é"}):
        dropzone.web.post(FINISHED_PATH, form | secret, status=404)
    dropzone.web.post(FINISHED_PATH, form | {"id": str(uuid.uuid4())}, status=404)
    dropzone.web.post(FINISHED_PATH, {}, status=404)
    assert treasure.read_text() == "mine"
    assert stored(dropzone) == {}


def test_a_second_delivery_of_the_same_file_is_done_again(dropzone: HostedExample) -> None:
    dropzone.upload(ticket(dropzone), "holiday.mov")
    assert dropzone.deliver().text == "done"
    assert list(stored(dropzone)) == ["album/holiday.mov"]


def test_a_file_that_is_announced_several_times_at_once_is_kept_once(
    dropzone: HostedExample, tmp_path: Path
) -> None:
    dropzone.upload(ticket(dropzone), "holiday.mov")
    first = dropzone.deliveries[-1]
    (secret_file,) = {ticket(dropzone, "b.txt")}
    source = tmp_path / "source"
    source.write_text("b")
    secret = (dropzone.uploads_dir / ".tickets" / secret_file).read_text()
    form = first | {"id": secret_file, "backendSecret": secret, "filename": str(source)}
    form["metadata"] = '{"path": "b.txt"}'
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(dropzone.web.post(FINISHED_PATH, form).text))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["done"] * 16
    assert sorted(stored(dropzone)) == ["album/holiday.mov", "b.txt"]


def test_an_app_that_was_restarted_still_takes_its_file_and_then_forgets_the_ticket(
    dropzone: HostedExample,
) -> None:
    ticket_id = ticket(dropzone)
    dropzone.start(0)
    content = dropzone.upload(ticket_id, "holiday.mov")
    assert stored(dropzone) == {"album/holiday.mov": content.read(0, 1000)}
    assert list((dropzone.uploads_dir / ".tickets").iterdir()) == []


def test_a_file_that_is_not_there_is_refused(dropzone: HostedExample) -> None:
    dropzone.upload(ticket(dropzone), "holiday.mov")
    ticket_id = ticket(dropzone, "b.txt")
    secret = (dropzone.uploads_dir / ".tickets" / ticket_id).read_text()
    assert dropzone.deliver(id=ticket_id, backendSecret=secret).status_int == 404
    assert list(stored(dropzone)) == ["album/holiday.mov"]


def test_a_cancelled_upload_is_not_stored_and_its_ticket_forgotten(dropzone: HostedExample) -> None:
    dropzone.client(ticket(dropzone), "holiday.mov", FileBytes(1000)).open().cancel("too slow")
    wait_until(lambda: dropzone.deliveries, "the app is told")
    assert (dropzone.deliveries[0]["cancelled"], dropzone.deliveries[0]["cancelReason"]) == (
        "yes",
        "too slow",
    )
    wait_until(lambda: not list((dropzone.uploads_dir / ".tickets").iterdir()), "the ticket is gone")
    assert stored(dropzone) == {}


def test_files_are_given_back_as_downloads_only(dropzone: HostedExample) -> None:
    dropzone.upload(ticket(dropzone, "<b>#1?.html"), "evil.html")
    link = dropzone.web.get("/").html.find(id="stored").a
    assert link.text == "<b>#1?.html"
    answer = dropzone.web.get(link["href"])
    assert answer.body == stored(dropzone)["<b>#1?.html"]
    assert answer.headers["Content-Disposition"] == "attachment"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_only_uploads_are_served(dropzone: HostedExample) -> None:
    (dropzone.uploads_dir.parent / "secret").write_text("mine")
    (dropzone.uploads_dir / "album").mkdir()
    (dropzone.uploads_dir / ".half.part").write_text("not whole yet")
    (dropzone.uploads_dir / ".tickets" / "id").write_text("a secret")
    for path in (
        *(
            "nothing",
            "album",
            "..",
            "../secret",
            "album/../../secret",
            "%2e%2e/secret",
            "..%2fsecret",
            "a%00b",
        ),
        *(
            ".tickets/id",
            "%2etickets/id",
            "album/../.tickets/id",
            "./.tickets/id",
            "//.tickets/id",
            ".half.part",
        ),
    ):
        answer = dropzone.web.get(f"/uploads/{path}", expect_errors=True)
        assert answer.status_int in (403, 404), path


def test_the_list_has_the_latest_files_first_and_no_hidden_ones(dropzone: HostedExample) -> None:
    ticket(dropzone)  # its secret lies in the folder, too
    (dropzone.uploads_dir / ".half.part").write_text("not whole yet")
    for number in range(103):
        dropzone.upload(ticket(dropzone, f"{number}.txt"), "a.txt", number)
    shown = dropzone.web.get("/").html.find(id="stored")
    assert [link.text for link in shown.find_all("a")] == [f"{n}.txt" for n in range(102, 2, -1)]
    assert "102 B" in shown.li.text
    assert "The newest 100 of 103 files." in shown.text


def test_a_folder_is_in_the_list_by_its_name(dropzone: HostedExample) -> None:
    dropzone.upload(ticket(dropzone, "<album>/a.txt"), "a.txt")
    shown = dropzone.web.get("/").html.find(id="stored")
    assert [row.bdi.text for row in shown.find_all("li")] == ["<album>"]


def test_a_folder_gets_a_ticket_for_a_folder_and_a_file_one_for_a_file(dropzone: HostedExample) -> None:
    for form, dest_type in (({"path": "album", "destType": "folder"}, "folder"), ({"path": "a.txt"}, None)):
        ticket_id = dropzone.web.post(REQUEST_PATH, form).text
        client = ClientV2(dropzone.server.url, ticket_id, FileBytes(100), "album")
        client.connect()
        assert client.request().get("DestType") == dest_type
        client.drop()
