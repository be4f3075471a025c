"""The index of due times: it finds what is due, and nothing that is far from it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.core.due import ALWAYS
from incoming.registry.due_index import BUCKET_S, DueIndex

TIMES = st.floats(0, 10 * BUCKET_S) | st.just(ALWAYS)


def test_a_removed_ticket_leaves_nothing_behind() -> None:
    index = DueIndex()
    index.add("a", 5.0)
    index.move("a", 5.0, 500.0)
    index.move("a", 500.0, ALWAYS)
    assert list(index.about(0.0)) == ["a"]
    index.remove("a", ALWAYS)
    assert list(index.about(1e9)) == []
    assert not index._buckets


def test_the_index_may_change_while_it_is_read() -> None:
    index = DueIndex()
    for name in "abc":
        index.add(name, 5.0)
    index.add("d", 3 * BUCKET_S)
    found = []
    for name in index.about(4 * BUCKET_S):
        found.append(name)
        index.remove(name, 3 * BUCKET_S if name == "d" else 5.0)
    assert sorted(found) == list("abcd")


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.none() | TIMES), max_size=40), st.floats(0, 700))
def test_it_finds_all_that_is_due_and_little_else(
    changes: list[tuple[str, float | None]], now_s: float
) -> None:
    index, model = DueIndex(), dict[str, float]()
    for name, due_s in changes:
        before_s = model.pop(name, None)
        if before_s is None and due_s is not None:
            index.add(name, due_s)
        elif before_s is not None and due_s is None:
            index.remove(name, before_s)
        elif before_s is not None and due_s is not None:
            index.move(name, before_s, due_s)
        if due_s is not None:
            model[name] = due_s
    found = list(index.about(now_s))
    assert len(found) == len(set(found))
    assert {name for name, due_s in model.items() if due_s < now_s} <= set(found)
    assert set(found) <= {name for name, due_s in model.items() if due_s <= now_s + BUCKET_S}
