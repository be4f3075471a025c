"""Behind a Unix socket nobody has an address: a proxy and an app look the same, so both need the token."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support.hosts import GunicornServer, HostedServer, UwsgiServer

TOKEN = "t0ken"
NEW_UPLOAD = "POST /incoming/backend/new_upload?signalFinishURL=http://localhost:1/x"


def asked(path: Path, request: str, *headers: str) -> str:
    """Returns the whole answer to a request over a Unix socket."""
    always = ("Host: localhost", "Connection: close", "Content-Length: 0")
    lines = (f"{request} HTTP/1.1", *always, *headers, "", "")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(str(path))
        sock.sendall("\r\n".join(lines).encode())
        answer = b""
        while more := sock.recv(4096):
            answer += more
    return answer.decode()


@pytest.mark.parametrize(
    ("kind", "option", "prefix"), [(GunicornServer, "--bind", "unix:"), (UwsgiServer, "--http-socket", "")]
)
@pytest.mark.parametrize("allowed", ["", "0.0.0.0/0"])
def test_over_a_unix_socket_an_app_needs_the_token_and_is_told_so(
    tmp_path: Path, kind: type[HostedServer], option: str, prefix: str, allowed: str
) -> None:
    path = tmp_path / "socket"
    settings = {"backend_token": TOKEN, "allowed_backends": allowed}
    with kind(tmp_path / "storage", option, f"{prefix}{path}", **settings):
        refused = asked(path, NEW_UPLOAD)
        assert " 403 " in refused
        assert "it used a Unix socket" in refused
        assert "Set backend_token, and send it as 'Authorization: Bearer TOKEN'" in refused
        assert " 403 " in asked(path, NEW_UPLOAD, "Remote-Addr: 127.0.0.1")
        assert " 200 " in asked(path, NEW_UPLOAD, f"Authorization: Bearer {TOKEN}")
