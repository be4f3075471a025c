"""The metrics, as Prometheus's own parser reads them."""

from __future__ import annotations

from pathlib import Path

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from incoming import __version__
from incoming.core.errors import all_errors
from incoming.core.lifecycle import State
from incoming.handover.answers import Done, FailureKind, Refused
from incoming.http.prometheus import Metrics
from incoming.uploads.overview import Overview
from tests.support.fakes import FakeApp
from tests.support.server import ROOT
from tests.support.uploads import House

Samples = dict[tuple[str, str], float]


def scrape(house: House, overview: Overview | None = None) -> Samples:
    """Returns {(name, value of its one label): value} of all samples."""
    text = Metrics(overview or Overview(house.uploads)).render().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, ",".join(sample.labels.values())): sample.value for sample in samples}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, FakeApp(Refused("no"), Done()))


def test_every_label_is_there_before_anything_happens(house: House) -> None:
    samples = scrape(house)
    assert {label for name, label in samples if name == "incoming_uploads"} == set(State)
    for name, labels in (
        ("claims", {"first", "resume", "takeover", "watch", "part"}),
        ("uploads_ended", {"finished", "failed", "cancelled", "expired"}),
        ("handover_calls", {"done", "wait", "refused", "no_answer"}),
        ("handover_troubles", set(FailureKind)),
    ):
        found = {label: value for (n, label), value in samples.items() if n == f"incoming_{name}_total"}
        assert found == dict.fromkeys(labels, 0.0)
    refusals = {
        labels: value for (name, labels), value in samples.items() if name == "incoming_refusals_total"
    }
    codes = [error.code for error in all_errors()]
    kinds = [f"{code},{kind}" for kind in ("claim", "request") for code in codes]
    assert refusals == dict.fromkeys([*kinds, "handover_failed,handover", "too_many,connection"], 0.0)


def test_the_metrics_count_tickets_bytes_and_handovers(house: House) -> None:
    house.arrive(house.new_ticket(), b"content")
    house.arrive(house.new_ticket(), b"more content")
    house.paused(10, b"abc")
    house.context.counters.received_bytes += 25
    samples = scrape(house)
    for name, label, value in (
        ("tickets_issued_total", "", 3), ("stored_bytes_total", "", 22), ("received_bytes_total", "", 25),
        ("handover_calls_total", "refused", 1), ("handover_calls_total", "done", 1),
        ("handover_troubles_total", "refused", 1), ("handover_troubles_total", "certificate", 0),
        ("uploads_ended_total", "failed", 1), ("uploads_ended_total", "finished", 1),
        ("claims_total", "first", 3), ("uploads", "failed", 1), ("uploads", "paused", 1),
        ("storage_reserved_bytes", "", 7), ("websocket_connections", "", 0),
        ("storage_writable", "", 1), ("undelivered", "", 0), ("undelivered_oldest_age_seconds", "", 0),
    ):  # fmt: skip
        assert samples[f"incoming_{name}", label] == value, (name, label)


def test_the_lag_is_a_histogram(house: House) -> None:
    overview = Overview(house.uploads)
    for lag_s in (0.002, 0.3, 9.0):
        overview.lag.add(lag_s)
    samples = scrape(house, overview)
    assert samples["incoming_loop_lag_seconds_bucket", "0.0025"] == 1
    assert samples["incoming_loop_lag_seconds_bucket", "0.5"] == 2
    assert samples["incoming_loop_lag_seconds_bucket", "+Inf"] == 3
    assert samples["incoming_loop_lag_seconds_count", ""] == 3
    assert samples["incoming_loop_lag_seconds_sum", ""] == pytest.approx(9.302)


def test_the_metrics_tell_about_the_disk_and_the_process(house: House) -> None:
    overview = Overview(house.uploads)
    assert ("incoming_storage_free_bytes", "") not in scrape(house, overview), "nobody has looked yet"
    overview.free_bytes = 17
    samples = scrape(house, overview)
    assert samples["incoming_storage_free_bytes", ""] == 17
    assert samples["process_resident_memory_bytes", ""] > 1_000_000
    assert samples["process_open_fds", ""] > 3
    assert [label for name, label in samples if name == "incoming_build_info" and __version__ in label]


def test_an_app_in_the_same_process_keeps_its_metrics_to_itself(house: House) -> None:
    mine = prometheus_client.Counter("an_apps_own", "Of an app in the same process.")
    try:
        assert ("an_apps_own_total", "") not in scrape(house)
        assert b"incoming_" not in prometheus_client.generate_latest()
    finally:
        prometheus_client.REGISTRY.unregister(mine)


def test_every_metric_is_documented(house: House) -> None:
    overview = Overview(house.uploads)
    overview.free_bytes = 1
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    names = {name for name, _ in scrape(house, overview)}
    suffixes = ("_bucket", "_sum", "_count")
    for name in names:
        family = next((name.removesuffix(s) for s in suffixes if name.endswith(s)), name)
        assert f"`{family}" in page or family.startswith("process_"), family
