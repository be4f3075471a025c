"""What goes on, as whoever asks is told: uploads in each state, all of them together, the disk, the loop."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import gevent
import pytest

from incoming.core.backend_requests import Listing
from incoming.core.errors import RegistryFailed, StorageFailed, StorageFull, UnknownTicket, WrongSecret
from incoming.core.lifecycle import State
from incoming.handover.answers import Done, FailureKind, NoAnswer, Refused, WillFinish, no_answer
from incoming.uploads.cluster import SingleProcess
from incoming.uploads.overview import DISK_HANGS_AFTER_S, Overview
from tests.support.fakes import FakeApp, FakeRuntime
from tests.support.uploads import TIMES, House, free_space

ALL = Listing()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, **TIMES)


@pytest.fixture
def overview(house: House) -> Iterator[Overview]:
    """One that keeps watch, in the house's own time."""
    one = Overview(house.uploads)
    watch = gevent.spawn(one.monitor)
    house.runtime.settle()
    yield one
    watch.kill()


def only_row(overview: Overview, **asked: Any) -> dict[str, Any]:
    """Returns the one upload that is listed."""
    (row,) = overview.page(Listing(**asked))["uploads"]
    assert isinstance(row, dict)
    return row


# --- one upload ----------------------------------------------------------------------------------


def test_a_new_ticket_has_neither_name_nor_length(house: House, overview: Overview) -> None:
    ticket_id = house.new_ticket(backendSecret="s3cret", metadata='{"user": 1}', maxBytesPerS="1000")
    house.runtime.advance(3)
    assert only_row(overview) == {
        "id": ticket_id[:8], "name": "", "app": "app.example.org", "state": "issued", "reason": "",
        "length_bytes": None, "offset_bytes": 0, "bytes_per_s": 0, "seconds_left": None,
        "age_s": 3.0, "idle_s": 3.0, "connected": False, "deliveries": 0, "max_bytes_per_s": 1000,
        "trouble": "", "parts": None, "instance": None, "storage": "local", "source": "", "dest_type": "file",
        "issued_unix_s": pytest.approx(time.time(), abs=60),
    }  # fmt: skip


def test_an_upload_in_progress_shows_how_far_it_is_and_how_fast(house: House, overview: Overview) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, 10_000, name="a.mov")
    house.runtime.advance(2)
    for _ in range(4):
        house.uploads.write(client.claim, memoryview(bytes(1000)))
        house.runtime.advance(1)
    row = only_row(overview)
    assert (row["name"], row["state"], row["connected"]) == ("a.mov", "uploading", True)
    assert (row["length_bytes"], row["offset_bytes"]) == (10_000, 4000)
    assert 600 < row["bytes_per_s"] <= 1000
    assert row["seconds_left"] == pytest.approx(6000 / row["bytes_per_s"], abs=0.1)
    assert row["idle_s"] <= 1.0 < row["age_s"]
    house.runtime.advance(30)
    row = only_row(overview)
    assert (row["bytes_per_s"], row["seconds_left"]) == (0, None)
    assert row["idle_s"] >= 30


def test_a_paused_upload_has_what_the_disk_has(house: House, overview: Overview) -> None:
    house.paused(10, b"abcd")
    row = only_row(overview)
    assert (row["state"], row["offset_bytes"], row["connected"]) == ("paused", 4, False)


