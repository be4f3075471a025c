"""The list of a folder's files that its app gets."""

from __future__ import annotations

import json

import pytest

from incoming.core.folder_list import line
from incoming.core.folder_manifest import Entry


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (
            line(Entry("a/ü", 3, 5), "a/ü", 0x12AB, b"\x01\xff"),
            {"path": "a/ü", "size": 3, "crc32c": "000012ab", "sha256": "01ff", "modified_ms": 5},
        ),
        (line(Entry("a", 0), "a", 0), {"path": "a", "size": 0, "crc32c": "00000000"}),
        (line(Entry("a", 3), "a"), {"path": "a", "size": 3, "left_out": True}),
        (line(Entry("a/"), "a"), {"path": "a/"}),
        (line(Entry("a\n/"), "a_"), {"path": "a_/", "sent_path": "a\n/"}),
        (line(Entry("b"), "b", 1, key="k"), {"path": "b", "key": "k", "size": 0, "crc32c": "00000001"}),
    ],
)
def test_a_line_has_what_is_known_and_nothing_else(written: bytes, told: dict[str, object]) -> None:
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    assert json.loads(written) == told
