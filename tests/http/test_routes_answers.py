"""The routes: errors, refusals, access, and what browsers get."""

from __future__ import annotations

import uuid
from collections import Counter
from pathlib import Path

import pytest

from incoming.core.errors import UpgradeRequired
from incoming.handover.answers import WillFinish
from incoming.runtime.static_files import STATIC_DIR
from tests.support.fakes import FakeApp
from tests.support.logs import LogCapture
from tests.support.routes import BACKEND_ROUTES, PREFIXES, URL, Routes
from tests.support.uploads import House

JSON = {"Accept": "application/json"}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, FakeApp(WillFinish()))


@pytest.fixture
def routes(house: House) -> Routes:
    return Routes(house)


# --- errors --------------------------------------------------------------------------------------


def test_a_program_gets_errors_as_json(routes: Routes) -> None:
    answer = routes.post("finish_upload", headers=JSON)
    assert answer.status_int == 400
    assert answer.content_type == "application/json"
    assert answer.json == {"error": {"code": "bad_parameter", "message": "The parameter id is required."}}


def test_a_page_that_is_not_there_is_404_in_our_words(routes: Routes) -> None:
    answer = routes.wsgi.get("/incoming/backend/nothing", status=404)
    assert answer.content_type == "text/plain"
    assert "does not exist" in answer.text
    json = routes.wsgi.get("/nothing", headers=JSON, status=404).json
    assert json["error"]["code"] == "not_found"


@pytest.mark.parametrize("route", BACKEND_ROUTES)
def test_the_backend_routes_are_for_post_only(routes: Routes, route: str) -> None:
    answer = routes.wsgi.get(f"/incoming/backend/{route}", status=405)
    assert "POST" in answer.headers["Allow"]
    assert answer.content_type == "text/plain"


def test_a_request_that_is_too_large_is_refused_in_our_words(routes: Routes) -> None:
    answer = routes.post("new_upload", form={"signalFinishURL": "http://x/" + "y" * 200_000})
    assert answer.status_int == 413
    assert answer.text == "The body of the request is too large: its parameters may have at most 100 KiB."


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"metadata=" + b"1" * 102_400),
        ("application/json", b'{"metadata": "' + b"1" * 102_400 + b'"}'),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n'
         + b"1" * 102_400 + b"\r\n--b--\r\n"),
        ("text/plain", b"1" * 102_401),
        ("", b"1" * 102_401),
    ],
)  # fmt: skip
@pytest.mark.parametrize("route", BACKEND_ROUTES)
def test_a_program_hears_that_a_body_is_too_large_by_a_code(
    routes: Routes, route: str, content_type: str, body: bytes
) -> None:
    headers = {"Content-Type": content_type, **JSON}
    answer = routes.wsgi.post(f"/incoming/backend/{route}", body, headers, status=413)
    assert answer.json["error"]["code"] == "form_too_large"


