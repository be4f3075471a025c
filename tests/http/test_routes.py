"""The backend routes, through WebTest, with the real service behind them."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from incoming.core.errors import UnknownTicket
from incoming.core.lifecycle import State
from incoming.handover.answers import Refused, WillFinish
from tests.support.fakes import FakeApp
from tests.support.routes import BACKEND_ROUTES, PREFIXES, URL, Pairs, Routes
from tests.support.uploads import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, FakeApp(WillFinish()))


@pytest.fixture
def routes(house: House) -> Routes:
    return Routes(house)


def in_place(parameters: Pairs, in_query: bool) -> tuple[Pairs, Pairs]:
    """Returns the parameters as query and form: all in the one or all in the other."""
    return (parameters, {}) if in_query else ({}, parameters)


# --- new_upload ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("in_query", [True, False])
def test_the_answer_is_the_id_and_nothing_else(routes: Routes, prefix: str, in_query: bool) -> None:
    answer = routes.post("new_upload", *in_place({"signalFinishURL": URL}, in_query), prefix=prefix)
    assert answer.status_int == 200
    assert answer.content_type == "text/plain"
    assert str(uuid.UUID(answer.text)) == answer.text
    assert routes.house.state(answer.text) is State.ISSUED


ANSWERS_IN_JSON = [
    # public_url, SCRIPT_NAME, prefix, what is in front of the path of the upload
    ("", "", PREFIXES[0], "/incoming/"),
    ("", "", PREFIXES[1], "/incoming/0.1/"),
    ("", "/behind", PREFIXES[0], "/behind/incoming/"),
    ("https://up.example.org", "", PREFIXES[0], "https://up.example.org/incoming/"),
    ("https://up.example.org/a/", "/behind", PREFIXES[1], "https://up.example.org/a/incoming/0.1/"),
]


@pytest.mark.parametrize(("public_url", "script_name", "prefix", "front"), ANSWERS_IN_JSON)
def test_an_app_that_accepts_json_gets_the_address_of_the_upload_too(
    house: House, public_url: str, script_name: str, prefix: str, front: str
) -> None:
    routes = Routes(house, public_url=public_url)
    routes.wsgi.extra_environ["SCRIPT_NAME"] = script_name
    headers = {"Accept": "text/html, application/json;q=0.9"}
    answer = routes.post("new_upload", {"signalFinishURL": URL}, headers=headers, prefix=script_name + prefix)
    assert answer.content_type == "application/json"
    ticket_id = answer.json["id"]
    assert answer.json == {"id": ticket_id, "url": f"{front}frontend/uploads/{ticket_id}"}
    assert house.state(ticket_id) is State.ISSUED


def test_a_ticket_knows_its_length_and_where_its_form_leads(routes: Routes) -> None:
    ticket_id = routes.new_ticket(lengthBytes="0", returnURL="https://app.example.org/thanks?id=1")
    ticket = routes.house.ticket(ticket_id)
    assert (ticket.length_bytes, ticket.return_url) == (0, "https://app.example.org/thanks?id=1")


def test_a_length_that_the_ticket_does_not_allow_is_refused_at_once(routes: Routes) -> None:
    form = {"signalFinishURL": URL, "lengthBytes": "100", "maxBytes": "99"}
    answer = routes.post("new_upload", form=form, headers={"Accept": "application/json"})
    assert (answer.status_int, answer.json["error"]["code"]) == (413, "upload_too_large")
    assert not list(routes.house.context.registry.tickets())


def test_parameters_may_come_from_both_places(routes: Routes) -> None:
    form = {"backendSecret": "s3cret", "removeFileWhenFinished": "false"}
    answer = routes.post("new_upload", {"signalFinishURL": URL}, form)
    ticket = routes.house.ticket(answer.text)
    assert (ticket.signal_finish_url, ticket.secret) == (URL, "s3cret")
    assert not ticket.remove_file_when_finished


def test_an_empty_parameter_counts_as_absent(routes: Routes) -> None:
    query = {
        "signalFinishURL": "",
        "destType": "",
        "removeFileWhenFinished": "",
        "backendSecret": "",
        "fileOwnerUid": "",
    }
    ticket = routes.house.ticket(routes.post("new_upload", query, {"signalFinishURL": URL}).text)
    assert (ticket.signal_finish_url, ticket.secret_required) == (URL, False)
    assert ticket.remove_file_when_finished


@pytest.mark.parametrize("in_query", [True, False])
def test_parameters_are_unicode(routes: Routes, in_query: bool) -> None:
    secret = "geheim \N{SNOWMAN} \N{LATIN SMALL LETTER U WITH DIAERESIS}"
    parameters = in_place({"signalFinishURL": URL, "backendSecret": secret}, in_query)
    assert routes.house.ticket(routes.post("new_upload", *parameters).text).secret == secret


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("signalFinishURL", ""),
        ("signalFinishURL", "/finished"),
        ("destType", "s3"),
        ("removeFileWhenFinished", "yes"),
        ("fileOwnerUid", "root"),
    ],
)
def test_a_wrong_parameter_is_named(routes: Routes, parameter: str, value: str) -> None:
    answer = routes.post("new_upload", {"signalFinishURL": URL, parameter: value})
    assert answer.status_int == 400
    assert answer.content_type == "text/plain"
    assert answer.text.startswith(f"The parameter {parameter} ")


# --- finish, cancel, retry -------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("in_query", [True, False])
def test_a_file_that_arrived_can_be_finished(routes: Routes, prefix: str, in_query: bool) -> None:
    ticket_id = routes.new_ticket(backendSecret="s3cret")
    routes.house.arrive(ticket_id)
    parameters = in_place({"id": ticket_id, "backendSecret": "s3cret"}, in_query)
    for _ in range(2):
        answer = routes.post("finish_upload", *parameters, prefix=prefix)
        assert (answer.status_int, answer.text, answer.content_type) == (200, "ok", "text/plain")
    assert routes.house.state(ticket_id) is State.FINISHED


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_upload_can_be_cancelled(routes: Routes, prefix: str) -> None:
    ticket_id = routes.new_ticket()
    answer = routes.post("cancel_upload", {"id": ticket_id}, prefix=prefix)
    assert (answer.status_int, answer.text) == (200, "ok")
    assert routes.house.state(ticket_id) is State.CANCELLED


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_failed_handover_can_be_tried_again(routes: Routes, prefix: str) -> None:
    routes.house.app.answers = [Refused("no"), WillFinish()]
    ticket_id = routes.new_ticket()
    routes.house.arrive(ticket_id)
    answer = routes.post("retry_upload", {"id": ticket_id}, prefix=prefix)
    assert (answer.status_int, answer.text) == (200, "ok")
    routes.house.runtime.settle()
    assert routes.house.state(ticket_id) is State.WAITING


@pytest.mark.parametrize("route", BACKEND_ROUTES[1:])
def test_an_id_is_needed_and_has_to_be_known(routes: Routes, route: str) -> None:
    for query in ({}, {"id": ""}, {"id": str(uuid.uuid4())}, {"id": "../../etc/passwd"}):
        answer = routes.post(route, query)
        assert answer.status_int == 400
        assert answer.text in ("The parameter id is required.", str(UnknownTicket()))


@pytest.mark.parametrize("route", BACKEND_ROUTES[1:])
def test_a_wrong_secret_is_refused_and_so_is_none(routes: Routes, route: str) -> None:
    ticket_id = routes.new_ticket(backendSecret="s3cret")
    for query in ({"id": ticket_id}, {"id": ticket_id, "backendSecret": "wrong"}):
        assert routes.post(route, query).status_int == 403
    assert routes.house.state(ticket_id) is State.ISSUED


def test_an_app_of_the_older_era_sends_no_secret_and_no_wrong_one(routes: Routes) -> None:
    ticket_id = routes.new_ticket(signalFinishSecret="s3cret")
    routes.house.arrive(ticket_id)
    assert routes.house.app.forms[0]["secret"] == "s3cret"
    assert routes.post("finish_upload", {"id": ticket_id, "signalFinishSecret": "wrong"}).status_int == 403
    assert routes.post("finish_upload", {"id": ticket_id, "backendSecret": "wrong"}).status_int == 403
    assert routes.post("finish_upload", {"id": ticket_id}).text == "ok"


def test_what_it_is_not_the_time_for_is_412(routes: Routes) -> None:
    ticket_id = routes.new_ticket()
    assert routes.post("finish_upload", {"id": ticket_id}).status_int == 412
    assert routes.post("retry_upload", {"id": ticket_id}).status_int == 412
    routes.house.arrive(ticket_id)
    assert routes.post("cancel_upload", {"id": ticket_id}).status_int == 412


# --- as other programs write it ------------------------------------------------------------------


def post_body(routes: Routes, route: str, body: str, content_type: str) -> Any:
    headers = {"Content-Type": content_type}
    return routes.wsgi.post(f"/incoming/backend/{route}", body.encode(), headers, status="*")


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
def test_parameters_may_be_a_json_object(routes: Routes, content_type: str) -> None:
    asked = {
        "signalFinishURL": URL, "backendSecret": "s3cret", "removeFileWhenFinished": False, "maxBytes": 1000,
        "metadata": {"user": "\u00fc"}, "digest": None,
    }  # fmt: skip
    answer = post_body(routes, "new_upload", json.dumps(asked), content_type)
    assert answer.status_int == 200, answer.text
    ticket = routes.house.ticket(answer.text)
    assert (ticket.secret, ticket.remove_file_when_finished, ticket.max_bytes) == ("s3cret", False, 1000)
    assert json.loads(ticket.metadata) == {"user": "\u00fc"}
    whole = json.dumps({"id": ticket.id, "backendSecret": "s3cret"})
    done = post_body(routes, "cancel_upload", whole, content_type)
    assert (done.status_int, done.text) == (200, "ok")


@pytest.mark.parametrize("place", ["query", "form", "JSON"])
def test_a_misspelt_parameter_is_ignored_and_named_once_in_the_log(
    routes: Routes, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    for _ in range(3):
        if place == "JSON":
            asked = json.dumps({"signalFinishURL": URL, "max_bytes": 5, "other": 1})
            answer = post_body(routes, "new_upload", asked, "application/json")
        else:
            asked_for = {"signalFinishURL": URL, "max_bytes": "5", "other": "1"}
            answer = routes.post("new_upload", *in_place(asked_for, place == "query"))
        assert routes.house.ticket(answer.text).max_bytes == 0
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["new_upload: the parameter max_bytes is unknown, and is ignored. The name is maxBytes"]


def test_the_query_wins_over_a_json_object(routes: Routes) -> None:
    in_body = '{"signalFinishURL": 5}'
    answer = post_body(routes, f"new_upload?signalFinishURL={URL}", in_body, "application/json")
    assert answer.status_int == 200


def test_a_body_of_json_may_be_empty(routes: Routes) -> None:
    answer = post_body(routes, f"new_upload?signalFinishURL={URL}", "", "application/json")
    assert answer.status_int == 200


@pytest.mark.parametrize("body", ["x", "[]", '"id"', "id=5"])
def test_a_body_that_is_not_the_json_it_says_is_refused(routes: Routes, body: str) -> None:
    answer = post_body(routes, "finish_upload", body, "application/json")
    assert (answer.status_int, "JSON" in answer.text) == (400, True)


@pytest.mark.parametrize("in_query", [True, False])
@pytest.mark.parametrize("form", ['"{}"', "\ufeff{}"])
def test_an_id_is_understood_in_quotes_and_behind_a_byte_order_mark(
    routes: Routes, form: str, in_query: bool
) -> None:
    ticket_id = routes.new_ticket()
    answer = routes.post("cancel_upload", *in_place({"id": form.format(ticket_id)}, in_query))
    assert (answer.status_int, answer.text) == (200, "ok")


def test_a_form_may_begin_with_a_byte_order_mark(routes: Routes) -> None:
    body = f"\ufeffid={routes.new_ticket()}"
    answer = post_body(routes, "cancel_upload", body, "application/x-www-form-urlencoded")
    assert (answer.status_int, answer.text) == (200, "ok")


@pytest.mark.parametrize("secret", ["s3cret", '"s3cret"', "\ufeffs3cret"])
def test_a_secret_in_quotes_is_the_same_secret(routes: Routes, secret: str) -> None:
    ticket_id = routes.new_ticket(backendSecret="s3cret")
    wrong = routes.post("cancel_upload", {"id": ticket_id, "backendSecret": '"wrong"'})
    assert wrong.status_int == 403
    assert routes.post("cancel_upload", {"id": ticket_id, "backendSecret": secret}).status_int == 200


def test_a_secret_that_has_quotes_keeps_them(routes: Routes) -> None:
    ticket_id = routes.new_ticket(backendSecret='"s3cret"')
    assert routes.house.ticket(ticket_id).secret == '"s3cret"'
    assert routes.post("cancel_upload", {"id": ticket_id, "backendSecret": "s3cret"}).status_int == 403
    assert routes.post("cancel_upload", {"id": ticket_id, "backendSecret": '"s3cret"'}).status_int == 200


def test_an_operators_cancellation_is_told_to_the_app(routes: Routes) -> None:
    ticket_id = routes.new_ticket(backendSecret="s3cret")
    for _ in range(2):  # the first answer was lost
        query = {"id": ticket_id, "backendSecret": "s3cret", "by": "operator"}
        assert routes.post("cancel_upload", query).status_int == 200
    routes.house.runtime.settle()
    assert routes.house.ticket(ticket_id).reason == "cancelled by the operator of the upload server"
    [form] = routes.house.app.forms
    assert (form["cancelled"], form["cancelReason"]) == ("yes", routes.house.ticket(ticket_id).reason)
    query["by"] = "somebody"
    assert routes.post("cancel_upload", query).status_int == 400
