"""Several servers that share a Redis and a bucket of a real S3 server, as on several machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Self

from tests.support.app import ScriptedApp
from tests.support.forked import ForkedServer, Launcher
from tests.support.redis_server import RedisServer
from tests.support.s3_place import BUCKET
from tests.support.s3_server import ACCESS_KEY, REGION, SECRET_KEY, S3Server
from tests.support.server import RunningServer, new_upload

CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


def s3_settings(s3: S3Server, prefix: str) -> dict[str, object]:
    """Returns the settings of a server that stores uploads below a prefix."""
    return {
        "storage": f"s3://{BUCKET}/{prefix}",
        "s3_endpoint": s3.url,
        "s3_region": REGION,
        "s3_destination_prefixes": f"{prefix}/inbox/",
    }


class S3BackedServer(RunningServer):
    """A server that stores uploads in S3."""

    def _environment(self) -> dict[str, str]:
        return super()._environment() | CREDENTIALS


class ForkedS3Server(S3BackedServer, ForkedServer):
    """The same, which starts faster."""


class Cluster:
    """The servers, which `folder` has the logs of. A context manager: within it all of them run."""

    def __init__(
        self, folder: Path, redis: RedisServer, s3: S3Server, size: int = 2,
        launcher: Launcher | None = None, **settings: object,
    ) -> None:  # fmt: skip
        """`settings` are those of each server. Redis and S3 run already. The launcher forks the servers."""
        shared = {"registry": redis.url, **s3_settings(s3, folder.name), "stop_timeout_s": 2, **settings}
        names = [f"server-{number}" for number in range(1, size + 1)]

        def new(name: str) -> RunningServer:
            if launcher:
                return ForkedS3Server(launcher, folder / name, **shared, instance=name)
            return S3BackedServer(folder / name, None, **shared, instance=name)

        self.servers = [new(name) for name in names]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for server in self.servers:
                server.launch()
                stack.callback(server.kill)
            for server in self.servers:
                server.wait_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def new_ticket(self, app: ScriptedApp, **asked: str) -> str:
        """Returns the id of a ticket for S3, by the first server that runs."""
        server = next(server for server in self.servers if server.runs)
        return new_upload(server, app.url, storage="s3", **asked)

    def log_text(self) -> str:
        """What all servers have said."""
        return "\n".join(server.log_text() for server in self.servers)


@contextmanager
def own_cluster(folder: Path, s3: S3Server, size: int = 2, **settings: object) -> Iterator[Cluster]:
    """Runs a cluster with a Redis of its own, for one test."""
    with (
        RedisServer(folder / "redis") as redis,
        Cluster(folder, redis, s3, size, launcher=None, **settings) as running,
    ):
        yield running


def object_keys(s3: S3Server, prefix: str) -> list[str]:
    """Returns the keys of all objects below a prefix."""
    pages = s3.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [one["Key"] for page in pages for one in page.get("Contents", [])]


def unfinished_uploads(s3: S3Server, prefix: str) -> list[str]:
    """Returns the keys of all multipart uploads below a prefix that nobody has completed or aborted."""
    found: dict[str, Any] = s3.client().list_multipart_uploads(Bucket=BUCKET, Prefix=prefix)
    return [one["Key"] for one in found.get("Uploads", [])]
