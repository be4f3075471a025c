"""Commands whose output goes nowhere: an upload ends as ever, the server serves, and lists say so."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import MIB, FileBytes
from tests.support.sending import COMMAND, PATCHED, wait_stored, write_file
from tests.support.server import ROOT, RunningServer, new_upload
from tests.support.waiting import wait_until

DATA: Final = FileBytes(20 * MIB + 123, 5)
SLOW_BYTES_PER_S: Final = 10 * MIB
DEADLINE_S: Final = 60.0
LATIN_1: Final = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
ASCII: Final = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}


@pytest.fixture
def server(start_server: StartServer) -> RunningServer:
    return start_server()


class Screen:
    """A standard error of some kind; `spoil` is called in the middle of the upload."""

    def __init__(self, fd: int, spoil: Callable[[], object] = lambda: None) -> None:
        self.fd, self.spoil = fd, spoil


@contextmanager
def screen(kind: str) -> Iterator[Screen]:
    """Yields a standard error that is gone, full or stopped, from the start or in the middle."""
    if kind == "full disk":
        fds = [os.open("/dev/full", os.O_WRONLY)]
        yield Screen(fds[0])
    elif kind == "pipe that nobody reads":
        fds = list(os.pipe())
        os.set_blocking(fds[1], False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(fds[1], b"x")
        os.set_blocking(fds[1], True)
        yield Screen(fds[1])
    elif kind == "pipe whose reader is gone":
        fds = list(os.pipe())
        os.close(fds.pop(0))
        yield Screen(fds[0])
    else:
        fds = list(pty.openpty())
        slave = fds[1]
        spoils: dict[str, Callable[[], object]] = {
            "terminal that is closed": lambda: os.close(fds.pop(0)),
            "terminal that nobody reads": lambda: None,
            "terminal that is stopped": lambda: termios.tcflow(slave, termios.TCOOFF),
        }
        yield Screen(slave, spoils[kind])
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize(
    "kind",
    [
        "full disk", "pipe that nobody reads", "pipe whose reader is gone", "terminal that is closed",
        "terminal that nobody reads", "terminal that is stopped",
    ],
)  # fmt: skip
def test_an_upload_ends_as_ever_whatever_becomes_of_its_screen(
    server: RunningServer, app: ScriptedApp, tmp_path: Path, kind: str
) -> None:
    file = write_file(tmp_path / "holiday.mov", DATA)
    ticket_id = new_upload(server, app.url)
    options = ["--ticket", ticket_id, "--server", server.url, "--max-bytes-per-s", str(SLOW_BYTES_PER_S)]
    with screen(kind) as seen:
        process = subprocess.Popen(
            [*PATCHED, str(file), "--json", *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=seen.fd,
            env=os.environ | {"TERM": "xterm"},
        )  # fmt: skip
        with process:
            wait_stored(server.stored_file(ticket_id), 4 * MIB)
            seen.spoil()
            printed, _ = process.communicate(timeout=DEADLINE_S)
    result = json.loads(printed)
    assert (process.returncode, result["ending"], result["resumed"]) == (0, "finished", 0)
    assert app.about(ticket_id)[0].sha256 == DATA.sha256


@pytest.mark.parametrize(
    ("redirection", "command"),
    [
        (">&-", PATCHED), ("2>&-", COMMAND), ("<&- >&- 2>&-", PATCHED), (">/dev/full", COMMAND),
        (">/dev/full 2>&1", PATCHED),
    ],
)  # fmt: skip
def test_the_exit_code_of_an_upload_tells_of_the_upload_only(
    server: RunningServer, app: ScriptedApp, tmp_path: Path, command: list[str], redirection: str
) -> None:
    file = write_file(tmp_path / "holiday.mov", FileBytes(MIB, 5))
    options = ["--json", "--ticket", new_upload(server, app.url), "--server", server.url]
    assert shell(redirection, *command, str(file), *options).returncode == 0
    assert len(app.deliveries) == 1


def shell(redirection: str, *words: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Runs a command with its output redirected as in a shell."""
    script = f'exec "$0" "$@" {redirection}'
    return subprocess.run(
        ["bash", "-c", script, *words], cwd=ROOT, env=os.environ | env, capture_output=True,
        timeout=DEADLINE_S, check=False,
    )  # fmt: skip


