"""Names and paths that strangers choose: stored names are ours, logs can't be forged, text stays text."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import requests

from tests.support.app import Reply, ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.client_v2 import ClientV2
from tests.support.data import FileBytes
from tests.support.server import ROOT, RunningServer, call_backend, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until

SCALE: Final = int(os.environ.get("INCOMING_TEST_ATTACKS", "1"))
DATA: Final = FileBytes(2_000, seed=9)
SCRIPT: Final = "<img src=x onerror=window.hacked=1>"
FORGED: Final = "2026-01-31 12:00:00,123 ERROR   upload 00000000: all is lost"
NAMES: Final = (
    *("../../etc/passwd", "..\\..\\windows\\win.ini", "/etc/passwd", "//server/share/x", "C:\\boot.ini"),
    *("..", ".", "...", "", " ", "/", "\\", "../", "a/..", "....//....//x", "..%2f..%2fx", "\uff0e\uff0e/x"),
    *("a\0b.txt", "\0", "a\nb\r\nc", "\x1b[2J\x1b]0;owned\x07", "\x7f\x80\x9b1m", "\b\b\b\b", "tab\there"),
    *("\u202egpj.exe", "\u2066a\u2069", "\u200f\u200e\u061c", "\ufeff", "\u2028\u2029\x85", "e\u0301" * 50),
    *("CON", "NUL", "COM1.txt", "aux", "LPT9.jpg", "/dev/zero", "|ls", "$(touch x)", "`id`", "-rf", "~root"),
    *(SCRIPT, "javascript:alert(1)", "' OR 1=1 --", "{{7*7}}", "%s%n%x", "%(ticket)s", "{0.__class__}"),
    *("a" * 4096, "\U0001f389" * 1024, "../" * 1365 + "x", "\ud800", "a\udfffb", "\ud83c\udf89 \ud83c"),
    *(f"x\n{FORGED}", f"x\r{FORGED}", f"x\u2028{FORGED}", "clock", "clock.tmp", ".tickets", "x\0.json"),
)  # fmt: skip
CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

LINE: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|DEBUG|WARNING|ERROR) +\S")
SAID_AT_THE_START: Final = 6
"""Lines that are no log: where the server listens."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers are; nothing else is in it."""
    return tmp_path_factory.mktemp("names")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RunningServer]:
    """A server that logs all it has."""
    with RunningServer(folder / "storage", log_level="debug", handover_retry_first_s=0.05) as running:
        yield running


@pytest.fixture(scope="module")
def json_server(folder: Path) -> Iterator[RunningServer]:
    """The same, for programs."""
    with RunningServer(folder / "json-storage", log_level="debug", log_format="json") as running:
        yield running


def may_be_joined_to_a_folder(name: str) -> bool:
    """Whether a name is one component, and none that leads anywhere."""
    return bool(name) and name not in (".", "..") and not CONTROLS.search(name) and not set(name) & set("/\\")


# --- what is stored, and what apps hear ------------------------------------------------------------------


def files_below(folder: Path) -> set[str]:
    """Returns the paths of all files."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def send_named(server: RunningServer, ticket_id: str, name: str, version: int) -> None:
    """Uploads under this name, exactly as it is: JSON can say more than UTF-8."""
    kind = ClientV1 if version == 1 else ClientV2
    client: Any = kind(server.url, ticket_id, DATA, "\N{ZERO WIDTH JOINER} no text has this")
    client.name, real_say = name, client.send_message

    def say(msg_type: str, **msg_data: object) -> None:
        client.name = "\N{ZERO WIDTH JOINER} no text has this"
        real_say(msg_type, **msg_data)

    client.send_message = say
    client.upload()


@pytest.mark.parametrize("version", [1, 2])
def test_stored_names_are_ours_and_apps_get_one_component(
    server: RunningServer, folder: Path, app: ScriptedApp, version: int
) -> None:
    before = files_below(folder)
    names = NAMES if SCALE > 1 else NAMES[version % 2 :: 2]
    for name in names:
        ticket_id = new_upload(server, app.url)
        send_named(server, ticket_id, name, version)
        (delivery,) = app.about(ticket_id)
        assert delivery.fields["filename"] == str(server.stored_file(ticket_id))
        assert delivery.sha256 == DATA.sha256
        assert may_be_joined_to_a_folder(delivery.fields["filenameFromBrowser"]), ascii(name)
    journal = {f"storage/journal/{name}" for name in ("log", "clock", "clock.tmp")}
    wait_until(lambda: files_below(folder) - before <= journal, "nothing else was left")
    tally(
        "attack",
        f"names of files, protocol version {version}",
        len(names),
        "stored under the server's own names",
    )


def test_a_name_that_is_too_long_for_a_message_ends_the_connection_and_nothing_else(
    server: RunningServer, app: ScriptedApp
) -> None:
    ticket_id = new_upload(server, app.url)
    client = ClientV2(server.url, ticket_id, DATA, "a" * 70_000).connect()
    request = {"Id": ticket_id, "LengthBytes": 1, "Name": client.name, "Version": 2, "LastModifiedMs": 0}
    client.send_message("MsgUploadReq", **request)
    assert client.receive_close().code == 1009
    ClientV2(server.url, ticket_id, DATA).upload()


# --- the log -----------------------------------------------------------------------------------------------


def raw_request(server: RunningServer, request: bytes) -> None:
    """Sends these bytes, and reads what comes of them."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while connection.recv(65536):
                pass


