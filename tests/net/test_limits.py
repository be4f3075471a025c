"""Rate limits, which the page or the ticket sets, are kept within 5 %."""

from __future__ import annotations

import time

import pytest

from tests.net.conftest import FULL, Stage
from tests.net.link import LinkSettings
from tests.net.report import tell_upload
from tests.support.data import MIB

BROADBAND = LinkSettings(2e8, delay_s=0.01, mtu_bytes=9000)
LIMITS = [100_000, 1_000_000, 10_000_000] if FULL else [1_000_000]
STEADY_AFTER_S = 3.0  # a ticket's limit lets a burst through first
END_S = 15.0 if FULL else 9.0
TOO_SLOW = 0.05 if FULL else 1.0
"""What a limit may cost. In the ordinary run, others may take any share of the two cores."""
TOO_FAST = 0.05 if FULL else 0.2
"""Where the beginning of what is measured comes late, the rest seems to be faster."""


def limited_rate(stage: Stage, title: str) -> float:
    """Returns the rate of the upload that has just been started, after its first seconds."""
    began_s = time.monotonic()
    stage.page.wait_until_s(END_S)
    transfer = stage.page.transfer()
    tell_upload(title, stage.page.points(), stage.network.samples("up", began_s, time.monotonic()))
    return transfer.bytes_per_s_after(STEADY_AFTER_S)


@pytest.mark.parametrize("limit", LIMITS)
def test_the_limit_of_the_page_is_kept(stage: Stage, limit: int) -> None:
    stage.network.become(BROADBAND)
    stage.page.upload(stage.file(512 * MIB), stage.ticket(), max_bytes_per_s=limit)
    assert (1 - TOO_SLOW) * limit < limited_rate(stage, f"page: {limit}") < (1 + TOO_FAST) * limit


@pytest.mark.parametrize("limit", LIMITS)
def test_the_limit_of_the_ticket_is_kept(stage: Stage, limit: int) -> None:
    stage.network.become(BROADBAND)
    stage.page.upload(stage.file(512 * MIB), stage.ticket(maxBytesPerS=str(limit)))
    assert (1 - TOO_SLOW) * limit < limited_rate(stage, f"ticket: {limit}") < (1 + TOO_FAST) * limit
