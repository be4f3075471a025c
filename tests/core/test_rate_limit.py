"""A limit on bytes a second, in a time that the test moves."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core.rate_limit import CREDIT_S, Pace

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LIMIT_BYTES_PER_S = 100_000
NOW_S = 5000.0
ROUNDING_S = 1e-6


def pass_through(sizes_bytes: list[int], late_s: list[float], pauses_s: list[float]) -> list[float]:
    """Returns when each piece was through: each waits as it is told to, and wakes up late."""
    pace, now_s = Pace(LIMIT_BYTES_PER_S), NOW_S
    through_at_s = []
    for size_bytes, late, pause_s in zip(sizes_bytes, late_s, pauses_s, strict=True):
        now_s += pause_s
        delay_s = pace.delay_s(size_bytes, now_s)
        assert delay_s >= 0
        now_s += delay_s + (late if delay_s else 0)
        through_at_s.append(now_s)
    return through_at_s


@pytest.mark.parametrize("size_bytes", [1, 1 << 40])
def test_no_limit_means_no_delay(size_bytes: int) -> None:
    pace = Pace(0)
    assert [pace.delay_s(size_bytes, NOW_S + second) for second in range(5)] == [0.0] * 5


@pytest.mark.parametrize("size_bytes", [100, 10_000, 1_000_000])
def test_in_the_long_run_as_much_passes_as_the_limit_says(size_bytes: int) -> None:
    count = 60_000_000 // size_bytes  # ten minutes' worth
    took_s = pass_through([size_bytes] * count, [0.0] * count, [0.0] * count)[-1] - NOW_S
    assert took_s == pytest.approx(600.0, abs=CREDIT_S + ROUNDING_S)


@pytest.mark.parametrize("late_s", [0.0001, 0.003, 0.02])
def test_timers_that_are_late_do_not_make_it_slower(late_s: float) -> None:
    count = 3000
    through_at_s = pass_through([2600] * count, [late_s] * count, [0.0] * count)
    assert 2600 * count / (through_at_s[-1] - NOW_S) == pytest.approx(LIMIT_BYTES_PER_S, rel=0.01)


def test_a_long_pause_gives_no_right_to_a_burst() -> None:
    pauses_s = [0.0] * 50 + [3600.0] + [0.0] * 49
    through_at_s = pass_through([10_000] * 100, [0.0] * 100, pauses_s)
    after_the_pause_s = through_at_s[-1] - (through_at_s[49] + 3600.0)
    assert after_the_pause_s >= 50 * 10_000 / LIMIT_BYTES_PER_S - CREDIT_S - ROUNDING_S


def test_each_upload_has_its_own_pace() -> None:
    Pace(LIMIT_BYTES_PER_S).delay_s(10_000_000, NOW_S)
    assert Pace(LIMIT_BYTES_PER_S).delay_s(1, NOW_S) <= 1 / LIMIT_BYTES_PER_S


moments = st.lists(
    st.tuples(st.integers(1, 200_000), st.floats(0, 0.05), st.sampled_from([0.0, 0.0, 0.1, 1.0, 100.0])),
    min_size=2,
    max_size=40,
)


@same_each_run
@given(moments)
def test_at_no_time_more_passes_than_the_limit_and_the_credit(life: list[tuple[int, float, float]]) -> None:
    sizes_bytes, late_s, pauses_s = (list(column) for column in zip(*life, strict=True))
    through_at_s = pass_through(sizes_bytes, late_s, pauses_s)
    passed = list(accumulate(sizes_bytes))
    for start in range(len(life)):
        for end in range(start + 1, len(life)):
            due_s = (passed[end] - passed[start]) / LIMIT_BYTES_PER_S
            assert through_at_s[end] - through_at_s[start] >= due_s - CREDIT_S - ROUNDING_S
