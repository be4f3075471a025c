"""Which client was tried in which case: marks for the tests of `make clients`, which makes a table of them.

A test belongs to a client by the mark `client`, and to cases by the mark `case` and by the values of its
parameters: a `trouble`, and a size of 0. It counts once it has passed.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.support.reliability import BETWEEN, CASES
from tests.support.tally import tally

UPLOAD, CUT, KILL, REFUSAL, EMPTY, LARGE, NOT_EARLY = CASES
TROUBLES: Final = {"cut": CUT, "kill": KILL}
SIZES: Final = ("size", "size_bytes")


def of_client(name: str) -> pytest.MarkDecorator:
    """Returns the mark of tests with this client. `{x}` stands for the value of the parameter x."""
    return pytest.mark.client(name)


def case(*names: str) -> pytest.MarkDecorator:
    """Returns the mark of a test of these cases."""
    assert set(names) <= set(CASES), names
    return pytest.mark.case(*names)


def note(item: pytest.Item) -> None:
    """Notes that a test has passed, if it is one with a client."""
    mark = item.get_closest_marker("client")
    if not mark:
        return
    callspec = getattr(item, "callspec", None)
    params = dict(callspec.params) if callspec else {}
    cases = {name for one in item.iter_markers("case") for name in one.args}
    if params.get("trouble") in TROUBLES:
        cases.add(TROUBLES[params["trouble"]])
    if any(params.get(name) == 0 for name in SIZES):
        cases.add(EMPTY)
    for name in cases:
        tally("client", f"{mark.args[0].format(**params)}{BETWEEN}{name}", 1, "passed")
