"""What protocol version 2 has added to a ticket's life. The table of states: see test_ticket."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from incoming.core.errors import ExpectedFile
from incoming.core.lifecycle import (
    ARRIVED,
    RECEIVING,
    TRANSITIONS,
    Cancel,
    Claim,
    Complete,
    Event,
    Expire,
    Proved,
    Release,
    State,
)
from incoming.core.ticket import IllegalTransition, Ticket
from tests.core.test_ticket import NOW_S, ticket_in

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CLAIMABLE = [state for state in State if Claim in TRANSITIONS[state]]


def test_the_first_claim_says_which_file_is_meant() -> None:
    ticket = ticket_in(State.ISSUED)
    assert ticket.expected_file == ExpectedFile("", None, 0)
    claimed = ticket.apply(Claim(10, "a.bin", 99), NOW_S)
    assert claimed.expected_file == ExpectedFile("a.bin", 10, 99)


@pytest.mark.parametrize("state", [state for state in CLAIMABLE if state is not State.ISSUED])
def test_no_later_claim_changes_which_file_is_meant(state: State) -> None:
    ticket = replace(ticket_in(state), last_modified_ms=5)
    expected = ExpectedFile("first.bin", 77, 5, app_has_it=state is State.FINISHED)
    assert ticket.apply(Claim(77, "b.bin", 99), NOW_S).expected_file == expected


@pytest.mark.parametrize("proves", [True, False])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("state", CLAIMABLE)
def test_the_first_claim_says_whether_a_proof_is_needed_and_a_later_one_once_it_counts(
    state: State, before: bool, proves: bool
) -> None:
    ticket, said = replace(ticket_in(state), needs_proof=before), Claim(77, "a.bin", proves=proves)
    after = ticket.apply(said, NOW_S)
    assert after.needs_proof is (proves if state is State.ISSUED else before)
    if state in RECEIVING:
        assert after.apply(Proved(said, 0), NOW_S).needs_proof is proves


@pytest.mark.parametrize("state", [State.UPLOADING, State.PAUSED])
def test_a_complete_upload_has_its_digests(state: State) -> None:
    complete = ticket_in(state).apply(Complete(7, "ab12", DIGEST), NOW_S)
    assert (complete.crc32c, complete.sha256, complete.file_digest) == (7, "ab12", DIGEST)
    assert complete == replace(
        ticket_in(state), state=State.HANDING_OVER, changed_at_s=NOW_S, crc32c=7, sha256="ab12",
        file_digest=DIGEST,
    )  # fmt: skip


DIGEST = f"sha256:{'0f' * 32}"


@pytest.mark.parametrize("state", State)
def test_the_first_digest_that_a_client_names_counts_until_the_file_has_arrived(state: State) -> None:
    def claimed(ticket: Ticket, file_digest: str) -> Ticket:
        said = Claim(None, file_digest=file_digest)
        after = ticket.apply(said, NOW_S)
        return after.apply(Proved(said, 0), NOW_S) if after.would_learn(said) else after

    with suppress(IllegalTransition):
        named = claimed(ticket_in(state), DIGEST)
        assert named.file_digest == (DIGEST if state in RECEIVING else "")
        again = claimed(named, "sha512:")
        assert again.file_digest == named.file_digest
        assert claimed(again, "").file_digest == named.file_digest


@pytest.mark.parametrize("text", ["sha256", "md4:", "sha256:0f", "nonsense", "sha256:" + "0F" * 32])
def test_what_is_not_a_digest_is_not_kept(text: str) -> None:
    assert ticket_in(State.ISSUED).apply(Claim(None, file_digest=text), NOW_S).file_digest == ""
    proved = Proved(Claim(None, file_digest=text), 0)
    assert ticket_in(State.UPLOADING).apply(proved, NOW_S).file_digest == ""


def test_the_hashes_of_a_file_are_those_that_its_app_and_its_client_want() -> None:
    ticket = ticket_in(State.PAUSED)
    assert ticket.hashes == ()
    assert replace(ticket, wants_sha256=True).hashes == ("sha256",)
    assert replace(ticket, wants_sha256=True, dest_type="folder").hashes == (), "that of each file is wanted"
    assert replace(ticket, file_digest="sha512:").hashes == ("sha512",)
    assert replace(ticket, file_digest="sha512:", wants_sha256=True).hashes == ("sha256", "sha512")


def test_what_the_app_gave_along_is_not_meant_for_logs() -> None:
    assert "private" not in repr(replace(ticket_in(State.PAUSED), metadata='"private"'))


@pytest.mark.parametrize("state", State)
def test_a_restart_forgets_nothing_that_version_2_needs(state: State) -> None:
    ticket = replace(
        ticket_in(state), needs_proof=True, last_modified_ms=5, crc32c=0, sha256="ab", wants_sha256=True,
        metadata="{}", max_bytes_per_s=9,
    )  # fmt: skip
    kept = ticket.persisted().recovered(NOW_S)
    assert kept == replace(ticket, epoch=0, token="", deliveries=kept.deliveries, state=kept.state,
                           changed_at_s=kept.changed_at_s)  # fmt: skip


events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Claim, st.just(10), st.just("a"), st.integers(0, 3), st.booleans()),
    st.builds(Complete, st.integers(0, 3), st.sampled_from(["", "ab"])),
    st.sampled_from([Release(), Cancel("why"), Expire("why")]),
)


@same_each_run
@given(st.lists(events, max_size=20))
def test_digests_are_known_when_it_has_arrived_and_never_change(life: list[Event]) -> None:
    ticket = Ticket("id", "http://app/")
    for event in life:
        with suppress(IllegalTransition):
            after = ticket.apply(event, NOW_S)
            if ticket.state in ARRIVED:
                assert (after.crc32c, after.sha256) == (ticket.crc32c, ticket.sha256)
                assert (after.expected_file, after.needs_proof) == (ticket.expected_file, ticket.needs_proof)
            ticket = after
        assert (ticket.crc32c is not None) == (ticket.state in ARRIVED)
