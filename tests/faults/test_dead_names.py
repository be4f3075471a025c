"""Apps whose names nobody answers for any more: the others are told as if nothing were wrong."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.server import RunningServer, new_upload
from tests.support.tally import tally

DEAD_NAMES = 24
"""More than there are threads for everything else."""
AT_ONCE_S = 15.0
NAME_SERVER = f"127.{64 + (os.getpid() >> 16)}.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
"""An address of this process alone. The resolver always asks port 53, so each run needs its own."""
LOOK_UP_S = 30
"""So long the resolver waits for its server: far longer than anybody may wait here."""


class ServerWithADeadResolver(RunningServer):
    """Sees files of its own in the place of the machine's /etc/resolv.conf and nsswitch.conf."""

    def _command(self) -> list[str]:
        folder = self.storage_dir.parent
        resolver = f"nameserver {NAME_SERVER}\noptions timeout:{LOOK_UP_S} attempts:1\n"
        (folder / "resolv.conf").write_text(resolver)
        (folder / "nsswitch.conf").write_text("hosts: files dns\n")
        mounts = [f"mount --bind {folder / name} /etc/{name}" for name in ("resolv.conf", "nsswitch.conf")]
        script = " && ".join([*mounts, 'exec "$@"'])
        return ["unshare", "--mount", "sh", "-c", script, "sh", *super()._command()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server whose names are all dead."""
    if os.geteuid() != 0 or not Path("/etc/nsswitch.conf").exists():
        pytest.skip("only root may give a process files of its own in /etc")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody have mounts of his own")
    with socket.socket(type=socket.SOCK_DGRAM) as silent, ExitStack() as stack:
        silent.bind((NAME_SERVER, 53))
        yield stack.enter_context(ServerWithADeadResolver(tmp_path / "storage"))


def test_apps_with_dead_names_keep_no_other_app_waiting(server: RunningServer, app: ScriptedApp) -> None:
    for number in range(DEAD_NAMES):
        url = f"http://dead{number}.example.org/finished"
        ClientV1(server.url, new_upload(server, url), FileBytes(10)).open().cancel()
    began_s = time.monotonic()
    ClientV1(server.url, new_upload(server, app.url), FileBytes(10)).upload()
    requests.get(f"{server.url}/incoming/healthz", timeout=AT_ONCE_S).raise_for_status()
    assert time.monotonic() - began_s < AT_ONCE_S
    assert "could not be reached" not in server.log_text(), "the look-ups are under way"
    tally("fault", "apps whose host names get no answer", DEAD_NAMES, "other apps were called at once")
