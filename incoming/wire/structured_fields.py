"""Structured fields: the values of newer HTTP headers (RFC 9651), as Python values.

A header with a value that is not of its type counts as missing. The drafts of resumable uploads ask for that,
and so does RFC 9651 section 4.2. Parameters after a value mean nothing to a receiver that does not know them.
"""

from __future__ import annotations

from collections.abc import Mapping

import http_sf


def integer(value: str | None) -> int | None:
    """Returns the integer that the value of a header is; None if it is missing, or something else."""
    item = _item(value)
    return item if type(item) is int else None


def boolean(value: str | None) -> bool | None:
    """Returns the boolean that the value of a header is; None if it is missing, or something else."""
    item = _item(value)
    return item if type(item) is bool else None


def dictionary(value: str | None) -> dict[str, object] | None:
    """Returns the members of a dictionary, without parameters; None if it is missing, or something else.

    A byte sequence is bytes. An inner list is a list.
    """
    members = _parsed(value, "dictionary")
    if not isinstance(members, dict):
        return None
    return {key: member[0] if isinstance(member, tuple) else member for key, member in members.items()}


def serialized(members: Mapping[str, int | bool | bytes]) -> str:
    """Returns the value of a header that is a dictionary with these members: one or more."""
    return http_sf.ser(dict(members))


def _item(value: str | None) -> object | None:
    item = _parsed(value, "item")
    return item[0] if isinstance(item, tuple) else None


def _parsed(value: str | None, kind: str) -> object | None:
    """Returns what a header's value is; None if it is not of this kind. WSGI gives a byte as a character."""
    if value is None:
        return None
    try:
        return http_sf.parse(value.encode("latin-1"), tltype=kind)
    except (http_sf.StructuredFieldError, UnicodeEncodeError):
        return None
