"""Moving an upload to its place, which both examples do in the same way."""

from __future__ import annotations

import inspect
import os
import shutil
import threading
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples.hosting import load


@pytest.fixture(params=["1-simple", "2-dynamic"])
def backend(request: pytest.FixtureRequest) -> ModuleType:
    """Each example's backend.py."""
    return load(request.param)


class Desk:
    """Files to be kept in `folder`."""

    def __init__(self, backend: ModuleType, tmp_path: Path) -> None:
        self.backend = backend
        self.inbox = tmp_path / "inbox"
        self.folder = tmp_path / "uploads"
        self.inbox.mkdir()
        self.folder.mkdir()

    def keep(self, name: str, content: str = "x", upload_id: str = "id") -> str:
        source = self.inbox / upload_id
        source.write_text(content)
        kept: str = self.backend.keep_file(upload_id, str(source), name, self.folder)
        assert not source.exists()
        return kept

    def files(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.folder.iterdir()}


@pytest.fixture
def desk(backend: ModuleType, tmp_path: Path) -> Desk:
    """Where files come in, and where they are kept."""
    return Desk(backend, tmp_path)


def test_both_examples_have_the_same_function() -> None:
    simple, dynamic = (inspect.getsource(load(name).keep_file) for name in ("1-simple", "2-dynamic"))
    assert simple == dynamic


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ("holiday.mov", "holiday.mov"),
        ("my \"best\" 'one' <b>.txt", "my \"best\" 'one' <b>.txt"),
        ("🎉 日本.tar.gz", "🎉 日本.tar.gz"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("folder/", "folder"),
        (".bashrc", "bashrc"),
        (" .. .x", "x"),
        ("..", "upload"),
        (".", "upload"),
        ("", "upload"),
        ("/", "upload"),
        ("a" * 300 + ".jpeg", "a" * 235 + ".jpeg"),
        ("é" * 200 + ".txt", "é" * 118 + ".txt"),
        ("a." + "b" * 300, "a." + "b" * 29),
    ],
)
def test_a_name_is_made_safe_and_otherwise_kept(desk: Desk, wanted: str, kept: str) -> None:
    assert desk.keep(wanted) == kept
    assert desk.files() == {kept: "x"}


def test_files_of_one_name_get_numbers(desk: Desk) -> None:
    assert [desk.keep("a.b.txt", str(n)) for n in range(3)] == ["a.b.txt", "a.b (2).txt", "a.b (3).txt"]
    assert desk.files() == {"a.b.txt": "0", "a.b (2).txt": "1", "a.b (3).txt": "2"}


def test_long_names_that_are_taken_still_fit(desk: Desk) -> None:
    names = {desk.keep("🎉" * 100 + ".jpeg", str(n)) for n in range(12)}
    assert len(names) == len(desk.files()) == 12
    assert max(len(os.fsencode(name)) for name in names) <= 255


def test_a_folder_that_has_the_name_is_left_alone(desk: Desk) -> None:
    (desk.folder / "a").mkdir()
    assert desk.keep("a") == "a (2)"


def test_many_at_once_never_overwrite_each_other(desk: Desk) -> None:
    threads = [threading.Thread(target=desk.keep, args=("same.txt", str(n), f"id-{n}")) for n in range(20)]
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
            desk.keep("a.txt", "half and half")
    assert list(desk.files()) == [".id.part"], "hidden until it is whole"
    assert desk.keep("a.txt", "half and half") == "a.txt"
    assert desk.files() == {"a.txt": "half and half"}


def test_a_try_that_broke_off_after_the_move_is_completed(desk: Desk) -> None:
    (desk.folder / ".id.part").write_text("whole")
    assert desk.backend.keep_file("id", str(desk.inbox / "gone"), "a.txt", desk.folder) == "a.txt"
    assert desk.files() == {"a.txt": "whole"}


def test_a_file_that_is_nowhere_leaves_nothing_to_do(desk: Desk) -> None:
    assert desk.backend.keep_file("id", str(desk.inbox / "gone"), "a.txt", desk.folder) == ""
    assert desk.files() == {}


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300))
def test_any_name_ends_up_in_the_folder_and_visible(
    tmp_path_factory: pytest.TempPathFactory, wanted: str
) -> None:
    desk = Desk(load("1-simple"), tmp_path_factory.mktemp("desk"))
    kept = desk.keep(wanted)
    assert desk.files() == {kept: "x"}
    assert not kept.startswith(".")
