"""Who counts as one source, and how many connections each of them may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoming.core.client_limits import MAX_TOLD, ClientLimits

PROXY = "10.0.0.1"
BEHIND = [
    # the other end, X-Forwarded-For, the source
    ("203.0.113.5", "", "203.0.113.5"),
    ("::ffff:203.0.113.5", "", "203.0.113.5"),
    ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
    ("2001:db8:1:2::9", "", "2001:db8:1:2::/64"),
    ("203.0.113.5", "192.0.2.1", "203.0.113.5"),  # anybody can say so: only a trusted proxy is believed
    ("127.0.0.1", "", ""),
    ("::1", "192.0.2.1", ""),
    ("", "192.0.2.1", ""),
    (PROXY, "", ""),
    (PROXY, "192.0.2.1", "192.0.2.1"),
    (PROXY, "192.0.2.1:4711", "192.0.2.1"),
    (PROXY, "[2001:db8::1]:4711", "2001:db8::/64"),
    (PROXY, "198.51.100.1, 192.0.2.1", "192.0.2.1"),  # what the client has sent itself stands before
    (PROXY, "198.51.100.1, 192.0.2.1, 10.0.0.2", "192.0.2.1"),  # two proxies of ours
    (PROXY, "10.0.0.3,10.0.0.2", ""),
    (PROXY, "unknown", ""),
    (PROXY, "192.0.2.1, , ", "192.0.2.1"),
    (PROXY, "127.0.0.1", ""),
]


@pytest.mark.parametrize(("remote", "forwarded_for", "source"), BEHIND)
def test_a_source_is_who_connects_or_whom_a_trusted_proxy_names(
    remote: str, forwarded_for: str, source: str
) -> None:
    sources = ClientLimits(("10.0.0.0/8",), 5)
    assert sources.source_behind(remote, forwarded_for) == source
    assert sources.source_of({"REMOTE_ADDR": remote, "HTTP_X_FORWARDED_FOR": forwarded_for}) == source


@given(st.text(alphabet="0123456789abcdef.:[],% \tunknow", max_size=60))
def test_whatever_stands_in_the_header_nothing_breaks_and_no_trusted_proxy_is_counted(text: str) -> None:
    assert not ClientLimits(("10.0.0.0/8",), 5).source_behind(PROXY, text).startswith("10.")


def test_no_source_has_more_connections_than_it_may() -> None:
    sources = ClientLimits((), 2)
    assert [sources.admit("a"), sources.admit("a"), sources.admit("a")] == [True, True, False]
    assert sources.admit("b")
    sources.leave("a")
    assert [sources.admit("a"), sources.admit("a")] == [True, False]
    assert "the limit is 2" in str(sources.refusal)


def test_who_is_not_counted_may_have_any_number() -> None:
    sources = ClientLimits((), 1)
    for _ in range(3):
        assert sources.admit("")
    sources.leave("")
    unlimited = ClientLimits((), 0)
    for _ in range(3):
        assert unlimited.admit("a")
    unlimited.leave("a")


def test_connections_to_other_processes_count() -> None:
    elsewhere = {"a": 2}
    sources = ClientLimits((), 3, lambda source: elsewhere.get(source, 0))
    assert [sources.admit("a"), sources.admit("a")] == [True, False]
    assert [sources.admit("b") for _ in range(4)] == [True, True, True, False]
    elsewhere["a"] = 0
    assert sources.admit("a")


def test_other_processes_are_told_of_sources_that_have_many_connections() -> None:
    sources = ClientLimits((), 100)
    for source, count in {"many": 30, "some": 13, "few": 12}.items():
        for _ in range(count):
            sources.admit(source)
    assert sources.busiest(1) == {"many": 30}
    assert sources.busiest(2) == {"many": 30, "some": 13, "few": 12}
    assert sources.busiest(0) == {"many": 30}
    assert ClientLimits((), 0).busiest(2) == {}


def test_where_few_connections_are_allowed_each_one_is_told_up_to_a_number_of_sources() -> None:
    sources = ClientLimits((), 3)
    for number in range(MAX_TOLD + 5):
        sources.admit(f"source {number}")
    sources.admit("source 3")
    told = sources.busiest(2)
    assert len(told) == MAX_TOLD
    assert told["source 3"] == 2
