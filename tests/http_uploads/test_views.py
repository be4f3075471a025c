"""The address of an upload as a person gets it in a command, and errors as pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from incoming.core.errors import BadForm, UnknownTicket, UploadCancelled
from incoming.http_uploads.request import UploadRequest, upload_address
from incoming.http_uploads.transfers import Transfers
from incoming.http_uploads.views import Views
from incoming.runtime.buffer_pool import BufferPool
from tests.support.uploads import House

TICKET = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
PATH = f"/incoming/0.1/frontend/uploads/{TICKET}"
HTML = {"HTTP_ACCEPT": "text/html"}


def views(tmp_path: Path, **settings: Any) -> tuple[House, Views]:
    house = House(tmp_path, **settings)
    return house, Views(Transfers(house.uploads, BufferPool(4096, 1 << 20)))


def request(path: str = PATH, **environ: str) -> UploadRequest:
    address = upload_address(path)
    assert address
    return UploadRequest({"REQUEST_METHOD": "PUT", "PATH_INFO": path, **environ}, address)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"HTTP_HOST": "localhost:4000"}, f"http://localhost:4000{PATH}"),
        ({"HTTP_HOST": "[::1]:4000"}, f"http://[::1]:4000{PATH}"),
        ({"HTTP_HOST": "a.example", "wsgi.url_scheme": "https"}, f"https://a.example{PATH}"),
        ({"HTTP_HOST": "a.example", "HTTP_X_FORWARDED_PROTO": "https"}, f"https://a.example{PATH}"),
        ({"HTTP_HOST": "a.example", "SCRIPT_NAME": "/up loads"}, f"http://a.example/up%20loads{PATH}"),
        ({}, PATH),
        ({"HTTP_HOST": "a.example; rm -rf ~"}, PATH),
        ({"HTTP_HOST": "$(reboot)"}, PATH),
    ],
)
def test_a_command_has_the_address_that_the_client_has_used(
    tmp_path: Path, environ: dict[str, str], url: str
) -> None:
    assert views(tmp_path)[1].url(request(**environ)) == url


def test_a_command_has_the_public_address_if_that_is_known(tmp_path: Path) -> None:
    _, known = views(tmp_path, public_url="https://uploads.example.org/x/")
    assert known.url(request(HTTP_HOST="10.0.0.1:4000")) == f"https://uploads.example.org/x{PATH}"


def test_the_name_in_the_address_is_not_in_the_command(tmp_path: Path) -> None:
    made = request(f"{PATH}/$(reboot).mov", HTTP_HOST="localhost")
    assert views(tmp_path)[1].url(made) == f"http://localhost{PATH}"


def test_a_browser_gets_the_page_of_the_upload_with_what_went_wrong(tmp_path: Path) -> None:
    house, shown = views(tmp_path)
    made = request(f"/incoming/frontend/uploads/{house.new_ticket()}", **HTML)
    answer = shown.failure(made, BadForm("No file was chosen."))
    assert answer.status == 400
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert answer.header("Incoming-Error") == "bad_form"
    assert b'role="alert">No file was chosen.' in answer.body
    assert b"<form" in answer.body


def test_what_the_page_says_anyway_is_not_said_twice(tmp_path: Path) -> None:
    house, shown = views(tmp_path)
    ticket_id = house.new_ticket()
    house.uploads.cancel_by_app(ticket_id, "")
    answer = shown.failure(request(f"/incoming/frontend/uploads/{ticket_id}", **HTML), UploadCancelled())
    assert answer.status == 410
    assert b"alert" not in answer.body


def test_a_browser_gets_a_page_about_a_ticket_that_nobody_knows(tmp_path: Path) -> None:
    answer = views(tmp_path)[1].failure(request(**HTML), UnknownTicket())
    assert answer.status == 404
    assert b"The upload is not possible" in answer.body