def test_an_accept_header_that_is_not_utf_8_is_not_a_defect(
    routes: Routes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = routes.wsgi.get("/incoming/frontend/upload_ws", headers={"Accept": "\xff"}, status=426)
    assert "WebSocket" in answer.text
    assert not caplog.records


@pytest.mark.parametrize(
    "content_type",
    ["=;= /,\x00", "multipart/form-data; boundary=b; charset=klingon", "multipart/form-data; =", "x,;"],
)
def test_a_form_that_can_not_be_read_is_not_a_defect(
    routes: Routes, caplog: pytest.LogCaptureFixture, content_type: str
) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="id"\r\n\r\nx\r\n--b--\r\n'
    headers = {"Content-Type": content_type}
    answer = routes.wsgi.post("/incoming/backend/new_upload", body, headers, status=400)
    assert answer.text
    assert not caplog.records


def test_a_form_without_a_length_is_refused(routes: Routes) -> None:
    headers = {"Transfer-Encoding": "chunked"}
    answer = routes.wsgi.post("/incoming/backend/new_upload", b"", headers, status=400)
    assert "Content-Length" in answer.text


def test_a_defect_is_logged_and_not_shown(
    routes: Routes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret details")

    monkeypatch.setattr(type(routes.house.uploads), "issue", fail)
    answer = routes.post("new_upload", {"signalFinishURL": URL})
    assert answer.status_int == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "secret details" in caplog.text


def test_a_defect_outside_the_routes_is_logged_and_not_shown(
    routes: Routes, caplog: pytest.LogCaptureFixture
) -> None:
    @routes.app.get("/defect")  # type: ignore[untyped-decorator]
    def defect() -> None:
        raise ZeroDivisionError("secret details")

    answer = routes.wsgi.get("/defect", expect_errors=True)
    assert answer.status_int == 500
    assert "secret" not in answer.text
    assert "secret details" in caplog.text


def test_a_disk_that_fails_is_500_and_a_stopping_server_503(routes: Routes) -> None:
    with routes.house.journal_broken():
        assert routes.post("new_upload", {"signalFinishURL": URL}).status_int == 500
    routes.house.uploads.stop()
    answer = routes.post("new_upload", {"signalFinishURL": URL}, headers=JSON)
    assert (answer.status_int, answer.json["error"]["code"]) == (503, "stopping")


# --- who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", BACKEND_ROUTES)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_strangers_may_not_use_the_backend_routes(routes: Routes, route: str, prefix: str) -> None:
    routes.wsgi.extra_environ = {"REMOTE_ADDR": "203.0.113.7"}
    answer = routes.post(route, {"signalFinishURL": URL}, prefix=prefix)
    assert answer.status_int == 403
    assert "allowed_backends" in answer.text


@pytest.mark.parametrize("header", ["Origin", "X-Forwarded-For", "Via", "Forwarded", "Sec-Fetch-Site"])
def test_neither_pages_nor_proxies_may_use_the_backend_routes(routes: Routes, header: str) -> None:
    assert routes.post("new_upload", {"signalFinishURL": URL}, headers={header: "x"}).status_int == 403


def test_allowed_backends_and_holders_of_the_token_may(house: House) -> None:
    routes = Routes(house, allowed_backends=("203.0.113.0/24",), backend_token="t0ken")
    assert routes.post("new_upload", {"signalFinishURL": URL}).status_int == 403
    headers = {"Authorization": "Bearer t0ken", "Via": "1.1 proxy"}
    answer = routes.post("new_upload", {"signalFinishURL": URL}, headers=headers)
    assert answer.status_int == 200
    routes.wsgi.extra_environ = {"REMOTE_ADDR": "203.0.113.7"}
    assert routes.post("new_upload", {"signalFinishURL": URL}).status_int == 200


def test_who_comes_from_the_address_that_it_reached_is_this_machine(routes: Routes) -> None:
    routes.wsgi.extra_environ = {"REMOTE_ADDR": "192.0.2.1", "incoming.server_address": "192.0.2.1"}
    assert routes.post("new_upload", {"signalFinishURL": URL}).status_int == 200


# --- for browsers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", PREFIXES)
def test_any_page_may_load_the_library(routes: Routes, prefix: str) -> None:
    routes.wsgi.extra_environ = {"REMOTE_ADDR": "203.0.113.7"}
    headers = {"Origin": "http://app.example.org", "X-Forwarded-For": "198.51.100.1"}
    answer = routes.wsgi.get(f"{prefix}frontend/incoming.js", headers=headers)
    assert answer.body == (STATIC_DIR / "incoming.min.js").read_bytes()
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-cache"


def test_the_library_is_sent_again_only_when_it_has_changed(routes: Routes) -> None:
    path = "/incoming/frontend/incoming.js"
    etag = routes.wsgi.get(path).headers["ETag"]
    assert etag.startswith('"') and etag.endswith('"') and etag.count('"') == 2
    long_ago, just_now = "Thu, 01 Jan 2015 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    for same in (f"W/{etag}", f'"a", {etag}, "b"', f'"a",W/{etag}', "*"):
        assert routes.wsgi.get(path, headers={"If-None-Match": same}, status=304).body == b""
    for other in ('"another"', etag.strip('"'), ""):
        asked = {"If-None-Match": other, "If-Modified-Since": just_now}
        assert routes.wsgi.get(path, headers=asked, status=200).body
    routes.wsgi.get(path, headers={"If-Modified-Since": just_now}, status=304)
    routes.wsgi.get(path, headers={"If-Modified-Since": long_ago}, status=200)
    again = routes.wsgi.get(path, headers={"If-None-Match": etag}, status=304)
    assert again.body == b""
    assert routes.wsgi.get(path, headers={"If-None-Match": '"other"'}).body
    assert routes.wsgi.head(path).headers["Content-Length"] != "0"


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_upload_without_an_upgrade_is_told_what_to_do(routes: Routes, prefix: str) -> None:
    answer = routes.wsgi.get(f"{prefix}frontend/upload_ws", status=426)
    assert answer.headers["Upgrade"] == "websocket"
    assert answer.text == str(UpgradeRequired())
    assert answer.headers["Access-Control-Allow-Origin"] == "*", "a page asks why it can't connect"


def test_a_proxy_that_spoils_handshakes_is_said_in_the_answer_and_once_in_the_log(
    routes: Routes, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"Connection": "close", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    for _ in range(3):
        answer = routes.wsgi.get("/incoming/frontend/upload_ws", headers=headers, status=426)
        assert "proxy_set_header Upgrade $http_upgrade;" in answer.text
    said = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.getMessage() for record in said] == [answer.text]
    routes.wsgi.get("/incoming/frontend/upload_ws", headers={"X-Forwarded-For": "198.51.100.1"}, status=426)
    assert len(caplog.records) == 1, "a plain GET is nobody's fault"


# --- refusals ------------------------------------------------------------------------------------------


def refused(routes: Routes, route: str, **query: str) -> tuple[str, str]:
    """Has a request refused. Returns its code, and the one line of the log about it."""
    before = Counter(routes.house.context.counters.refusals)
    with LogCapture() as log:
        code = routes.post(route, query, headers=JSON).json["error"]["code"]
    assert routes.house.context.counters.refusals - before == {("request", code): 1}
    [line] = log.lines
    return code, line


def test_a_request_for_an_unknown_ticket_is_logged_and_counted(routes: Routes) -> None:
    code, line = refused(routes, "finish_upload", id=str(uuid.UUID(int=7)))
    assert code == "unknown_ticket"
    assert line.startswith(
        "INFO upload 00000000: finish_upload refused (unknown_ticket): No upload has this id"
    )


def test_a_wrong_secret_is_logged_and_counted(routes: Routes) -> None:
    ticket_id = routes.new_ticket(backendSecret="s3cret")
    code, line = refused(routes, "cancel_upload", id=ticket_id, backendSecret="guess")
    assert code == "wrong_secret"
    assert line.startswith(f"WARNING upload {ticket_id[:8]}: cancel_upload refused (wrong_secret): ")
    assert "s3cret" not in line and "guess" not in line and ticket_id not in line


def test_a_refused_caller_is_logged_and_counted(routes: Routes) -> None:
    routes.wsgi.extra_environ["REMOTE_ADDR"] = "192.0.2.7"
    code, line = refused(routes, "new_upload", signalFinishURL="http://app/")
    assert code == "not_allowed"
    assert line.startswith("WARNING new_upload refused (not_allowed): ") and "allowed_backends" in line


def test_a_ticket_that_is_not_issued_is_logged_and_counted(routes: Routes) -> None:
    code, line = refused(routes, "new_upload", signalFinishURL="/finished")
    assert code == "bad_parameter"
    assert line.startswith("INFO new_upload refused (bad_parameter): The parameter signalFinishURL must")


def test_a_page_that_does_not_exist_is_logged_and_counted_without_its_query(routes: Routes) -> None:
    with LogCapture() as log:
        routes.wsgi.get("/nothing?secret=1", status=404)
    assert log.lines == [
        "INFO GET /nothing refused (not_found): This page does not exist on this Incoming!! upload server."
    ]
    assert routes.house.context.counters.refusals == {("request", "not_found"): 1}
