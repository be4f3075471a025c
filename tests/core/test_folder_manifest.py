"""A folder as one stream: what a head says, and what a wrong one is refused for."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoming.core.checksum import checksum
from incoming.core.errors import BadFolder
from incoming.core.folder_manifest import (
    HEADER_BYTES,
    MAX_INTEGER,
    MAX_TIME_MS,
    Bounds,
    Entry,
    encode_head,
    head_bytes,
    parse_head,
)

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
TIMES = st.none() | st.integers(-MAX_TIME_MS, MAX_TIME_MS)
FILES = st.builds(lambda n, s, t: Entry(n.rstrip("/") + "x", s, t), NAMES, st.integers(0, 1 << 40), TIMES)
EMPTY_FOLDERS = st.builds(lambda n, t: Entry(n + "/", 0, t), NAMES, TIMES)


def head(manifest: bytes, count: int, magic: bytes = b"IncFold1") -> bytes:
    """Returns a head as the documentation has it, made by hand."""
    header = magic + struct.pack(">QII4x", len(manifest), count, checksum(manifest))
    return header + struct.pack(">I", checksum(header)) + manifest


def test_a_head_is_as_the_documentation_says() -> None:
    entries = [Entry("a/b.txt", 123, 1700000000000), Entry("a/c/"), Entry("ü")]
    lines = '{"path":"a/b.txt","size":123,"modified_ms":1700000000000}\n{"path":"a/c/"}\n{"path":"ü"}\n'
    assert encode_head(entries) == head(lines.encode(), 3)


@given(st.lists(FILES | EMPTY_FOLDERS, max_size=20))
def test_what_was_encoded_is_read_again(entries: list[Entry]) -> None:
    encoded = encode_head(entries)
    read = parse_head(memoryview(encoded))
    assert list(read.entries) == entries
    assert read.head_bytes == head_bytes(encoded[:HEADER_BYTES]) == len(encoded)
    assert read.length_bytes == len(encoded) + sum(entry.size_bytes for entry in entries)
    assert read.files == sum(not entry.is_folder for entry in entries)
    ranges = [read.range_of(index) for index in range(len(entries))]
    assert [end - start for start, end in ranges] == [entry.size_bytes for entry in entries]
    for index, (start, end) in enumerate(ranges):
        for offset in {start, max(end - 1, start)} if start < end else ():
            assert read.index_at(offset) == index
    assert read.index_at(read.length_bytes) == len(entries)


def test_a_line_may_have_spaces_other_keys_and_no_size() -> None:
    line = b'{ "kind": "image", "path": "a", "more": {"x": [1]} }\n'
    assert parse_head(head(line, 1)).entries == [Entry("a")]


def test_many_entries_are_read_in_their_order() -> None:
    entries = [Entry(f"folder/{number:08d}/a long name of a file.jpeg", number) for number in range(5000)]
    assert parse_head(encode_head(entries)).entries == entries


A = b'{"path":"a","size":1}\n'


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", "not_a_folder"),
        (head(A, 1)[:31], "not_a_folder"),
        (head(A, 1, b"IncFold2"), "not_a_folder"),
        (b"IncFold1" + bytes(24), "damaged"),
        (head(A, 1)[:-1], "damaged"),
        (head(A, 1)[:-2] + b"?\n", "damaged"),
        (head(A, 2), "wrong_count"),
        (head(A, 0), "wrong_count"),
        (head(A[:-1], 1), "bad_entry"),
        (head(b"\n", 1), "bad_entry"),
        (head(A + b"\n", 2), "bad_entry"),
        (head(b"[]\n", 1), "bad_entry"),
        (head(b"{}\n", 1), "bad_entry"),
        (head(b"[" * 100_000 + b"\n", 1), "bad_entry"),
        (head(b'{"path":1}\n', 1), "bad_entry"),
        (head(b'{"path":"a","size":-1}\n', 1), "bad_entry"),
        (head(b'{"path":"a","size":1.5}\n', 1), "bad_entry"),
        (head(b'{"path":"a","size":true}\n', 1), "bad_entry"),
        (head(b'{"path":"a","size":%d}\n' % (MAX_INTEGER + 1), 1), "bad_entry"),
        (head(b'{"path":"a","modified_ms":%d}\n' % (MAX_TIME_MS + 1), 1), "bad_entry"),
        (head(b'{"path":"\\ud800"}\n', 1), "bad_entry"),
        (head(b'{"path":"\xff"}\n', 1), "bad_entry"),
        (head(b'{"path":"a/","size":1}\n', 1), "bad_size"),
        (head((b'{"path":"a","size":%d}\n' % MAX_INTEGER) * 2, 2), "bad_size"),
        (head((b'{"path":"a","size":%d}\n' % MAX_INTEGER) * 3000, 3000), "bad_size"),
    ],
)
def test_a_wrong_head_is_refused_with_a_reason(bad: bytes, reason: str) -> None:
    with pytest.raises(BadFolder) as refused:
        parse_head(bad)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (b'{"path":"a","size":-1}', f"has a size that is not a whole number from 0 to {MAX_INTEGER}."),
        (
            b'{"path":"a","size":%d}' % (1 << 60),
            f"has a size that is not a whole number from 0 to {MAX_INTEGER}.",
        ),
        (b'{"path":"a","size":"1"}', f"has a size that is not a whole number from 0 to {MAX_INTEGER}."),
        (
            b'{"path":"a","modified_ms":%d}' % (1 << 60),
            f"has a modified_ms that is not a whole number from {-MAX_TIME_MS} to {MAX_TIME_MS}.",
        ),
        (b'{"size":1}', "has no path, or one that is not a text."),
        (b'{"path":1}', "has no path, or one that is not a text."),
        (b"[]", "is not a JSON object."),
    ],
)
def test_a_refusal_says_in_plain_words_what_is_wrong_with_an_entry(entry: bytes, sentence: str) -> None:
    with pytest.raises(BadFolder) as refused:
        parse_head(head(entry + b"\n", 1))
    assert str(refused.value).endswith(f"Its entry 1 {sentence}")


def test_a_refusal_tells_which_entry_is_wrong_and_has_its_path_for_programs_only() -> None:
    with pytest.raises(BadFolder) as refused:
        parse_head(head(A + b'{"path":"secret/","size":1}\n', 2))
    assert (refused.value.index, refused.value.path) == (1, "secret/")
    assert "entry 2" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [(Bounds(max_entries=1), "too_many_entries"), (Bounds(max_manifest_bytes=43), "manifest_too_large")],
)
def test_a_header_alone_tells_that_a_manifest_is_too_large(bounds: Bounds, reason: str) -> None:
    encoded = head(A * 2, 2)
    head_bytes(encoded[:HEADER_BYTES], Bounds(2, 44))
    with pytest.raises(BadFolder) as refused:
        head_bytes(encoded[:HEADER_BYTES], bounds)
    assert refused.value.reason == reason
