"""`incoming doctor URL`: what do the proxies on the way to the server do to uploads?"""

from __future__ import annotations

import json
import shutil
import ssl
import sys
import textwrap
from collections.abc import Iterator
from typing import Final

import click

from incoming.client.address import Address, BadAddress, parse
from incoming.commands.proxy_checks import Doctor
from incoming.commands.proxy_findings import SHIPPED, Finding, Grade, Topic, Unreachable
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


@click.command()
@click.argument("url")
@click.option(
    "--hold", "hold_s", type=click.IntRange(0, PROBE_MAX_HOLD_S), default=HOLD_S, show_default=True,
    help="Seconds for which the server holds an answer, to find timeouts. 0 leaves that out.",
)  # fmt: skip
@click.option("--ca-file", help="Certificates (PEM) to trust besides those of the system.")
@click.option("--insecure", is_flag=True, help="Accept any certificate.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each finding.")
def doctor(url: str, hold_s: int, ca_file: str | None, insecure: bool, as_json: bool) -> None:
    """Find out what proxies do to uploads, and which line to change.

    URL is the address that browsers use: https://example.org, with the path of the uploads, if any. It needs
    no ticket and changes nothing. The exit code is 0 if uploads work well, 3 if something has to change, and
    1 if no Incoming!! server answers.
    """
    try:
        address = parse(url if "://" in url else f"https://{url}")
        findings = Doctor(address, _context(ca_file, insecure), hold_s).examine()
    except (BadAddress, BadSetting, Unreachable) as exc:
        sys.exit(str(exc))
    lines = _json_lines(findings) if as_json else report(address, findings, _width())
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


def _json_lines(findings: list[Finding]) -> Iterator[str]:
    for one in findings:
        fields = {"topic": one.topic, "grade": one.grade.lower(), "sentence": one.sentence}
        yield json.dumps({**fields, "change": one.remedies})


def report(address: Address, findings: list[Finding], width: int) -> Iterator[str]:
    """Yields the lines for people: each finding, and below it what to change. `width` is in characters.

    Lines to change are never broken, so that they can be copied.
    """
    yield f"The way to {address}"
    yield ""
    for one in findings:
        grade = click.style(f"{one.grade:<6}", fg=COLORS[one.grade], bold=one.grade is Grade.CHANGE)
        first, *more = textwrap.wrap(one.sentence, max(width - INDENT, 30))
        yield f"  {grade}  {one.topic:<{TOPIC_CHARS}}  {first}"
        for line in more:
            yield f"{'':{INDENT}}{line}"
        for proxy, line in one.remedies.items():
            yield f"{'':{INDENT}}{proxy + ':':<8} {line}"
    yield ""
    count = sum(finding.grade is Grade.CHANGE for finding in findings)
    if count:
        things = "One thing has" if count == 1 else f"{count} things have"
        yield f"{things} to change. {SHIPPED}"
    else:
        yield "Uploads work well on this way."
