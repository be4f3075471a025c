"""The disk budget: the sum of what unfinished uploads may still write, against a naive sum."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.uploads.disk_budget import DiskBudget

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
IDLE_AFTER_S = 60.0
UNUSED_AFTER_S = 5


def test_a_new_disk_budget_holds_nothing() -> None:
    assert DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S).reserved_bytes(0) == 0


def test_uploads_are_counted_together() -> None:
    budget = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S)
    budget.reserve("a", 10, 0, begun=True)
    budget.reserve("b", 5, 0, begun=True)
    assert budget.reserved_bytes(1) == 15


def test_an_upload_does_not_stand_in_its_own_way() -> None:
    budget = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S)
    budget.reserve("a", 10, 0, begun=True)
    budget.reserve("b", 5, 0, begun=True)
    assert budget.reserved_bytes(1, except_for="a") == 5
    assert budget.reserved_bytes(1, except_for="unknown") == 15


def test_a_new_hold_takes_the_place_of_the_old_one() -> None:
    budget = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S)
    budget.reserve("a", 10, 0, begun=True)
    budget.reserve("a", 3, 0, begun=True)
    assert budget.reserved_bytes(1) == 3


def test_a_released_upload_counts_no_more_and_may_be_released_twice() -> None:
    budget = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S)
    budget.reserve("a", 10, 0, begun=True)
    budget.release("a")
    budget.release("a")
    assert budget.reserved_bytes(1) == 0


def test_an_upload_that_nobody_continues_falls_out_after_the_idle_time_and_not_before() -> None:
    budget = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S)
    budget.reserve("a", 10, 100, begun=True)
    assert budget.reserved_bytes(100 + IDLE_AFTER_S - 0.1) == 10
    assert budget.reserved_bytes(100 + IDLE_AFTER_S) == 0


def test_an_active_upload_keeps_its_reservation_while_an_older_idle_one_loses_it() -> None:
    budget = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S)
    budget.reserve("busy", 10, 0, begun=True)
    budget.reserve("idle", 7, 1, begun=True)
    budget.reserve("busy", 9, 50, begun=True)
    assert budget.reserved_bytes(61) == 9
    assert budget.reserved_bytes(110) == 0


def test_an_upload_that_fell_out_counts_again_once_it_is_continued() -> None:
    budget = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S)
    budget.reserve("a", 10, 0, begun=True)
    assert budget.reserved_bytes(1000) == 0
    budget.reserve("a", 4, 1001, begun=True)
    assert budget.reserved_bytes(1002) == 4


ids = st.sampled_from("abcd")
kinds = st.sampled_from(["begin", "ask", "resize", "lapse", "release", "look"])
steps = st.lists(st.tuples(st.integers(0, 40), kinds, ids, st.integers(0, 100)), max_size=40)


@same_each_run
@given(steps)
def test_the_running_sum_equals_the_naive_one(life: list[tuple[int, str, str, int]]) -> None:
    budget, now_s = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S), 0
    naive: dict[str, tuple[int, float, bool]] = {}
    lapsed: set[str] = set()
    for passed_s, step, ticket_id, size_bytes in life:
        now_s += passed_s
        budget.reserved_bytes(now_s)  # lets the idle ones go
        naive = {name: hold for name, hold in naive.items() if now_s - hold[1] < IDLE_AFTER_S}
        lapsed &= naive.keys()
        known = naive.get(ticket_id)
        if step in ("begin", "ask"):
            begun = step == "begin"
            budget.reserve(ticket_id, size_bytes, now_s, begun)
            naive[ticket_id] = size_bytes, known[1] if known and not begun and not known[2] else now_s, begun
            lapsed.discard(ticket_id)
        elif step == "resize":
            budget.resize(ticket_id, size_bytes)
            if known and ticket_id not in lapsed:
                naive[ticket_id] = size_bytes, *known[1:]
        elif step == "lapse" and ticket_id in yielding(budget, now_s):
            budget.lapse(ticket_id)
            naive[ticket_id] = 0, *naive[ticket_id][1:]
            lapsed.add(ticket_id)
        elif step == "release":
            budget.release(ticket_id)
            naive.pop(ticket_id, None)
            lapsed.discard(ticket_id)
        others = [size for name, (size, *_) in naive.items() if name != ticket_id]
        assert budget.reserved_bytes(now_s, except_for=ticket_id) == sum(others)
        assert budget.has_reservation(ticket_id) == (ticket_id in naive and ticket_id not in lapsed)
        assert set(yielding(budget, now_s)) == {
            name
            for name, (size, since_s, begun) in naive.items()
            if size and not begun and now_s - since_s >= UNUSED_AFTER_S
        }
    assert budget.reserved_bytes(now_s + IDLE_AFTER_S) == 0


# --- uploads without a byte --------------------------------------------------------------------------


def yielding(budget: DiskBudget, now_s: float) -> list[str]:
    return [ticket_id for ticket_id, _ in budget.yielding(now_s)]


def test_an_upload_without_a_byte_yields_after_a_moment_and_one_with_bytes_never() -> None:
    budget = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S)
    budget.reserve("empty", 10, 0, begun=False)
    budget.reserve("begun", 10, 0, begun=True)
    assert yielding(budget, UNUSED_AFTER_S - 0.1) == []
    assert list(budget.yielding(UNUSED_AFTER_S)) == [("empty", 10)]
    assert budget.reserved_bytes(UNUSED_AFTER_S) == 20, "it counts until another one needs the room"


def test_a_reservation_stays_once_its_first_byte_has_come() -> None:
    budget = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S)
    budget.reserve("a", 10, 0, begun=False)
    budget.reserve("a", 9, 50, begun=True)
    assert yielding(budget, 60) == []
    assert budget.reserved_bytes(50 + IDLE_AFTER_S - 1) == 9


def test_asking_again_does_not_make_a_hold_young_again() -> None:
    budget = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S)
    budget.reserve("a", 10, 0, begun=False)
    budget.reserve("b", 10, 1, begun=False)
    budget.reserve("a", 10, 4, begun=False)
    assert yielding(budget, 5) == ["a"]
    budget.lapse("a")
    assert (budget.has_reservation("a"), budget.reserved_bytes(5), yielding(budget, 6)) == (False, 10, ["b"])
    budget.reserve("a", 10, 6, begun=False)
    assert (budget.has_reservation("a"), yielding(budget, 6)) == (True, ["a", "b"])


def test_a_hold_may_change_its_size_without_being_renewed() -> None:
    budget = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S)
    budget.reserve("a", 10, 0, begun=True)
    budget.resize("a", 3)
    budget.resize("unknown", 3)
    assert budget.reserved_bytes(1) == 3
    assert budget.reserved_bytes(IDLE_AFTER_S) == 0


def test_a_lapsed_reservation_is_not_resized() -> None:
    budget = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S)
    budget.reserve("a", 10, 0, begun=False)
    budget.lapse("a")
    budget.resize("a", 3)
    assert budget.reserved_bytes(1) == 0


# --- what one source holds -------------------------------------------------------------------------------


def test_what_a_source_holds_is_the_sum_of_its_own_uploads() -> None:
    budget = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S)
    for ticket_id, size_bytes, source in (("a", 10, "x"), ("b", 5, "x"), ("c", 1, "y")):
        budget.reserve(ticket_id, size_bytes, 0.0, begun=True)
        budget.assign_source(ticket_id, source)
    assert [budget.reserved_by(source, 0.0) for source in ("x", "y", "z")] == [15, 1, 0]
    assert budget.reserved_by("x", 0.0, except_for="a") == 5
    budget.reserve("a", 2, 1.0, begun=True)  # it has come further
    assert budget.reserved_by("x", 1.0) == 7
    budget.assign_source("a", "y")  # and resumes from elsewhere
    assert (budget.reserved_by("x", 1.0), budget.reserved_by("y", 1.0)) == (5, 3)
    budget.release("b")
    assert budget.reserved_by("x", 1.0) == 0


def test_an_idle_reservation_counts_for_no_source() -> None:
    budget = DiskBudget(IDLE_AFTER_S, UNUSED_AFTER_S)
    budget.reserve("a", 10, 0.0, begun=True)
    budget.assign_source("a", "x")
    assert budget.reserved_by("x", IDLE_AFTER_S) == 0
