"""One call to an app, as the outbox makes it."""

from __future__ import annotations

from incoming.handover.answers import Answer
from incoming.handover.http_call import HttpCall


def post(notifier: HttpCall, url: str, form: dict[str, str]) -> Answer:
    """Returns the app's answer to a form, after waiting for a turn."""
    with notifier.turn(url) as turn:
        return turn.post(form)
