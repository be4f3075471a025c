"""One call to an app, as the outbox makes it."""

from __future__ import annotations

from incoming.handover.notifier import Notifier
from incoming.handover.schedule import Answer


def post(notifier: Notifier, url: str, form: dict[str, str]) -> Answer:
    """Returns the app's answer to a form, after waiting for a turn."""
    with notifier.turn(url) as turn:
        return turn.post(form)
