"""docs/how-to/two-servers.md, as a reader pastes it: real servers, Redis, SeaweedFS, nginx and the app."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.support.client_v2 import ClientV2
from tests.support.data import MIB, FileBytes
from tests.support.ports import free_port
from tests.support.server import ROOT
from tests.support.tools import program
from tests.support.waiting import wait_until
from tests.test_docs import code_blocks

PAGE: Final = ROOT / "docs/how-to/two-servers.md"
PORTS: Final = ("4000", "4001", "4002", "6390", "8080", "8333")
PROGRAMS: Final = ("redis-server", "nginx", "curl")
LANGUAGES: Final = {"incoming.toml": "toml", "nginx.conf": "nginx", "app.py": "python"}
START_DEADLINE_S: Final = 120.0


class Installation:
    """What the page makes in a folder. Free ports replace those of the page.

    `install`: the commands that install what it needs. `blocks`: how many files a reader saves.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._process_id = folder, 0
        self.ports = {documented: str(free_port()) for documented in PORTS}
        for name, language in LANGUAGES.items():
            (code,) = code_blocks(PAGE, language)
            self._write(name, code)
        (html,) = code_blocks(ROOT / "README.md", "html")
        self._write("page.html", html)
        self.install, run = code_blocks(PAGE, "sh")
        self.blocks = len(LANGUAGES) + 1
        user = "" if os.geteuid() else "user root;\n"
        conf = folder / "nginx.conf"
        conf.write_text(user + conf.read_text())
        others = " ".join(f"-{name}={free_port()}" for name in HIDDEN_PORTS)
        self._commands = self._with_ports(run).replace("weed server ", f"weed server {others} ")

    def _write(self, name: str, code: str) -> None:
        (self.folder / name).write_text(self._with_ports(code), "utf-8")

    def _with_ports(self, code: str) -> str:
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda found: self.ports[found[1]], code)

    @property
    def app_url(self) -> str:
        return f"http://localhost:{self.ports['8080']}"

    @property
    def url(self) -> str:
        return f"http://localhost:{self.ports['4000']}"

    def kill(self, instance: str) -> None:
        """Kills one of the servers as the page says, but none of another test."""
        of_this_one = ("pkill", "-9", "-s", str(self._process_id), "-f", "--", f"--instance {instance}")
        assert subprocess.run(of_this_one, check=False).returncode == 0

    @contextmanager
    def running(self, environment: Mapping[str, str]) -> Iterator[None]:
        """Runs all of it until the block ends; begins when the app gets tickets."""
        log_path = self.folder / "all.log"
        with log_path.open("w") as log, subprocess.Popen(
            ["bash", "-ec", self._commands], cwd=self.folder, env=environment,
            stdout=log, stderr=log, start_new_session=True,
        ) as process:  # fmt: skip
            self._process_id = process.pid
            try:
                wait_until(lambda: answers(self), "all of it answers", START_DEADLINE_S)
                yield
            except AssertionError as exc:
                raise AssertionError(f"{exc}\n{log_path.read_text()[-6000:]}") from exc
            finally:
                nginx_pid = self.folder / "nginx.pid"
                if nginx_pid.exists():
                    end_nginx(int(nginx_pid.read_text()))
                os.killpg(process.pid, signal.SIGKILL)
                subprocess.run(["pkill", "-KILL", "-s", str(process.pid)], check=False)


HIDDEN_PORTS: Final = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
    *("filer.port", "filer.port.grpc", "s3.port.grpc", "s3.port.iceberg", "s3.port.lance"),
)
"""The page leaves them at their defaults, which another test's server may have."""


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    for name in PROGRAMS:
        program(name)
    command = tmp_path / "bin" / "incoming"  # what pip would install
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m incoming "$@"\n')
    command.chmod(0o755)
    folders = (command.parent, Path(sys.executable).parent, os.environ["PATH"])
    found = Installation(tmp_path)
    with found.running(os.environ | {"PATH": os.pathsep.join(map(str, folders))}):
        yield found


def end_nginx(pid: int) -> None:
    """Ends the daemon with its workers, which would outlive a master that is killed."""
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "nginx has ended")


def answers(found: Installation) -> bool:
    try:
        return requests.post(f"{found.app_url}/ticket", timeout=60).ok
    except requests.ConnectionError:
        return False


def test_the_page_works_as_pasted_and_an_upload_survives_the_end_of_its_server(
    installation: Installation, tmp_path: Path
) -> None:
    ticket = requests.post(f"{installation.app_url}/ticket", timeout=60).text
    data = FileBytes(24 * MIB, 4)
    client = ClientV2(installation.url, ticket, data).open()
    client.send_until_stored(8 * MIB)
    (holder,) = re.findall(r"\[(\w+)\] upload \w+: claimed at 0", (tmp_path / "all.log").read_text())
    installation.kill(holder)
    client.drop()
    client.upload()
    assert client.resumed_at[-1] >= 8 * MIB
    taken = installation.folder / "uploads" / ticket
    assert taken.read_bytes() == b"".join(data.blocks())
