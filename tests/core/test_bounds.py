"""Texts of strangers are cut to what the server keeps, and no character is broken."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.core.bounds import MAX_NAME_BYTES, cut, cut_name

same_each_run = settings(derandomize=True, deadline=None)
LONG_NAMES = {
    "ASCII": ("a" * 300, "a" * 255),
    "with an extension": ("a" * 300 + ".tar", "a" * 251 + ".tar"),
    "three bytes a character": ("\u6587" * 20_000 + ".txt", "\u6587" * 83 + ".txt"),
    "four bytes a character": ("\N{GRINNING FACE}" * 100, "\N{GRINNING FACE}" * 63),
    "an extension that is too long for one": ("a." + "b" * 300, "a." + "b" * 253),
    "an extension only": ("." + "b" * 300, "." + "b" * 254),
    "a long one with a short extension of many bytes": ("a" * 300 + ".\u6587" * 1, "a" * 251 + ".\u6587"),
    "a dot at the end": ("a" * 300 + ".", "a" * 254 + "."),
}


@pytest.mark.parametrize(("name", "kept"), LONG_NAMES.values(), ids=LONG_NAMES)
def test_a_long_name_keeps_its_beginning_and_its_extension(name: str, kept: str) -> None:
    assert cut_name(name) == kept


@pytest.mark.parametrize(
    "name", ["a", "holiday.mov", "a" * 255, "\u6587" * 85, "a" * 251 + ".txt", ".profile", ""]
)
def test_a_name_that_a_file_system_takes_stays_as_it_is(name: str) -> None:
    assert cut_name(name) == name


texts = st.text(st.sampled_from("a.\u00e9\u6587\N{GRINNING FACE}") | st.characters(), max_size=400)


@same_each_run
@given(texts.filter(lambda name: name not in ("", ".", "..")))
def test_a_name_that_was_cut_is_a_name_still(name: str) -> None:
    kept = cut_name(name)
    assert len(kept.encode("utf-8", "replace")) <= MAX_NAME_BYTES
    assert kept not in ("", ".", "..")
    assert cut_name(kept) == kept
    assert set(kept) <= set(name)


@same_each_run
@given(texts, st.integers(0, 50))
def test_a_text_that_was_cut_is_a_beginning_of_it_and_as_long_as_it_may_be(text: str, max_bytes: int) -> None:
    kept = cut(text, max_bytes)
    assert text.startswith(kept)
    assert len(kept.encode("utf-8", "replace")) <= max_bytes
    if kept != text:
        assert len(text[: len(kept) + 1].encode("utf-8", "replace")) > max_bytes
