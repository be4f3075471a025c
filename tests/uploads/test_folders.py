"""A folder is one upload for the service: takeovers, kills, left-out files, refusals, the handover."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final
from unittest.mock import patch

import pytest
from crc32c import crc32c
from msgspec.structs import replace

from incoming.core.backend_requests import Listing, NewUpload
from incoming.core.checkpoints import Checkpoint
from incoming.core.errors import (
    BadFolder,
    BadParameter,
    Damaged,
    FilesOnly,
    StorageFailed,
    StorageFull,
    TakenOver,
    UploadCancelled,
    UploadTooLarge,
    WrongFile,
)
from incoming.core.folder_manifest import Entry, encode_head, parse_head
from incoming.core.lifecycle import State
from incoming.core.news import HandedOver
from incoming.handover.answers import Done, Refused, WillFinish
from incoming.handover.callbacks import ArrivedUpload
from incoming.storage.local.folders.writer import LocalFolderWriter
from incoming.uploads.overview import Overview
from tests.support.fakes import FakeApp
from tests.support.piece_house import PieceHouse
from tests.support.uploads import TIMES, Client, House, new_claim, stream_of

FILES: Final = {
    "a/one.bin": Random(1).randbytes(700),
    "a/two.txt": b"two",
    "empty/": b"",
    "three.bin": Random(3).randbytes(3000),
    "nothing": b"",
    "last": b"the last one",
}
STREAM: Final = stream_of(FILES)
CHUNK_BYTES: Final = 450
"""Chunks end within files."""
MANIFEST: Final = parse_head(STREAM[: len(STREAM) - sum(map(len, FILES.values()))])
ONE, TWO, THREE, LAST = 0, 1, 3, 5


@pytest.fixture
def app() -> FakeApp:
    return FakeApp(Done())


@pytest.fixture
def house(tmp_path: Path, app: FakeApp) -> House:
    return House(tmp_path, app, **TIMES)


def start_of(index: int) -> int:
    return MANIFEST.range_of(index)[0]


def without(*indices: int) -> bytes:
    """The stream of the folder with zeros in place of these files."""
    stream = bytearray(STREAM)
    for index in indices:
        start, end = MANIFEST.range_of(index)
        stream[start:end] = bytes(end - start)
    return bytes(stream)


def sends(
    house: House, client: Client, stream: bytes, end: int | None = None, chunk_bytes: int = 450
) -> None:
    """Sends the stream from where the client is, up to `end`, in chunks that end within files."""
    end = len(stream) if end is None else end
    for at in range(client.claim.taken_bytes, end, CHUNK_BYTES):
        house.uploads.write(client.claim, memoryview(stream)[at : min(at + CHUNK_BYTES, end)])


def claimed(house: House, ticket_id: str, stream: bytes = STREAM, proves: bool = False) -> Client:
    client = Client()
    claim = new_claim(len(stream), "Holiday", proves=proves)
    client.claim = house.uploads.claim(ticket_id, claim, client.listener)
    return client


def completes(house: House, client: Client, stream: bytes = STREAM) -> None:
    house.uploads.complete(client.claim, crc32c(stream))
    house.runtime.settle()


def arrives(house: House, ticket_id: str, stream: bytes = STREAM) -> Client:
    client = claimed(house, ticket_id, stream)
    sends(house, client, stream)
    completes(house, client, stream)
    return client


# --- tickets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("lengthBytes", "5"), ("returnURL", "http://app.example.org/thanks")],
)
def test_what_is_only_for_files_is_refused_for_a_folder(house: House, name: str, value: str) -> None:
    with pytest.raises(BadParameter, match=name):
        house.new_ticket(destType="folder", **{name: value})


def test_a_storage_without_folders_refuses_a_ticket_for_one(tmp_path: Path) -> None:
    with pytest.raises(BadParameter, match="destType must be file"):
        PieceHouse(tmp_path).new_ticket(destType="folder")


def test_the_list_shows_that_an_upload_is_a_folder(house: House) -> None:
    house.new_ticket(destType="folder")
    [row] = Overview(house.uploads).page(Listing())["uploads"]
    assert row["dest_type"] == "folder"


def test_the_limit_of_a_ticket_is_that_of_the_whole_stream(house: House) -> None:
    limit_bytes = len(STREAM) - 1
    with pytest.raises(UploadTooLarge):
        claimed(house, house.new_ticket(destType="folder", maxBytes=str(limit_bytes)))


# --- the handover ------------------------------------------------------------------------------------------


def test_a_folder_is_handed_over_once_with_what_the_app_has_to_know(house: House, app: FakeApp) -> None:
    client = arrives(house, house.new_ticket(destType="folder", removeFileWhenFinished="false"))
    [form] = app.forms
    told = {name: form[name] for name in ("destType", "files", "filesBytes", "leftOut", "crc32c")}
    assert told == {
        "destType": "folder", "files": "5", "filesBytes": str(sum(map(len, FILES.values()))),
        "leftOut": "0", "crc32c": f"{crc32c(STREAM):08x}",
    }  # fmt: skip
    assert form["filenameFromBrowser"] == "Holiday"
    assert "sha256" not in form
    assert any(isinstance(news, HandedOver) for news in client.news)
    assert house.context.counters.folders_arrived == 1


def test_no_sha256_is_computed_of_a_stream_of_a_folder(house: House, app: FakeApp) -> None:
    arrives(house, house.new_ticket(destType="folder", digest="sha256"))
    assert "sha256" not in app.forms[0]


def test_a_file_is_handed_over_as_before(house: House, app: FakeApp) -> None:
    house.arrive(house.new_ticket())
    assert not app.forms[0].keys() & {"destType", "files", "filesBytes", "leftOut", "manifest"}


def test_the_app_is_told_of_a_cancelled_folder_without_its_content(house: House, app: FakeApp) -> None:
    client = claimed(house, house.new_ticket(destType="folder"))
    sends(house, client, STREAM, 800)
    house.uploads.cancel_by_client(client.claim, "enough")
    house.runtime.settle()
    [form] = app.forms
    assert (form["destType"], form["cancelled"], form["filename"]) == ("folder", "yes", "")
    assert not form.keys() & {"files", "manifest"}


def test_a_callback_gets_the_same_as_values(house: House) -> None:
    got: list[ArrivedUpload] = []
    house.context.callbacks.register("take", got.append)
    ticket = house.uploads.issue(NewUpload("callback:take", dest_type="folder"))
    arrives(house, ticket.id)
    [upload] = got
    assert (upload.dest_type, upload.files, upload.left_out) == ("folder", 5, 0)
    assert upload.files_bytes == sum(map(len, FILES.values()))
    assert upload.manifest


def files_in(folder: Path) -> dict[str, bytes]:
    """Returns what is in a folder, by path; a path of an empty folder ends with `/`."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_file():
            found[name] = path.read_bytes()
        elif not any(path.iterdir()):
            found[f"{name}/"] = b""
    return found


