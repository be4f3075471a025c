"""The mark of a start of the machine."""

from __future__ import annotations

from incoming.storage.local.boot_mark import MARK_BYTES, boot_mark


def test_each_start_of_the_machine_has_a_mark_of_its_own() -> None:
    assert boot_mark("one") == boot_mark("one") != boot_mark("another")
    assert boot_mark("") != boot_mark("")
    assert {len(boot_mark(boot_id)) for boot_id in ("", "one")} == {MARK_BYTES}
