"""Requests without a protocol of their own, at a real server: how far an upload is, and its cancellation."""

from __future__ import annotations

import pytest

from incoming.protocol.rules import PREFIXES
from tests.conftest import StartServer
from tests.http_uploads.conftest import NewHttpUpload
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.http_upload import Headers, HttpUpload
from tests.support.server import RunningServer, new_upload
from tests.support.waiting import wait_until

SIZE_BYTES = 300_000


@pytest.mark.parametrize("prefix", PREFIXES)
def test_head_tells_the_offset_of_an_upload_and_its_length(
    server: RunningServer, app: ScriptedApp, prefix: str
) -> None:
    upload = HttpUpload(server.url, new_upload(server, app.url, lengthBytes=str(SIZE_BYTES)), prefix)
    answer = upload.ask("HEAD")
    assert (answer.status, answer.offset_bytes) == (200, 0)
    assert answer.headers["upload-length"] == str(SIZE_BYTES)
    assert answer.headers["upload-complete"] == "?0"
    assert answer.headers["cache-control"] == "no-store"


def test_head_of_a_finished_upload_says_that_the_app_has_the_file(
    server: RunningServer, app: ScriptedApp
) -> None:
    ticket_id = new_upload(server, app.url)
    ClientV1(server.url, ticket_id, FileBytes(SIZE_BYTES, 1)).upload()
    answer = HttpUpload(server.url, ticket_id).ask("HEAD")
    assert (answer.offset_bytes, answer.headers["upload-complete"]) == (SIZE_BYTES, "?1")


def test_delete_cancels_an_upload_and_its_app_hears_of_it(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = new_http_upload()
    assert upload.ask("DELETE").status == 204
    assert app.wait_for(1)[0].fields["cancelled"] == "yes"
    assert upload.ask("HEAD").status == 410


@pytest.mark.parametrize("stored_bytes", [0, 1000])
@pytest.mark.parametrize(
    ("headers", "below"),
    [
        ({}, ""),
        ({"Tus-Resumable": "1.0.0"}, ""),
        ({"Upload-Draft-Interop-Version": "8"}, ""),
        ({}, "/session"),
    ],
    ids=["plain", "tus", "ietf", "library"],
)
def test_an_upload_can_be_cancelled_on_a_full_disk_which_frees_what_it_has_stored(
    start_server: StartServer, app: ScriptedApp, headers: Headers, below: str, stored_bytes: int
) -> None:
    server = start_server(handover_retry_first_s=0.05)
    upload = HttpUpload(server.url, new_upload(server, app.url))
    if stored_bytes:
        part = {"Content-Range": f"bytes 0-{stored_bytes - 1}/{SIZE_BYTES}"}
        assert upload.ask("PUT", part, bytes(stored_bytes)).status == 202
    server.kill()
    server.settings["min_free_mib"] = 2**40
    server.start()
    full = HttpUpload(server.url, upload.ticket_id)
    assert full.ask("PUT", {}, bytes(SIZE_BYTES)).headers["incoming-error"] == "storage_full"
    assert full.ask("DELETE", headers, below=below).status in (200, 204)
    assert app.wait_for(1)[0].fields["cancelled"] == "yes"
    assert full.ask("HEAD").headers["incoming-error"] == "cancelled"
    wait_until(lambda: not server.stored_file(upload.ticket_id).exists(), "the file is deleted")


def test_a_request_under_way_ends_when_another_one_cancels_the_upload(
    new_http_upload: NewHttpUpload,
) -> None:
    upload = new_http_upload()
    with upload.open("PUT", {"Content-Length": SIZE_BYTES}) as request:
        request.send(bytes(1000))
        wait_until(lambda: upload.ask("GET").body.find(b'"uploading"') > 0, "the request has the upload")
        assert upload.ask("DELETE").status == 204
        assert request.answer().headers["incoming-error"] == "cancelled"


ALL_METHODS = "OPTIONS, GET, HEAD, POST, PUT, PATCH, DELETE"


@pytest.mark.parametrize(
    ("method", "headers", "below", "allow"),
    [
        ("BREW", {}, "", ALL_METHODS),
        ("BREW", {"Upload-Draft-Interop-Version": "8", "Upload-Complete": "?1"}, "", ALL_METHODS),
        ("GET", {"Tus-Resumable": "1.0.0"}, "", "OPTIONS, POST, HEAD, PATCH, DELETE"),
        ("GET", {"Tus-Resumable": "1.0.0"}, "/parts/1", "OPTIONS, HEAD, PATCH, DELETE"),
        ("BREW", {}, "/session", "OPTIONS, POST, PUT, PATCH, GET, DELETE"),
        ("GET", {}, "/session/complete", "OPTIONS, POST"),
    ],
)
def test_an_answer_about_a_wrong_method_lists_those_that_the_address_supports(
    new_http_upload: NewHttpUpload, method: str, headers: dict[str, str], below: str, allow: str
) -> None:
    answer = new_http_upload().ask(method, headers, below=below)
    assert (answer.status, answer.headers.get("allow")) == (405, allow)


def test_an_unknown_ticket_is_not_found_and_its_log_line_does_not_show_it(server: RunningServer) -> None:
    unknown = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
    answer = HttpUpload(server.url, unknown).ask("BREW", {"Accept": "application/json"})
    assert answer.status == 405
    assert HttpUpload(server.url, unknown).ask("HEAD").status == 404
    assert unknown not in server.log_text()


def test_a_request_that_names_no_ticket_is_not_found(server: RunningServer) -> None:
    answer = HttpUpload(server.url, "").ask("HEAD")
    assert (answer.status, answer.headers["incoming-error"]) == (404, "not_found")


def test_every_address_answers_a_preflight(new_http_upload: NewHttpUpload) -> None:
    asked = {"Origin": "https://app.example.org", "Access-Control-Request-Method": "PATCH"}
    answer = new_http_upload().ask("OPTIONS", asked)
    assert answer.status == 200
    assert "PATCH" in answer.headers["access-control-allow-methods"]
