"""Checkpoints as values: which stay, and what is read of a journal."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoming.core.checkpoints import MAX_CHECKPOINTS, RECENT, START, Checkpoint, added, last, read, up_to

ascending = st.lists(st.integers(1, 2**50), unique=True, max_size=80).map(sorted)


def made(of: list[int]) -> tuple[Checkpoint, ...]:
    found: tuple[Checkpoint, ...] = ()
    for end in of:
        found = added(found, Checkpoint(end, end % 2**32))
    return found


@given(ascending)
def test_the_recent_ones_stay_and_there_are_never_many(of: list[int]) -> None:
    found = [one.end_bytes for one in made(of)]
    assert found == sorted(found)
    assert found[-RECENT:] == of[-RECENT:]
    assert len(found) == min(len(of), MAX_CHECKPOINTS)


def test_of_a_long_upload_the_older_ranges_are_of_similar_length() -> None:
    found = made(list(range(10, 10_000, 10)))[:-RECENT]
    ends = [one.end_bytes for one in (START, *found)]
    lengths = [after - before for before, after in pairwise(ends)]
    assert max(lengths) <= 10_000 // 4


def test_one_that_says_another_thing_of_the_same_bytes_replaces_what_was_said() -> None:
    before = made([10, 20, 30])
    assert added(before, Checkpoint(15, 7)) == (before[0], Checkpoint(15, 7))
    assert added(before, Checkpoint(20, 7)) == (before[0], Checkpoint(20, 7))


def test_of_a_file_that_was_cut_off_those_in_front_still_hold() -> None:
    found = made([10, 20, 30])
    assert up_to(found, 29) == found[:2]
    assert up_to(found, 9) == ()
    assert (last(found), last(())) == (found[-1], START)


def test_an_empty_file_has_no_checkpoint() -> None:
    assert added(made([10]), START) == ()


@given(ascending)
def test_checkpoints_are_read_as_they_were_written(of: list[int]) -> None:
    assert read(json.loads(json.dumps(made(of)))) == made(of)


@pytest.mark.parametrize(
    "value",
    [None, {}, "x", 5, [1, 2], [[1]], [[1, 2, 3]], [["1", 2]], [[1.5, 2]], [[0, 0]], [[-1, 0]], [[1, -1]],
     [[1, 2**32]], [[2, 0], [1, 0]], [[2, 0], [2, 0]]],
)  # fmt: skip
def test_what_is_not_a_list_of_checkpoints_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not an offset after the last one, with a CRC-32C"):
        read(value)
