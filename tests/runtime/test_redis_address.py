"""Addresses of Redis: what a setting may say, and what is refused because others could reach it."""

from __future__ import annotations

import pytest

from incoming.core.errors import BadSetting
from incoming.runtime.redis_address import RedisAddress, parse_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://127.0.0.1", RedisAddress((("127.0.0.1", 6379),))),
        ("redis://[::1]:7000/3", RedisAddress((("::1", 7000),), db=3)),
        ("redis://:s%40crt@localhost", RedisAddress((("localhost", 6379),), password="s@crt")),
        (
            "rediss://incoming:secret@redis.example.org/1?ssl_ca_certs=/etc/ca.pem",
            RedisAddress(
                (("redis.example.org", 6379),), 1, True, "incoming", "secret",
                options=(("ssl_ca_certs", "/etc/ca.pem"),),
            ),
        ),
        (
            "redis+sentinel://me:secret@10.0.0.1,10.0.0.2:7001/uploads/2?sentinel_password=other",
            RedisAddress(
                (("10.0.0.1", 26379), ("10.0.0.2", 7001)), 2, False, "me", "secret", "uploads",
                options=(("sentinel_password", "other"),),
            ),
        ),
        ("rediss+sentinel://a/uploads", RedisAddress((("a", 26379),), 0, True, sentinel_name="uploads")),
        (
            "redis+sentinel://a/n?sentinel_password=a+b%20c@d",
            RedisAddress((("a", 26379),), sentinel_name="n", options=(("sentinel_password", "a+b c@d"),)),
        ),
        (
            "unix://:secret@/run/redis.sock?db=2",
            RedisAddress((), 2, password="secret", unix_socket="/run/redis.sock"),
        ),
        ("unix:///run/redis@1.sock", RedisAddress((), unix_socket="/run/redis@1.sock")),
        (
            "redis://in%3Acoming:%2F%3F%23%40%25+%C3%A4@localhost/",
            RedisAddress((("localhost", 6379),), username="in:coming", password="/?#@%+ä"),
        ),
    ],
)  # fmt: skip
def test_an_address_says_which_redis_is_meant(url: str, address: RedisAddress) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://localhost", "begins with none of"),
        ("localhost:6379", "begins with none of"),
        ("redis://", "no host"),
        ("redis://a:b:c", "host or port"),
        ("redis://a:66000", "host or port"),
        ("redis://[::1", "host or port"),
        ("redis://a,b", "several servers"),
        ("redis://a/x", "number"),
        ("redis://a/1/2", "number"),
        ("redis+sentinel://a", "the name that the Sentinels have"),
        ("redis+sentinel://a/n/1/2", "the name that the Sentinels have"),
        ("redis://a?ssl_ca_certs=/x", "unknown option"),
        ("rediss://a?ssl_cert_reqs=none", "unknown option ssl_cert_reqs"),
        ("unix:///run/redis.sock?db=x", "number"),
        ("unix://", "three slashes"),
        ("unix://?db=1", "three slashes"),
        ("unix://run/redis.sock", "three slashes"),
        ("redis://:pass/word@a", "percent-encoded"),
        ("redis://:pass#word@a", "percent-encoded"),
        ("redis://:pass?word@a", "percent-encoded"),
        ("unix://:pass?word@/run/redis.sock", "percent-encoded"),
        ("redis://a/1#2", "percent-encoded"),
    ],
)
def test_a_malformed_address_is_refused_with_a_sentence(url: str, why: str) -> None:
    with pytest.raises(BadSetting, match=why):
        parse_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:hunter2@a/x", "redis://u:hunter2@a:port", "redis+sentinel://u:hunter2@a,b/n/0",
        "redis://u:x/hunter2@a", "redis://u:x?hunter2@a", "redis://u:x#hunter2@a", "unix://u:x?hunter2@/run/a",
        "redis://u:hunter2/x@a", "redis://u:hunter2?x@a", "redis://:hunter2", "redis://:x[hunter2]@a",
    ],
)  # fmt: skip
def test_the_password_is_shown_nowhere(url: str) -> None:
    try:
        address = parse_address(url)
    except BadSetting as exc:
        assert "hunter2" not in str(exc)
    else:
        assert "hunter2" not in f"{address} {address!r}"


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost", "redis://127.3.2.1", "redis://[::1]", "unix:///run/redis.sock",
        "rediss://:secret@redis.example.org", "redis+sentinel://127.0.0.1,localhost/n",
    ],
)  # fmt: skip
def test_a_redis_that_nobody_else_reaches_is_admitted(url: str) -> None:
    parse_address(url).check_exposure()


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis.example.org", "redis://:secret@redis.example.org", "rediss://redis.example.org",
        "redis://10.0.0.1", "redis+sentinel://:secret@localhost,10.0.0.1/n",
    ],
)  # fmt: skip
def test_a_redis_beyond_this_machine_needs_tls_and_a_password(url: str) -> None:
    with pytest.raises(BadSetting, match=r"TLS .*and a password.*redis_insecure"):
        parse_address(url).check_exposure()


def test_the_primary_that_sentinels_name_needs_them_as_well() -> None:
    address = parse_address("redis+sentinel://localhost/n")
    address.check_exposure("127.0.0.1")
    with pytest.raises(BadSetting, match=r"10\.0\.0\.1"):
        address.check_exposure("10.0.0.1")


def test_logs_show_the_servers() -> None:
    assert str(parse_address("redis://:secret@[::1]/2")) == "[::1]:6379"
    assert str(parse_address("redis+sentinel://:s@a,b:1/uploads")) == "uploads of a:26379,b:1"
    assert str(parse_address("unix:///run/redis.sock")) == "/run/redis.sock"
