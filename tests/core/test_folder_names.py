"""Which paths of a folder are kept, which are changed, and which are refused."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from incoming.core.errors import BadFolder
from incoming.core.folder_manifest import Entry
from incoming.core.folder_names import KEEPS_ALL, MAX_DEPTH, MAX_PATH_BYTES, NameRules, stored_paths

FOLDS = NameRules(folds=True)
LONG = "é" * 200
SOME = st.text(st.sampled_from("aAbé/.\\:\n\0 Cc") | st.characters(exclude_categories=["Cs"]), max_size=12)


def stored(*paths: str, rules: NameRules = KEEPS_ALL) -> list[str]:
    return stored_paths([Entry(path) for path in paths], rules)


@pytest.mark.parametrize(
    "path",
    [
        "a", "a/b/c.txt", ".hidden", "a/.git/config", "...", "a/..b/b..", " a ", "a.", "aux.c", "con/NUL",
        "ab:c", "b/C:x", "-rf", "~", "$(x)", "*?<>|\"'&", "名前/ファイル", "e\u0301", "\u202etxt.exe",
        "x" * 255, "/".join(["x"] * MAX_DEPTH), "/".join(["x" * 200] * 14),
    ],
)  # fmt: skip
def test_a_path_is_kept_whatever_it_means_to_others(path: str) -> None:
    assert stored(path) == [path]
    assert stored(path, rules=FOLDS) == [path]


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        ([""], "empty_name"),
        (["a//b"], "empty_name"),
        (["a//"], "empty_name"),
        (["/"], "absolute_path"),
        (["/etc/passwd"], "absolute_path"),
        (["//server/share"], "absolute_path"),
        (["C:"], "absolute_path"),
        (["c:/x"], "absolute_path"),
        (["C:\\x"], "absolute_path"),
        ([".."], "leads_elsewhere"),
        (["../a"], "leads_elsewhere"),
        (["a/../../b"], "leads_elsewhere"),
        (["a/.."], "leads_elsewhere"),
        (["a/../"], "leads_elsewhere"),
        (["."], "leads_elsewhere"),
        (["./a"], "leads_elsewhere"),
        (["a\0"], "nul_character"),
        (["\ud800"], "not_unicode"),
        (["a/" * MAX_DEPTH + "b"], "too_deep"),
        (["a/" * MAX_DEPTH + "b/"], "too_deep"),
        (["/".join(["é" * 100] * 15)], "path_too_long"),
        (["a", "a"], "duplicate_path"),
        (["a/b", "x", "a/b"], "duplicate_path"),
        (["a/", "a/"], "duplicate_path"),
        (["a", "a/"], "file_and_folder"),
        (["a/", "a"], "file_and_folder"),
        (["a", "a/b"], "file_and_folder"),
        (["a/b/c", "a/b"], "file_and_folder"),
    ],
)
def test_a_path_is_refused_with_a_reason_and_its_entry(paths: list[str], reason: str) -> None:
    for rules in (KEEPS_ALL, FOLDS):
        with pytest.raises(BadFolder) as refused:
            stored("first", *paths, rules=rules)
        assert (refused.value.reason, refused.value.index) == (reason, len(paths))
        assert refused.value.path == paths[-1]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a\nb", "c\x7f\x9f"], ["a_b", "c__"]),
        (["..\\..\\x"], [".._.._x"]),
        (["C:x", "C:x y/z"], ["C_x", "C_x y/z"]),
        (["x\t/a", "x\t/b/"], ["x_/a", "x_/b"]),
        (["a\n.txt", "a_.txt", "a\t.txt"], ["a_ (2).txt", "a_.txt", "a_ (3).txt"]),
        (["a\n/x", "a_/x"], ["a_ (2)/x", "a_/x"]),
        (["a\n", "a_", "a_ (2)"], ["a_ (3)", "a_", "a_ (2)"]),
        ([LONG + ".jpeg"], ["é" * 125 + ".jpeg"]),
        ([LONG, LONG + "1"], ["é" * 127, "é" * 125 + " (2)"]),
        (["d/" + LONG + "/f"], ["d/" + "é" * 127 + "/f"]),
    ],
)
def test_a_dangerous_name_is_changed_and_takes_that_of_no_other_file(
    paths: list[str], expected: list[str]
) -> None:
    assert stored(*paths) == expected


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a.txt", "A.txt", "A.TXT"], ["a.txt", "A (2).txt", "A (3).TXT"]),
        (["é", "e\u0301", "E\u0301"], ["é", "e\u0301 (2)", "E\u0301 (3)"]),
        (["straße", "STRASSE"], ["straße", "STRASSE (2)"]),
        (["a/x", "A/x", "a/y"], ["a/x", "A (2)/x", "a/y"]),
        (["A", "a/b"], ["A", "a (2)/b"]),
        (["a", "A", "A (2)"], ["a", "A (3)", "A (2)"]),
    ],
)
def test_names_that_a_file_system_takes_for_one_get_numbers(paths: list[str], expected: list[str]) -> None:
    assert stored(*paths) == paths
    assert stored(*paths, rules=FOLDS) == expected


def test_a_file_system_with_shorter_names_gets_shorter_names() -> None:
    assert stored("x" * 200 + ".txt", rules=NameRules(max_name_bytes=143)) == ["x" * 139 + ".txt"]


@given(st.lists(SOME, max_size=8), st.booleans())
@example(["\n", "_", "_ (2)"], True)
@example(["a/b\n", "A/b_", "a/b_"], True)
def test_whatever_comes_each_file_has_a_place_of_its_own_inside(paths: list[str], folds: bool) -> None:
    try:
        found = stored(*paths, rules=NameRules(folds))
    except BadFolder:
        return
    for path in found:
        names = path.split("/")
        assert not {"", ".", ".."} & set(names)
        assert not any(unicodedata.category(c) == "Cc" or c == "\\" for c in path)
        assert all(len(name.encode()) <= 255 for name in names)
        assert len(path.encode()) <= MAX_PATH_BYTES * 2
    assert len(set(found)) == len(found)
    files = {path for path, sent in zip(found, paths, strict=True) if not sent.endswith("/")}
    folders = {path.rsplit("/", depth)[0] for path in found for depth in range(1, path.count("/") + 1)}
    assert not files & folders
    if folds:
        parts = {path.rsplit("/", depth)[0] for path in found for depth in range(path.count("/") + 1)}
        assert len({part.lower() for part in parts}) == len(parts)
