"""The backend routes (CONTRACT 2), through WebTest, with the real service behind them."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from incoming.handover.schedule import Refused, WillFinish
from incoming.lifecycle import State
from tests.support.fakes import FakeApp
from tests.support.house import House
from tests.support.routes import BACKEND_ROUTES, PREFIXES, URL, Pairs, Routes


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
    assert answer.text.startswith(f"{parameter}: ")


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
        assert answer.text.startswith("id: ")


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