EVIL: Final = f"\r\n{FORGED}\r\n\x1b[31m\u202e\x00"
EVIL_BYTES: Final = (FORGED + "\x1b[31m\x9b").encode("latin-1")


def say_evil_things(server: RunningServer, app: ScriptedApp) -> int:
    """Says them wherever a stranger, a page or an app can say something; returns in how many places."""
    ids = [new_upload(server, app.url) for _ in range(5)]
    ClientV1(server.url, ids[0], DATA).open().cancel(EVIL)
    ClientV2(server.url, ids[1], DATA, EVIL).open().cancel(EVIL * 20)
    failing = ClientV1(server.url, ids[2], DATA, "x" + EVIL).open()
    failing.send_message("MsgError", ErrorCode=1, Msg=EVIL)
    with contextlib.suppress(Exception):
        failing.receive()
    for other_id in (EVIL, ids[3] + EVIL):
        with contextlib.suppress(UploadEnded):
            ClientV1(server.url, other_id, DATA, EVIL).connect().request()
    strange = ClientV2(server.url, ids[3], DATA).connect()
    strange.send_message(EVIL, **{EVIL: EVIL})
    closing = ClientV2(server.url, ids[3], DATA).open()
    closing.ws.send_frame(0x88, b"\x03\xe8" + EVIL.encode()[:100])
    app.answers = [Reply(418, EVIL.encode(), {"X-Evil": "\x1b[31m", "Location": f"http://x/{quote(EVIL)}"})]
    with contextlib.suppress(UploadEnded):
        ClientV1(server.url, ids[4], DATA, EVIL).upload()
    strange_headers = {"User-Agent": "\x1b[31mEvil", "Referer": FORGED}
    for path in ("/", "/incoming/frontend/upload_ws?", "/incoming/"):
        requests.get(server.url + path + quote(EVIL), headers=strange_headers, timeout=60)
    for name in ("signalFinishURL", "id", "backendSecret", "metadata", "destType", "state"):
        call_backend(server, "new_upload", **{"signalFinishURL": app.url, name: EVIL})
        call_backend(server, "cancel_upload", **{"id": ids[4], name: EVIL})
    for request in (
        b"GET /" + EVIL_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        EVIL_BYTES + b"\r\n\r\n",
        b"GET / " + EVIL_BYTES + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + EVIL_BYTES + b": x\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: " + EVIL_BYTES + b"\r\n\r\n",
        b"POST /incoming/backend/sweep HTTP/1.1\r\nHost: " + EVIL_BYTES + b"\r\nTransfer-Encoding: x\r\n\r\n",
        b"GET /incoming/frontend/upload_ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + EVIL_BYTES + b"\r\n\r\n",
    ):
        raw_request(server, request)
    return 35


