"""What the operator does to uploads that are known by the beginning of their id."""

from __future__ import annotations

import logging
from pathlib import Path
from uuid import UUID

import pytest

from incoming.core.errors import BadParameter, UnknownTicket, WrongState
from incoming.core.lifecycle import State
from incoming.core.ticket import Ticket
from incoming.handover.answers import Refused
from incoming.uploads.operator import Operator
from tests.support.fakes import FakeApp
from tests.support.uploads import House

WHO = "ann at 127.0.0.1"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, FakeApp(Refused("no")))


def test_an_upload_is_cancelled_without_its_secret_and_the_log_and_the_app_hear_who_did_it(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ticket_id = house.new_ticket(backendSecret="s3cret")
    Operator(house.uploads).cancel(ticket_id[:8], WHO)
    house.runtime.settle()
    assert house.state(ticket_id) is State.CANCELLED
    assert house.app.forms[0]["cancelReason"] == "cancelled by the operator of the upload server"
    assert f"upload {ticket_id[:8]}: cancelled on the status page by {WHO}" in caplog.text


def test_a_failed_handover_is_tried_again(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ticket_id = house.new_ticket(backendSecret="s3cret")
    house.arrive(ticket_id)
    assert house.state(ticket_id) is State.FAILED
    Operator(house.uploads).retry(ticket_id[:8], WHO)
    house.runtime.settle()
    assert len(house.app.forms) == 2
    assert f"tried again on the status page by {WHO}" in caplog.text


@pytest.mark.parametrize("short_id", ["", "0b8a0f0", "0b8a0f0e-", "0B8A0F0E", "0b8a0f0g", "*"])
def test_only_what_lists_show_names_an_upload(house: House, short_id: str) -> None:
    with pytest.raises(BadParameter):
        Operator(house.uploads).cancel(short_id, WHO)


def test_an_upload_that_is_unknown_or_not_the_only_one_or_in_another_state_is_left_alone(
    house: House,
) -> None:
    operator = Operator(house.uploads)
    with pytest.raises(UnknownTicket):
        operator.cancel("0b8a0f0e", WHO)
    ticket_id = house.new_ticket()
    with pytest.raises(WrongState):
        operator.retry(ticket_id[:8], WHO)
    twin_id = str(UUID(ticket_id[:8] + "0" * 24, version=4))
    house.context.registry.add(Ticket(twin_id, "http://app.example.org/finished"))
    with pytest.raises(WrongState, match="2 uploads have an id that begins with"):
        operator.cancel(ticket_id[:8], WHO)
    assert house.state(ticket_id) is house.state(twin_id) is State.ISSUED
