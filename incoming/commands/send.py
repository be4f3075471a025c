"""`incoming send` sends a file or a folder from a terminal, a script or another server."""

from __future__ import annotations

import json
import os
import shlex
import signal
import ssl
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from incoming.client import address, progress, ticket_request
from incoming.client.address import BadAddress
from incoming.client.connect import tls_context
from incoming.client.display import Display
from incoming.client.file import FileSource
from incoming.client.folder import FolderSource
from incoming.client.folder_record import FolderRecord
from incoming.client.folder_walk import Folder, list_folder, list_together
from incoming.client.loop import Sender, Server
from incoming.client.protocol.events import Ending, Options, Outcome, Stop
from incoming.client.protocol.session import Session
from incoming.client.source import FileChanged, FileUnreadable, Source
from incoming.client.ticket_request import NoTicket
from incoming.commands.option_types import FILLED
from incoming.core import folder_names
from incoming.core.errors import BadFolder
from incoming.core.ticket import FOLDER
from incoming.core.units import readable_size
from incoming.runtime import output

DEFAULT_SERVER: Final = "http://localhost:4000"
EXIT_FAILED: Final = 1
EXIT_LEFT_OUT: Final = 4
SHOWN_AT_MOST: Final = 10
_REPLACED_OPTIONS: Final = ("server", "method")
EXIT_CODES: Final = {
    Ending.FINISHED: 0, Ending.FAILED: EXIT_FAILED, Ending.CANCELLED: EXIT_FAILED,
    Ending.GAVE_UP: 3, Ending.INTERRUPTED: 130,
}  # fmt: skip


