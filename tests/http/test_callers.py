"""How an app's call looks: what real clients and their tracing send, and by which name they call."""

from __future__ import annotations

import pytest

from incoming.http.callers import DROPPED, MAX_SHOWN_CHARS, host_name, is_own_host, shown, strange_headers

CLIENTS = {
    "curl": "Host User-Agent Accept Content-Length Content-Type Expect",
    "requests": "Host User-Agent Accept-Encoding Accept Connection Content-Length Cookie Authorization",
    "urllib": "Accept-Encoding Content-Type Content-Length Host User-Agent Connection",
    "undici": "host connection content-type accept accept-language sec-fetch-mode user-agent accept-encoding",
    "Java 11": "Connection Content-Length Host HTTP2-Settings Upgrade User-Agent Content-Type",
    "HttpURLConnection": "User-Agent Host Accept Connection Cache-Control Pragma Content-type Content-Length",
    ".NET with tracing": "Host traceparent tracestate baggage Content-Type Content-Length",
    "older .NET": "Host Request-Id Correlation-Context Request-Context Expect Connection Transfer-Encoding",
    "LWP": "TE Connection Host User-Agent Content-Length Content-Type",
    "URLSession": "Host Accept Content-Type Accept-Encoding User-Agent Accept-Language Priority Connection",
    "Datadog": "x-datadog-trace-id x-datadog-parent-id x-datadog-sampling-priority x-datadog-tags",
    "Zipkin": "X-B3-TraceId X-B3-SpanId X-B3-ParentSpanId X-B3-Sampled X-B3-Flags b3",
    "Jaeger": "uber-trace-id uberctx-user jaeger-debug-id jaeger-baggage",
    "Sentry": "sentry-trace baggage traceparent",
    "New Relic and Elastic": "newrelic X-NewRelic-ID elastic-apm-traceparent",
    "others": "X-INSTANA-T X-Amzn-Trace-Id sw8 Pinpoint-SpanID X-Cloud-Trace-Context X-dynaTrace",
}
PROXIES = ["x-forwarded-for", "x-real-ip", "forwarded", "via", "x-request-id", "cf-ray", "x-anything"]
BROWSER = (
    "Host Connection Sec-CH-UA Sec-CH-UA-Mobile Sec-CH-UA-Platform Upgrade-Insecure-Requests User-Agent "
    "Accept Sec-Fetch-Site Sec-Fetch-Mode Sec-Fetch-User Sec-Fetch-Dest Sec-GPC DNT Accept-Encoding "
    "Accept-Language Referer If-None-Match Cache-Control Pragma Priority Cookie Origin"
)


def environ_of(names: str) -> dict[str, object]:
    return {f"HTTP_{name.upper().replace('-', '_')}": "x" for name in names.split()}


@pytest.mark.parametrize("client", CLIENTS)
def test_what_a_client_and_its_tracing_send_is_not_strange(client: str) -> None:
    assert strange_headers(environ_of(CLIENTS[client])) == []


@pytest.mark.parametrize("header", PROXIES)
def test_a_header_that_http_clients_do_not_send_is_strange(header: str) -> None:
    environ = environ_of(f"{CLIENTS['curl']} {header}")
    assert strange_headers(environ) == [header]
    assert strange_headers(environ, from_browser=True) == [header]


def test_a_browser_is_strange_where_apps_call_and_not_where_people_look() -> None:
    strange = strange_headers(environ_of(BROWSER))
    assert {"origin", "sec-fetch-site", "sec-ch-ua", "referer", "upgrade-insecure-requests"} <= set(strange)
    assert strange_headers(environ_of(BROWSER), from_browser=True) == []


def test_a_header_that_the_server_keeps_from_the_app_is_strange() -> None:
    assert strange_headers({DROPPED: "X_Real_IP A_b"}) == ["a_b", "x_real_ip"]


@pytest.mark.parametrize(
    ("host", "name_and_port"),
    [
        ("LocalHost:4000", ("localhost", "4000")),
        ("localhost", ("localhost", "80")),
        ("[::1]:4000", ("::1", "4000")),
        ("[::1]", ("::1", "80")),
        ("my_service:4000", ("my_service", "4000")),
        ("", ("", "")),
        ("a b", ("", "")),
        ("localhost:", ("", "")),
        ("user@localhost", ("", "")),
        ("l\u00f6calhost", ("", "")),
    ],
)
def test_a_host_is_a_name_or_an_address_and_a_port(host: str, name_and_port: tuple[str, str]) -> None:
    assert host_name(host) == name_and_port


OWN = [
    # the Host, the address and the port that the connection came to
    ("localhost", "127.0.0.1", "4000"),
    ("localhost:4000", "127.0.0.1", "4000"),
    ("localhost:5000", "127.0.0.1", "4000"),  # through a tunnel
    ("ip6-localhost:4000", "::1", "4000"),
    ("127.0.0.1:4000", "127.0.0.1", "4000"),
    ("127.0.1.1", "127.0.1.1", "4000"),
    ("[::1]:4000", "::1", "4000"),
    ("192.0.2.10", "192.0.2.10", "4000"),
    ("192.0.2.10:8000", "192.0.2.10", "4000"),  # a port that a container has outside
    ("192.0.2.10:4000", "172.17.0.2", "4000"),  # an address that a container has outside
    ("192.0.2.10:4000", "", "4000"),  # gunicorn does not tell the address
    ("incoming:4000", "172.17.0.2", "4000"),
    ("my_service:4000", "172.17.0.2", "4000"),
    ("incoming", "172.17.0.2", "80"),
    ("uploads.internal", "10.0.0.1", "4000"),  # which a setting names
    ("uploads.internal:8080", "10.0.0.1", "4000"),
]
NOT_OWN = [
    ("example.org", "127.0.0.1", "4000"),
    ("example.org:4000", "127.0.0.1", "4000"),
    ("localhost.evil.example", "127.0.0.1", "4000"),
    ("x.uploads.internal", "127.0.0.1", "4000"),
    ("203.0.113.5", "127.0.0.1", "4000"),
    ("203.0.113.5:443", "127.0.0.1", "4000"),
    ("[2001:db8::1]", "::1", "4000"),
    ("intranet", "127.0.0.1", "4000"),
    ("intranet:8443", "127.0.0.1", "4000"),
    ("", "127.0.0.1", "80"),
    (":4000", "127.0.0.1", "4000"),
    ("a b:4000", "127.0.0.1", "4000"),
]


@pytest.mark.parametrize(("host", "address", "port"), OWN)
def test_a_host_by_which_an_app_calls_is_the_servers_own(host: str, address: str, port: str) -> None:
    assert is_own_host(host, address, port, ["uploads.internal"])


@pytest.mark.parametrize(("host", "address", "port"), NOT_OWN)
def test_a_host_that_a_proxys_site_has_is_not(host: str, address: str, port: str) -> None:
    assert not is_own_host(host, address, port, ["uploads.internal"])


@pytest.mark.parametrize("text", ["x-real-ip", "\x1b[2J\r\n", "\u202e\xff", "x" * 5000, "'\""])
def test_what_a_stranger_sent_is_shown_short_and_in_printable_ascii(text: str) -> None:
    assert shown(text).isascii() and shown(text).isprintable()
    assert len(shown(text)) <= MAX_SHOWN_CHARS + 3
