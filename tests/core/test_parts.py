"""The parts of a file: where each has its place, when they are the file already, what the journal keeps."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoming.core.parts import (
    MAX_END_BYTES,
    Assembly,
    Part,
    are_adjacent,
    check,
    find,
    in_order,
    next_start_bytes,
    part_id,
    read_assembly,
    read_parts,
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


def test_an_assembly_may_have_a_part_twice_and_leave_others_out() -> None:
    assert in_order((A, B, C), Assembly((4, 1, 4))) == (C, A, C)
    assert find((A, B, C), 4) is C
    assert find((A, B, C), 3) is None


@pytest.mark.parametrize("number", [1, 7, 1000])
def test_the_id_of_a_part_names_its_ticket_and_its_number(number: int) -> None:
    assert split_part_id(part_id("the-ticket", number)) == ("the-ticket", number)


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
        "t/parts/9999999999",
    ],
)
def test_anything_else_is_not_the_id_of_a_part(upload_id: str) -> None:
    assert split_part_id(upload_id) is None


# --- in the journal ------------------------------------------------------------------------------------

lengths = st.none() | st.integers(0, 2**40)
parts_lists = st.lists(st.tuples(lengths, lengths, st.text(max_size=5)), max_size=5)


@given(parts_lists, st.booleans(), st.text(max_size=5))
def test_parts_and_an_assembly_are_read_as_they_were_written(
    some: list[tuple[int | None, int | None, str]], is_done: bool, address: str
) -> None:
    parts = tuple(Part(number, *one) for number, one in enumerate(some, 1))
    assembly = Assembly(tuple(range(1, len(parts) + 1)), address, is_done)
    assert read_parts(json.loads(json.dumps(parts))) == parts
    assert read_assembly(json.loads(json.dumps(assembly))) == assembly
    assert read_assembly(None) is None
    check(parts, assembly if parts else None)


@pytest.mark.parametrize(
    "value", [None, 1, "x", [1], [[1, 0, 5]], [[1, "0", 5, ""]], [[1, 0, 5, 6]], [["1", 0, 5, ""]]]
)
def test_what_is_not_a_list_of_parts_says_so(value: object) -> None:
    with pytest.raises(ValueError, match="is not a part"):
        read_parts(value)


@pytest.mark.parametrize(
    "value", [1, [], [[1]], [["x"], "", True], [[1], 5, True], [[1], "", 1], [1, "", True]]
)
def test_what_is_not_an_assembly_says_so(value: object) -> None:
    with pytest.raises(ValueError, match="is not an assembly"):
        read_assembly(value)


@pytest.mark.parametrize(
    ("parts", "order"),
    [
        ((B, A), None),
        ((A, A), None),
        ((Part(0, 0, 1),), None),
        ((Part(1, -1, 1),), None),
        ((Part(1, 0, -1),), None),
        ((Part(1, MAX_END_BYTES, 1),), None),
        ((A,), (2,)),
        ((A,), ()),
        ((), (1,)),
    ],
)
def test_parts_that_no_ticket_has_are_refused(parts: tuple[Part, ...], order: tuple[int, ...] | None) -> None:
    with pytest.raises(ValueError, match="part"):
        check(parts, None if order is None else Assembly(order))
