"""News as text: what is told is heard, and whatever else comes is no news."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoming.core.errors import (
    HandoverFailed,
    Stopping,
    StorageLost,
    TakenOver,
    UploadCancelled,
    UploadExpired,
)
from incoming.core.news import CalledOff, HandedOver, Interrupted, News, NotHandedOver, WaitingForApp
from incoming.registry.redis.news_messages import Message, decode, encode

texts = st.text(max_size=40)
news_of_all_kinds: st.SearchStrategy[News] = st.one_of(
    st.builds(CalledOff, st.builds(UploadCancelled, texts) | st.builds(UploadExpired)),
    st.builds(HandedOver, st.integers(0, 2**32 - 1)),
    st.builds(WaitingForApp, texts),
    st.builds(NotHandedOver, st.builds(HandoverFailed, texts)),
    st.builds(Interrupted, st.sampled_from([TakenOver(), Stopping(), StorageLost()])),
)


@given(news_of_all_kinds, st.none() | texts)
def test_news_are_the_same_in_another_process(news: News, token: str | None) -> None:
    raw = encode(Message("one", "an upload", token, news))
    assert raw
    heard = decode(raw)
    assert heard
    assert (heard.origin, heard.ticket_id, heard.token) == ("one", "an upload", token)
    assert type(heard.news) is type(news)
    for told, read in ((getattr(news, "error", news), getattr(heard.news, "error", heard.news)),):
        assert (type(told), str(told)) == (type(read), str(read))


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\xff", b"[]", b"1", b"{}", b'{"from": "a", "id": "b", "token": null, "news": "later"}',
        b'{"from": "a", "id": "b", "token": 1, "news": "handed_over", "crc32c": 0}',
        b'{"from": "a", "id": "b", "token": null, "news": "handed_over", "crc32c": "x"}',
        b'{"from": "a", "id": "b", "token": null, "news": "interrupted", "code": "unknown"}',
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_this_version_does_not_know_is_not_news(raw: bytes) -> None:
    assert decode(raw) is None
