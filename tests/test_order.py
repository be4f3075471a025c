"""Workers take long files first, and those of one kind apart from each other."""

from __future__ import annotations

from pathlib import Path

from tests.support.order import LONG, in_order
from tests.support.server import ROOT


def test_quick_files_fill_the_end() -> None:
    quick, long = ["tests/core/test_a.py", "tests/wire/test_b.py"], ["tests/test_c.py", "tests/e2e/test_z.py"]
    ordered = in_order([*quick, *long])
    assert set(ordered[:2]) == set(long)
    assert ordered[2:] == quick


def test_long_files_of_one_folder_are_spread_over_those_of_the_others() -> None:
    pages = [f"tests/e2e/test_{number}.py" for number in range(4)]
    kills = [f"tests/faults/test_{number}.py" for number in range(8)]
    begun = in_order([*pages, *kills])
    assert sorted(begun) == sorted([*pages, *kills])
    for at in range(0, 12, 3):
        assert sum(file in pages for file in begun[at : at + 3]) == 1


def test_the_order_does_not_depend_on_that_of_the_collection() -> None:
    files = [str(file.relative_to(ROOT)) for file in Path(ROOT, "tests").rglob("test_*.py")]
    assert in_order(files) == in_order(reversed(files))
    assert sorted(in_order(files)) == sorted(files)


def test_each_long_folder_is_there() -> None:
    assert all((ROOT / "tests" / folder).is_dir() for folder in LONG)