@click.command("send", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("paths", metavar="PATH...", nargs=-1, required=True,
                type=click.Path(exists=True, readable=True, path_type=Path))  # fmt: skip
@click.option("--ticket", "ticket_id", type=FILLED, metavar="ID",
              help="The ticket that the app got from the server.")  # fmt: skip
@click.option("--url", type=FILLED, metavar="URL",
              help="An address of the app that returns a ticket, as text or JSON.")  # fmt: skip
@click.option("--method", type=click.Choice(["GET", "POST"], case_sensitive=False), default="POST",
              metavar="GET|POST", show_default=True, help="The HTTP method for --url.")  # fmt: skip
@click.option("--server", type=FILLED, metavar="URL",
              help="The Incoming!! server: http(s)://host[:port][/prefix]. "
              f"[default: the server in the app's answer, or {DEFAULT_SERVER}]")  # fmt: skip
@click.option("--ca-file", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="Certificates (PEM) to trust in addition to the system's.")  # fmt: skip
@click.option("--max-bytes-per-s", type=click.IntRange(min=1), metavar="N", help="Limit the transfer rate.")
@click.option("--give-up-after", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              help="Give up after this time without progress. [default: never]")  # fmt: skip
@click.option("--leave-out", is_flag=True,
              help="Leave out files of a folder that can't be read, and continue without them.")  # fmt: skip
@click.option("--cancel-on-interrupt", is_flag=True,
              help="Make Ctrl-C cancel the upload. Without this it can be resumed.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON to stdout.")
def send(paths: tuple[Path, ...], ticket_id: str | None, url: str | None, **options: Any) -> None:
    """Send a file or a folder with a ticket, and wait until the app has it.

    A folder is one upload. So are several files and folders: they arrive as one folder. Both need a ticket
    that the app got with destType=folder. Links are not followed and not sent.

    After a lost connection or a restart of the server, the upload resumes at the last stored byte. If the
    command was killed, run it again to resume. Progress goes to stderr.

    \b
    Exit codes: 0 the app has it, 1 permanent failure, 2 wrong usage,
    3 gave up (--give-up-after), 4 the app has the folder, but files were left out (--leave-out),
    130 interrupted. After 3 and 130 the upload can be resumed.
    """
    if (ticket_id is None) == (url is None):
        raise click.UsageError("Give either --ticket or --url.")
    try:
        address.parse(options["server"] or DEFAULT_SERVER)
    except BadAddress as exc:
        raise click.BadParameter(str(exc), param_hint="--server") from exc
    sys.exit(_Command(paths, ticket_id, url, options).run())


class _Command:
    """One run of the command."""

    def __init__(
        self, paths: Sequence[Path], ticket_id: str | None, url: str | None, options: dict[str, Any]
    ) -> None:
        self._paths, self._ticket_id, self._url, self._options = paths, ticket_id or "", url, options
        self._folder: Folder | None = None
        self._address = options["server"] or DEFAULT_SERVER
        self._display = Display(sys.stderr, quiet=options["quiet"])

    def run(self) -> int:
        """Returns the exit code."""
        began_s = time.monotonic()
        # Nothing needs a clean end yet, and Python's own handler prints a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            source = self._source()
            context = self._trusted()
            self._get_ticket(context)
            server = Server(address.parse(self._address), context)
        except (NoTicket, FileUnreadable, FileChanged, BadAddress) as exc:
            return self._conclude(Outcome(Ending.FAILED, str(exc)), None, began_s)
        options = Options(
            self._options["max_bytes_per_s"] or 0,
            self._options["give_up_after"] or 0.0,
            self._options["leave_out"],
        )
        sender = Sender(source, self._ticket_id, server, options, self._display)
        record = FolderRecord(self._ticket_id)
        if self._folder:
            record.save(self._folder)
        with _signals(sender, cancel=self._options["cancel_on_interrupt"]):
            outcome = sender.run()
        if not outcome.resumable:
            record.remove()
        return self._conclude(outcome, sender.session, began_s)

    # --- what is sent ------------------------------------------------------------------------------

    def _source(self) -> Source:
        """Returns the file, or the folder. Raises FileUnreadable, FileChanged."""
        paths = self._paths
        if len(paths) == 1 and not paths[0].is_dir():
            return FileSource(paths[0])
        try:
            listed = list_folder(paths[0]) if len(paths) == 1 else list_together(paths)
        except ValueError as exc:
            raise FileUnreadable(str(exc)) from exc
        if listed.skipped:
            self._display.print(f"Links, pipes and devices are not sent: {_some_of(listed.skipped)}.")
        begun = FolderRecord(self._ticket_id).resumed(listed) if self._ticket_id else None
        if begun is None:
            self._check(listed)
        elif begun.new:
            self._display.print(
                f"Not sent, because they appeared after the upload began: {_some_of(begun.new)}."
            )
        self._folder = begun.folder if begun else listed
        return FolderSource(self._folder)

    def _check(self, listed: Folder) -> None:
        """Tells what is left out. Raises FileUnreadable if something can't be sent."""
        for number, why in enumerate(listed.unreadable.values()):
            if not self._options["leave_out"]:
                more = len(listed.unreadable) - 1
                others = f" {more:,} more can't be read either." if more else ""
                raise FileUnreadable(f"{why}{others} With --leave-out, the rest of the folder is sent.")
            if number < SHOWN_AT_MOST:
                self._display.print(f"{why} It is left out.")
        if (more := len(listed.unreadable) - SHOWN_AT_MOST) > 0:
            self._display.print(f"{more:,} more can't be read, and are left out.")
        try:
            folder_names.stored_paths(listed.entries)
        except BadFolder as exc:
            where = f" It is {listed.path(exc.index)}." if exc.index is not None else ""
            raise FileUnreadable(f"{exc}{where}") from exc

    def _trusted(self) -> ssl.SSLContext:
        ca_file = self._options["ca_file"]
        try:
            return tls_context(ca_file)
        except OSError as exc:
            raise FileUnreadable(f"{ca_file} contains no certificates.") from exc

    def _get_ticket(self, context: ssl.SSLContext) -> None:
        """Requests a ticket from the app if none was given. Raises NoTicket."""
        if self._url is not None:
            fields = {"destType": FOLDER} if self._folder else None
            answer = ticket_request.ask(self._url, self._options["method"].upper(), context, fields)
            self._ticket_id, self._address = (
                answer.id,
                self._options["server"] or answer.server or DEFAULT_SERVER,
            )
            self._display.print(f"The app gave the ticket {answer.id}.")

    # --- the end -----------------------------------------------------------------------------------

    def _conclude(self, outcome: Outcome, session: Session | None, began_s: float) -> int:
        """Prints the outcome and returns the exit code."""
        seconds = time.monotonic() - began_s
        finished = outcome.ending is Ending.FINISHED
        if session and finished:
            length_bytes = session.transfer.length_bytes
            rate = readable_size(length_bytes / max(seconds, 0.001))
            how = f"{readable_size(length_bytes)} in {_duration(seconds)} ({rate}/s)"
            files = f"{self._files(self._folder, session):,} files, " if self._folder else ""
            self._display.print(f"{self._name}: {files}{how}. {outcome.text}")
            if left_out := self._left_out(session):
                self._display.print(f"Left out: {_some_of(left_out)}.", important=True)
        else:
            self._display.print(outcome.text, important=True)
        has_begun = session is not None and (
            session.transfer.stored_bytes or outcome.ending is not Ending.FAILED
        )
        if outcome.resumable and has_begun:
            self._display.print(f"Resume with:  {self._resume_command()}", important=True)
        if self._options["as_json"]:
            click.echo(json.dumps(self._result(outcome, session, seconds)))
        return EXIT_LEFT_OUT if finished and self._left_out(session) else EXIT_CODES[outcome.ending]

    @property
    def _name(self) -> str:
        return self._folder.name if self._folder else self._paths[0].name

    def _left_out(self, session: Session | None) -> list[str]:
        """Returns the paths of what is left out of the folder."""
        folder = self._folder
        if not folder or not session:
            return []
        return [*folder.unreadable, *(str(folder.path(index)) for index in sorted(session.left_out))]

    def _resume_command(self) -> str:
        """Returns the command that resumes the upload: all options, with `--ticket` in place of `--url`."""
        paths = [f"./{path}" if str(path).startswith("-") else str(path) for path in self._paths]
        words = ["incoming", "send", *paths, "--ticket", self._ticket_id]
        words += ["--server", self._address] if self._address != DEFAULT_SERVER else []
        for option in click.get_current_context().command.params:
            value = self._options.get(option.name or "")
            if value and option.name not in _REPLACED_OPTIONS:
                words += [option.opts[-1]] if value is True else [option.opts[-1], str(value)]
        return " ".join(shell_word(word, sys.stderr.encoding or "ascii") for word in words)

    def _result(self, outcome: Outcome, session: Session | None, seconds: float) -> dict[str, object]:
        result: dict[str, object] = {
            "ending": outcome.ending.value,
            "message": outcome.text,
            "resumable": outcome.resumable,
            "ticket": self._ticket_id or None,
            "bytes": session.transfer.length_bytes if session else None,
            "stored_bytes": session.transfer.stored_bytes if session else None,
            "seconds": round(seconds, 3),
            "crc32c": None if outcome.crc32c is None else f"{outcome.crc32c:08x}",
            "resumed": session.resumed if session else 0,
        }
        if self._folder:
            result["files"] = self._files(self._folder, session)
            result["left_out"] = [_readable(path) for path in self._left_out(session)]
            result["not_sent"] = [_readable(path) for path in self._folder.skipped]
        return result

    def _files(self, folder: Folder, session: Session | None) -> int:
        """Returns how many files the app gets."""
        left_out = session.left_out if session else ()
        return sum(not entry.is_folder and at not in left_out for at, entry in enumerate(folder.entries))


def shell_word(text: str, encoding: str) -> str:
    """Returns a word quoted for a shell. What the encoding lacks becomes $'\\xe4' (bash, zsh, ksh)."""
    try:
        text.encode(encoding)
        shown = text.isprintable()
    except UnicodeEncodeError:
        shown = False
    if shown:
        return shlex.quote(text)
    quoted = (chr(b) if 0x20 <= b < 0x7F and b not in b"'\\" else f"\\x{b:02x}" for b in os.fsencode(text))
    return f"$'{''.join(quoted)}'"


def _some_of(paths: Sequence[str]) -> str:
    """Returns the first paths, and how many more there are."""
    more = len(paths) - SHOWN_AT_MOST
    return ", ".join(paths[:SHOWN_AT_MOST]) + (f", and {more:,} more" if more > 0 else "")


def _readable(path: str) -> str:
    """Returns a path with U+FFFD for what is not valid UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else progress.duration(seconds)


@contextmanager
def _signals(sender: Sender, *, cancel: bool) -> Iterator[None]:
    """Ctrl-C stops or cancels the upload, as the options say. SIGTERM and SIGHUP stop it.

    A terminal that closes sends SIGHUP. Under nohup, which ignores it, the upload continues.
    """

    def handle(number: int, _: object) -> None:
        sender.stop(Stop(cancel=cancel and number == signal.SIGINT))

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    output.guard()
    send()
