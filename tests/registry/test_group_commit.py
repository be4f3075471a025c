"""Small jobs for the disk are done commits, and nobody is left waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import gevent
import pytest

from incoming.core.errors import StorageFull
from incoming.registry.group_commit import GroupCommit
from tests.support.fakes import FakeRuntime

FULL: Final = StorageFull()


class Disk:
    """Does what is given to it, in groups; one that has a `bad` thing goes wrong."""

    def __init__(self, runtime: FakeRuntime) -> None:
        self.runtime = runtime
        self.groups: list[list[int]] = []
        self.bad: set[int] = set()

    def work(self, items: Sequence[int]) -> None:
        """See GroupCommit."""
        self.groups.append(list(items))
        if self.bad & set(items):
            raise FULL


@pytest.fixture
def disk() -> Disk:
    return Disk(FakeRuntime())


def ask(disk: Disk, commits: GroupCommit[int], *items: int) -> list[gevent.Greenlet]:
    """Returns who asks for these, each a greenlet; all of them wait."""
    greenlets = [gevent.spawn(commits.commit, item) for item in items]
    disk.runtime.settle()
    return greenlets


def test_what_comes_while_others_are_done_is_one_group(disk: Disk) -> None:
    commits = GroupCommit(disk.runtime, disk.work)
    with disk.runtime.held("work"):
        first, *others = ask(disk, commits, 1) + ask(disk, commits, 2, 3, 4)
        assert not first.ready()
    assert disk.groups == [[1], [2, 3, 4]]
    assert all(greenlet.successful() for greenlet in (first, *others))


def test_nobody_is_done_before_the_whole_group_is(disk: Disk) -> None:
    commits = GroupCommit(disk.runtime, disk.work)
    with disk.runtime.held("work"):
        waiting = ask(disk, commits, 1, 2)
        assert not any(greenlet.ready() for greenlet in waiting)
    assert all(greenlet.ready() for greenlet in waiting)


def test_a_failure_is_that_of_its_group_and_of_no_other(disk: Disk) -> None:
    disk.bad = {2}
    commits = GroupCommit(disk.runtime, disk.work)
    with disk.runtime.held("work"):
        before, *group = ask(disk, commits, 1) + ask(disk, commits, 2, 3)
    assert before.successful()
    assert [one.exception for one in group] == [FULL, FULL]
    commits.commit(4)


def test_a_defect_is_raised_for_all_that_commit_together(disk: Disk) -> None:
    def fail(_: Sequence[int]) -> None:
        raise ZeroDivisionError

    commits = GroupCommit(disk.runtime, fail)
    assert [type(greenlet.exception) for greenlet in ask(disk, commits, 1, 2)] == [ZeroDivisionError] * 2
    with pytest.raises(ZeroDivisionError):
        commits.commit(3)


def test_who_is_killed_while_it_waits_leaves_it_to_be_done_and_others_are_not_held_up(disk: Disk) -> None:
    commits = GroupCommit(disk.runtime, disk.work)
    with disk.runtime.held("work"):
        killed, *others = ask(disk, commits, 1, 2, 3)
        killed.kill(block=False)
        disk.runtime.settle()
    assert sorted(item for group in disk.groups for item in group) == [1, 2, 3]
    assert all(greenlet.successful() for greenlet in others)
    commits.commit(4)


class Killed(BaseException):
    """What no `except Exception` catches."""


def test_after_any_failure_no_caller_is_left_waiting(disk: Disk) -> None:
    def work(_: Sequence[int]) -> None:
        raise Killed

    commits: GroupCommit[int] = GroupCommit(disk.runtime, work)
    for _ in range(2):  # the first failure does not stop what comes later
        asking = ask(disk, commits, 1, 2)
        assert [type(one.exception) for one in asking] == [Killed, Killed]
