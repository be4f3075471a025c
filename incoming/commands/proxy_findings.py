"""What `incoming doctor` can find about a path to the server, and the lines that fix it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Topic(StrEnum):
    """What is examined."""

    TLS = "TLS"
    BACKEND = "backend routes"
    WEBSOCKET = "WebSocket"
    VERSION = "HTTP version"
    METHODS = "methods"
    BUFFERING = "request buffering"
    CHUNKED = "chunked bodies"
    BODY_LIMIT = "body limit"
    TIMEOUT = "timeout"
    SLOW_BODY = "slow bodies"
    HEADERS = "long headers"
    RESPONSES = "response buffering"
    INTERIM = "interim answers"
    TRAILERS = "trailers"


class Grade(StrEnum):
    """How good it is."""

    OK = "ok"
    NOTE = "note"
    """Uploads work. Some clients or some features do not."""
    CHANGE = "CHANGE"
    """Uploads fail, lose bytes that were sent, or are not safe."""


class Unreachable(Exception):
    """No Incoming!! server answers at the address, so nothing can be examined; the text says why."""


SHIPPED: Final = "docs/how-to has a page with all lines for each proxy: nginx.md, haproxy.md, apache.md."
_UPLOADS: Final = r"^/incoming/(0\.1/)?frontend/"


def _at_uploads(*lines: str) -> str:
    """Returns a section of Apache's configuration for the uploads alone."""
    inside = (f"    {line}" for line in lines)
    return "\n".join((f'<LocationMatch "{_UPLOADS}">', *inside, "</LocationMatch>"))


_PASS: Final = "ProxyPass /incoming/{0}frontend/ http://127.0.0.1:4000/incoming/{0}frontend/ {1}"
_APACHE_PASS: Final = tuple(_PASS.format(prefix, "upgrade=websocket timeout=120") for prefix in ("", "0.1/"))
_CHUNKED_AS_IT_COMES: Final = _at_uploads("UnsetEnv force-proxy-request-1.0 proxy-sendcl")
"""Both in one section: of several that say UnsetEnv, only the last one counts."""
_NO_MOD_SECURITY: Final = (
    "<IfModule security2_module>\n"
    f'    SecRule REQUEST_FILENAME "@rx {_UPLOADS}" \\\n'
    '        "id:4000,phase:1,pass,nolog,t:none,t:urlDecode,t:normalizePath,'
    'ctl:ruleEngine=Off,ctl:requestBodyAccess=Off"\n'
    "</IfModule>"
)
"""mod_security keeps whole bodies. It looks at their length before any <Location> counts: only a rule helps.

The path is compared in the form that Apache compares it in: else `/incoming/frontend/../login` passed, too.
"""
_HAPROXY_STREAMS: Final = (
    "no option http-buffer-request  # in the frontend",
    "remove http-request wait-for-body",
)
REMEDIES: Final[dict[Topic, dict[str, tuple[str, ...]]]] = {
    Topic.BACKEND: {
        "nginx": (r"location ~ ^/incoming/(0\.1/)?frontend/ { ... }  location /incoming/ { return 404; }",),
        "HAProxy": (
            "http-request deny unless { path_beg /incoming/frontend/ /incoming/0.1/frontend/ }"
            "  # in the backend",
        ),
        "Apache": (*_APACHE_PASS, "ProxyPass /incoming/ !"),
    },
    Topic.WEBSOCKET: {
        "nginx": (
            "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;"
            ' proxy_set_header Connection "upgrade";',
        ),
        "HAProxy": ("remove http-request del-header Upgrade",),
        "Apache": _APACHE_PASS,
    },
    Topic.VERSION: {
        "nginx": ("proxy_http_version 1.1;",),
        "Apache": (_CHUNKED_AS_IT_COMES,),
    },
    Topic.METHODS: {
        "nginx": ("remove limit_except",),
        "HAProxy": ("remove http-request deny rules that name methods",),
        "Apache": (
            _at_uploads(
                "Require all granted",
                *("<IfModule allowmethods_module>", "    AllowMethods reset", "</IfModule>"),
            ),
        ),
    },
    Topic.BUFFERING: {
        "nginx": ("proxy_request_buffering off; proxy_http_version 1.1;",),
        "HAProxy": _HAPROXY_STREAMS,
        "Apache": (_at_uploads("SetInputFilter None"), _NO_MOD_SECURITY),
    },
    Topic.CHUNKED: {
        "nginx": ("proxy_request_buffering off; proxy_http_version 1.1;",),
        "HAProxy": _HAPROXY_STREAMS,
        "Apache": (_CHUNKED_AS_IT_COMES, _at_uploads("SetInputFilter None"), _NO_MOD_SECURITY),
    },
    Topic.BODY_LIMIT: {
        "nginx": ("client_max_body_size 0;",),
        "HAProxy": ("remove http-request deny rules with req.body_size or content-length",),
        "Apache": ("LimitRequestBody 0", _NO_MOD_SECURITY),
    },
    Topic.TIMEOUT: {
        "nginx": ("proxy_read_timeout 2m; proxy_send_timeout 2m;",),
        "HAProxy": (
            "timeout client 2m  # in the frontend",
            "timeout server 2m  # in the backend",
            "timeout tunnel 2m  # in the backend",
        ),
        "Apache": ("ProxyTimeout 120", *_APACHE_PASS),
    },
    Topic.SLOW_BODY: {
        "nginx": ("client_body_timeout 1m;",),
        "HAProxy": ("timeout server 2m  # in the backend",),
        "Apache": ("RequestReadTimeout body=0",),
    },
    Topic.HEADERS: {
        "nginx": ("large_client_header_buffers 4 32k;",),
        "HAProxy": ("global\n    tune.bufsize 49152",),
        "Apache": ("LimitRequestFieldSize 32768",),
    },
    Topic.RESPONSES: {
        "nginx": ("proxy_buffering off;",),
        "HAProxy": ("remove http-response wait-for-body",),
        "Apache": (_NO_MOD_SECURITY,),
    },
    Topic.INTERIM: {"Incoming!!": ('interim_responses = "off"',)},
}
"""What to change, for each proxy, where a topic is not fine: directives and sections to paste, or to remove.

HAProxy's lines say in a comment where they belong. A proxy that can't do the harm has none.
"""


