"""A link that loses packets and delays them at random: uploads go on without a stall and without an error."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from tests.net.bare import bare_tcp
from tests.net.conftest import FULL, Stage
from tests.net.link import LinkSettings
from tests.net.report import tell_bare, tell_upload
from tests.support.data import MIB, FileBytes

WIRELESS = LinkSettings(20e6, delay_s=0.025, jitter_s=0.02, loss=0.01)
DISORDERLY = LinkSettings(20e6, delay_s=0.025, jitter_s=0.02, loss=0.01, reorder=True)
STALL_S = 2.0
"""A packet that is lost twice costs about half a second, and a chunk is waited for as a whole."""
MEASURED_S = 30.0
FREE_CONTROL = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()


@pytest.mark.parametrize("link", [WIRELESS, DISORDERLY] if FULL else [WIRELESS])
def test_an_upload_over_a_lossy_link_neither_stalls_nor_breaks_off(stage: Stage, link: LinkSettings) -> None:
    content = FileBytes((8 if FULL else 2) * MIB)
    file = stage.file(0)
    file.write_bytes(content.read(0, content.length_bytes))
    stage.network.become(link)
    began_s = time.monotonic()
    stage.page.upload(file, stage.ticket())
    stage.page.event("onfinished", 120)
    points = stage.page.points()
    tell_upload("lossy", points, stage.network.samples("up", began_s, time.monotonic()))
    assert stage.app.wait_for(1)[0].sha256 == content.sha256
    connected_at_s = next(point.at_s for point in points if point.connected)
    under_way = [p for p in points if p.at_s >= connected_at_s and p.bytes_acked < content.length_bytes]
    assert all(point.connected for point in under_way)
    progress_s = stage.page.transfer().steps()[0]
    assert max(later - earlier for earlier, later in itertools.pairwise(progress_s)) < STALL_S


@pytest.mark.skipif(not FULL, reason="INCOMING_TEST_NET=full runs this")
@pytest.mark.skipif(
    "bbr" not in FREE_CONTROL, reason="a lossy link is only filled by bbr, which this kernel lacks"
)
def test_a_lossy_link_is_filled_by_a_sender_that_does_not_take_loss_for_congestion(stage: Stage) -> None:
    stage.network.become(WIRELESS, "bbr")
    bare = bare_tcp(stage.network, MEASURED_S)
    tell_bare(bare)
    began_s = time.monotonic()
    stage.page.upload(stage.file(256 * MIB), stage.ticket())
    stage.page.wait_until_s(MEASURED_S)
    transfer = stage.page.transfer()
    tell_upload("lossy, bbr", stage.page.points(), stage.network.samples("up", began_s, time.monotonic()))
    assert transfer.bytes_per_s(3, MEASURED_S) >= 0.85 * bare.bytes_per_s(3, MEASURED_S)
