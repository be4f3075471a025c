"""Signs of a proxy in a request."""

from __future__ import annotations

import pytest

from incoming.core.networks import Networks
from incoming.http_uploads.proxy_signs import is_proxied

DIRECT = {"REMOTE_ADDR": "192.0.2.1", "SERVER_PORT": "4000", "HTTP_HOST": "uploads.example.org:4000"}
TRUSTED = Networks(("10.0.0.0/8",))

SIGNS: dict[str, dict[str, str]] = {
    "Via": {"HTTP_VIA": "1.1 varnish"},
    "Forwarded": {"HTTP_FORWARDED": "for=192.0.2.1"},
    "X-Forwarded-For": {"HTTP_X_FORWARDED_FOR": "192.0.2.1"},
    "X-Forwarded-Proto": {"HTTP_X_FORWARDED_PROTO": "https"},
    "X-Real-IP": {"HTTP_X_REAL_IP": "192.0.2.1"},
    "Cloudflare": {"HTTP_CF_RAY": "1"},
    "a trusted proxy": {"REMOTE_ADDR": "10.1.2.3"},
    "a trusted proxy over IPv6": {"REMOTE_ADDR": "::ffff:10.1.2.3"},
    "a socket file": {"REMOTE_ADDR": ""},
    "another port": {"HTTP_HOST": "uploads.example.org:8080"},
    "no port": {"HTTP_HOST": "uploads.example.org"},
    "no host": {"HTTP_HOST": ""},
}
NO_SIGNS: dict[str, dict[str, str]] = {
    "nothing": {},
    "an IPv6 address": {"HTTP_HOST": "[2001:db8::1]:4000", "REMOTE_ADDR": "2001:db8::2"},
    "the port of HTTP": {"HTTP_HOST": "uploads.example.org", "SERVER_PORT": "80"},
    "an IPv6 address without a port": {"HTTP_HOST": "[2001:db8::1]", "SERVER_PORT": "80"},
    "other headers": {"HTTP_X_REQUESTED_WITH": "XMLHttpRequest", "HTTP_ORIGIN": "http://app.example.org"},
}


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS.keys())
def test_a_proxy_is_seen_by_what_it_adds(sign: dict[str, str]) -> None:
    assert is_proxied({**DIRECT, **sign}, TRUSTED)


@pytest.mark.parametrize("environ", NO_SIGNS.values(), ids=NO_SIGNS.keys())
def test_a_client_with_unusual_headers_is_not_taken_for_a_proxy(environ: dict[str, str]) -> None:
    assert not is_proxied({**DIRECT, **environ}, TRUSTED)
