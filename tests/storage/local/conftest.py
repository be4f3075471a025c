"""What the tests of the storage share: storage in a directory, and filesystems with a character."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from incoming.storage.local.storage import LocalStorage
from tests.support.fakes import FakeRuntime

RESERVE_BYTES = 1 << 20
TICKET_ID = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
Mount = Callable[[str, str], Path]


@pytest.fixture
def runtime() -> FakeRuntime:
    """The world of the storage under test."""
    return FakeRuntime()


@pytest.fixture
def storage(tmp_path: Path, runtime: FakeRuntime) -> LocalStorage:
    """Storage that reserves a mebibyte ahead."""
    return LocalStorage(tmp_path / "data", RESERVE_BYTES, runtime)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts filesystems of a kind, with options, for the time of the test; only root may."""
    mounted: list[Path] = []

    def do_mount(kind: str, options: str) -> Path:
        place = tmp_path / f"{kind}-{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", kind, "-o", options, kind, str(place)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting a {kind} is not permitted here")
        mounted.append(place)
        return place

    yield do_mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
