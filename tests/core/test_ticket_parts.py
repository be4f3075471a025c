"""A ticket whose file comes in parts: when parts may come, and what it is once they have become the file."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from incoming.core.checkpoints import Checkpoint
from incoming.core.errors import BadAssembly, InParts, LengthMismatch, NotInParts, UnknownPart, WrongState
from incoming.core.lifecycle import (
    ARRIVED,
    RECEIVING,
    AddPart,
    Assemble,
    Cancel,
    Claim,
    ClaimPart,
    Complete,
    Event,
    Expire,
    PlanAssembly,
    Proved,
    Release,
    RemovePart,
    SetLength,
    SetPartLength,
    State,
)
from incoming.core.parts import Assembly, Part, UploadParts
from incoming.core.ticket import IllegalTransition, Ticket
from incoming.registry.entries import decode, encode

ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
ISSUED = Ticket(ID, "http://app/")
PLAN = PlanAssembly((2, 1), "/uploads/x/parts/", "holiday.mov", "filename aA==")
WHOLE = Checkpoint(15, 0xABCD)


def after(*events: Event, ticket: Ticket = ISSUED) -> Ticket:
    for now_s, event in enumerate(events, 1):
        ticket = ticket.apply(event, float(now_s))
    return ticket


IN_PARTS = after(AddPart(10, "a YQ=="), AddPart(5))


def test_an_upload_comes_in_parts_from_its_first_part_on() -> None:
    assert not ISSUED.is_in_parts
    assert IN_PARTS.is_in_parts
    assert (IN_PARTS.state, IN_PARTS.changed_at_s) == (State.PAUSED, 1.0)
    assert IN_PARTS.parts == UploadParts((Part(1, 0, 10, "a YQ=="), Part(2, 10, 5)), 2, None)
    assert (IN_PARTS.length_bytes, IN_PARTS.expected_bytes) == (None, 15)


def test_it_is_uploading_while_a_part_is_held() -> None:
    claimed = after(ClaimPart(), ClaimPart(), ticket=IN_PARTS)
    assert (claimed.state, claimed.changed_at_s) == (State.UPLOADING, 1.0)
    assert claimed.apply(AddPart(1), 7.0).changed_at_s == 1.0
    assert claimed.apply(Release(), 9.0).state is State.PAUSED


def test_it_can_not_be_claimed_as_a_whole_until_its_parts_are_the_file() -> None:
    for ticket in (IN_PARTS, IN_PARTS.apply(ClaimPart(), 1.0), IN_PARTS.apply(PLAN, 1.0)):
        with pytest.raises(InParts):
            ticket.apply(Claim(15), 2.0)
    whole = after(PLAN, Assemble(WHOLE, "boot"), ticket=IN_PARTS)
    assert whole.apply(Claim(15), 2.0).state is State.UPLOADING


@pytest.mark.parametrize("events", [[Claim(15)], [Claim(15), Release()], [Claim(None)]])
def test_an_upload_that_was_begun_as_a_whole_takes_no_parts(events: list[Event]) -> None:
    with pytest.raises(NotInParts):
        after(*events, AddPart(10))


@pytest.mark.parametrize(
    "event", [ClaimPart(), SetPartLength(1, 1, 0), RemovePart(1), PLAN, Assemble(WHOLE, "")]
)
@pytest.mark.parametrize(
    "before", [[], [Claim(15)], [Claim(15), Release()]], ids=["issued", "uploading", "paused"]
)
def test_an_upload_without_parts_knows_no_events_of_parts(before: list[Event], event: Event) -> None:
    ticket = after(*before)
    with pytest.raises(IllegalTransition):
        ticket.apply(event, 9.0)


@pytest.mark.parametrize("event", [Complete(), Proved(Claim(15), 0), SetLength(15, 0)])
def test_parts_are_not_complete_before_they_are_the_file(event: Event) -> None:
    for ticket in (IN_PARTS, IN_PARTS.apply(ClaimPart(), 1.0)):
        with pytest.raises(IllegalTransition):
            replace(ticket, length_bytes=15).apply(event, 9.0)


@pytest.mark.parametrize("was_claimed", [True, False])
def test_without_its_last_part_an_upload_is_as_if_there_had_never_been_one(was_claimed: bool) -> None:
    ticket = IN_PARTS.apply(ClaimPart(), 2.0) if was_claimed else IN_PARTS
    one_left = ticket.apply(RemovePart(2), 5.0)
    assert (one_left.state, one_left.is_in_parts) == (ticket.state, True)
    empty = one_left.apply(RemovePart(1), 6.0)
    assert (empty.state, empty.changed_at_s, empty.is_in_parts) == (State.ISSUED, 6.0, False)
    assert empty.apply(Claim(3, "x"), 7.0).name == "x"
    again = empty.apply(AddPart(7), 7.0)
    assert again.parts == UploadParts((Part(3, 0, 7),), 3, None)
    with pytest.raises(UnknownPart):
        ticket.apply(RemovePart(3), 5.0)


def test_the_final_upload_says_what_the_file_is_and_the_newest_one_counts() -> None:
    planned = IN_PARTS.apply(PlanAssembly((1,), "", "old.mov", "x YQ=="), 3.0).apply(PLAN, 4.0)
    assert planned.parts and planned.parts.assembly == Assembly((2, 1), "/uploads/x/parts/")
    assert (planned.name, planned.upload_metadata) == ("holiday.mov", "filename aA==")
    assert planned.state is State.PAUSED
    long = IN_PARTS.apply(PlanAssembly((1,), "", "n" * 300, "m" * 5000), 3.0)
    assert (len(long.name), long.upload_metadata) == (255, ""), "what a stranger stores is bounded"


def test_parts_that_have_become_the_file_are_remembered_and_closed() -> None:
    whole = after(PLAN, Assemble(WHOLE, "boot"), ticket=IN_PARTS)
    assert not whole.is_in_parts
    assert (whole.state, whole.length_bytes, whole.boot_id) == (State.PAUSED, 15, "boot")
    assert whole.checkpoints == (WHOLE,)
    assert whole.parts and whole.parts.is_done and len(whole.parts.present) == 2
    for event in (AddPart(1), ClaimPart(), RemovePart(1), PLAN, Assemble(WHOLE, "")):
        with pytest.raises(WrongState if not isinstance(event, AddPart) else NotInParts):
            whole.apply(event, 9.0)
    arrived = whole.apply(Complete(WHOLE.crc32c), 9.0)
    assert arrived.state is State.HANDING_OVER
    assert arrived.parts == whole.parts


@pytest.mark.parametrize("event", [Cancel("why"), Expire("why")])
def test_an_upload_that_is_called_off_forgets_its_parts(event: Event) -> None:
    assert IN_PARTS.apply(event, 3.0).parts is None


def test_the_length_that_the_app_has_set_is_that_of_the_file() -> None:
    ticket = after(AddPart(10), AddPart(None), ticket=replace(ISSUED, length_bytes=15))
    assert ticket.expected_bytes == 15
    with pytest.raises(LengthMismatch):
        ticket.apply(PlanAssembly((1,)), 3.0)
    planned = after(ClaimPart(), PlanAssembly((2, 1)), ticket=ticket)
    with pytest.raises(LengthMismatch):
        planned.apply(SetPartLength(2, 6, 0), 4.0)
    assert planned.apply(SetPartLength(2, 5, 0), 4.0).expected_bytes == 15
    unplanned = ticket.apply(ClaimPart(), 3.0)
    assert unplanned.apply(SetPartLength(2, 6, 0), 4.0).expected_bytes == 15, "another one may do"


def test_a_part_is_like_a_ticket_of_its_own() -> None:
    ticket = replace(IN_PARTS, max_bytes=99, name="x")
    part = ticket.of_part(1)
    assert (part.id, part.short_id) == (f"{ID}/parts/1", ID[:8])
    assert (part.length_bytes, part.upload_metadata, part.name) == (10, "a YQ==", "")
    assert (part.max_bytes, part.state, part.parts) == (99, State.PAUSED, None)
    with pytest.raises(UnknownPart):
        ticket.of_part(3)
    with pytest.raises(UnknownPart):
        ISSUED.of_part(1)


def test_what_clients_say_of_parts_is_not_meant_for_logs() -> None:
    assert "YQ==" not in repr(after(PLAN, ticket=IN_PARTS))
    assert "/uploads/" not in repr(after(PLAN, ticket=IN_PARTS))


events = st.one_of(
    st.builds(AddPart, st.none() | st.integers(0, 3)),
    st.builds(SetPartLength, st.integers(1, 3), st.integers(0, 3), st.integers(0, 3)),
    st.builds(RemovePart, st.integers(1, 3)),
    st.builds(PlanAssembly, st.lists(st.integers(1, 3), max_size=3).map(tuple)),
    st.builds(Assemble, st.builds(Checkpoint, st.integers(0, 9), st.integers(0, 9)), st.just("boot")),
    st.sampled_from(
        [ClaimPart(), Release(), Claim(3), SetLength(3, 0), Complete(), Cancel("x"), Expire("x")]
    ),
)


@settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(events, max_size=30), st.none() | st.integers(0, 9))
def test_no_order_of_events_breaks_a_ticket_in_parts(life: list[Event], length_bytes: int | None) -> None:
    ticket = replace(ISSUED, length_bytes=length_bytes)
    for now_s, event in enumerate(life, 1):
        with suppress(WrongState, LengthMismatch, InParts, NotInParts, UnknownPart, BadAssembly):
            before, ticket = ticket, ticket.apply(event, float(now_s))
            assert before.state in RECEIVING or ticket.state not in RECEIVING
            assert decode(encode(ticket), ID) == ticket.persisted()
            assert not ticket.is_in_parts or ticket.state in (State.UPLOADING, State.PAUSED)
            assert not (before.is_in_parts and ticket.state in ARRIVED)
            if before.parts and ticket.parts:
                assert ticket.parts.created >= before.parts.created
