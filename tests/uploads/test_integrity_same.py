"""Whether a client has the file that the upload began with, before it goes on and at the end."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import pytest
from crc32c import crc32c

from incoming.core.errors import Damaged, TakenOver, UploadCancelled, WrongFile
from incoming.core.lifecycle import State
from incoming.core.resume_check import SAMPLE_BYTES
from incoming.handover.answers import WillFinish
from incoming.storage.local.reading import READ_BYTES
from tests.support.data import FileBytes
from tests.support.fakes import FakeApp
from tests.support.uploads import Client, House, new_claim
from tests.uploads.test_integrity import (
    CONTENT,
    CRC,
    HALF,
    THEN_MS,
    begun,
    claim,
    complete,
    digests,
    outcome,
    write,
)

LARGE = FileBytes(20 * SAMPLE_BYTES)
"""So large that samples are taken of it."""
LARGE_CONTENT = LARGE.read(0, LARGE.length_bytes)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Its chances are such that no two samples overlap."""
    house = House(tmp_path, FakeApp(WillFinish()))
    house.runtime.jitter = cycle([0.25, 0.5, 0.75]).__next__  # type: ignore[method-assign]
    return house


def prove(house: House, client: Client, content: bytes = CONTENT) -> None:
    crcs = tuple(crc32c(content[start:end]) for start, end in client.claim.compare)
    house.uploads.check_same(client.claim, crcs)


# --- before it goes on ------------------------------------------------------------------------------


def test_the_same_file_resumes(house: House) -> None:
    ticket_id = begun(house, CONTENT[:HALF])
    client = claim(house, ticket_id)
    assert client.claim.compare == ((0, HALF),)
    prove(house, client)
    write(house, client, CONTENT[HALF:])
    complete(house, client)
    assert house.file(ticket_id).read_bytes() == CONTENT


def test_where_nothing_is_stored_and_where_all_has_arrived_there_is_nothing_to_prove(house: House) -> None:
    ticket_id = house.new_ticket()
    client = claim(house, ticket_id)
    assert client.claim.compare == ()
    write(house, client, CONTENT)
    complete(house, client)
    assert claim(house, ticket_id).claim.compare == ()


def test_a_client_of_version_1_has_nothing_to_prove(house: House) -> None:
    assert claim(house, begun(house, CONTENT[:HALF]), version=1).claim.compare == ()


@pytest.mark.parametrize(("later_ms", "samples"), [(0, 5), (1, 1), (-THEN_MS, 1)])
def test_samples_are_enough_for_a_file_of_the_same_time(house: House, later_ms: int, samples: int) -> None:
    content = LARGE_CONTENT
    ticket_id = begun(house, content[:-1], length_bytes=len(content))
    client = claim(house, ticket_id, 2, len(content), THEN_MS + later_ms)
    assert len(client.claim.compare) == samples
    prove(house, client, content)
    assert client.claim.compare[-1][1] == len(content) - 1


@pytest.mark.parametrize("version", [1, 2])
def test_what_version_1_has_begun_is_compared_as_a_whole(house: House, version: int) -> None:
    ticket_id, time_ms = house.new_ticket(), 0 if version == 1 else THEN_MS
    begun = new_claim(LARGE.length_bytes, "a", time_ms, proves=version > 1)
    first = house.uploads.claim(ticket_id, begun, lambda _: None)
    house.uploads.write(first, memoryview(LARGE.read(0, 10 * SAMPLE_BYTES)))
    again = claim(house, ticket_id, 2, LARGE.length_bytes)
    assert (again.claim.compare == ((0, 10 * SAMPLE_BYTES),)) == (version == 1)


def test_another_file_is_refused_and_changes_nothing(house: House) -> None:
    ticket_id = begun(house, CONTENT[:HALF])
    with pytest.raises(WrongFile) as refused:
        prove(house, claim(house, ticket_id), CONTENT[::-1])
    assert refused.value.expected_file == house.ticket(ticket_id).expected_file
    assert house.file(ticket_id).read_bytes() == CONTENT[:HALF]
    prove(house, claim(house, ticket_id))


def test_one_changed_byte_among_many_samples_is_noticed(house: House) -> None:
    content = LARGE_CONTENT
    client = claim(house, begun(house, content[:-1], length_bytes=len(content)), 2, len(content))
    changed = bytearray(content)
    changed[client.claim.compare[2][0]] ^= 1
    with pytest.raises(WrongFile):
        prove(house, client, bytes(changed))


def test_an_upload_that_is_cancelled_before_its_file_is_compared_is_cancelled(house: House) -> None:
    client = claim(house, begun(house, CONTENT[:HALF]))
    house.uploads.cancel_by_app(client.claim.ticket.id, "")
    with pytest.raises(UploadCancelled):
        prove(house, client)


def test_a_client_replaced_during_the_comparison_is_told_only_that(house: House) -> None:
    ticket_id = begun(house, CONTENT[:HALF])
    house = house.after_a_kill()
    with house.runtime.held("_read"):
        old = claim(house, ticket_id)
        results = outcome(prove, house, old)
        house.runtime.settle()
        write(house, claim(house, ticket_id), CONTENT[HALF:])  # so that more is stored than was asked for
    assert [type(result) for result in results] == [TakenOver]


