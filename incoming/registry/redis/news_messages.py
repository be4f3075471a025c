"""News of uploads as text, for other processes: JSON, with errors by their stable codes. Pure.

    {"from": INSTANCE, "id": TICKET, "token": TOKEN or null, "news": KIND, ...}

News that only another version knows is ignored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from incoming.core import errors
from incoming.core.news import CalledOff, HandedOver, Interrupted, News, NotHandedOver, WaitingForApp

CALLED_OFF: Final = {error.code: error for error in (errors.UploadCancelled, errors.UploadExpired)}
INTERRUPTED: Final = {error.code: error for error in (errors.TakenOver, errors.Stopping, errors.StorageLost)}


@dataclass(frozen=True, slots=True)
class Message:
    """News for the claim with this token, or for all claims of the upload; and the instance that tells it."""

    origin: str
    ticket_id: str
    token: str | None
    news: News


def encode(message: Message) -> bytes | None:
    """Returns the message as text; None if its news concern nobody in another process."""
    fields = _fields(message.news)
    if fields is None:
        return None
    head = {"from": message.origin, "id": message.ticket_id, "token": message.token}
    return json.dumps(head | fields).encode()


def decode(raw: bytes) -> Message | None:
    """Returns the message in a text; None if it has none that this version knows."""
    try:
        fields = json.loads(raw)
        news = _news(fields)
        token = fields["token"]
        if news is None or not (token is None or isinstance(token, str)):
            return None
        return Message(str(fields["from"]), str(fields["id"]), token, news)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _fields(news: News) -> dict[str, Any] | None:
    match news:
        case CalledOff(error):
            return {"news": "called_off", "code": error.code, "text": _text(error)}
        case HandedOver(crc32c):
            return {"news": "handed_over", "crc32c": crc32c}
        case WaitingForApp(why):
            return {"news": "waiting_for_app", "why": why}
        case NotHandedOver(error):
            return {"news": "not_handed_over", "text": _text(error)}
        case Interrupted(error):
            return {"news": "interrupted", "code": error.code, "text": _text(error)}
        case _:
            return None


def _news(fields: dict[str, Any]) -> News | None:
    match fields["news"]:
        case "called_off":
            return CalledOff(CALLED_OFF[fields["code"]](*_texts(fields)))
        case "handed_over":
            return HandedOver(int(fields["crc32c"]))
        case "waiting_for_app":
            return WaitingForApp(str(fields["why"]))
        case "not_handed_over":
            return NotHandedOver(errors.HandoverFailed(*_texts(fields)))
        case "interrupted":
            return Interrupted(INTERRUPTED[fields["code"]](*_texts(fields)))
        case _:
            return None


def _text(error: errors.IncomingError) -> str:
    """Returns the text that the error was made with; an empty one for its class's own sentence."""
    return str(error.args[0]) if error.args else ""


def _texts(fields: dict[str, Any]) -> tuple[str, ...]:
    return (str(fields["text"]),) if fields.get("text") else ()
