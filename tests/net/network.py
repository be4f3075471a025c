"""Two machines and an emulated link between them: network namespaces, and the forwarder of link.py."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.net.link import UNTOUCHED, LinkSettings, Sample
from tests.net.namespaces import Namespace
from tests.support.server import ROOT
from tests.support.waiting import wait_until

SUBNET: Final = "10.91.0.0/30"
SERVER_ADDRESS: Final = "10.91.0.1"
CLIENT_ADDRESS: Final = "10.91.0.2"
SYSCTLS: Final = {
    # The kernel's own limit of 4 MiB for unacknowledged data ends at 40 MB/s and 100 ms.
    "net.ipv4.tcp_wmem": "4096 16384 134217728",
    # With packets near 64 KiB the usual first receive window is a single packet, and the kernel, which makes
    # it larger when more than ten packets come in a round trip, would never begin to.
    "net.ipv4.tcp_rmem": "4096 1048576 134217728",
    # A connection must not inherit what an earlier one has found out: the tests would depend on their order.
    "net.ipv4.tcp_no_metrics_save": "1",
}


class Network:
    """`server` and `client` are the namespaces of the two ends; what is uploaded goes up the link."""

    def __init__(self, log_file: Path) -> None:
        """The forwarder tells what it carries in `log_file`."""
        self.link = UNTOUCHED
        self._log_file = log_file

    def __enter__(self) -> Network:
        with contextlib.ExitStack() as stack:
            self.server = stack.enter_context(Namespace())
            self.client = stack.enter_context(Namespace())
            self._wire = stack.enter_context(self._running_wire())
            wait_until(self._told, "the forwarder is up")
            self._devices: list[str] = self._told()[0]["devices"]
            for end, device, address in self._ends():
                plug_in(end, device, address)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _ends(self) -> Iterator[tuple[Namespace, str, str]]:
        addresses = (SERVER_ADDRESS, CLIENT_ADDRESS)
        return zip((self.server, self.client), self._devices, addresses, strict=True)

    @contextlib.contextmanager
    def _running_wire(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "tests.net.link"]
        with self._log_file.open("wb") as log:
            wire = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log)
        try:
            yield wire
        finally:
            wire.communicate()  # the end of its input ends it

    def become(self, link: LinkSettings, congestion_control: str = "cubic") -> None:
        """Makes it another link, for the connections that there are, too.

        `congestion_control` is for new connections of both ends; cubic is what most users' systems have.
        """
        for end, device, address in self._ends():
            end.run("ip", "link", "set", device, "mtu", str(link.mtu_bytes), "up")
            # By the route: a namespace's sysctl only takes what the machine allows to everybody.
            way = [SUBNET, "dev", device, "src", address, "congctl", congestion_control]
            end.run("ip", "route", "replace", *way)
        changes = len(self._told())
        assert self._wire.stdin
        self._wire.stdin.write(json.dumps(asdict(link)).encode() + b"\n")
        self._wire.stdin.flush()
        wait_until(lambda: any("changed_at_s" in told for told in self._told()[changes:]), "the link changes")
        self.link = link

    def _told(self) -> list[dict[str, Any]]:
        """Everything that the forwarder has told, without a line that is half written."""
        assert self._wire.poll() is None, "the forwarder has ended"
        return [json.loads(line) for line in self._log_file.read_text().split("\n")[:-1]]

    def samples(self, direction: str, from_s: float, to_s: float) -> list[Sample]:
        """Returns what the link told about "up" or "down" in a span of time.monotonic()."""
        told = (Sample(**line[direction]) for line in self._told() if direction in line)
        return [sample for sample in told if from_s <= sample.at_s <= to_s]


def plug_in(end: Namespace, device: str, address: str) -> None:
    """Makes a device of the link the only network of a namespace."""
    subprocess.run(["ip", "link", "set", device, "netns", str(end.pid)], check=True)
    end.run("ip", "address", "add", f"{address}/32", "dev", device)
    for name, value in SYSCTLS.items():
        end.set_sysctl(name, value)
