"""The offsets that are told of a whole upload: below the length, and never without progress."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.protocol.withheld import MAX_UPLOADS, WITHHELD_BYTES, WithheldOffsets

same_each_run = settings(derandomize=True, deadline=None)


def test_all_but_the_last_byte_of_an_upload_is_visible_that_nothing_was_told_of() -> None:
    assert WithheldOffsets().visible_bytes("a", 10_000) == 9_999
    assert WithheldOffsets().visible_bytes("a", 0) == 0


@same_each_run
@given(st.integers(2, 10_000), st.data())
def test_each_answer_is_behind_the_offset_of_its_request_and_below_the_length(
    length: int, data: st.DataObject
) -> None:
    offsets = WithheldOffsets()
    at = data.draw(st.integers(0, length - 2))
    for _ in range(20):
        offsets.received("a", at, length)
        told = offsets.visible_bytes("a", length)
        assert at < told < length or told == length - 1
        assert offsets.admits(told, length)
        at = told


def test_a_client_that_asks_again_and_again_gets_an_answer_with_progress_each_time_for_hours() -> None:
    offsets, length, at = WithheldOffsets(), 1_000_000, 500_000
    answers = []
    while at < length - 1:
        offsets.received("a", at, length)
        at = offsets.visible_bytes("a", length)
        answers.append(at)
    assert answers == list(range(length - WITHHELD_BYTES, length))


def test_an_offset_that_was_told_never_decreases() -> None:
    offsets = WithheldOffsets()
    offsets.received("a", 9_990, 10_000)
    assert offsets.visible_bytes("a", 10_000) == 9_991
    offsets.received("a", 9_000, 10_000)
    assert offsets.visible_bytes("a", 10_000) == 9_991


def test_a_client_may_resume_at_whatever_any_process_has_told() -> None:
    offsets = WithheldOffsets()
    assert [at for at in range(2_001) if offsets.admits(at, 2_000)] == list(range(976, 2_001))
    assert offsets.admits(0, 5) and not offsets.admits(6, 5)


def test_an_upload_of_one_byte_stays_at_its_start() -> None:
    offsets = WithheldOffsets()
    offsets.received("a", 0, 1)
    assert offsets.visible_bytes("a", 1) == 0


def test_only_the_uploads_that_were_told_last_take_memory() -> None:
    offsets = WithheldOffsets()
    for number in range(MAX_UPLOADS + 1):
        offsets.received(str(number), 0, 10)
    assert offsets.visible_bytes("0", 10) == 9
    assert offsets.visible_bytes("1", 10) == 1
    offsets.forget("1")
    offsets.forget("1")
    assert offsets.visible_bytes("1", 10) == 9
