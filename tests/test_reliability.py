"""The page of what was tried: made of what the tests have noted, table by table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import reliability
from tests.support.reliability import (
    BETWEEN,
    CASES,
    PAGE,
    RUNS,
    NothingTried,
    Row,
    matrix,
    read,
    table,
    with_rows,
    with_run,
)
from tests.support.tally import tally


def line(what: str, tried: int, happened: str, kind: str = "fault") -> str:
    return json.dumps({"kind": kind, "what": what, "tried": tried, "happened": happened})


def test_what_was_tried_in_the_same_way_is_one_row() -> None:
    kills = [line("kill", 3, "nothing lost"), line("kill", 4, "nothing lost")]
    rows = read([*kills, "", line("cut", 1, "resumed")])
    assert rows == [Row("fault", "cut", 1, "resumed"), Row("fault", "kill", 7, "nothing lost")]
    rows = read([line("kill", 1, "a; b"), line("kill", 1, "b; c"), line("kill", 1, "a", "attack")])
    assert rows == [Row("attack", "kill", 1, "a"), Row("fault", "kill", 2, "a; b; c")]


def test_a_run_without_results_is_an_error() -> None:
    with pytest.raises(NothingTried):
        read(["", "\n"])


def test_a_row_is_one_row_whatever_stands_in_it() -> None:
    rows = table([Row("fault", "a | b\nc", 1_234_567, "ok")]).splitlines()
    assert rows[-1] == "| a \\| b c | 1,234,567 | ok |"
    assert len(rows) == 3


def test_clients_are_rows_and_their_cases_are_columns() -> None:
    noted = [f"{name}{BETWEEN}{case}" for name in ("tuspy", "curl") for case in CASES[:2]]
    rows = read(line(what, 1, "passed", "client") for what in [*noted, noted[0], noted[0]])
    assert matrix(rows).splitlines() == [
        "| client | " + " | ".join(CASES) + " |",
        "|---|" + "---|" * len(CASES),
        "| curl | 1 | 1 |" + "  |" * 5,
        "| tuspy | 3 | 1 |" + "  |" * 5,
    ]


def test_a_run_replaces_its_own_table_and_no_other() -> None:
    page = PAGE.read_text("utf-8")
    rows = [Row("fault", "kill", 5, "nothing lost")]
    for run in RUNS:
        changed = with_run(page, run, rows, "2026-01-31")
        assert f"Last `make {run}`: 2026-01-31, 5 times in 1 ways." in changed
        assert with_run(changed, run, rows, "2026-01-31") == changed
        for other in set(RUNS) - {run}:
            place = slice(page.index(f"<!-- {other} -->"), page.index(f"<!-- end of {other} -->"))
            assert page[place] in changed
    with pytest.raises(ValueError, match="no place"):
        with_run(page, "rumours", rows, "2026-01-31")


def test_single_tests_add_their_rows_to_the_table_of_the_last_run() -> None:
    run = [Row("fault", "a | b", 5, "nothing lost"), Row("fault", "kill", 5, "nothing lost")]
    page = with_run(PAGE.read_text("utf-8"), "faults", run, "2026-01-31")
    single = [Row("fault", "Cut", 1, "resumed"), Row("fault", "kill", 7, "whole")]
    once = with_rows(page, "faults", single, "2026-02-01")
    told = "2026-01-31, 10 times in 2 ways. Single tests since then: 2026-02-01, 8 times in 2 ways."
    assert f"Last `make faults`: {told}\n\n" in once
    rows = ["| a \\| b | 5 | nothing lost |", "| Cut | 1 | resumed |", "| kill | 7 | whole |"]
    assert "\n".join([*rows, "<!-- end of faults -->"]) in once
    assert with_rows(once, "faults", single, "2026-02-01") == once


def test_what_the_tests_note_ends_in_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, noted = tmp_path / "reliability.md", tmp_path / "tally"
    copy.write_text(PAGE.read_text("utf-8"))
    monkeypatch.setattr(reliability, "PAGE", copy)
    monkeypatch.setenv("INCOMING_TEST_TALLY", str(noted))
    tally("fault", "a kill", 2, "nothing lost")
    tally("fault", "a kill", 3, "nothing lost")
    reliability.main("faults", str(noted))
    assert "| a kill | 5 | nothing lost |" in copy.read_text()
    monkeypatch.delenv("INCOMING_TEST_TALLY")
    tally("fault", "a kill", 100, "not noted")
    assert len(noted.read_text().splitlines()) == 2
