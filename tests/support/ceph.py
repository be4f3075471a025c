"""A second real S3 server: the gateway of a Ceph cluster, which has one monitor and one disk, a file.

`make ceph` installs its programs and runs the tests with it. The fixture `s3_server` takes it where
INCOMING_TEST_S3 is `ceph`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from pathlib import Path
from typing import Any, Final

import requests

from tests.support.owned_process import STOP_DEADLINE_S
from tests.support.ports import free_port
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, S3Server
from tests.support.tools import program
from tests.support.waiting import wait_until

CALL_DEADLINE_S: Final = 120
DISK_BYTES: Final = 20 << 30
"""The file is sparse."""
DISK: Final = "disk"
RIGHTS: Final = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
    "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
    "client.rgw": {"mon": "allow rw", "osd": "allow rwx"},
}
CONFIGURATION: Final = """
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{monitor_port}
keyring = {folder}/keyring
run dir = {folder}
crash dir = {folder}
admin socket =
log file = {folder}/$name.log
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
auth allow insecure global id reclaim = false
paxos propose interval = 0.05
mon data avail warn = 2
mon data avail crit = 1
mon allow pool size one = true
mon max pg per osd = 1000
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
[mon.a]
mon data = {folder}/monitor
[osd.0]
osd data = {folder}/{disk}
osd objectstore = bluestore
osd memory target = 1073741824
bluestore block size = {disk_bytes}
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw gc obj min wait = 5
rgw gc processor period = 5
"""


class Ceph(S3Server):
    """See S3Server. The disk is deleted at the end of the context manager."""

    knows_checksums = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._monitor_port = free_port()

    def __exit__(self, *exc_info: object) -> None:
        super().__exit__(*exc_info)
        shutil.rmtree(self.folder / DISK, ignore_errors=True)

    def start(self) -> None:
        """See S3Server. Raises MissingTool."""
        try:
            if (self.folder / "keyring").exists():
                self._daemon("ceph-mon", "-i", "a")
                self._daemon("ceph-osd", "-i", "0")
                self._daemon("radosgw", "-n", "client.rgw")
            else:
                self._start_anew()
            wait_until(self._stores, "the gateway answers", CALL_DEADLINE_S)
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """See OwnedProcess."""
        assert self._processes
        self.stop()

    def stop(self) -> None:
        """Ends all processes by SIGKILL, the gateway first."""
        processes, self._processes = self._processes, []
        for process in reversed(processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_DEADLINE_S)

    def _start_anew(self) -> None:
        (self.folder / DISK).mkdir(parents=True)
        fsid, disk_id, map_file = str(uuid.uuid4()), str(uuid.uuid4()), self.folder / "monitors"
        values: dict[str, Any] = {
            "fsid": fsid, "folder": self.folder, "monitor_port": self._monitor_port, "port": self.port,
            "disk": DISK, "disk_bytes": DISK_BYTES,
        }  # fmt: skip
        (self.folder / "ceph.conf").write_text(CONFIGURATION.format(**values))
        keyring = self.folder / "keyring"
        for name, rights in RIGHTS.items():
            new = () if keyring.exists() else ("--create-keyring",)
            allowed = [word for part, right in rights.items() for word in ("--cap", part, right)]
            self._run("ceph-authtool", str(keyring), *new, "--gen-key", "-n", name, *allowed)
        address = f"[v2:127.0.0.1:{self._monitor_port}]"
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, str(map_file))
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", str(map_file), "--keyring", str(keyring))
        self._daemon("ceph-mon", "-i", "a")
        self._run("ceph", "--connect-timeout", "60", "osd", "new", disk_id)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk_id)
        self._daemon("ceph-osd", "-i", "0")
        self._daemon("radosgw", "-n", "client.rgw")
        keys = ("--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY)
        self._run("radosgw-admin", "user", "create", "--uid", "tests", "--display-name", "tests", *keys)

    def _stores(self) -> bool:
        self._check_alive()
        with contextlib.suppress(requests.ConnectionError):
            return bool(requests.get(self.url, timeout=CALL_DEADLINE_S).status_code)
        return False

    def _command_of(self, name: str, *options: str) -> list[str]:
        return [program(name), "-c", str(self.folder / "ceph.conf"), *options]

    def _run(self, name: str, *options: str) -> None:
        self._check_alive()
        command = self._command_of(name, *options)
        ran = subprocess.run(command, capture_output=True, text=True, timeout=CALL_DEADLINE_S, check=False)
        assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}{ran.stderr}"

    def _daemon(self, name: str, *options: str) -> None:
        # It also ends with the process of the tests, however that ends.
        command = [program("setpriv"), "--pdeathsig", "KILL", *self._command_of(name, *options), "-f"]
        with (self.folder / f"{name}.out").open("ab") as log:
            started = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self._processes.append(started)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes:
            os.killpg(process.pid, number)

    def _check_alive(self) -> None:
        for process in self._processes:
            name = Path(process.args[3]).name  # type: ignore[index,arg-type]
            log = (self.folder / f"{name}.out").read_text("utf-8", "replace")
            assert process.poll() is None, f"{name}: {log[-4000:]}"
