"""What the tests of the storage in S3 share: a store that fails on command, with tiny parts."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from incoming.storage.s3 import flush_timer
from incoming.storage.s3.storage import S3Options
from tests.support.fake_s3 import FakeS3
from tests.support.s3_place import BucketPlace, notes_file

PART_BYTES: Final = 1000
LIMITS: Final = S3Options(PART_BYTES, parallel=3, memory_bytes=10_000, retry_for_s=2000.0)
"""A busy machine may need a second for a call, which is 40 s here. So no test gives up by accident."""
SPEED: Final = 40.0


@pytest.fixture(scope="session")
def fake_server() -> Iterator[FakeS3]:
    """The store of all tests: botocore takes a second to make a client."""
    with FakeS3() as server:
        yield server


@pytest.fixture
def fake(fake_server: FakeS3) -> FakeS3:
    """An empty store."""
    fake_server.reset()
    return fake_server


@pytest.fixture
def without_remainders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is stored early, however long a busy machine pauses: for tests that count calls."""
    for name in ("IDLE_S", "SLOW_S", "WAITING_S", "MAX_WAIT_S"):
        monkeypatch.setattr(flush_timer, name, math.inf)


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder whose files are synced at once: a commit takes a disk many milliseconds."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def place(fake: FakeS3, in_memory: Path) -> Iterator[BucketPlace]:
    """A prefix of it."""
    place = BucketPlace(fake.place, notes_file(in_memory), LIMITS, SPEED)
    yield place
    place.runtime.kill()


@pytest.fixture
def waits_as_long(place: BucketPlace) -> None:
    """A part that is not full waits as long as in production, so that only `flush` stores it."""
    place.runtime.speed = 1.0


@pytest.fixture
def gives_up_soon(place: BucketPlace) -> None:
    """Calls to the store are repeated for half a second of the world's time only."""
    place.limits = replace(place.limits, retry_for_s=20.0)
