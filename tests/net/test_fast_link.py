"""A long, fast link: enough has to be on its way to fill it."""

from __future__ import annotations

import time

import pytest

from tests.net.bare import Transfer, bare_tcp
from tests.net.conftest import FULL, Stage
from tests.net.link import LinkSettings
from tests.net.report import tell_bare, tell_upload

FAR = LinkSettings(1e9, delay_s=0.05, mtu_bytes=65535)
NEAR = LinkSettings(1e9, delay_s=0.0005, mtu_bytes=65535)
FARTHER = LinkSettings(4e8, delay_s=0.125, mtu_bytes=65535)
"""As much is on its way as on FAR, 12.5 MB, at a rate that a browser's CPU bears everywhere."""
STEADY_AFTER_S, END_S = 5.0, 20.0


def uploaded(stage: Stage, link: LinkSettings) -> Transfer:
    """Uploads over a link for as long as it is measured, and cancels."""
    stage.network.become(link)
    began_s = time.monotonic()
    stage.page.upload(stage.file(int(link.bytes_per_s * END_S * 1.1)), stage.ticket())
    stage.page.wait_until_s(END_S)
    points = stage.page.points()
    title = f"{stage.page.driver.engine}, {link.rate_bit_per_s / 1e6:.0f} Mbit/s, {link.rtt_s * 1000:.0f} ms"
    tell_upload(title, points, stage.network.samples("up", began_s, time.monotonic()))
    stage.page.do("uploader.cancel()")
    stage.page.event("oncancelled")
    return stage.page.transfer()


def steady(transfer: Transfer) -> float:
    """Bytes a second once everybody has found their speed."""
    return transfer.bytes_per_s(STEADY_AFTER_S, END_S)


needs_the_machine = pytest.mark.skipif(
    not FULL, reason="INCOMING_TEST_NET=full runs this: it needs the machine for itself"
)
in_each_engine = pytest.mark.parametrize("driver", ["chromium", "firefox", "webkit"], indirect=True)


@needs_the_machine
@in_each_engine
def test_a_long_link_is_filled_as_one_bare_connection_fills_it(stage: Stage) -> None:
    stage.network.become(FARTHER)
    bare = bare_tcp(stage.network, END_S)
    tell_bare(bare)
    rate = steady(uploaded(stage, FARTHER))
    print(f"bare {steady(bare) / 1e6:.1f}, uploaded {rate / 1e6:.1f} MB/s")
    assert rate >= 0.9 * steady(bare)


@needs_the_machine
@in_each_engine
def test_delay_costs_nothing_on_a_long_fast_link(stage: Stage) -> None:
    stage.network.become(FAR)
    bare = bare_tcp(stage.network, END_S)
    tell_bare(bare)
    # 1 Gbit/s can be more than the browser's CPU bears: then what it does without delay is the goal.
    goal = min(steady(bare), steady(uploaded(stage, NEAR)))
    rate = steady(uploaded(stage, FAR))
    print(f"bare {steady(bare) / 1e6:.1f}, goal {goal / 1e6:.1f}, uploaded {rate / 1e6:.1f} MB/s")
    assert rate >= 0.9 * goal
