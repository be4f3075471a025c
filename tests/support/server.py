"""The real server as a process of its own, and the backend routes as existing apps call them."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import IO, Final, Protocol, Self

import requests
from msgspec.structs import replace

from incoming.core.ticket import Ticket
from incoming.registry import journal
from incoming.registry.append_log import BLANK, BLOCK_BYTES
from incoming.registry.entries import CLEAN_STOP, ticket_entry
from incoming.registry.records import RecordReader, encode_record
from incoming.storage.local.paths import upload_file
from tests.support.ports import free_port
from tests.support.waiting import wait_until

ROOT: Final = Path(__file__).resolve().parents[2]
START_DEADLINE_S: Final = 60.0
STOP_DEADLINE_S: Final = 60.0
_READY: Final = re.compile(r"listens on (http://\S+)")


class Process(Protocol):
    """What is asked of a server's process; subprocess.Popen is one."""

    pid: int

    def poll(self) -> int | None:
        """Returns the exit code once it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code. Raises subprocess.TimeoutExpired."""

    def terminate(self) -> None:
        """Asks it to stop."""


class RunningServer:
    """`run.py` in a process group of its own, on a free port that it keeps when it is started again.

    Settings go through the environment (`chunk_size_kib=64` becomes INCOMING_CHUNK_SIZE_KIB), so every one of
    them can be given alike. `alive` holds the servers that run, for reports of failed tests.
    """

    alive: Final[list[RunningServer]] = []

    def __init__(self, storage_dir: Path, log_file: Path | None = None, **settings: object) -> None:
        """The log is beside the storage directory unless it is given another place."""
        self.storage_dir = storage_dir
        self.settings = settings
        self.port = free_port()
        self.log_file = log_file or storage_dir.with_name(storage_dir.name + ".log")
        self._process: Process | None = None
        self._pass_fds: tuple[int, ...] = ()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        """False once it was killed or has stopped."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process, "the server does not run"
        return self._process.pid

    def start(self) -> None:
        """Starts the server and returns when it says that it listens. Raises AssertionError with its log."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Starts the process and does not wait for it."""
        assert self._process is None, "the server runs already"
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._log_starts_at = log.tell()
            self._process = self._spawn(log)
        self.alive.append(self)

    def _spawn(self, log: IO[bytes]) -> Process:
        return subprocess.Popen(
            self._command(), stdout=log, stderr=log, env=self._environment(), start_new_session=True,
            pass_fds=self._pass_fds,
        )  # fmt: skip

    def _command(self) -> list[str]:
        return [sys.executable, str(ROOT / "run.py"), *self._place()]

    def _place(self) -> list[str]:
        return ["--host", "127.0.0.1", "--port", str(self.port), "--storage-dir", str(self.storage_dir)]

    def _environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("INCOMING_")}
        return inherited | {f"INCOMING_{name.upper()}": str(value) for name, value in self.settings.items()}

    def wait_ready(self) -> None:
        """Waits for the line that tells the address."""
        url = ""
        try:
            url = wait_until(self._announced_url, "the server listens", START_DEADLINE_S)
        except AssertionError as exc:
            raise AssertionError(f"{exc}; its log:\n{self.log_text()}") from None
        finally:
            if not url:  # the caller's block has not begun, so nobody else would stop the process
                self.kill()
        self.port = int(url.rstrip("/").rpartition(":")[2])

    def _announced_url(self) -> str:
        assert self._process and self._process.poll() is None, "the server ended at its start"
        ready = _READY.search(self._log_of_this_process())
        return ready[1] if ready else ""

    def _log_of_this_process(self) -> str:
        with self.log_file.open("rb") as log:
            log.seek(self._log_starts_at)
            return log.read().decode(errors="replace")

    def kill(self) -> None:
        """Ends the server as a power cut would (SIGKILL). Does nothing when it does not run."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self.wait_for_end()

    def terminate(self) -> int:
        """Asks the server to stop (SIGTERM) and returns its exit code."""
        self.ask_to_stop()
        return self.wait_for_end()

    def ask_to_stop(self) -> None:
        """Sends SIGTERM, and does not wait for what comes of it."""
        assert self._process, "the server does not run"
        self._process.terminate()

    def wait_for_end(self) -> int:
        """Returns the server's exit code once it has ended. Kills one that does not end."""
        assert self._process, "the server does not run"
        try:
            return self._process.wait(STOP_DEADLINE_S)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None
            self.alive.remove(self)

    def restart(self) -> None:
        """Kills the server (SIGKILL) and starts it again on the same port and storage."""
        self.kill()
        self.start()

    def log_text(self) -> str:
        """Everything that the server has written so far, over all its processes."""
        return self.log_file.read_text(errors="replace")

    def stored_file(self, ticket_id: str) -> Path:
        """Where the bytes of an upload are."""
        return upload_file(self.storage_dir / "data", ticket_id)

    def journaled(self) -> dict[str, Ticket]:
        """All tickets as they stand in the journal, by their ids."""
        return {ticket.id: ticket for ticket in journal.read(self.storage_dir / "journal")}

    def journaled_state(self, ticket_id: str) -> str:
        """The state of an upload as it stands in the journal."""
        return self.journaled()[ticket_id].state.value


