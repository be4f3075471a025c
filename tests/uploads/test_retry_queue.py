"""The retry queue: which uploads a sweep may try, and from when on."""

from __future__ import annotations

from incoming.uploads.retry_queue import RetryQueue


def test_an_upload_is_due_from_its_time_on_and_waits_until_then() -> None:
    queue = RetryQueue()
    queue.add("a", 10.0)
    queue.add("b", 11.0)
    assert [queue.due(now_s) for now_s in (9.9, 10.0, 11.0)] == [[], ["a"], ["a", "b"]]
    assert [queue.is_due("a", now_s) for now_s in (9.9, 10.0)] == [False, True]
    assert [queue.waits("a", now_s) for now_s in (9.9, 10.0)] == [True, False]


def test_an_upload_that_is_not_in_the_queue_is_neither_due_nor_waiting() -> None:
    queue = RetryQueue()
    queue.add("a", 10.0)
    queue.discard("a")
    queue.discard("a")
    assert (queue.due(99.0), queue.is_due("a", 99.0), queue.waits("a", 0.0)) == ([], False, False)


def test_a_later_time_replaces_the_one_before_unless_that_is_to_be_kept() -> None:
    queue = RetryQueue()
    queue.add_if_missing("a", 10.0)
    queue.add_if_missing("a", 20.0)
    assert queue.is_due("a", 10.0)
    queue.add("a", 20.0)
    assert queue.waits("a", 19.0)
