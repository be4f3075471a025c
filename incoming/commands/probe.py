"""`incoming probe URL`: can strangers use the backend routes through a proxy?

The server can't distinguish a proxy that adds no header, and calls the server by its own name, from an app on
the same machine. So this command tries it from outside, at the address that browsers use.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

import click
import requests

from incoming.client.address import is_http
from incoming.client.request_failure import why
from incoming.commands.option_types import FILLED
from incoming.core.errors import BadParameter, NotAllowed
from incoming.runtime.logs import printable

TIMEOUT_S: Final = 30.0
ROUTES: Final = ("backend/finish_upload", "0.1/backend/finish_upload")
"""Without an id, they do nothing and respond with an error."""
OPEN_EXIT_CODE: Final = 3


OPEN: Final = (
    "OPEN: strangers can use the backend routes there and make this server call any URL. Let the proxy "
    "forward /incoming/frontend/ only, as deploy/nginx.conf does."
)
BY_THE_SERVER: Final = (
    "Closed, but by the server and not by the proxy. Let the proxy forward /incoming/frontend/ only: then "
    "a change of the headers that it adds opens nothing."
)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a probe, for people."""

    is_open: bool
    sentence: str


def judge(status: int, code: str) -> Finding:
    """Returns what the response to a call without an id means: its status, and our error code if any."""
    if code == BadParameter.code:
        return Finding(True, OPEN)
    if code == NotAllowed.code:
        return Finding(False, BY_THE_SERVER)
    return Finding(False, f"Closed: the answer is HTTP {status}, and not from the backend routes.")


@click.command()
@click.argument("url", type=FILLED)
@click.option("--insecure", is_flag=True, help="Accept any certificate.")
def probe(url: str, insecure: bool) -> None:
    """Find out whether strangers can use the backend routes through a proxy.

    URL is the address that browsers use: https://example.org, with the path of the uploads, if any. Run this
    on another machine than the server, or on the server with the public address. It changes nothing. The
    exit code is 0 if the routes are closed, 3 if they are open, and 1 without a response.
    """
    base = (url if "://" in url else f"https://{url}").rstrip("/")
    if not is_http(base):
        raise click.BadParameter(f"{base} is not an http address.", param_hint="URL")
    findings = []
    with requests.Session() as session:
        session.trust_env = False  # ignore the proxy of this shell and the passwords in ~/.netrc
        for route in ROUTES:
            try:
                answer = session.post(
                    f"{base}/incoming/{route}",
                    headers={"Accept": "application/json"},
                    timeout=TIMEOUT_S,
                    verify=not insecure,
                    allow_redirects=False,
                )
            except requests.RequestException as exc:
                sys.exit(f"{base} does not answer: {why(exc)}.")
            if answer.is_redirect:
                sys.exit(f"{base} redirects to {printable(answer.headers['Location'])}: probe that address.")
            findings.append(judge(answer.status_code, _code(answer)))
    worst = max(findings, key=lambda finding: finding.is_open)
    click.echo(worst.sentence)
    if worst.is_open:
        sys.exit(OPEN_EXIT_CODE)


def _code(answer: requests.Response) -> str:
    """Returns the code of an error of ours; empty for any other answer."""
    try:
        error = answer.json()["error"]
        return str(error["code"])
    except (ValueError, KeyError, TypeError):
        return ""
