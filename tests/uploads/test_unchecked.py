"""Bytes whose checksum comes after them: they count as not stored until it agrees, whatever happens.

`?` stands for bytes that are discarded later. None of them may ever be in front of an offset that somebody is
told.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from crc32c import crc32c
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from incoming.core.backend_requests import Listing
from incoming.core.checksum import checksum
from incoming.core.errors import (
    IncomingError,
    LengthMismatch,
    StorageFailed,
    TakenOver,
    WrongState,
)
from incoming.core.file_digest import FileDigest
from incoming.core.lifecycle import State
from incoming.core.news import Durable, Interrupted
from incoming.uploads.claims import ClaimedUpload
from incoming.uploads.deletion import QUIET_AFTER_S
from incoming.uploads.integrity import BLOCK_BYTES
from incoming.uploads.overview import Overview
from tests.support.fakes import FakeApp
from tests.support.piece_house import PieceHouse
from tests.support.slow_house import SlowHouse
from tests.support.uploads import Client, House, new_claim

CONTENT = bytes(range(256)) * 4
LENGTH_BYTES = len(CONTENT)
CHECKED, LEASE_S = 300, 60.0
JUNK = b"?" * 100


@pytest.fixture(params=[House, PieceHouse, SlowHouse], ids=["local", "pieces", "slow"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    made: House = request.param(tmp_path)
    return made


with_a_mark = pytest.mark.parametrize("house", [House, PieceHouse], ids=["local", "pieces"], indirect=True)
"""Other stores keep unchecked bytes apart by themselves: the ticket needs no mark."""


@pytest.fixture
def local(tmp_path: Path) -> House:
    return House(tmp_path)


def claim(house: House, ticket_id: str, length_bytes: int | None = LENGTH_BYTES, **more: Any) -> Client:
    client = Client()
    asked = new_claim(length_bytes, **more)
    client.claim = house.uploads.claim(ticket_id, asked, client.listener, lease_s=LEASE_S)
    return client


def send(house: House, client: Client, chunk: bytes = JUNK) -> None:
    house.uploads.write(client.claim, memoryview(chunk))


def send_rest(house: House, client: Client) -> None:
    assert client.claim.taken_bytes == client.claim.acknowledged_bytes
    send(house, client, CONTENT[client.claim.taken_bytes :])


def begun(house: House, ticket_id: str, unchecked: bytes = JUNK, **more: Any) -> Client:
    """Returns a client that has sent CHECKED bytes, and then unchecked ones."""
    client = claim(house, ticket_id, **more)
    send(house, client, CONTENT[:CHECKED])
    house.uploads.flush(client.claim)
    house.uploads.begin_unchecked(client.claim)
    send(house, client, unchecked)
    return client


def size_of(house: House, ticket_id: str) -> int:
    return house.context.storages.default.size(ticket_id) or 0


def content_of(house: House, ticket_id: str) -> bytes:
    if isinstance(house, SlowHouse):
        return house.stored(ticket_id)  # which can't be read yet
    found = bytearray()
    if size_bytes := size_of(house, ticket_id):  # there may be no file
        house.context.storages.default.read(ticket_id, 0, size_bytes, found.extend)
    return bytes(found)


def assert_arrives(house: House, ticket_id: str, client: Client) -> None:
    """The client sends what is left, and the app gets the whole file with the right digests."""
    send_rest(house, client)
    house.uploads.complete(client.claim)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED
    ticket = house.ticket(ticket_id)
    assert ticket.crc32c == crc32c(CONTENT)
    assert ticket.sha256 in ("", hashlib.sha256(CONTENT).hexdigest())
    assert ticket.checked_bytes is None
    assert house.app.forms[-1]["crc32c"] == f"{crc32c(CONTENT):08x}"


# --- while they are unchecked ---------------------------------------------------------------------------


def test_nobody_is_told_of_unchecked_bytes(house: House) -> None:
    ticket_id = house.new_ticket()
    client = begun(house, ticket_id)
    assert (client.claim.taken_bytes, client.claim.acknowledged_bytes) == (CHECKED + len(JUNK), CHECKED)
    assert house.uploads.look(ticket_id).offset_bytes == CHECKED
    [row] = Overview(house.uploads).page(Listing())["uploads"]
    assert row["offset_bytes"] == CHECKED
    house.uploads.release(client.claim)
    assert house.uploads.look(ticket_id).offset_bytes == CHECKED
    [row] = Overview(house.uploads).page(Listing())["uploads"]
    assert row["offset_bytes"] == CHECKED


@with_a_mark
def test_no_checkpoint_covers_unchecked_bytes(house: House) -> None:
    ticket_id = house.new_ticket()
    client = begun(house, ticket_id)
    house.uploads.keep_checkpoints()
    house.runtime.settle()
    house.uploads.release(client.claim)
    assert [one.end_bytes for one in house.journaled()[0].checkpoints] == [CHECKED]
    assert house.journaled()[0].checkpoints[0].crc32c == crc32c(CONTENT[:CHECKED])


def test_unchecked_bytes_do_not_complete_an_upload(house: House) -> None:
    ticket_id = house.new_ticket()
    client = begun(house, ticket_id, b"?" * (LENGTH_BYTES - CHECKED))
    with pytest.raises(WrongState, match=f"it has {CHECKED} bytes"):
        house.uploads.complete(client.claim)
    house.uploads.release(client.claim)
    house.pass_time(1)
    assert house.state(ticket_id) is State.PAUSED
    assert house.after_a_kill().state(ticket_id) is State.PAUSED
    assert not house.app.forms


def test_an_upload_that_has_arrived_can_not_be_completed_again(house: House) -> None:
    first = house.arrive(ticket_id := house.new_ticket(), CONTENT)
    with pytest.raises(WrongState):
        house.uploads.complete(first.claim)
    with pytest.raises(WrongState):
        house.uploads.complete(claim(house, ticket_id).claim)


@pytest.mark.parametrize("sent", [CONTENT[:5], CONTENT[:CHECKED] + JUNK])
def test_bytes_that_are_missing_or_unchecked_do_not_make_it_another_file_than_was_named(
    house: House, sent: bytes
) -> None:
    """A completion that comes too early must not end the upload."""
    ticket_id = house.new_ticket()
    named = FileDigest("sha256", hashlib.sha256(CONTENT).digest()).text
    asked = replace(new_claim(LENGTH_BYTES), file_digest=named)
    client = Client()
    client.claim = house.uploads.claim(ticket_id, asked, client.listener)
    send(house, client, sent[:CHECKED])
    house.uploads.flush(client.claim)
    house.uploads.begin_unchecked(client.claim)
    send(house, client, sent[CHECKED:])
    with pytest.raises(WrongState):
        house.uploads.complete(client.claim)
    house.uploads.discard_unchecked(client.claim)
    assert_arrives(house, ticket_id, client)


def test_unchecked_bytes_begin_once_at_a_time(house: House) -> None:
    client = begun(house, house.new_ticket())
    with pytest.raises(WrongState):
        house.uploads.begin_unchecked(client.claim)
    assert client.claim.ticket.checked_bytes == CHECKED


def test_they_leave_nothing_when_the_upload_is_called_off(house: House) -> None:
    client = begun(house, ticket_id := house.new_ticket())
    house.uploads.cancel_by_client(client.claim, "enough")
    house.pass_time(QUIET_AFTER_S)
    assert house.ticket(ticket_id).checked_bytes is None
    assert house.context.storages.default.size(ticket_id) is None


def test_an_idle_upload_with_unchecked_bytes_expires(tmp_path: Path) -> None:
    house = House(tmp_path, idle_timeout_s=100.0)
    client = begun(house, ticket_id := house.new_ticket(), b"?" * (LENGTH_BYTES - CHECKED))
    house.uploads.release(client.claim)
    house.pass_time(101)
    assert house.state(ticket_id) is State.EXPIRED


# --- how they end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("digest", ["", "sha256"])
def test_accepted_bytes_count_as_any_others_do(house: House, digest: str) -> None:
    ticket_id = house.new_ticket(digest=digest)
    client = begun(house, ticket_id, CONTENT[CHECKED:500])
    house.uploads.accept_unchecked(client.claim)
    house.uploads.flush(client.claim)
    assert client.claim.acknowledged_bytes == house.uploads.look(ticket_id).offset_bytes == 500
    after = house.after_a_kill()
    assert content_of(after, ticket_id) == CONTENT[:500]
    assert_arrives(after, ticket_id, claim(after, ticket_id))


def test_an_acceptance_is_a_checkpoint_and_one_entry_of_the_journal(local: House) -> None:
    client = begun(local, local.new_ticket(), CONTENT[CHECKED:500])
    before = local.runtime.pool_calls.count("append")
    local.uploads.accept_unchecked(client.claim)
    assert local.runtime.pool_calls.count("append") == before + 1
    assert local.journaled()[0].checkpoints[-1] == (500, crc32c(CONTENT[:500]))


@pytest.mark.parametrize("digest", ["", "sha256"])
def test_discarded_bytes_are_gone_and_the_digests_go_back_without_reading(house: House, digest: str) -> None:
    ticket_id = house.new_ticket(digest=digest)
    client = begun(house, ticket_id)
    house.uploads.discard_unchecked(client.claim)
    assert client.claim.taken_bytes == client.claim.acknowledged_bytes == size_of(house, ticket_id) == CHECKED
    assert house.journaled()[0].checked_bytes is None
    assert_arrives(house, ticket_id, client)
    assert "_read" not in house.runtime.pool_calls


def test_one_request_after_another_is_accepted_or_discarded(house: House) -> None:
    ticket_id = house.new_ticket(digest="sha256")
    client = claim(house, ticket_id)
    for start in range(0, 900, 100):
        house.uploads.begin_unchecked(client.claim)
        send(house, client, JUNK)
        house.uploads.discard_unchecked(client.claim)
        house.uploads.begin_unchecked(client.claim)
        send(house, client, CONTENT[start : start + 100])
        house.uploads.accept_unchecked(client.claim)
    house.uploads.flush(client.claim)
    assert_arrives(house, ticket_id, client)


def test_without_unchecked_bytes_both_ends_do_nothing(house: House) -> None:
    client = claim(house, ticket_id := house.new_ticket())
    send(house, client, CONTENT[:CHECKED])
    house.uploads.accept_unchecked(client.claim)
    house.uploads.discard_unchecked(client.claim)
    house.uploads.flush(client.claim)
    assert_arrives(house, ticket_id, client)


def test_a_mark_at_the_end_of_the_file_keeps_nobody_from_completing_it(house: House) -> None:
    """The request had no bytes, or all of them were stored already."""
    ticket_id = house.new_ticket()
    client = claim(house, ticket_id)
    send(house, client, CONTENT)
    house.uploads.flush(client.claim)
    house.uploads.begin_unchecked(client.claim)
    after = house.after_a_kill()
    after.runtime.settle()
    assert after.state(ticket_id) is State.FINISHED
    assert after.ticket(ticket_id).checked_bytes is None


def test_room_is_kept_for_bytes_that_have_to_come_again(local: House) -> None:
    client = begun(local, local.new_ticket())
    assert local.uploads.admission.reserved_bytes() == LENGTH_BYTES - CHECKED - len(JUNK)
    local.uploads.discard_unchecked(client.claim)
    assert local.uploads.admission.reserved_bytes() == LENGTH_BYTES - CHECKED


def test_room_is_kept_for_them_by_a_claim_after_a_kill_too(local: House) -> None:
    begun(local, ticket_id := local.new_ticket())
    after = local.after_a_kill()
    assert after.uploads.admission.reserved_bytes() == LENGTH_BYTES - CHECKED - len(JUNK), "the disk has them"
    claim(after, ticket_id)
    assert after.uploads.admission.reserved_bytes() == LENGTH_BYTES - CHECKED


def test_a_digest_that_was_behind_the_mark_is_read_again(tmp_path: Path) -> None:
    """After a restart the digest has to catch up. What it reads must not be what is discarded."""
    house = House(tmp_path)
    stored = os.urandom(BLOCK_BYTES + 1000)
    ticket_id = house.new_ticket(digest="sha256")
    length_bytes = len(stored) + 500
    client = claim(house, ticket_id, length_bytes)
    send(house, client, stored)
    after = house.after_a_kill()
    with after.runtime.held("_read"):
        client = claim(after, ticket_id, length_bytes)
        after.uploads.begin_unchecked(client.claim)
        send(after, client, JUNK)
        after.uploads.discard_unchecked(client.claim)
        send(after, client, b"x" * 500)
        after.uploads.keep_checkpoints()
        after.runtime.settle()
        assert after.journaled()[0].checkpoints == (), "what is not known yet is not claimed"
    after.uploads.keep_checkpoints()
    after.runtime.settle()
    assert after.journaled()[0].checkpoints == ((length_bytes, crc32c(stored + b"x" * 500)),)
    after.uploads.complete(client.claim)
    assert after.ticket(ticket_id).sha256 == hashlib.sha256(stored + b"x" * 500).hexdigest()
    assert after.ticket(ticket_id).crc32c == crc32c(stored + b"x" * 500)


# --- kills and takeovers ---------------------------------------------------------------------------------


@with_a_mark
@pytest.mark.parametrize("kill", [House.after_a_kill, House.restarted])
def test_after_a_kill_the_upload_resumes_at_the_mark(house: House, kill: Any) -> None:
    ticket_id = house.new_ticket(digest="sha256")
    begun(house, ticket_id)
    after = kill(house)
    assert after.ticket(ticket_id).checked_bytes == CHECKED
    assert after.uploads.look(ticket_id).offset_bytes == CHECKED
    client = claim(after, ticket_id)
    assert client.claim.offset_bytes == CHECKED
    assert content_of(after, ticket_id) == CONTENT[:CHECKED]
    assert after.journaled()[0].checked_bytes is None
    assert_arrives(after, ticket_id, client)


def test_a_second_kill_takes_nothing_that_came_after_the_first(house: House) -> None:
    """The mark must not outlive the claim that has cut the file off at it."""
    ticket_id = house.new_ticket()
    begun(house, ticket_id)
    second = house.after_a_kill()
    client = claim(second, ticket_id)
    send(second, client, CONTENT[CHECKED:800])
    second.uploads.flush(client.claim)
    assert claim(second.after_a_kill(), ticket_id).claim.offset_bytes == 800


@pytest.mark.parametrize("proves", [True, False])
def test_another_claim_takes_over_at_the_mark_and_the_one_before_writes_nothing_more(
    house: House, proves: bool
) -> None:
    ticket_id = house.new_ticket(digest="sha256")
    first = begun(house, ticket_id)
    second = claim(house, ticket_id, proves=proves)
    house.runtime.settle()
    assert [type(news) for news in first.news if not isinstance(news, Durable)] == [Interrupted]
    for act in (send, lambda h, c: h.uploads.accept_unchecked(c.claim)):
        with pytest.raises(TakenOver):
            act(house, first)
    assert second.claim.offset_bytes == CHECKED
    assert all(end <= CHECKED for _, end in second.claim.compare)
    assert content_of(house, ticket_id) == CONTENT[:CHECKED]
    if proves:
        crcs = tuple(checksum(CONTENT[start:end]) for start, end in second.claim.compare)
        house.uploads.check_same(second.claim, crcs)
    assert_arrives(house, ticket_id, second)


def test_a_lease_that_ends_leaves_the_mark(house: House) -> None:
    begun(house, ticket_id := house.new_ticket())
    house.pass_time(LEASE_S + 1)
    assert house.state(ticket_id) is State.PAUSED
    assert_arrives(house, ticket_id, claim(house, ticket_id))


def test_a_shorter_length_is_compared_with_what_is_checked(house: House) -> None:
    ticket_id = house.new_ticket()
    begun(house, ticket_id, length_bytes=None)
    with pytest.raises(LengthMismatch):
        claim(house, ticket_id, CHECKED - 1)
    client = claim(house, ticket_id, CHECKED + 1)
    assert client.claim.offset_bytes == CHECKED
    house.uploads.prove(client.claim)
    assert house.ticket(ticket_id).length_bytes == CHECKED + 1


def test_unchecked_bytes_are_discarded_after_a_kill(house: House) -> None:
    ticket_id = house.new_ticket()
    begun(house, ticket_id, length_bytes=None)
    after = house.after_a_kill()
    assert claim(after, ticket_id, CHECKED + 1).claim.offset_bytes == CHECKED


@pytest.mark.parametrize("proves", [True, False])
def test_after_a_power_cut_a_client_is_asked_for_nothing_behind_the_mark(local: House, proves: bool) -> None:
    """The checkpoint is a hundred bytes in front of the mark: those in between may be lost."""
    ticket_id = local.new_ticket()
    client = claim(local, ticket_id)
    send(local, client, CONTENT[: CHECKED - 100])
    local.uploads.keep_checkpoints()
    local.runtime.settle()
    send(local, client, CONTENT[CHECKED - 100 : CHECKED])
    local.uploads.begin_unchecked(client.claim)
    send(local, client)
    after = local.after_a_power_cut()
    assert after.uploads.look(ticket_id).offset_bytes == CHECKED - 100
    client = claim(after, ticket_id, proves=proves)
    if proves:
        assert client.claim.offset_bytes == CHECKED
        assert client.claim.compare[-1] == (CHECKED - 100, CHECKED)
        crcs = tuple(crc32c(CONTENT[start:end]) for start, end in client.claim.compare)
        after.uploads.check_same(client.claim, crcs)
    else:
        assert client.claim.offset_bytes == CHECKED - 100
    assert_arrives(after, ticket_id, client)


# --- when the disk fails ----------------------------------------------------------------------------------


@with_a_mark
def test_a_mark_that_can_not_be_journaled_is_none(house: House) -> None:
    client = claim(house, ticket_id := house.new_ticket())
    send(house, client, CONTENT[:CHECKED])
    with house.journal_broken(), pytest.raises(StorageFailed):
        house.uploads.begin_unchecked(client.claim)
    assert client.claim.ticket.checked_bytes is None
    house.uploads.flush(client.claim)
    assert_arrives(house, ticket_id, client)


@with_a_mark
def test_an_acceptance_that_can_not_be_journaled_may_be_repeated(house: House) -> None:
    client = begun(house, ticket_id := house.new_ticket(), CONTENT[CHECKED:500])
    with house.journal_broken(), pytest.raises(StorageFailed):
        house.uploads.accept_unchecked(client.claim)
    assert house.uploads.look(ticket_id).offset_bytes == CHECKED
    house.uploads.accept_unchecked(client.claim)
    house.uploads.flush(client.claim)
    assert_arrives(house, ticket_id, client)


@with_a_mark
def test_a_discard_that_fails_ends_the_claim_and_the_next_one_begins_at_the_mark(house: House) -> None:
    client = begun(house, ticket_id := house.new_ticket())
    with house.journal_broken(), pytest.raises(StorageFailed):
        house.uploads.discard_unchecked(client.claim)
    with pytest.raises(StorageFailed):
        send(house, client, CONTENT[CHECKED:])
    assert_arrives(house, ticket_id, claim(house, ticket_id))


@with_a_mark
def test_a_takeover_that_can_not_be_journaled_leaves_the_mark_and_no_holder(house: House) -> None:
    first = begun(house, ticket_id := house.new_ticket())
    with house.journal_broken(), pytest.raises(StorageFailed):
        claim(house, ticket_id)
    with pytest.raises(TakenOver):
        send(house, first)
    assert house.uploads.look(ticket_id).offset_bytes == CHECKED
    house.pass_time(1)
    assert house.state(ticket_id) is State.PAUSED
    assert house.uploads.claims.count() == 0, "its file is closed"
    assert_arrives(house, ticket_id, claim(house, ticket_id))


@pytest.mark.parametrize("act", ["discard", "claim after a kill", "takeover"])
def test_a_file_that_can_not_be_cut_off_is_cut_off_later(
    local: House, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    client = begun(local, ticket_id := local.new_ticket())
    house = local.after_a_kill() if act == "claim after a kill" else local

    def fail(fd: int, size_bytes: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken, pytest.raises(StorageFailed):
        broken.setattr(os, "ftruncate", fail)
        if act == "discard":
            house.uploads.discard_unchecked(client.claim)
        claim(house, ticket_id)
    assert house.uploads.look(ticket_id).offset_bytes == CHECKED
    assert_arrives(house, ticket_id, claim(house, ticket_id))


# --- in any order -----------------------------------------------------------------------------------------


class Story:
    """One upload. What it was told to be stored must be there, and nothing else in front of it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.ticket_id = house.new_ticket(digest="sha256")
        self.promised_bytes = 0
        self.claims()

    def claims(self) -> None:
        """A client comes, or takes over."""
        self.client = claim(self.house, self.ticket_id)
        self.is_unchecked = self.is_junk = False
        offset_bytes = self.client.claim.offset_bytes
        assert self.promised_bytes <= offset_bytes
        assert content_of(self.house, self.ticket_id)[:offset_bytes] == CONTENT[:offset_bytes]
        self.hears()

    @property
    def claim(self) -> ClaimedUpload:
        """What the client holds."""
        return self.client.claim

    def hears(self) -> None:
        """The client is told an offset."""
        assert self.promised_bytes <= self.claim.acknowledged_bytes <= self.claim.taken_bytes
        self.promised_bytes = self.claim.acknowledged_bytes
        offset_bytes = self.house.uploads.look(self.ticket_id).offset_bytes
        assert offset_bytes == self.promised_bytes

    def writes(self, size_bytes: int) -> None:
        """Some bytes come; unchecked ones may be wrong."""
        at = self.claim.taken_bytes
        chunk = CONTENT[at : at + size_bytes]
        if self.is_unchecked and size_bytes % 2:
            chunk, self.is_junk = b"?" * len(chunk), True
        send(self.house, self.client, chunk)
        self.hears()

    def begins(self, _: int) -> None:
        """The checksum of what follows comes later."""
        if not self.is_unchecked:
            self.house.uploads.begin_unchecked(self.claim)
            self.is_unchecked = True

    def ends(self, _: int) -> None:
        """The checksum has come."""
        if self.is_junk:
            self.house.uploads.discard_unchecked(self.claim)
        else:
            self.house.uploads.accept_unchecked(self.claim)
        self.is_unchecked = self.is_junk = False
        self.hears()

    def flushes(self, _: int) -> None:
        """Somebody waits for an acknowledgement."""
        self.house.uploads.flush(self.claim)
        self.hears()

    def keeps_checkpoints(self, _: int) -> None:
        """Some seconds have passed."""
        self.house.uploads.keep_checkpoints()
        self.house.runtime.settle()

    def releases(self, _: int) -> None:
        """The client goes, and comes again."""
        self.house.uploads.release(self.claim)
        self.house.pass_time(1)
        self.claims()

    def is_taken_over(self, _: int) -> None:
        """Another connection comes."""
        self.claims()

    def dies(self, _: int) -> None:
        """The process is killed."""
        self.house = self.house.after_a_kill()
        self.claims()

    def cannot_be_journaled(self, _: int) -> None:
        """A takeover fails for a while."""
        with self.house.journal_broken(), contextlib.suppress(IncomingError):
            claim(self.house, self.ticket_id)
        self.claims()


STEPS = [
    *[Story.writes] * 5, *[Story.begins, Story.ends] * 3, Story.flushes, Story.keeps_checkpoints,
    Story.releases, Story.is_taken_over, Story.dies, Story.cannot_be_journaled,
]  # fmt: skip


@pytest.mark.parametrize("kind", [House, PieceHouse, SlowHouse])
def test_whatever_happens_nobody_is_told_of_unchecked_bytes_and_no_other_byte_is_lost(
    tmp_path_factory: pytest.TempPathFactory, kind: type[House]
) -> None:
    heard = set()

    @settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.randoms(use_true_random=True))  # hypothesis' own lists repeat a few steps too often
    def tell(chance: Random) -> None:
        story = Story(kind(tmp_path_factory.mktemp("story"), FakeApp()))
        for step in chance.choices(STEPS, k=25):
            note(step.__name__)
            step(story, chance.randint(0, 120))
            heard.add(step)
        story.ends(0)
        story.flushes(0)
        assert_arrives(story.house, story.ticket_id, story.client)

    tell()
    assert heard == set(STEPS)
