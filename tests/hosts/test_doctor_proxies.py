"""`incoming doctor` behind a real HAProxy and a real Apache: as their pages say, and with lines that do harm.

What it says for the proxy, pasted into the configuration, mends it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from incoming.commands.proxy_findings import REMEDIES, Topic
from tests.clients.conftest import matrix
from tests.support.apache import Apache, BareApache
from tests.support.doctor import changes, examine
from tests.support.haproxy import BareHaproxy, Haproxy
from tests.support.proxy import app_without_routes
from tests.support.server import RunningServer

Bare = BareHaproxy | BareApache
PROXIES: Final[dict[str, type[Bare]]] = {"HAProxy": BareHaproxy, "Apache": BareApache}
HOLD_S: Final = 4
BOTH_CHANGE: Final = {Topic.WEBSOCKET, Topic.METHODS, Topic.BUFFERING, Topic.CHUNKED, Topic.TIMEOUT}
ALL_CHANGE: Final = {  # HAProxy with a large buffer neither sees the length nor a pause of a body
    "HAProxy": BOTH_CHANGE, "Apache": {*BOTH_CHANGE, Topic.BODY_LIMIT, Topic.SLOW_BODY},
}  # fmt: skip
WRONG: Final[dict[str, dict[str, tuple[set[Topic], tuple[str, ...]]]]] = {
    "HAProxy": {
        "no Upgrade": ({Topic.WEBSOCKET}, ("http-request del-header Upgrade  # in the frontend",)),
        "methods": ({Topic.METHODS}, ("http-request deny unless METH_GET or METH_POST  # in the frontend",)),
        "bodies wait in a large buffer": (
            {Topic.BUFFERING, Topic.CHUNKED},
            ("global\n    tune.bufsize 1048576", "option http-buffer-request  # in the frontend"),
        ),
        "bodies wait for their end": (
            {Topic.BUFFERING, Topic.CHUNKED},
            ("global\n    tune.bufsize 1048576", "http-request wait-for-body time 20s  # in the backend"),
        ),
        "body size": (
            {Topic.BODY_LIMIT},
            ("http-request deny deny_status 413 if { req.body_size gt 1048576 }  # in the backend",),
        ),
        "length in a header, of 32 bits": (
            {Topic.BODY_LIMIT},
            ("http-request deny if { req.hdr_val(content-length) gt 1048576 }  # in the frontend",),
        ),
        "timeout server": ({Topic.TIMEOUT, Topic.SLOW_BODY}, ("timeout server 1500ms  # in the backend",)),
    },
    "Apache": {
        "no upgrade": ({Topic.WEBSOCKET}, ()),
        "AllowMethods": ({Topic.METHODS}, ("<Location />\n    AllowMethods GET POST\n</Location>",)),
        "LimitExcept": (
            {Topic.METHODS},
            (
                "<Location />\n    <LimitExcept GET POST>\n        Require all denied\n"
                "    </LimitExcept>\n</Location>",
            ),
        ),
        "mod_buffer": ({Topic.BUFFERING, Topic.CHUNKED}, ("SetInputFilter BUFFER",)),
        "mod_security": (
            {Topic.BUFFERING, Topic.CHUNKED, Topic.BODY_LIMIT},
            ("SecRuleEngine On", "SecRequestBodyAccess On", "SecRequestBodyLimit 1048576"),
        ),
        "proxy-sendcl": ({Topic.CHUNKED}, ("SetEnv proxy-sendcl 1",)),
        "HTTP/1.0": ({Topic.VERSION, Topic.CHUNKED, Topic.WEBSOCKET}, ("SetEnv force-proxy-request-1.0 1",)),
        "ProxyTimeout": ({Topic.TIMEOUT, Topic.WEBSOCKET}, ("ProxyTimeout 2",)),
        "RequestReadTimeout": ({Topic.SLOW_BODY}, ("RequestReadTimeout body=3",)),
    },
}  # fmt: skip
ALL_WRONG: Final = {
    "HAProxy": ("no Upgrade", "methods", "bodies wait in a large buffer", "timeout server"),
    "Apache": (
        *("AllowMethods", "mod_buffer", "mod_security", "proxy-sendcl", "ProxyTimeout"),
        "RequestReadTimeout",
    ),
}


def examined(front: Bare, hold_s: int = HOLD_S) -> dict[str, dict[str, Any]]:
    """Runs the proxy, and returns what the doctor finds."""
    with front:
        return examine(f"http://localhost:{front.port}", "--hold", str(hold_s))[1]


def mend(front: Bare, name: str, topics: Iterable[str]) -> None:
    """Pastes what the doctor says about these topics, each piece once."""
    pieces = (piece for topic in topics for piece in REMEDIES[Topic(topic)].get(name, ()))
    front.paste(*dict.fromkeys(pieces))


@pytest.mark.parametrize(
    ("kind", "trailers"),
    [(Haproxy, "ok"), (Apache, "note")],
    ids=["HAProxy", "Apache"],
)
def test_the_configuration_of_the_page_needs_no_change(
    server: RunningServer, tmp_path: Path, kind: type[Haproxy | Apache], trailers: str
) -> None:
    with app_without_routes() as app_port, kind(tmp_path / "proxy", server.port, app_port) as front:
        certificate = str(front.folder / "cert.pem")
        code, found = examine(front.url, "--hold", "2", "--ca-file", certificate)
    assert (code, changes(found)) == (0, set()), found
    assert found[Topic.BACKEND]["sentence"].endswith("and not from the backend routes.")
    assert found[Topic.INTERIM]["sentence"] == "103 and 104: passed on."
    assert (found[Topic.HEADERS]["grade"], found[Topic.TRAILERS]["grade"]) == ("ok", trailers)


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_with_everything_wrong_is_mended_by_what_is_said(
    server: RunningServer, tmp_path: Path, name: str
) -> None:
    front = PROXIES[name](tmp_path / "proxy", server.port)
    for which in ALL_WRONG[name]:
        front.paste(*WRONG[name][which][1])
    found = examined(front)
    assert changes(found) == ALL_CHANGE[name], found
    assert all(found[topic]["change"][name] for topic in ALL_CHANGE[name])
    mend(front, name, [*ALL_CHANGE[name], Topic.HEADERS])
    found = examined(front)
    assert changes(found) == set(), found
    assert found[Topic.HEADERS]["grade"] == "ok"


@matrix
@pytest.mark.parametrize(
    ("name", "which"), [(name, which) for name, wrong in WRONG.items() for which in wrong]
)
def test_each_mistake_alone_is_found_and_mended(
    server: RunningServer, tmp_path: Path, name: str, which: str
) -> None:
    front = PROXIES[name](tmp_path / "proxy", server.port)
    topics, lines = WRONG[name][which]
    if Topic.WEBSOCKET not in topics:
        mend(front, name, [Topic.WEBSOCKET])
    front.paste(*lines)
    found = examined(front)
    assert changes(found) == topics, found
    mend(front, name, topics)
    found = examined(front)
    assert changes(found) == set(), found


@matrix
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("HAProxy", ("http-response wait-for-body time 20s  # in the backend",)),
        ("Apache", ("SecRuleEngine On", "SecResponseBodyAccess On", "SecResponseBodyMimeType text/plain")),
    ],
    ids=PROXIES,
)
def test_an_answer_that_waits_for_its_end_is_mended(
    server: RunningServer, tmp_path: Path, name: str, lines: tuple[str, ...]
) -> None:
    front = PROXIES[name](tmp_path / "proxy", server.port)
    front.paste(*lines)
    assert examined(front, 0)[Topic.RESPONSES]["grade"] == "note"
    mend(front, name, [Topic.RESPONSES])
    assert examined(front, 0)[Topic.RESPONSES]["grade"] == "ok"


@matrix
@pytest.mark.parametrize(
    ("name", "lines"), [("HAProxy", ()), ("Apache", ("ProxyAddHeaders Off",))], ids=PROXIES
)
def test_open_backend_routes_are_closed_by_what_is_said(
    server: RunningServer, tmp_path: Path, name: str, lines: tuple[str, ...]
) -> None:
    """On this machine they are open to all, so the doctor only notes it."""
    front = PROXIES[name](tmp_path / "proxy", server.port)
    if name == "HAProxy":
        front.paste("http-request set-header Host 127.0.0.1  # in the backend")
    front.paste(*lines)
    assert examined(front, 0)[Topic.BACKEND]["sentence"].startswith("Open to this machine")
    mend(front, name, [Topic.BACKEND])
    found = examined(front, 0)
    assert found[Topic.BACKEND]["sentence"].startswith("Closed: the answer is HTTP 40"), found
    assert changes(found) <= {Topic.WEBSOCKET}
