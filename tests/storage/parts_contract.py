"""What every storage that takes files in parts promises, tested against the Protocols only.

An implementation gets all of these tests with a subclass of `PartsContract` and one fixture, `place`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.core.checkpoints import Checkpoint
from incoming.core.checksum import checksum
from incoming.core.errors import StorageFailed
from incoming.core.parts import Part
from incoming.storage import PartStorage, PartWriter, Storage
from tests.storage.contract import CONTENT, ONE_TEST_FOR_ALL, OTHER, TICKET, Place, content, write

FIRST, SECOND, THIRD = Part(1, 0, 500), Part(2, 500, 300), Part(3, 800, len(CONTENT) - 800)
UNMEASURED = Part(4, None, None)
MEASURED = UNMEASURED._replace(length_bytes=100)
PARTS = (FIRST, SECOND, THIRD)


def of_part(part: Part) -> bytes:
    """Returns the content of a part: each byte of it tells where it is from."""
    start = part.start_bytes or 0
    whole = CONTENT if part.start_bytes is not None else CONTENT[::-1]
    return whole[start : start + (part.length_bytes or 0)]


def always() -> bool:
    """Says that an assembly is still wanted."""
    return True


class PartsContract:
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

    @pytest.fixture
    def parts(self, storage: Storage) -> PartStorage:
        """Its capability."""
        return capability(storage)

    # --- one part, and several ---------------------------------------------------------------------------

    def test_a_part_without_a_byte_has_no_size_and_may_be_deleted(self, parts: PartStorage) -> None:
        assert parts.sizes(TICKET, PARTS) == (0, 0, 0)
        parts.delete(TICKET, FIRST)
        parts.clean_up(TICKET)
        assert parts.open(TICKET, FIRST).taken_bytes == 0

    @pytest.mark.parametrize("part", [*PARTS, MEASURED, UNMEASURED])
    def test_a_part_is_written_like_a_file(self, parts: PartStorage, place: Place, part: Part) -> None:
        writer = parts.open(TICKET, part)
        written = of_part(part._replace(length_bytes=part.length_bytes or 100))
        write(writer, written[:70], 7)
        writer.close()
        assert parts.sizes(TICKET, [part]) == (70,)
        writer = parts.open(TICKET, part)
        assert writer.taken_bytes == writer.durable_offset == 70
        write(writer, written[70:], 30)
        writer.finish()
        writer.close()
        assert capability(place.storage()).sizes(TICKET, [part]) == (len(written),)

    def test_parts_that_are_written_at_the_same_time_do_not_know_each_other(
        self, parts: PartStorage, place: Place
    ) -> None:
        store(parts, PARTS)
        store(parts, PARTS[:1], OTHER)
        assert parts.sizes(TICKET, PARTS) == tuple(part.length_bytes for part in PARTS)
        assert parts.sizes(OTHER, PARTS) == (FIRST.length_bytes, 0, 0)
        parts.delete(TICKET, SECOND)
        place.settle()
        after = capability(place.storage())
        assert after.assemble(TICKET, [FIRST], always) == whole(of_part(FIRST))

    def test_while_an_upload_comes_in_parts_there_is_no_file_of_it(
        self, storage: Storage, parts: PartStorage
    ) -> None:
        store(parts, PARTS)
        assert storage.size(TICKET) is None

    def test_an_aborted_part_that_is_deleted_leaves_nothing(
        self, parts: PartStorage, storage: Storage
    ) -> None:
        writer = parts.open(TICKET, FIRST)
        write(writer, CONTENT[:100])
        writer.abort()
        writer.close()
        storage.delete(TICKET)
        assert parts.sizes(TICKET, PARTS) == (0, 0, 0)

    # --- kills, truncations, bytes that do not count -----------------------------------------------------

    @pytest.mark.parametrize("number", range(3))
    def test_the_offset_of_each_part_survives_a_kill(
        self, parts: PartStorage, place: Place, number: int
    ) -> None:
        lengths = [300, 7, 1][number:] + [300, 7, 1][:number]
        for part, length_bytes in zip(PARTS, lengths, strict=True):
            write(parts.open(TICKET, part), of_part(part)[:length_bytes], 10)
        after = capability(place.storage())
        assert after.sizes(TICKET, PARTS) == tuple(lengths)
        for part in reversed(PARTS):
            writer = after.open(TICKET, part)
            write(writer, of_part(part)[writer.taken_bytes :])
            writer.close()
        assert after.assemble(TICKET, PARTS, always) == whole(CONTENT)

    @pytest.mark.parametrize("ending", ["kill", "close", "truncate"])
    @pytest.mark.parametrize("part", [SECOND, MEASURED])
    def test_bytes_that_were_not_accepted_do_not_count(
        self, parts: PartStorage, place: Place, part: Part, ending: str
    ) -> None:
        writer = parts.open(TICKET, part)
        write(writer, of_part(part)[:40])
        writer.begin_unchecked()
        write(writer, b"?" * 20)
        assert (writer.taken_bytes, writer.durable_offset) == (60, 40)
        if ending == "kill":
            parts = capability(place.storage())
        elif ending == "close":
            writer.close()
        else:
            writer.truncate(40)
            assert (writer.taken_bytes, writer.durable_offset) == (40, 40)
        assert parts.sizes(TICKET, [part]) == (40,)
        if ending != "truncate":
            writer = parts.open(TICKET, part)
        write(writer, of_part(part)[40:])
        writer.close()
        assert parts.assemble(TICKET, [part], always) == whole(of_part(part))

    def test_bytes_that_were_accepted_count_at_once(self, parts: PartStorage, place: Place) -> None:
        writer = parts.open(TICKET, SECOND)
        writer.begin_unchecked()
        write(writer, of_part(SECOND)[:200], 50)
        writer.accept_unchecked()
        writer.accept_unchecked()
        assert capability(place.storage()).sizes(TICKET, PARTS) == (0, 200, 0)
        write(writer, of_part(SECOND)[200:])
        writer.close()
        assert parts.assemble(TICKET, [SECOND], always) == whole(of_part(SECOND))

    @settings(suppress_health_check=ONE_TEST_FOR_ALL, max_examples=40, deadline=None)
    @given(
        steps=st.lists(
            st.tuples(st.sampled_from("wwwwckuat"), st.integers(0, 1), st.integers(0, 40)), max_size=25
        )
    )
    def test_whatever_happens_a_kill_takes_only_what_was_not_durable(
        self, place: Place, steps: list[tuple[str, int, int]]
    ) -> None:
        storage = place.storage()
        storage.delete(TICKET)
        parts = capability(storage)
        both = (FIRST, SECOND)
        writers, taken = [parts.open(TICKET, part) for part in both], [b"", b""]
        for step, number, count in steps:
            writer, so_far = writers[number], taken[number]
            room = of_part(both[number])[len(so_far) :]
            if step == "w":
                write(writer, room[:count])
                taken[number] = so_far + room[:count]
            elif step == "u":
                writer.begin_unchecked()
            elif step == "a":
                writer.accept_unchecked()
                assert writer.durable_offset == len(so_far)
            elif step == "t":
                writer.truncate(min(count, writer.durable_offset))
                taken[number] = so_far[: writer.taken_bytes]
            else:
                durable = [writer.durable_offset for writer in writers]
                if step == "c":
                    for one in writers:
                        one.close()
                else:
                    parts = capability(place.storage())
                assert list(parts.sizes(TICKET, both)) == durable
                writers = [parts.open(TICKET, part) for part in both]
                taken = [one[:size] for one, size in zip(taken, durable, strict=True)]
            for one, of_it in zip(writers, taken, strict=True):
                assert one.durable_offset <= one.taken_bytes == len(of_it) <= one.accounted_bytes
        for writer, part in zip(writers, both, strict=True):
            writer.accept_unchecked()
            write(writer, of_part(part)[writer.taken_bytes :])
            writer.close()
        place.settle()
        assert parts.assemble(TICKET, both, always) == whole(CONTENT[:800])
        assert content(storage) == CONTENT[:800]

    # --- the file ----------------------------------------------------------------------------------------

    ORDERS = [list(order) for count in (1, 2, 3) for order in itertools.permutations(range(3), count)] + [
        [0, 0],
        [0, 1, 1, 2],
        [2, 0, 2],
        [1, 1, 1, 0],
    ]

    @pytest.mark.parametrize("order", ORDERS, ids=str)
    def test_parts_become_a_file_in_any_order(
        self, storage: Storage, parts: PartStorage, place: Place, order: list[int]
    ) -> None:
        store(parts, PARTS)
        chosen = [PARTS[number] for number in order]
        expected = b"".join(map(of_part, chosen))
        assert parts.needs_copy(chosen) == (order != list(range(len(order))))
        assert parts.assemble(TICKET, chosen, always) == whole(expected)
        assert content(storage) == expected
        after = place.storage()
        assert capability(after).assemble(TICKET, chosen, always) == whole(expected), "it may be repeated"
        capability(after).clean_up(TICKET)
        assert content(after) == expected

    def test_parts_without_a_length_and_empty_ones_become_a_file(
        self, storage: Storage, parts: PartStorage
    ) -> None:
        store(parts, [FIRST, MEASURED])
        empty, unmeasured = Part(5, 500, 0), Part(6, None, 0)
        chosen = [empty, FIRST, unmeasured, MEASURED, empty]
        expected = of_part(FIRST) + of_part(MEASURED)
        assert parts.needs_copy(chosen)
        assert not parts.needs_copy([empty, FIRST, unmeasured])
        assert parts.assemble(TICKET, chosen, always) == whole(expected)
        assert content(storage) == expected

    def test_empty_parts_become_an_empty_file(self, storage: Storage, parts: PartStorage) -> None:
        assert parts.assemble(TICKET, [Part(1, 0, 0), Part(2, 0, 0)], always) == Checkpoint(0, 0)
        assert storage.size(TICKET) == 0

    @pytest.mark.parametrize("order", [[0, 1, 2], [1, 0]], ids=str)
    def test_parts_that_are_not_complete_stay_as_they_are(
        self, storage: Storage, parts: PartStorage, order: list[int]
    ) -> None:
        store(parts, [FIRST])
        write(parts.open(TICKET, SECOND), of_part(SECOND)[:-1])
        with pytest.raises(StorageFailed):
            parts.assemble(TICKET, [PARTS[number] for number in order], always)
        assert storage.size(TICKET) is None
        assert parts.sizes(TICKET, PARTS) == (500, 299, 0)

    @pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]], ids=str)
    @pytest.mark.parametrize("times", range(3))
    def test_an_assembly_that_nobody_wants_any_more_changes_nothing(
        self, storage: Storage, parts: PartStorage, order: list[int], times: int
    ) -> None:
        store(parts, PARTS)
        chosen = [PARTS[number] for number in order]
        wanted = iter([True] * times + [False])
        made = parts.assemble(TICKET, chosen, lambda: next(wanted, True))
        if made is None:
            assert storage.size(TICKET) is None
        assert parts.sizes(TICKET, PARTS) == (500, 300, 480)
        assert parts.assemble(TICKET, chosen, always) == whole(b"".join(map(of_part, chosen)))

    # --- space -------------------------------------------------------------------------------------------

    def test_space_is_reserved_within_a_part_only_and_told(self, storage: Storage, place: Place) -> None:
        large = [Part(number, number << 21, 1 << 21) for number in range(1, 3)]
        told: list[int] = []
        parts = capability(storage)
        writers = [parts.open(TICKET, part, told.append) for part in large]
        for writer in writers:
            write(writer, bytes(1 << 20), 1 << 19)
        place.settle()
        for writer in writers:
            assert 1 << 20 <= writer.accounted_bytes <= 1 << 21
            assert all(accounted_bytes <= 1 << 21 for accounted_bytes in told)
            writer.close()
        if storage.free_space:
            assert [parts.accounted_bytes(TICKET, part) for part in large] == [1 << 20] * 2

    def test_what_a_killed_writer_of_a_part_had_reserved_is_free_again(
        self, parts: PartStorage, place: Place
    ) -> None:
        large = Part(1, 0, 1 << 22)
        write(parts.open(TICKET, large), CONTENT)
        place.settle()
        assert capability(place.storage()).accounted_bytes(TICKET, large) == len(CONTENT)


def capability(storage: Storage) -> PartStorage:
    """Returns the capability, which has to be there."""
    assert storage.parts
    return storage.parts


def store(parts: PartStorage, chosen: Sequence[Part], ticket_id: str = TICKET) -> None:
    """Stores complete parts, all at the same time, and closes them."""
    writers: list[tuple[PartWriter, bytes]] = [
        (parts.open(ticket_id, part), of_part(part)) for part in chosen
    ]
    for at in range(0, max(len(of_it) for _, of_it in writers), 50):
        for writer, of_it in writers:
            write(writer, of_it[at : at + 50], 20)
    for writer, _ in writers:
        writer.close()


def whole(expected: bytes) -> Checkpoint:
    """Returns what `assemble` says of a file."""
    return Checkpoint(len(expected), checksum(expected))
