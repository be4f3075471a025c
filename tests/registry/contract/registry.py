"""What every registry promises, tested against the Protocol `Registry` only."""

from __future__ import annotations

from typing import Final, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from incoming.core.checkpoints import Checkpoint
from incoming.core.due import DELETION_LEFT_S, is_due, state_timeouts_s
from incoming.core.errors import LengthMismatch, TakenOver, UnknownTicket
from incoming.core.lifecycle import (
    Cancel,
    Claim,
    Complete,
    Confirm,
    Deleted,
    Event,
    Expire,
    FoundIncomplete,
    Post,
    Proved,
    Record,
    Refuse,
    Release,
    SetLength,
    State,
    Told,
    Wait,
)
from incoming.core.ticket import IllegalTransition, Ticket
from incoming.registry import Registry
from incoming.settings.table import Settings

APP: Final = "http://app.example.org/finished"
IDS: Final = tuple(f"2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c1{n}" for n in range(4))
ID, OTHER = IDS[:2]
TICKET: Final = Ticket(ID, APP)
SETTINGS: Final = Settings(
    idle_timeout_s=100.0,
    handover_wait_timeout_s=50.0,
    failed_retention_s=200.0,
    result_retention_s=30.0,
)
ONE_TEST_FOR_ALL: Final = (HealthCheck.function_scoped_fixture, HealthCheck.differing_executors)
TOKENS: Final = ("first", "second")
WRITES: Final[tuple[Event, ...]] = (
    Release(Checkpoint(3, 4)),
    Release(is_whole=True),
    Complete(7),
    Cancel("enough"),
    Record(Checkpoint(3, 4), "boot"),
    SetLength(100, 3),
    Proved(Claim(100, proves=True), 3),
)
"""Whatever a claim may have changed."""
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Claim, st.just(100), st.just("a"), token=st.sampled_from(TOKENS)),
    st.sampled_from([*WRITES, FoundIncomplete(), Expire("idle"), Post(), Wait(), Confirm(), Refuse("no")]),
    st.sampled_from([Told(), Deleted(), Cancel("no", to_delete=True), Confirm(to_delete=True)]),
)


def claim(token: str) -> Claim:
    """Returns a claim with this token."""
    return Claim(100, "holiday.mov", token=token)


class Place(Protocol):
    """A registry that outlives its process, and the service's clock. Its settings are `SETTINGS`."""

    registry: Registry

    def now_s(self) -> float:
        """Returns the service's time."""

    def pass_time(self, duration_s: float) -> None:
        """Lets the service's time pass."""

    def kill(self) -> None:
        """Kills the process. Afterwards `registry` is that of the next one."""

    def after_a_kill(self, ticket: Ticket) -> Ticket:
        """Returns what a ticket has become in a kill that happened now."""


