"""One call to an app, as the outbox makes it."""

from __future__ import annotations

from incoming.handover.answers import Answer
from incoming.handover.http_client import HttpClient


def post(notifier: HttpClient, url: str, form: dict[str, str]) -> Answer:
    """Returns the app's answer to a form, after waiting for a slot."""
    with notifier.slot(url) as slot:
        return slot.post(form)
