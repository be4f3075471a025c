"""The media type of a body, as the header Content-Type names it (RFC 9110 section 8.3)."""

from __future__ import annotations


def media_type(content_type: str | None) -> str:
    """Returns the media type in lower case, without parameters; empty if the header is missing."""
    return (content_type or "").partition(";")[0].strip().lower()
