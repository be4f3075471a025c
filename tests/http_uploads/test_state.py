"""GET of an upload at a real server: its state as JSON or as a page, at once or when it changes."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import closing
from typing import Any, Final

import pytest

from tests.http_uploads.conftest import NewHttpUpload
from tests.support.app import WAIT, Reply, ScriptedApp
from tests.support.http_upload import HttpAnswer, HttpUpload
from tests.support.ietf import IetfClient
from tests.support.server import RunningServer, cancel_upload, finish_upload
from tests.support.tus import TusUpload
from tests.support.waiting import wait_until

DATA: Final = b"0123456789" * 1000
SIZE_BYTES: Final = len(DATA)
HTML: Final = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def state(upload: HttpUpload, below: str = "", accept: str = "*/*") -> dict[str, Any]:
    """Returns the state of an upload as programs get it."""
    answer = upload.ask("GET", {"Accept": accept}, below=below)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/json"
    content: dict[str, Any] = json.loads(answer.body)
    return content


def page(upload: HttpUpload, below: str = "") -> HttpAnswer:
    """Returns the state of an upload as browsers get it."""
    return upload.ask("GET", HTML, below=below)


def half(upload: HttpUpload) -> HttpUpload:
    """Returns an upload with half of its file."""
    said = {"Content-Range": f"bytes 0-{SIZE_BYTES // 2 - 1}/{SIZE_BYTES}"}
    assert upload.ask("PUT", said, DATA[: SIZE_BYTES // 2], "/a.mov").status == 202
    return upload


@pytest.fixture
def server(patient_server: RunningServer) -> RunningServer:
    """The server of these tests."""
    return patient_server


def test_a_program_gets_the_state_as_json(new_http_upload: NewHttpUpload) -> None:
    nothing = {"state": "issued", "offset_bytes": 0, "length_bytes": None, "name": "", "reason": ""}
    upload = new_http_upload()
    assert state(upload) == state(upload, accept="application/json") == nothing
    assert state(half(upload)) == {
        "state": "uploading",
        "offset_bytes": SIZE_BYTES // 2,
        "length_bytes": SIZE_BYTES,
        "name": "a.mov",
        "reason": "",
    }
    assert upload.ask("PUT", None, DATA).status == 200
    assert (state(upload)["state"], state(upload)["offset_bytes"]) == ("finished", SIZE_BYTES)


def test_the_last_byte_does_not_count_before_the_app_has_the_file(
    hasty_server: RunningServer, new_hasty_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    app.answers = [WAIT]
    upload = new_hasty_upload()
    assert upload.ask("PUT", None, DATA).status == 202
    wait_until(lambda: state(upload)["state"] == "waiting", "the app waits")
    assert state(upload)["offset_bytes"] == SIZE_BYTES - 1
    assert finish_upload(hasty_server, upload.ticket_id).text == "ok"
    assert state(upload)["offset_bytes"] == SIZE_BYTES


def test_every_way_tells_the_offset_that_a_client_of_tus_was_told_and_resumes_there(
    hasty_server: RunningServer, new_hasty_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    app.answers = [WAIT]
    upload = new_hasty_upload()
    of_tus, of_ietf = TusUpload(hasty_server.url, upload.ticket_id), IetfClient(upload, 3)
    told_bytes = of_tus.create(SIZE_BYTES, DATA).offset_bytes
    assert told_bytes < SIZE_BYTES - 1
    rest = {"Content-Range": f"bytes {told_bytes}-{SIZE_BYTES - 1}/{SIZE_BYTES}"}
    assert state(upload)["offset_bytes"] == told_bytes
    for answer in (of_tus.head(), upload.ask("HEAD"), upload.ask("PUT", rest, DATA[told_bytes:])):
        assert answer.offset_bytes == told_bytes
    assert of_ietf.head().offset_bytes == told_bytes
    assert finish_upload(hasty_server, upload.ticket_id).text == "ok"
    assert of_ietf.append(told_bytes, DATA[told_bytes:]).is_complete
    assert upload.ask("PUT", rest, DATA[told_bytes:]).status == 200
    assert {upload.ask("HEAD").offset_bytes, state(upload)["offset_bytes"]} == {SIZE_BYTES}


def test_the_state_says_why_the_app_has_not_answered(
    hasty_server: RunningServer, new_hasty_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    app.answers = [Reply(503)]
    upload = new_hasty_upload()
    assert upload.ask("PUT", None, DATA).status == 202
    wait_until(lambda: "503" in state(upload)["reason"], "the app has answered")
    assert b"The reason is: " in page(upload).body
    assert cancel_upload(hasty_server, upload.ticket_id).status_code == 412


def test_the_state_says_why_an_upload_has_failed(new_http_upload: NewHttpUpload, app: ScriptedApp) -> None:
    app.answers = [Reply(404)]
    upload = new_http_upload()
    assert upload.ask("PUT", None, DATA).status == 422
    assert (state(upload)["state"], "404" in state(upload)["reason"]) == ("failed", True)
    assert page(upload).status == 200


def test_a_look_at_an_upload_does_not_disturb_its_client(new_http_upload: NewHttpUpload) -> None:
    upload = new_http_upload()
    with upload.open("PUT", {"Content-Length": SIZE_BYTES}) as request:
        request.send(DATA[:-1])
        wait_until(lambda: state(upload)["offset_bytes"] == SIZE_BYTES - 1, "all but a byte is stored")
        for below in ("", "?wait=1"):
            assert state(upload, below)["state"] == "uploading"
        request.send(DATA[-1:])
        assert request.answer().status == 200


# --- held until the state changes ------------------------------------------------------------------------


def test_an_answer_is_held_until_the_app_has_the_file(
    hasty_server: RunningServer, new_hasty_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    app.answers = [WAIT]
    upload = new_hasty_upload()
    assert upload.ask("PUT", None, DATA).status == 202
    wait_until(lambda: state(upload)["state"] == "waiting", "the app waits")
    with upload.open("GET", below="?wait=25") as held:
        assert finish_upload(hasty_server, upload.ticket_id).text == "ok"
        assert json.loads(held.answer().body)["state"] == "finished"


def test_an_answer_is_held_until_the_upload_is_cancelled(
    server: RunningServer, new_http_upload: NewHttpUpload
) -> None:
    upload = half(new_http_upload())
    with upload.open("GET", below="?wait=25") as held:
        assert state(upload)["state"] == "uploading"
        assert cancel_upload(server, upload.ticket_id).text == "ok"
        assert json.loads(held.answer().body)["state"] == "cancelled"


def test_an_answer_is_held_for_as_long_as_was_asked_and_not_longer(new_http_upload: NewHttpUpload) -> None:
    began_s = time.monotonic()
    assert state(new_http_upload(), "?wait=1")["state"] == "issued"
    assert 0.9 < time.monotonic() - began_s < 20


def test_an_answer_about_the_end_is_not_held(new_http_upload: NewHttpUpload) -> None:
    upload = new_http_upload()
    assert upload.ask("PUT", None, DATA).status == 200
    began_s = time.monotonic()
    assert state(upload, "?wait=25")["state"] == "finished"
    assert time.monotonic() - began_s < 20


@pytest.mark.parametrize("wait", ["x", "-1", "1.5", "+1", "1e9", "9999999"])
@pytest.mark.parametrize("below", ["", "/session"])
def test_a_wait_that_is_not_a_number_of_seconds_is_refused(
    new_http_upload: NewHttpUpload, below: str, wait: str
) -> None:
    answer = new_http_upload().ask("GET", below=f"{below}?wait={wait}")
    assert (answer.status, answer.headers["incoming-error"]) == (400, "bad_parameter")


# --- the page ------------------------------------------------------------------------------------------


def test_a_browser_gets_a_page_that_nothing_else_may_use(new_http_upload: NewHttpUpload) -> None:
    answer = page(half(new_http_upload()))
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
    assert b"The file is being uploaded" in answer.body


def test_the_name_of_the_file_is_text_on_the_page(new_hasty_upload: NewHttpUpload, app: ScriptedApp) -> None:
    app.answers = [WAIT]
    upload = new_hasty_upload()
    assert upload.ask("PUT", None, DATA, "/%3Cscript%3E&amp;.mov").status == 202
    assert b'<span class="name">&lt;script&gt;&amp;amp;.mov</span>' in page(upload).body
    assert state(upload)["name"] == "<script>&amp;.mov"


def test_a_page_that_waits_for_the_app_is_loaded_again_when_there_is_news(
    new_hasty_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    app.answers = [WAIT]
    upload = new_hasty_upload()
    assert upload.ask("PUT", None, DATA, "/a.mov").status == 202
    for below, target in (("", upload.ticket_id), ("/a.mov", f"../{upload.ticket_id}")):
        assert page(upload, below).headers["refresh"] == f"1; url={target}?wait=25"


def test_the_address_to_return_to_is_that_of_the_ticket(
    server: RunningServer, new_http_upload: NewHttpUpload
) -> None:
    upload = new_http_upload(returnURL="https://app.example/thanks?a=1&b=2")
    assert (
        upload.ask(
            "PUT", {"Referer": "https://evil.example/"}, DATA, "?returnURL=https://evil.example/"
        ).status
        == 200
    )
    answer = page(upload, "?returnURL=https://evil.example/")
    assert (answer.status, answer.headers["location"]) == (303, "https://app.example/thanks?a=1&b=2")
    assert state(upload)["state"] == "finished"


def test_a_browser_gets_a_page_about_an_unknown_ticket(server: RunningServer) -> None:
    answer = page(HttpUpload(server.url, "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"))
    assert (answer.status, answer.headers["incoming-error"]) == (404, "unknown_ticket")
    assert b"The upload is not possible" in answer.body


def test_a_program_gets_a_sentence_about_an_unknown_ticket(server: RunningServer) -> None:
    answer = HttpUpload(server.url, "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11").ask("GET")
    assert (answer.status, answer.body.startswith(b"No upload has this id")) == (404, True)


@pytest.mark.parametrize("path", ["", "/session", "?nothing"], ids=["an upload", "a session", "a query"])
def test_a_head_request_is_not_told_another_length_than_that_of_the_get(
    server: RunningServer, new_http_upload: NewHttpUpload, path: str
) -> None:
    """RFC 9110 section 8.6. The connection stays open: the next request on it gets its own answer."""
    upload = new_http_upload()
    with closing(http.client.HTTPConnection(upload.host, upload.port, timeout=20)) as connection:
        lengths = {}
        for method in ("HEAD", "GET", "HEAD"):
            connection.request(method, f"{upload.path}{path}")
            response = connection.getresponse()
            body = response.read()
            lengths[method] = response.getheader("Content-Length"), len(body)
    assert lengths["GET"][0] == str(lengths["GET"][1])
    assert lengths["HEAD"][1] == 0
    assert lengths["HEAD"][0] in (None, lengths["GET"][0])
