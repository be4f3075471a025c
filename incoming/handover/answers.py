"""What an app's answer means, and when to call again. Pure: no clock, no network.

Status 200 with `done` or `wait` is an answer. A temporary failure (no connection, a timeout, the statuses of
`http_status.is_retryable`) is retried. Everything else is a refusal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from incoming.core.quoted_text import unquoted
from incoming.wire.http_status import is_retryable

MAX_ANSWER_BYTES: Final = 4096
"""How much of a body is read. A valid one has four letters, and white space."""


class FailureKind(StrEnum):
    """Why a call to an app failed: a stable word for metrics and programs. `words` are for people."""

    UNKNOWN_NAME = "unknown_name"
    NAME_SERVER = "name_server"
    BAD_URL = "bad_url"
    NEVER_CALLED = "never_called"
    CONNECTION_REFUSED = "connection_refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    NO_DESCRIPTORS = "no_descriptors"
    CERTIFICATE = "certificate"
    TLS = "tls"
    TIMEOUT = "timeout"
    CUT = "cut"
    BAD_ANSWER = "bad_answer"
    TOO_LONG = "too_long"
    STATUS_1XX = "status_1xx"
    STATUS_2XX = "status_2xx"
    STATUS_3XX = "status_3xx"
    STATUS_4XX = "status_4xx"
    STATUS_5XX = "status_5xx"
    OTHER_WORD = "other_word"
    CALLBACK = "callback"
    REFUSED = "refused"
    OTHER = "other"

    @property
    def words(self) -> str:
        """What pages and logs say. It names no address and no file."""
        return _WORDS[self]


_NOT_REACHED: Final = "the app could not be reached"
_WORDS: Final = {
    FailureKind.UNKNOWN_NAME: f"{_NOT_REACHED}: its host name is unknown",
    FailureKind.NAME_SERVER: f"{_NOT_REACHED}: its host name could not be looked up",
    FailureKind.BAD_URL: f"{_NOT_REACHED}: its URL is invalid",
    FailureKind.NEVER_CALLED: "the app's address is one that this server may not call",
    FailureKind.CONNECTION_REFUSED: f"{_NOT_REACHED}: it refuses connections",
    FailureKind.UNREACHABLE: f"{_NOT_REACHED}: the network has no route to it",
    FailureKind.CONNECT_TIMEOUT: f"{_NOT_REACHED}: it did not accept the connection in time",
    FailureKind.NO_DESCRIPTORS: f"{_NOT_REACHED}: this server can't open more connections",
    FailureKind.CERTIFICATE: f"{_NOT_REACHED}: its certificate is not trusted",
    FailureKind.TLS: f"{_NOT_REACHED}: the TLS connection failed",
    FailureKind.TIMEOUT: "the app did not answer in time",
    FailureKind.CUT: "the app closed the connection before it answered",
    FailureKind.BAD_ANSWER: "the app's answer is not valid HTTP",
    FailureKind.TOO_LONG: "the app's answer is too long",
    **dict.fromkeys(
        (
            FailureKind.STATUS_1XX,
            FailureKind.STATUS_2XX,
            FailureKind.STATUS_3XX,
            FailureKind.STATUS_4XX,
            FailureKind.STATUS_5XX,
        ),
        "the app answered with status",
    ),
    FailureKind.OTHER_WORD: "the app answered neither done nor wait",
    FailureKind.CALLBACK: "the app's callback failed",
    FailureKind.REFUSED: "the app refused the file",
    FailureKind.OTHER: _NOT_REACHED,
}


@dataclass(frozen=True, slots=True)
class Done:
    """The app has the file."""

    result: ClassVar = "done"


@dataclass(frozen=True, slots=True)
class WillFinish:
    """The app answered `wait`: it calls finish_upload later."""

    result: ClassVar = "wait"


@dataclass(frozen=True, slots=True)
class Refused:
    """The app answered, and does not accept the file.

    `why` is for logs and for users. `detail` is for logs only, because it may quote the app.
    """

    why: str
    kind: FailureKind = FailureKind.REFUSED
    detail: str = ""
    result: ClassVar = "refused"


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No valid answer; a retry may help. `why` and `detail`: see Refused.

    `retry_after_s`: the delay that the app asks for; 0 if it does not.
    """

    why: str
    kind: FailureKind = FailureKind.OTHER
    detail: str = ""
    retry_after_s: float = 0.0
    result: ClassVar = "no_answer"


Answer = Done | WillFinish | Refused | NoAnswer


def no_answer(kind: FailureKind, detail: str = "") -> NoAnswer:
    """Returns a NoAnswer with the sentence of its kind."""
    return NoAnswer(kind.words, kind, detail)


def classify(status: int, body: bytes, retry_after: str | None = None, retry_after_s: float = 0.0) -> Answer:
    """Returns what an HTTP response of the app means. Only `detail` quotes its body.

    `retry_after` is the header, or None; `retry_after_s` is its value.
    """
    detail = _detail(body)
    if status == 200:
        word = answer_word(body)
        if word == "done":
            return Done()
        if word == "wait":
            return WillFinish()
        return Refused(FailureKind.OTHER_WORD.words, FailureKind.OTHER_WORD, detail)
    kind = FailureKind(f"status_{min(max(status // 100, 1), 5)}xx")
    why = f"{kind.words} {status}"
    if is_retryable(status, retry_after):
        return NoAnswer(why, kind, detail, retry_after_s)
    return Refused(why, kind, detail)


def answer_word(body: bytes) -> str:
    """Returns the word that a body holds: without white space, a byte order mark, and quotes."""
    return unquoted(body.decode("utf-8", "replace").strip()).strip()


def _detail(body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    return f'answer: "{text}"' if text else "empty answer"


def retry_delay_s(attempt: int, first_s: float, max_s: float, jitter: float, asked_s: float = 0.0) -> float:
    """Returns the delay after the failed attempt number `attempt` (1 is the first): exponential backoff.

    It doubles from `first_s` up to `max_s`. `jitter`, from 0 to 1, spreads it over 75 to 125 %, so that
    many uploads do not call at the same time. A requested delay of `asked_s` is respected up to `max_s`.
    """
    doubled = first_s * 2.0 ** min(attempt - 1, 60)
    delay_s = min(doubled, max_s) * (0.75 + jitter / 2)
    asked_s = min(asked_s, max_s)
    return delay_s if delay_s >= asked_s else asked_s * (1.0 + jitter / 4)
