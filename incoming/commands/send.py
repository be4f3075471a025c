"""`incoming send` sends a file from a terminal, a script or another server."""

from __future__ import annotations

import json
import os
import shlex
import signal
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from incoming.client import address, progress, ticket_request
from incoming.client.address import BadAddress
from incoming.client.connect import tls_context
from incoming.client.display import Display
from incoming.client.file import FileChanged, FileUnreadable, Source
from incoming.client.loop import Sender, Server
from incoming.client.protocol.events import Ending, Options, Outcome, Stop
from incoming.client.protocol.session import Session
from incoming.client.ticket_request import NoTicket
from incoming.runtime import output

DEFAULT_SERVER: Final = "http://localhost:4000"
EXIT_FAILED: Final = 1
_REPLACED_OPTIONS: Final = ("server", "method")
EXIT_CODES: Final = {
    Ending.FINISHED: 0, Ending.FAILED: EXIT_FAILED, Ending.CANCELLED: EXIT_FAILED,
    Ending.GAVE_UP: 3, Ending.INTERRUPTED: 130,
}  # fmt: skip


@click.command("send", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--ticket", "ticket_id", metavar="ID", help="The ticket that the app got from the server.")
@click.option("--url", metavar="URL", help="An address of the app that returns a ticket, as text or JSON.")
@click.option("--method", type=click.Choice(["GET", "POST"], case_sensitive=False), default="POST",
              metavar="GET|POST", show_default=True, help="The HTTP method for --url.")  # fmt: skip
@click.option("--server", metavar="URL", help="The Incoming!! server: http(s)://host[:port][/prefix]. "
              f"[default: the server in the app's answer, or {DEFAULT_SERVER}]")  # fmt: skip
@click.option("--ca-file", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="Certificates (PEM) to trust in addition to the system's.")  # fmt: skip
@click.option("--max-bytes-per-s", type=click.IntRange(min=1), metavar="N", help="Limit the transfer rate.")
@click.option("--give-up-after", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              help="Give up after this time without progress. [default: never]")  # fmt: skip
@click.option("--cancel-on-interrupt", is_flag=True,
              help="Make Ctrl-C cancel the upload. Without this it can be resumed.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON to stdout.")
def send(file: Path, ticket_id: str | None, url: str | None, **options: Any) -> None:
    """Send FILE with a ticket, and wait until the app has it.

    After a lost connection or a restart of the server, the upload resumes at the last stored byte. If the
    command was killed, run it again to resume. Progress goes to stderr.

    \b
    Exit codes: 0 the app has the file, 1 permanent failure, 2 wrong usage,
    3 gave up (--give-up-after), 130 interrupted. After 3 and 130 the upload can be resumed.
    """
    if (ticket_id is None) == (url is None):
        raise click.UsageError("Give either --ticket or --url.")
    try:
        address.parse(options["server"] or DEFAULT_SERVER)
    except BadAddress as exc:
        raise click.BadParameter(str(exc), param_hint="--server") from exc
    sys.exit(_Command(file, ticket_id, url, options).run())


class _Command:
    """One run of the command."""

    def __init__(self, file: Path, ticket_id: str | None, url: str | None, options: dict[str, Any]) -> None:
        self._file, self._ticket_id, self._url, self._options = file, ticket_id or "", url, options
        self._address = options["server"] or DEFAULT_SERVER
        self._display = Display(sys.stderr, quiet=options["quiet"])

    def run(self) -> int:
        """Returns the exit code."""
        began_s = time.monotonic()
        # Nothing needs a clean end yet, and Python's own handler prints a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            source = Source(self._file)
            context = self._trusted()
            self._get_ticket(context)
            server = Server(address.parse(self._address), context)
        except (NoTicket, FileUnreadable, FileChanged, BadAddress) as exc:
            return self._conclude(Outcome(Ending.FAILED, str(exc)), None, began_s)
        options = Options(self._options["max_bytes_per_s"] or 0, self._options["give_up_after"] or 0.0)
        sender = Sender(source, self._ticket_id, server, options, self._display)
        with _signals(sender, cancel=self._options["cancel_on_interrupt"]):
            outcome = sender.run()
        return self._conclude(outcome, sender.session, began_s)

    def _trusted(self) -> ssl.SSLContext:
        ca_file = self._options["ca_file"]
        try:
            return tls_context(ca_file)
        except OSError as exc:
            raise FileUnreadable(f"{ca_file} holds no certificates.") from exc

    def _get_ticket(self, context: ssl.SSLContext) -> None:
        """Requests a ticket from the app if none was given. Raises NoTicket."""
        if self._url is not None:
            answer = ticket_request.ask(self._url, self._options["method"].upper(), context)
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
            rate = progress.size(length_bytes / max(seconds, 0.001))
            how = f"{progress.size(length_bytes)} in {_duration(seconds)} ({rate}/s)"
            self._display.print(f"{self._file.name}: {how}. {outcome.text}")
        else:
            self._display.print(outcome.text, important=True)
        has_begun = session is not None and (
            session.transfer.stored_bytes or outcome.ending is not Ending.FAILED
        )
        if outcome.resumable and has_begun:
            self._display.print(f"Resume with:  {self._resume_command()}", important=True)
        if self._options["as_json"]:
            click.echo(json.dumps(self._result(outcome, session, seconds)))
        return EXIT_CODES[outcome.ending]

    def _resume_command(self) -> str:
        """Returns the command that resumes the upload: all options, with `--ticket` in place of `--url`."""
        file = str(self._file)
        file = f"./{file}" if file.startswith("-") else file
        words = ["incoming", "send", file, "--ticket", self._ticket_id]
        words += ["--server", self._address] if self._address != DEFAULT_SERVER else []
        for option in click.get_current_context().command.params:
            value = self._options.get(option.name or "")
            if value and option.name not in _REPLACED_OPTIONS:
                words += [option.opts[-1]] if value is True else [option.opts[-1], str(value)]
        return " ".join(shell_word(word, sys.stderr.encoding or "ascii") for word in words)

    def _result(self, outcome: Outcome, session: Session | None, seconds: float) -> dict[str, object]:
        return {
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


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else progress.duration(seconds)


@contextmanager
def _signals(sender: Sender, *, cancel: bool) -> Iterator[None]:
    """Ctrl-C stops or cancels the upload, as the options say. SIGTERM stops it."""

    def handle(number: int, _: object) -> None:
        sender.stop(Stop(cancel=cancel and number == signal.SIGINT))

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    output.guard()
    send()