@pytest.mark.parametrize("digest", ["", "sha256"])
def test_the_app_finds_each_file_with_its_digests_in_the_list(house: House, digest: str) -> None:
    house.app.answers = [WillFinish()]
    ticket_id = house.new_ticket(destType="folder", digest=digest)
    arrives(house, ticket_id)
    [form] = house.app.forms
    assert files_in(Path(form["filename"])) == FILES
    listed = {one["path"]: one for one in map(json.loads, Path(form["manifest"]).read_text().splitlines())}
    assert listed.keys() == FILES.keys()
    for path, content in FILES.items():
        if not path.endswith("/"):
            assert (listed[path]["size"], listed[path]["crc32c"]) == (len(content), f"{crc32c(content):08x}")
            assert listed[path].get("sha256") == (hashlib.sha256(content).hexdigest() if digest else None)


def test_a_folder_is_removed_with_all_that_the_app_has_put_there_and_no_link_is_followed(
    house: House, tmp_path: Path
) -> None:
    house.app.answers = [WillFinish()]
    ticket_id = house.new_ticket(destType="folder")
    arrives(house, ticket_id)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"x")
    (house.file(ticket_id) / "link").symlink_to(outside)
    (house.file(ticket_id) / "a" / "more").mkdir()
    (house.file(ticket_id) / "a" / "more" / "link").symlink_to(outside / "precious")
    house.uploads.finish(ticket_id, "")
    house.runtime.settle()
    assert not house.file(ticket_id).parent.exists()
    assert (outside / "precious").read_bytes() == b"x"


