"""The opening handshake as data (RFC 6455 sections 1.3 and 4.2)."""

from __future__ import annotations

import pytest

from incoming.core.errors import BadRequest, UpgradeRequired
from incoming.wire import handshake

GOOD = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_the_answer_is_the_one_of_the_rfc() -> None:
    lines = handshake.answer(GOOD).split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines  # section 1.3
    assert lines[-2:] == [b"", b""]


@pytest.mark.parametrize(
    "headers",
    [{}, {"HTTP_CONNECTION": "keep-alive, Upgrade"}, {"HTTP_UPGRADE": "WebSocket"}],
    ids=["as browsers write it", "Firefox", "another case"],
)
def test_a_valid_handshake_is_accepted(headers: dict[str, str]) -> None:
    assert handshake.refusal({**GOOD, **headers}) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"REQUEST_METHOD": "POST"},
        {"HTTP_UPGRADE": ""},
        {"HTTP_UPGRADE": "h2c"},
        {"HTTP_CONNECTION": "close"},
        {"HTTP_SEC_WEBSOCKET_VERSION": "8"},
        {"HTTP_SEC_WEBSOCKET_VERSION": ""},
    ],
)
def test_a_request_without_a_valid_upgrade_is_answered_with_what_is_missing(headers: dict[str, str]) -> None:
    assert isinstance(handshake.refusal({**GOOD, **headers}), UpgradeRequired)


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_SEC_WEBSOCKET_KEY": ""},
        {"HTTP_SEC_WEBSOCKET_KEY": "not base64!"},
        {"HTTP_SEC_WEBSOCKET_KEY": "c2hvcnQ="},
        {"HTTP_SEC_WEBSOCKET_KEY": "ä"},
    ],
)
def test_a_broken_handshake_is_a_bad_request(headers: dict[str, str]) -> None:
    assert isinstance(handshake.refusal({**GOOD, **headers}), BadRequest)


@pytest.mark.parametrize(
    ("headers", "what"),
    [
        (
            {"HTTP_UPGRADE": "", "HTTP_CONNECTION": "close", "SERVER_PROTOCOL": "HTTP/1.0"},
            "it drops Upgrade, drops Connection, speaks HTTP/1.0.",
        ),
        ({"HTTP_UPGRADE": ""}, "it drops Upgrade."),
        ({"HTTP_CONNECTION": "close"}, "it drops Connection."),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, "it speaks HTTP/1.0."),
    ],
)
def test_a_handshake_that_a_proxy_broke_is_answered_with_the_remedy(
    headers: dict[str, str], what: str
) -> None:
    refusal = handshake.refusal({**GOOD, **headers})
    assert isinstance(refusal, UpgradeRequired)
    assert str(refusal) == handshake.proxy_fault({**GOOD, **headers})
    assert what in str(refusal)
    for line in ("proxy_http_version 1.1;", "Upgrade $http_upgrade;", 'Connection "upgrade";'):
        assert line in str(refusal)


@pytest.mark.parametrize(
    "headers",
    [{}, {"HTTP_UPGRADE": "", "HTTP_SEC_WEBSOCKET_KEY": ""}, {"REQUEST_METHOD": "POST", "HTTP_UPGRADE": ""}],
    ids=["a good one", "a person's look at the address", "a POST"],
)
def test_a_proxy_is_not_blamed_for_other_faults(headers: dict[str, str]) -> None:
    assert handshake.proxy_fault({**GOOD, **headers}) == ""
