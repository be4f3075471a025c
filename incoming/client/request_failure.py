"""Why a request of the library Requests failed, in words."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from http.client import HTTPException

import requests
from urllib3.exceptions import HTTPError, NewConnectionError

from incoming.wire.answer_reader import AnswerTooLong


def why(exc: Exception) -> str:
    """Returns the reason as the end of a sentence, without its full stop."""
    causes = list(_causes(exc))
    for cause in causes:
        match cause:
            case socket.gaierror():
                return f"the host is not found ({cause.strerror})"
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted ({cause.verify_message.rstrip('.')})"
            case ssl.SSLError():
                return "the TLS handshake failed, as with a server that speaks plain HTTP"
            case ConnectionRefusedError():
                return "no server listens there"
            case TimeoutError() | requests.Timeout():
                return "there was no answer in time"
            case AnswerTooLong():
                return "its answer is too long"
            case requests.exceptions.InvalidSchema() | requests.exceptions.InvalidURL():
                return "it is not an http address"
    if any(isinstance(cause, NewConnectionError) for cause in causes):
        return "there is no connection"
    if any(isinstance(cause, HTTPError | HTTPException) for cause in causes):
        return "its answer is cut or damaged"
    return "there is no connection"


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Yields an exception and those that it wraps, as a cause or as an argument, the innermost first."""
    seen: list[BaseException] = [exc]
    for one in seen:
        inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        seen += [each for each in inner if isinstance(each, BaseException) and each not in seen]
    yield from reversed(seen)