def test_a_failed_handover_is_tried_again_and_then_expires(house: House, app: FakeApp) -> None:
    app.answers = [Refused("no"), Refused("no")]
    ticket_id = house.new_ticket(destType="folder")
    arrives(house, ticket_id)
    house.uploads.retry(ticket_id, "")
    house.runtime.settle()
    assert [form["files"] for form in app.forms] == ["5", "5"]
    assert house.state(ticket_id) is State.FAILED
    house.pass_time(TIMES["failed_retention_s"] + 1)
    assert house.state(ticket_id) is State.EXPIRED
    assert not house.file(ticket_id).parent.exists()


def test_an_idle_folder_expires_and_leaves_nothing(house: House, app: FakeApp) -> None:
    ticket_id = house.new_ticket(destType="folder")
    client = claimed(house, ticket_id)
    sends(house, client, STREAM, start_of(THREE) + 5)
    house.uploads.release(client.claim)
    house.pass_time(TIMES["idle_timeout_s"] + 1)
    assert (house.state(ticket_id), app.forms[0]["cancelled"]) == (State.EXPIRED, "yes")
    assert not house.file(ticket_id).parent.exists()


def test_a_folder_that_does_not_fit_is_refused_before_its_first_byte(tmp_path: Path) -> None:
    house = House(tmp_path, min_free_mib=10**9)
    with pytest.raises(StorageFull):
        claimed(house, house.new_ticket(destType="folder"))


def test_a_disk_that_fails_while_a_file_is_left_out_costs_nothing_but_the_claim(house: House) -> None:
    ticket_id = house.new_ticket(destType="folder")
    client = claimed(house, ticket_id)
    sends(house, client, STREAM, start_of(THREE) + 700)
    with (
        patch.object(LocalFolderWriter, "leave_out", side_effect=StorageFailed()),
        pytest.raises(StorageFailed),
    ):
        house.uploads.leave_out(client.claim, THREE)
    with pytest.raises(StorageFailed):
        sends(house, client, STREAM)
    again = claimed(house, ticket_id)
    assert again.claim.offset_bytes == start_of(THREE) + 700
    sends(house, again, STREAM)
    completes(house, again)


# --- interruptions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "at", [0, 10, 32, MANIFEST.head_bytes, start_of(TWO), start_of(THREE) + 5, len(STREAM) - 1]
)
def test_a_killed_server_resumes_a_folder_at_its_last_byte(house: House, app: FakeApp, at: int) -> None:
    ticket_id = house.new_ticket(destType="folder")
    sends(house, claimed(house, ticket_id), STREAM, at)
    after = house.after_a_kill()
    client = claimed(after, ticket_id)
    assert client.claim.offset_bytes == at
    sends(after, client, STREAM)
    completes(after, client)
    assert app.forms[0]["crc32c"] == f"{crc32c(STREAM):08x}"


def test_a_folder_that_was_killed_after_its_last_byte_is_handed_over(house: House, app: FakeApp) -> None:
    ticket_id = house.new_ticket(destType="folder", digest="sha256")
    sends(house, claimed(house, ticket_id), STREAM)
    after = house.after_a_kill()
    assert (after.state(ticket_id), [form["files"] for form in app.forms]) == (State.FINISHED, ["5"])


@pytest.mark.parametrize("ends", ["finished", "cancelled"])
def test_what_a_kill_left_of_a_folder_that_has_ended_is_removed_at_the_next_start(
    house: House, app: FakeApp, ends: str
) -> None:
    ticket_id = house.new_ticket(destType="folder")
    if ends == "finished":
        arrives(house, ticket_id)
    else:
        house.uploads.cancel_by_client(claimed(house, ticket_id).claim, "enough")
        house.runtime.settle()
    folder = house.file(ticket_id)
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "one.bin").write_bytes(b"left")
    folder.with_name(f"{ticket_id}.head").write_bytes(STREAM[: MANIFEST.head_bytes])
    assert house.after_a_kill().state(ticket_id) == State(ends)
    assert not folder.parent.exists()


