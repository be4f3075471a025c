"""The ticket: the whole transition table, what each event leaves behind, what no order of events breaks."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from incoming.core.checkpoints import Checkpoint
from incoming.core.errors import LengthMismatch, NotInParts, TooManyParts, WrongState
from incoming.core.lifecycle import (
    ARRIVED,
    CALLED_OFF,
    ENDED,
    RECEIVING,
    AddPart,
    BeginUnchecked,
    Cancel,
    Claim,
    Complete,
    Confirm,
    Deleted,
    EndUnchecked,
    Event,
    Expire,
    FoundIncomplete,
    Lapse,
    LeaveOut,
    PlanAssembly,
    Post,
    Proved,
    Record,
    Refuse,
    Release,
    Retry,
    SetLength,
    StartAgain,
    State,
    Told,
    Wait,
)
from incoming.core.parts import NO_PARTS
from incoming.core.ticket import IllegalTransition, Ticket
from incoming.registry.entries import ticket_entry

THEN_S, NOW_S = 100.0, 250.0

EVENTS: dict[str, Event] = {
    "claim": Claim(10, "a.bin"),
    "proved": Proved(Claim(77, "a.bin"), 70),
    "length": SetLength(77, 70),
    "again": StartAgain(),
    "mark": BeginUnchecked(70),
    "checked": EndUnchecked(),
    "release": Release(),
    "incomplete": FoundIncomplete(),
    "complete": Complete(),
    "cancel": Cancel("why"),
    "expire": Expire("why"),
    "post": Post(),
    "wait": Wait(),
    "confirm": Confirm(),
    "refuse": Refuse("why"),
    "lapse": Lapse("why", final=False),
    "last lapse": Lapse("why", final=True),
    "retry": Retry(),
    "told": Told(),
    "deleted": Deleted(),
}

# Written down a second time on purpose: state -> event -> next state. What is missing is illegal.
STAYS = {"claim": "same", "release": "same"}
TABLE: dict[State, dict[str, str]] = {
    State.ISSUED: {"claim": "uploading", "cancel": "cancelled", "expire": "expired"},
    State.UPLOADING: {
        "claim": "same", "proved": "same", "length": "same", "again": "issued", "mark": "same",
        "checked": "same", "release": "paused", "complete": "handing_over", "cancel": "cancelled"},
    State.PAUSED: {
        "claim": "uploading", "incomplete": "same", "complete": "handing_over", "cancel": "cancelled",
        "expire": "expired"},
    State.HANDING_OVER: STAYS | {
        "post": "same", "wait": "waiting", "confirm": "finished", "refuse": "failed",
        "lapse": "failed", "last lapse": "failed"},
    State.WAITING: STAYS | {"confirm": "finished", "lapse": "handing_over", "last lapse": "failed"},
    State.FINISHED: STAYS | {"confirm": "same", "wait": "same", "deleted": "same"},
    State.FAILED: {"release": "same", "retry": "handing_over", "expire": "expired"},
    State.CANCELLED: {"release": "same", "told": "same", "deleted": "same"},
    State.EXPIRED: {"release": "same", "told": "same", "deleted": "same"},
}  # fmt: skip
ALLOWED = [(state, name, target) for state, row in TABLE.items() for name, target in row.items()]
FORBIDDEN = [(state, name) for state in State for name in EVENTS if name not in TABLE[state]]


def ticket_in(state: State) -> Ticket:
    """A ticket as it may stand in `state`, with something to lose in every field."""
    issued = state is State.ISSUED
    return Ticket(
        id="0f8fad5b-d9cb-469f-a165-70867728950e",
        signal_finish_url="http://app/finished",
        secret="s3cret",
        issued_at_s=1.0,
        changed_at_s=THEN_S,
        state=state,
        epoch=0 if issued else 3,
        token="" if issued else "the token before",
        length_bytes=None if issued else 77,
        name="" if issued else "first.bin",
        reason="before",
        deliveries=4,
        asks=2,
    )


@pytest.mark.parametrize(("state", "name", "target"), ALLOWED)
def test_an_allowed_event_leads_where_the_table_says(state: State, name: str, target: str) -> None:
    after = ticket_in(state).apply(EVENTS[name], NOW_S)
    assert after.state is (state if target == "same" else State(target))
    assert after.changed_at_s == (THEN_S if target == "same" else NOW_S)


@pytest.mark.parametrize(("state", "name"), FORBIDDEN)
def test_any_other_event_is_refused_and_changes_nothing(state: State, name: str) -> None:
    ticket = ticket_in(state)
    with pytest.raises(IllegalTransition) as refusal:
        ticket.apply(EVENTS[name], NOW_S)
    assert ticket == ticket_in(state)
    assert (refusal.value.state, refusal.value.event) == (state, EVENTS[name])


def test_a_refused_event_is_a_412_that_names_the_state_in_words() -> None:
    with pytest.raises(WrongState, match=r"the upload is handing over\.$") as refusal:
        ticket_in(State.HANDING_OVER).apply(Cancel("no"), NOW_S)
    assert refusal.value.http_status == 412


def test_every_state_is_receiving_or_arrived_or_called_off() -> None:
    assert set(State) == RECEIVING | ARRIVED | CALLED_OFF
    assert not RECEIVING & ARRIVED and not RECEIVING & CALLED_OFF and not ARRIVED & CALLED_OFF


# --- what an event leaves behind beside the state ------------------------------------------------

CLAIM = Claim(10, "a.bin", token="t")
BESIDE_THE_STATE: list[tuple[State, Event, dict[str, object]]] = [
    (
        State.ISSUED,
        CLAIM,
        {"epoch": 1, "token": "t", "length_bytes": 10, "name": "a.bin"},
    ),
    (State.UPLOADING, CLAIM, {"epoch": 4, "token": "t"}),  # the first length and name stay
    (State.UPLOADING, Release(), {}),
    (State.UPLOADING, Release(is_whole=True), {"is_whole": True}),
    (State.HANDING_OVER, Release(is_whole=True), {}),
    (State.PAUSED, FoundIncomplete(), {"is_whole": False}),
    (State.UPLOADING, BeginUnchecked(7), {"checked_bytes": 7}),
    (State.UPLOADING, EndUnchecked(Checkpoint(7, 5)), {"checkpoints": (Checkpoint(7, 5),)}),
    (State.UPLOADING, Complete(), {}),
    (State.UPLOADING, Complete(left_out=(1, 3)), {"left_out": (1, 3)}),
    (State.UPLOADING, Complete(left_out=tuple(range(1000))), {"left_out": tuple(range(1000))}),
    (State.UPLOADING, Complete(left_out=tuple(range(1001))), {}),  # too many for each entry of the journal
    (State.UPLOADING, Cancel("user"), {"reason": "user", "app_told": False, "deliveries": 0}),
    (State.ISSUED, Cancel("app", by_app=True), {"reason": "app", "app_told": True, "deliveries": 0}),
    (State.PAUSED, Expire("idle"), {"reason": "idle", "deliveries": 0}),
    (State.FAILED, Expire("kept"), {"reason": "kept", "deliveries": 0}),
    (State.HANDING_OVER, Post(), {"deliveries": 5}),
    (State.HANDING_OVER, Wait(), {}),
    (State.HANDING_OVER, Confirm(), {}),
    (State.HANDING_OVER, Refuse("404"), {"reason": "404"}),
    (State.HANDING_OVER, Lapse("silent"), {"reason": "silent", "asks": 3}),
    (State.WAITING, Lapse("never", final=False), {"reason": "", "asks": 3}),
    (State.WAITING, Lapse("never", final=True), {"reason": "never", "asks": 3}),
    (State.FAILED, Retry(), {"reason": "", "asks": 0}),  # deliveries stay: the next call is a repeated one
    (State.CANCELLED, Told(), {"app_told": True}),
    (State.UPLOADING, Cancel("user", to_delete=True), {"reason": "user", "deliveries": 0, "to_delete": True}),
    (State.FAILED, Expire("kept", to_delete=True), {"reason": "kept", "deliveries": 0, "to_delete": True}),
    (State.WAITING, Confirm(to_delete=True), {"to_delete": True}),
    (State.FINISHED, Confirm(to_delete=True), {}),  # it has ended before
]


@pytest.mark.parametrize(("state", "event", "news"), BESIDE_THE_STATE)
def test_an_event_changes_these_fields_and_no_other(
    state: State, event: Event, news: dict[str, object]
) -> None:
    before = ticket_in(state)
    after = before.apply(event, NOW_S)
    expected = replace(before, state=after.state, changed_at_s=after.changed_at_s)
    assert after == replace(expected, **news)


def test_the_length_may_be_told_after_the_claim() -> None:
    claimed = replace(ticket_in(State.ISSUED), length_bytes=None).apply(Claim(None, "a.bin"), 1.0)
    assert (claimed.length_bytes, claimed.name) == (None, "a.bin")
    measured = claimed.apply(SetLength(10, stored_bytes=10), 2.0)
    assert measured == replace(claimed, length_bytes=10, length_is_said=True)
    assert measured.apply(SetLength(10, stored_bytes=10), 3.0) == measured


@pytest.mark.parametrize("known_bytes", [None, 11])
def test_the_length_is_told_once_and_is_not_below_what_is_stored(known_bytes: int | None) -> None:
    ticket = replace(ticket_in(State.UPLOADING), length_bytes=known_bytes)
    with pytest.raises(LengthMismatch) as refusal:
        ticket.apply(SetLength(10, stored_bytes=11), NOW_S)
    expected = refusal.value.expected_file
    assert expected and (expected.length_bytes, expected.min_bytes) == (
        known_bytes,
        0 if known_bytes else 11,
    )
    least = "" if known_bytes else "at least "
    assert str(refusal.value).endswith(f"that file has {least}11 bytes, this one has 10 bytes.")


@pytest.mark.parametrize("state", [State.UPLOADING, State.PAUSED])
def test_what_a_later_claim_tells_of_the_file_counts_once_its_client_has_proved_that_it_has_it(
    state: State,
) -> None:
    ticket = replace(ticket_in(state), length_bytes=None, needs_proof=False)
    digest = f"sha256:{'0f' * 32}"
    said = Claim(10, "other.bin", 99, proves=True, upload_metadata="filename eA==", file_digest=digest)
    claimed = ticket.apply(said, NOW_S)
    as_before = replace(ticket, state=State.UPLOADING, changed_at_s=claimed.changed_at_s)
    assert claimed == replace(as_before, epoch=ticket.epoch + 1, token=said.token)
    assert claimed.would_learn(said)
    proved = claimed.apply(Proved(said, 10), NOW_S)
    news: dict[str, object] = {"length_bytes": 10, "needs_proof": True}
    news |= {"upload_metadata": "filename eA==", "file_digest": digest}
    assert proved == replace(claimed, **news)
    assert not proved.would_learn(said)
    assert proved.apply(Proved(Claim(None, proves=True), 10), NOW_S) == proved, "it says nothing of these"


def test_another_length_counts_in_place_of_one_that_was_only_said_while_nothing_is_stored() -> None:
    firm = Claim(10, "a.bin", 99, proves=True, upload_metadata="m", file_digest="sha256:")
    said = dataclasses.replace(firm, keeps_others_out=False)
    other = Claim(20, "b.bin", 7, token="t")
    issued = replace(ticket_in(State.ISSUED), length_bytes=None)
    assert not issued.apply(firm, 1.0).has_other_length(other)
    claimed = issued.apply(said, 1.0)
    again = claimed.apply(other, 2.0)
    assert again == replace(claimed, epoch=2, token="t"), "before the storage has fenced out the others"
    assert again.would_learn(other) and not again.would_learn(said)
    with pytest.raises(LengthMismatch):
        again.apply(Proved(other, 1), 3.0)
    news: dict[str, object] = {"length_bytes": 20, "name": "b.bin", "last_modified_ms": 7}
    news |= {"needs_proof": False, "upload_metadata": "", "file_digest": "", "had_other_length": True}
    news |= {"length_is_said": False}
    assert again.apply(Proved(other, 0), 3.0) == replace(again, **news)
    set_by_app = replace(again, length_is_said=False)
    assert not set_by_app.has_other_length(other)
    with pytest.raises(LengthMismatch):
        set_by_app.apply(Proved(other, 0), 3.0)


def test_a_start_from_the_beginning_forgets_what_clients_have_said() -> None:
    issued = replace(ticket_in(State.ISSUED), length_bytes=None)
    said = Claim(10, "a.bin", 99, proves=True, token="t", upload_metadata="m", file_digest="sha256:")
    claimed = issued.apply(said, 1.0)
    again = claimed.apply(Record(Checkpoint(3, 4), "boot"), 2.0).apply(StartAgain(), NOW_S)
    assert again == replace(issued, epoch=1, token="t", boot_id="boot", changed_at_s=NOW_S)


def test_a_proof_does_not_change_the_length_nor_makes_it_shorter_than_what_is_stored() -> None:
    ticket = ticket_in(State.UPLOADING)
    with pytest.raises(LengthMismatch):
        ticket.apply(Proved(Claim(10), 0), NOW_S)
    with pytest.raises(LengthMismatch):
        replace(ticket, length_bytes=None).apply(Proved(Claim(10), 11), NOW_S)


@pytest.mark.parametrize(
    ("news", "is_news"),
    [
        ({}, False),
        ({"length_bytes": 77}, False),
        ({"proves": True}, True),
        ({"upload_metadata": "a"}, True),
        ({"file_digest": "sha256:"}, True),
        ({"file_digest": "nonsense"}, False),
    ],
)
def test_a_claim_that_says_nothing_new_needs_no_proof_to_count(
    news: dict[str, object], is_news: bool
) -> None:
    said = Claim(**{"length_bytes": None, **news})  # type: ignore[arg-type]
    ticket = replace(ticket_in(State.PAUSED), needs_proof=False)
    assert ticket.would_learn(said) is is_news
    assert not ticket_in(State.HANDING_OVER).would_learn(said)


@pytest.mark.parametrize("state", [State.UPLOADING, State.PAUSED])
def test_an_upload_of_unknown_length_is_never_complete(state: State) -> None:
    with pytest.raises(IllegalTransition):
        replace(ticket_in(state), length_bytes=None).apply(Complete(), NOW_S)


MARKED = {
    State.UPLOADING: {"claim", "checked", "cancel", "again"},
    State.PAUSED: {"claim", "cancel", "expire"},
}


@pytest.mark.parametrize(("state", "name"), [(state, name) for state in MARKED for name in TABLE[state]])
def test_a_mark_stays_until_somebody_has_dealt_with_the_unchecked_bytes(state: State, name: str) -> None:
    """A claim and the end of an upload do; a release and a length do not."""
    ticket = replace(ticket_in(state), checked_bytes=7)
    if name in ("complete", "mark"):
        with pytest.raises(IllegalTransition):
            ticket.apply(EVENTS[name], NOW_S)
        return
    after = ticket.apply(EVENTS[name], NOW_S)
    assert after.checked_bytes == (None if name in MARKED[state] else 7)


@pytest.mark.parametrize("state", [State.UPLOADING, State.PAUSED])
def test_an_upload_is_complete_if_all_its_bytes_are_in_front_of_the_mark(state: State) -> None:
    assert replace(ticket_in(state), checked_bytes=77).apply(Complete(), NOW_S).checked_bytes is None


@pytest.mark.parametrize(("checked_bytes", "stored_bytes", "counting"), [(None, 9, 9), (7, 9, 7), (7, 5, 5)])
def test_unchecked_bytes_do_not_count(checked_bytes: int | None, stored_bytes: int, counting: int) -> None:
    ticket = replace(ticket_in(State.UPLOADING), checked_bytes=checked_bytes)
    assert ticket.acknowledged_bytes(stored_bytes) == counting


@pytest.mark.parametrize("event", [Record(Checkpoint(8, 5), "boot"), Release(Checkpoint(8, 5))])
def test_a_checkpoint_of_unchecked_bytes_is_not_kept(event: Record | Release) -> None:
    ticket = replace(ticket_in(State.UPLOADING), checked_bytes=7)
    assert ticket.apply(event, NOW_S).checkpoints == ()
    assert replace(ticket, checked_bytes=8).apply(event, NOW_S).checkpoints == (Checkpoint(8, 5),)


def test_what_is_left_out_of_a_folder_ends_the_checkpoints_behind_its_beginning() -> None:
    checkpoints = (Checkpoint(5, 1), Checkpoint(8, 2), Checkpoint(9, 3))
    ticket = replace(ticket_in(State.UPLOADING), checkpoints=checkpoints)
    assert ticket.apply(LeaveOut(8), NOW_S).checkpoints == checkpoints[:2]


def test_a_restart_keeps_the_mark() -> None:
    ticket = replace(ticket_in(State.UPLOADING), checked_bytes=7)
    assert ticket.persisted().recovered(NOW_S).checked_bytes == 7


def test_a_new_ticket_is_issued_and_empty() -> None:
    ticket = Ticket("id", "http://app/")
    assert ticket.state is State.ISSUED
    assert ticket.remove_file_when_finished and not ticket.app_told and not ticket.secret_required
    assert (ticket.epoch, ticket.deliveries, ticket.asks, ticket.length_bytes) == (0, 0, 0, None)
    assert (ticket.secret, ticket.name, ticket.reason) == ("", "", "")


def test_the_words_for_the_states_are_those_of_journals_that_exist() -> None:
    words = "issued uploading paused handing_over waiting finished failed cancelled expired"
    assert [state.value for state in State] == words.split()


# --- secrets ------------------------------------------------------------------------

ADMITS = [
    # the ticket's secret, required, the secret that is given, admitted?
    ("", False, "", True),
    ("", False, "guess", False),
    ("s3cret", True, "s3cret", True),
    ("s3cret", True, "", False),
    ("s3cret", True, "S3cret", False),
    ("s3cret", True, "s3cret ", False),
    ("older", False, "", True),  # apps of the signalFinishSecret era send none back
    ("older", False, "older", True),
    ("older", False, "guess", False),
    ("sécret ☂", True, "sécret ☂", True),
    ("sécret ☂", True, "secret", False),
]


@pytest.mark.parametrize(("secret", "required", "given_secret", "admitted"), ADMITS)
def test_a_secret_is_admitted_by_the_rules_of_its_era(
    secret: str, required: bool, given_secret: str, admitted: bool
) -> None:
    ticket = Ticket("id", "http://app/", secret=secret, secret_required=required)
    assert ticket.admits(given_secret) is admitted


def test_neither_the_secret_nor_the_whole_id_is_meant_for_logs() -> None:
    ticket = ticket_in(State.PAUSED)
    assert "s3cret" not in repr(ticket)
    assert ticket.short_id == "0f8fad5b"


# --- what is left to be done, and what outlives the process ----------------------------------------


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("app_told", [False, True])
def test_a_ticket_is_settled_once_finished_or_once_the_app_knows_that_it_was_called_off(
    state: State, app_told: bool
) -> None:
    ticket = replace(ticket_in(state), app_told=app_told)
    assert ticket.may_be_forgotten is (state is State.FINISHED or (state in CALLED_OFF and app_told))


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("remove", [False, True])
def test_only_a_finished_file_that_the_app_wanted_to_move_is_not_ours(state: State, remove: bool) -> None:
    ticket = replace(ticket_in(state), remove_file_when_finished=remove)
    assert ticket.file_is_ours is (remove or state is not State.FINISHED)


@pytest.mark.parametrize("state", State)
def test_claims_and_calls_die_with_the_process_and_nothing_else_does(state: State) -> None:
    ticket = ticket_in(state)
    assert ticket.persisted() == replace(ticket, epoch=0, token="", deliveries=0)


@pytest.mark.parametrize("state", [state for state in State if state not in (State.UPLOADING, *ARRIVED)])
def test_a_restart_changes_nothing_for_a_ticket_that_nobody_was_using(state: State) -> None:
    assert ticket_in(state).recovered(NOW_S) == ticket_in(state)


def test_after_a_restart_an_upload_is_paused_since_then() -> None:
    uploading = ticket_in(State.UPLOADING)
    assert uploading.recovered(NOW_S) == replace(uploading, state=State.PAUSED, changed_at_s=NOW_S)


AGAIN: dict[State, list[Event]] = {
    State.HANDING_OVER: [Post()],
    State.WAITING: [Lapse("why", final=False), Post()],
    State.FAILED: [Retry(), Post()],
}


@pytest.mark.parametrize("state", AGAIN)
def test_after_a_restart_the_next_call_to_the_app_counts_as_a_repeated_one(state: State) -> None:
    ticket = ticket_in(state).persisted().recovered(NOW_S)
    assert ticket == replace(ticket_in(state), epoch=0, token="", deliveries=1)
    for event in AGAIN[state]:
        ticket = ticket.apply(event, NOW_S)
    assert ticket.deliveries > 1


# --- any order of events ---------------------------------------------------------------------------

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
events = st.one_of(
    st.builds(Claim, st.none() | st.integers(0, 3), st.sampled_from(["a", "b"])),
    st.builds(SetLength, st.integers(0, 3), st.integers(0, 3)),
    st.builds(Proved, st.builds(Claim, st.none() | st.integers(0, 3)), st.integers(0, 3)),
    st.builds(Cancel, st.just("why"), st.booleans()),
    st.builds(Lapse, st.just("why"), st.booleans()),
    st.sampled_from([event for name, event in EVENTS.items() if name not in ("claim", "cancel", "lapse")]),
)
FINAL = {State.FINISHED, State.CANCELLED, State.EXPIRED}


def check_step(before: Ticket, event: Event, after: Ticket, now_s: float) -> None:
    """What holds for every step of every life."""
    assert before.state not in FINAL or after.state is before.state
    assert before.state in RECEIVING or after.state not in RECEIVING  # no bytes after the end or the arrival
    if before.length_bytes is not None and not isinstance(event, StartAgain):
        assert after.length_bytes == before.length_bytes
    if before.state is not State.ISSUED and not isinstance(event, StartAgain):
        assert after.name == before.name
    assert after.epoch == before.epoch + isinstance(event, Claim)
    assert after.changed_at_s == (before.changed_at_s if after.state is before.state else now_s)
    assert after.app_told >= before.app_told
    assert after.app_told <= (after.state in CALLED_OFF)
    assert (after.length_bytes is None) <= (after.state not in ARRIVED)
    assert after.deliveries >= before.deliveries or after.state in CALLED_OFF
    assert (before.id, before.secret, before.issued_at_s) == (after.id, after.secret, after.issued_at_s)


@same_each_run
@given(st.lists(st.tuples(events, st.floats(0, 100)), max_size=30))
def test_no_order_of_events_breaks_a_ticket(life: list[tuple[Event, float]]) -> None:
    ticket, now_s = Ticket("id", "http://app/"), 0.0
    for event, passed_s in life:
        now_s += passed_s
        with suppress(IllegalTransition, LengthMismatch):
            after = ticket.apply(event, now_s)
            check_step(ticket, event, after, now_s)
            ticket = after


@same_each_run
@given(st.lists(events, max_size=30), st.integers(0, 30))
def test_a_restart_at_any_moment_keeps_where_a_ticket_stands(life: list[Event], restart_at: int) -> None:
    ticket = Ticket("id", "http://app/")
    for event in life[:restart_at]:
        with suppress(IllegalTransition, LengthMismatch):
            ticket = ticket.apply(event, 1.0)
    recovered = ticket.persisted().recovered(2.0)
    kept = State.PAUSED if ticket.state is State.UPLOADING else ticket.state
    assert recovered.state is kept
    assert recovered.persisted() == replace(
        ticket.persisted(), state=kept, changed_at_s=2.0 if kept is not ticket.state else ticket.changed_at_s
    )


# --- what strangers say ----------------------------------------------------------------------------

OUR_OWN = {"boot_id", "sha256", "token"}
TEXTS = [
    (event, name)
    for event in get_args(Event)
    for name, kind in get_type_hints(event).items()
    if kind is str and name not in OUR_OWN and event is not Complete
]
"""Each field of an event that holds a text of a client or an app."""


@pytest.mark.parametrize(("event", "name"), TEXTS, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("text", ["x" * 60_000, "\u6587" * 60_000, "\N{GRINNING FACE}" * 60_000])
def test_no_text_of_an_event_makes_a_long_entry_of_the_journal(
    event: type[Any], name: str, text: str
) -> None:
    others: dict[type[Any], dict[str, Any]] = {
        Claim: {"length_bytes": 1},
        AddPart: {"length_bytes": 1},
        PlanAssembly: {"order": (1,)},
    }
    said = event(**others.get(event, {}), **{name: text})
    parts = NO_PARTS.add(1, "") if event is PlanAssembly else None
    short = Ticket("the id", "http://app.example.org/finished", parts=parts)
    for state in State:
        with suppress(IllegalTransition, NotInParts, TooManyParts):
            changed = replace(short, state=state).apply(said, 1.0)
            assert len(ticket_entry(changed)) < len(ticket_entry(short)) + 4096


def test_the_events_with_texts_are_those_that_we_know() -> None:
    assert {(event.__name__, name) for event, name in TEXTS} == {
        ("Claim", "name"),
        ("Claim", "upload_metadata"),
        ("Claim", "file_digest"),
        ("AddPart", "upload_metadata"),
        ("PlanAssembly", "address"),
        ("PlanAssembly", "name"),
        ("PlanAssembly", "upload_metadata"),
        ("Cancel", "reason"),
        ("Expire", "reason"),
        ("Refuse", "reason"),
        ("Lapse", "reason"),
    }


def test_a_long_file_name_is_cut_to_what_a_file_system_takes() -> None:
    claimed = Ticket("the id", "http://app.example.org/finished").apply(
        Claim(1, "\u6587" * 20_000 + ".txt"), 1.0
    )
    assert claimed.name == "\u6587" * 83 + ".txt"


@pytest.mark.parametrize(
    ("app", "urls"),
    [
        ("app.example.org", ["http://app.example.org/a", "http://APP.example.org:80/b?c", "http://app.example.org./"]),
        ("app.example.org", ["https://app.example.org", "https://user:pw@App.Example.Org:443/"]),
        ("app.example.org:443", ["http://app.example.org:443/"]),
        ("app.example.org:8080", ["http://app.example.org:8080/", "http://x@app.example.org.:08080/y"]),
        ("xn--bcher-kva.example", ["http://b\u00fccher.example/", "http://B\u00dcCHER.example:80/"]),
        ("[2001:db8::1]", ["http://[2001:db8::1]/", "http://[2001:0DB8:0:0::1]:80/"]),
        ("10.0.0.1:81", ["http://10.0.0.1:81/", "http://[::ffff:10.0.0.1]:81/", "http://[::ffff:a00:1]:81/"]),
        ("incoming-callback:finished", ["incoming-callback:finished"]),
        ("http:///no-host", ["http:///no-host"]),
        ("a..b", ["http://a..b/"]),
    ],
)  # fmt: skip
def test_an_app_is_a_host_and_port_however_they_are_spelled(app: str, urls: list[str]) -> None:
    assert [Ticket("1", url).app for url in urls] == [app] * len(urls)


@pytest.mark.parametrize("state", sorted(ENDED))
def test_an_upload_that_has_left_files_is_not_settled_before_they_are_deleted(state: State) -> None:
    ended = replace(ticket_in(state), app_told=True, to_delete=True)
    assert not ended.may_be_forgotten
    assert ended.apply(Deleted(), NOW_S).may_be_forgotten
    assert ended.apply(Deleted(), NOW_S).changed_at_s == ended.changed_at_s
