"""Who may use the backend routes: this machine, allowed addresses, holders of a token; no proxy, no page."""

from __future__ import annotations

import pytest

from incoming.access import BackendAccess
from incoming.errors import NotAllowed

SERVER = "192.0.2.10"
TOKEN = "t0ken"


def admits(
    client: str, *, server: str = SERVER, allowed: tuple[str, ...] = (), token: str = "", **headers: str
) -> bool:
    """True when this client may use the backend routes."""
    environ: dict[str, object] = {"REMOTE_ADDR": client, "HTTP_HOST": "incoming", **headers}
    try:
        BackendAccess(allowed, token).check(environ, server)
    except NotAllowed:
        return False
    return True


THIS_MACHINE = [
    # the client's address, the server's end of the connection, admitted?
    ("127.0.0.1", "127.0.0.1", True),
    ("127.8.9.10", "127.0.0.1", True),
    ("::1", "::1", True),
    ("::ffff:127.0.0.1", "::ffff:127.0.0.1", True),  # an IPv4 client of an IPv6 socket
    (SERVER, SERVER, True),
    (f"::ffff:{SERVER}", f"::ffff:{SERVER}", True),
    (f"::ffff:{SERVER}", SERVER, True),
    ("2001:db8::5", "2001:0db8:0:0::5", True),
    ("fe80::1%eth0", "fe80::1", True),
    ("192.0.2.11", SERVER, False),
    ("10.0.0.1", SERVER, False),  # a private network is not this machine
    ("2001:db8::6", "2001:db8::5", False),
    ("::ffff:10.0.0.1", SERVER, False),
    ("0.0.0.0", SERVER, False),
    ("", "", False),
    ("", SERVER, False),
    ("nonsense", "nonsense", False),
    ("192.0.2.11", "", False),
    ("127.0.0.1", "", True),
]


@pytest.mark.parametrize(("client", "server", "admitted"), THIS_MACHINE)
def test_by_default_only_this_machine_is_admitted(client: str, server: str, admitted: bool) -> None:
    assert admits(client, server=server) is admitted


def test_a_request_without_an_address_is_refused() -> None:
    with pytest.raises(NotAllowed, match="not open to this address"):
        BackendAccess((), "").check({}, SERVER)


ALLOWED = [
    (("10.0.0.1",), "10.0.0.1", True),
    (("10.0.0.1",), "10.0.0.2", False),
    (("10.0.0.0/8",), "10.255.0.1", True),
    (("10.9.9.9/8",), "10.0.0.1", True),  # any address of a network names it
    (("10.0.0.0/8",), "11.0.0.1", False),
    (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
    (("10.0.0.0/8", "fd00::/8"), "fd12::1", True),
    (("10.0.0.0/8", "fd00::/8"), "fe00::1", False),
    (("10.0.0.0/8",), "127.0.0.1", False),  # a list replaces the default
    (("10.0.0.0/8",), SERVER, False),
    (("0.0.0.0/0",), "2001:db8::1", False),
    (("0.0.0.0/0",), "nonsense", False),
]


@pytest.mark.parametrize(("allowed", "client", "admitted"), ALLOWED)
def test_a_list_of_addresses_and_networks_says_who_is_admitted(
    allowed: tuple[str, ...], client: str, admitted: bool
) -> None:
    assert admits(client, allowed=allowed) is admitted


SIGNS = [
    *("HTTP_FORWARDED", "HTTP_VIA", "HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE"),
    *("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_"),
]


@pytest.mark.parametrize("header", SIGNS)
@pytest.mark.parametrize("value", ["127.0.0.1", "null", "none", ""])
def test_a_sign_of_a_proxy_or_a_page_is_refused_even_from_this_machine(header: str, value: str) -> None:
    with pytest.raises(NotAllowed, match="a proxy or from a web page"):
        BackendAccess(("127.0.0.1",), "").check({"REMOTE_ADDR": "127.0.0.1", header: value}, "127.0.0.1")


def test_headers_that_only_look_alike_are_no_sign() -> None:
    assert admits("127.0.0.1", HTTP_X_FORWARD="1", HTTP_ORIGINAL="1", X_FORWARDED_FOR="1")


@pytest.mark.parametrize(
    ("token", "authorization", "admitted"),
    [
        (TOKEN, "Bearer t0ken", True),
        (TOKEN, "Bearer T0ken", False),
        (TOKEN, "Bearer t0ke", False),
        (TOKEN, "Bearer t0kenn", False),
        (TOKEN, "Bearer ", False),
        (TOKEN, "Basic t0ken", False),
        (TOKEN, "t0ken", False),
        (TOKEN, "", False),
        (TOKEN, "Bearer tökén", False),
        ("", "Bearer ", False),  # no token is set: none is right
        ("", "", False),
    ],
)
def test_the_token_opens_the_routes_to_any_caller(token: str, authorization: str, admitted: bool) -> None:
    assert admits("203.0.113.5", token=token, HTTP_AUTHORIZATION=authorization) is admitted
    through_a_proxy = admits(
        "127.0.0.1", token=token, HTTP_AUTHORIZATION=authorization, HTTP_X_FORWARDED_FOR="203.0.113.5"
    )
    assert through_a_proxy is admitted


def test_a_token_closes_the_routes_to_nobody_else() -> None:
    assert admits("127.0.0.1", token=TOKEN)
    assert admits("127.0.0.1", token=TOKEN, HTTP_AUTHORIZATION="Bearer wrong")
    assert not admits("10.0.0.1", token=TOKEN)


def test_a_token_may_have_any_letters() -> None:
    sent_as_utf_8 = "Bearer tökén".encode().decode("latin-1")
    assert admits("203.0.113.5", token="tökén", HTTP_AUTHORIZATION=sent_as_utf_8)


def test_an_allowed_address_may_be_written_as_an_ipv4_mapped_one() -> None:
    assert admits("::ffff:10.0.0.1", allowed=("::ffff:10.0.0.1",))
