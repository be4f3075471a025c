"""Connections to a real Redis: over TLS, with Sentinels, with a password, and without the extra."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import gevent
import pytest
import redis

from incoming.core.errors import BadSetting, StorageFailed, StorageFull
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.runtime.redis_connection import RedisConnection, Script, open_redis
from tests.support.certificates import make_certificate
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, Sentinel, let_greenlets_wait, wait_for_greenlets
from tests.support.relay import Relay
from tests.support.server import ROOT

COUNT: Final = Script("return redis.call('INCR', 'incoming:count')")
RUNTIME: Final = GeventRuntime()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis") / "data") as server:
        yield server


@pytest.fixture
def greenlets_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Greenlets that wait for Redis let others run."""
    let_greenlets_wait(monkeypatch)


together = pytest.mark.usefixtures("greenlets_wait")


@pytest.fixture
def opened() -> Iterator[Any]:
    """Opens connections that are closed after the test."""
    with ExitStack() as stack:

        def open_one(url: str, insecure: bool = False) -> RedisConnection:
            connection = open_redis(url, RUNTIME, insecure)
            stack.callback(connection.close)
            return connection

        yield open_one


def test_a_script_runs_also_in_a_redis_that_has_never_seen_it(server: RedisServer, opened: Any) -> None:
    connection = opened(server.url)
    first = connection.run(COUNT, repeat=False)
    server.client().script_flush()
    assert connection.run(COUNT, repeat=False) == first + 1


def test_an_error_in_a_script_is_an_error_of_the_storage_with_its_cause(
    server: RedisServer, opened: Any
) -> None:
    connection = opened(server.url)
    with pytest.raises(StorageFailed) as failed:
        connection.run(Script("return redis.call('INCR')"), repeat=True)
    assert isinstance(failed.value.__cause__, redis.ResponseError)
    assert connection.failures == {"ResponseError": 1}
    assert sum(connection.latency.counts) == 0


