"""Network namespaces that threads of this process step into, with all that they open or start there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

CLONE_NEWNET: Final = 0x40000000  # linux/sched.h
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def why_not() -> str:
    """Returns why this machine can't emulate links; an empty text if it can."""
    if os.geteuid() != 0:
        return "emulated links need root (network namespaces and TUN devices)"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "emulated links need /dev/net/tun"
    probe = subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True)
    return "" if probe.returncode == 0 else "emulated links need network namespaces; unshare --net is refused"


class Namespace:
    """A network namespace without a name; a context manager. It ends with its last process and last socket.

    A process that only reads a pipe of ours keeps it, so nothing is left behind if the tests are killed.
    """

    def __enter__(self) -> Namespace:
        keeper = ["unshare", "--net", "sh", "-c", "echo; exec cat"]
        self._keeper = subprocess.Popen(keeper, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._keeper.stdout
        self._keeper.stdout.readline()  # it is in the namespace now
        self._fd = os.open(f"/proc/{self._keeper.pid}/ns/net", os.O_RDONLY)
        self.run("ip", "link", "set", "lo", "up")
        return self

    def __exit__(self, *exc_info: object) -> None:
        os.close(self._fd)
        self._keeper.communicate()

    @property
    def pid(self) -> int:
        """A process inside, as `ip link set DEVICE netns PID` wants it."""
        return self._keeper.pid

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Within it this thread is in the namespace: sockets, threads and processes made here stay there."""
        home_fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _set_namespace(self._fd)
            yield
        finally:
            _set_namespace(home_fd)
            os.close(home_fd)

    def run(self, *command: str) -> str:
        """Runs a command inside and returns what it prints; raises AssertionError with its complaint."""
        with self.inside():
            done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def set_sysctl(self, name: str, value: object) -> None:
        """Sets one of those settings that each namespace has of its own, such as `net.ipv4.tcp_wmem`."""
        with self.inside():
            Path("/proc/sys", name.replace(".", "/")).write_text(str(value))


def _set_namespace(fd: int) -> None:
    if _LIBC.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
