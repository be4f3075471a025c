"""SECURITY.md: each claim names the test that checks it, and those tests are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import Final

import pytest

from tests.support.server import ROOT

TEXT: Final = (ROOT / "SECURITY.md").read_text("utf-8")
ROWS: Final = re.findall(r"^\| (.+?) \| (.+?) \|$", TEXT.partition("## The claims")[2], re.MULTILINE)
CLAIMS: Final = [(claim, tests) for claim, tests in ROWS if claim != "claim"]
NAMED: Final = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", TEXT)))


@cache
def functions_of(file_name: str) -> frozenset[str]:
    """Returns the names of the functions of a file."""
    tree = ast.parse((ROOT / file_name).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("claim", "tests"), CLAIMS, ids=[claim[:40] for claim, _ in CLAIMS])
def test_every_claim_names_a_test(claim: str, tests: str) -> None:
    assert re.search(r"`tests/[\w/]+\.py::test_\w+`", tests), claim


@pytest.mark.parametrize(("file_name", "test"), NAMED, ids=[test for _, test in NAMED])
def test_every_test_that_is_named_is_there(file_name: str, test: str) -> None:
    assert test in functions_of(file_name)


def test_the_threat_model_has_claims_with_tests() -> None:
    assert len(CLAIMS) > 15
    assert len(NAMED) > len(CLAIMS)


def test_what_make_test_does_not_check_is_marked() -> None:
    """A star is for tests that wait for `make attacks`, and for no others."""
    starred = set(re.findall(r"::(test_\w+)` \*", TEXT))
    assert starred
    for file_name, test in NAMED:
        tree = ast.parse((ROOT / file_name).read_text("utf-8"))
        (function,) = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == test)
        waits = any(
            "make attacks" in ast.unparse(mark) or "asked_for" in ast.unparse(mark)
            for mark in function.decorator_list
        )
        assert waits == (test in starred), test