def test_a_refusal_that_repeats_while_other_calls_succeed_is_logged_once(
    tmp_path: Path, opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rights = "user limited on >secret ~* &news -@all +ping +get +set +client|setname"
    with RedisServer(tmp_path / "redis", rights) as server:
        connection = opened(f"redis://limited:secret@127.0.0.1:{server.port}")
        server.client().config_set("maxmemory", "1")
        for _ in range(3):
            connection.read("GET", "a")
            for refused in (("HGET", "a", "b"), ("SET", "a", "b")):
                with pytest.raises((StorageFailed, StorageFull)):
                    connection.read(*refused)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2, said
    assert all("refuses a call" in one for one in said)
    assert "hget" in said[0] and "maxmemory" in said[1]


@together
def test_one_fault_that_stops_several_scripts_is_logged_once(
    tmp_path: Path, opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(tmp_path / "redis", "maxmemory 1") as full:
        connection = opened(full.url)
        for name in ("a", "b", "c"):
            with pytest.raises(StorageFull, match="no memory left for its list of uploads"):
                connection.run(Script(f"return redis.call('SET', KEYS[1], '{name}')"), [name], repeat=False)
    [said] = [record.getMessage() for record in caplog.records]
    assert said.endswith("refuses a call: command not allowed when used memory > 'maxmemory'.")


def test_calls_are_measured(server: RedisServer, opened: Any) -> None:
    began_s, connection = time.monotonic(), opened(server.url)
    for _ in range(3):
        connection.read("PING")
    assert sum(connection.latency.counts) == 3
    assert 0.0 < connection.latency.sum_s <= time.monotonic() - began_s


@together
def test_many_callers_share_few_connections(server: RedisServer, opened: Any) -> None:
    connection = opened(server.url)
    calls = [gevent.spawn(connection.run, COUNT, repeat=False) for _ in range(500)]
    gevent.joinall(calls, raise_error=True)
    assert len({call.value for call in calls}) == 500
    assert len(server.client().client_list()) < 50


@together
@pytest.mark.parametrize("repeat", [False, True])
def test_a_call_that_waits_while_the_connection_is_closed_fails_and_is_no_defect(
    tmp_path: Path, opened: Any, caplog: pytest.LogCaptureFixture, repeat: bool
) -> None:
    with RedisServer(tmp_path / "redis") as server:
        connection = opened(server.url)
        connection.read("GET", "a")
        server.freeze()
        calls = [gevent.spawn(connection.run, COUNT, repeat=repeat) for _ in range(3)]
        gevent.sleep(0.1)
        connection.close()
        server.thaw()
        gevent.joinall(calls, timeout=60)
    assert all(call.successful() or isinstance(call.exception, StorageFailed) for call in calls)
    assert "failed" not in caplog.text


@together
def test_connections_that_a_restart_has_cut_are_replaced(tmp_path: Path, opened: Any) -> None:
    with RedisServer(tmp_path / "redis") as server:
        connection = opened(server.url)
        gevent.joinall([gevent.spawn(connection.read, "PING") for _ in range(20)], raise_error=True)
        server.kill()
        server.start()
        gevent.joinall([gevent.spawn(connection.read, "PING") for _ in range(40)], raise_error=True)
        assert not connection.failures


def test_a_redis_that_has_become_a_replica_is_left_for_the_one_that_has_its_address_now(
    tmp_path: Path, opened: Any
) -> None:
    with (
        RedisServer(tmp_path / "before") as before,
        RedisServer(tmp_path / "after") as after,
        Relay(before.port) as address,
    ):
        connection = opened(f"redis://127.0.0.1:{address.port}")
        assert connection.run(COUNT, repeat=False) == 1
        before.client().replicaof("127.0.0.1", after.port)
        with pytest.raises(StorageFailed) as failed:
            connection.run(COUNT, repeat=False)
        assert isinstance(failed.value.__cause__, redis.ReadOnlyError)
        address.target_port = after.port
        assert connection.run(COUNT, repeat=False) == 1


def test_a_wrong_password_is_told_in_the_log_and_never_shown(
    tmp_path: Path, opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(tmp_path / "redis", "requirepass right@one") as server:
        assert opened(f"redis://:right%40one@127.0.0.1:{server.port}").read("PING") == b"PONG"
        for url in (f"redis://:wr0ng@127.0.0.1:{server.port}", server.url):
            with pytest.raises(StorageFailed):
                opened(url).read("PING")
    assert "password" in caplog.text and "wr0ng" not in caplog.text


def test_tls_is_checked_against_the_authority_that_is_named(tmp_path: Path, opened: Any) -> None:
    make_certificate(tmp_path, "localhost", "127.0.0.1")
    tls_port = free_port()
    files = [f"tls-cert-file {tmp_path}/cert.pem", f"tls-key-file {tmp_path}/key.pem"]
    options = [f"tls-port {tls_port}", *files, f"tls-ca-cert-file {tmp_path}/cert.pem", "tls-auth-clients no"]
    with RedisServer(tmp_path / "redis", *options, "requirepass secret"):
        url = f"rediss://:secret@localhost:{tls_port}"
        assert opened(f"{url}?ssl_ca_certs={tmp_path}/cert.pem").read("PING") == b"PONG"
        with pytest.raises(StorageFailed) as failed:
            opened(url).read("PING")
        assert "certificate" in str(failed.value.__cause__)


def test_a_local_socket_is_used(tmp_path: Path, opened: Any) -> None:
    with RedisServer(tmp_path / "redis", f"unixsocket {tmp_path}/redis.sock"):
        assert opened(f"unix://{tmp_path}/redis.sock?db=1").read("PING") == b"PONG"


@together
@pytest.mark.parametrize("has_sentinel", [False, True])
@pytest.mark.parametrize("reads_several", [False, True])
def test_the_answer_to_a_call_that_was_given_up_reaches_no_other_call(
    tmp_path: Path, opened: Any, has_sentinel: bool, reads_several: bool
) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(tmp_path / "redis"))
        url = server.url
        if has_sentinel:
            sentinel = stack.enter_context(Sentinel(tmp_path / "sentinel", server, has_replica=False))
            url = f"redis+sentinel://127.0.0.1:{sentinel.port}/uploads"
        connection = opened(url)
        connection.read("SET", "a", "of a")
        connection.read("SET", "b", "of b")
        server.freeze()
        read = ("GET", "a")
        given_up = [
            gevent.spawn(connection.read_all, [read])
            if reads_several
            else gevent.spawn(connection.read, *read)
            for _ in range(3)
        ]
        gevent.sleep(0.1)
        gevent.killall(given_up)
        others = [gevent.spawn(connection.read, "GET", "b") for _ in range(3)]
        gevent.sleep(0.1)
        server.thaw()
        gevent.joinall(others, raise_error=True)
        assert [other.value for other in others] == [b"of b"] * 3


def test_sentinels_that_do_not_answer_are_told_in_words(
    opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StorageFailed) as failed:
        opened(f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{free_port()}/uploads")
    [told] = caplog.messages
    assert "No master found for 'uploads' : " in told
    assert str(failed.value.__cause__) in told
    assert "<" not in told


@together
def test_the_primary_that_sentinels_have_promoted_is_used_from_then_on(tmp_path: Path, opened: Any) -> None:
    with ExitStack() as stack:
        primary = stack.enter_context(RedisServer(tmp_path / "primary", "repl-diskless-sync-delay 0"))
        replica = RedisServer(tmp_path / "replica", f"replicaof 127.0.0.1 {primary.port}")
        stack.enter_context(replica)
        sentinel = stack.enter_context(Sentinel(tmp_path / "sentinel", primary))
        connection = opened(f"redis+sentinel://127.0.0.1:{sentinel.port}/uploads/0")
        assert connection.primary_host() == "127.0.0.1"
        assert connection.run(COUNT, repeat=False) == 1
        wait_for_greenlets(lambda: replica.client().get("incoming:count") == "1", "the replica has it")
        subscription = connection.subscribe("incoming:news")
        primary.kill()
        with pytest.raises(StorageFailed):
            while True:
                subscription.next_message(1.0)
        subscription.close()

        def works_again() -> bool:
            try:
                return bool(connection.run(COUNT, repeat=False) == 2)
            except StorageFailed:
                return False

        wait_for_greenlets(works_again, "the replica has taken over", deadline_s=60.0)
        subscription = connection.subscribe("incoming:news")
        replica.client().publish("incoming:news", "hello")
        assert wait_for_greenlets(lambda: subscription.next_message(1.0), "a message") == b"hello"
        subscription.close()


def test_a_redis_beyond_this_machine_is_refused_unless_told(opened: Any) -> None:
    with pytest.raises(BadSetting, match="redis_insecure"):
        opened("redis://redis.example.org")
    opened("redis://redis.example.org", insecure=True)


def test_without_redis_py_a_sentence_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "try:\n    import incoming.runtime.redis_connection\n"
        "except Exception as exc:\n    print(type(exc).__name__, exc)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.startswith("BadSetting registry: it needs the Python package redis")
    assert "pip install 'incoming-server[redis]'" in said.stdout
