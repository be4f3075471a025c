"""What schemathesis needs for uploads: their media types, and tickets that were given out."""

from __future__ import annotations

import http.client
import os
from http import HTTPStatus
from typing import Any

import requests
import schemathesis

SERVER, SERVER_TOKEN = "INCOMING_TEST_SERVER", "INCOMING_TEST_SERVER_TOKEN"
"""The environment variables with the URL and the token of the server: test_schemathesis.py sets them."""
OF_FILES = ("application/offset+octet-stream", "application/partial-upload")

for media_type in OF_FILES:
    schemathesis.serializer.alias(media_type, "application/octet-stream")


_read_status = http.client.HTTPResponse._read_status  # type: ignore[attr-defined]


def _read_final_status(self: http.client.HTTPResponse) -> tuple[str, int, str]:
    """Skips interim answers, such as 104, as RFC 9110 section 15.2 asks of clients. http.client skips 100."""
    while True:
        version, status, reason = _read_status(self)
        if not HTTPStatus.SWITCHING_PROTOCOLS < status < HTTPStatus.OK:
            return version, status, reason
        http.client.parse_headers(self.fp)


http.client.HTTPResponse._read_status = _read_final_status  # type: ignore[attr-defined]


def map_path_parameters(context: object, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Puts a new ticket into three of four addresses that have one. The others are unknown."""
    ticket = str((path_parameters or {}).get("ticket", ""))
    if path_parameters is None or len(ticket) != len("0b8a0f0e-4c1b-4c57-9d2a-6c0d3f6f1a55"):
        return path_parameters
    if ticket[0] in "0123":
        return path_parameters
    answer = requests.post(
        f"{os.environ[SERVER]}/incoming/backend/new_upload",
        params={"signalFinishURL": "http://127.0.0.1:9/nobody-is-there"},
        headers={"Authorization": f"Bearer {os.environ[SERVER_TOKEN]}"},
        timeout=60,
    )
    answer.raise_for_status()
    return {**path_parameters, "ticket": answer.text, **_part_of(answer.text, path_parameters)}


def _part_of(ticket: str, path_parameters: dict[str, Any]) -> dict[str, Any]:
    """Creates a part of the upload where an address has one, and returns its number for half of these."""
    number = str(path_parameters.get("part", ""))
    if not number.isdigit() or int(number) % 2:
        return {}
    requests.post(
        f"{os.environ[SERVER]}/incoming/frontend/uploads/{ticket}",
        headers={"Tus-Resumable": "1.0.0", "Upload-Concat": "partial", "Upload-Length": "100"},
        timeout=60,
    ).raise_for_status()
    return {"part": 1}


def before_call(context: object, case: Any, kwargs: dict[str, Any]) -> None:
    """Has the probe hold no answer for minutes."""
    query = case.query or {}
    if str(query.get("hold", "")).isdigit():
        query["hold"] = "1"


schemathesis.hook(map_path_parameters)
schemathesis.hook(before_call)
