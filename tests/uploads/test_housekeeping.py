"""What happens by itself while time passes: tickets expire, lapse and are forgotten."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import gevent
import pytest
from crc32c import crc32c

from incoming.core.errors import StorageFailed, UnknownTicket, UploadExpired
from incoming.core.lifecycle import Claim, State
from incoming.core.ticket import IllegalTransition, Ticket
from incoming.handover.answers import Answer, Done, NoAnswer, Refused, WillFinish
from incoming.registry import TICKETS_AT_A_TIME
from incoming.settings.table import Settings
from incoming.storage.local.deletion import Deletion as FileDeletion
from incoming.uploads.housekeeping import (
    MAX_SWEEP_INTERVAL_S,
    RETRY_AFTER_S,
    recover,
    sweep,
    sweep_interval_s,
)
from tests.storage.local.conftest import NOBODY
from tests.support.fakes import FakeAnswer, FakeApp
from tests.support.uploads import TIMES, House, new_claim

CONTENT = b"0123456789"
LENGTH_BYTES = len(CONTENT)
DOWN = NoAnswer("the app could not be reached")


def house_with(directory: Path, *answers: FakeAnswer) -> House:
    return House(directory, FakeApp(*answers), **TIMES)


def test_a_ticket_that_nobody_uses_expires_and_the_app_is_told(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.new_ticket()
    house.pass_time(100)
    assert house.state(ticket_id) is State.ISSUED
    house.pass_time(1)
    assert house.state(ticket_id) is State.EXPIRED
    assert [form["cancelled"] for form in house.app.forms] == ["yes"]


def test_a_paused_upload_expires_and_its_file_is_gone(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.paused(LENGTH_BYTES, CONTENT[:4])
    house.pass_time(101)
    with pytest.raises(UploadExpired):
        house.claim(ticket_id, LENGTH_BYTES)
    assert not house.file(ticket_id).parent.exists()


def test_an_upload_that_somebody_holds_does_not_expire(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.new_ticket()
    house.claim(ticket_id, LENGTH_BYTES)
    house.pass_time(10_000)
    assert house.state(ticket_id) is State.UPLOADING


def test_the_idle_time_begins_with_the_pause(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.new_ticket()
    house.pass_time(90)
    client = house.claim(ticket_id, LENGTH_BYTES)
    house.pass_time(90)
    house.uploads.release(client.claim)
    house.pass_time(90)
    assert house.state(ticket_id) is State.PAUSED


def test_an_app_that_said_wait_is_asked_again_and_then_it_has_failed(tmp_path: Path) -> None:
    house = house_with(tmp_path, WillFinish())
    ticket_id = house.new_ticket()
    house.arrive(ticket_id)
    house.pass_time(51)
    assert house.state(ticket_id) is State.WAITING
    assert len(house.app.forms) == 2
    house.pass_time(51)
    assert house.state(ticket_id) is State.FAILED
    assert len(house.app.forms) == 2
    assert house.file(ticket_id).exists()


def test_an_app_that_said_wait_and_moved_the_file_has_it(tmp_path: Path) -> None:
    house = house_with(tmp_path, WillFinish())
    ticket_id = house.new_ticket(removeFileWhenFinished="false")
    house.arrive(ticket_id)
    house.file(ticket_id).rename(tmp_path / "moved")
    house.pass_time(51)
    assert house.state(ticket_id) is State.FINISHED
    assert len(house.app.forms) == 1


def test_a_failed_file_is_kept_for_its_time_and_then_expires(tmp_path: Path) -> None:
    house = house_with(tmp_path, Refused("no"), Done())
    ticket_id = house.new_ticket()
    house.arrive(ticket_id)
    house.pass_time(199)
    assert house.file(ticket_id).exists()
    house.pass_time(2)
    assert house.state(ticket_id) is State.EXPIRED
    assert not house.file(ticket_id).parent.exists()
    assert house.app.forms[-1]["cancelled"] == "yes"


def test_a_result_is_kept_for_its_time_and_then_forgotten(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    finished, cancelled = house.new_ticket(), house.new_ticket()
    house.arrive(finished)
    house.uploads.cancel_by_app(cancelled, "")
    house.pass_time(29)
    assert (house.state(finished), house.state(cancelled)) == (State.FINISHED, State.CANCELLED)
    house.pass_time(2)
    for ticket_id in (finished, cancelled):
        with pytest.raises(UnknownTicket):
            house.ticket(ticket_id)
    assert house.journaled() == []


def test_a_cancellation_is_not_forgotten_before_the_app_knows(tmp_path: Path) -> None:
    house = house_with(tmp_path, DOWN)
    ticket_id = house.new_ticket()
    house.uploads.expire(house.ticket(ticket_id), "idle")
    house.pass_time(45)
    assert house.state(ticket_id) is State.EXPIRED
    house.app.answers = [Done()]
    house.pass_time(20)
    with pytest.raises(UnknownTicket):
        house.ticket(ticket_id)


def test_one_ticket_that_makes_trouble_does_not_keep_the_others(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    first, second = house.new_ticket(), house.paused(LENGTH_BYTES, CONTENT[:4])
    with house.journal_broken():
        house.pass_time(101)
    assert house.state(first) is State.ISSUED, "an end that can't be journaled waits for the next sweep"
    house.pass_time(0)
    assert {house.state(first), house.state(second)} == {State.EXPIRED}


@contextlib.contextmanager
def disk_that_keeps(house: House) -> Iterator[str]:
    """An upload expires whose file the disk does not delete until the end; yields its id."""
    ticket_id = house.paused(LENGTH_BYTES, CONTENT[:4])
    with patch.object(FileDeletion, "unlink", side_effect=OSError(errno.EIO, "it fails")):
        house.pass_time(101)
        assert house.state(ticket_id) is State.EXPIRED
        yield ticket_id


def test_a_file_that_could_not_be_removed_is_removed_by_the_first_sweep_that_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = house_with(tmp_path)
    with disk_that_keeps(house) as ticket_id:
        for _ in range(3):
            house.pass_time(1)
        assert caplog.text.count("its file is not deleted yet") == 1
    house.pass_time(1)
    assert not house.file(ticket_id).parent.exists()
    assert house.state(ticket_id) is State.EXPIRED, "the result is kept as long as ever"
    with caplog.at_level("INFO"):
        house.pass_time(1)
    assert "removed after all" not in caplog.text


def test_a_ticket_whose_file_could_not_be_removed_is_not_forgotten_before_it_is(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    with disk_that_keeps(house) as ticket_id:
        house.pass_time(31)
        assert house.state(ticket_id) is State.EXPIRED
    house.pass_time(1)
    assert not house.file(ticket_id).parent.exists()
    with pytest.raises(UnknownTicket):
        house.ticket(ticket_id)


# --- a sweep that began before -----------------------------------------------------------------------


def late_sweep(house: House, seen: list[Ticket], monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps as if all that has happened since `seen` had happened while the sweep was under way."""
    with monkeypatch.context() as patched:
        patched.setattr(house.context.registry, "due", lambda _: iter(seen))
        sweep(house.uploads)
    house.runtime.settle()


