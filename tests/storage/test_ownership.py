"""One process owns a storage directory; the others are real processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from incoming.errors import StorageInUse
from incoming.storage.ownership import LOCK_FILE, Ownership
from tests.support.server import ROOT
from tests.support.waiting import wait_until

OWNER = """
import sys
from pathlib import Path
from incoming.storage.ownership import Ownership
ownership = Ownership(Path(sys.argv[1]))
ownership.take()
print("mine", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that owns the directory until it ends."""
    command = [sys.executable, "-c", OWNER, str(tmp_path / "storage")]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "mine\n"
        yield process
        process.kill()


def somebody_waits_for_a_lock() -> bool:
    """Blocked lock requests have an arrow in /proc/locks, and here the thread's process id."""
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and f" {os.getpid()} " in line for line in lines)


def test_the_directory_is_made_and_only_we_can_touch_the_lock(tmp_path: Path) -> None:
    ownership = Ownership(tmp_path / "deep" / "storage")
    ownership.take()
    lock = tmp_path / "deep" / "storage" / LOCK_FILE
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    ownership.give_up()


def test_a_second_process_is_refused_with_the_name_of_the_directory(
    tmp_path: Path, owner: subprocess.Popen[str]
) -> None:
    with pytest.raises(StorageInUse) as refused:
        Ownership(tmp_path / "storage").take()
    assert str(tmp_path / "storage") in str(refused.value)


def test_a_killed_owner_owns_nothing(tmp_path: Path, owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait()
    ownership = Ownership(tmp_path / "storage")
    ownership.take()
    ownership.give_up()


def test_who_waits_gets_the_directory_when_the_owner_is_killed(
    tmp_path: Path, owner: subprocess.Popen[str]
) -> None:
    ownership = Ownership(tmp_path / "storage")
    waiting = threading.Thread(target=ownership.wait)
    waiting.start()
    wait_until(somebody_waits_for_a_lock, "the second process waits")
    owner.kill()
    waiting.join(20)
    assert not waiting.is_alive()
    with pytest.raises(StorageInUse):
        Ownership(tmp_path / "storage").take()
    ownership.give_up()


def test_who_gives_up_lets_the_next_one_have_it(tmp_path: Path) -> None:
    first, second = Ownership(tmp_path), Ownership(tmp_path)
    first.take()
    first.give_up()
    second.take()
    second.give_up()
