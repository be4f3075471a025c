"""Answers: what pages of other origins may read, and errors that clients of HTTP understand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from incoming.core import errors
from incoming.http_uploads import answers
from incoming.http_uploads.answers import Answer
from incoming.http_uploads.request import UploadAddress, UploadRequest


def request(method: str = "PATCH", **environ: Any) -> UploadRequest:
    return UploadRequest({"REQUEST_METHOD": method, **environ}, UploadAddress("ticket"))


def sent(answer: Answer, made: UploadRequest) -> tuple[str, dict[str, str], bytes]:
    """Returns the status line, the headers in lower case, and the body, as a web server gets them."""
    seen: list[Any] = []
    body = b"".join(answer.send(made, lambda status, headers: seen.append((status, headers))))
    ((status, headers),) = seen
    names = [name.lower() for name, _ in headers]
    assert len(names) == len(set(names)), "a header is there twice"
    return status, {name.lower(): value for name, value in headers}, body


@pytest.mark.parametrize("method", ["PATCH", "HEAD", "POST", "GET", "DELETE", "PUT", "OPTIONS"])
def test_every_answer_may_be_read_by_pages_of_any_origin(method: str) -> None:
    made = request(method)
    for answer in (Answer(204), answers.failure(made, errors.UnknownTicket())):
        _, headers, _ = sent(answer, made)
        assert headers["access-control-allow-origin"] == "*"
        assert {"Upload-Offset", "Location", "Retry-After"} <= set(
            headers["access-control-expose-headers"].split(", ")
        )
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ("upload-offset, X-Api-Key", "upload-offset, X-Api-Key"),
        ("", "*"),
        ("a b", "*"),
        ("a\r\nSet-Cookie: b", "*"),
        ("x" * 2000, "*"),
    ],
)
def test_a_preflight_allows_the_headers_that_a_page_asks_for(asked: str, allowed: str) -> None:
    made = request("OPTIONS", HTTP_ACCESS_CONTROL_REQUEST_HEADERS=asked)
    _, headers, _ = sent(Answer(200), made)
    assert headers["access-control-allow-headers"] == allowed
    assert {"PATCH", "PUT", "DELETE", "HEAD"} <= set(headers["access-control-allow-methods"].split(", "))


def test_a_preflight_from_a_public_page_to_a_private_network_is_allowed() -> None:
    made = request("OPTIONS", HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK="true")
    assert sent(Answer(200), made)[1]["access-control-allow-private-network"] == "true"


def test_an_answer_without_content_has_no_length_of_a_body_that_does_not_come() -> None:
    for answer, method in ((Answer(204), "PATCH"), (answers.text(200, "long"), "HEAD")):
        _, headers, body = sent(answer, request(method))
        assert body == b""
        assert "content-length" not in headers


def test_a_post_that_stands_for_head_gets_no_body() -> None:
    made = request("POST", HTTP_X_HTTP_METHOD_OVERRIDE="HEAD")
    assert sent(answers.text(200, "long"), made)[2] == b""


@pytest.mark.parametrize("error", list(errors.all_errors()))
def test_every_error_has_a_status_with_a_phrase(error: type[errors.IncomingError]) -> None:
    status = answers.STATUSES.get(error.code, error.http_status)
    assert Answer(status).status_line.startswith(f"{status} ")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UnknownTicket(), "404 Not Found"),
        (errors.UploadExpired(), "410 Gone"),
        (errors.StorageFull(), "503 Service Unavailable"),
        (errors.TooMany("connections", 3), "503 Service Unavailable"),
        (errors.TakenOver(), "400 Bad Request"),
        (errors.OffsetMismatch(5, 7), "409 Conflict"),
        (errors.ChecksumMismatch(), "460 Checksum Mismatch"),
        (errors.AppNotReady(), "423 Locked"),
    ],
)
def test_an_error_has_the_status_by_which_clients_know_what_to_do(
    error: errors.IncomingError, status: str
) -> None:
    made = request()
    line, headers, body = sent(answers.failure(made, error), made)
    assert line == status
    assert headers["incoming-error"] == error.code
    assert body.decode() == f"{error}\n"
    assert headers.get("retry-after", "0") == str(error.retry_after_s)


def test_a_client_that_accepts_json_gets_the_code_in_the_body() -> None:
    made = request(HTTP_ACCEPT="application/json")
    _, headers, body = sent(answers.failure(made, errors.UploadExpired()), made)
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["error"]["code"] == "expired"
