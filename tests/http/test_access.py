"""Who may use the backend routes: this machine, allowed addresses, holders of a token; no proxy, no page."""

from __future__ import annotations

import base64

import pytest

from incoming.core.errors import NotAllowed, SignInNeeded
from incoming.http.access import BackendAccess

SERVER = "192.0.2.10"
TOKEN = "t0ken"


def admits(
    client: str, *, server: str = SERVER, allowed: tuple[str, ...] = (), token: str = "", **headers: str
) -> bool:
    """True when this client may use the backend routes."""
    called = {"HTTP_HOST": "incoming:4000", "SERVER_PORT": "4000"}
    environ: dict[str, object] = {"REMOTE_ADDR": client, **called, **headers}
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


@pytest.mark.parametrize("remote", ["", "b''", None, "0.0.0.0", "::"])
@pytest.mark.parametrize("allowed", [(), ("0.0.0.0/0", "::/0")])
def test_a_caller_over_a_unix_socket_needs_the_token_and_hears_so(
    remote: str | None, allowed: tuple[str, ...]
) -> None:
    """A proxy behind the socket looks the same."""
    environ = {"HTTP_HOST": "localhost"} if remote is None else {"REMOTE_ADDR": remote}
    for server in (SERVER, ""):
        for check in (BackendAccess(allowed, "").check, BackendAccess(allowed, TOKEN).check):
            with pytest.raises(NotAllowed, match=r"used a Unix socket.*Set backend_token.*Bearer TOKEN"):
                check(environ, server)
        environ_with_token = {**environ, "HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}
        BackendAccess(allowed, TOKEN).check(environ_with_token, server)
    with pytest.raises(NotAllowed, match="used a Unix socket"):
        BackendAccess(allowed, "").check_reading({"HTTP_HOST": "localhost", **environ}, SERVER)


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
    *("HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP", "HTTP_CLIENT_IP", "HTTP_TRUE_CLIENT_IP", "HTTP_CF_CONNECTING_IP"),
    *("HTTP_X_REQUEST_ID", "HTTP_X_SCHEME", "HTTP_X_ORIGINAL_URI", "HTTP_X_AMZN_OIDC_DATA", "HTTP_CDN_LOOP"),
    *("HTTP_X_ENVOY_ATTEMPT_COUNT", "HTTP_X_VARNISH", "HTTP_FRONT_END_HTTPS", "HTTP_REMOTE_USER", "HTTP_X"),
    *("HTTP_MAX_FORWARDS", "HTTP_PROXY_AUTHORIZATION", "HTTP_PROXY_CONNECTION", "HTTP_SSL_CLIENT_CERT"),
]
NOT_OF_A_PROXY = ("HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE")


@pytest.mark.parametrize("header", SIGNS)
@pytest.mark.parametrize("value", ["127.0.0.1", ""])
def test_a_sign_of_a_proxy_or_a_page_is_refused_even_from_this_machine(header: str, value: str) -> None:
    with pytest.raises(NotAllowed, match="a proxy or from a web page") as refused:
        BackendAccess(("127.0.0.1",), "").check({"REMOTE_ADDR": "127.0.0.1", header: value}, "127.0.0.1")
    assert header.removeprefix("HTTP_").replace("_", "-").lower() in str(refused.value)
    assert "Authorization: Bearer TOKEN" in str(refused.value)


@pytest.mark.parametrize(
    "host", ["example.org", "example.org:4000", "203.0.113.5", "incoming", "incoming:80", "a b", ""]
)
def test_a_host_of_somebody_else_is_refused_even_from_this_machine(host: str) -> None:
    with pytest.raises(NotAllowed, match="not this server's own") as refused:
        environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": host, "SERVER_PORT": "4000"}
        BackendAccess((), "").check(environ, "127.0.0.1")
    assert f"The host {host} " in str(refused.value)
    assert "backend_hosts" in str(refused.value)
    assert "Authorization: Bearer TOKEN" in str(refused.value)


def test_a_host_that_a_setting_names_is_the_servers_own() -> None:
    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "Uploads.internal:80", "SERVER_PORT": "4000"}
    BackendAccess((), "", (), ("uploads.internal",)).check(environ, "127.0.0.1")