# --- when the whole file does not agree ---------------------------------------------------------------


def damaged(house: House, stored: bytes = CONTENT) -> str:
    """Returns the id of an upload whose client said another checksum than that of what is stored."""
    ticket_id = house.new_ticket()
    client = claim(house, ticket_id)
    write(house, client, stored)
    with pytest.raises(Damaged):
        complete(house, client, crc32c(stored) ^ 1)
    house.uploads.release(client.claim)
    return ticket_id


def test_a_file_that_does_not_agree_is_not_handed_over_and_not_thrown_away(house: House) -> None:
    ticket_id = damaged(house)
    assert (house.state(ticket_id), house.app.forms) == (State.PAUSED, [])
    assert house.file(ticket_id).read_bytes() == CONTENT


def test_everything_is_compared_before_the_upload_resumes(house: House) -> None:
    content = LARGE_CONTENT
    ticket_id = house.new_ticket()
    first = claim(house, ticket_id, length_bytes=len(content))
    write(house, first, content)
    with pytest.raises(Damaged):
        complete(house, first, 0)
    second = claim(house, ticket_id, length_bytes=len(content))
    assert second.claim.compare == ((0, len(content)),)
    prove(house, second, content)
    complete(house, second, crc32c(content))
    assert house.state(ticket_id) is State.WAITING


def test_pieces_of_two_files_are_thrown_away_and_the_upload_starts_again(house: House) -> None:
    ticket_id = damaged(house, CONTENT[:HALF] + CONTENT[:HALF])
    with pytest.raises(WrongFile):
        prove(house, again := claim(house, ticket_id))
    house.uploads.release(again.claim)
    client = claim(house, ticket_id)
    assert (client.claim.offset_bytes, client.claim.compare) == (0, ())
    write(house, client, CONTENT)
    complete(house, client)
    assert digests(house, ticket_id)[0] == CRC
    assert house.file(ticket_id).read_bytes() == CONTENT


def test_a_claim_that_was_taken_over_discards_nothing(house: House) -> None:
    ticket_id = damaged(house)
    old = claim(house, ticket_id)
    claim(house, ticket_id)
    with pytest.raises(TakenOver):
        prove(house, old, CONTENT[::-1])
    assert house.file(ticket_id).read_bytes() == CONTENT


def test_who_is_taken_over_while_it_waits_to_throw_away_does_not_do_it(house: House) -> None:
    ticket_id = damaged(house)
    old = claim(house, ticket_id)
    with house.uploads.claims.lock(ticket_id):
        house.runtime.spawn(claim, house, ticket_id)
        house.runtime.settle()
        results = outcome(prove, house, old, CONTENT[::-1])
        house.runtime.settle()
        assert results == [], "it waits for its turn"
    house.runtime.settle()
    assert [type(result) for result in results] == [TakenOver]
    assert house.file(ticket_id).read_bytes() == CONTENT


def test_once_everything_was_compared_samples_are_enough_again(house: House) -> None:
    ticket_id = damaged(house)
    prove(house, claim(house, ticket_id))
    with pytest.raises(WrongFile):
        prove(house, claim(house, ticket_id), CONTENT[::-1])
    assert house.file(ticket_id).read_bytes() == CONTENT, "nothing speaks against it any more"


def test_version_1_completes_in_its_own_way_what_version_2_has_begun(house: House) -> None:
    ticket_id = begun(house, CONTENT)
    house.uploads.complete(claim(house, ticket_id, version=1).claim)
    house.runtime.settle()
    assert (house.state(ticket_id), digests(house, ticket_id)[0]) == (State.WAITING, CRC)


# --- the file itself in place of checksums ------------------------------------------------------------


@pytest.mark.parametrize(("start", "end"), [(0, HALF), (0, 1), (HALF - 1, HALF), (3, HALF - 3)])
def test_bytes_are_compared_with_those_that_are_stored_there(house: House, start: int, end: int) -> None:
    client = claim(house, begun(house, CONTENT[:HALF]))
    same = bytearray(CONTENT[start:end])
    assert house.uploads.has_stored(client.claim, start, memoryview(same))
    for position in {0, len(same) - 1}:
        other = bytearray(same)
        other[position] ^= 1
        assert not house.uploads.has_stored(client.claim, start, memoryview(other))


def test_bytes_are_compared_over_more_than_one_piece_of_a_large_file(house: House) -> None:
    whole_bytes = len(LARGE_CONTENT)
    ticket_id = begun(house, LARGE_CONTENT[:-1], length_bytes=whole_bytes)
    client = claim(house, ticket_id, 2, whole_bytes)
    same = bytearray(LARGE_CONTENT[:-1])
    assert len(same) > READ_BYTES
    assert house.uploads.has_stored(client.claim, 0, memoryview(same))
    same[0] ^= 1
    assert not house.uploads.has_stored(client.claim, 0, memoryview(same))


def test_a_claim_that_was_lost_compares_nothing(house: House) -> None:
    ticket_id = begun(house, CONTENT[:HALF])
    client = claim(house, ticket_id)
    claim(house, ticket_id)
    with pytest.raises(TakenOver):
        house.uploads.has_stored(client.claim, 0, memoryview(CONTENT[:1]))
