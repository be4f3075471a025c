"""News between processes: quick, told once, and heard again after Redis was away."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

import gevent
import pytest

from incoming.core.errors import TakenOver
from incoming.core.news import HandedOver, Interrupted, News
from incoming.registry.redis import news as news_module
from incoming.registry.redis import scripts
from tests.registry.redis.conftest import NewProcess, Process
from tests.support.cpu_waits import Stopwatch
from tests.support.redis_server import RedisServer, wait_for_greenlets

ID: Final = "an upload"


def connected(*processes: Process) -> None:
    """Returns once these processes hear the news."""
    for process in processes:
        process.news.start()
    for process in processes:
        wait_for_greenlets(partial(getattr, process.news, "is_connected"), "the channel is subscribed")


def test_a_takeover_is_told_to_the_process_that_had_the_upload(
    redis_server: RedisServer, new_process: NewProcess
) -> None:
    old, new = new_process("old"), new_process("new")
    connected(old, new)
    took_s: list[float] = []
    for number in range(50):
        heard: list[News] = []
        old.news.listen(ID, f"old {number}", heard.append)
        stopwatch = Stopwatch(redis_server.pid)
        new.news.tell(ID, Interrupted(TakenOver()), f"old {number}")
        wait_for_greenlets(partial(bool, heard), "the old claim hears of it")
        took_s.append(stopwatch.worked_s())
        [news] = heard
        assert isinstance(news, Interrupted) and isinstance(news.error, TakenOver)
        old.news.ignore(ID, f"old {number}")
    assert sorted(took_s)[25] < 0.05, "median"


def test_news_are_told_once_in_each_process(new_process: NewProcess) -> None:
    one, other = new_process("one"), new_process("other")
    connected(one, other)
    heard: dict[str, list[News]] = {"one": [], "other": [], "last": []}
    one.news.listen(ID, "a", heard["one"].append)
    other.news.listen(ID, "b", heard["other"].append)
    one.news.listen("last", "", heard["last"].append)
    of_others: dict[str, list[tuple[str, News]]] = {"one": [], "other": []}
    for name, process in (("one", one), ("other", other)):
        process.news.listen_to_others(lambda *told, name=name: of_others[name].append(told))
    one.news.tell(ID, HandedOver(7))
    one.news.tell(ID, HandedOver(8), "a")
    other.news.tell("last", HandedOver())
    wait_for_greenlets(partial(bool, heard["last"]), "the last news")
    wait_for_greenlets(partial(bool, heard["other"]), "the news")
    assert (heard["one"], heard["other"]) == ([HandedOver(7), HandedOver(8)], [HandedOver(7)])
    assert of_others == {"one": [("last", HandedOver())], "other": [(ID, HandedOver(7))]}


def test_a_process_hears_again_after_redis_was_killed_and_knows_that_it_missed_some(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        one, other = Process(server.url, "one"), Process(server.url, "other")
        connected(one, other)
        heard: list[News] = []
        other.news.listen(ID, "a", heard.append)
        assert (one.gaps, other.gaps) == ([], [])
        server.kill()
        wait_for_greenlets(
            lambda: not (one.news.is_connected or other.news.is_connected), "both have noticed"
        )
        server.start()
        connected_again = [partial(getattr, process.news, "is_connected") for process in (one, other)]
        wait_for_greenlets(lambda: all(is_connected() for is_connected in connected_again), "both are back")
        wait_for_greenlets(lambda: one.gaps and other.gaps, "both know of the gap")
        one.news.tell(ID, HandedOver(7))
        wait_for_greenlets(partial(bool, heard), "the news")
        assert heard == [HandedOver(7)]
        for process in (one, other):
            process.close()


def test_what_is_told_while_redis_is_away_comes_later(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        one, other = Process(server.url, "one"), Process(server.url, "other")
        connected(other)
        heard: list[News] = []
        other.news.listen(ID, "a", heard.append)
        server.kill()
        for number in range(300):
            one.news.tell(ID, HandedOver(number))
        one.news.start()
        server.start()
        wait_for_greenlets(lambda: other.gaps, "it has subscribed again")
        wait_for_greenlets(lambda: one.news.is_connected, "the other one, too")
        one.news.tell(ID, HandedOver(999))
        wait_for_greenlets(lambda: HandedOver(999) in heard, "the last news")
        assert [news.crc32c for news in heard if isinstance(news, HandedOver)] == sorted(
            {news.crc32c for news in heard if isinstance(news, HandedOver)}
        ), "in order, and none twice"
        for process in (one, other):
            process.close()


def test_a_redis_that_is_away_for_long_takes_no_memory_without_bound(
    new_process: NewProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = new_process("one")
    monkeypatch.setattr(news_module, "RETRY_S", 0.01)
    for number in range(news_module.MAX_WAITING_NEWS + 100):
        process.news.tell(ID, HandedOver(number))
    assert len(process.news._waiting) == news_module.MAX_WAITING_NEWS


def test_a_silent_connection_is_given_up(
    redis_server: RedisServer, new_process: NewProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incoming.runtime.redis_connection.PING_INTERVAL_S", 0.1)
    monkeypatch.setattr("incoming.runtime.redis_connection.SILENCE_LIMIT_S", 3.0)
    monkeypatch.setattr(news_module, "READ_WAIT_S", 0.1)
    process = new_process("one")
    connected(process)
    gevent.sleep(4.0)
    assert process.news.is_connected, "answers to pings are signs of life"
    assert not process.gaps
    redis_server.freeze()
    try:
        wait_for_greenlets(lambda: not process.news.is_connected, "the silence is noticed")
    finally:
        redis_server.thaw()
    wait_for_greenlets(lambda: process.gaps, "it is subscribed again")


@pytest.mark.parametrize("is_away", [False, True])
def test_closing_is_silent_and_publishes_what_waits(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], is_away: bool
) -> None:
    with RedisServer(tmp_path / "redis") as server:
        one, other = Process(server.url, "one"), Process(server.url, "other")
        connected(one, other)
        heard: list[News] = []
        other.news.listen(ID, "a", heard.append)
        for number in range(250):
            one.news.tell(ID, HandedOver(number))
        if is_away:
            server.kill()
        one.close()
        if not is_away:
            wait_for_greenlets(lambda: len(heard) >= 250, "all news")
            assert heard == [HandedOver(number) for number in range(250)]
        other.close()
        gevent.sleep(0.05)
        assert not one.news.is_connected
    assert "Error" not in capfd.readouterr().err


def test_rubbish_in_the_channel_harms_nobody(redis_server: RedisServer, new_process: NewProcess) -> None:
    one, other = new_process("one"), new_process("other")
    connected(one, other)
    heard: list[News] = []
    other.news.listen(ID, "a", heard.append)
    redis_server.client().publish(scripts.NEWS, "rubbish")
    one.news.tell(ID, HandedOver(7))
    wait_for_greenlets(partial(bool, heard), "the news")