class RegistryContract:
    """Needs a fixture `place`: a registry without tickets."""

    # --- tickets ---------------------------------------------------------------------------------------

    def test_a_ticket_is_found_once_it_was_added_and_survives_a_kill(self, place: Place) -> None:
        place.registry.add(TICKET)
        assert place.registry.get(ID) == TICKET
        place.kill()
        assert place.registry.get(ID) == TICKET

    def test_an_unknown_ticket_raises_unknown_ticket(self, place: Place) -> None:
        with pytest.raises(UnknownTicket):
            place.registry.get(ID)
        with pytest.raises(UnknownTicket):
            place.registry.change(ID, claim("first"))

    def test_a_forgotten_ticket_is_unknown_and_stays_so(self, place: Place) -> None:
        place.registry.add(TICKET)
        place.registry.forget(ID)
        place.registry.forget(ID)
        place.kill()
        with pytest.raises(UnknownTicket):
            place.registry.get(ID)

    def test_all_tickets_are_listed_whatever_happens_to_others_meanwhile(self, place: Place) -> None:
        tickets = [replace(TICKET, id=ticket_id) for ticket_id in IDS]
        for ticket in tickets:
            place.registry.add(ticket)
        listed = place.registry.tickets()
        first = next(listed)
        place.registry.forget(first.id)
        assert sorted([first, *listed], key=lambda ticket: ticket.id) == tickets
        assert first not in list(place.registry.tickets())

    def test_the_unfinished_tickets_of_an_app_are_counted(self, place: Place) -> None:
        app = TICKET.app
        for ticket_id in IDS[:3]:
            place.registry.add(replace(TICKET, id=ticket_id))
        place.registry.change(ID, claim("first"))
        assert place.registry.unfinished(app) == 3
        place.registry.change(ID, Complete(7))
        place.registry.change(OTHER, Cancel("enough"))
        assert place.registry.unfinished(app) == 1
        place.registry.forget(IDS[2])
        assert (place.registry.unfinished(app), place.registry.unfinished("another")) == (0, 0)

    # --- changes ---------------------------------------------------------------------------------------

    def test_a_change_applies_one_event_at_the_time_of_the_service(self, place: Place) -> None:
        place.registry.add(TICKET)
        place.pass_time(50)
        changed = place.registry.change(ID, claim("first"))
        assert changed == place.registry.get(ID) == TICKET.apply(claim("first"), place.now_s())

    def test_a_change_that_may_wait_is_there_and_survives_with_the_next_one(self, place: Place) -> None:
        place.registry.add(TICKET)
        claimed = place.registry.change(ID, claim("first"), may_wait=True)
        assert claimed == place.registry.get(ID) == TICKET.apply(claim("first"), place.now_s())
        completed = place.registry.change(ID, Complete(7), "first")
        assert place.registry.is_kept(ID)
        place.kill()
        assert place.registry.get(ID) == place.after_a_kill(completed)
        assert place.registry.get(ID).name == "holiday.mov"

    @pytest.mark.parametrize("how", ["keep", "another claim"])
    def test_a_change_that_may_wait_survives_once_that_is_asked_for(self, place: Place, how: str) -> None:
        place.registry.add(TICKET)
        changed = place.registry.change(ID, claim("first"), may_wait=True)
        if how == "keep":
            place.registry.keep(ID)
        else:
            changed = place.registry.change(ID, claim("second"))
        assert place.registry.is_kept(ID)
        place.kill()
        assert place.registry.get(ID) == place.after_a_kill(changed)

    def test_a_kill_leaves_a_ticket_as_it_was_kept(self, place: Place) -> None:
        place.registry.add(TICKET)
        changed = place.registry.change(ID, claim("first"), may_wait=True)
        kept = changed if place.registry.is_kept(ID) else TICKET
        place.kill()
        assert place.registry.get(ID) == place.after_a_kill(kept)

    def test_a_forgotten_ticket_has_no_change_that_waits(self, place: Place) -> None:
        place.registry.add(TICKET)
        place.registry.change(ID, claim("first"), may_wait=True)
        place.registry.forget(ID)
        place.registry.keep(ID)
        assert place.registry.is_kept(ID)

    def test_a_change_survives_a_kill(self, place: Place) -> None:
        place.registry.add(TICKET)
        place.registry.change(ID, claim("first"))
        place.registry.change(ID, Complete(7))
        place.kill()
        assert (place.registry.get(ID).state, place.registry.get(ID).crc32c) == (State.HANDING_OVER, 7)

    def test_an_event_without_a_place_in_the_state_changes_nothing(self, place: Place) -> None:
        place.registry.add(TICKET)
        with pytest.raises(IllegalTransition):
            place.registry.change(ID, Complete(7))
        assert place.registry.get(ID) == TICKET

    def test_a_change_is_refused_when_the_ticket_is_not_the_one_that_was_seen(self, place: Place) -> None:
        place.registry.add(TICKET)
        seen = place.registry.get(ID)
        claimed = place.registry.change(ID, claim("first"))
        paused = place.registry.change(ID, Release())
        for old in (seen, claimed):
            with pytest.raises(IllegalTransition):
                place.registry.change(ID, Expire("idle"), seen=old)
        assert place.registry.get(ID) == paused
        assert place.registry.change(ID, Expire("idle"), seen=paused).state is State.EXPIRED

    # --- the fence -------------------------------------------------------------------------------------

    @pytest.mark.parametrize("event", WRITES, ids=lambda event: type(event).__name__)
    def test_a_claim_that_was_taken_over_changes_nothing(self, place: Place, event: Event) -> None:
        place.registry.add(TICKET)
        place.registry.change(ID, claim("first"))
        newest = place.registry.change(ID, claim("second"))
        assert newest.token == "second"
        for stale in ("first", "", "third"):
            with pytest.raises(TakenOver):
                place.registry.change(ID, event, stale)
        assert place.registry.get(ID) == newest
        place.registry.change(ID, event, "second")

    def test_a_claim_does_not_outlive_a_kill_of_all_processes(self, place: Place) -> None:
        place.registry.add(TICKET)
        place.registry.change(ID, claim("first"))
        place.kill()
        place.registry.change(ID, claim("second"))
        with pytest.raises(TakenOver):
            place.registry.change(ID, Complete(7), "first")

    def test_the_epoch_counts_claims(self, place: Place) -> None:
        place.registry.add(TICKET)
        for epoch in (1, 2, 3):
            assert place.registry.change(ID, claim("same")).epoch == epoch
        assert place.registry.change(ID, Release(), "same").state is State.PAUSED

    # --- what is due -----------------------------------------------------------------------------------

    def test_a_ticket_is_due_when_it_has_rested_and_until_it_changes(self, place: Place) -> None:
        place.registry.add(replace(TICKET, issued_at_s=place.now_s(), changed_at_s=place.now_s()))
        assert list(place.registry.due(place.now_s() + 99.0)) == []
        for _ in range(2):
            [due] = place.registry.due(place.now_s() + 101.0)
            assert due.id == ID
        place.registry.change(ID, Expire("idle"))
        place.registry.change(ID, Told())
        assert list(place.registry.due(place.now_s() + 29.0)) == []
        assert len(list(place.registry.due(place.now_s() + 31.0))) == 1
        place.registry.forget(ID)
        assert list(place.registry.due(1e9)) == []

    def test_files_that_an_end_has_left_are_due_until_they_are_deleted(self, place: Place) -> None:
        place.registry.add(replace(TICKET, issued_at_s=place.now_s(), changed_at_s=place.now_s()))
        place.registry.change(ID, Cancel("enough", by_app=True, to_delete=True))
        place.kill()
        assert place.registry.get(ID).to_delete
        ended_at_s = place.registry.get(ID).changed_at_s
        assert list(place.registry.due(ended_at_s + DELETION_LEFT_S)) == []
        for _ in range(2):
            assert [one.id for one in place.registry.due(ended_at_s + DELETION_LEFT_S + 1)] == [ID]
            assert [one.id for one in place.registry.due(1e9)] == [ID], (
                "once, though its time is over as well"
            )
        assert not place.registry.change(ID, Deleted()).to_delete
        assert list(place.registry.due(ended_at_s + DELETION_LEFT_S + 1)) == []
        assert [one.id for one in place.registry.due(1e9)] == [ID]

    def test_tickets_may_change_while_due_ones_are_read(self, place: Place) -> None:
        for ticket_id in IDS:
            place.registry.add(replace(TICKET, id=ticket_id))
        seen = []
        for ticket in place.registry.due(1e9):
            seen.append(ticket.id)
            place.registry.forget(ticket.id)
        assert sorted(seen) == sorted(IDS)

    @settings(derandomize=True, deadline=None, max_examples=50, suppress_health_check=ONE_TEST_FOR_ALL)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 3),
                st.sampled_from(["add", "forget", "change", "change", "change"]),
                events,
                st.none() | st.sampled_from(TOKENS),
                st.sampled_from([0.0, 1.0, 40.0]),
            ),
            max_size=25,
        ),
        st.booleans(),
    )
    def test_any_order_of_calls_does_what_the_ticket_says(
        self, place: Place, calls: list[tuple[int, str, Event, str | None, float]], ends_in_a_kill: bool
    ) -> None:
        for ticket_id in IDS:
            place.registry.forget(ticket_id)
        model: dict[str, Ticket] = {}
        for number, what, event, token, passes_s in calls:
            ticket_id, now_s = IDS[number], place.now_s()
            if what == "add" and ticket_id not in model:
                model[ticket_id] = Ticket(ticket_id, APP, issued_at_s=now_s, changed_at_s=now_s)
                place.registry.add(model[ticket_id])
            elif what == "forget":
                model.pop(ticket_id, None)
                place.registry.forget(ticket_id)
            else:
                _change_both(place, model, ticket_id, event, token)
            place.pass_time(passes_s)
            _compare(place, model)
        if ends_in_a_kill:
            place.kill()
            _compare(place, {key: place.after_a_kill(ticket) for key, ticket in model.items()})


