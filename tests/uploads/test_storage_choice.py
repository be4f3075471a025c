"""One server with a directory and a store of objects, between which apps choose."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from incoming.core.backend_requests import Listing
from incoming.core.errors import BadParameter, NotInParts, StorageFull
from incoming.core.lifecycle import State
from incoming.handover.answers import Done
from incoming.uploads import housekeeping
from incoming.uploads.deletion import QUIET_AFTER_S
from incoming.uploads.overview import Overview
from tests.support.both_house import BothHouse
from tests.support.fakes import FakeApp
from tests.support.uploads import TIMES

CONTENT = b"content"
LENGTH_BYTES = 1000


@pytest.fixture
def house(tmp_path: Path) -> BothHouse:
    return BothHouse(tmp_path, FakeApp(Done(), Done()), **TIMES)


def test_each_upload_is_in_the_storage_that_its_app_has_chosen(house: BothHouse) -> None:
    on_disk, in_store = house.new_ticket(removeFileWhenFinished="false"), house.new_ticket(storage="s3")
    house.arrive(on_disk, CONTENT)
    assert (house.local.size(on_disk), house.s3.size(on_disk)) == (len(CONTENT), None)
    house.arrive(in_store, CONTENT)
    first, second = house.app.forms
    assert Path(first["filename"]).read_bytes() == CONTENT and "url" not in first
    assert (second["filename"], second["bucket"]) == (f"piece://{in_store}", "pieces")
    assert house.state(on_disk) is house.state(in_store) is State.FINISHED


def test_a_restart_finds_each_upload_where_it_was(house: BothHouse) -> None:
    ids = [house.new_ticket(storage=name) for name in ("local", "s3")]
    for ticket_id in ids:
        client = house.claim(ticket_id, LENGTH_BYTES)
        house.uploads.write(client.claim, memoryview(bytes(600)))
        house.uploads.flush(client.claim)
    after = house.after_a_kill()
    for ticket_id in ids:
        client = after.claim(ticket_id, LENGTH_BYTES)
        assert client.claim.offset_bytes == 600
        after.uploads.write(client.claim, memoryview(bytes(400)))
        after.uploads.complete(client.claim)
        after.runtime.settle()
        assert after.state(ticket_id) is State.FINISHED


@pytest.mark.parametrize("name", ["local", "s3"])
def test_what_was_called_off_is_deleted_where_it_is(house: BothHouse, name: str) -> None:
    ticket_id = house.new_ticket(storage=name)
    client = house.claim(ticket_id, LENGTH_BYTES)
    house.uploads.write(client.claim, memoryview(bytes(600)))
    house.uploads.cancel_by_client(client.claim, "enough")
    house.pass_time(QUIET_AFTER_S)
    assert house.context.storages.named(name).size(ticket_id) is None


@pytest.mark.parametrize("name", ["local", "s3"])
def test_a_sweep_expires_uploads_of_both(house: BothHouse, name: str) -> None:
    ticket_id = house.new_ticket(storage=name)
    client = house.claim(ticket_id, LENGTH_BYTES)
    house.uploads.write(client.claim, memoryview(bytes(600)))
    house.uploads.release(client.claim)
    assert house.context.storages.named(name).size(ticket_id) == 600
    house.pass_time(house.settings.idle_timeout_s + 1)
    assert house.state(ticket_id) is State.EXPIRED
    assert house.context.storages.named(name).size(ticket_id) is None


def test_a_full_disk_keeps_out_files_for_the_disk_only(
    house: BothHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(house.local.free_space), "free_bytes", lambda _: LENGTH_BYTES)
    house.claim(house.new_ticket(storage="s3"), 10 * LENGTH_BYTES)
    house.claim(house.new_ticket(), LENGTH_BYTES)
    assert house.uploads.admission.reserved_bytes() == LENGTH_BYTES, "of the disk"
    with pytest.raises(StorageFull):
        house.claim(house.new_ticket(), 1)
    house.claim(house.new_ticket(storage="s3"), 10 * LENGTH_BYTES)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"destinationKey": "inbox/1"}, "destinationKey"),
        ({"storage": "local", "destinationKey": "inbox/1"}, "destinationKey"),
        ({"storage": "s3", "fileOwnerUid": "0"}, "fileOwnerUid"),
        ({"storage": "s3", "destinationKey": "elsewhere"}, "destinationKey"),
    ],
)
def test_what_the_chosen_storage_does_not_do_is_refused_in_words(
    house: BothHouse, asked: dict[str, str], named: str
) -> None:
    with pytest.raises(BadParameter, match=named):
        house.new_ticket(**asked)


def test_only_files_on_the_disk_come_in_parts(house: BothHouse) -> None:
    house.uploads.parts.create(house.new_ticket(storage="local"), 10, "")
    with pytest.raises(NotInParts):
        house.uploads.parts.create(house.new_ticket(storage="s3"), 10, "")


def test_the_list_says_where_each_upload_is(house: BothHouse) -> None:
    for name in ("local", "s3"):
        client = house.claim(house.new_ticket(storage=name), LENGTH_BYTES)
        house.uploads.write(client.claim, memoryview(bytes(600)))
        house.uploads.release(client.claim)
    page = Overview(house.uploads).page(Listing())
    assert page["storages"] == ["local", "s3"]
    found = {(row["storage"], row["offset_bytes"]) for row in page["uploads"]}
    assert found == {("local", 600), ("s3", 600)}


def test_a_power_cut_makes_only_files_on_the_disk_doubtful(
    house: BothHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = {name: house.new_ticket(storage=name) for name in ("local", "s3")}
    for ticket_id in ids.values():
        client = house.claim(ticket_id, LENGTH_BYTES)
        house.uploads.write(client.claim, memoryview(bytes(600)))
        house.uploads.release(client.claim)
    monkeypatch.setattr(type(house.s3), "survives_power_cuts", True)
    after = house.after_a_power_cut()
    assert after.uploads.needs_power_cut_check(ids["local"])
    assert not after.uploads.needs_power_cut_check(ids["s3"])


def test_a_ticket_of_an_older_version_is_on_the_disk_where_that_was_the_storage(house: BothHouse) -> None:
    ticket_id = house.paused(LENGTH_BYTES, bytes(600))
    old = replace(house.ticket(ticket_id), storage="")
    storages = house.context.storages
    assert storages.name_for(old) == "local"
    assert storages.of(old).size(ticket_id) == 600
    assert housekeeping.sweep(house.uploads) == 0
