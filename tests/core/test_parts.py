"""The parts of a file: where each has its place, when they are the file already, what the journal keeps."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoming.core.errors import BadAssembly, LengthMismatch, TooManyParts, UnknownPart, WrongState
from incoming.core.parts import (
    MAX_ADDRESS_BYTES,
    MAX_END_BYTES,
    MAX_PARTS,
    NO_PARTS,
    Assembly,
    Part,
    UploadParts,
    are_adjacent,
    is_part_id,
    next_start_bytes,
    part_id,
    read,
    split_part_id,
    total_bytes,
)

A, B, C = Part(1, 0, 10), Part(2, 10, 5), Part(4, 15, 1, "filename YQ==")
EMPTY, UNMEASURED, MEASURED = Part(5, 16, 0), Part(6, None, None), Part(6, None, 3)


@pytest.mark.parametrize(
    ("parts", "start_bytes"),
    [
        ((), 0),
        ((A,), 10),
        ((A, B, C), 16),
        ((B,), 15),
        ((A, UNMEASURED), 10),
        ((MEASURED,), 0),
        ((EMPTY,), 16),
    ],
)
def test_a_new_part_begins_behind_all_others(parts: tuple[Part, ...], start_bytes: int) -> None:
    assert next_start_bytes(parts) == start_bytes


@pytest.mark.parametrize(
    ("parts", "size_bytes"),
    [((), 0), ((A, B), 15), ((A, A), 20), ((A, MEASURED), 13), ((A, UNMEASURED), None)],
)
def test_parts_have_a_length_together_once_each_has_one(
    parts: tuple[Part, ...], size_bytes: int | None
) -> None:
    assert total_bytes(parts) == size_bytes


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), True),
        ((A,), True),
        ((A, B, C), True),
        ((A, B), True),
        ((EMPTY, A, EMPTY, B), True),
        ((B,), False),
        ((B, A), False),
        ((A, C), False),
        ((A, A), False),
        ((A, MEASURED), False),
        ((UNMEASURED,), False),
        ((A, UNMEASURED), False),
    ],
)
def test_adjacent_parts_are_the_beginning_of_the_file(parts: tuple[Part, ...], expected: bool) -> None:
    assert are_adjacent(parts) is expected


# --- all parts of an upload ----------------------------------------------------------------------------


def made(*lengths: int | None) -> UploadParts:
    parts = NO_PARTS
    for length_bytes in lengths:
        parts = parts.add(length_bytes, "")
    return parts


def test_parts_are_numbered_and_placed_in_the_order_of_creation() -> None:
    assert made(10, None, 5, 0, 1).present == (
        Part(1, 0, 10), Part(2, None, None), Part(3, 10, 5), Part(4, 15, 0), Part(5, 15, 1),
    )  # fmt: skip


def test_a_number_is_never_given_again() -> None:
    parts = made(10, 5).remove(2).remove(1).add(7, "x")
    assert parts.present == (Part(3, 0, 7, "x"),)
    with pytest.raises(UnknownPart):
        parts.get(1)
    with pytest.raises(UnknownPart):
        parts.remove(2)


def test_parts_are_bounded_in_number_in_metadata_and_in_length() -> None:
    full = made(*[1] * MAX_PARTS)
    for parts in (full, full.remove(1)):
        with pytest.raises(TooManyParts):
            parts.add(1, "")
    talkative = NO_PARTS
    for _ in range(4):
        talkative = talkative.add(1, "\N{SNOWMAN}" * 1365)
    with pytest.raises(TooManyParts):
        talkative.add(1, "x" * 5)
    assert talkative.add(1, "x" * 4).created == 5
    with pytest.raises(TooManyParts):
        made(MAX_END_BYTES).add(1, "")
    assert made(MAX_END_BYTES).add(0, "").created == 2


def test_the_length_of_a_part_is_told_once_and_is_not_below_what_is_stored() -> None:
    parts = made(None, 5)
    assert parts.measure(1, 7, 7).present == (Part(1, None, 7), Part(2, 0, 5))
    assert parts.measure(1, 7, 7).measure(1, 7, 7) == parts.measure(1, 7, 7)
    assert parts.measure(2, 5, 0) == parts
    for number, length_bytes, stored_bytes in ((1, 6, 7), (2, 6, 0), (2, 4, 0)):
        with pytest.raises(LengthMismatch):
            parts.measure(number, length_bytes, stored_bytes)
    with pytest.raises(UnknownPart):
        parts.measure(3, 1, 0)


def test_an_assembly_may_have_a_part_twice_and_leave_others_out() -> None:
    parts = made(10, 5, 1).plan((3, 1, 3), "/x/")
    assert [part.number for part in parts.listed] == [3, 1, 3]
    assert parts.length_bytes == 12
    assert made(10, 5, 1).length_bytes == 16
    assert made(10, None).length_bytes is None
    assert made(10, None).plan((1,), "").length_bytes == 10


@pytest.mark.parametrize("order", [(), (4,), (1, 4), (0,), (1,) * (MAX_PARTS + 1)], ids=str)
def test_an_assembly_of_parts_that_are_not_there_is_refused(order: tuple[int, ...]) -> None:
    with pytest.raises(BadAssembly):
        made(10, 5, 1).plan(order, "")


def test_a_part_of_an_assembly_is_not_removed_and_another_one_is() -> None:
    parts = made(10, 5, 1).plan((3, 1), "")
    for number in (3, 1):
        with pytest.raises(WrongState):
            parts.remove(number)
    assert [part.number for part in parts.remove(2).present] == [1, 3]


def test_an_assembly_is_open_until_it_is_done() -> None:
    parts = made(10, 5)
    assert [one.may_grow for one in (NO_PARTS, parts, parts.plan((1,), ""))] == [False, True, True]
    done = parts.plan((2, 1), "/x/").finish()
    assert done.is_done and not done.may_grow
    assert done.assembly == Assembly((2, 1), "/x/", True)
    assert parts.finish() == parts, "nothing was planned"


@pytest.mark.parametrize(("size", "is_kept"), [(MAX_ADDRESS_BYTES, True), (MAX_ADDRESS_BYTES + 1, False)])
def test_a_long_address_is_not_kept(size: int, is_kept: bool) -> None:
    assembly = made(10).plan((1,), "x" * size).assembly
    assert assembly and (assembly.address != "") is is_kept


# --- the id of a part ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 7, 1000])
def test_the_id_of_a_part_names_its_ticket_and_its_number(number: int) -> None:
    upload_id = part_id("the-ticket", number)
    assert is_part_id(upload_id)
    assert split_part_id(upload_id) == ("the-ticket", number)


@pytest.mark.parametrize(
    "upload_id",
    [
        "",
        "t",
        "t/parts/",
        "t/parts/0",
        "t/parts/01",
        "t/parts/x",
        "t/parts/1/",
        "t/u/parts/1",
        "/parts/1",
        "t/part/1",
        "t/parts/9999999999",
    ],
)
def test_anything_else_is_not_the_id_of_a_part(upload_id: str) -> None:
    assert not is_part_id(upload_id)
    with pytest.raises(UnknownPart):
        split_part_id(upload_id)


# --- in the journal ------------------------------------------------------------------------------------

lengths = st.none() | st.integers(0, 2**40)
parts_lists = st.lists(st.tuples(lengths, lengths, st.text(max_size=5)), max_size=5)


@given(parts_lists, st.booleans(), st.text(max_size=5))
def test_parts_are_read_as_they_were_written(
    some: list[tuple[int | None, int | None, str]], is_done: bool, address: str
) -> None:
    present = tuple(Part(number, *one) for number, one in enumerate(some, 1))
    numbers = tuple(range(1, len(some) + 1))
    assembly = Assembly(numbers, address, is_done) if numbers else None
    parts = UploadParts(present, len(some), assembly)
    assert read(json.loads(json.dumps(parts))) == parts


def test_an_upload_without_parts_has_none_in_the_journal() -> None:
    assert read(None) is None


GOOD = [[1, 0, 5, ""], [3, None, None, "x"]]


@pytest.mark.parametrize(
    "value",
    [
        1, "x", [], [[], 0], [GOOD, 3], [GOOD, "3", None], [[1], 3, None], [[[1, 0, 5]], 3, None],
        [[[1, "0", 5, ""]], 3, None], [[[1, 0, 5, 6]], 3, None], [[["1", 0, 5, ""]], 3, None],
        [GOOD, 3, 1], [GOOD, 3, []], [GOOD, 3, [["x"], "", True]], [GOOD, 3, [[1], 5, True]],
        [GOOD, 3, [[1], "", 1]], [GOOD, 3, [1, "", True]], [GOOD, 2, None], [GOOD, 3, [[2], "", False]],
        [GOOD, 3, [[], "", False]], [[[0, 0, 1, ""]], 3, None], [[[2, 0, 1, ""], [1, 1, 1, ""]], 3, None],
        [[[1, 0, 1, ""], [1, 1, 1, ""]], 3, None], [[[1, -1, 1, ""]], 3, None], [[[1, 0, -1, ""]], 3, None],
        [[[1, MAX_END_BYTES, 1, ""]], 3, None],
    ],
    ids=str,
)  # fmt: skip
def test_malformed_parts_of_a_ticket_are_refused(value: object) -> None:
    assert read([GOOD, 3, [[3, 1], "", False]])
    with pytest.raises(ValueError, match=r"is not|more parts than|not there"):
        read(value)