def test_a_request_of_http_1_0_may_have_no_host() -> None:
    BackendAccess((), "").check({"REMOTE_ADDR": "127.0.0.1"}, "127.0.0.1")


def test_what_a_stranger_sends_stands_in_a_refusal_short_and_without_controls() -> None:
    for environ in ({"HTTP_" + "A" * 5000: ""}, {"HTTP_HOST": "\x1b[2J" + "\xfc" * 5000}):
        with pytest.raises(NotAllowed) as refused:
            BackendAccess((), "").check({"REMOTE_ADDR": "127.0.0.1", **environ}, "127.0.0.1")
        assert len(str(refused.value)) < 500
        assert str(refused.value).isascii() and str(refused.value).isprintable()


def test_headers_that_only_look_alike_are_no_sign() -> None:
    assert admits("127.0.0.1", X_FORWARDED_FOR="1", CONTENT_TYPE="text/plain", wsgi_x="1")


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


# --- reading: people in browsers, and programs, may see what goes on ------------------------------------

HERE = "127.0.0.1"
FAR = "203.0.113.5"
NO_TOKEN = BackendAccess((), "")
WITH_TOKEN = BackendAccess((), TOKEN)
NAME = "uploads.example.org"
OWN_PAGE = {"HTTP_SEC_FETCH_SITE": "same-origin"}
Headers = dict[str, str]


def may_read(
    rule: BackendAccess, headers: Headers | None = None, client: str = HERE, server: str = HERE
) -> str:
    """Returns yes, no, or "sign in"."""
    environ = {"REMOTE_ADDR": client, "HTTP_HOST": "localhost:4000", **(headers or {})}
    try:
        rule.check_reading(environ, server)
    except SignInNeeded:
        return "sign in"
    except NotAllowed:
        return "no"
    return "yes"


def basic(password: str, user: str = "ann", scheme: str = "Basic") -> Headers:
    """Returns what a browser sends when somebody has signed in."""
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"HTTP_AUTHORIZATION": f"{scheme} {credentials}"}


@pytest.mark.parametrize(
    ("site", "answer"),
    [
        ("none", "yes"),
        ("same-origin", "yes"),
        ("same-site", "no"),  # another port of this machine is the same site
        ("cross-site", "no"),
        ("", "no"),
        ("None", "no"),
        ("none, cross-site", "no"),
    ],
)
def test_our_own_page_and_typed_addresses_may_read_and_other_pages_may_not(site: str, answer: str) -> None:
    for rule in (NO_TOKEN, WITH_TOKEN):
        assert may_read(rule, {"HTTP_SEC_FETCH_SITE": site}) == answer


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:4000", ""])
def test_a_request_with_an_origin_is_another_pages(origin: str) -> None:
    assert may_read(NO_TOKEN, {"HTTP_ORIGIN": origin}) == "no"
    assert may_read(NO_TOKEN, {"HTTP_ORIGIN": origin, **OWN_PAGE}) == "no"


def test_a_program_on_this_machine_may_read_and_one_elsewhere_may_not() -> None:
    allowed = BackendAccess(("10.0.0.0/8",), "")
    assert may_read(NO_TOKEN) == "yes"
    assert may_read(NO_TOKEN, client=SERVER, server=SERVER) == "yes"
    assert may_read(NO_TOKEN, client="192.0.2.11", server=SERVER) == "no"
    assert may_read(allowed, client="10.0.0.1", server=SERVER) == "yes"
    assert may_read(allowed) == "no"


OUR_NAMES = [
    *("localhost", "localhost:4000", "LOCALHOST:4000", "127.0.0.1:4000", SERVER, "[::1]:4000"),
    *("[2001:db8::5]", "[::ffff:127.0.0.1]", NAME, "Uploads.Example.org:8443"),
]
OTHER_NAMES = [
    *("evil.example:4000", "example.org", f"x.{NAME}", "localhost.evil.example", "127.0.0.1.evil.example"),
    *("evil.localhost", "localhost.", "", ":4000", "[]", "[localhost]", "localhost:", "localhost:x", "::1"),
    *("a@localhost", "localhost/x", "localhost evil", "localhost,evil", "2130706433", "localhost\n"),
    *("l\u00f6calhost", "\uff11\uff12\uff17.0.0.1"),
]


