"""The search for garbage is off where it is not wanted, and then as it was before."""

from __future__ import annotations

import gc

import pytest

from incoming.runtime.garbage import no_collection


@pytest.mark.parametrize("was_enabled", [True, False])
def test_the_search_for_cycles_is_off_within_and_as_it_was_afterwards(was_enabled: bool) -> None:
    before = gc.isenabled()
    (gc.enable if was_enabled else gc.disable)()
    try:
        with pytest.raises(ZeroDivisionError), no_collection():
            assert not gc.isenabled()
            raise ZeroDivisionError
        assert gc.isenabled() is was_enabled
    finally:
        (gc.enable if before else gc.disable)()
