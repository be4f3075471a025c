"""Files that are made of parts: when, of which, how often, and what a kill or a full disk does to that."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from incoming.core.checksum import checksum
from incoming.core.errors import (
    BadAssembly,
    HandoverFailed,
    InternalError,
    LengthMismatch,
    NotInParts,
    StorageFailed,
    StorageFull,
    TakenOver,
    UploadCancelled,
    UploadTooLarge,
    WrongState,
)
from incoming.core.lifecycle import PlanAssembly, State
from incoming.core.news import Interrupted
from incoming.core.parts import part_id
from incoming.handover.answers import Done, Refused
from incoming.storage.local.parts import assembly
from incoming.uploads.housekeeping import recover, sweep
from incoming.uploads.parts import COMPLETE
from tests.support.fakes import FakeApp
from tests.support.parts import (
    Killed,
    claim_part,
    files,
    killed_at,
    new_part,
    plan,
    resume_part,
    send_part,
    write_part,
)
from tests.support.uploads import TIMES, House, free_space

CONTENT = bytes(range(100))
PIECES = (CONTENT[:50], CONTENT[50:80], CONTENT[80:])


class App(FakeApp):
    """An app that reads each file that it is given, and takes it."""

    def __init__(self) -> None:
        super().__init__(self._take)
        self.contents: list[bytes] = []
        self.inodes: list[int] = []

    def _take(self, form: dict[str, str]) -> Done:
        if form["filename"]:
            file = Path(form["filename"])
            self.contents.append(file.read_bytes())
            self.inodes.append(file.stat().st_ino)
        return Done()


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def house(tmp_path: Path, app: App) -> House:
    return House(tmp_path, app)


@pytest.fixture
def ticket_id(house: House) -> str:
    return house.new_ticket()


def send_all(house: House, ticket_id: str) -> None:
    for piece in PIECES:
        send_part(house, ticket_id, piece)


def failing(error: int) -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise OSError(error, os.strerror(error))

    return call


# --- the file ------------------------------------------------------------------------------------------


def test_parts_in_the_order_of_creation_are_handed_over_without_a_copy(
    house: House, app: App, ticket_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_all(house, ticket_id)
    inode = house.file(ticket_id).with_name(f"{ticket_id}.parts").stat().st_ino
    monkeypatch.setattr(os, "copy_file_range", failing(errno.EIO))
    assert plan(house, ticket_id, 1, 2, 3)
    assert house.state(ticket_id) is State.FINISHED
    assert (app.contents, app.inodes) == ([CONTENT], [inode])
    (form,) = app.forms
    assert form["crc32c"] == f"{checksum(CONTENT):08x}"
    assert (form["filenameFromBrowser"], form["uploadMetadata"]) == ("holiday.mov", "filename aA==")
    assert "_read" not in house.runtime.pool_calls, "no byte is read again"
    assert files(house, ticket_id) == set()


ORDERS = [(1,), (2, 1), (3, 2, 1), (1, 1), (1, 3), (2, 2, 2), (1, 2, 3, 1)]


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("wants_sha256", [True, False])
def test_parts_in_any_other_order_are_handed_over_too(
    house: House, app: App, order: tuple[int, ...], wants_sha256: bool
) -> None:
    ticket_id = house.new_ticket(**({"digest": "sha256"} if wants_sha256 else {}))
    send_all(house, ticket_id)
    assert plan(house, ticket_id, *order)
    expected = b"".join(PIECES[number - 1] for number in order)
    assert app.contents == [expected]
    assert app.forms[0]["crc32c"] == f"{checksum(expected):08x}"
    assert app.forms[0].get("sha256", "") == (hashlib.sha256(expected).hexdigest() if wants_sha256 else "")
    assert house.ticket(ticket_id).length_bytes == len(expected)
    assert files(house, ticket_id) == set()


def test_a_file_that_its_app_moves_away_has_nothing_of_its_parts_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "moved"

    def move(form: dict[str, str]) -> Done:
        Path(form["filename"]).rename(moved)
        return Done()

    house = House(tmp_path / "house", FakeApp(move))
    ticket_id = house.new_ticket(removeFileWhenFinished="false")
    send_all(house, ticket_id)
    parts = house.context.storages.default.parts
    monkeypatch.setattr(parts, "clean_up", lambda _: None)  # the process was killed
    plan(house, ticket_id, 2, 1)
    assert moved.read_bytes() == PIECES[1] + PIECES[0]
    assert not house.file(ticket_id).parent.exists()


def test_empty_parts_become_an_empty_file(house: House, app: App, ticket_id: str) -> None:
    for _ in range(2):
        new_part(house, ticket_id, 0)
    assert plan(house, ticket_id, 1, 2)
    assert app.contents == [b""]


def test_a_part_without_a_length_at_first_becomes_a_part_of_the_file(
    house: House, app: App, ticket_id: str
) -> None:
    send_part(house, ticket_id, PIECES[0])
    client = claim_part(house, new_part(house, ticket_id, None))
    write_part(house, client, PIECES[1])
    assert not plan(house, ticket_id, 1, 2)
    house.uploads.parts.set_length(client.claim, len(PIECES[1]))
    house.runtime.settle()
    assert app.contents == [PIECES[0] + PIECES[1]]


def test_a_client_that_watches_is_told_when_the_app_has_the_file(house: House, ticket_id: str) -> None:
    send_all(house, ticket_id)
    plan(house, ticket_id, 1, 2, 3)
    watcher = house.claim(ticket_id, len(CONTENT))
    assert watcher.claim.offset_bytes == len(CONTENT)
    assert house.uploads.look(ticket_id).state is State.FINISHED


def test_parts_are_remembered_as_complete_while_the_result_is(house: House, ticket_id: str) -> None:
    send_all(house, ticket_id)
    plan(house, ticket_id, 3, 1)
    for after in (house, house.after_a_kill()):
        for number, piece in enumerate(PIECES, 1):
            seen = after.uploads.parts.look(part_id(ticket_id, number))
            assert (seen.offset_bytes, seen.length_bytes) == (len(piece), len(piece))
        assert after.uploads.assemblies.plan(ticket_id, PlanAssembly((3, 1))), "it may be repeated"
        with pytest.raises(WrongState):
            after.uploads.parts.delete(part_id(ticket_id, 1))
        with pytest.raises(NotInParts):
            new_part(after, ticket_id, 1)


# --- before the parts are complete ---------------------------------------------------------------------


def test_a_file_whose_parts_are_named_early_is_made_with_their_last_byte(
    house: House, app: App, ticket_id: str
) -> None:
    upload_ids = [new_part(house, ticket_id, len(piece)) for piece in PIECES]
    assert not plan(house, ticket_id, 1, 2, 3)
    assert house.after_a_kill().state(ticket_id) is State.PAUSED
    for upload_id, piece in zip(reversed(upload_ids), reversed(PIECES), strict=True):
        assert app.contents == []
        house = House(house.directory, app)
        resume_part(house, upload_id, piece[:-1])
        resume_part(house, upload_id, piece)
        house.runtime.settle()
    assert app.contents == [CONTENT]
    assert house.state(ticket_id) is State.FINISHED


def test_until_then_other_parts_may_be_named_and_listed_ones_are_not_deleted(
    house: House, app: App, ticket_id: str
) -> None:
    upload_ids = [new_part(house, ticket_id, len(piece)) for piece in PIECES]
    assert not plan(house, ticket_id, 3, 2, 1)
    with pytest.raises(WrongState):
        house.uploads.parts.delete(upload_ids[0])
    assert not plan(house, ticket_id, 3, 2, name="other.mov")
    house.uploads.parts.delete(upload_ids[0])
    for upload_id, piece in zip(upload_ids[1:], PIECES[1:], strict=True):
        resume_part(house, upload_id, piece)
    house.runtime.settle()
    assert app.contents == [PIECES[2] + PIECES[1]]
    assert app.forms[0]["filenameFromBrowser"] == "other.mov"


def test_an_early_plan_does_not_keep_an_idle_upload(tmp_path: Path, app: App) -> None:
    house = House(tmp_path, app, **TIMES)
    ticket_id = house.new_ticket()
    send_part(house, ticket_id, PIECES[0], length_bytes=60)
    plan(house, ticket_id, 1)
    house.pass_time(TIMES["idle_timeout_s"] + 1)
    assert house.state(ticket_id) is State.EXPIRED


@pytest.mark.parametrize("order", [(), (4,), (1, 4), (0,)])
def test_parts_that_are_not_there_make_no_file(house: House, ticket_id: str, order: tuple[int, ...]) -> None:
    send_all(house, ticket_id)
    with pytest.raises(BadAssembly):
        plan(house, ticket_id, *order)
    assert house.uploads.parts.parts_of(ticket_id).assembly is None


def test_a_ticket_without_parts_has_none_to_name(house: House, ticket_id: str) -> None:
    with pytest.raises(NotInParts):
        plan(house, ticket_id, 1)


def test_the_whole_file_has_the_limits_of_its_ticket(house: House, app: App) -> None:
    ticket_id = house.new_ticket(maxBytes="100")
    send_part(house, ticket_id, PIECES[0])
    with pytest.raises(UploadTooLarge):
        plan(house, ticket_id, 1, 1, 1)
    client = claim_part(house, new_part(house, ticket_id, None))
    write_part(house, client, PIECES[2])
    assert not plan(house, ticket_id, 1, 2, 2)
    with pytest.raises(UploadTooLarge):
        house.uploads.parts.set_length(client.claim, 26)
    write_part(house, client, b"12345")
    house.uploads.parts.set_length(client.claim, 25)
    house.runtime.settle()
    assert app.contents == [PIECES[0] + (PIECES[2] + b"12345") * 2]


def test_a_file_has_the_length_that_its_app_has_asked_for(house: House, app: App) -> None:
    ticket_id = house.new_ticket(lengthBytes="100")
    send_all(house, ticket_id)
    for order in ((1,), (1, 2, 3, 1)):
        with pytest.raises(LengthMismatch):
            plan(house, ticket_id, *order)
    assert plan(house, ticket_id, 1, 2, 3)
    assert app.contents == [CONTENT]


# --- once they are complete ----------------------------------------------------------------------------


def test_a_client_may_repeat_what_it_says_and_the_app_is_told_once(
    house: House, app: App, ticket_id: str
) -> None:
    send_all(house, ticket_id)
    for _ in range(3):
        assert house.uploads.assemblies.plan(ticket_id, PlanAssembly((2, 1, 3)))
    house.runtime.settle()
    assert plan(house, ticket_id, 2, 1, 3)
    with pytest.raises(BadAssembly):
        plan(house, ticket_id, 1, 2, 3)
    assert len(app.contents) == 1


def test_while_the_file_is_made_no_part_changes(house: House, app: App, ticket_id: str) -> None:
    send_all(house, ticket_id)
    other = claim_part(house, new_part(house, ticket_id, 10))
    with house.runtime.held("_copy"):
        assert plan(house, ticket_id, 2, 1)
        assert files(house, ticket_id) == {".parts", ".offsets", ".assembly"}
        assert [type(news) for news in other.news] == [Interrupted], "nobody needs this part"
        with pytest.raises(TakenOver):
            write_part(house, other, b"x")
        with pytest.raises(WrongState, match=COMPLETE):
            claim_part(house, part_id(ticket_id, 4))
        with pytest.raises(NotInParts, match=COMPLETE):
            new_part(house, ticket_id, 10)
        with pytest.raises(WrongState):
            house.uploads.parts.delete(part_id(ticket_id, 1))
        with pytest.raises(BadAssembly):
            plan(house, ticket_id, 1, 2)
        assert app.contents == []
    assert app.contents == [PIECES[1] + PIECES[0]]


def test_a_client_may_wait_until_the_file_is_made(house: House, ticket_id: str) -> None:
    send_all(house, ticket_id)
    seen: list[State] = []

    def wait() -> None:
        house.uploads.assemblies.wait(ticket_id, 60.0)
        seen.append(house.state(ticket_id))

    with house.runtime.held("_copy"):
        plan(house, ticket_id, 2, 1)
        house.runtime.spawn(wait)
        house.runtime.settle()
        assert seen == []
    assert len(seen) == 1
    assert seen[0] is not State.PAUSED
    house.uploads.assemblies.wait(ticket_id, 60.0)


def test_a_cancellation_stops_the_making_of_a_file_and_leaves_nothing(
    house: House, app: App, ticket_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "STEP_BYTES", 10)
    send_all(house, ticket_id)
    with house.runtime.held("_copy"):
        plan(house, ticket_id, 2, 1)
        house.uploads.cancel_by_app(ticket_id, "")
        assert house.state(ticket_id) is State.CANCELLED
    assert house.runtime.pool_calls.count("_copy") == 1
    assert files(house, ticket_id) == set()
    assert house.uploads.admission.reserved_bytes() == 0
    with pytest.raises(UploadCancelled):
        plan(house, ticket_id, 2, 1)
    assert app.contents == []


def test_a_server_that_stops_leaves_the_making_of_a_file_to_the_next_one(
    house: House, app: App, ticket_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "STEP_BYTES", 10)
    send_all(house, ticket_id)
    with house.runtime.held("_copy"):
        plan(house, ticket_id, 2, 1)
        house.uploads.stop()
    assert files(house, ticket_id) == {".parts", ".offsets"}
    assert app.contents == []
    after = house.after_a_kill()
    assert after.state(ticket_id) is State.FINISHED
    assert app.contents == [PIECES[1] + PIECES[0]]


def test_what_the_app_says_is_what_a_client_hears(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(Refused("no")))
    ticket_id = house.new_ticket()
    send_all(house, ticket_id)
    assert plan(house, ticket_id, 1, 2, 3)
    with pytest.raises(HandoverFailed):
        plan(house, ticket_id, 1, 2, 3)
    assert house.file(ticket_id).read_bytes() == CONTENT


# --- disks ---------------------------------------------------------------------------------------------


def test_a_copy_needs_room_on_the_disk_and_a_file_in_order_needs_none(house: House, app: App) -> None:
    in_order, reversed_one = house.new_ticket(), house.new_ticket()
    for ticket_id in (in_order, reversed_one):
        send_all(house, ticket_id)
    free_space(house).free_bytes = lambda: 99  # type: ignore[method-assign]
    assert plan(house, in_order, 1, 2, 3)
    assert house.uploads.assemblies.plan(reversed_one, PlanAssembly((3, 2, 1)))
    with pytest.raises(StorageFull):
        house.uploads.assemblies.wait(reversed_one, 60.0)
    assert files(house, reversed_one) == {".parts", ".offsets"}
    assert (app.contents, house.uploads.admission.reserved_bytes()) == ([CONTENT], 0)
    free_space(house).free_bytes = lambda: 100  # type: ignore[method-assign]
    house.pass_time(61)
    assert app.contents == [CONTENT, PIECES[2] + PIECES[1] + PIECES[0]]


def test_room_for_a_copy_is_promised_to_nobody_else(house: House, ticket_id: str) -> None:
    send_all(house, ticket_id)
    free_space(house).free_bytes = lambda: 120  # type: ignore[method-assign]
    with house.runtime.held("_reserve"):
        plan(house, ticket_id, 3, 2, 1)
        with pytest.raises(StorageFull):
            house.claim(house.new_ticket(), 21)
        house.claim(house.new_ticket(), 20)


@pytest.mark.parametrize("call", ["copy_file_range", "fdatasync", "replace"])
def test_a_disk_that_fails_is_tried_again(
    tmp_path: Path, app: App, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    house = House(tmp_path, app, fsync=True)
    ticket_id = house.new_ticket()
    send_all(house, ticket_id)
    with monkeypatch.context() as broken:
        assert house.uploads.assemblies.plan(ticket_id, PlanAssembly((3, 2, 1)))
        broken.setattr(os, call, failing(errno.EIO))
        with pytest.raises(StorageFailed):
            house.uploads.assemblies.wait(ticket_id, 60.0)
        assert plan(house, ticket_id, 3, 2, 1), "it is known which parts"
        house.pass_time(61)
        assert app.contents == []
    assert house.state(ticket_id) is State.PAUSED
    house.pass_time(61)
    assert app.contents == [PIECES[2] + PIECES[1] + PIECES[0]]


def test_a_journal_that_fails_is_tried_again(house: House, app: App, ticket_id: str) -> None:
    send_all(house, ticket_id)
    with house.runtime.held("_install"):
        plan(house, ticket_id, 1, 2, 3)
        broken = house.journal_broken()
        broken.__enter__()
    assert app.contents == []
    assert files(house, ticket_id) == {"", ".offsets"}
    broken.__exit__(None, None, None)
    house.pass_time(61)
    assert app.contents == [CONTENT]


def test_a_defect_is_logged_and_told_without_details(
    house: House, ticket_id: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    send_all(house, ticket_id)
    assert house.uploads.assemblies.plan(ticket_id, PlanAssembly((1, 2, 3)))

    def broken(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(house.context.storages.default.parts, "assemble", broken)
    with pytest.raises(InternalError):
        house.uploads.assemblies.wait(ticket_id, 60.0)
    assert "a defect" in caplog.text


# --- kills ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1)], ids=["in order", "copied"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_anywhere_the_file_is_made_and_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[int, ...], when: str
) -> None:
    """After one call is before the next one: each place is tried with and without a client that returns."""
    expected = b"".join(PIECES[number - 1] for number in order)
    for number in itertools.count(1):
        app = App()
        house = House(tmp_path / f"house-{number}", app, fsync=True)
        send_all(house, ticket_id := house.new_ticket())
        with killed_at(monkeypatch, number, when) as calls, suppress(Killed):
            plan(house, ticket_id, *order)
        if len(calls) < number:
            assert app.contents == [expected]
            assert number > 25, "it was killed at each call"
            return
        after = House(house.directory, app, fsync=True)
        client_comes = bool(number % 2)
        is_known = after.uploads.parts.parts_of(ticket_id).assembly is not None
        assert is_known or not app.contents
        if client_comes:
            sizes = [after.uploads.parts.look(part_id(ticket_id, one)).offset_bytes for one in (1, 2, 3)]
            assert sizes == [50, 30, 20]
            plan(after, ticket_id, *order)
        recover(after.uploads)
        after.runtime.settle()
        assert set(app.contents) == ({expected} if is_known or client_comes else set()), f"call {number}"
        assert after.state(ticket_id) is (State.FINISHED if app.contents else State.PAUSED)
        assert files(after, ticket_id) == (set() if app.contents else {".parts", ".offsets"})


def test_a_file_that_was_made_just_before_a_power_cut_is_read_before_it_is_handed_over(
    tmp_path: Path, app: App
) -> None:
    house = House(tmp_path, app)
    ticket_id = house.new_ticket()
    send_all(house, ticket_id)
    with house.runtime.held("delete_all"):
        plan(house, ticket_id, 1, 2, 3)
        after = house.after_a_power_cut()
        sweep(after.uploads)
        recover(after.uploads)
        after.runtime.settle()
        assert after.state(ticket_id) is State.FINISHED
        assert app.contents == [CONTENT]
