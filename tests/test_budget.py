"""The disk budget: the sum of what unfinished uploads may still write, against a naive sum."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.budget import DiskBudget

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
IDLE_AFTER_S = 60.0


def test_nothing_is_held_at_first() -> None:
    assert DiskBudget(IDLE_AFTER_S).held_bytes(0) == 0


def test_uploads_are_counted_together() -> None:
    budget = DiskBudget(IDLE_AFTER_S)
    budget.hold("a", 10, 0)
    budget.hold("b", 5, 0)
    assert budget.held_bytes(1) == 15


def test_an_upload_does_not_stand_in_its_own_way() -> None:
    budget = DiskBudget(IDLE_AFTER_S)
    budget.hold("a", 10, 0)
    budget.hold("b", 5, 0)
    assert budget.held_bytes(1, except_for="a") == 5
    assert budget.held_bytes(1, except_for="unknown") == 15


def test_a_new_hold_takes_the_place_of_the_old_one() -> None:
    budget = DiskBudget(IDLE_AFTER_S)
    budget.hold("a", 10, 0)
    budget.hold("a", 3, 0)
    assert budget.held_bytes(1) == 3


def test_a_released_upload_counts_no_more_and_may_be_released_twice() -> None:
    budget = DiskBudget(IDLE_AFTER_S)
    budget.hold("a", 10, 0)
    budget.release("a")
    budget.release("a")
    assert budget.held_bytes(1) == 0


def test_an_upload_that_nobody_continues_falls_out_after_the_idle_time_and_not_before() -> None:
    budget = DiskBudget(IDLE_AFTER_S)
    budget.hold("a", 10, 100)
    assert budget.held_bytes(100 + IDLE_AFTER_S - 0.1) == 10
    assert budget.held_bytes(100 + IDLE_AFTER_S) == 0


def test_an_upload_that_goes_on_keeps_its_place_while_an_older_idle_one_loses_it() -> None:
    budget = DiskBudget(IDLE_AFTER_S)
    budget.hold("busy", 10, 0)
    budget.hold("idle", 7, 1)
    budget.hold("busy", 9, 50)
    assert budget.held_bytes(61) == 9
    assert budget.held_bytes(110) == 0


def test_an_upload_that_fell_out_counts_again_once_it_is_continued() -> None:
    budget = DiskBudget(IDLE_AFTER_S)
    budget.hold("a", 10, 0)
    assert budget.held_bytes(1000) == 0
    budget.hold("a", 4, 1001)
    assert budget.held_bytes(1002) == 4


ids = st.sampled_from("abcd")
steps = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(["hold", "release", "look"]), ids, st.integers(0, 100)),
    max_size=40,
)


@same_each_run
@given(steps)
def test_the_running_sum_equals_the_naive_one(life: list[tuple[int, str, str, int]]) -> None:
    budget, naive, now_s = DiskBudget(IDLE_AFTER_S), dict[str, tuple[int, float]](), 0
    for passed_s, step, ticket_id, size_bytes in life:
        now_s += passed_s
        if step == "hold":
            budget.hold(ticket_id, size_bytes, now_s)
            naive[ticket_id] = size_bytes, now_s
        elif step == "release":
            budget.release(ticket_id)
            naive.pop(ticket_id, None)
        fresh = {name: size for name, (size, at_s) in naive.items() if now_s - at_s < IDLE_AFTER_S}
        if step == "look":
            others = [size for name, size in fresh.items() if name != ticket_id]
            assert budget.held_bytes(now_s, except_for=ticket_id) == sum(others)
    assert budget.held_bytes(now_s + IDLE_AFTER_S) == 0


# --- what one source holds -------------------------------------------------------------------------------


def test_what_a_source_holds_is_the_sum_of_its_own_uploads() -> None:
    budget = DiskBudget(IDLE_AFTER_S)
    for ticket_id, size_bytes, source in (("a", 10, "x"), ("b", 5, "x"), ("c", 1, "y")):
        budget.hold(ticket_id, size_bytes, 0.0)
        budget.belongs(ticket_id, source)
    assert (budget.held_by("x", 0.0), budget.held_by("y", 0.0), budget.held_by("z", 0.0)) == (15, 1, 0)
    assert budget.held_by("x", 0.0, except_for="a") == 5
    budget.hold("a", 2, 1.0)  # it has come further
    assert budget.held_by("x", 1.0) == 7
    budget.belongs("a", "y")  # and goes on from elsewhere
    assert (budget.held_by("x", 1.0), budget.held_by("y", 1.0)) == (5, 3)
    budget.release("b")
    assert budget.held_by("x", 1.0) == 0


def test_what_nobody_goes_on_with_is_held_by_no_source() -> None:
    budget = DiskBudget(IDLE_AFTER_S)
    budget.hold("a", 10, 0.0)
    budget.belongs("a", "x")
    assert budget.held_by("x", IDLE_AFTER_S) == 0
