"""Words behind a byte order mark and in the quotes of JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.core.quoted_text import BOM, unquoted

same_each_run = settings(derandomize=True, deadline=None)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("done", "done"),
        ('"done"', "done"),
        (f"{BOM}done", "done"),
        (f'{BOM}"done"', "done"),
        (' "done"\n', "done"),
        ('"d\\u006fne"', "done"),
        ('""', ""),
        ("", ""),
    ],
)
def test_a_word_is_understood_in_quotes_and_behind_a_bom(text: str, meant: str) -> None:
    assert unquoted(text) == meant


@pytest.mark.parametrize(
    "text", ['"', '"done', 'done"', '"a" "b"', "'done'", '["done"]', "5", " done ", '"\\ud800"', '"\x00"']
)
def test_a_text_that_is_not_a_json_string_stays_unchanged(text: str) -> None:
    assert unquoted(text) == text


@same_each_run
@given(st.text())
def test_every_text_comes_out_of_its_quotes_as_it_was(text: str) -> None:
    assert unquoted(json.dumps(text)) == text
    assert unquoted(BOM + json.dumps(text, ensure_ascii=False)) == text


@same_each_run
@given(st.text(alphabet='"\\ud8a{}[]\ufeff 0'))
def test_removing_quotes_never_fails(text: str) -> None:
    unquoted(text).encode()
