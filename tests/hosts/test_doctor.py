"""`incoming doctor` behind a real nginx: as deploy/nginx.conf says, and with one thing wrong at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from incoming.commands.proxy_findings import Topic
from tests.support.doctor import changes, examine, run_doctor
from tests.support.hosts import GunicornServer, HostedServer, UwsgiServer
from tests.support.nginx import Nginx, PlainNginx
from tests.support.server import RunningServer


def test_the_shipped_file_needs_no_change(server: RunningServer, tmp_path: Path) -> None:
    with Nginx(tmp_path / "nginx", server.port) as front:
        code, found = examine(front.url, "--hold", "3", "--ca-file", str(front.folder / "cert.pem"))
        assert (code, changes(found)) == (0, set()), found
        assert "Closed: the answer is HTTP 404" in found[Topic.BACKEND]["sentence"]
        assert found[Topic.TLS]["sentence"].startswith("TLSv1.")
        assert "treats it as the final answer" in found[Topic.INTERIM]["sentence"]
        assert found[Topic.TRAILERS]["grade"] == "note"  # nginx passes none on
        untrusted = run_doctor(front.url, "--hold", "0")
        assert (untrusted.returncode, "is not trusted" in untrusted.stderr) == (1, True), untrusted
        redirect = run_doctor(f"http://localhost:{front.plain_port}")
        assert (redirect.returncode, "redirects to https://localhost/" in redirect.stderr) == (1, True)


ALL_WRONG: Final = {
    Topic.WEBSOCKET, Topic.VERSION, Topic.BUFFERING, Topic.CHUNKED, Topic.BODY_LIMIT, Topic.TIMEOUT,
}  # fmt: skip


def test_nginx_without_any_of_the_lines_gets_all_of_them_named(server: RunningServer, tmp_path: Path) -> None:
    lines = "client_max_body_size 1m; proxy_read_timeout 3s;"
    with PlainNginx(tmp_path / "nginx", server.port, lines) as front:
        code, found = examine(f"http://127.0.0.1:{front.port}", "--hold", "8")
    assert (code, changes(found)) == (3, ALL_WRONG), found
    assert "A body of 1 MiB passes. One of 2 MiB is refused: HTTP 413" in found[Topic.BODY_LIMIT]["sentence"]
    assert "does not arrive: HTTP 504 after" in found[Topic.TIMEOUT]["sentence"]
    assert "HTTP 400" in found[Topic.HEADERS]["sentence"]
    assert found[Topic.BUFFERING]["change"]["nginx"].startswith("proxy_request_buffering off;")


BUFFERS_AND_DROPS: Final = {
    r"proxy_request_buffering off;": "",
    r"proxy_set_header Upgrade \$http_upgrade;": "",
}
LIMITS: Final = {
    r"client_max_body_size 0;": "client_max_body_size 10m;",
    r"proxy_read_timeout 2m;": "proxy_read_timeout 3s;",
    r"proxy_pass http://incoming;": "limit_except GET POST PUT { deny all; } proxy_pass http://incoming;",
}


@pytest.mark.parametrize(
    ("edits", "wrong"),
    [
        (BUFFERS_AND_DROPS, {Topic.BUFFERING, Topic.CHUNKED, Topic.WEBSOCKET}),
        (LIMITS, {Topic.BODY_LIMIT, Topic.TIMEOUT, Topic.METHODS}),
    ],
    ids=["buffering, no Upgrade", "body size, timeout, methods"],
)
def test_only_the_lines_that_are_wrong_have_to_change(
    server: RunningServer, tmp_path: Path, edits: dict[str, str], wrong: set[str]
) -> None:
    front = Nginx(tmp_path / "nginx", server.port)
    for pattern, text in edits.items():
        front.change(pattern, text)
    hold = "8" if Topic.TIMEOUT in wrong else "0"
    with front:
        code, found = examine(front.url, "--hold", hold, "--insecure")
    assert (code, changes(found)) == (3, wrong), found


def test_a_proxy_whose_server_is_down_is_reported_with_its_status(
    server: RunningServer, tmp_path: Path
) -> None:
    with Nginx(tmp_path / "nginx", 1) as front:
        done = run_doctor(front.url, "--insecure")
    assert (done.returncode, "HTTP 502" in done.stderr, done.stdout) == (1, True, ""), done


@pytest.mark.parametrize("kind", [GunicornServer, UwsgiServer], ids=["gunicorn", "uWSGI"])
def test_each_web_server_behind_the_shipped_file_needs_no_change(
    tmp_path: Path, kind: type[HostedServer]
) -> None:
    with kind(tmp_path / "storage") as host, Nginx(tmp_path / "nginx", host.port) as front:
        code, found = examine(front.url, "--hold", "1", "--insecure")
    assert (code, changes(found)) == (0, set()), found
