"""Requests for uploads: the address names the ticket, and only a POST may stand for another method."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

import pytest

from incoming.core.errors import UnsupportedCoding
from incoming.http_uploads.request import UploadAddress, UploadRequest, upload_address
from incoming.protocol.rules import PREFIXES

TICKET = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"


def request(path: str = f"/incoming/frontend/uploads/{TICKET}", **environ: Any) -> UploadRequest:
    address = upload_address(path)
    assert address is not None
    return UploadRequest({"REQUEST_METHOD": "POST", "PATH_INFO": path, **environ}, address)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("", UploadAddress()),
        (f"/{TICKET}", UploadAddress(TICKET)),
        (f"/{TICKET}/", UploadAddress(TICKET, ("",))),
        (f"/{TICKET}/a.txt", UploadAddress(TICKET, ("a.txt",))),
        (f"/{TICKET}/parts/2", UploadAddress(TICKET, ("parts", "2"))),
        (f"/{TICKET}/\u00c3\u00bc", UploadAddress(TICKET, ("ü",))),
        (f"/{TICKET}/\u00ff", UploadAddress(TICKET, ("\ufffd",))),
    ],
)
def test_the_path_names_the_ticket_and_what_is_below_it(
    prefix: str, path: str, address: UploadAddress
) -> None:
    assert upload_address(f"{prefix}frontend/uploads{path}") == address


@pytest.mark.parametrize(
    "path",
    ["/", "/incoming/frontend/upload_ws", "/incoming/frontend/uploadsx", "/other/frontend/uploads/x", ""],
)
def test_another_path_is_not_the_address_of_an_upload(path: str) -> None:
    assert upload_address(path) is None


@pytest.mark.parametrize("asked", ["PATCH", "delete", " HEAD "])
def test_a_post_may_stand_for_another_method(asked: str) -> None:
    assert request(HTTP_X_HTTP_METHOD_OVERRIDE=asked).method == asked.strip().upper()


@pytest.mark.parametrize(
    ("method", "asked"), [("GET", "DELETE"), ("PUT", "PATCH"), ("POST", "GET"), ("POST", "OPTIONS")]
)
def test_no_other_method_stands_for_another_one(method: str, asked: str) -> None:
    made = request(REQUEST_METHOD=method, HTTP_X_HTTP_METHOD_OVERRIDE=asked)
    assert made.method == method


@pytest.mark.parametrize(
    "environ", [{"HTTP_UPLOAD_TICKET": f" {TICKET} "}, {"QUERY_STRING": f"a=1&ticket={TICKET}"}]
)
def test_the_address_of_all_tickets_takes_the_ticket_from_a_header_or_the_query(
    environ: dict[str, str],
) -> None:
    made = request("/incoming/frontend/uploads", **environ)
    assert (made.ticket_id, made.location) == (TICKET, f"uploads/{TICKET}")


@pytest.mark.parametrize("base", ["/incoming/frontend/uploads", "/incoming/frontend/uploads/"])
def test_the_location_leads_to_the_ticket_with_and_without_a_slash_after_the_address_of_all_tickets(
    base: str,
) -> None:
    location = request(base, HTTP_UPLOAD_TICKET=TICKET).location
    assert (
        urljoin(f"https://a/prefix{base}", location) == f"https://a/prefix/incoming/frontend/uploads/{TICKET}"
    )


def test_a_query_that_cannot_be_read_counts_as_none() -> None:
    assert request("/incoming/frontend/uploads", QUERY_STRING="&".join("a" * 99)).ticket_id == ""


@pytest.mark.parametrize(
    ("path", "location"), [("", TICKET), ("/a.txt", f"../{TICKET}"), ("/parts/1", f"../../{TICKET}")]
)
def test_the_location_is_relative_so_it_is_right_behind_every_proxy(path: str, location: str) -> None:
    assert request(f"/incoming/frontend/uploads/{TICKET}{path}").location == location


def test_headers_and_the_media_type_are_read_as_http_has_them() -> None:
    made = request(CONTENT_TYPE="Application/Offset+Octet-Stream ; a=b", HTTP_UPLOAD_OFFSET=" 5\t")
    assert made.media_type == "application/offset+octet-stream"
    assert made.header("Upload-Offset") == "5"
    assert (made.header("Upload-Length"), made.find_header("Upload-Length")) == ("", None)


@pytest.mark.parametrize(
    ("environ", "length_bytes"),
    [
        ({}, 0),
        ({"CONTENT_LENGTH": ""}, 0),
        ({"CONTENT_LENGTH": "7"}, 7),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, None),
    ],
)
def test_the_head_of_a_request_says_how_long_its_body_is(
    environ: dict[str, str], length_bytes: int | None
) -> None:
    assert request(**environ).declared_body_bytes == length_bytes


@pytest.mark.parametrize("coding", ["gzip", "identity, br", "x", "GZIP"])
def test_a_body_that_is_coded_is_refused(coding: str) -> None:
    with pytest.raises(UnsupportedCoding):
        request(HTTP_CONTENT_ENCODING=coding, CONTENT_LENGTH="5").check_coding()


@pytest.mark.parametrize("environ", [{"CONTENT_LENGTH": "5"}, {"HTTP_CONTENT_ENCODING": "gzip"}])
def test_a_body_without_a_coding_is_not_refused(environ: dict[str, str]) -> None:
    request(**environ).check_coding()
    request(**environ | {"HTTP_CONTENT_ENCODING": "identity", "CONTENT_LENGTH": "5"}).check_coding()
