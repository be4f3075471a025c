"""What upload libraries send beside one of several parts of a file: in fields of a form, or in the query.

Each library numbers the parts, and says how many there are. A part must never count as the whole file. Apps
have fields with such names, too. So a request is about a part only if the numbers fit each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

_INDEXES: Final[Mapping[str, tuple[str, ...]]] = {
    "dztotalchunkcount": (),  # Dropzone
    "resumableTotalChunks": (),  # resumable.js
    "flowTotalChunks": (),  # flow.js
    "qqtotalparts": (),  # Fine Uploader
    "chunks": ("chunk",),  # Plupload, WebUploader
    "totalChunks": ("chunknumber", "chunkindex"),  # simple-uploader.js; Kendo UI
    "total-chunk": ("chunk-index",),  # Syncfusion
    "chunkCount": ("chunkindex",),  # bootstrap-fileinput
    "TotalCount": ("index",),  # DevExtreme
}
"""{field with the number of parts: fields with the index of the part}. A library's own name needs none."""
_OBJECTS: Final = ("metadata", "chunkmetadata")
"""Fields of Kendo UI and DevExtreme: an object in JSON that has two of the fields above."""
_NAMES: Final = frozenset(map(str.lower, _INDEXES)).union(_OBJECTS, *_INDEXES.values())
_INTEGER: Final = re.compile(r"[0-9]{1,9}")


class PartCount(NamedTuple):
    """How many parts a file has, and the field that says so."""

    field: str
    parts: int


def is_part_field(name: str) -> bool:
    """Returns whether a field may have to do with parts, by its name."""
    return name.lower() in _NAMES


def find_part_count(fields: Mapping[str, str]) -> PartCount | None:
    """Returns what these fields {name: value} say of the parts of a file; None if they say nothing.

    A row of _INDEXES says it if its count is an integer above 0, and one of its indexes, if it has any, is an
    integer from 0 to the count.
    """
    values: dict[str, object] = {name.lower(): value for name, value in fields.items()}
    objects = [_members(fields[name]) for name in fields if name.lower() in _OBJECTS]
    for members in (values, *objects):
        for name, indexes in _INDEXES.items():
            count = _integer(members.get(name.lower()))
            if count > 0 and _has_index(members, indexes, count):
                return PartCount(name, count)
    return None


def _has_index(members: Mapping[str, object], indexes: tuple[str, ...], count: int) -> bool:
    return not indexes or any(0 <= _integer(members.get(index)) <= count for index in indexes)


def _members(text: str) -> dict[str, object]:
    """Returns the members of an object in JSON; none for any other text."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {str(name).lower(): value for name, value in found.items()} if isinstance(found, dict) else {}


def _integer(value: object) -> int:
    """Returns the number that a field has; -1 for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return -1
    text = str(value).strip()
    return int(text) if _INTEGER.fullmatch(text) else -1
