"""A ticket whose app has set the length of its file: who may upload, and what clients without a length do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from incoming.core.bounds import MAX_UPLOAD_METADATA_BYTES
from incoming.core.errors import BadChunk, BadParameter, LengthMismatch
from incoming.core.lifecycle import State
from incoming.uploads.claims import ClaimedUpload
from tests.support.uploads import House, new_claim

CONTENT = b"0123456789"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def ticket_id(house: House) -> str:
    return house.new_ticket(lengthBytes="10")


def claim(house: House, ticket_id: str, length_bytes: int | None, metadata: str = "") -> ClaimedUpload:
    asked = replace(new_claim(length_bytes), upload_metadata=metadata)
    return house.uploads.claim(ticket_id, asked, lambda _: None)


def test_the_length_is_known_before_any_client_comes_and_after_a_kill(house: House, ticket_id: str) -> None:
    assert house.uploads.look(ticket_id).length_bytes == 10
    assert house.after_a_kill().uploads.look(ticket_id).length_bytes == 10


@pytest.mark.parametrize("length_bytes", [None, 10])
def test_a_client_need_not_tell_the_length(house: House, ticket_id: str, length_bytes: int | None) -> None:
    claimed = claim(house, ticket_id, length_bytes)
    house.uploads.write(claimed, memoryview(CONTENT))
    with pytest.raises(BadChunk):
        house.uploads.write(claimed, memoryview(b"!"))
    house.uploads.complete(claimed)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED


@pytest.mark.parametrize("length_bytes", [0, 9, 11])
def test_a_file_of_another_length_is_refused_and_the_ticket_stays_for_the_right_one(
    house: House, ticket_id: str, length_bytes: int
) -> None:
    with pytest.raises(LengthMismatch, match="The upload is for a file of 10 bytes") as refusal:
        claim(house, ticket_id, length_bytes)
    assert refusal.value.expected_file is None, "no client has begun with any file"
    assert house.state(ticket_id) is State.ISSUED
    claimed = claim(house, ticket_id, None)
    with pytest.raises(LengthMismatch):
        house.uploads.set_length(claimed, length_bytes)
    assert house.ticket(ticket_id).length_bytes == 10


def test_an_empty_file_that_was_announced_is_complete_only_once_a_client_says_so(house: House) -> None:
    ticket_id = house.new_ticket(lengthBytes="0")
    house.uploads.release(claim(house, ticket_id, None))
    house.pass_time(1)
    assert house.state(ticket_id) is State.PAUSED
    house.uploads.complete(claim(house, ticket_id, None))
    assert house.state(ticket_id) is State.HANDING_OVER


# --- what clients of tus say of the file ---------------------------------------------------------------


def test_the_first_metadata_count_and_survive_a_kill(house: House, ticket_id: str) -> None:
    for metadata in ("", "filename YQ==", "filename Yg=="):
        house.uploads.release(claim(house, ticket_id, None, metadata))
    assert house.ticket(ticket_id).upload_metadata == "filename YQ=="
    assert house.after_a_kill().ticket(ticket_id).upload_metadata == "filename YQ=="


def test_metadata_that_are_too_long_are_refused_and_change_nothing(house: House, ticket_id: str) -> None:
    with pytest.raises(BadParameter, match="Upload-Metadata must have at most 4096 bytes"):
        claim(house, ticket_id, None, "x" * (MAX_UPLOAD_METADATA_BYTES - 1) + "\u00fc")
    assert house.state(ticket_id) is State.ISSUED
    longest = "x" * MAX_UPLOAD_METADATA_BYTES
    assert claim(house, ticket_id, None, longest).ticket.upload_metadata == longest


def test_metadata_of_a_client_that_only_watches_are_not_kept(house: House) -> None:
    house.arrive(ticket_id := house.new_ticket(), CONTENT)
    assert claim(house, ticket_id, 10, "filename YQ==").ticket.upload_metadata == ""