def seen_by_a_sweep(house: House, after_s: float) -> list[Ticket]:
    """Lets the time pass. Returns what a sweep that begins then sees."""
    house.runtime.advance(after_s)
    return list(house.context.registry.tickets())


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("stays", [True, False])
def test_a_sweep_does_not_expire_an_upload_whose_client_came_back_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool, stays: bool
) -> None:
    house = house_with(tmp_path)
    ticket_id = house.paused(LENGTH_BYTES, CONTENT[:4]) if begun else house.new_ticket()
    seen = seen_by_a_sweep(house, 101)
    client = house.claim(ticket_id, LENGTH_BYTES)
    house.uploads.write(client.claim, memoryview(CONTENT[4:8]))
    if not stays:
        house.uploads.release(client.claim)
    late_sweep(house, seen, monkeypatch)
    assert house.state(ticket_id) is (State.UPLOADING if stays else State.PAUSED)
    assert house.claim(ticket_id, LENGTH_BYTES).claim.offset_bytes == (8 if begun else 4)


def test_a_sweep_does_not_remove_a_failed_file_that_was_tried_again_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = house_with(tmp_path, Refused("no"))
    ticket_id = house.new_ticket()
    house.arrive(ticket_id)
    seen = seen_by_a_sweep(house, 201)
    house.uploads.retry(ticket_id, "")
    house.runtime.settle()
    late_sweep(house, seen, monkeypatch)
    assert house.state(ticket_id) is State.FAILED
    assert house.file(ticket_id).exists()


