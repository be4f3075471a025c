"""Where the dropzone puts a file whose path a stranger has chosen."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples.hosting import load

BACKEND = load("3-dropzone")


class Desk:
    """Files to be kept in `folder`."""

    def __init__(self, tmp_path: Path, backend: ModuleType = BACKEND) -> None:
        self.backend = backend
        self.inbox = tmp_path / "inbox"
        self.folder = tmp_path / "uploads"
        self.inbox.mkdir()
        self.folder.mkdir()

    def keep(self, path: str, content: str = "x", upload_id: str = "id") -> str:
        source = self.inbox / upload_id
        source.write_text(content)
        kept: str = self.backend.keep_file(upload_id, str(source), path, self.folder)
        assert not source.exists()
        return kept

    def files(self) -> dict[str, str]:
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_text() for path in found}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Where files come in, and where they are kept."""
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ("holiday.mov", "holiday.mov"),
        ("album/2024/holiday.mov", "album/2024/holiday.mov"),
        ("my \"best\" 'one' <b>/🎉 日本.tar.gz", "my \"best\" 'one' <b>/🎉 日本.tar.gz"),
        ("👩‍👩‍👧/a", "👩‍👩‍👧/a"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("a/../../b", "a/b"),
        ("a//b", "a/b"),
        ("a/./b", "a/b"),
        ("..\\..\\windows\\a.dll", "windows/a.dll"),
        ("C:\\a", "C:/a"),
        ("folder/", "folder"),
        (".git/config", "git/config"),
        ("a/.DS_Store", "a/DS_Store"),
        ("a/ .. ./x", "a/x"),
        ("a\nb\0/\x7fc\r", "ab/c"),
        ("\0.\x1f./x", "x"),
        ("..", "upload"),
        ("", "upload"),
        ("/", "upload"),
        ("b" * 300 + "/" + "a" * 300 + ".jpeg", "b" * 240 + "/" + "a" * 235 + ".jpeg"),
        ("é" * 200 + ".txt", "é" * 118 + ".txt"),
        ("a." + "b" * 300, "a." + "b" * 29),
    ],
)
def test_a_path_is_made_safe_and_otherwise_kept(desk: Desk, wanted: str, kept: str) -> None:
    assert desk.keep(wanted) == kept
    assert desk.files() == {kept: "x"}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_a_safe_path_stays_unchanged(wanted: str) -> None:
    path = "/".join(BACKEND.safe_parts(wanted))
    assert "/".join(BACKEND.safe_parts(path)) == path
    for part in path.split("/"):
        assert part not in ("", ".", "..")
        assert not part.startswith(".")
        assert len(part.encode()) <= 240
        assert not any(ord(character) < 32 for character in part)


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("./\\ \0"), max_size=100))
def test_any_path_ends_up_in_the_folder_and_visible(
    tmp_path_factory: pytest.TempPathFactory, wanted: str
) -> None:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    kept = desk.keep(wanted)
    assert desk.files() == {kept: "x"}
    assert not any(part.startswith(".") for part in Path(kept).parts)


def test_files_of_one_path_get_numbers(desk: Desk) -> None:
    assert [desk.keep("a/b.c.txt", str(n)) for n in range(3)] == [
        "a/b.c.txt",
        "a/b.c (2).txt",
        "a/b.c (3).txt",
    ]
    assert desk.files() == {"a/b.c.txt": "0", "a/b.c (2).txt": "1", "a/b.c (3).txt": "2"}


def test_a_folder_whose_name_a_file_has_gets_a_number(desk: Desk) -> None:
    assert [desk.keep(path) for path in ("a", "a/b", "a/c")] == ["a", "a (2)/b", "a (2)/c"]


def test_a_file_whose_name_a_folder_has_gets_a_number(desk: Desk) -> None:
    assert [desk.keep(path) for path in ("a/b", "a")] == ["a/b", "a (2)"]