def test_nobody_writes_lines_of_his_own_into_the_log(server: RunningServer, app: ScriptedApp) -> None:
    places = say_evil_things(server, app)
    text = server.log_text()
    lines = text.split("\n")[SAID_AT_THE_START:-1]
    assert len(lines) > 50
    for line in lines:
        assert line.isprintable(), ascii(line)
        assert LINE.match(line) or line.startswith("    "), line
        assert not line.startswith(FORGED)
    assert FORGED in text, "it is there, as a part of other lines"
    assert "Traceback" not in text
    tally("attack", "line ends, escapes and right-to-left marks for the log", places, "escaped")


def test_nobody_writes_objects_of_his_own_into_the_log(json_server: RunningServer, app: ScriptedApp) -> None:
    places = say_evil_things(json_server, app)
    lines = json_server.log_text().split("\n")[SAID_AT_THE_START:-1]
    for line in lines:
        assert line.isascii() and line.isprintable(), ascii(line)
        entry = json.loads(line)
        assert entry["logger"].startswith("incoming"), entry
        assert entry.get("ticket", "00000000") != FORGED[40:48]
    tally("attack", "line ends and escapes for the log in JSON", places, "one object per line")


def test_a_terminal_that_lists_uploads_shows_names_as_text(server: RunningServer, app: ScriptedApp) -> None:
    name = "\x1b[2J\u202egpj\x9b.exe" + SCRIPT
    evil = ClientV2(server.url, new_upload(server, app.url), FileBytes(100), name)
    evil.open()
    ClientV1(server.url, new_upload(server, app.url), DATA).open().cancel("\x1b]0;owned\x07\u2066")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("INCOMING_")}
    command = [sys.executable, str(ROOT / "run.py"), "uploads", "--all", "--server", server.url]
    done = subprocess.run(command, capture_output=True, env=environment, check=True, timeout=60)
    shown = done.stdout.decode()
    assert "gpj" in shown and "owned" in shown
    for line in shown.splitlines():
        assert line.isprintable(), ascii(line)
    evil.drop()
    tally("attack", "names with escapes in a terminal", 2, "shown escaped")


# --- what pages and browsers get ---------------------------------------------------------------------------


def test_every_answer_says_what_it_is_and_that_it_is_nothing_else(server: RunningServer) -> None:
    gets = ("", "frontend/incoming.js", "frontend/incoming.mjs", "frontend/upload_ws", "status", "metrics",
            "healthz", "backend/uploads", "backend/uploads?state=" + quote(SCRIPT),
            quote(SCRIPT))  # fmt: skip
    answers = [requests.get(f"{server.url}/incoming/{path}", timeout=60) for path in gets]
    answers += [requests.post(f"{server.url}/incoming/{path}", timeout=60) for path in gets]
    answers += [requests.get(f"{server.url}/{quote('../../' + SCRIPT)}", timeout=60)]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff", answer.url
        kind = answer.headers["Content-Type"]
        assert "html" not in kind or "/status" in answer.url
        assert SCRIPT not in answer.text or kind == "application/json", answer.url
        assert "Server" not in answer.headers, "who wants to know which version this is?"
    status = requests.get(f"{server.url}/incoming/status", timeout=60)
    policy = status.headers["Content-Security-Policy"]
    assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy.split("; "))
    assert "unsafe" not in policy
    assert status.headers["Referrer-Policy"] == "no-referrer"
    assert status.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert status.headers["Cache-Control"] == "no-store"
    tally(
        "attack",
        "answers that a browser could take for something else",
        len(answers),
        "with a media type and nosniff",
    )


PATHS: Final = (
    "../setup.py", "..%2fsetup.py", "%2e%2e/app.py", "..%5capp.py", "incoming.js/../../app.py",
    "incoming.js%00", "incoming.js%00.txt", "/etc/passwd", "%2fetc%2fpasswd", "....//app.py", "incoming.js/",
    "status.html", "incoming.d.ts", ".", "..", "%252e%252e%252fapp.py", "..;/app.py",
)  # fmt: skip


@pytest.mark.parametrize("prefix", ["/incoming/frontend/", "/incoming/0.1/frontend/", "/incoming/", "/"])
def test_no_path_leads_to_another_file(server: RunningServer, prefix: str) -> None:
    for path in PATHS:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", prefix + path)  # as it is: nobody tidies it
        answer = connection.getresponse()
        assert answer.status in (400, 404), path
        assert b"import" not in answer.read()
        connection.close()
    tally("attack", "paths that lead out of the static files", len(PATHS), "404")
