"""What docs/how-to/many-machines.md says of Redis, with a real one that is set up like that."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import gevent
import pytest

from incoming.core.errors import StorageFailed
from incoming.core.lifecycle import Cancel, Claim, Told
from incoming.core.news import HandedOver, News
from incoming.core.redis_keys import manifest_key
from incoming.core.ticket import Ticket
from incoming.registry.redis.check import check_server
from incoming.registry.redis.shares import RedisShares
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.runtime.redis_connection import Script, open_redis
from tests.registry.redis.conftest import Process
from tests.support.redis_server import RedisServer, let_greenlets_wait, wait_for_greenlets
from tests.support.server import ROOT
from tests.test_docs import code_blocks

PAGE: Final = ROOT / "docs/how-to/many-machines.md"
ID: Final = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
MANIFEST: Final = Script("""redis.call('HSET', KEYS[1], 'rest', 1, 'p1', 2)
redis.call('HDEL', KEYS[1], 'rest')
return redis.call('EXISTS', KEYS[1]) + #redis.call('HGETALL', KEYS[1])
""")


def documented_lines() -> list[str]:
    """Returns the lines of redis.conf on the page, but for those that need replicas."""
    lines = [line for block in code_blocks(PAGE, "text") for line in block.splitlines()]
    return [line for line in lines if not line.startswith("min-replicas")]


def test_a_user_with_the_documented_rights_can_do_all_that_a_server_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    let_greenlets_wait(monkeypatch)
    with RedisServer(tmp_path / "redis", *documented_lines()) as redis_server:
        url = f"redis://incoming:CHANGE-ME@127.0.0.1:{redis_server.port}/1"
        one, other = Process(url, "one"), Process(url, "other")
        check_server(one.connection)
        assert caplog.text == ""
        registry, leases = one.registry, one.leases
        registry.check()
        registry.add(Ticket(ID, "http://app.example.org/finished"))
        registry.change(ID, Claim(100, "a", token="first"))
        leases.take(ID, "first", 5.0)
        leases.renew(ID, "first", 6.0)
        assert leases.acquire("work", "first", 5.0, now_s=0.0)
        assert one.connection.run(MANIFEST, [manifest_key(ID)], repeat=True) == 3
        registry.change(ID, Cancel("no more"))
        assert len(list(registry.due(0.0))) == 1
        registry.change(ID, Told())
        assert len(list(registry.due(1e9))) == len(list(registry.tickets())) == 1
        assert registry.unfinished("app.example.org") == 0
        assert dict(other.leases.expired(9.0)) == {}
        assert dict(leases.expired(9.0)) == {ID: "first"}
        assert leases.holder(ID) == "first" and leases.release(ID, "first")
        registry.forget(ID)
        shares = RedisShares(one.connection, "one", 60.0)
        assert shares.admit("203.0.113.5", ID, 10, 100)
        shares.keep({ID: ("203.0.113.5", 5)})
        shares.keep({})
        one.clock.tick()
        heard: list[News] = []
        other.news.listen(ID, "first", heard.append)
        for process in (one, other):
            process.news.start()
        wait_for_greenlets(lambda: one.news.is_connected and other.news.is_connected, "both are subscribed")
        one.news.tell(ID, HandedOver(7))
        wait_for_greenlets(lambda: heard, "the news")
        other.leases.take(ID, "second")
        other.instances.leave()
        assert len(one.instances.living()) == 1
        assert dict(leases.expired(9.0)) == {ID: "second"}
        for process in (one, other):
            process.close()
        gevent.sleep(0)
        denied = [entry["object"] for entry in redis_server.client().acl_log()]
        assert set(denied) <= {"client|setinfo"}, "redis-py tells its name to a Redis that lets it"


def test_the_documented_rights_include_each_command_of_each_script() -> None:
    sources = "".join(file.read_text("utf-8") for file in (ROOT / "incoming").rglob("*.py"))
    called = {name.lower() for name in re.findall(r"redis\.p?call\('(\w+)'", sources)}
    [user] = [line for line in documented_lines() if line.startswith("user incoming ")]
    assert len(called) > 15
    assert called <= {word[1:] for word in user.split() if word.startswith("+")}


def test_each_redis_that_a_page_or_a_file_starts_syncs_a_change_before_it_answers() -> None:
    files = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("compose*.yaml")]
    texts = {file.name: file.read_text("utf-8") for file in files}
    keep = {name: text for name, text in texts.items() if re.search(r"^[^`]*appendonly\W+yes", text, re.M)}
    assert set(keep) == {"many-machines.md", "two-servers.md", "compose.scale.yaml"}
    assert all(re.search(r"^[^`]*appendfsync\W+always", text, re.M) for text in keep.values())


def test_a_user_with_the_documented_rights_can_do_nothing_else(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", *documented_lines()) as redis_server:
        url = f"redis://incoming:CHANGE-ME@127.0.0.1:{redis_server.port}"
        connection = open_redis(url, GeventRuntime())
        for command in (
            ("GET", "another"), ("KEYS", "*"), ("FLUSHALL",), ("CONFIG", "GET", "dir"), ("SHUTDOWN",),
            ("EVAL", "return redis.call('get', 'another')", 0), ("PUBLISH", "another", "x"), ("ACL", "LIST"),
        ):  # fmt: skip
            with pytest.raises(StorageFailed) as denied:
                connection.read(*command)
            assert re.search(r"permission|NOPERM|can't access", str(denied.value.__cause__)), command
        connection.close()