def test_long_names_that_are_taken_still_fit(desk: Desk) -> None:
    kept = {desk.keep("🎉" * 100 + "/" + "🎉" * 100 + ".jpeg", str(n)) for n in range(12)}
    assert len(kept) == len(desk.files()) == 12
    assert max(len(os.fsencode(part)) for path in kept for part in Path(path).parts) <= 255


def test_many_at_once_never_overwrite_each_other(desk: Desk) -> None:
    threads = [threading.Thread(target=desk.keep, args=("a/same.txt", str(n), f"id-{n}")) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(desk.files().values()) == sorted(str(n) for n in range(20))


def test_a_move_that_broke_off_is_completed_by_the_next_try(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_a_copy(source: str, target: Path) -> None:
        target.write_text("hal")
        raise OSError("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(shutil, "move", half_a_copy)
        with pytest.raises(OSError, match="No space left"):
            desk.keep("a/b.txt", "half and half")
    assert list(desk.files()) == [".id.part"], "hidden until it is whole"
    assert desk.keep("a/b.txt", "half and half") == "a/b.txt"
    assert desk.files() == {"a/b.txt": "half and half"}


def test_a_try_that_broke_off_after_the_move_is_completed(desk: Desk) -> None:
    (desk.folder / ".id.part").write_text("whole")
    assert desk.backend.keep_file("id", str(desk.inbox / "gone"), "a/b.txt", desk.folder) == "a/b.txt"
    assert desk.files() == {"a/b.txt": "whole"}


def test_a_file_that_is_nowhere_leaves_nothing_to_do(desk: Desk) -> None:
    assert desk.backend.keep_file("id", str(desk.inbox / "gone"), "a/b.txt", desk.folder) == ""
    assert list(desk.folder.iterdir()) == []


def keep_folder(desk: Desk, upload_id: str = "id") -> str:
    """Lets a folder with a file and an empty folder come in, and be kept."""
    source = desk.inbox / upload_id
    (source / "empty").mkdir(parents=True)
    (source / "a.txt").write_text("x")
    kept: str = desk.backend.keep_file(upload_id, str(source), "album", desk.folder)
    assert not source.exists()
    assert (desk.folder / kept / "empty").is_dir()
    return kept


def test_a_folder_is_kept_whole_and_a_second_one_of_its_name_gets_a_number(desk: Desk) -> None:
    assert [keep_folder(desk, "1"), keep_folder(desk, "2")] == ["album", "album (2)"]
    assert desk.files() == {"album/a.txt": "x", "album (2)/a.txt": "x"}
    assert desk.backend.keep_file("1", str(desk.inbox / "1"), "album", desk.folder) == ""


def test_a_folder_from_another_file_system_is_copied_also_after_a_copy_that_was_interrupted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.parent != target.parent:
            raise OSError(errno.EXDEV, "another file system")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    half = desk.folder / ".id.copy"
    half.mkdir()
    (half / "half.txt").write_text("of the first try")
    assert keep_folder(desk) == "album"
    assert desk.files() == {"album/a.txt": "x"}


def test_a_copied_folder_whose_original_was_half_removed_is_kept(desk: Desk) -> None:
    source, partial = desk.inbox / "id", desk.folder / ".id.part"
    for folder in (source, partial):
        folder.mkdir()
    (partial / "a.txt").write_text("x")
    assert desk.backend.keep_file("id", str(source), "album", desk.folder) == "album"
    assert desk.files() == {"album/a.txt": "x"}
    assert not source.exists()


def test_what_became_of_the_files_is_told_with_their_names_as_they_were_sent(tmp_path: Path) -> None:
    lines = [
        {"path": "a.txt", "size": 1},
        {"path": "b_.txt", "sent_path": "b\a.txt", "size": 1},
        {"path": "c.txt", "left_out": True},
    ]
    manifest = tmp_path / "manifest"
    manifest.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert BACKEND.told_of(manifest) == {
        "left_out": ["c.txt"],
        "left_out_count": 1,
        "renamed": [["b\a.txt", "b_.txt"]],
        "renamed_count": 1,
    }
