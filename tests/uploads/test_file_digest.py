"""A client that names the digest of its whole file, or asks for it: through kills, and to the end."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from incoming.core.checksum import checksum
from incoming.core.errors import DigestMismatch, UploadCancelled
from incoming.core.file_digest import FileDigest
from incoming.core.lifecycle import State
from incoming.uploads.claims import ClaimedUpload
from incoming.uploads.housekeeping import recover
from tests.support.uploads import House, new_claim

CONTENT = b"0123456789" * 1000
OTHER = b"another file" * 834
VALUES = {
    "sha256": hashlib.sha256(CONTENT).digest(),
    "sha512": hashlib.sha512(CONTENT).digest(),
    "md5": hashlib.md5(CONTENT, usedforsecurity=False).digest(),
    "sha1": hashlib.sha1(CONTENT, usedforsecurity=False).digest(),
    "crc32c": checksum(CONTENT).to_bytes(4),
}
each_hash = pytest.mark.parametrize("name", VALUES)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def claim(house: House, ticket_id: str, file_digest: str = "") -> ClaimedUpload:
    asked = replace(new_claim(len(CONTENT)), file_digest=file_digest)
    return house.uploads.claim(ticket_id, asked, lambda _: None)


def named(name: str, content: bytes = CONTENT) -> str:
    """Returns the digest of this content, as a client names it."""
    value = VALUES[name] if content == CONTENT else bytes(len(VALUES[name]))
    return FileDigest(name, value).text


@each_hash
def test_a_file_with_the_digest_that_its_client_named_is_handed_over(house: House, name: str) -> None:
    ticket_id = house.new_ticket()
    claimed = claim(house, ticket_id, named(name))
    house.uploads.write(claimed, memoryview(CONTENT))
    house.uploads.complete(claimed)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED
    assert house.ticket(ticket_id).file_digest == named(name)
    assert house.ticket(ticket_id).sha256 == "", "its app has not asked for one"


@each_hash
def test_a_file_with_another_digest_is_not_handed_over_and_its_app_is_told(house: House, name: str) -> None:
    ticket_id = house.new_ticket()
    claimed = claim(house, ticket_id, named(name, OTHER))
    house.uploads.write(claimed, memoryview(CONTENT))
    with pytest.raises(DigestMismatch):
        house.uploads.complete(claimed)
    house.runtime.settle()
    assert house.state(ticket_id) is State.CANCELLED
    assert "does not have the digest" in house.ticket(ticket_id).reason
    assert [(form["cancelled"], form["filename"]) for form in house.app.forms] == [("yes", "")]
    with pytest.raises(UploadCancelled):
        claim(house, ticket_id)


@each_hash
def test_a_client_that_asks_for_the_digest_finds_it_at_the_end(house: House, name: str) -> None:
    ticket_id = house.new_ticket()
    claimed = claim(house, ticket_id, f"{name}:")
    house.uploads.write(claimed, memoryview(CONTENT))
    house.uploads.complete(claimed)
    assert house.ticket(ticket_id).file_digest == named(name)
    assert house.after_a_kill().ticket(ticket_id).file_digest == named(name)


@each_hash
@pytest.mark.parametrize("file_digest", ["right", "wrong"])
def test_a_digest_that_was_named_before_a_kill_counts_after_it(
    house: House, name: str, file_digest: str
) -> None:
    ticket_id = house.new_ticket()
    claimed = claim(house, ticket_id, named(name, CONTENT if file_digest == "right" else OTHER))
    house.uploads.write(claimed, memoryview(CONTENT)[:4000])
    house = house.after_a_kill()
    claimed = claim(house, ticket_id)
    house.uploads.write(claimed, memoryview(CONTENT)[4000:])
    if file_digest == "right":
        house.uploads.complete(claimed)
        house.runtime.settle()
        assert house.state(ticket_id) is State.FINISHED
    else:
        with pytest.raises(DigestMismatch):
            house.uploads.complete(claimed)


@each_hash
def test_a_digest_may_be_named_when_half_of_the_file_is_stored(house: House, name: str) -> None:
    ticket_id = house.new_ticket()
    house.uploads.write(claim(house, ticket_id), memoryview(CONTENT)[:4000])
    claimed = claim(house, ticket_id, named(name))
    house.uploads.write(claimed, memoryview(CONTENT)[4000:])
    house.uploads.complete(claimed)
    assert house.ticket(ticket_id).file_digest == named(name)


@each_hash
@pytest.mark.parametrize("file_digest", ["right", "wrong"])
def test_a_digest_that_is_named_after_another_one_was_asked_for_counts(
    house: House, name: str, file_digest: str
) -> None:
    ticket_id = house.new_ticket()
    house.uploads.write(claim(house, ticket_id, "sha256:"), memoryview(CONTENT)[:4000])
    claimed = claim(house, ticket_id, named(name, CONTENT if file_digest == "right" else OTHER))
    house.uploads.write(claimed, memoryview(CONTENT)[4000:])
    if file_digest == "right":
        house.uploads.complete(claimed)
        assert house.ticket(ticket_id).file_digest == named(name)
    else:
        with pytest.raises(DigestMismatch):
            house.uploads.complete(claimed)


def test_the_digests_of_the_app_and_of_the_client_are_both_known(house: House) -> None:
    ticket_id = house.new_ticket(digest="sha256")
    claimed = claim(house, ticket_id, "sha512:")
    house.uploads.write(claimed, memoryview(CONTENT))
    house.uploads.complete(claimed)
    ticket = house.ticket(ticket_id)
    assert (ticket.sha256, ticket.file_digest) == (VALUES["sha256"].hex(), named("sha512"))


@pytest.mark.parametrize("content", [CONTENT, OTHER])
def test_a_file_whose_client_was_killed_at_the_end_is_compared_too(house: House, content: bytes) -> None:
    """All bytes are stored, and the client never comes back to complete the upload."""
    ticket_id = house.new_ticket()
    claimed = claim(house, ticket_id, named("sha512", content))
    house.uploads.write(claimed, memoryview(CONTENT))
    house = house.after_a_kill()
    house.runtime.settle()
    assert house.state(ticket_id) is (State.FINISHED if content == CONTENT else State.CANCELLED)


def test_a_file_that_lost_bytes_in_a_power_cut_is_not_taken_for_another_file(house: House) -> None:
    """All bytes were there, and the power failed before they were synced: the client sends them again."""
    ticket_id = house.new_ticket()
    claimed = claim(house, ticket_id, named("sha512"))
    house.uploads.write(claimed, memoryview(CONTENT))
    with house.file(ticket_id).open("r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))
    house = house.after_a_power_cut()
    recover(house.uploads)
    house.runtime.settle()
    assert house.state(ticket_id) is State.PAUSED, house.ticket(ticket_id).reason
    claimed = claim(house, ticket_id)
    assert claimed.offset_bytes < len(CONTENT)
    house.uploads.write(claimed, memoryview(CONTENT)[claimed.offset_bytes :])
    house.uploads.complete(claimed)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED
