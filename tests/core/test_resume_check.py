"""Which parts of the stored bytes are compared before an upload goes on."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core.resume_check import RANDOM_SAMPLES, SAMPLE_BYTES, ranges_to_compare

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LITTLE_BYTES = 5 * SAMPLE_BYTES
MUCH_BYTES = 1000 * SAMPLE_BYTES
MIDDLE = [0.5] * RANDOM_SAMPLES
chances = st.lists(st.floats(0, 1), min_size=RANDOM_SAMPLES, max_size=RANDOM_SAMPLES)


@pytest.mark.parametrize("same_time", [True, False])
def test_where_nothing_is_stored_there_is_nothing_to_compare(same_time: bool) -> None:
    assert ranges_to_compare(0, same_time, MIDDLE) == ()


@pytest.mark.parametrize("stored_bytes", [1, LITTLE_BYTES, LITTLE_BYTES + 1, MUCH_BYTES])
def test_a_file_of_another_time_is_compared_as_a_whole(stored_bytes: int) -> None:
    assert ranges_to_compare(stored_bytes, False, MIDDLE) == ((0, stored_bytes),)


@pytest.mark.parametrize("stored_bytes", [1, SAMPLE_BYTES, LITTLE_BYTES])
def test_what_would_be_read_anyway_is_compared_as_a_whole(stored_bytes: int) -> None:
    assert ranges_to_compare(stored_bytes, True, MIDDLE) == ((0, stored_bytes),)


def test_of_much_there_are_samples_at_both_ends_and_where_chance_says() -> None:
    last = MUCH_BYTES - SAMPLE_BYTES
    starts = (0, int(0.25 * last), int(0.5 * last), int(0.75 * last), last)
    expected = tuple((start, start + SAMPLE_BYTES) for start in starts)
    assert ranges_to_compare(MUCH_BYTES, True, [0.75, 0.25, 0.5]) == expected


def test_samples_that_overlap_become_one_range() -> None:
    stored_bytes = 8 * SAMPLE_BYTES
    near_each_other = [0.5, 0.55, 1.0]
    begin, last = int(0.5 * 7 * SAMPLE_BYTES), int(0.55 * 7 * SAMPLE_BYTES)
    expected = ((0, SAMPLE_BYTES), (begin, last + SAMPLE_BYTES), (7 * SAMPLE_BYTES, stored_bytes))
    assert ranges_to_compare(stored_bytes, True, near_each_other) == expected


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_a_sample_at_the_very_end_is_not_a_second_one(chance: float) -> None:
    ends = ((0, SAMPLE_BYTES), (MUCH_BYTES - SAMPLE_BYTES, MUCH_BYTES))
    assert ranges_to_compare(MUCH_BYTES, True, [chance] * RANDOM_SAMPLES) == ends


@same_each_run
@given(st.integers(0, 2**53 - 1), st.booleans(), chances)
def test_whatever_is_stored_its_first_and_last_bytes_are_compared_and_none_beyond(
    stored_bytes: int, same_time: bool, drawn: list[float]
) -> None:
    ranges = ranges_to_compare(stored_bytes, same_time, drawn)
    assert all(0 <= start < end <= stored_bytes for start, end in ranges)
    assert all(before[1] <= after[0] for before, after in pairwise(ranges)), "in order, no byte twice"
    if stored_bytes:
        assert (ranges[0][0], ranges[-1][1]) == (0, stored_bytes)
    if len(ranges) > 1:
        assert min(end - start for start, end in ranges) >= SAMPLE_BYTES
        assert len(ranges) <= RANDOM_SAMPLES + 2
