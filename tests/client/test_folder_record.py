"""The list of a folder outlives the command, so that a later run resumes the same upload."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from incoming.client.folder import FolderSource
from incoming.client.folder_record import KEEP_S, FolderRecord
from incoming.client.folder_walk import list_folder, list_together
from incoming.client.source import FileChanged

NOW_NS = 1_700_000_000_000_000_000


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where records are."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "incoming" / "folders"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with four files of four bytes."""
    (tmp_path / "photos" / "inner").mkdir(parents=True)
    for name in ("a", "b", "inner/c", "inner/d"):
        (tmp_path / "photos" / name).write_text("1234")
        os.utime(tmp_path / "photos" / name, ns=(NOW_NS, NOW_NS))
    return tmp_path / "photos"


def test_a_folder_that_has_changed_since_is_listed_as_it_was(folder: Path) -> None:
    before = list_folder(folder)
    FolderRecord("the ticket").save(before)
    (folder / "b").write_text("12345")
    (folder / "inner" / "c").unlink()
    (folder / "new").write_text("!")
    (folder / "inner" / "d").rename(folder / "inner" / "moved")
    begun = FolderRecord("the ticket").resumed(list_folder(folder))
    assert begun
    assert begun.folder.entries == before.entries
    assert sorted(begun.new) == ["inner/moved", "new"]
    source = FolderSource(begun.folder)
    for index, name in enumerate(["a", "b", "inner/c", "inner/d"]):
        start, end = source.manifest.range_of(index)
        place = memoryview(bytearray(end - start))
        if name == "a":
            source.read_into(place, start)
            assert bytes(place) == b"1234"
        else:
            with pytest.raises(FileChanged, match=name):
                source.read_into(place, start)
    source.close()


def test_a_file_that_is_as_it_was_resumes_though_all_others_are_gone(tmp_path: Path, folder: Path) -> None:
    record, before = FolderRecord("t"), list_together([folder / "inner", folder / "a"])
    record.save(before)
    begun = record.resumed(list_together([folder / "inner", folder / "a"]))
    assert begun
    assert (begun.folder.places, begun.folder.root_of) == (before.places, before.root_of)
    assert (begun.folder.modified_ns, begun.new) == (before.modified_ns, [])


def test_there_is_no_record_of_another_ticket_or_another_folder(folder: Path) -> None:
    FolderRecord("t").save(list_folder(folder))
    assert FolderRecord("t").resumed(list_folder(folder))
    assert not FolderRecord("u").resumed(list_folder(folder))
    assert not FolderRecord("t").resumed(list_folder(folder / "inner"))
    FolderRecord("t").remove()
    assert not FolderRecord("t").resumed(list_folder(folder))


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"[]\n", b"\xff\n", b'{"roots": 5}\n', b"no line"])
def test_a_damaged_record_is_none(folder: Path, state: Path, damage: bytes) -> None:
    listed = list_folder(folder)
    FolderRecord("t").save(listed)
    (record,) = state.iterdir()
    whole = record.read_bytes()
    for content in (damage, whole[:-1], whole[:60]):
        record.write_bytes(content)
        assert not FolderRecord("t").resumed(listed)


def test_only_its_user_can_read_it_and_its_name_does_not_tell_the_ticket(folder: Path, state: Path) -> None:
    FolderRecord("the ticket").save(list_folder(folder))
    (record,) = state.iterdir()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert b"the ticket" not in record.read_bytes() + os.fsencode(record)


def test_old_records_are_removed(folder: Path, state: Path) -> None:
    FolderRecord("old").save(list_folder(folder))
    (old,) = state.iterdir()
    os.utime(old, (0, old.stat().st_mtime - KEEP_S - 1))
    FolderRecord("new").save(list_folder(folder))
    assert old not in state.iterdir()
    assert len(list(state.iterdir())) == 1


@pytest.mark.parametrize("home", ["/proc/nothing", "/dev/null"])
def test_without_a_place_for_it_nothing_is_kept_and_nothing_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", home)
    FolderRecord("t").save(list_folder(folder))
    assert not FolderRecord("t").resumed(list_folder(folder))
    FolderRecord("t").remove()