def test_all_of_a_folder_belongs_to_the_user_that_the_app_has_named(house: House) -> None:
    owner_uid = 65534 if os.geteuid() == 0 else os.geteuid()
    house.app.answers = [WillFinish()]
    ticket_id = house.new_ticket(destType="folder", fileOwnerUid=str(owner_uid))
    arrives(house, ticket_id)
    folder = house.file(ticket_id)
    assert {path.stat().st_uid for path in (folder, *folder.rglob("*"))} == {owner_uid}


def test_another_connection_takes_a_folder_over(house: House) -> None:
    ticket_id = house.new_ticket(destType="folder")
    first = claimed(house, ticket_id)
    sends(house, first, STREAM, 900)
    second = claimed(house, ticket_id)
    with pytest.raises(TakenOver):
        house.uploads.leave_out(first.claim, ONE)
    sends(house, second, STREAM)
    completes(house, second)
    assert house.state(ticket_id) is State.FINISHED


def test_a_resumed_folder_has_to_be_the_same(house: House) -> None:
    ticket_id = house.new_ticket(destType="folder")
    client = claimed(house, ticket_id, proves=True)
    sends(house, client, STREAM, 900)
    house.uploads.release(client.claim)
    again = claimed(house, ticket_id, proves=True)
    with pytest.raises(WrongFile):
        house.uploads.check_same(again.claim, tuple(1 for _ in again.claim.compare))
    house.uploads.check_same(
        again.claim, tuple(crc32c(STREAM[start:end]) for start, end in again.claim.compare)
    )