def test_a_disk_that_does_not_say_hides_the_offset_and_nothing_else(
    house: House, overview: Overview, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket_id = house.paused(10, b"abcd")

    def fail(_: str) -> int:
        raise StorageFailed

    monkeypatch.setattr(house.context.storages.default, "size", fail)
    assert only_row(overview)["offset_bytes"] is None
    assert only_row(overview)["id"] == ticket_id[:8]


def test_a_failed_handover_says_why(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(Refused("the app answered with status 418")))
    house.arrive(house.new_ticket(), b"content")
    row = only_row(Overview(house.uploads))
    assert (row["state"], row["reason"]) == ("failed", "the app answered with status 418")
    assert (row["offset_bytes"], row["length_bytes"], row["deliveries"]) == (7, 7, 1)


def test_an_app_that_gives_no_answer_is_told_of_while_it_is_asked_again(tmp_path: Path) -> None:
    down = no_answer(FailureKind.CERTIFICATE, "certificate verify failed: self-signed certificate")
    house = House(tmp_path, FakeApp(down, Done()), **TIMES)
    house.arrive(house.new_ticket(), b"content")
    [row] = Overview(house.uploads).page(Listing())["uploads"]
    assert (row["state"], row["trouble"]) == ("handing_over", "certificate")
    assert row["reason"] == "the app could not be reached: its certificate is not trusted"
    house.runtime.advance(10)
    [row] = Overview(house.uploads).page(Listing())["uploads"]
    assert (row["state"], row["trouble"], row["reason"]) == ("finished", "", "")


def test_ended_uploads_are_listed_until_they_are_forgotten(house: House, overview: Overview) -> None:
    house.arrive(house.new_ticket())
    house.uploads.cancel_by_app(house.new_ticket(), "")
    states = [row["state"] for row in overview.page(ALL)["uploads"]]
    assert sorted(states) == ["cancelled", "finished"]
    house.pass_time(TIMES["result_retention_s"] + 1)
    assert overview.page(ALL)["uploads"] == []


def test_nothing_that_is_listed_is_a_secret(house: House, overview: Overview) -> None:
    url = "http://ann:passw0rd@app.example.org:8080/finished?key=k3y"
    secret = {"signalFinishURL": url, "backendSecret": "s3cret", "metadata": '"m3tadata"'}
    ticket_id = house.new_ticket(**secret)
    house.paused(5, b"abc")
    listed = json.dumps(overview.page(ALL))
    assert "app.example.org:8080" in listed
    assert not [x for x in (ticket_id, "passw0rd", "k3y", "s3cret", "m3tadata") if x in listed]


# --- the list ------------------------------------------------------------------------------------


def test_one_upload_is_asked_for_by_its_id_and_secret(house: House, overview: Overview) -> None:
    house.new_ticket()
    ticket_id = house.new_ticket(backendSecret="s3cret")
    page = overview.page(Listing(id=ticket_id, secret="s3cret"))
    assert [row["id"] for row in page["uploads"]] == [ticket_id[:8]]
    assert page["matching"] == 1
    for secret in ("", "wrong"):
        with pytest.raises(WrongSecret):
            overview.page(Listing(id=ticket_id, secret=secret))
    for unknown in (ticket_id[:8], "x"):
        with pytest.raises(UnknownTicket):
            overview.page(Listing(id=unknown))


def test_what_needs_attention_is_listed_first_and_the_latest_before_older_ones(
    house: House, overview: Overview
) -> None:
    ids = {}
    for name, act in (
        ("finished", house.arrive), ("old", lambda _: None), ("new", lambda _: None),
        ("uploading", lambda ticket_id: house.claim(ticket_id, 5)),
    ):  # fmt: skip
        ids[name] = house.new_ticket()
        act(ids[name])
        house.runtime.advance(1)
    listed = [row["id"] for row in overview.page(ALL)["uploads"]]
    assert listed == [ids[name][:8] for name in ("uploading", "new", "old", "finished")]


def test_a_list_can_be_of_one_state_and_goes_page_by_page(house: House, overview: Overview) -> None:
    house.paused(5, b"abc")
    ids = {house.new_ticket()[:8] for _ in range(7)}
    assert only_row(overview, state="paused")["state"] == "paused"
    seen = []
    for start in (0, 3, 6, 9):
        page = overview.page(Listing(state="issued", start=start, limit=3))
        assert page["matching"] == 7
        seen.append([row["id"] for row in page["uploads"]])
    assert [len(rows) for rows in seen] == [3, 3, 1, 0]
    assert {row for rows in seen for row in rows} == ids


@pytest.mark.parametrize("look", [lambda one: one.totals(), lambda one: one.page(Listing(limit=5))])
def test_listing_many_tickets_lets_other_greenlets_run(
    house: House, overview: Overview, look: Callable[[Overview], object]
) -> None:
    for _ in range(450):
        house.new_ticket()
    turns = 0

    def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    other = gevent.spawn(count)
    look(overview)
    other.kill()
    assert turns >= 2


# --- totals --------------------------------------------------------------------------------------


def test_totals_count_all_uploads_whatever_is_listed(house: House, overview: Overview) -> None:
    house.paused(100, b"abcd")
    client = house.claim(house.new_ticket(), 50)
    house.uploads.write(client.claim, memoryview(bytes(10)))
    house.new_ticket()
    house.runtime.advance(2)
    totals = overview.page(Listing(state="failed"))["totals"]
    assert totals["uploads"] == 3
    assert totals["by_state"] == {
        **{state.value: 0 for state in State}, "issued": 1, "uploading": 1, "paused": 1,
    }  # fmt: skip
    assert totals["stored_bytes"] == 14
    assert totals["free_bytes"] > 0
    assert 0 < totals["reserved_bytes"] <= 96 + 50


def test_the_oldest_news_that_no_app_has_heard_is_known(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(NoAnswer("it is down")), **TIMES)
    overview = Overview(house.uploads)
    house.arrive(house.new_ticket())
    house.runtime.advance(5)
    client = house.claim(house.new_ticket(), 5)
    house.uploads.cancel_by_client(client.claim, "no more")
    house.runtime.advance(2)
    totals = overview.totals()
    assert (totals.undelivered, totals.oldest_undelivered_s) == (2, 7.0)
    assert house.context.counters.calls["no_answer"] > 2


def test_an_app_that_said_wait_has_heard_it(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(WillFinish()), **TIMES)
    house.arrive(house.new_ticket())
    assert Overview(house.uploads).totals().undelivered == 0
    assert house.context.counters.calls == {"wait": 1}


def test_the_history_of_the_throughput_is_there_when_asked_for(house: House, overview: Overview) -> None:
    house.runtime.advance(2)
    house.paused(5000, bytes(5000))
    house.runtime.advance(1)
    assert overview.page(ALL)["history"]["bytes_per_s"] == []
    history = overview.page(Listing(history=10))["history"]
    assert history["interval_s"] == 1.0
    assert len(history["bytes_per_s"]) == 10
    assert sum(history["bytes_per_s"]) == pytest.approx(5000, rel=0.15)


# --- how the process is ----------------------------------------------------------------------------


class LateRuntime(FakeRuntime):
    """One in which everybody is woken late."""

    def sleep(self, duration_s: float) -> None:
        super().sleep(duration_s + 0.3)


def test_a_loop_that_is_late_is_seen(tmp_path: Path, house: House, overview: Overview) -> None:
    house.runtime.advance(1)
    assert overview.lag.sum_s == pytest.approx(0.0, abs=1e-6)
    late = House(tmp_path / "late", runtime=LateRuntime())
    overview = Overview(late.uploads)
    watch = gevent.spawn(overview.monitor)
    late.runtime.advance(4.1)
    assert overview.lag.sum_s == pytest.approx(5 * 0.3), "each half a second, while nothing comes in"
    overview.counters.received_bytes += 1
    late.runtime.advance(0.8)
    for _ in range(10):
        overview.counters.received_bytes += 1
        late.runtime.advance(0.4)
    watch.kill()
    assert overview.lag.sum_s == pytest.approx(16 * 0.3), "each tenth of a second"
    assert sum(overview.speeds.history(10)) == 0


def test_a_new_service_has_no_trouble_until_it_stops(house: House, overview: Overview) -> None:
    assert overview.trouble() == ""
    house.uploads.stop()
    assert overview.trouble() == "stopping"


def test_a_disk_that_can_not_be_written_is_noticed_and_one_that_can_again_too(
    house: House, overview: Overview, caplog: pytest.LogCaptureFixture
) -> None:
    data = house.directory / "data"
    data.rename(house.directory / "away")
    house.runtime.advance(20)
    assert overview.trouble() == "storage"
    assert caplog.text.count("can't be written") == 1, "it is said once"
    (house.directory / "away").rename(data)
    house.runtime.advance(6)
    assert overview.trouble() == ""


def test_a_disk_that_hangs_is_noticed_and_holds_up_nobody(house: House, overview: Overview) -> None:
    with house.runtime.held("_check"):
        house.runtime.advance(10)
        assert overview.trouble() == ""
        house.runtime.advance(DISK_HANGS_AFTER_S)
        assert overview.trouble() == "storage"
        assert house.runtime.pool_calls.count("_check") == 2, "one look at a time"
    house.runtime.advance(1)
    assert overview.trouble() == ""


def test_checking_the_disk_leaves_nothing_behind(house: House, overview: Overview) -> None:
    house.runtime.advance(30)
    assert list((house.directory / "data").iterdir()) == []


def test_a_journal_that_takes_no_ticket_is_noticed_and_one_that_does_again_too(
    house: House, overview: Overview, caplog: pytest.LogCaptureFixture
) -> None:
    with house.journal_broken():
        house.runtime.advance(20)
        assert overview.trouble() == "journal"
        assert (overview.disk_works(), overview.registry_works()) == (True, False)
    assert caplog.text.count("the journal can't be written") == 1, "it is said once"
    house.runtime.advance(6)
    assert overview.trouble() == ""


def test_a_journal_that_hangs_is_not_taken_for_the_storage(house: House, overview: Overview) -> None:
    with house.runtime.held("check"):
        house.runtime.advance(DISK_HANGS_AFTER_S + 10)
        assert overview.trouble() == "journal"
        assert (overview.disk_works(), overview.registry_works()) == (True, False)
    house.runtime.advance(1)
    assert overview.trouble() == ""


class RemoteTickets(SingleProcess):
    """A process whose tickets are in another program."""

    registry_word = "registry"


def test_nobody_waits_for_a_registry_that_did_not_answer_the_last_check(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    overview = Overview(house.uploads, RemoteTickets(house.context.leases))
    watch = gevent.spawn(overview.monitor)
    house.runtime.settle()
    house.new_ticket()
    asked: list[str] = []

    def is_away() -> NoReturn:
        asked.append("check")
        raise RegistryFailed

    with monkeypatch.context() as outage:
        outage.setattr(house.context.registry, "check", is_away)
        house.runtime.advance(6)
        outage.setattr(house.context.registry, "tickets", lambda: asked.append("tickets"))
        for look in (overview.totals, lambda: overview.page(ALL)):
            with pytest.raises(RegistryFailed):
                look()
    assert set(asked) == {"check"}
    house.runtime.advance(6)
    assert overview.totals().by_state[State.ISSUED] == 1
    watch.kill()


@pytest.mark.parametrize(("what", "word"), [("storage", "storage_full"), ("registry", "journal_full")])
def test_a_lack_of_room_has_a_word_of_its_own(
    house: House, overview: Overview, monkeypatch: pytest.MonkeyPatch, what: str, word: str
) -> None:
    def full() -> None:
        raise StorageFull

    context = house.context
    places = {"storage": context.storages.default, "registry": context.registry}
    monkeypatch.setattr(places[what], "check", full)
    house.runtime.advance(6)
    assert overview.trouble() == word


def test_what_is_kept_free_is_full_unless_room_in_it_is_kept_for_an_upload(tmp_path: Path) -> None:
    house = House(tmp_path, min_free_mib=1, **TIMES)
    overview = Overview(house.uploads)
    watch = gevent.spawn(overview.monitor)
    free_bytes = 2 << 20
    free_space(house).free_bytes = lambda: free_bytes  # type: ignore[method-assign]
    house.runtime.advance(6)
    assert overview.trouble() == ""
    client = house.claim(house.new_ticket(), 1000)
    house.uploads.write(client.claim, memoryview(b"the first bytes"))
    free_bytes = 1 << 20
    house.runtime.advance(6)
    assert overview.trouble() == ""
    house.uploads.cancel_by_client(client.claim, "")
    house.runtime.advance(6)
    assert overview.trouble() == "storage_full"
    watch.kill()
