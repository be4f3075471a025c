"""Where S3Storage keeps files in a test: a bucket, and notes that outlive its processes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any, Final

import gevent

from incoming.runtime.base import P, Task
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.storage.s3.keys import BucketAddress
from incoming.storage.s3.metadata.sqlite_file import SqliteFile
from incoming.storage.s3.metadata.sqlite_metadata import metadata_in_sqlite
from incoming.storage.s3.metadata.upload_metadata import UploadMetadata
from incoming.storage.s3.storage import USUAL, S3Options, S3Storage
from incoming.storage.s3.store.client import BucketConfig, S3Client

BUCKET: Final = "uploads"
NewNotes = Callable[[GeventRuntime], UploadMetadata]


class KillableRuntime(GeventRuntime):
    """The runtime of a process that a test can kill: nothing that it has started continues."""

    def __init__(self, speed: float = 1.0) -> None:
        """With a `speed` its time is so many times as fast as that of the world."""
        super().__init__()
        self.has_fast_limits = False
        """Whether `time_limit` is as fast. Then a busy machine may not have the time for what is limited."""
        self.speed = speed
        self._started: list[Any] = []

    def now_s(self) -> float:
        """See Runtime."""
        return super().now_s() * self.speed

    def sleep(self, duration_s: float) -> None:
        """See Runtime."""
        super().sleep(duration_s / self.speed)

    def time_limit(self, duration_s: float, error: Exception) -> AbstractContextManager[object]:
        """See Runtime."""
        return super().time_limit(duration_s / (self.speed if self.has_fast_limits else 1.0), error)

    def spawn(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Task:
        """See Runtime."""
        task = super().spawn(function, *args, **kwargs)
        self._started.append(task)
        return task

    def settle(self) -> None:
        """Lets everybody run until each waits for something."""
        gevent.idle()

    @property
    def is_busy(self) -> bool:
        """Whether anything that was started has not ended."""
        self._started = [task for task in self._started if not task.dead]
        return bool(self._started)

    def kill(self) -> None:
        """Ends all that was started. A thread can't be ended, so those of the pool end first."""
        while self._started:  # who dies, or waits for his turn to die, may start others
            dying, self._started = self._started, []
            gevent.killall(dying)
        self._pool.join()


def notes_file(folder: Path) -> NewNotes:
    """Returns what opens the notes in a folder."""
    return lambda runtime: metadata_in_sqlite(SqliteFile(folder / "manifests.sqlite", runtime))


@cache
def client_of(place: BucketConfig) -> S3Client:
    """Returns a client that tests share: botocore takes a second to make one."""
    return S3Client(place, GeventRuntime())


class BucketPlace:
    """A prefix of a bucket. See contract.Place."""

    def __init__(
        self, place: BucketConfig, new_metadata: NewNotes, limits: S3Options = USUAL, speed: float = 1.0
    ) -> None:
        """`speed`: see KillableRuntime."""
        self.runtime = KillableRuntime(speed)
        self.client = client_of(place)
        self.address = BucketAddress(place.name, f"{uuid.uuid4()}/")
        self.limits = limits
        self._new_metadata = new_metadata

    def storage(self) -> S3Storage:
        """See contract.Place."""
        self.runtime.kill()
        metadata = self._new_metadata(self.runtime)
        return S3Storage(self.client, metadata, self.address, self.runtime, self.limits)

    def settle(self) -> None:
        """See contract.Place."""
        self.runtime.settle()
