"""A real redis-server on a free port, with an append-only file, that a test can kill and start again.

It syncs each change before it answers, as docs/how-to/many-machines.md says. With `everysec`, it keeps
changes in its memory while a sync is under way, so a kill may lose what it has answered for.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import gevent
import gevent.socket
import pytest
import redis
import redis.connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.owned_process import OwnedProcess
from tests.support.ports import free_port
from tests.support.tools import program
from tests.support.waiting import wait_until

T = TypeVar("T")


def let_greenlets_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives redis-py sockets of gevent, as it has them in a server, and this process nothing else of it."""
    monkeypatch.setattr(redis.connection, "socket", gevent.socket)


def wait_for_greenlets(condition: Callable[[], T], what: str, deadline_s: float = 60.0) -> T:
    """Returns the first true value of `condition()`, like `wait_until`, and lets greenlets run meanwhile."""
    with gevent.Timeout(deadline_s, AssertionError(f"{what}: not within {deadline_s} s")):
        while not (value := condition()):
            gevent.sleep(0.002)
        return value


class RedisServer(OwnedProcess):
    """redis-server in a folder of its own. A context manager; `options` are lines of its configuration."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        """Makes `folder`. Raises MissingTool."""
        self.folder = folder
        self.port = port or free_port()
        self.options: Sequence[str] = options
        folder.mkdir(exist_ok=True)

    @property
    def url(self) -> str:
        """The address, as the server's setting has it."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has said since the folder was made."""
        return (self.folder / "redis.log").read_text("utf-8", "replace")

    def client(self, **options: Any) -> Any:
        """Returns a client of redis-py of the test's own, whose replies are text. It repeats nothing."""
        return redis.Redis(port=self.port, decode_responses=True, retry=Retry(NoBackoff(), 0), **options)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it with what its files have, and returns when it answers."""
        lines = [f"port {self.port}", "bind 127.0.0.1", "daemonize no", f"dir {self.folder}", 'save ""']
        lines += ["appendonly yes", "appendfsync always", *self.options]
        (self.folder / "redis.conf").write_text("\n".join(lines) + "\n")
        self.run([program("redis-server"), str(self.folder / "redis.conf")])
        try:
            wait_until(self._answers, "redis-server answers")
        except BaseException:
            self.stop()
            raise

    def run(self, command: Sequence[str]) -> None:
        """Runs the program in a session of its own."""
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def _answers(self) -> bool:
        assert self._process and self._process.poll() is None, self.log
        with contextlib.closing(self.client()) as client:
            try:
                client.ping()
            except redis.AuthenticationError:
                return True
            except (redis.ConnectionError, redis.TimeoutError):
                return False
        return True


class Sentinel(RedisServer):
    """A Sentinel that monitors one primary as `uploads`, and promotes its replica within two seconds."""

    def __init__(self, folder: Path, primary: RedisServer, has_replica: bool = True) -> None:
        super().__init__(folder)
        self._primary = primary
        self._has_replica = has_replica

    def start(self) -> None:
        """Starts it, and returns when it knows the replica."""
        lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}"]
        lines += [f"sentinel monitor uploads 127.0.0.1 {self._primary.port} 1"]
        lines += [f"sentinel {name} uploads 500" for name in ("down-after-milliseconds", "failover-timeout")]
        (self.folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
        self.run([program("redis-server"), str(self.folder / "sentinel.conf"), "--sentinel"])
        wait_until(self._is_ready, "the Sentinel knows the servers")

    @property
    def url(self) -> str:
        """The address of the primary by its name, as the server's setting has it."""
        return f"redis+sentinel://127.0.0.1:{self.port}/uploads"

    def _is_ready(self) -> bool:
        try:
            return bool(self.client().sentinel_slaves("uploads")) or not self._has_replica
        except redis.RedisError:
            return False