def incoming(server: RunningServer, redirection: str, *words: str, **env: str) -> Any:
    """Runs a command of an operator's."""
    place = ["--host", "127.0.0.1", "--port", str(server.port), "--storage-dir", str(server.storage_dir)]
    return shell(redirection, sys.executable, "-m", "incoming", *words, *place, **env)


# --- beside a running server ---------------------------------------------------------------------------


def test_a_list_that_could_not_be_written_is_not_a_success_and_says_why(server: RunningServer) -> None:
    for words in (["uploads"], ["config"]):
        done = incoming(server, ">/dev/full", *words)
        assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
        assert done.stderr.decode() == "The output is incomplete: No space left on device.\n"


def test_a_list_whose_output_is_closed_is_not_a_success(server: RunningServer) -> None:
    words = [sys.executable, str(ROOT / "run.py"), "uploads", "--port", str(server.port)]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *words],
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "The output is incomplete: Bad file descriptor.\n")


def test_a_list_whose_reader_has_seen_enough_ends_quietly_also_when_it_watches(server: RunningServer) -> None:
    done = incoming(server, "> >(head -c 1 >/dev/null)", "uploads", "--watch")
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", ">/dev/full 2>&1", ">&- 2>&-"])
def test_what_an_operator_did_is_done_whatever_becomes_of_the_word_about_it(
    server: RunningServer, app: ScriptedApp, redirection: str
) -> None:
    ticket_id = new_upload(server, app.url)
    assert incoming(server, redirection, "sweep").returncode == 0
    assert incoming(server, redirection, "cancel", ticket_id[:8]).returncode == 0
    assert server.journaled_state(ticket_id) == "cancelled"


@pytest.mark.parametrize("env", [LATIN_1, ASCII], ids=["Latin-1", "ASCII"])
def test_names_that_a_terminal_has_no_letters_for_are_escaped(
    server: RunningServer, app: ScriptedApp, env: dict[str, str]
) -> None:
    names = ("写真.jpg", f"{'long ' * 20}.mov")
    for name in names:
        client = ClientV1(server.url, new_upload(server, app.url), FileBytes(1000), name)
        client.open()
        client.drop()
    wait_until(lambda: server.log_text().count("connection closed") == 2, "the pauses")
    done = incoming(server, "", "uploads", **env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u5199\\u771f.jpg" in done.stdout
    assert b"long long ~\n" in done.stdout
    for words in (["--help"], ["serve", "--help"], ["send", "--help"]):
        done = shell("", sys.executable, "-m", "incoming", *words, **env)
        assert (done.returncode, done.stderr) == (0, b"")


# --- the server ----------------------------------------------------------------------------------------


class DeafServer(RunningServer):
    """A server whose output is redirected as `redirection` says, in a shell."""

    redirection = ""

    def _command(self) -> list[str]:
        return ["sh", "-c", f'exec "$0" "$@" {self.redirection}', *super()._command()]

    def _announced_url(self) -> str:
        assert self._process and self._process.poll() is None, "the server ended at its start"
        listens = subprocess.run(["ss", "-Hltn", f"sport = :{self.port}"], capture_output=True, check=True)
        return self.url if listens.stdout else ""


@pytest.mark.parametrize(
    "redirection", [">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full 2>&1", "2>&1 | true", "2>&1 | sleep 60"]
)
def test_the_server_serves_whatever_becomes_of_its_output(
    tmp_path: Path, app: ScriptedApp, redirection: str
) -> None:
    server = DeafServer(tmp_path / "storage", log_level="debug")
    server.redirection = redirection
    with server:
        ticket_id = new_upload(server, app.url)
        client = ClientV1(server.url, ticket_id, FileBytes(5 * MIB, 1))
        client.upload()
        assert app.about(ticket_id)[0].sha256 == client.data.sha256
        if "|" not in redirection:
            names = [str(Path(f"/proc/{server.pid}/fd/{fd}").readlink()) for fd in range(3)]
            assert not [name for name in names if name.startswith(f"{tmp_path}/storage/")]
            assert server.terminate() == 0
