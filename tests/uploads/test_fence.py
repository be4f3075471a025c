"""The fence: a claim that was taken over changes nothing, even where the process does not know about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from incoming.core.checkpoints import Checkpoint
from incoming.core.errors import TakenOver
from incoming.core.lifecycle import Record, State
from incoming.uploads.claims import ClaimedUpload
from tests.support.uploads import Client, House, new_claim

CONTENT = b"content"


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the process's own memory is taken out: only the registry is left."""
    monkeypatch.setattr(ClaimedUpload, "check", lambda _: None)


WRITES: dict[str, Callable[[House, ClaimedUpload], object]] = {
    "complete": lambda house, claim: house.uploads.complete(claim),
    "cancel": lambda house, claim: house.uploads.cancel_by_client(claim, "changed my mind"),
}


def stale_claim(house: House) -> tuple[str, Client, Client]:
    """Returns the id of an upload with all its bytes, the claim that was taken over, and the newest one."""
    ticket_id = house.new_ticket()
    stale = house.claim(ticket_id, len(CONTENT))
    house.uploads.write(stale.claim, memoryview(CONTENT))
    newest = house.claim(ticket_id, len(CONTENT))
    return ticket_id, stale, newest


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("what", WRITES)
def test_the_registry_refuses_what_a_stale_claim_asks_for(tmp_path: Path, what: str) -> None:
    house = House(tmp_path)
    ticket_id, stale, newest = stale_claim(house)
    before = house.ticket(ticket_id)
    with pytest.raises(TakenOver):
        WRITES[what](house, stale.claim)
    assert house.ticket(ticket_id) == before
    assert before.token == newest.claim.ticket.token != stale.claim.ticket.token
    WRITES[what](house, newest.claim)
    assert house.state(ticket_id) is not State.UPLOADING


def test_the_registry_refuses_the_release_of_a_stale_claim(tmp_path: Path) -> None:
    house = House(tmp_path)
    ticket_id, stale, newest = stale_claim(house)
    live = house.uploads.claims.lock(ticket_id)
    live.holder = stale.claim  # as if this process had not noticed
    house.uploads.release(stale.claim)
    assert house.ticket(ticket_id).state is State.UPLOADING
    assert house.ticket(ticket_id).token == newest.claim.ticket.token


def test_the_registry_refuses_a_checkpoint_of_a_stale_claim(tmp_path: Path) -> None:
    house = House(tmp_path)
    ticket_id, stale, newest = stale_claim(house)
    record = Record(Checkpoint(len(CONTENT), 7), house.boot_id)
    with pytest.raises(TakenOver):
        house.context.registry.change(ticket_id, record, stale.claim.ticket.token)
    assert house.ticket(ticket_id).checkpoints == ()
    house.context.registry.change(ticket_id, record, newest.claim.ticket.token)
    assert house.ticket(ticket_id).checkpoints == (record.checkpoint,)


def test_two_claims_never_have_the_same_token() -> None:
    tokens = {new_claim(1).token for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(len(bytes.fromhex(token)) == 16 for token in tokens)


def test_a_token_is_in_no_log_and_no_journal(tmp_path: Path) -> None:
    house = House(tmp_path)
    ticket_id = house.new_ticket()
    token = house.claim(ticket_id, 10).claim.ticket.token
    assert token and token not in repr(house.ticket(ticket_id))
    assert token.encode() not in b"".join(file.read_bytes() for file in (tmp_path / "journal").iterdir())
    assert house.after_a_kill().ticket(ticket_id).token == ""
