"""The Content-Range of a request: what is understood, and that nothing is guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoming.core.errors import BadHeader
from incoming.protocol.content_range import ContentRange, read_content_range
from incoming.protocol.messages import MAX_INTEGER


def test_without_the_header_there_is_no_range() -> None:
    assert read_content_range(None, 5) is None


def test_what_curl_sends_is_understood() -> None:
    part = read_content_range("bytes 1000-4999/5000", 4000)
    assert part == ContentRange(1000, 5000, 5000)
    assert part.body_bytes == 4000
    assert part.is_last
    assert not part.is_whole


def test_a_range_may_be_the_whole_file() -> None:
    for value, is_whole in (("bytes 0-4/5", True), ("bytes 1-4/5", False), ("bytes 0-3/5", False)):
        part = read_content_range(value, None)
        assert part
        assert part.is_whole == is_whole
    unknown = read_content_range("bytes 0-4/*", None)
    assert unknown
    assert not unknown.is_whole


def test_a_part_that_ends_before_the_file_does_is_not_the_last_one() -> None:
    part = read_content_range("bytes 0-999/5000", 1000)
    assert part == ContentRange(0, 1000, 5000)
    assert not part.is_last


def test_the_length_of_the_file_may_be_unknown() -> None:
    part = read_content_range("bytes 10-19/*", 10)
    assert part == ContentRange(10, 20, None)
    assert not part.is_last


def test_the_unit_may_have_capital_letters() -> None:
    assert read_content_range("Bytes 0-0/1", 1) == ContentRange(0, 1, 1)


def test_a_chunked_body_may_have_a_range() -> None:
    assert read_content_range("bytes 0-9/10", None) == ContentRange(0, 10, 10)


@given(st.integers(0, MAX_INTEGER - 2), st.integers(1, 1 << 40), st.integers(0, 1 << 40))
def test_a_range_of_any_part_of_any_file_is_understood(start: int, size: int, after: int) -> None:
    end = min(start + size, MAX_INTEGER)
    total = min(end + after, MAX_INTEGER)
    part = read_content_range(f"bytes {start}-{end - 1}/{total}", end - start)
    assert part == ContentRange(start, end, total)
    assert part.is_last == (end == total)


@pytest.mark.parametrize(
    "value",
    [
        *("", "bytes", "bytes 0-4", "0-4/5", "bytes=0-4/5", "bytes 0-4/", "bytes 0-/5", "bytes -4/5"),
        *("bytes */5", "bytes */*", "items 0-4/5", "bytes 0-4/5, bytes 0-4/5", "bytes 0-4/5;x"),
        *("bytes +0-4/5", "bytes 0--4/5", "bytes 0x0-4/5", "bytes 0-4e0/5", "bytes 0 - 4 / 5"),
        *("bytes  0-4/5", "bytes\t0-4/5", "bytes 0-4/5\n", "bytes \u0660-\u0664/\u0665", "bytes 0-4/-1"),
        "bytes 00000000000000000-4/5",
    ],
)
def test_a_range_that_could_be_misread_is_refused(value: str) -> None:
    with pytest.raises(BadHeader, match=r"Content-Range must look like this: bytes 1000-4999/5000"):
        read_content_range(value, 5)


@pytest.mark.parametrize(
    ("value", "body_bytes", "why"),
    [
        ("bytes 5-4/5", 0, "ends before it starts"),
        ("bytes 5-3/9", None, "ends before it starts"),
        ("bytes 0-5/5", 6, "after the end of the file"),
        ("bytes 0-0/0", 1, "after the end of the file"),
        ("bytes 0-4/5", 4, "names 5 bytes, and the body has 4 bytes"),
        ("bytes 0-4/5", 0, "names 5 bytes, and the body has 0 bytes"),
        (f"bytes 0-{MAX_INTEGER}/*", None, "larger than"),
        (f"bytes 0-0/{MAX_INTEGER + 1}", 1, "larger than"),
    ],
)
def test_a_range_that_contradicts_itself_or_the_body_is_refused(
    value: str, body_bytes: int | None, why: str
) -> None:
    with pytest.raises(BadHeader, match=why):
        read_content_range(value, body_bytes)
