"""A process that is killed at one of its system calls, without a process: no later call reaches the disk.

`finally` blocks run, other than in a killed process, but what they ask of the disk fails, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

CHANGES: Final = (
    *("pwrite", "mkdir", "unlink", "rmdir", "ftruncate", "utime", "replace", "rename"),
    *("fchmod", "fchown", "fsync", "fdatasync"),
)
"""Calls that change the disk, or what a power cut leaves of it."""


class Killed(BaseException):
    """The process is dead."""


class DyingProcess:
    """Counts the calls of a process that change the disk, and kills it before one of them."""

    def __init__(self, dies_before: int = -1) -> None:
        """`dies_before`: the number of that call, counted from 0; below 0: none."""
        self.calls = 0
        self.is_dead = False
        self._dies_before = dies_before

    def around(self, call: Callable[..., Any], counts: Callable[..., bool]) -> Callable[..., Any]:
        """Returns the call as this process makes it. Those for which `counts` says no change nothing."""

        def called(*args: Any, **kwargs: Any) -> Any:
            if counts(*args, **kwargs):
                self.is_dead = self.is_dead or self.calls == self._dies_before
                self.calls += 1
                if self.is_dead:
                    raise Killed
            return call(*args, **kwargs)

        return called

    @contextmanager
    def runs(self) -> Iterator[None]:
        """What is done here is done by this process. It ends where the process dies."""
        with pytest.MonkeyPatch.context() as patch:
            for name in CHANGES:
                patch.setattr(os, name, self.around(getattr(os, name), lambda *_, **__: True))
            patch.setattr(os, "open", self.around(os.open, _creates))
            try:
                yield
            except Killed:
                assert self.is_dead


def _creates(_: Any, flags: int, *__: Any, **___: Any) -> bool:
    return bool(flags & os.O_CREAT)
