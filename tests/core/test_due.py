"""When a ticket is due: the time for each state, and what is due at any time."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from incoming.core.due import ALWAYS, DELETION_LEFT_S, due_at_s, is_deletion_due, is_due, state_timeouts_s
from incoming.core.lifecycle import State
from incoming.settings.table import Settings
from tests.core.test_ticket import THEN_S, ticket_in
from tests.support.uploads import TIMES

TIMEOUTS_S = state_timeouts_s(Settings(**TIMES))
TIMEOUT_OF = {
    State.ISSUED: 100.0,
    State.PAUSED: 100.0,
    State.WAITING: 50.0,
    State.FAILED: 200.0,
    State.FINISHED: 30.0,
}


@pytest.mark.parametrize(("state", "timeout_s"), TIMEOUT_OF.items())
def test_a_ticket_is_due_once_it_has_rested_for_the_time_of_its_state(state: State, timeout_s: float) -> None:
    ticket = ticket_in(state)
    assert due_at_s(ticket, TIMEOUTS_S) == THEN_S + timeout_s
    assert not is_due(ticket, TIMEOUTS_S, THEN_S + timeout_s)
    assert is_due(ticket, TIMEOUTS_S, THEN_S + timeout_s + 0.001)


@pytest.mark.parametrize("state", [State.CANCELLED, State.EXPIRED])
def test_what_was_called_off_is_due_until_its_app_knows(state: State) -> None:
    assert due_at_s(replace(ticket_in(state), app_told=False), TIMEOUTS_S) == ALWAYS
    assert due_at_s(replace(ticket_in(state), app_told=True), TIMEOUTS_S) == THEN_S + 30.0


@pytest.mark.parametrize("state", [State.FINISHED, State.CANCELLED, State.EXPIRED])
def test_files_that_an_ended_upload_has_left_are_anybodys_business_after_a_while(state: State) -> None:
    ticket = replace(ticket_in(state), app_told=True, to_delete=True)
    assert due_at_s(ticket, TIMEOUTS_S) == THEN_S + DELETION_LEFT_S
    assert not is_deletion_due(ticket, THEN_S + DELETION_LEFT_S)
    assert is_deletion_due(ticket, THEN_S + DELETION_LEFT_S + 0.001)
    assert not is_deletion_due(replace(ticket, to_delete=False), 1e9)


@pytest.mark.parametrize("state", [State.UPLOADING, State.HANDING_OVER])
def test_a_ticket_is_due_while_something_is_under_way(state: State) -> None:
    assert is_due(ticket_in(state), TIMEOUTS_S, 0.0)


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_time(state: State) -> None:
    assert due_at_s(ticket_in(state), TIMEOUTS_S) < 1e9
