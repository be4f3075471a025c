"""Structured fields: what counts as the value of a header, and what counts as no value at all."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.wire.structured_fields import boolean, dictionary, integer, serialized

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MAX_INTEGER = 10**15 - 1
"""RFC 9651 section 3.3.1: 15 digits."""
keys = st.from_regex(r"[a-z*][a-z0-9_\-.*]{0,20}", fullmatch=True)

INTEGERS = [
    ("0", 0),
    ("7", 7),
    ("007", 7),
    (" 7 ", 7),
    ("-7", -7),
    ("7;a=1", 7),
    (str(MAX_INTEGER), MAX_INTEGER),
]
NO_INTEGERS = [
    *(None, "", "+5", "1e3", "5.0", "0x5", "5, 6", "5 6", "?1", '"5"', ":NQ==:", "@5", "five", "-"),
    *(str(MAX_INTEGER + 1), "0" * 16, "\xb2", "\u0665"),
]
BOOLEANS = [("?0", False), ("?1", True), (" ?1 ", True), ("?1;since=3", True)]
NO_BOOLEANS = [None, "", "1", "0", "true", "?2", "?", "?10", "?1, ?0", "?1 ?0", '"?1"']


@pytest.mark.parametrize(("value", "expected"), INTEGERS)
def test_an_integer_is_read(value: str, expected: int) -> None:
    assert integer(value) == expected


@pytest.mark.parametrize("value", NO_INTEGERS)
def test_what_is_not_an_integer_counts_as_missing(value: str | None) -> None:
    assert integer(value) is None


@pytest.mark.parametrize(("value", "expected"), BOOLEANS)
def test_a_boolean_is_read(value: str, expected: bool) -> None:
    assert boolean(value) is expected


@pytest.mark.parametrize("value", NO_BOOLEANS)
def test_what_is_not_a_boolean_counts_as_missing(value: str | None) -> None:
    assert boolean(value) is None


def test_a_boolean_is_not_an_integer() -> None:
    assert integer("?1") is None
    assert boolean("1") is None


def test_a_dictionary_is_read_without_its_parameters() -> None:
    members = dictionary("sha-256=:AAEC:;by=me, md5=:AA==:, weight=5, flag, part=1.5, list=(1 2)")
    assert members == {
        **{"sha-256": b"\x00\x01\x02", "md5": b"\x00", "weight": 5, "flag": True},
        **{"part": Decimal("1.5"), "list": [(1, {}), (2, {})]},
    }


def test_of_two_members_with_one_key_the_last_one_counts() -> None:
    assert dictionary("a=1, b=2, a=3") == {"a": 3, "b": 2}


@pytest.mark.parametrize("value", [None, "=1", "A=1", "a=1,", "a=:A", "a=1 b=2", "\xfc=1"])
def test_what_is_not_a_dictionary_counts_as_missing(value: str | None) -> None:
    assert dictionary(value) is None


def test_an_empty_text_is_an_empty_dictionary() -> None:
    assert dictionary("") == {}


@same_each_run
@given(
    st.dictionaries(
        keys, st.integers(0, MAX_INTEGER) | st.booleans() | st.binary(max_size=70), min_size=1, max_size=6
    )
)
def test_what_is_written_is_read_back(members: dict[str, int | bool | bytes]) -> None:
    assert dictionary(serialized(members)) == members


@same_each_run
@given(st.text(st.characters(max_codepoint=0x17F)))
def test_no_value_of_a_structured_field_is_an_error(value: str) -> None:
    for read in (integer, boolean, dictionary):
        read(value)