def test_a_sweep_does_not_let_a_wait_lapse_that_started_again_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = house_with(tmp_path, WillFinish())
    ticket_id = house.new_ticket()
    house.arrive(ticket_id)
    seen = seen_by_a_sweep(house, 51)
    house.pass_time(0)  # it lapses, and the app says "wait" once more
    late_sweep(house, seen, monkeypatch)
    assert (house.state(ticket_id), house.ticket(ticket_id).asks) == (State.WAITING, 1)


def test_a_sweep_does_not_touch_a_file_that_has_become_the_apps_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = house_with(tmp_path)
    ticket_id = house.new_ticket(removeFileWhenFinished="false")
    house.uploads.release(house.claim(ticket_id, LENGTH_BYTES).claim)
    seen = seen_by_a_sweep(house, 101)
    house.arrive(ticket_id, CONTENT)
    house.uploads.retry_queue.add(ticket_id, 0.0)
    late_sweep(house, seen, monkeypatch)
    assert house.state(ticket_id) is State.FINISHED
    assert house.file(ticket_id).read_bytes() == CONTENT


def test_a_sweep_does_not_bring_back_what_was_forgotten_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = house_with(tmp_path)
    ticket_id = house.paused(LENGTH_BYTES, CONTENT[:4])
    seen = seen_by_a_sweep(house, 101)
    house.uploads.cancel_by_app(ticket_id, "")
    house.pass_time(31)
    late_sweep(house, seen, monkeypatch)
    assert house.journaled() == []
    assert house.uploads.claims.count() == 0


def test_an_end_that_was_decided_on_an_older_ticket_does_not_count(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket = house.ticket(house.paused(LENGTH_BYTES, CONTENT[:4]))
    house.uploads.release(house.claim(ticket.id, LENGTH_BYTES).claim)
    with pytest.raises(IllegalTransition):
        house.uploads.expire(ticket, "idle for too long")
    assert house.state(ticket.id) is State.PAUSED


# --- what was left over ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "proves", "is_whole"),
    [(CONTENT, False, True), (CONTENT[:4], False, False), (b"", False, False), (CONTENT, True, False)],
)
def test_a_paused_upload_that_only_has_to_be_completed_says_so(
    tmp_path: Path, content: bytes, proves: bool, is_whole: bool
) -> None:
    house = house_with(tmp_path)
    ticket_id = house.new_ticket()
    claim = house.uploads.claim(ticket_id, new_claim(LENGTH_BYTES, proves=proves), lambda _: None)
    if content:
        house.uploads.write(claim, memoryview(content))
    house.uploads.release(claim)
    assert (house.state(ticket_id), house.ticket(ticket_id).is_whole) == (State.PAUSED, is_whole)


def test_an_upload_that_says_so_and_lacks_bytes_says_it_no_more_and_expires_in_its_time(
    tmp_path: Path,
) -> None:
    house = house_with(tmp_path)
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, LENGTH_BYTES)
    house.uploads.write(client.claim, memoryview(CONTENT))
    house.uploads.release(client.claim)
    os.truncate(house.file(ticket_id), 4)
    house.pass_time(1)
    assert (house.state(ticket_id), house.ticket(ticket_id).is_whole) == (State.PAUSED, False)
    house.pass_time(101)
    assert house.state(ticket_id) is State.EXPIRED


