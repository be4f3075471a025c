"""Base64 as clients write it into headers."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.wire.base64_text import decoded

same_each_run = settings(derandomize=True, deadline=None)


@same_each_run
@given(st.binary(max_size=64))
def test_bytes_come_back_with_padding_and_without(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert decoded(text) == decoded(text.rstrip("=")) == data


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "YWJj=",
        "Y",
        "YQ=",
        "YQ===",
        "=",
        "==",
        "====",
        "Y=Q=",
        "YW Jj",
        "YWJj\n",
        " YWJj",
        "YQ-_",
        "é",
        "*",
    ],
)
def test_any_other_text_is_not_base64(text: str) -> None:
    assert decoded(text) is None


@same_each_run
@given(st.text(max_size=20))
def test_no_text_makes_the_decoder_of_base64_raise(text: str) -> None:
    found = decoded(text)
    assert found is None or text.isascii()
