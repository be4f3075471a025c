"""The media type in Content-Type."""

from __future__ import annotations

import pytest

from incoming.wire.media_type import media_type


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (None, ""),
        ("", ""),
        ("text/plain", "text/plain"),
        (" Text/PLAIN ; charset=utf-8", "text/plain"),
        ("multipart/form-data; boundary=a;b", "multipart/form-data"),
    ],
)
def test_case_blanks_and_parameters_do_not_matter(content_type: str | None, expected: str) -> None:
    assert media_type(content_type) == expected