def _change_both(
    place: Place, model: dict[str, Ticket], ticket_id: str, event: Event, token: str | None
) -> None:
    """Changes the ticket in the registry and in the model, or neither."""
    ticket = model.get(ticket_id)
    if ticket is None:
        with pytest.raises(UnknownTicket):
            place.registry.change(ticket_id, event, token)
    elif token not in (None, ticket.token):
        with pytest.raises(TakenOver):
            place.registry.change(ticket_id, event, token)
    else:
        try:
            model[ticket_id] = ticket.apply(event, place.now_s())
        except (IllegalTransition, LengthMismatch) as refusal:
            with pytest.raises(type(refusal)):
                place.registry.change(ticket_id, event, token)
        else:
            assert place.registry.change(ticket_id, event, token) == model[ticket_id]


def _compare(place: Place, model: dict[str, Ticket]) -> None:
    """The registry has the model's tickets, and the same of them are due."""
    assert {ticket.id: ticket for ticket in place.registry.tickets()} == model
    timeouts_s = state_timeouts_s(SETTINGS)
    for ahead_s in (0.0, 35.0, 70.0, 150.0, 1000.0):
        now_s = place.now_s() + ahead_s
        due = [ticket.id for ticket in place.registry.due(now_s)]
        assert sorted(due) == sorted(
            key for key, ticket in model.items() if is_due(ticket, timeouts_s, now_s)
        )