@pytest.mark.parametrize(
    ("host", "answer"), [*((name, "yes") for name in OUR_NAMES), *((name, "no") for name in OTHER_NAMES)]
)
def test_a_name_that_is_pointed_at_this_machine_opens_nothing(host: str, answer: str) -> None:
    """DNS rebinding: such a page is at home, and its requests look like those of a program."""
    for headers in ({}, OWN_PAGE):
        assert may_read(BackendAccess((), "", (NAME,)), {"HTTP_HOST": host, **headers}) == answer


def test_a_request_without_a_host_is_refused() -> None:
    with pytest.raises(NotAllowed, match="status_hosts"):
        NO_TOKEN.check_reading({"REMOTE_ADDR": HERE}, HERE)


PROXY_SIGNS = [name for name in SIGNS if name not in NOT_OF_A_PROXY]


@pytest.mark.parametrize("header", PROXY_SIGNS)
def test_a_request_through_a_proxy_needs_the_token(header: str) -> None:
    sign = {header: HERE}
    assert may_read(NO_TOKEN, sign) == "no"
    assert may_read(WITH_TOKEN, sign) == "sign in"
    assert may_read(WITH_TOKEN, {**sign, "HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}) == "yes"
    assert may_read(WITH_TOKEN, {**sign, **basic(TOKEN)}) == "yes"


@pytest.mark.parametrize(
    ("rule", "site", "answer"),
    [
        (NO_TOKEN, "none", "no"),
        (WITH_TOKEN, "none", "sign in"),
        (WITH_TOKEN, "same-origin", "sign in"),
        (WITH_TOKEN, "cross-site", "no"),
    ],
)
def test_a_person_is_asked_to_sign_in_only_where_that_helps(
    rule: BackendAccess, site: str, answer: str
) -> None:
    assert may_read(rule, {"HTTP_HOST": NAME, "HTTP_SEC_FETCH_SITE": site}, FAR, SERVER) == answer


RIGHT = [basic(TOKEN), basic(TOKEN, user=""), basic(TOKEN, scheme="bAsIc")]
WRONG = [
    *(basic("wrong"), basic(""), basic(f"{TOKEN}:{TOKEN}"), basic(TOKEN, scheme="Digest")),
    *({"HTTP_AUTHORIZATION": text} for text in (f"Basic {TOKEN}", "Basic ", "Basic \u00fc", "Basic")),
    {"HTTP_AUTHORIZATION": f"Basic {base64.b64encode(TOKEN.encode()).decode()}"},
]


@pytest.mark.parametrize(
    ("signed_in", "answer"), [*((one, "yes") for one in RIGHT), *((one, "sign in") for one in WRONG)]
)
def test_the_token_is_the_password_of_any_user(signed_in: Headers, answer: str) -> None:
    for headers in ({}, OWN_PAGE):
        assert may_read(WITH_TOKEN, {"HTTP_HOST": NAME, **signed_in, **headers}, FAR, SERVER) == answer


def test_a_token_of_any_letters_is_a_password_too() -> None:
    assert may_read(BackendAccess((), "t\u00f6k\u00e9n"), basic("t\u00f6k\u00e9n"), FAR) == "yes"


def test_where_no_token_is_set_no_password_is_right() -> None:
    assert may_read(NO_TOKEN, basic(""), FAR) == "no"


def test_another_page_can_not_use_the_password_that_a_browser_keeps() -> None:
    for sign in ({"HTTP_SEC_FETCH_SITE": "cross-site"}, {"HTTP_ORIGIN": "http://evil.example"}):
        assert may_read(WITH_TOKEN, {**basic(TOKEN), **sign}) == "no"


def test_the_password_of_the_status_page_does_not_open_the_backend_routes() -> None:
    for headers, client in ((basic(TOKEN), FAR), ({**basic(TOKEN), **OWN_PAGE}, HERE)):
        with pytest.raises(NotAllowed):
            WITH_TOKEN.check({"REMOTE_ADDR": client, "HTTP_HOST": "localhost", **headers}, HERE)
