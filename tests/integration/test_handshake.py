"""The WebSocket handshake (docs/reference/protocol.md, RFC 6455 section 4)."""

from __future__ import annotations

import pytest
import requests

from tests.integration.conftest import NewClient
from tests.support.server import RunningServer
from tests.support.upload_client import PATH
from tests.support.websocket import HandshakeRefused, WebSocket


def test_a_client_connects_under_both_prefixes(server: RunningServer) -> None:
    for path in (PATH, "/incoming/0.1/frontend/upload_ws"):
        ws = WebSocket(server.url + path)
        assert ws.close()[0] == 1000


def test_a_request_without_an_upgrade_gets_426_and_is_told_what_to_upgrade_to(server: RunningServer) -> None:
    answer = requests.get(server.url + PATH, timeout=60)
    assert answer.status_code == 426
    assert answer.headers["Upgrade"].lower() == "websocket"  # RFC 9110 section 15.5.22
    assert "WebSocket" in answer.text


def test_a_program_gets_the_426_as_json(server: RunningServer) -> None:
    answer = requests.get(server.url + PATH, headers={"Accept": "application/json"}, timeout=60)
    assert answer.status_code == 426
    assert set(answer.json()["error"]) == {"code", "message"}


def test_no_extension_is_agreed_though_one_is_offered(new_client: NewClient) -> None:
    client = new_client()
    client.connect({"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"})
    assert "sec-websocket-extensions" not in client.ws.headers
    client.request()
    client.agree()
    client.send_until_acked()
    client.receive_result()


@pytest.mark.parametrize("origin", ["http://app.example.org", "https://app.example.org:8443", "null"])
def test_a_page_of_any_origin_may_upload(new_client: NewClient, origin: str) -> None:
    client = new_client()
    client.connect({"Origin": origin}).request()


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Sec-WebSocket-Version": "8"}, "426", "upgrade_required"),
        ({"Sec-WebSocket-Version": ""}, "426", "upgrade_required"),
        ({"Sec-WebSocket-Version": "thirteen"}, "426", "upgrade_required"),
        ({"Sec-WebSocket-Key": ""}, "400", "bad_request"),
        ({"Sec-WebSocket-Key": "not base64!"}, "400", "bad_request"),
        ({"Sec-WebSocket-Key": "c2hvcnQ="}, "400", "bad_request"),
    ],
    ids=["old version", "no version", "bad version", "no key", "bad key", "short key"],
)
def test_a_bad_handshake_is_refused_with_a_code_and_no_traceback(
    server: RunningServer, headers: dict[str, str], status: str, code: str
) -> None:
    with pytest.raises(HandshakeRefused) as refused:
        WebSocket(server.url + PATH, headers)
    status_line, _, fields = refused.value.head.partition("\r\n")
    assert status_line.split()[1] == status
    assert f"incoming-error: {code}\r\n" in f"{fields}\r\n".lower()
    assert "Traceback" not in server.log_text()


def test_a_client_of_another_version_is_told_the_right_one(server: RunningServer) -> None:
    with pytest.raises(HandshakeRefused) as refused:
        WebSocket(server.url + PATH, {"Sec-WebSocket-Version": "8"})
    assert "sec-websocket-version: 13" in refused.value.head.lower()  # RFC 6455 section 4.4
