"""Addresses and networks: one machine, however it is spelled."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from incoming.core.networks import Networks, address, is_possible_host, network, reached

SPELLINGS = [
    ("127.0.0.1", "127.0.0.1"),
    ("::ffff:127.0.0.1", "127.0.0.1"),
    ("::FFFF:7f00:1", "127.0.0.1"),
    ("2001:0DB8:0:0::5", "2001:db8::5"),
    ("fe80::1%eth0", "fe80::1"),
]


@pytest.mark.parametrize(("text", "meant"), SPELLINGS)
def test_an_address_is_the_same_however_it_is_spelled(text: str, meant: str) -> None:
    assert str(address(text)) == meant


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "2130706433", "1.2.3.4:80", "[::1]", "1.2.3.4/8"])
def test_a_text_that_is_not_an_address_is_none(text: str) -> None:
    assert address(text) is None


def test_an_address_is_in_a_network_however_both_are_spelled() -> None:
    networks = Networks(("10.1.2.3/8", "::ffff:192.0.2.0/120", "fd00::/8", "203.0.113.9"))
    for inside in ("10.9.9.9", "::ffff:10.9.9.9", "192.0.2.77", "fd12::1", "203.0.113.9"):
        assert address(inside) in networks
    for outside in ("11.0.0.1", "192.0.3.1", "fe80::1", "203.0.113.8", "nobody"):
        assert address(outside) not in networks


def test_an_empty_list_of_networks_contains_no_address() -> None:
    assert not Networks(())
    assert address("127.0.0.1") not in Networks(())
    with pytest.raises(ValueError, match="appear to be"):
        network("example.org")


@pytest.mark.parametrize(
    ("called", "gets_to"),
    [
        ("0.0.0.0", "127.0.0.1"),  # Linux connects it to this machine
        ("::", "::1"),
        ("64:ff9b::169.254.169.254", "169.254.169.254"),  # through a NAT64 gateway (RFC 6052)
        ("64:ff9b::", "127.0.0.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_an_address_that_stands_for_another_one_is_resolved(called: str, gets_to: str) -> None:
    found = address(called)
    assert found
    assert reached(found) == address(gets_to)


@pytest.mark.parametrize(
    "host",
    ["localhost", "my_app", "app.example.org", "app.example.org.", "b\u00fccher.example", "127.0.0.1",
     "[::1]", "[fe80::1%25eth0]", "user:word@app", "a" * 63 + ".example"],
)  # fmt: skip
def test_a_host_that_can_exist_is_possible(host: str) -> None:
    assert is_possible_host(urlsplit(f"http://{host}:80/done"))


@pytest.mark.parametrize("host", ["", "a..b", ".example", "a" * 64, "[v1.x]", "user@"])
def test_a_host_that_no_name_server_and_no_network_can_know_is_not_possible(host: str) -> None:
    assert not is_possible_host(urlsplit(f"http://{host}:80/done"))
