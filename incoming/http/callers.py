"""How to recognise the call of an app: by the headers that HTTP clients send by default, and by its Host.

A list of headers that reveal a proxy is never complete, because each proxy adds what its operator likes. So
this module lists what HTTP clients and their tracing send with a plain request. A request with any other
header came through a proxy or from a page. An app that needs another header sends the token.

Not listed, although some apps send them: X-Request-Id and X-Correlation-Id, which proxies add by default;
Referer and X-Requested-With, which pages send.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from incoming.core.networks import address

CLIENT_HEADERS: Final = frozenset((
    # RFC 9110, RFC 9112: curl, wget, Python's urllib, requests, httpx and aiohttp, Go's net/http, Rust's
    # reqwest, Node's http, axios, PHP's curl and Guzzle, Ruby's Net::HTTP and Faraday, OkHttp, .NET
    *("accept", "accept-charset", "accept-encoding", "connection", "content-length", "content-type"),
    *("expect", "host", "keep-alive", "trailer", "transfer-encoding", "user-agent"),
    *("content-encoding", "content-language", "content-md5", "date"),  # where an app asks for it
    *("authorization", "cookie"),  # requests reads ~/.netrc, and sessions keep cookies
    *("accept-language", "sec-fetch-mode"),  # Node's fetch (undici); a browser sends Sec-Fetch-Site, too
    *("cache-control", "pragma"),  # Java's HttpURLConnection, Node's fetch with cache: "no-store"
    *("upgrade", "http2-settings"),  # Java's HttpClient asks for HTTP/2 with its first request (RFC 7540 3.2)
    "te",  # Perl's LWP, Erlang's httpc
    "priority",  # Swift's URLSession (RFC 9218)
    *("if-modified-since", "if-none-match"),  # caches of clients
))  # fmt: skip
TRACING_HEADERS: Final = frozenset((
    *("traceparent", "tracestate", "baggage"),  # W3C: OpenTelemetry, and most of those below today
    "b3",  # Zipkin; its older form has a prefix
    "uber-trace-id",  # Jaeger
    "sentry-trace",
    "newrelic",
    "x-amzn-trace-id",  # AWS X-Ray
    *("x-cloud-trace-context", "grpc-trace-bin"),  # Google, OpenCensus
    *("request-id", "request-context", "correlation-context"),  # .NET, Azure
    *("x-dynatrace", "singularityheader", "x-honeycomb-trace"),  # Dynatrace, AppDynamics, Honeycomb
    *("sw8", "sw8-correlation", "sw8-x"),  # SkyWalking
))  # fmt: skip
TRACING_PREFIXES: Final = (
    "x-b3-",
    *("uberctx-", "jaeger-"),
    *("ot-tracer-", "ot-baggage-"),  # OpenTracing
    "x-datadog-",
    "x-newrelic-",
    "elastic-apm-",
    "x-instana-",
    "pinpoint-",
)
BROWSER_HEADERS: Final = frozenset((
    # the Fetch standard, and RFC 9110 for what is loaded again
    *("origin", "referer", "sec-fetch-dest", "sec-fetch-site", "sec-fetch-user", "sec-fetch-storage-access"),
    *("upgrade-insecure-requests", "if-match", "if-range", "if-unmodified-since", "range"),
    *("dnt", "sec-gpc", "purpose", "sec-purpose", "alt-used"),  # privacy; loading ahead; Firefox
    # client hints
    *("device-memory", "downlink", "dpr", "ect", "rtt", "save-data", "viewport-width", "width"),
    "x-prometheus-scrape-timeout-seconds",
))  # fmt: skip
"""What browsers and Prometheus send in addition."""
BROWSER_PREFIXES: Final = ("sec-ch-",)
DROPPED: Final = "incoming.dropped_headers"
"""The key of the WSGI environ for the headers that the app does not get, separated by spaces."""
LOCAL_NAMES: Final = frozenset((
    *("localhost", "localhost.", "localhost.localdomain", "localhost4", "localhost6"),
    *("ip6-localhost", "ip6-loopback"),
))  # fmt: skip
HTTP_PORT: Final = "80"
MAX_SHOWN_CHARS: Final = 60
_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)]|([\w.-]+))(?::(\d{1,5}))?", re.ASCII)


def strange_headers(environ: Mapping[str, object], from_browser: bool = False) -> list[str]:
    """Returns the headers of a request that neither HTTP clients nor, with `from_browser`, browsers add.

    They are in lower case and sorted. An attacker may have sent them: see `shown`.
    """
    names = {name[5:].replace("_", "-").lower() for name in environ if name.startswith("HTTP_")}
    dropped = str(environ.get(DROPPED, "")).lower().split()
    return sorted({name for name in names if not _is_known(name, from_browser)}.union(dropped))


def _is_known(name: str, from_browser: bool) -> bool:
    if name in CLIENT_HEADERS or name in TRACING_HEADERS or name.startswith(TRACING_PREFIXES):
        return True
    return from_browser and (name in BROWSER_HEADERS or name.startswith(BROWSER_PREFIXES))


def host_name(host: str) -> tuple[str, str]:
    """Returns the name or address in a Host header, in lower case, and its port; empty if it is not valid."""
    found = _HOST.fullmatch(host.lower())
    return (found[1] or found[2], found[3] or HTTP_PORT) if found else ("", "")


def is_own_host(host: str, server_address: str, server_port: str, names: Iterable[str]) -> bool:
    """Returns whether an app that calls this server itself would send this Host header.

    That is a name of the loopback interface, the address that its connection has come to, or one of `names`.
    Any other address, and a name without a dot (of a container or a machine), has to come with the port of
    this server: a site behind a proxy has another port.
    """
    name, port = host_name(host)
    if name in LOCAL_NAMES or name in names:
        return True
    found = address(name)
    if found is None:
        return bool(name) and "." not in name and port == server_port
    return found.is_loopback or found == address(server_address) or port == server_port


def shown(text: str) -> str:
    """Returns text of a request in a form that fits into a sentence: short, and printable ASCII."""
    plain = ascii(text)[1:-1]
    return plain if len(plain) <= MAX_SHOWN_CHARS else f"{plain[:MAX_SHOWN_CHARS]}..."