def cpu_s(pid: int) -> tuple[float, float]:
    """Returns how long a process had a CPU, and how long its main thread waited for one, in seconds."""
    had_ns = sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    waited_ns = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
    return had_ns / 1e9, waited_ns / 1e9


def multiply_tickets(server: RunningServer, ticket_ids: list[str], total: int) -> list[str]:
    """Fills the journal up to `total` entries with copies of these, and returns all ids.

    The entries are as the (now stopped) server wrote them; to ask it for thousands of tickets takes too long.
    """
    known = server.journaled()
    originals = itertools.cycle(known[ticket_id] for ticket_id in ticket_ids)
    new = [str(uuid.uuid4()) for _ in range(total - len(ticket_ids))]
    add_to_journal(server, *(ticket_entry(replace(next(originals), id=ticket_id)) for ticket_id in new))
    return [*ticket_ids, *new]


def add_to_journal(server: RunningServer, *texts: bytes) -> None:
    """Adds lines to the log, as the server would that has left it or runs."""
    reader = RecordReader()
    with (server.storage_dir / "journal" / "log").open("r+b") as log:
        for _ in reader.payloads(log):
            pass
        if reader.last_payload == CLEAN_STOP:
            texts = (*texts, CLEAN_STOP)
        log.writelines(encode_record(number, text) for number, text in enumerate(texts, reader.records))
        log.write(b"%*s" % (BLOCK_BYTES - log.tell() % BLOCK_BYTES, b"\n") + BLANK)


# --- the backend routes, called as existing apps do: all in the query string, an empty body -------


def call_backend(server: RunningServer, route: str, **params: str) -> requests.Response:
    """Posts to `/incoming/0.1/backend/ROUTE` and returns whatever is answered."""
    return requests.post(f"{server.url}/incoming/0.1/backend/{route}", params=params, timeout=60)


def _value(answer: requests.Response) -> str:
    assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
    return answer.text


def new_upload(server: RunningServer, signal_finish_url: str, **params: str) -> str:
    """Returns the id of a new ticket."""
    return _value(call_backend(server, "new_upload", signalFinishURL=signal_finish_url, **params))


def finish_upload(server: RunningServer, ticket_id: str, **params: str) -> requests.Response:
    """Says that the app has the file."""
    return call_backend(server, "finish_upload", id=ticket_id, **params)


def cancel_upload(server: RunningServer, ticket_id: str, **params: str) -> requests.Response:
    """Gives the upload up on the app's behalf."""
    return call_backend(server, "cancel_upload", id=ticket_id, **params)


def retry_upload(server: RunningServer, ticket_id: str, **params: str) -> requests.Response:
    """Asks for a failed handover again."""
    return call_backend(server, "retry_upload", id=ticket_id, **params)
