"""What every storage promises, tested against the Protocols `Storage` and `Writer` only.

An implementation gets all of these tests with a subclass of `StorageContract` and one fixture, `place`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core.checksum import checksum
from incoming.core.errors import StorageFailed
from incoming.storage import Storage, Writer

TICKET: Final = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
OTHER: Final = "7f0d2c55-90a4-4d1b-8a3b-55bb2b2cb1aa"
CONTENT: Final = bytes(range(256)) * 5
ONE_TEST_FOR_ALL: Final = (HealthCheck.function_scoped_fixture, HealthCheck.differing_executors)
LENGTHS: Final = (len(CONTENT), None)


class Place(Protocol):
    """Where files outlive a process."""

    def storage(self) -> Storage:
        """Returns the storage of a new process: the one before, if any, was killed."""

    def settle(self) -> None:
        """Returns when nothing is under way any more."""


def write(writer: Writer, content: bytes, chunk_bytes: int = 100) -> None:
    """Writes the content chunk by chunk, with one buffer that is used again and again."""
    buffer = bytearray(chunk_bytes)
    for at in range(0, len(content), chunk_bytes):
        chunk = content[at : at + chunk_bytes]
        buffer[: len(chunk)] = chunk
        writer.write(memoryview(buffer)[: len(chunk)])
        buffer[:] = b"?" * chunk_bytes


def stored(storage: Storage, content: bytes = CONTENT, ticket_id: str = TICKET) -> None:
    """Stores the content as an upload that has paused."""
    writer = storage.open(ticket_id, len(content))
    write(writer, content)
    writer.close()


def read(storage: Storage, start: int, end: int, ticket_id: str = TICKET) -> bytes:
    """Returns a part of a file."""
    found = bytearray()
    storage.read(ticket_id, start, end, found.extend)
    return bytes(found)


def finished(storage: Storage, content: bytes = CONTENT, ticket_id: str = TICKET) -> None:
    """Stores the content as an upload that has arrived."""
    writer = storage.open(ticket_id, len(content))
    write(writer, content)
    writer.finish()


def content(storage: Storage, ticket_id: str = TICKET) -> bytes:
    """Returns all that is stored of an upload that can be read."""
    return read(storage, 0, storage.size(ticket_id) or 0, ticket_id)


def holds(storage: Storage, expected: bytes, ticket_id: str = TICKET) -> bool:
    """Returns whether these bytes are stored of an upload, and no others.

    They are read. Where unfinished files can't be read, all that is known of them is compared.
    """
    if storage.checksums is None:
        return content(storage, ticket_id) == expected
    samples = storage.checksums.samples(ticket_id)
    same = all(checksum(expected[start:end]) == crc for start, end, crc in samples)
    stored_now = (storage.checksums.stored(ticket_id), storage.size(ticket_id) or 0)
    return same and stored_now == ((len(expected), checksum(expected)), len(expected))


class StorageContract:
    """Subclass it as `TestX`, and define the fixture `place`."""

    @pytest.fixture
    def place(self) -> Place:
        """Where the implementation under test keeps its files."""
        raise NotImplementedError

    @pytest.fixture
    def storage(self, place: Place) -> Iterator[Storage]:
        """The storage of the first process."""
        yield place.storage()
        place.settle()

    # --- a file -------------------------------------------------------------------------------------

    def test_an_upload_without_a_file_has_no_size_and_can_not_be_read(self, storage: Storage) -> None:
        assert storage.size(TICKET) is None
        with pytest.raises(StorageFailed):
            read(storage, 0, 1)

    def test_the_location_is_the_same_before_and_after_the_upload_and_a_restart(
        self, storage: Storage, place: Place
    ) -> None:
        location = storage.location(TICKET)
        stored(storage)
        assert storage.location(TICKET) == place.storage().location(TICKET) == location
        assert storage.location(OTHER) != location

    @pytest.mark.parametrize("length_bytes", LENGTHS)
    def test_chunks_are_appended_and_their_memory_may_be_reused(
        self, storage: Storage, place: Place, length_bytes: int | None
    ) -> None:
        writer = storage.open(TICKET, length_bytes)
        assert (writer.taken_bytes, writer.durable_offset) == (0, 0)
        write(writer, CONTENT, 7)
        place.settle()
        assert writer.durable_offset <= writer.taken_bytes == len(CONTENT)
        writer.close()
        assert storage.size(TICKET) == len(CONTENT)
        assert holds(storage, CONTENT)

    @pytest.mark.parametrize(("start", "end"), [(0, 1), (0, 1280), (7, 8), (100, 1000), (1279, 1280)])
    def test_any_part_of_a_file_can_be_read(self, storage: Storage, start: int, end: int) -> None:
        if storage.checksums is None:
            stored(storage)
            assert read(storage, start, end) == CONTENT[start:end]
        finished(storage, CONTENT, OTHER)
        assert read(storage, start, end, OTHER) == CONTENT[start:end]

    @pytest.mark.parametrize("store", [stored, finished])
    def test_bytes_that_are_missing_are_an_error_and_not_an_end(
        self, storage: Storage, store: Callable[[Storage], None]
    ) -> None:
        store(storage)
        with pytest.raises(StorageFailed):
            read(storage, 0, len(CONTENT) + 1)

    def test_uploads_do_not_know_each_other(self, storage: Storage) -> None:
        first, second = storage.open(TICKET, None), storage.open(OTHER, None)
        for at in range(0, len(CONTENT), 10):
            write(first, CONTENT[at : at + 10])
            write(second, CONTENT[::-1][at : at + 10])
        first.close()
        second.close()
        storage.delete(TICKET)
        assert storage.size(TICKET) is None
        assert holds(storage, CONTENT[::-1], OTHER)

    def test_a_storage_that_works_passes_its_check(self, storage: Storage) -> None:
        storage.check()

    # --- the end of a writer ------------------------------------------------------------------------

    @pytest.mark.parametrize("length_bytes", LENGTHS)
    def test_a_finished_file_is_whole_and_survives_a_kill(
        self, storage: Storage, place: Place, length_bytes: int | None
    ) -> None:
        writer = storage.open(TICKET, length_bytes)
        write(writer, CONTENT)
        writer.finish()
        writer.finish()
        assert content(place.storage()) == CONTENT
        writer.close()
        assert content(storage) == CONTENT

    def test_an_upload_resumes_where_it_was_closed(self, storage: Storage) -> None:
        stored(storage, CONTENT[:333])
        writer = storage.open(TICKET, len(CONTENT))
        assert writer.taken_bytes == writer.durable_offset == 333
        write(writer, CONTENT[333:])
        writer.finish()
        assert content(storage) == CONTENT

    def test_an_aborted_upload_that_is_deleted_leaves_nothing(self, storage: Storage, place: Place) -> None:
        writer = storage.open(TICKET, len(CONTENT))
        write(writer, CONTENT)
        writer.abort()
        storage.delete(TICKET)
        place.settle()
        assert place.storage().size(TICKET) is None
        assert storage.open(TICKET, len(CONTENT)).taken_bytes == 0

    def test_closing_and_aborting_again_does_nothing(self, storage: Storage) -> None:
        writer = storage.open(TICKET, len(CONTENT))
        write(writer, CONTENT)
        writer.close()
        writer.close()
        writer.abort()
        assert holds(storage, CONTENT)

    def test_a_file_may_be_deleted_that_is_not_there(self, storage: Storage) -> None:
        storage.delete(TICKET)
        stored(storage)
        storage.delete(TICKET)
        storage.delete(TICKET)
        assert storage.size(TICKET) is None

    # --- flush, truncation and kills -----------------------------------------------------------------------

    @pytest.mark.parametrize("length_bytes", [0, 1, 400, len(CONTENT)])
    def test_after_a_truncation_the_file_is_written_from_there(
        self, storage: Storage, length_bytes: int
    ) -> None:
        writer = storage.open(TICKET, len(CONTENT))
        write(writer, CONTENT[:length_bytes] + b"?" * (len(CONTENT) - length_bytes))
        writer.truncate(length_bytes)
        assert writer.durable_offset <= writer.taken_bytes <= length_bytes
        write(writer, CONTENT[writer.taken_bytes :])
        writer.finish()
        assert content(storage) == CONTENT

    @pytest.mark.parametrize("length_bytes", LENGTHS)
    @pytest.mark.parametrize("taken_bytes", [0, 1, 333, len(CONTENT)])
    def test_what_was_flushed_survives_a_kill_and_more_may_follow(
        self, storage: Storage, place: Place, taken_bytes: int, length_bytes: int | None
    ) -> None:
        writer = storage.open(TICKET, length_bytes)
        write(writer, CONTENT[:taken_bytes])
        for _ in range(2):
            writer.flush()
            assert writer.durable_offset == writer.taken_bytes == taken_bytes
        assert holds(place.storage(), CONTENT[:taken_bytes])
        write(writer, CONTENT[taken_bytes:])
        writer.finish()
        assert content(storage) == CONTENT

    @pytest.mark.parametrize("length_bytes", [1, 333, 500])
    def test_a_truncation_keeps_every_durable_byte_in_front_of_it(
        self, storage: Storage, place: Place, length_bytes: int
    ) -> None:
        writer = storage.open(TICKET, None)
        write(writer, CONTENT[:length_bytes])
        writer.flush()
        write(writer, b"?" * 300)
        writer.truncate(length_bytes)
        assert writer.durable_offset == writer.taken_bytes == length_bytes
        assert holds(place.storage(), CONTENT[:length_bytes])

    @settings(suppress_health_check=ONE_TEST_FOR_ALL, max_examples=40, deadline=None)
    @given(steps=st.lists(st.tuples(st.sampled_from("wwwwckft"), st.integers(0, 40)), max_size=25))
    def test_whatever_happens_a_kill_takes_only_what_was_not_durable(
        self, place: Place, steps: list[tuple[str, int]]
    ) -> None:
        storage = place.storage()
        storage.delete(TICKET)
        writer = storage.open(TICKET, None)
        taken = b""
        for step, number in steps:
            if step == "w":
                chunk = CONTENT[len(taken) : len(taken) + number]
                writer.write(memoryview(chunk))
                taken += chunk
            elif step == "c":
                writer.close()
                assert storage.size(TICKET) == len(taken)
                writer = storage.open(TICKET, None)
            elif step == "f":
                writer.flush()
                assert writer.durable_offset == len(taken)
            elif step == "t":
                min_bytes = min(number, writer.durable_offset)
                writer.truncate(min(number, len(taken)))
                assert writer.durable_offset >= min_bytes
                taken = taken[: writer.taken_bytes]
            else:
                durable_offset = writer.durable_offset
                storage = place.storage()
                size_bytes = storage.size(TICKET) or 0
                assert durable_offset <= size_bytes <= len(taken)
                writer, taken = storage.open(TICKET, None), taken[:size_bytes]
            assert writer.taken_bytes == len(taken)
            assert writer.durable_offset <= writer.taken_bytes <= writer.accounted_bytes
        writer.close()
        place.settle()
        assert holds(storage, taken)

    # --- capabilities -------------------------------------------------------------------------------

    def test_room_is_accounted_for_what_is_stored_and_reserved(self, storage: Storage, place: Place) -> None:
        told: list[int] = []
        writer = storage.open(TICKET, 1 << 22, told.append)
        write(writer, bytes(1 << 21), 1 << 20)
        place.settle()
        assert 1 << 21 <= writer.accounted_bytes <= 1 << 22, "no more is reserved than the length"
        assert told == sorted(told)
        assert all(accounted_bytes <= writer.accounted_bytes for accounted_bytes in told)
        writer.close()
        if storage.free_space:
            assert storage.free_space.accounted_bytes(TICKET) == 1 << 21, "a closed file has no reserve"
            assert storage.free_space.accounted_bytes(OTHER) == 0
            assert storage.free_space.free_bytes() > 0

    def test_what_a_killed_writer_had_reserved_is_free_again(self, storage: Storage, place: Place) -> None:
        write(storage.open(TICKET, 1 << 22), CONTENT)
        place.settle()
        after = place.storage()
        if after.free_space:
            assert after.free_space.accounted_bytes(TICKET) == after.size(TICKET) == len(CONTENT)

    def test_the_inventory_has_every_file_and_tells_which_belongs_to_no_ticket(
        self, storage: Storage
    ) -> None:
        if storage.inventory is None:
            return
        stored(storage)
        stored(storage, b"stray", OTHER)
        assert storage.inventory.names() >= {TICKET, OTHER}
        strays = storage.inventory.strays(lambda _: {TICKET})
        assert (strays.names, strays.size_bytes) == ((OTHER,), 5)

    def test_a_file_that_was_not_taken_is_there_and_a_clean_up_leaves_it(self, storage: Storage) -> None:
        if storage.pickup is None:
            return
        finished(storage)
        assert not storage.pickup.is_taken(TICKET)
        assert not storage.pickup.may_be_taken(TICKET)
        storage.pickup.clean_up(TICKET)
        storage.pickup.clean_up(OTHER)
        assert read(storage, 0, len(CONTENT)) == CONTENT

    def test_a_file_can_always_be_given_to_the_servers_own_user(self, storage: Storage) -> None:
        if storage.ownership is None:
            return
        stored(storage)
        assert storage.ownership.can_give_to(os.geteuid())
        storage.ownership.give_to(TICKET, os.geteuid())
        assert content(storage) == CONTENT
        assert not storage.ownership.can_give_to(2**40)

    def test_nothing_is_lost_of_a_whole_file(self, storage: Storage) -> None:
        if storage.recovery is None:
            return
        stored(storage)
        assert storage.recovery.discard_lost(TICKET) == storage.recovery.discard_lost(OTHER) == 0
        assert content(storage) == CONTENT
