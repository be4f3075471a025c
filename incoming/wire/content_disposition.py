"""The name of a file in a Content-Disposition header (RFC 6266)."""

from __future__ import annotations

import contextlib

import contentdisp


def file_name(value: str | None) -> str:
    """Returns the name that the header gives; an empty text if it gives none. It is a stranger's text.

    `filename*` counts before `filename` (section 4.3). `value` is as WSGI has it: each byte as a character.
    Many clients send `filename` in UTF-8, so the bytes are UTF-8 if they can be, else ISO-8859-1.
    """
    if not value:
        return ""
    with contextlib.suppress(UnicodeError):
        value = value.encode("latin-1").decode("utf-8")
    return contentdisp.parse(value).filename or ""
