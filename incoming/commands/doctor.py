"""`incoming doctor`: is this machine ready for the server? With a URL: what do proxies do to uploads?"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

import click

from incoming.client.address import BadAddress, parse
from incoming.commands import machine_checks
from incoming.commands.machine_findings import MachineFinding
from incoming.commands.option_types import FILLED
from incoming.commands.proxy_checks import Doctor
from incoming.commands.proxy_findings import SHIPPED, Finding, Grade, Topic, Unreachable
from incoming.commands.setting_options import config_option, settings
from incoming.core.errors import BadSetting
from incoming.handover.tls_trust import context as trusted_context
from incoming.protocol.rules import PROBE_MAX_HOLD_S

CHANGE_EXIT_CODE: Final = 3
HOLD_S: Final = 30
"""More than http_hold_s, after which the server answers the request that completes an upload."""
COLORS: Final = {Grade.OK: "green", Grade.NOTE: "yellow", Grade.CHANGE: "red"}
TOPIC_CHARS: Final = max(len(topic) for topic in Topic)
INDENT: Final = len("  CHANGE  ") + TOPIC_CHARS + len("  ")
MAX_WIDTH: Final = 110
WAY_VERDICTS: Final = ("Uploads work well on this path.", f" {SHIPPED}")
MACHINE_VERDICTS: Final = ("This machine is ready for the server.", "")


@click.command()
@click.argument("url", required=False, type=FILLED)
@click.option(
    "--hold", "hold_s", type=click.IntRange(0, PROBE_MAX_HOLD_S), default=HOLD_S, show_default=True,
    help="How many seconds the server delays an answer, to find timeouts. 0 skips this check.",
)  # fmt: skip
@click.option(
    "--ca-file", type=FILLED, metavar="FILE", help="Certificates (PEM) to trust besides those of the system."
)
@click.option("--insecure", is_flag=True, help="Accept any certificate.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each finding.")
@config_option
def doctor(  # noqa: PLR0913, PLR0917 - one for each option
    url: str | None, hold_s: int, ca_file: str | None, insecure: bool, as_json: bool, config_file: str | None
) -> None:
    """Find out what is wrong with this machine, or with the path to the server, and what to change.

    Without URL it examines the machine that the server runs on: settings, permissions, file system, free
    space, limits, clock, Redis and S3. It finds the settings as the server does, and asks the server if it
    runs.

    URL is the address that browsers use: https://example.org, with the path of the uploads, if any. Then it
    examines what proxies do to uploads. It needs no ticket.

    It changes nothing. The exit code is 0 if all is well, 3 if something has to change, and 1 if it can't
    tell, since no Incoming!! server answers or a setting is not valid.
    """
    findings: Sequence[Finding | MachineFinding]
    try:
        if url is None:
            in_force = settings(config_file, {})
            file = "" if config_file in (None, os.devnull) else str(config_file)
            findings = machine_checks.examine(in_force, file, os.environ)
            head, verdicts = "This machine", MACHINE_VERDICTS
        else:
            address = parse(url if "://" in url else f"https://{url}")
            findings = Doctor(address, _context(ca_file, insecure), hold_s).examine()
            head, verdicts = f"The path to {address}", WAY_VERDICTS
    except (BadAddress, BadSetting, Unreachable) as exc:
        sys.exit(str(exc))
    lines = _json_lines(findings) if as_json else report(head, findings, verdicts, _width())
    for line in lines:
        click.echo(line)
    if any(finding.grade is Grade.CHANGE for finding in findings):
        sys.exit(CHANGE_EXIT_CODE)


def _context(ca_file: str | None, insecure: bool) -> ssl.SSLContext:
    """Returns how certificates are checked. Raises BadSetting."""
    context = trusted_context(ca_file or "")
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _width() -> int:
    return min(shutil.get_terminal_size().columns, MAX_WIDTH)


def _json_lines(findings: Sequence[Finding | MachineFinding]) -> Iterator[str]:
    for one in findings:
        fields = {"topic": one.topic, "grade": one.grade.lower(), "sentence": one.sentence}
        change = {proxy: "\n".join(pieces) for proxy, pieces in one.remedies.items()}
        yield json.dumps({**fields, "change": change})


def report(
    head: str, findings: Sequence[Finding | MachineFinding], verdicts: tuple[str, str], width: int
) -> Iterator[str]:
    """Yields the lines for people: each finding, and below it what to change. `width` is in characters.

    `verdicts`: the last line if all is well, and what follows the number of changes if not. Lines to change
    are never broken, so that they can be copied.
    """
    yield head
    yield ""
    for one in findings:
        grade = click.style(f"{one.grade:<6}", fg=COLORS[one.grade], bold=one.grade is Grade.CHANGE)
        first, *more = textwrap.wrap(one.sentence, max(width - INDENT, 30))
        yield f"  {grade}  {one.topic:<{TOPIC_CHARS}}  {first}"
        for line in more:
            yield f"{'':{INDENT}}{line}"
        for proxy, pieces in one.remedies.items():
            name = f"{proxy}:"
            for line in "\n".join(pieces).split("\n"):
                yield f"{'':{INDENT}}{name:<8} {line}"
                name = ""
    yield ""
    count = sum(finding.grade is Grade.CHANGE for finding in findings)
    if count:
        things = "One thing has" if count == 1 else f"{count} things have"
        yield f"{things} to change.{verdicts[1]}"
    else:
        yield verdicts[0]
