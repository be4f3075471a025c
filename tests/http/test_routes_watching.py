"""The routes that show what goes on, and who gets to see it, through WebTest."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from webtest import TestResponse

from incoming.protocol.rules import PREFIXES
from tests.support.routes import Routes
from tests.support.uploads import House

READING = ("backend/uploads", "status", "metrics")
FAR = {"REMOTE_ADDR": "203.0.113.5"}
TOKEN = "t0ken"


@pytest.fixture
def routes(tmp_path: Path) -> Routes:
    return Routes(House(tmp_path))


@pytest.fixture
def closed(tmp_path: Path) -> Routes:
    """Routes with a token."""
    return Routes(House(tmp_path), backend_token=TOKEN)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_uploads_are_listed_as_json(routes: Routes, prefix: str) -> None:
    ticket_id = routes.new_ticket()
    answer = routes.get("backend/uploads", prefix=prefix)
    assert (answer.status_int, answer.content_type) == (200, "application/json")
    assert [row["id"] for row in answer.json["uploads"]] == [ticket_id[:8]]
    assert ticket_id not in answer.text
    assert set(answer.json) == {"uploads", "matching", "totals", "history", "instances", "stores", "storages"}


def test_one_upload_needs_its_secret(routes: Routes) -> None:
    ticket_id = routes.new_ticket(backendSecret="s3cret")
    assert routes.get("backend/uploads", {"id": ticket_id}).status_int == 403
    answer = routes.get("backend/uploads", {"id": ticket_id, "backendSecret": "s3cret"})
    assert len(answer.json["uploads"]) == 1
    unknown = routes.get("backend/uploads", {"id": "x"}, {"Accept": "application/json"})
    assert (unknown.status_int, unknown.json["error"]["code"]) == (400, "unknown_ticket")


@pytest.mark.parametrize(
    "query",
    [
        *({"state": state} for state in ("lost", "Paused")),
        *({"start": start} for start in ("-1", "x", "1000001")),
        *({"limit": limit} for limit in ("0", "501", "1e2", "\u0661")),
        *({"history": history} for history in ("301", "-1")),
        {"search": "x" * 201},
    ],
)
def test_a_list_that_makes_no_sense_is_refused(routes: Routes, query: dict[str, str]) -> None:
    answer = routes.get("backend/uploads", query)
    assert answer.status_int == 400
    assert answer.text.startswith(f"The parameter {next(iter(query))} ")


def test_a_list_is_bounded(routes: Routes) -> None:
    for _ in range(103):
        routes.house.new_ticket()
    answer = routes.get("backend/uploads").json
    assert (len(answer["uploads"]), answer["matching"]) == (100, 103)
    assert len(routes.get("backend/uploads", {"start": "100", "history": "300"}).json["uploads"]) == 3


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_page_has_a_policy_and_is_kept_by_nobody(routes: Routes, prefix: str) -> None:
    answer = routes.get("status", prefix=prefix)
    assert (answer.status_int, answer.content_type) == (200, "text/html")
    assert "script-src 'sha256-" in answer.headers["Content-Security-Policy"]
    for name, value in (
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Referrer-Policy", "no-referrer"),
    ):
        assert answer.headers[name] == value


@pytest.mark.parametrize("prefix", PREFIXES)
def test_metrics_have_the_type_that_prometheus_wants(routes: Routes, prefix: str) -> None:
    answer = routes.get("metrics", prefix=prefix)
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert "incoming_uploads{" in answer.text


# --- who -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", READING)
def test_strangers_and_other_pages_see_nothing(routes: Routes, route: str) -> None:
    assert routes.wsgi.get(f"/incoming/{route}", extra_environ=FAR, status="*").status_int == 403
    for headers in (
        {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"},
        {"X-Forwarded-For": "127.0.0.1"}, {"Host": "evil.example"},
    ):  # fmt: skip
        answer = routes.get(route, headers=headers)
        assert answer.status_int == 403, headers
        assert "WWW-Authenticate" not in answer.headers
    for site in ("none", "same-origin"):
        assert routes.get(route, headers={"Sec-Fetch-Site": site}).status_int == 200


@pytest.mark.parametrize("route", READING)
def test_a_person_is_asked_for_the_password_and_a_program_for_the_token(closed: Routes, route: str) -> None:
    def ask(**headers: str) -> tuple[int, str]:
        answer = closed.wsgi.get(f"/incoming/{route}", headers=headers, extra_environ=FAR, status="*")
        return answer.status_int, answer.headers.get("WWW-Authenticate", "")

    password = base64.b64encode(f"ann:{TOKEN}".encode()).decode()
    assert ask(Accept="text/html,*/*") == (401, 'Basic realm="Incoming!!", charset="UTF-8"')
    assert ask(Accept="application/json") == (401, "Bearer")
    assert ask(Authorization=f"Basic {password}") == (200, "")
    assert ask(Authorization=f"Bearer {TOKEN}") == (200, "")
    assert ask(Authorization="Bearer wrong") == (401, "Bearer")


def test_a_name_from_the_settings_opens_the_page(tmp_path: Path) -> None:
    routes = Routes(House(tmp_path), status_hosts=("uploads.example.org",))
    assert routes.get("status", headers={"Host": "uploads.example.org:4000"}).status_int == 200


# --- what the operator does --------------------------------------------------------------------------

PASSWORD = base64.b64encode(f"ann:{TOKEN}".encode()).decode()
JSON = {"Content-Type": "application/json"}


def operate(routes: Routes, ticket_id: str, route: str = "cancel_upload", **headers: str) -> TestResponse:
    """Asks for it as the page does, with these headers; returns the answer, whatever it is."""
    body = json.dumps({"id": ticket_id[:8]})
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return routes.wsgi.post(f"/incoming/status/{route}", body, {**JSON, **given}, status="*")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "same-origin"},
        {"Origin": "http://localhost:80"},
        {"Origin": "https://localhost:80"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "https://uploads.example.org", "X_Real_IP": "1.2.3.4"},
    ],
)
def test_who_has_signed_in_cancels_and_retries_on_the_page(closed: Routes, headers: dict[str, str]) -> None:
    ticket_id = closed.house.new_ticket(backendSecret="s3cret")
    answer = operate(closed, ticket_id, Authorization=f"Basic {PASSWORD}", **headers)
    assert (answer.status_int, answer.text) == (200, "ok")
    assert closed.house.ticket(ticket_id).state == "cancelled"
    answer = operate(closed, ticket_id, "retry_upload", Authorization=f"Basic {PASSWORD}", **headers)
    assert answer.status_int == 412


def test_a_program_with_the_token_cancels_from_anywhere(closed: Routes) -> None:
    ticket_id = closed.house.new_ticket()
    assert operate(closed, ticket_id, Authorization=f"Bearer {TOKEN}").text == "ok"


@pytest.mark.parametrize(
    "headers",
    [
        {},  # of a program, or of a page in a browser that tells nothing
        {"Sec_Fetch_Site": "cross-site", "Origin": "http://localhost:80"},
        {"Sec_Fetch_Site": "same-site", "Origin": "http://localhost:80"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:4001"},
        {"Origin": "null"},
        {"Origin": "localhost:80"},
        {"Sec_Fetch_Site": "same-origin", "Content_Type": "text/plain"},
        {"Sec_Fetch_Site": "same-origin", "Content_Type": "application/x-www-form-urlencoded"},
    ],
)
def test_no_other_page_cancels_with_the_password_that_the_browser_adds(
    closed: Routes, headers: dict[str, str]
) -> None:
    ticket_id = closed.house.new_ticket()
    answer = operate(closed, ticket_id, Authorization=f"Basic {PASSWORD}", **headers)
    assert answer.status_int == 403
    assert "Only the status page" in answer.text
    assert closed.house.ticket(ticket_id).state == "issued"


def test_to_be_on_this_machine_is_not_enough_to_cancel(closed: Routes, tmp_path: Path) -> None:
    ticket_id = closed.house.new_ticket()
    for password in ({}, {"Authorization": "Basic eDp5"}):
        answer = operate(closed, ticket_id, Sec_Fetch_Site="same-origin", Accept="text/html", **password)
        assert (answer.status_int, answer.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    assert closed.house.ticket(ticket_id).state == "issued"
    without_token = Routes(House(tmp_path / "other"))
    ticket_id = without_token.house.new_ticket()
    answer = operate(without_token, ticket_id, Sec_Fetch_Site="same-origin")
    assert answer.status_int == 403
    assert "Set backend_token" in answer.text


def test_the_page_offers_it_only_where_there_is_a_token(closed: Routes, tmp_path: Path) -> None:
    assert 'data-operate="no"' in Routes(House(tmp_path / "other")).get("status").text
    assert 'data-operate="yes"' in closed.get("status").text


def test_a_name_that_comes_with_the_password_can_not_forge_the_log(
    closed: Routes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    ticket_id = closed.house.new_ticket()
    password = base64.b64encode(f"a\n\u202efoo:{TOKEN}".encode()).decode()
    answer = operate(closed, ticket_id, Sec_Fetch_Site="same-origin", Authorization=f"Basic {password}")
    assert answer.status_int == 200
    assert r"by a\n\u202efoo at 127.0.0.1" in caplog.text


def test_routes_that_read_refuse_post(routes: Routes) -> None:
    for route in READING:
        assert routes.wsgi.post(f"/incoming/{route}", status="*").status_int == 405
    assert routes.wsgi.get("/incoming/backend/new_upload", status="*").status_int == 405


# --- load balancers --------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", PREFIXES)
def test_everybody_may_ask_whether_it_is_well_and_hears_no_more(routes: Routes, prefix: str) -> None:
    far = {"headers": {"X-Forwarded-For": "203.0.113.5", "Host": "any.example"}, "extra_environ": FAR}
    answer = routes.wsgi.get(f"{prefix}healthz", **far)
    assert (answer.status_int, answer.text) == (200, "ok")
    routes.house.uploads.stop()
    answer = routes.wsgi.get(f"{prefix}healthz", **far, status="*")
    assert (answer.status_int, answer.text) == (503, "stopping")


def test_a_storage_that_can_not_be_written_is_503(routes: Routes) -> None:
    routes.house.runtime.advance(60)  # nobody keeps watch here: the last look is long ago
    answer = routes.get("healthz")
    assert (answer.status_int, answer.text) == (503, "storage")
    assert json.loads(routes.get("backend/uploads").text)
