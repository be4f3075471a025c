"""Requests without a protocol of their own, at a real server: how far an upload is, and its cancellation."""

from __future__ import annotations

import pytest

from incoming.protocol.rules import PREFIXES
from tests.http_uploads.conftest import NewHttpUpload
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.http_upload import HttpUpload
from tests.support.server import RunningServer, new_upload

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
