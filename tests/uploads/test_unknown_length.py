"""An upload whose length is not known at first: what it may store, when it gets its length, how it ends."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from incoming.core.checksum import checksum
from incoming.core.errors import (
    BadChunk,
    LengthMismatch,
    StorageFull,
    TakenOver,
    UploadTooLarge,
    WrongFile,
    WrongState,
)
from incoming.core.lifecycle import State
from incoming.core.units import MIB
from incoming.uploads.admission import RESERVATION_STEP_BYTES
from tests.support.fakes import FakeApp
from tests.support.piece_house import PieceHouse
from tests.support.uploads import Client, House, free_space, new_claim

CONTENT = b"0123456789"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def begin(house: House, ticket_id: str, length_bytes: int | None = None, stored: bytes = b"") -> Client:
    client = Client()
    claim = replace(new_claim(length_bytes, "holiday.mov"), keeps_others_out=False)  # as over HTTP
    client.claim = house.uploads.claim(ticket_id, claim, client.listener)
    if stored:
        house.uploads.write(client.claim, memoryview(stored))
    return client


def test_the_file_is_handed_over_once_its_length_is_known_and_reached(house: House) -> None:
    ticket_id = house.new_ticket()
    client = begin(house, ticket_id, None, CONTENT[:7])
    assert house.ticket(ticket_id).length_bytes is None
    house.uploads.set_length(client.claim, len(CONTENT))
    house.uploads.set_length(client.claim, len(CONTENT))  # a client may repeat it
    house.uploads.write(client.claim, memoryview(CONTENT[7:]))
    house.uploads.complete(client.claim)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED
    assert house.ticket(ticket_id).length_bytes == len(CONTENT)


def test_the_length_may_come_with_the_last_byte(house: House) -> None:
    client = begin(house, ticket_id := house.new_ticket(), None, CONTENT)
    house.uploads.set_length(client.claim, len(CONTENT))
    house.uploads.complete(client.claim)
    assert house.state(ticket_id) is State.HANDING_OVER


def test_the_length_survives_a_kill(house: House) -> None:
    client = begin(house, ticket_id := house.new_ticket(), None, CONTENT)
    house.uploads.set_length(client.claim, 20)
    assert house.restarted().ticket(ticket_id).length_bytes == 20


def test_an_upload_without_a_length_resumes_after_a_kill(house: House) -> None:
    begin(house, ticket_id := house.new_ticket(), None, CONTENT[:7])
    after = house.after_a_kill()
    assert after.state(ticket_id) is State.PAUSED
    client = begin(after, ticket_id)
    assert client.claim.offset_bytes == 7
    after.uploads.write(client.claim, memoryview(CONTENT[7:]))
    after.uploads.set_length(client.claim, 10)
    after.uploads.complete(client.claim)
    assert after.file(ticket_id).read_bytes() == CONTENT


def test_an_upload_is_not_complete_before_its_length_is_known_and_reached(house: House) -> None:
    client = begin(house, ticket_id := house.new_ticket(), None, CONTENT[:7])
    with pytest.raises(WrongState):
        house.uploads.complete(client.claim)
    house.uploads.set_length(client.claim, 10)
    with pytest.raises(WrongState, match="it has 7 bytes"):
        house.uploads.complete(client.claim)
    assert house.state(ticket_id) is State.UPLOADING
    house.uploads.write(client.claim, memoryview(CONTENT[7:]))
    house.uploads.complete(client.claim)


@pytest.mark.parametrize("length_bytes", [9, 0])
def test_a_length_below_the_stored_bytes_is_refused(house: House, length_bytes: int) -> None:
    client = begin(house, ticket_id := house.new_ticket(), None, CONTENT)
    with pytest.raises(LengthMismatch):
        house.uploads.set_length(client.claim, length_bytes)
    with pytest.raises(LengthMismatch):
        begin(house, ticket_id, length_bytes)  # a takeover
    house.uploads.release(client.claim)
    with pytest.raises(LengthMismatch):
        begin(house, ticket_id, length_bytes)
    assert house.ticket(ticket_id).length_bytes is None
    assert house.file(ticket_id).read_bytes() == CONTENT


def test_a_length_is_told_once(house: House) -> None:
    client = begin(house, ticket_id := house.new_ticket(), None, CONTENT)
    house.uploads.set_length(client.claim, 20)
    with pytest.raises(LengthMismatch):
        house.uploads.set_length(client.claim, 21)
    assert house.ticket(ticket_id).length_bytes == 20
    assert begin(house, ticket_id).claim.end_bytes == 20, "the known one counts"


def test_bytes_beyond_the_length_are_refused_and_not_stored(house: House) -> None:
    client = begin(house, ticket_id := house.new_ticket(), 5)
    with pytest.raises(BadChunk):
        house.uploads.write(client.claim, memoryview(CONTENT[:6]))
    house.uploads.write(client.claim, memoryview(CONTENT[:5]))
    with pytest.raises(BadChunk):
        house.uploads.write(client.claim, memoryview(CONTENT[:1]))
    assert house.file(ticket_id).read_bytes() == CONTENT[:5]


@pytest.mark.parametrize("of_ticket", [True, False])
def test_the_limits_hold_while_the_length_is_unknown(tmp_path: Path, of_ticket: bool) -> None:
    house = House(tmp_path, max_upload_bytes=1 << 40 if of_ticket else 8)
    ticket_id = house.new_ticket(maxBytes="8") if of_ticket else house.new_ticket()
    client = begin(house, ticket_id, None, CONTENT[:8])
    with pytest.raises(UploadTooLarge):
        house.uploads.write(client.claim, memoryview(CONTENT[8:]))
    with pytest.raises(UploadTooLarge):
        house.uploads.set_length(client.claim, 9)
    assert house.file(ticket_id).read_bytes() == CONTENT[:8]
    house.uploads.set_length(client.claim, 8)
    house.uploads.complete(client.claim)


def test_a_file_of_unknown_length_does_not_take_the_room_that_others_were_promised(house: House) -> None:
    disk_bytes, ticket_id = 100 * MIB, house.new_ticket()
    file = house.file(ticket_id)

    def left_bytes() -> int:
        return disk_bytes - (file.stat().st_size if file.exists() else 0)

    free_space(house).free_bytes = left_bytes  # type: ignore[method-assign]
    other = house.claim(house.new_ticket(), disk_bytes - 2 * RESERVATION_STEP_BYTES - MIB)
    client = begin(house, ticket_id)
    block = memoryview(bytes(MIB))
    with pytest.raises(StorageFull):
        for _ in range(3 * RESERVATION_STEP_BYTES // MIB):
            house.uploads.write(client.claim, block)
    assert other.news == []
    stored_bytes = house.file(ticket_id).stat().st_size
    assert RESERVATION_STEP_BYTES <= stored_bytes <= 2 * RESERVATION_STEP_BYTES
    house.uploads.write(other.claim, memoryview(CONTENT))


def test_room_is_kept_for_the_rest_once_the_length_is_known(house: House) -> None:
    client = begin(house, house.new_ticket(), None, CONTENT)
    assert house.uploads.admission.reserved_bytes() == RESERVATION_STEP_BYTES
    with pytest.raises(StorageFull):
        house.uploads.set_length(client.claim, 1 << 60)
    house.uploads.set_length(client.claim, 8 * MIB)
    assert 6 * MIB < house.uploads.admission.reserved_bytes() <= 8 * MIB, "some is reserved on the disk"


def test_a_claim_that_knows_the_length_takes_over_one_that_does_not(house: House) -> None:
    begin(house, ticket_id := house.new_ticket(), None, CONTENT[:7])
    client = begin(house, ticket_id, 10)
    assert (client.claim.offset_bytes, house.ticket(ticket_id).length_bytes) == (7, None)
    house.uploads.write(client.claim, memoryview(CONTENT[7:]))
    assert house.ticket(ticket_id).length_bytes == client.claim.end_bytes == 10
    house.uploads.complete(client.claim)
    assert house.ticket(ticket_id).length_bytes == 10


def other(house: House, ticket_id: str, length_bytes: int | None, **said: str) -> Client:
    """Returns a client with another file, which would have to show that it is the same."""
    client, claim = Client(), new_claim(length_bytes, "other.mov", proves=True)
    client.claim = house.uploads.claim(ticket_id, replace(claim, **said), client.listener)  # type: ignore[arg-type]
    return client


def prove(house: House, client: Client, content: bytes) -> None:
    crcs = tuple(checksum(content[start:end]) for start, end in client.claim.compare)
    house.uploads.check_same(client.claim, crcs)


OTHER = {"upload_metadata": "filename b3RoZXI=", "file_digest": f"sha256:{'ab' * 32}"}


@pytest.mark.parametrize("length_bytes", [7, 9, None])
def test_what_a_client_with_another_file_says_of_it_does_not_count(
    house: House, length_bytes: int | None
) -> None:
    begin(house, ticket_id := house.new_ticket(), None, CONTENT[:7])
    before = house.ticket(ticket_id)
    wrong = other(house, ticket_id, length_bytes, **OTHER)
    with pytest.raises(WrongFile):
        prove(house, wrong, b"another file")
    with pytest.raises(WrongState, match="not shown yet"):
        house.uploads.write(wrong.claim, memoryview(b"!"))
    with pytest.raises(WrongState, match="not shown yet"):
        house.uploads.complete(wrong.claim)
    claimed = house.ticket(ticket_id)
    assert claimed == structs.replace(before, token=claimed.token, epoch=before.epoch + 1)
    house.uploads.release(wrong.claim)
    right = other(house, ticket_id, len(CONTENT), upload_metadata="filename bW92")
    prove(house, right, CONTENT)
    ticket = house.ticket(ticket_id)
    assert (ticket.length_bytes, ticket.upload_metadata) == (len(CONTENT), "filename bW92")
    assert (ticket.needs_proof, right.claim.end_bytes) == (True, len(CONTENT))
    house.uploads.write(right.claim, memoryview(CONTENT[7:]))
    house.uploads.complete(right.claim, checksum(CONTENT))
    assert house.state(ticket_id) is State.HANDING_OVER


def test_a_digest_that_counts_late_is_that_of_the_whole_file(house: House) -> None:
    begin(house, ticket_id := house.new_ticket(), None, CONTENT[:7])
    digest = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    client = other(house, ticket_id, len(CONTENT), file_digest=digest)
    prove(house, client, CONTENT)
    house.uploads.write(client.claim, memoryview(CONTENT[7:]))
    house.uploads.complete(client.claim)
    assert (house.state(ticket_id), house.ticket(ticket_id).file_digest) == (State.HANDING_OVER, digest)


def test_what_a_client_says_counts_at_once_while_nothing_is_stored(house: House) -> None:
    begin(house, ticket_id := house.new_ticket())
    client = other(house, ticket_id, 10)
    assert house.ticket(ticket_id).length_bytes == client.claim.end_bytes == 10
    house.uploads.write(client.claim, memoryview(CONTENT))


def test_a_client_with_another_file_does_not_keep_a_whole_upload_from_its_completion(house: House) -> None:
    """A client without a proof has sent all bytes and left. Nobody would come with a proof."""
    client = begin(house, ticket_id := house.new_ticket(), 10, CONTENT)
    wrong = other(house, ticket_id, 10)
    assert client.claim.lost
    with pytest.raises(WrongFile):
        prove(house, wrong, CONTENT[::-1])
    house.uploads.release(wrong.claim)
    assert (house.state(ticket_id), house.ticket(ticket_id).is_whole) == (State.PAUSED, True)


def test_room_is_kept_for_a_length_once_it_counts(house: House) -> None:
    begin(house, ticket_id := house.new_ticket(), None, CONTENT)
    other(house, ticket_id, 1 << 60)
    assert house.uploads.admission.reserved_bytes() <= RESERVATION_STEP_BYTES
    client = other(house, ticket_id, 1 << 60)
    with pytest.raises(StorageFull):
        prove(house, client, CONTENT)
    assert house.ticket(ticket_id).length_bytes is None
    client = other(house, ticket_id, 64 * MIB)
    prove(house, client, CONTENT)
    assert house.uploads.admission.reserved_bytes() > 60 * MIB


def test_an_idle_upload_of_unknown_length_expires(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(), idle_timeout_s=100.0)
    client = begin(house, ticket_id := house.new_ticket(), None, CONTENT)
    house.uploads.release(client.claim)
    house.pass_time(101)
    assert house.state(ticket_id) is State.EXPIRED
    assert house.uploads.admission.reserved_bytes() == 0


def test_the_pause_that_a_rate_limit_asks_for_is_what_a_write_returns(house: House) -> None:
    client = begin(house, house.new_ticket(maxBytesPerS="10"), None)
    assert house.uploads.write(client.claim, memoryview(CONTENT)) == pytest.approx(0.75)
    free = begin(house, house.new_ticket(), None)
    assert house.uploads.write(free.claim, memoryview(CONTENT)) == 0.0


# --- another length in place of one that was only said ---------------------------------------------------


@pytest.mark.parametrize("lengths", [(5, 10), (10, 5), (64 * MIB, 5)])
@pytest.mark.parametrize("meanwhile", ["held", "released", "killed"])
def test_what_the_newest_client_says_counts_while_nothing_is_stored_and_a_request_has_said_it(
    house: House, lengths: tuple[int, int], meanwhile: str
) -> None:
    before, after = lengths
    ticket_id = house.new_ticket()
    first = begin(house, ticket_id, before)
    if meanwhile == "released":
        house.uploads.release(first.claim)
    elif meanwhile == "killed":
        house = house.after_a_kill()
    client = other(house, ticket_id, after, **OTHER)
    ticket = house.ticket(ticket_id)
    assert (ticket.length_bytes, client.claim.end_bytes, ticket.name) == (after, after, "other.mov")
    assert (ticket.upload_metadata, ticket.had_other_length) == (OTHER["upload_metadata"], True)
    assert house.uploads.admission.reserved_bytes() <= after
    if meanwhile == "held":
        with pytest.raises(TakenOver):
            house.uploads.write(first.claim, memoryview(CONTENT[:1]))
    house.uploads.write(client.claim, memoryview(CONTENT[:1]))
    with pytest.raises(LengthMismatch):
        begin(house, ticket_id, before)
    house.uploads.release(client.claim)
    with pytest.raises(LengthMismatch):
        begin(house, ticket_id, before)
    assert house.restarted().ticket(ticket_id).length_bytes == after


@pytest.mark.parametrize("is_stored", [False, True])
def test_bytes_that_are_taken_and_not_stored_keep_nobody_away(tmp_path: Path, is_stored: bool) -> None:
    house = PieceHouse(tmp_path)
    first = begin(house, ticket_id := house.new_ticket(), 10, CONTENT[:1])
    assert (first.claim.taken_bytes, first.claim.acknowledged_bytes) == (1, 0)
    if is_stored:
        house.uploads.flush(first.claim)
        with pytest.raises(LengthMismatch):
            begin(house, ticket_id, 5)
        house.uploads.write(first.claim, memoryview(CONTENT[1:]))
        return
    client = begin(house, ticket_id, 5, CONTENT[5:])
    house.uploads.complete(client.claim)
    assert house.files[ticket_id] == CONTENT[5:]


def test_no_client_replaces_the_length_that_its_app_has_set(house: House) -> None:
    ticket_id = house.new_ticket(lengthBytes="10")
    begin(house, ticket_id, 10)
    with pytest.raises(LengthMismatch):
        begin(house, ticket_id, 5)
    assert not house.ticket(ticket_id).had_other_length


def test_a_client_that_is_refused_for_its_length_takes_nothing_from_the_one_before(tmp_path: Path) -> None:
    house = House(tmp_path, max_upload_bytes=100)
    free_space(house).free_bytes = lambda: 90  # type: ignore[method-assign]
    first = begin(house, ticket_id := house.new_ticket(), 10)
    for length_bytes, why in ((101, UploadTooLarge), (100, StorageFull)):
        with pytest.raises(why):
            begin(house, ticket_id, length_bytes)
    house.uploads.write(first.claim, memoryview(CONTENT))
    house.uploads.complete(first.claim)
    assert house.state(ticket_id) is State.HANDING_OVER
