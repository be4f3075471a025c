"""How files are divided: within the limits of S3, and without a gap."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoming.core.units import MIB
from incoming.storage.s3.part_plan import (
    MAX_PART_BYTES,
    MAX_PARTS,
    MIN_PART_BYTES,
    PartPlan,
    plan_for,
)

TIB: Final = 1 << 40
PART_BYTES: Final = 8 * MIB
plans = st.builds(PartPlan, st.integers(1, 64 * MIB), st.sampled_from([0, 1000]))


@pytest.mark.parametrize(
    ("length_bytes", "part_mib"),
    [(0, 8), (1, 8), (78 << 30, 8), (MAX_PARTS * PART_BYTES, 8), (MAX_PARTS * PART_BYTES + 1, 9), (TIB, 105),
     (5 * TIB, 525), (MAX_PARTS * MAX_PART_BYTES, 5120)],
)  # fmt: skip
def test_the_parts_of_a_known_length_are_as_small_as_their_number_allows(
    length_bytes: int, part_mib: int
) -> None:
    assert plan_for(length_bytes, PART_BYTES) == PartPlan(part_mib * MIB)


@given(st.integers(0, MAX_PARTS * MAX_PART_BYTES))
def test_a_file_of_any_length_has_parts_that_s3_accepts(length_bytes: int) -> None:
    plan = plan_for(length_bytes, PART_BYTES)
    assert MIN_PART_BYTES <= plan.part_bytes <= MAX_PART_BYTES
    assert plan.max_bytes >= length_bytes
    assert plan.doubles_every == 0


def test_a_file_that_no_number_of_parts_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 10000 parts"):
        plan_for(MAX_PARTS * MAX_PART_BYTES + 1, PART_BYTES)


def test_a_file_of_unknown_length_may_have_five_tebibytes_and_more() -> None:
    plan = plan_for(None, PART_BYTES)
    assert plan.max_bytes > 7.8 * TIB
    assert plan.size_bytes(1) == plan.size_bytes(1000) == PART_BYTES
    assert plan.size_bytes(1001) == 2 * PART_BYTES
    assert plan.size_bytes(MAX_PARTS) == 4 << 30 < MAX_PART_BYTES


@given(plans, st.integers(1, MAX_PARTS))
def test_each_part_begins_where_the_one_before_ends(plan: PartPlan, number: int) -> None:
    assert plan.start(1) == 0
    assert plan.start(number + 1) == plan.start(number) + plan.size_bytes(number)