HARMLESS: Final = frozenset((Topic.BACKEND, Topic.INTERIM))
"""The topics whose notes ask for no change."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One result, for people."""

    topic: Topic
    grade: Grade
    sentence: str

    @property
    def remedies(self) -> dict[str, tuple[str, ...]]:
        """What to change, for each proxy; empty where no change is needed."""
        if self.grade is Grade.OK or (self.grade is Grade.NOTE and self.topic in HARMLESS):
            return {}
        return REMEDIES.get(self.topic, {})


def judge_buffering(topic: Topic, first_byte_s: float, last_byte_s: float, pause_s: float) -> Finding:
    """Returns what it means that a body with a pause before its last byte came at these times.

    The times are those of the server, from the moment when it had the head of the request.
    """
    what = "A chunked body" if topic is Topic.CHUNKED else "A body"
    if last_byte_s - first_byte_s >= pause_s * 3 / 4:
        return Finding(topic, Grade.OK, f"{what} reaches the server while it is sent.")
    return Finding(
        topic,
        Grade.CHANGE,
        f"{what} reaches the server only when it is complete. A broken connection loses all of it.",
    )


def judge_body_limit(passes_bytes: int, refused_bytes: int | None, how: str) -> Finding:
    """Returns what the largest body that passes means, and the smallest that is refused, if any; `how`."""
    if refused_bytes is None:
        return Finding(Topic.BODY_LIMIT, Grade.OK, f"A body may have {size(passes_bytes)}.")
    passes = f"A body of {size(passes_bytes)} passes. One" if passes_bytes else "A body"
    return Finding(Topic.BODY_LIMIT, Grade.CHANGE, f"{passes} of {size(refused_bytes)} is refused: {how}.")


def judge_timeout(asked_s: float, took_s: float, how: str) -> Finding:
    """Returns what it means that an answer that the server held for `asked_s` came, or `how` it failed."""
    if not how:
        sentence = f"An answer may take {asked_s:.0f} s."
        return Finding(Topic.TIMEOUT, Grade.OK, sentence)
    sentence = f"An answer that takes {asked_s:.0f} s does not arrive: {how} after {took_s:.0f} s."
    return Finding(Topic.TIMEOUT, Grade.CHANGE, sentence)


def judge_slow_body(took_s: float, pause_s: float, how: str) -> Finding:
    """Returns what it means that a body with pauses, sent in `took_s`, passed, or `how` it failed."""
    if not how:
        sentence = f"A body may take {took_s:.0f} s, with pauses of {pause_s:.0f} s."
        return Finding(Topic.SLOW_BODY, Grade.OK, sentence)
    sentence = f"A body that takes {took_s:.0f} s, with pauses of {pause_s:.0f} s, fails: {how}."
    return Finding(Topic.SLOW_BODY, Grade.CHANGE, sentence)


def judge_interim(
    sent: bool, passed: list[int], missing: list[int], broken: list[int], shows_proxy: bool
) -> Finding:
    """Returns what it means that these interim answers passed, did not, or broke the final answer."""
    if not sent:
        sentence = "They can't be tried, since HTTP/1.0 reaches the server."
        return Finding(Topic.INTERIM, Grade.NOTE, sentence)
    if broken:
        harm = f"{_names(broken)}: the proxy treats it as the final answer, or fails."
        if shows_proxy:
            return Finding(Topic.INTERIM, Grade.NOTE, f"{harm} The server detects the proxy, and sends none.")
        return Finding(Topic.INTERIM, Grade.CHANGE, f"{harm} The server can't detect the proxy.")
    if missing:
        return Finding(Topic.INTERIM, Grade.NOTE, f"{_names(missing)}: not passed on. This does no harm.")
    return Finding(Topic.INTERIM, Grade.OK, f"{_names(passed)}: passed on.")


def _names(statuses: list[int]) -> str:
    return " and ".join(map(str, statuses))


def size(size_bytes: int) -> str:
    """Returns a number of bytes, a power of two, in words."""
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size_bytes >= 1 << power:
            return f"{size_bytes >> power} {unit}"
    return f"{size_bytes} bytes"
