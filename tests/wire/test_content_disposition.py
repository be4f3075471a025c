"""The name of a file in Content-Disposition: the examples of RFC 6266, and what clients really send."""

from __future__ import annotations

import contentdisp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.wire.content_disposition import file_name

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40)

NAMES = [
    ('Attachment; filename=example.html', "example.html"),
    ('INLINE; FILENAME= "an example.html"', "an example.html"),
    ("attachment; filename*= UTF-8''%e2%82%ac%20rates", "€ rates"),
    ("attachment; filename=\"EURO rates\"; filename*=utf-8''%e2%82%ac%20rates", "€ rates"),
    ("attachment; filename*=utf-8''%e2%82%ac%20rates; filename=\"EURO rates\"", "€ rates"),
    ("inline; filename*=ISO-8859-1''%fc.txt", "ü.txt"),
    ("inline; filename*=UTF-8''%C3%83%C2%BC.txt", "Ã¼.txt"),
    ('inline; filename="\xc3\xbc.txt"', "ü.txt"),  # UTF-8, as WSGI has it
    ('inline; filename="\xfc.txt"', "ü.txt"),  # ISO-8859-1
    ('inline; filename="a \\"quoted\\" word; and more.txt"', 'a "quoted" word; and more.txt'),
    ('form-data; name="file"; filename="f.bin"', "f.bin"),
    ('filename="no-type.txt"', "no-type.txt"),
    ('inline; filename="first.txt"; filename="second.txt"', "first.txt"),
]  # fmt: skip
NAMELESS = [
    None,
    "",
    "inline",
    ";;;",
    "inline; name=x",
    "inline; filename*=UTF-8''%ff",
    "inline; filename*=x",
]


@pytest.mark.parametrize(("value", "expected"), NAMES)
def test_the_name_is_the_one_that_the_client_means(value: str, expected: str) -> None:
    assert file_name(value) == expected


@pytest.mark.parametrize("value", NAMELESS)
def test_a_header_without_a_readable_name_gives_none(value: str | None) -> None:
    assert file_name(value) == ""


def test_a_name_that_cannot_be_decoded_leaves_the_plain_one() -> None:
    assert file_name("inline; filename=\"plain.txt\"; filename*=UTF-8''%ff") == "plain.txt"


@same_each_run
@given(names)
def test_what_another_program_builds_is_read_back(name: str) -> None:
    assert file_name(contentdisp.build("inline", filename=name)) == name


@same_each_run
@given(st.text(st.characters(max_codepoint=0xFF)))
def test_no_value_of_content_disposition_is_an_error(value: str) -> None:
    assert isinstance(file_name(value), str)
