"""Who holds which ticket: the newest claim, and nobody writes after it was lost."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from incoming.core.errors import Stopping, TakenOver, UploadCancelled
from incoming.core.news import CalledOff, HandedOver, Interrupted, News
from incoming.core.ticket import Ticket
from incoming.storage import Writer
from incoming.uploads.claims import ClaimedUpload, Claims, Ending, new_token
from tests.support.fakes import FakeRuntime
from tests.support.uploads import House

ID = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
TICKET = Ticket(ID, "http://app.example.org/finished")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def runtime(house: House) -> FakeRuntime:
    return house.runtime


@pytest.fixture
def claims(house: House) -> Claims:
    return Claims(house.context)


def claim_for(heard: list[News], ticket_id: str = ID) -> ClaimedUpload:
    ticket = Ticket(ticket_id, TICKET.signal_finish_url, token=new_token())
    return ClaimedUpload(ticket, 0, heard.append)


def hand_to(claims: Claims, claim: ClaimedUpload | None, news: Ending | None = None, to: str = ID) -> None:
    with claims.lock(to) as live:
        claims.hand_to(live, claim, news)


def test_a_claim_that_was_not_lost_is_good() -> None:
    claim_for([]).check()


def test_the_newest_claim_wins_and_the_one_before_hears_why(claims: Claims, runtime: FakeRuntime) -> None:
    heard: list[News] = []
    first, second = claim_for(heard), claim_for([])
    hand_to(claims, first)
    hand_to(claims, second, Interrupted(TakenOver()))
    runtime.settle()
    assert [type(news) for news in heard] == [Interrupted]
    with pytest.raises(TakenOver):
        first.check()
    second.check()


def test_a_claim_is_lost_before_its_connection_hears_of_it(claims: Claims, runtime: FakeRuntime) -> None:
    heard: list[News] = []
    first = claim_for(heard)
    hand_to(claims, first)
    hand_to(claims, None, CalledOff(UploadCancelled()))
    assert heard == []
    with pytest.raises(UploadCancelled):
        first.check()
    runtime.settle()
    assert len(heard) == 1


def test_a_slow_connection_does_not_keep_the_new_one_waiting(claims: Claims, runtime: FakeRuntime) -> None:
    def slow(news: News) -> None:
        runtime.sleep(3600)

    hand_to(claims, ClaimedUpload(TICKET, 0, slow))
    second = claim_for([])
    hand_to(claims, second, Interrupted(TakenOver()))
    runtime.settle()
    with claims.lock(ID) as live:
        assert live.holder is second


def test_handing_on_without_news_tells_nobody(claims: Claims, runtime: FakeRuntime) -> None:
    heard: list[News] = []
    hand_to(claims, claim_for(heard))
    hand_to(claims, None)
    runtime.settle()
    assert heard == []


def test_news_reach_the_holder_and_nobody_else(claims: Claims, runtime: FakeRuntime) -> None:
    mine: list[News] = []
    others: list[News] = []
    hand_to(claims, claim_for(mine))
    hand_to(claims, claim_for(others, "other"), to="other")
    claims.tell(ID, HandedOver())
    claims.tell("unknown", HandedOver())
    runtime.settle()
    assert (mine, others) == ([HandedOver()], [])


def test_the_end_of_an_upload_reaches_those_who_watch_it_too(house: House, runtime: FakeRuntime) -> None:
    claims, mine, watcher = Claims(house.context), list[News](), list[News]()
    end = CalledOff(UploadCancelled())
    house.context.news.listen(ID, "watcher", watcher.append)
    hand_to(claims, claim_for(mine))
    hand_to(claims, None, end)
    runtime.settle()
    assert (mine, watcher) == ([end], [end])


def test_who_holds_what_and_how_far_it_is_can_be_asked_without_waiting(claims: Claims) -> None:
    assert not claims.is_held(ID)
    with claims.lock(ID) as live:
        assert not claims.is_held(ID)
        claims.hand_to(live, claim_for([]))
        assert claims.is_held(ID)
        assert claims.offsets() == {}
        live.writer = cast(Writer, SimpleNamespace(durable_offset=7))
    assert claims.offsets() == {ID: 7}


def test_what_has_moved_is_told_once_and_only_while_it_is_open(claims: Claims) -> None:
    with claims.lock(ID) as live:
        claims.hand_to(live, claim_for([]))
        live.writer = cast(Writer, SimpleNamespace(durable_offset=7, close=lambda: None))
        claims.moved(ID, live, 5.0)
        assert claims.moved_at_s(ID) == 5.0
        assert claims.take_moved() == {ID: 7}
        assert claims.take_moved() == {}
        claims.moved(ID, live, 6.0)
        live.close()
        assert claims.take_moved() == {}
        assert claims.moved_at_s(ID) is None


def test_all_clients_hear_that_the_server_stops(claims: Claims, runtime: FakeRuntime) -> None:
    mine: list[News] = []
    others: list[News] = []
    hand_to(claims, claim_for(mine))
    hand_to(claims, claim_for(others, "other"), to="other")
    claims.stop()
    runtime.settle()
    for (news,) in (mine, others):
        assert isinstance(news, Interrupted)
        assert isinstance(news.error, Stopping)


def test_news_for_nobody_are_no_error(claims: Claims, runtime: FakeRuntime) -> None:
    with claims.lock(ID):
        claims.tell(ID, HandedOver())
    runtime.settle()


def test_one_at_a_time_has_an_upload(claims: Claims, runtime: FakeRuntime) -> None:
    order: list[str] = []

    def use(name: str) -> None:
        with claims.lock(ID):
            order.append(f"{name} in")
            runtime.sleep(1)
            order.append(f"{name} out")

    runtime.spawn(use, "a")
    runtime.spawn(use, "b")
    runtime.advance(5)
    assert order == ["a in", "a out", "b in", "b out"]


def test_two_uploads_do_not_wait_for_each_other(claims: Claims, runtime: FakeRuntime) -> None:
    order: list[str] = []

    def use(name: str) -> None:
        with claims.lock(name):
            order.append(f"{name} in")
            runtime.sleep(1)
            order.append(f"{name} out")

    runtime.spawn(use, "a")
    runtime.spawn(use, "b")
    runtime.advance(5)
    assert order == ["a in", "b in", "a out", "b out"]


def test_a_lock_is_free_again_after_an_error(claims: Claims) -> None:
    with pytest.raises(ZeroDivisionError), claims.lock(ID):
        raise ZeroDivisionError
    with claims.lock(ID):
        pass


def test_an_upload_that_nobody_holds_takes_no_memory(claims: Claims) -> None:
    with claims.lock(ID):
        assert claims.count() == 1
    assert claims.count() == 0
    hand_to(claims, claim_for([]))
    assert claims.count() == 1
    hand_to(claims, None)
    assert claims.count() == 0


def test_an_upload_is_remembered_while_somebody_waits_for_it(claims: Claims, runtime: FakeRuntime) -> None:
    claim = claim_for([])

    def take() -> None:
        hand_to(claims, claim)

    with claims.lock(ID):
        runtime.spawn(take)
        runtime.settle()
    runtime.settle()
    with claims.lock(ID) as live:
        assert live.holder is claim
