"""Tickets and files that belong together stay together."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from incoming.composition import storage_note
from incoming.core.errors import BadSetting
from incoming.core.lifecycle import State
from incoming.core.storage_kinds import LOCAL
from incoming.core.ticket import Ticket
from tests.support.uploads import House

NEEDED = Ticket("a", "http://app.example.org/", state=State.PAUSED)
ENDED = Ticket("b", "http://app.example.org/", state=State.FINISHED)


@pytest.mark.parametrize("before", ["", "local"])
def test_files_may_stay_where_they_are(before: str) -> None:
    storage_note.check_same(before, "local", lambda: [NEEDED])


@pytest.mark.parametrize(("before", "now"), [("local", "s3://bucket"), ("s3://bucket", "local")])
def test_files_may_not_move_while_one_is_needed(before: str, now: str) -> None:
    storage_note.check_same(before, now, lambda: [ENDED])
    with pytest.raises(BadSetting, match="1 uploads still have files"):
        storage_note.check_same(before, now, lambda: [ENDED, NEEDED])


def test_a_directory_without_a_note_has_its_own_files(tmp_path: Path) -> None:
    assert storage_note.read_note(tmp_path) == LOCAL
    storage_note.write_note(tmp_path, LOCAL)
    assert list(tmp_path.iterdir()) == []


def test_the_note_about_the_place_of_files_is_read_as_written(tmp_path: Path) -> None:
    storage_note.write_note(tmp_path, "s3://bucket/prefix")
    assert storage_note.read_note(tmp_path) == "s3://bucket/prefix"


def test_a_directory_keeps_its_id_and_no_other_has_it(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert storage_note.directory_id(tmp_path) == storage_note.directory_id(tmp_path)
    assert storage_note.directory_id(tmp_path) != storage_note.directory_id(tmp_path / "other")


def test_a_journal_with_unfinished_uploads_is_not_replaced_by_a_redis(tmp_path: Path) -> None:
    storage_note.check_drained(tmp_path)
    house = House(tmp_path)
    ticket_id = house.new_ticket()
    with pytest.raises(BadSetting, match="1 uploads that are not finished"):
        storage_note.check_drained(tmp_path)
    house.uploads.cancel_by_app(ticket_id, "")
    house.runtime.settle()
    storage_note.check_drained(tmp_path)


# --- several storages ------------------------------------------------------------------------------------

BOTH = "local\ns3://bucket"


@pytest.mark.parametrize(
    ("before", "now", "note"),
    [
        ("local", "s3://bucket\nlocal", "local\ns3://bucket"),
        ("s3://bucket", "local\ns3://bucket", "s3://bucket\nlocal"),
        ("local\ns3://bucket", "s3://bucket\nlocal", "local\ns3://bucket"),
        ("", "s3://bucket\nlocal", "s3://bucket\nlocal"),
    ],
)
def test_a_second_storage_leaves_nameless_tickets_where_they_are(before: str, now: str, note: str) -> None:
    assert storage_note.check_same(before, now, lambda: [NEEDED]) == note
    assert storage_note.nameless(note) == ("local" if note.startswith("local") else "s3")


@pytest.mark.parametrize(("storage", "now"), [("local", "s3://bucket"), ("s3", "local"), ("", "s3://bucket")])
def test_a_storage_may_not_go_while_an_upload_in_it_is_needed(storage: str, now: str) -> None:
    storage_note.check_same(BOTH, now, lambda: [replace(ENDED, storage=storage)])
    with pytest.raises(BadSetting, match="1 uploads still have files"):
        storage_note.check_same(BOTH, now, lambda: [replace(NEEDED, storage=storage)])


@pytest.mark.parametrize(("storage", "now"), [("s3", "s3://bucket"), ("local", "local"), ("", "local")])
def test_a_storage_may_go_when_all_that_is_needed_is_in_the_other_one(storage: str, now: str) -> None:
    assert storage_note.check_same(BOTH, now, lambda: [replace(NEEDED, storage=storage)]) == now


def test_another_bucket_or_directory_is_another_place() -> None:
    needed = replace(NEEDED, storage="s3")
    with pytest.raises(BadSetting, match="still have files in s3://bucket"):
        storage_note.check_same(BOTH, "local\ns3://other", lambda: [needed])
    assert (
        storage_note.check_same("local 1\ns3://b", "local 2\ns3://b", lambda: [needed]) == "local 2\ns3://b"
    )


# --- the endpoint of S3 ----------------------------------------------------------------------------------

ISSUED = Ticket("c", "http://app.example.org/")
AMAZON = storage_note.AMAZON


@pytest.mark.parametrize(
    ("endpoints", "note", "ticket"),
    [
        (("http://a:1", "http://b:1"), "s3://bucket", NEEDED),
        (("http://a:1", ""), "s3://bucket", NEEDED),
        (("", "http://b:1"), BOTH, replace(NEEDED, storage="s3")),
    ],
)
def test_another_endpoint_is_warned_of_once_if_uploads_may_have_files_at_the_former_one(
    endpoints: tuple[str, str], note: str, ticket: Ticket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for endpoint in (endpoints[0], endpoints[1], endpoints[1]):
        storage_note.check_endpoint_in(tmp_path, endpoint, note, lambda: [ticket])
    before, now = (endpoint or AMAZON for endpoint in endpoints)
    (message,) = caplog.messages
    assert f"was {before} and is now {now}: 1 uploads may still have files" in message


@pytest.mark.parametrize(
    ("endpoints", "note", "ticket"),
    [
        (("", "http://b:1"), BOTH, replace(NEEDED, storage="local")),
        (("", "http://b:1"), BOTH, NEEDED),
        (("http://a:1", "http://b:1"), "s3://bucket", ENDED),
        (("http://a:1", "http://b:1"), "s3://bucket", ISSUED),
        (("http://a:1", "http://a:1/"), "s3://bucket", NEEDED),
    ],
)
def test_no_endpoint_is_warned_of_that_lacks_no_file(
    endpoints: tuple[str, str], note: str, ticket: Ticket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for endpoint in endpoints:
        storage_note.check_endpoint_in(tmp_path, endpoint, note, lambda: [ticket])
    assert caplog.messages == []