def fails_once(monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> None:
    """Has the next call of a function fail as a disk does."""
    calls = []
    real = getattr(where, name)

    def call(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*args)

    monkeypatch.setattr(where, name, call)


@pytest.mark.parametrize("fails", ["fdatasync", "fsync", "fchown"])
def test_an_upload_whose_completion_the_disk_refused_once_is_completed_by_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    house = House(tmp_path, **TIMES | {"fsync": True, "result_retention_s": 1000.0})
    owner = {"fileOwnerUid": str(NOBODY)} if fails == "fchown" and os.geteuid() == 0 else {}
    ticket_id = house.new_ticket(**owner)
    client = house.claim(ticket_id, LENGTH_BYTES)
    house.uploads.write(client.claim, memoryview(CONTENT))
    fails_once(monkeypatch, os, fails)
    with contextlib.suppress(StorageFailed):
        house.uploads.complete(client.claim)
    house.uploads.release(client.claim)
    house.pass_time(1)
    assert house.state(ticket_id) is State.FINISHED
    assert [form["crc32c"] for form in house.app.forms] == [f"{crc32c(CONTENT):08x}"]


def test_an_upload_whose_end_could_not_be_journaled_is_completed_by_a_sweep(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, LENGTH_BYTES)
    house.uploads.write(client.claim, memoryview(CONTENT))
    with house.journal_broken():
        with pytest.raises(StorageFailed):
            house.uploads.complete(client.claim)
        house.uploads.release(client.claim)
    house.pass_time(1)
    assert house.state(ticket_id) is State.FINISHED


def test_an_upload_whose_client_left_before_it_was_completed_is_completed_by_a_sweep(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.paused(LENGTH_BYTES, CONTENT)
    house.pass_time(1)
    assert house.state(ticket_id) is State.FINISHED


def test_an_upload_of_version_2_that_has_all_its_bytes_waits_for_its_clients_word(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.new_ticket()
    claim = house.uploads.claim(ticket_id, new_claim(LENGTH_BYTES, "a", 99, proves=True), lambda _: None)
    house.uploads.write(claim, memoryview(CONTENT))
    house.uploads.release(claim)
    house.pass_time(1)
    assert (house.state(ticket_id), house.app.forms) == (State.PAUSED, [])


def test_a_whole_upload_does_not_expire_however_long_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path, **TIMES | {"result_retention_s": 1000.0})
    ticket_id = house.new_ticket()
    house.uploads.write(house.claim(ticket_id, LENGTH_BYTES).claim, memoryview(CONTENT))
    house = house.restarted()  # so that its digest is not known
    with monkeypatch.context() as patched:
        patched.setattr(os, "preadv", refuses)
        recover(house.uploads)
        for _ in range(40):
            house.pass_time(10)
    assert house.state(ticket_id) is State.PAUSED
    assert 4 <= caplog.text.count("could not be completed yet") <= 8, "it is not tried at each sweep"
    house.pass_time(RETRY_AFTER_S)
    assert house.state(ticket_id) is State.FINISHED


def refuses(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_whole_upload_that_a_client_holds_again_is_left_to_it(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.paused(LENGTH_BYTES, CONTENT)
    client = house.claim(ticket_id, LENGTH_BYTES)
    house.pass_time(1)
    assert house.state(ticket_id) is State.UPLOADING
    house.uploads.complete(client.claim)
    house.runtime.settle()
    assert len(house.app.forms) == 1


def dies(_: dict[str, str]) -> Answer:
    raise gevent.GreenletExit


@pytest.mark.parametrize("arrives", [True, False])
def test_news_whose_delivery_has_died_are_brought_by_a_sweep(tmp_path: Path, arrives: bool) -> None:
    house = house_with(tmp_path, dies, Done())
    ticket_id = house.new_ticket()
    if arrives:
        house.arrive(ticket_id)
    else:
        house.uploads.expire(house.ticket(ticket_id), "idle for too long")
        house.runtime.settle()
    assert len(house.app.forms) == 1
    house.pass_time(1)
    assert len(house.app.forms) == 2
    assert house.state(ticket_id) is (State.FINISHED if arrives else State.EXPIRED)
    assert house.ticket(ticket_id).may_be_forgotten


def test_a_sweep_does_not_hurry_a_delivery_that_waits_to_be_tried_again(tmp_path: Path) -> None:
    house = house_with(tmp_path, DOWN)
    ticket_id = house.new_ticket()
    house.arrive(ticket_id)
    for _ in range(10):
        house.pass_time(0.01)
    assert len(house.app.forms) == 1
    with house.journal_broken():
        house.pass_time(1)  # its next call can't be journaled: that is tried again later
        calls = house.runtime.pool_calls.count("append")
        for _ in range(5):
            house.pass_time(0.01)
        assert house.runtime.pool_calls.count("append") == calls


def test_an_upload_that_no_connection_holds_any_more_pauses_and_may_expire(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.new_ticket()
    house.context.registry.change(ticket_id, Claim(LENGTH_BYTES, "a"))
    house.pass_time(1)
    assert house.state(ticket_id) is State.PAUSED
    house.pass_time(101)
    assert house.state(ticket_id) is State.EXPIRED


def test_what_a_start_could_not_journal_a_sweep_does(tmp_path: Path) -> None:
    before = house_with(tmp_path)
    ticket_id = before.new_ticket()
    before.claim(ticket_id, LENGTH_BYTES)
    house = before.restarted()
    with house.journal_broken():
        recover(house.uploads)
        house.runtime.settle()
    house.pass_time(50)
    assert [(t.id, t.state) for t in house.journaled()] == [(ticket_id, State.PAUSED)]
    again = house.restarted()
    again.pass_time(51)
    assert again.state(ticket_id) is State.EXPIRED, "its idle time began with the first start"


def test_a_paused_upload_keeps_its_room_though_its_next_claim_is_not_journaled(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.new_ticket()
    house.uploads.release(house.claim(ticket_id, 1000).claim)
    with house.journal_broken(), pytest.raises(StorageFailed):
        house.claim(ticket_id, 1000)
    assert house.uploads.admission.reserved_bytes() == 1000


def test_sweeping_lets_others_run(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    for _ in range(TICKETS_AT_A_TIME):
        house.new_ticket()
    house.runtime.advance(house.settings.idle_timeout_s)  # soon they are due
    ran: list[bool] = []
    house.runtime.spawn(ran.append, True)
    sweep(house.uploads)
    assert ran


def test_every_timeout_is_noticed_soon_enough() -> None:
    assert sweep_interval_s(Settings()) == MAX_SWEEP_INTERVAL_S
    for name in ("idle_timeout_s", "handover_wait_timeout_s", "result_retention_s", "failed_retention_s"):
        short: dict[str, Any] = {name: 2.0}
        assert sweep_interval_s(Settings(**short)) == 0.5


# --- files without a ticket ------------------------------------------------------------------------


def strays_said(house: House, caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [record.getMessage() for record in caplog.records]
    return [message for message in messages if "belong to no known ticket" in message]


def test_files_without_a_ticket_are_reported_at_the_start_and_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path)
    kept = house.paused(100, b"known")
    lost = house.paused(100, b"unknown")
    house.context.registry.forget(lost)
    data = tmp_path / "data"
    (data / "a file of somebody").write_bytes(b"x" * 10)
    (data / "broken").symlink_to("nowhere")
    after = house.after_a_kill()
    [said] = strays_said(after, caplog)
    assert said.startswith("3 entries of data/")
    assert lost[:8] in said
    assert lost not in said, "a whole id may become a secret again"
    assert kept[:8] not in said
    assert f"{len(b'unknown') + 10 + len('nowhere')} bytes" in said
    assert after.file(lost).read_bytes() == b"unknown"
    assert (data / "a file of somebody").exists()


def test_many_files_without_a_ticket_are_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    house = House(tmp_path)
    for number in range(500):
        (tmp_path / "data" / f"{number:04}{'x' * 200}").touch()
    [said] = strays_said(house.after_a_kill(), caplog)
    assert said.startswith("500 entries")
    assert len(said) < 300


def test_where_every_file_has_a_ticket_nothing_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path)
    house.paused(100, b"known")
    assert strays_said(house.after_a_kill(), caplog) == []


def test_a_ticket_that_is_made_while_files_are_listed_is_not_a_stray(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path)
    with house.runtime.held("_strays"):
        recover(house.uploads)
        house.runtime.settle()
        house.paused(100, b"new")
    assert strays_said(house, caplog) == []


def test_an_empty_log_beside_full_data_does_not_start_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path)
    ticket_id = house.paused(100, b"bytes")
    house.journal.write_clock(1.0)
    (tmp_path / "journal" / "log").write_bytes(b"")
    after = house.after_a_kill()
    assert "the end of the journal's log is missing" in caplog.text
    assert len(strays_said(after, caplog)) == 1
    assert after.file(ticket_id).read_bytes() == b"bytes"
