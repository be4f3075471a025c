"""Two machines with a server each, and a third one with nginx, Redis and S3: a cable is pulled."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.net.conftest import FULL, ServerOnTheLink
from tests.net.namespaces import Namespace, why_not
from tests.support.app import ScriptedApp
from tests.support.balancer import Balancer
from tests.support.cluster import CREDENTIALS, s3_settings
from tests.support.data import MIB, FileBytes
from tests.support.redis_server import RedisServer
from tests.support.s3_place import BUCKET
from tests.support.s3_server import S3Server
from tests.support.sending import Sending, write_file
from tests.support.server import new_upload
from tests.support.waiting import wait_until

HUB: Final = "10.92.0.1"
"""The address of Redis, S3 and the app, which both machines reach."""
UPLOADS: Final = 4
FILE_BYTES: Final = 48 * MIB
BYTES_PER_S: Final = 4 * MIB
ENDS_WITHIN_S: Final = 120.0


class Machine(Namespace):
    """A machine with a cable to the hub, and a server on it."""

    server: ServerOnTheLink

    def plug_in(self, number: int) -> None:
        """Connects the machine with the namespace of the caller."""
        self.number, self.address = number, f"10.92.{number}.2"
        near, far = f"cable{number}", f"eth{number}"
        run("ip", "link", "add", "name", near, "type", "veth", "peer", "name", far)
        run("ip", "link", "set", far, "netns", str(self.pid))
        run("ip", "address", "add", f"10.92.{number}.1/24", "dev", near)
        run("ip", "link", "set", near, "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", far)
        self.run("ip", "link", "set", far, "up")
        self.run("ip", "route", "add", "default", "via", f"10.92.{number}.1")

    def pull_the_cable(self) -> None:
        """From now on no packet comes or goes, and nobody is told."""
        self.run("ip", "link", "set", f"eth{self.number}", "down")


class S3OnTheLink(S3Server):
    """See S3Server. It is reached by the address of the hub."""

    @property
    def url(self) -> str:
        """See S3Server."""
        return f"http://{HUB}:{self.port}"


class AppOnTheLink(ScriptedApp):
    """See ScriptedApp."""

    address = HUB


class MachineServer(ServerOnTheLink):
    """A server with the credentials of the store."""

    def _environment(self) -> dict[str, str]:
        return super()._environment() | CREDENTIALS


def run(*command: str) -> None:
    subprocess.run(command, check=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="incoming-net-") as path:
        yield Path(path)


@pytest.fixture
def hub() -> Iterator[Namespace]:
    if reason := why_not() or ("" if FULL else "make net runs it"):
        pytest.skip(reason)
    with Namespace() as running, running.inside():
        run("ip", "address", "add", f"{HUB}/32", "dev", "lo")
        yield running


@pytest.fixture
def machines(hub: Namespace, folder: Path) -> Iterator[tuple[Machine, Machine]]:
    """Both machines with a server each. Redis and S3 run where the caller is."""
    with ExitStack() as stack:
        redis_folder = folder / "redis"
        redis = RedisServer(redis_folder, f"bind 127.0.0.1 {HUB}", "protected-mode no")
        s3 = S3OnTheLink(folder / "s3", f"-ip={HUB}", "-ip.bind=0.0.0.0")
        stack.enter_context(redis)
        stack.enter_context(s3)
        s3.create_bucket(BUCKET)
        settings = {
            **s3_settings(s3, "two-machines"),
            "registry": f"redis://{HUB}:{redis.port}",
            "redis_insecure": "yes",
            "backend_token": "CHANGE-ME",
        }
        both = Machine(), Machine()
        for number, machine in enumerate(both, 1):
            stack.enter_context(machine)
            machine.plug_in(number)
            place, name = folder / f"machine-{number}", f"m{number}"
            machine.server = MachineServer(place, None, **settings, instance=name)
            with machine.inside():
                stack.enter_context(machine.server)
        yield both


@pytest.fixture
def nginx_url(machines: tuple[Machine, Machine], folder: Path) -> Iterator[str]:
    """The address of nginx in front of both servers, as docs/how-to/two-servers.md says."""
    addresses = [f"{machine.address}:{machine.server.port}" for machine in machines]
    with Balancer(folder / "nginx", addresses) as balancer:
        yield balancer.url


def test_uploads_continue_on_the_other_machine_when_a_cable_is_pulled(
    machines: tuple[Machine, Machine], nginx_url: str, folder: Path
) -> None:
    lost, other = machines
    with AppOnTheLink() as app, ExitStack() as stack:
        with lost.inside():
            tickets = [new_upload(lost.server, app.url, storage="s3") for _ in range(UPLOADS)]
        data = [FileBytes(FILE_BYTES, number) for number in range(UPLOADS)]
        sendings = []
        for number, (ticket_id, one) in enumerate(zip(tickets, data, strict=True)):
            file = write_file(folder / f"file-{number}", one)
            options = ("--ticket", ticket_id, "--server", nginx_url, "--max-bytes-per-s", str(BYTES_PER_S))
            sendings.append(stack.enter_context(Sending(file, *options)))
        claimed = re.compile(r"upload (\w+): claimed")
        wait_until(lambda: len(claims(machines, claimed)) == UPLOADS, "each server has uploads", 30.0)
        on_lost = set(claimed.findall(lost.server.log_text()))
        assert on_lost, "nginx has chosen both machines"
        wait_until(lambda: all("%" in sending.says() for sending in sendings), "all are under way", 60.0)
        lost.pull_the_cable()
        for sending in sendings:
            assert sending.ends(ENDS_WITHIN_S).exit_code == 0, sending.said
        resumed = set(claimed.findall(other.server.log_text()))
        assert on_lost <= resumed
        told = app.wait_for(UPLOADS)
        assert sorted(one.sha256 for one in told) == sorted(one.sha256 for one in data)
        results = [sending.result for sending in sendings]
        assert all(result["resumed"] for result in results if result["ticket"][:8] in on_lost)


def claims(machines: tuple[Machine, Machine], claimed: re.Pattern[str]) -> list[str]:
    """Returns the uploads that any server has claimed so far."""
    return [found for machine in machines for found in claimed.findall(machine.server.log_text())]