# --- files that are left out -------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [ONE, TWO, THREE, LAST])
@pytest.mark.parametrize("sent", ["nothing", "some", "all"])
def test_a_file_that_is_left_out_counts_as_zeros(house: House, app: FakeApp, index: int, sent: str) -> None:
    start, end = MANIFEST.range_of(index)
    client = claimed(house, house.new_ticket(destType="folder"))
    sends(house, client, STREAM, {"nothing": start, "some": (start + end) // 2, "all": end}[sent])
    house.uploads.leave_out(client.claim, index)
    assert (client.claim.acknowledged_bytes, client.claim.left_out) == (end, (index,))
    sends(house, client, STREAM)
    with pytest.raises(Damaged):
        completes(house, client, STREAM)
    completes(house, client, without(index))
    assert (app.forms[0]["files"], app.forms[0]["leftOut"]) == ("4", "1")
    assert app.forms[0]["crc32c"] == f"{crc32c(without(index)):08x}"
    assert house.context.counters.files_left_out == 1


@pytest.mark.parametrize("answer", [Done(), WillFinish()])
@pytest.mark.parametrize("most", [1000, 1])
def test_a_client_that_asks_after_the_end_hears_what_was_left_out(
    house: House, app: FakeApp, monkeypatch: pytest.MonkeyPatch, answer: Done | WillFinish, most: int
) -> None:
    """Else it could not tell whether the app has the same folder. The storage may have nothing any more."""
    monkeypatch.setattr("incoming.core.ticket.MAX_REMEMBERED_LEFT_OUT", most)
    app.answers = [answer]
    ticket_id = house.new_ticket(destType="folder")
    client = claimed(house, ticket_id, proves=True)
    for index in (ONE, THREE):
        sends(house, client, STREAM, start_of(index))
        house.uploads.leave_out(client.claim, index)
    sends(house, client, STREAM)
    completes(house, client, without(ONE, THREE))
    has_ended = isinstance(answer, Done)
    for at in (house, house.after_a_kill()):
        again = claimed(at, ticket_id, proves=True)
        assert at.state(ticket_id) is (State.FINISHED if has_ended else State.WAITING)
        assert again.claim.left_out == (() if has_ended and most == 1 else (ONE, THREE))
        at.uploads.release(again.claim)


@pytest.mark.parametrize("index", [TWO, 99, 2**40])
def test_only_the_file_that_is_due_can_be_left_out(house: House, index: int) -> None:
    client = claimed(house, house.new_ticket(destType="folder"))
    sends(house, client, STREAM, start_of(ONE) + 10)
    with pytest.raises(BadParameter, match="Index"):
        house.uploads.leave_out(client.claim, index)
    sends(house, client, STREAM)
    completes(house, client)


def test_nothing_is_left_out_of_a_file_or_before_the_list_has_come(house: House) -> None:
    for kind, sent in (("file", 900), ("folder", 40)):
        client = claimed(house, house.new_ticket(destType=kind))
        sends(house, client, STREAM, sent)
        with pytest.raises(BadParameter, match="whose list has come"):
            house.uploads.leave_out(client.claim, ONE)


@pytest.mark.parametrize("end", [House.after_a_kill, House.after_a_power_cut])
def test_what_was_left_out_stays_so_after_a_kill_and_a_power_cut(
    house: House, app: FakeApp, end: Callable[[House], House]
) -> None:
    ticket_id = house.new_ticket(destType="folder")
    client = claimed(house, ticket_id, proves=True)
    sends(house, client, STREAM, start_of(THREE) + 1500)
    house.uploads.keep_checkpoints()
    house.runtime.settle()
    house.uploads.leave_out(client.claim, THREE)
    after = end(house)
    again = claimed(after, ticket_id, proves=True)
    assert (again.claim.offset_bytes, again.claim.left_out) == (MANIFEST.range_of(THREE)[1], (THREE,))
    content = without(THREE)
    after.uploads.check_same(
        again.claim, tuple(crc32c(content[start:end]) for start, end in again.claim.compare)
    )
    sends(after, again, content)
    completes(after, again, content)
    assert app.forms[0]["leftOut"] == "1"


def test_the_first_claim_works_after_a_power_cut_that_took_all_of_a_complete_folder_but_its_list(
    house: House, app: FakeApp
) -> None:
    ticket_id = house.new_ticket(destType="folder")
    client = claimed(house, ticket_id)
    sends(house, client, STREAM)
    house.uploads.keep_checkpoints()
    with house.uploads.claims.lock(ticket_id) as live:
        assert live.writer
        live.writer.flush()
    place = house.file(ticket_id)
    assert place.with_name(f"{place.name}.manifest").exists()
    shutil.rmtree(place)
    after = house.after_a_power_cut()
    assert after.uploads.look(ticket_id).offset_bytes == claimed(after, ticket_id).claim.offset_bytes == 0
    arrives(after, ticket_id)
    assert len(app.forms) == 1


@pytest.mark.parametrize("end", [House.after_a_kill, House.after_a_power_cut])
@pytest.mark.parametrize("at", [start_of(THREE) + 700, start_of(THREE) + 1500])
def test_a_file_that_has_changed_meanwhile_is_left_out_before_the_rest_is_proved(
    house: House, end: Callable[[House], House], at: int
) -> None:
    ticket_id = house.new_ticket(destType="folder")
    client = claimed(house, ticket_id, proves=True)
    sends(house, client, STREAM, start_of(THREE) + 700)
    house.uploads.keep_checkpoints()
    house.runtime.settle()
    sends(house, client, STREAM, at)
    after = end(house)
    again = claimed(after, ticket_id, proves=True)
    after.uploads.leave_out(again.claim, THREE)
    content = without(THREE)
    ranges = again.claim.compare
    after.uploads.check_same(again.claim, tuple(crc32c(content[a:b]) for a, b in ranges))
    after.uploads.release(again.claim)
    for known in after.ticket(ticket_id).checkpoints:
        assert known.crc32c == crc32c(content[: known.end_bytes])
    last = claimed(after.after_a_power_cut(), ticket_id, proves=True)
    assert (last.claim.offset_bytes, last.claim.left_out) == (MANIFEST.range_of(THREE)[1], (THREE,))


@pytest.mark.parametrize("how", ["a wrong proof", "it goes away", "it is taken over"])
@pytest.mark.parametrize("is_killed", [False, True])
def test_a_client_with_another_folder_leaves_out_nothing_of_the_right_one(
    house: House, app: FakeApp, how: str, is_killed: bool
) -> None:
    ticket_id = house.new_ticket(destType="folder")
    right = claimed(house, ticket_id, proves=True)
    sends(house, right, STREAM, start_of(THREE) + 1500)
    house.uploads.release(right.claim)
    wrong = claimed(house, ticket_id, proves=True)
    for index in (ONE, TWO, LAST):
        with pytest.raises(BadParameter, match="Index"):
            house.uploads.leave_out(wrong.claim, index)
    house.uploads.leave_out(wrong.claim, THREE)
    with pytest.raises(BadParameter, match="only a file that is stored in part"):
        house.uploads.leave_out(wrong.claim, THREE + 1)  # the next one
    house.uploads.keep_checkpoints()
    house.runtime.settle()
    if how == "a wrong proof":
        with pytest.raises(WrongFile):
            house.uploads.check_same(wrong.claim, tuple(1 for _ in wrong.claim.compare))
    if how != "it is taken over":
        house.uploads.release(wrong.claim)
        assert not house.ticket(ticket_id).checkpoints or (
            house.ticket(ticket_id).checkpoints[-1].end_bytes <= start_of(THREE)
        )
    house = house.after_a_kill() if is_killed else house
    again = claimed(house, ticket_id, proves=True)
    stays = how == "it is taken over"  # the limit: nobody knows then that there was no proof
    assert again.claim.left_out == ((THREE,) if stays else ())
    assert again.claim.offset_bytes == MANIFEST.range_of(THREE)[stays]
    stream = without(THREE) if stays else STREAM
    house.uploads.check_same(
        again.claim, tuple(crc32c(stream[start:end]) for start, end in again.claim.compare)
    )
    sends(house, again, stream)
    completes(house, again, stream)
    assert app.forms[0]["leftOut"] == ("1" if stays else "0")


def test_a_checkpoint_of_bytes_that_are_left_out_never_stands_in_the_journal(house: House) -> None:
    ticket_id = house.new_ticket(destType="folder")
    client = claimed(house, ticket_id)
    sends(house, client, STREAM, start_of(THREE) + 700)
    house.uploads.keep_checkpoints()
    house.runtime.settle()
    assert [one.end_bytes for one in house.ticket(ticket_id).checkpoints] == [start_of(THREE) + 700]
    house.uploads.leave_out(client.claim, THREE)
    assert not house.ticket(ticket_id).checkpoints
    house.uploads.keep_checkpoints()
    house.runtime.settle()
    end = MANIFEST.range_of(THREE)[1]
    assert house.ticket(ticket_id).checkpoints == (Checkpoint(end, crc32c(without(THREE)[:end])),)


# --- folders that can't be stored --------------------------------------------------------------------------

BAD_STREAMS: Final = {
    "leads_elsewhere": encode_head([Entry("../x", 3)]) + b"abc",
    "duplicate_path": encode_head([Entry("x", 1), Entry("x", 1)]) + b"ab",
    "wrong_length": encode_head([Entry("x", 5)]) + b"abc",
}


@pytest.mark.parametrize("reason", BAD_STREAMS)
def test_a_folder_that_can_not_be_stored_is_refused_before_the_first_byte_of_a_file(
    house: House, app: FakeApp, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    caplog.set_level("INFO")
    stream = BAD_STREAMS[reason]
    ticket_id = house.new_ticket(destType="folder")
    client = claimed(house, ticket_id, stream)
    with pytest.raises(BadFolder) as refused:
        sends(house, client, stream, 40)
        sends(house, client, stream)
    assert refused.value.reason == reason
    house.runtime.settle()
    assert house.state(ticket_id) is State.CANCELLED
    [form] = app.forms
    assert form["cancelReason"].startswith(str(refused.value))
    assert not refused.value.path or form["cancelReason"].endswith(f"Its path is: {refused.value.path}")
    assert sum(str(refused.value) in record.getMessage() for record in caplog.records) == 1
    assert house.context.storages.of(house.ticket(ticket_id)).size(ticket_id) is None
    with pytest.raises(UploadCancelled):
        claimed(house, ticket_id)


ANOTHER_FILE: Final = b"The bytes of a file, and more of them than a head has."
DAMAGES: Final = {
    "in the header": STREAM[:18] + b"?" + STREAM[19:],
    "in the list": STREAM[:50] + b"?" + STREAM[51:],
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("first_bytes", [7, 40, 60])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_list_that_came_damaged_is_discarded_and_may_come_again(
    house: House, app: FakeApp, damage: str, first_bytes: int, version: int
) -> None:
    ticket_id = house.new_ticket(destType="folder")
    client = claimed(house, ticket_id, DAMAGES[damage], proves=version > 1)
    with pytest.raises(BadFolder) as refused:
        sends(house, client, DAMAGES[damage], first_bytes)
        sends(house, client, DAMAGES[damage])
    assert refused.value.reason == BadFolder.DAMAGED
    assert client.claim.acknowledged_bytes == 0
    house.uploads.release(client.claim)
    house.runtime.settle()
    assert not app.forms, "nothing has ended"
    again = claimed(house, ticket_id, proves=version > 1)
    assert (again.claim.offset_bytes, again.claim.compare) == (0, ())
    sends(house, again, STREAM)
    house.uploads.complete(again.claim, crc32c(STREAM) if version > 1 else None)
    house.runtime.settle()
    assert house.state(ticket_id) in (State.WAITING, State.FINISHED)
    assert app.forms[0]["crc32c"] == f"{crc32c(STREAM):08x}"


def test_another_file_is_refused_and_its_ticket_is_as_when_it_was_issued(house: House, app: FakeApp) -> None:
    """The length, too: that of the folder is another one."""
    ticket_id = house.new_ticket(destType="folder")
    issued = house.ticket(ticket_id)
    client = claimed(house, ticket_id, ANOTHER_FILE, proves=True)
    with pytest.raises(BadFolder) as refused:
        sends(house, client, ANOTHER_FILE, 20)
        sends(house, client, ANOTHER_FILE)
    assert refused.value.reason == BadFolder.NOT_A_FOLDER
    with pytest.raises(BadFolder):
        sends(house, client, ANOTHER_FILE)
    house.uploads.release(client.claim)
    house.runtime.settle()
    for one in (house, after := house.after_a_kill()):
        ticket = one.ticket(ticket_id)
        assert ticket.persisted() == replace(issued, changed_at_s=ticket.changed_at_s, boot_id=ticket.boot_id)
        assert not one.uploads.claims.is_held(ticket_id)
    assert after.uploads.admission.reserved_bytes() == 0
    assert not app.forms
    again = claimed(after, ticket_id)
    sends(after, again, STREAM)
    after.uploads.complete(again.claim)
    after.runtime.settle()
    assert app.forms[0]["crc32c"] == f"{crc32c(STREAM):08x}"


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("file", [b"", b"a", b"IncF", b"Inc", STREAM[:31], b"I" * 32])
def test_a_file_that_is_too_short_for_a_list_leaves_the_ticket_as_it_was_issued(
    house: House, app: FakeApp, file: bytes, version: int
) -> None:
    ticket_id = house.new_ticket(destType="folder")
    client = claimed(house, ticket_id, file, proves=version > 1)
    with pytest.raises(BadFolder) as refused:
        if file:
            sends(house, client, file)
        house.uploads.complete(client.claim)
    assert refused.value.reason == BadFolder.NOT_A_FOLDER
    house.uploads.release(client.claim)
    assert (house.state(ticket_id), house.ticket(ticket_id).length_bytes) == (State.ISSUED, None)
    again = claimed(house, ticket_id)
    sends(house, again, STREAM)
    house.uploads.complete(again.claim)
    house.runtime.settle()
    assert app.forms[0]["crc32c"] == f"{crc32c(STREAM):08x}"


def test_parts_are_refused_for_a_folder(house: House) -> None:
    with pytest.raises(FilesOnly, match="An upload in parts can't send one"):
        house.uploads.parts.create(house.new_ticket(destType="folder"), 10, "")
