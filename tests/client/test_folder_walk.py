"""What is listed of a folder, and what of it is not sent."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from incoming.client.folder_walk import Folder, list_folder, list_together
from incoming.client.source import FileUnreadable
from incoming.core.folder_names import MAX_DEPTH

MODIFIED_NS = 1_700_000_000_123_456_789


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a file, a folder with two, and an empty folder."""
    for name, content in {"b.jpg": "bb", "a/2.jpg": "22", "a/1.jpg": "", "é.jpg": "e"}.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, ns=(0, MODIFIED_NS))
    (tmp_path / "photos" / "empty" / "inner").mkdir(parents=True)
    return tmp_path / "photos"


def paths(folder: Folder) -> list[str]:
    return [entry.path for entry in folder.entries]


def test_a_folder_is_listed_in_a_fixed_order_with_sizes_and_times(photos: Path) -> None:
    folder = list_folder(photos)
    assert folder.name == "photos"
    assert paths(folder) == ["a/1.jpg", "a/2.jpg", "b.jpg", "empty/inner/", "é.jpg"]
    assert [entry.size_bytes for entry in folder.entries] == [0, 2, 2, 0, 1]
    assert folder.entries[0].modified_ms == MODIFIED_NS // 1_000_000
    assert folder.modified_ns[0] == MODIFIED_NS
    assert folder.path(1) == photos / "a" / "2.jpg"
    assert not folder.skipped
    assert not folder.unreadable


@pytest.mark.parametrize("name", [".", "a/..", "../photos", "../photos/"])
def test_a_folder_has_its_own_name_however_it_is_named(
    photos: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(photos)
    assert list_folder(Path(name)).name == "photos"


def test_links_and_pipes_are_not_sent_and_what_they_lead_to_is_not_read(photos: Path) -> None:
    (photos / "a" / "link.jpg").symlink_to(photos / "b.jpg")
    (photos / "loop").symlink_to(photos)
    (photos / "dead").symlink_to("nowhere")
    os.mkfifo(photos / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(photos / "socket"))
        folder = list_folder(photos)
    assert paths(folder) == ["a/1.jpg", "a/2.jpg", "b.jpg", "empty/inner/", "é.jpg"]
    shown = [str(photos / name) for name in ("a/link.jpg", "dead", "loop", "pipe", "socket")]
    assert sorted(folder.skipped) == shown


def test_a_folder_that_has_nothing_but_links_is_sent_as_an_empty_one(photos: Path) -> None:
    (photos / "links").mkdir()
    (photos / "links" / "link").symlink_to(photos / "b.jpg")
    assert "links/" in paths(list_folder(photos))


def test_a_link_to_a_folder_that_was_named_is_followed(photos: Path) -> None:
    (photos.parent / "link").symlink_to("photos")
    folder = list_folder(photos.parent / "link")
    assert folder.name == "link"
    assert "b.jpg" in paths(folder)


def test_what_can_not_be_read_is_named(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.access

    def access(path: str, *args: int, **options: int) -> bool:
        return path != "2.jpg" and real(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "access", access)
    folder = list_folder(photos)
    refused = str(photos / "a" / "2.jpg")
    assert folder.unreadable == {refused: f"{refused} can't be read: Permission denied."}
    assert "a/2.jpg" not in paths(folder)
    assert "a/1.jpg" in paths(folder)


def test_a_file_that_has_content_and_no_size_is_not_sent() -> None:
    if not (place := Path("/proc/self/net/stat")).exists():
        pytest.skip("this system has no such folder")
    folder = list_folder(place)
    assert not folder.entries
    assert "reported size of 0 bytes, but it has more" in " ".join(folder.unreadable.values())


def test_a_folder_that_is_too_deep_is_not_sent(tmp_path: Path) -> None:
    deep = tmp_path / "photos" / "/".join(["d"] * (MAX_DEPTH + 3))
    deep.mkdir(parents=True)
    (why,) = list_folder(tmp_path / "photos").unreadable.values()
    assert f"too deep in the folder: the limit is {MAX_DEPTH} names" in why


def test_a_name_that_is_not_unicode_is_sent_with_a_replacement_character(photos: Path) -> None:
    name = os.fsdecode(b"\xff.jpg")
    (photos / name).write_text("!")
    folder = list_folder(photos)
    index = paths(folder).index("\ufffd.jpg")
    assert folder.places[index] == name


def test_a_folder_that_can_not_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="can't be read: No such file"):
        list_folder(tmp_path / "nothing")


def test_files_and_folders_become_one_folder(photos: Path) -> None:
    (photos.parent / "film.mov").write_text("film")
    (photos.parent / "link").symlink_to("photos/a")
    folder = list_together([photos, photos.parent / "film.mov", photos.parent / "link"])
    assert folder.name == photos.parent.name
    assert paths(folder) == [
        *("photos/a/1.jpg", "photos/a/2.jpg", "photos/b.jpg", "photos/empty/inner/", "photos/é.jpg"),
        *("film.mov", "link/1.jpg", "link/2.jpg"),
    ]
    assert [folder.path(index).read_bytes() for index in (1, 5, 7)] == [b"22", b"film", b"22"]


def test_what_has_no_folder_in_common_gets_a_name(photos: Path) -> None:
    assert list_together([photos / "a", photos / "a" / "1.jpg"]).name == "files"


def test_two_of_the_same_name_are_refused(photos: Path) -> None:
    (photos / "a" / "b.jpg").write_text("")
    with pytest.raises(ValueError, match=r"b\.jpg and .*a/b\.jpg would have the same path"):
        list_together([photos / "b.jpg", photos / "a" / "b.jpg"])
