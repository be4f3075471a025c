"""What an app's answer means, and when it is asked again. Pure: no clock, no network.

Status 200 with `done` or `wait` is an answer. What passes by itself (no connection, a
timeout, the statuses of `http_status.is_retryable`) is tried again. Everything else is a refusal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from incoming.core.quoted_text import unquoted
from incoming.wire.http_status import is_retryable

MAX_ANSWER_BYTES: Final = 4096
"""More of an answer is not read: the longest honest one has four letters, and white space."""


class Trouble(StrEnum):
    """The kinds of trouble with an app: a stable word for metrics and programs; `words` are for people."""

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
    Trouble.UNKNOWN_NAME: f"{_NOT_REACHED}: its host name is unknown",
    Trouble.NAME_SERVER: f"{_NOT_REACHED}: its host name could not be looked up",
    Trouble.BAD_URL: f"{_NOT_REACHED}: its URL is invalid",
    Trouble.NEVER_CALLED: "the app's address is one that this server may not call",
    Trouble.CONNECTION_REFUSED: f"{_NOT_REACHED}: it refuses connections",
    Trouble.UNREACHABLE: f"{_NOT_REACHED}: the network has no route to it",
    Trouble.CONNECT_TIMEOUT: f"{_NOT_REACHED}: it did not accept the connection in time",
    Trouble.NO_DESCRIPTORS: f"{_NOT_REACHED}: this server can't open more connections",
    Trouble.CERTIFICATE: f"{_NOT_REACHED}: its certificate is not trusted",
    Trouble.TLS: f"{_NOT_REACHED}: the TLS connection failed",
    Trouble.TIMEOUT: "the app did not answer in time",
    Trouble.CUT: "the app closed the connection before it answered",
    Trouble.BAD_ANSWER: "the app's answer is not valid HTTP",
    Trouble.TOO_LONG: "the app's answer is too long",
    **dict.fromkeys(
        (Trouble.STATUS_1XX, Trouble.STATUS_2XX, Trouble.STATUS_3XX, Trouble.STATUS_4XX, Trouble.STATUS_5XX),
        "the app answered with status",
    ),
    Trouble.OTHER_WORD: "the app answered neither done nor wait",
    Trouble.CALLBACK: "the app's callback failed",
    Trouble.REFUSED: "the app refused the file",
    Trouble.OTHER: _NOT_REACHED,
}


@dataclass(frozen=True, slots=True)
class Done:
    """The app has the file."""

    result: ClassVar = "done"


@dataclass(frozen=True, slots=True)
class WillFinish:
    """The app said "wait": it calls finish_upload later."""

    result: ClassVar = "wait"


@dataclass(frozen=True, slots=True)
class Refused:
    """The app answered, and it does not take the file.

    `why` is for logs and for users. `detail` is for logs only: it may hold what the app said.
    """

    why: str
    trouble: Trouble = Trouble.REFUSED
    detail: str = ""
    result: ClassVar = "refused"


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing that counts as an answer; trying again may help. `why` and `detail`: see Refused.

    `retry_after_s`: how long the app asks to wait; 0 if it does not say.
    """

    why: str
    trouble: Trouble = Trouble.OTHER
    detail: str = ""
    retry_after_s: float = 0.0
    result: ClassVar = "no_answer"


Answer = Done | WillFinish | Refused | NoAnswer


def no_answer(trouble: Trouble, detail: str = "") -> NoAnswer:
    """Returns a NoAnswer in the words of its kind."""
    return NoAnswer(trouble.words, trouble, detail)


def classify(status: int, body: bytes, retry_after: str | None = None, retry_after_s: float = 0.0) -> Answer:
    """Returns what an HTTP answer of the app means. Its body is repeated in `detail` only.

    `retry_after` is the header, or None; `retry_after_s` is what it means.
    """
    detail = _detail(body)
    if status == 200:
        word = answer_word(body)
        if word == "done":
            return Done()
        if word == "wait":
            return WillFinish()
        return Refused(Trouble.OTHER_WORD.words, Trouble.OTHER_WORD, detail)
    trouble = Trouble(f"status_{min(max(status // 100, 1), 5)}xx")
    why = f"{trouble.words} {status}"
    if is_retryable(status, retry_after):
        return NoAnswer(why, trouble, detail, retry_after_s)
    return Refused(why, trouble, detail)


def answer_word(body: bytes) -> str:
    """Returns the word that a body holds: without white space, a byte order mark, and quotes."""
    return unquoted(body.decode("utf-8", "replace").strip()).strip()


def _detail(body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    return f'answer: "{text}"' if text else "empty answer"


def retry_delay_s(
    attempt: int, first_s: float, longest_s: float, jitter: float, asked_s: float = 0.0
) -> float:
    """Returns the delay after the failed attempt number `attempt` (1 is the first): doubling, up to a bound.

    `jitter`, from 0 to 1, spreads the delays over 75 to 125 %, so that many uploads don't call in step. An
    app that asks for a delay of `asked_s` is not called earlier, up to the same bound.
    """
    doubled = first_s * 2.0 ** min(attempt - 1, 60)
    delay_s = min(doubled, longest_s) * (0.75 + jitter / 2)
    asked_s = min(asked_s, longest_s)
    return delay_s if delay_s >= asked_s else asked_s * (1.0 + jitter / 4)
