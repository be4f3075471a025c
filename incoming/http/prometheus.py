"""The metrics for Prometheus, computed at each scrape (docs/reference/metrics.md)."""

from __future__ import annotations

import logging
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from incoming import __version__
from incoming.core.errors import HandoverFailed, StorageFailed, TooMany, all_errors
from incoming.core.instance import Instance
from incoming.core.lifecycle import State
from incoming.core.stats import CLAIM_KINDS, ENDS, OF_PART, WATCHES, Counters, Lag, StoreFigures, Transfers
from incoming.handover.answers import Done, FailureKind, NoAnswer, Refused, WillFinish
from incoming.uploads.listing import Totals
from incoming.uploads.overview import Overview
from incoming.uploads.refusals import Kind

log = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_LATEST
_CLAIMS = (*CLAIM_KINDS.values(), WATCHES, OF_PART)
_RESULTS = tuple(answer.result for answer in (Done, WillFinish, Refused, NoAnswer))
_REFUSALS = (
    *((kind, error.code) for kind in (Kind.CLAIM, Kind.REQUEST) for error in all_errors()),
    (Kind.HANDOVER, HandoverFailed.code),
    (Kind.CONNECTION, TooMany.code),
)


class Metrics:
    """The metrics of one service, in their own registry: an app in this process may have another one."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self._process = ProcessCollector(registry=None)

    def render(self) -> bytes:
        """Returns them in Prometheus's text format (`CONTENT_TYPE`). Others run meanwhile."""
        overview = self._overview
        registry = CollectorRegistry(auto_describe=False)
        try:
            registry.register(_Snapshot([*_uploads(overview.totals())]))
        except StorageFailed:
            log.debug("the metrics of the uploads are missing: the registry does not answer")
        registry.register(_Snapshot([*_state(overview), *_counted(overview.counters)]))
        registry.register(_Snapshot([_lag(overview.lag), _build()]))
        registry.register(_Snapshot([*_stores(overview.cluster.stores())]))
        registry.register(_Snapshot([*_instances(overview.cluster.instances())]))
        registry.register(self._process)
        return generate_latest(registry)


class _Snapshot(Collector):
    """Metrics whose values are known already."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def _uploads(totals: Totals) -> Iterator[Metric]:
    """Yields how many uploads there are: those of all processes."""
    uploads = GaugeMetricFamily("incoming_uploads", "Uploads, by state.", labels=["state"])
    for state in State:
        uploads.add_metric([state.value], totals.by_state[state])
    yield uploads
    yield _gauge(
        "undelivered", "Uploads whose app has not answered yet, or does not know of their end yet.",
        totals.undelivered)  # fmt: skip
    yield _gauge(
        "undelivered_oldest_age_seconds", "For how long the oldest of these has been waiting.",
        totals.oldest_undelivered_s)  # fmt: skip


def _state(overview: Overview) -> Iterator[Metric]:
    """Yields the current state of this process."""
    yield _gauge("websocket_connections", "Open upload connections.", overview.counters.connections)
    if overview.free_bytes is not None:
        yield _gauge("storage_free_bytes", "Free space where uploads are stored.", overview.free_bytes)
    yield _gauge(
        "storage_reserved_bytes", "Free space that unfinished uploads have declared.",
        overview.reserved_bytes())  # fmt: skip
    yield _gauge("storage_writable", "1 if the storage could be written.", overview.disk_works())
    yield _gauge(
        "journal_writable", "1 if a ticket could be stored: in the journal or in Redis.",
        overview.registry_works())  # fmt: skip


def _counted(counters: Counters) -> Iterator[Metric]:
    """Yields the counters since the process started."""
    yield _counter("received_bytes", "Bytes of files that came in.", counters.received_bytes)
    yield _counter("stored_bytes", "Bytes of files that were stored.", counters.stored_bytes)
    yield _counter("damaged_chunks", "Chunks whose checksum was wrong.", counters.damaged_chunks)
    yield _counter("tickets_issued", "Tickets issued.", counters.issued)
    yield _counter("folders_arrived", "Folders that arrived whole.", counters.folders_arrived)
    yield _counter(
        "files_left_out", "Files of folders that their clients could not read, and left out.",
        counters.files_left_out)  # fmt: skip
    yield _labelled("claims", "Claims of a ticket.", "kind", ((k, counters.claims[k]) for k in _CLAIMS))
    yield _labelled(
        "uploads_ended", "Uploads that came to an end.", "outcome",
        ((state.value, counters.ended[state]) for state in State if state in ENDS))  # fmt: skip
    yield _labelled("handover_calls", "Calls to apps.", "result", ((r, counters.calls[r]) for r in _RESULTS))
    yield _labelled(
        "handover_troubles", "Calls to apps without the answer done or wait, by the kind of failure.", "kind",
        ((kind.value, counters.call_failures[kind]) for kind in FailureKind))  # fmt: skip
    refusals = CounterMetricFamily(
        "incoming_refusals",
        "Connections, claims, requests and handovers that were refused.",
        labels=["code", "kind"],
    )
    for kind, code in _REFUSALS:
        refusals.add_metric([code, kind], counters.refusals[kind, code])
    yield refusals


def _stores(stores: Sequence[StoreFigures]) -> Iterator[Metric]:
    """Yields how the stores answer that are beyond this machine; nothing where there are none."""
    if not stores:
        return
    calls = HistogramMetricFamily(
        "incoming_store_call_seconds", "How long calls to a store took, if it answered.", labels=["store"]
    )
    failures = CounterMetricFamily(
        "incoming_store_failures", "Calls to a store that failed, and may succeed later.",
        labels=["store", "error"])  # fmt: skip
    away = GaugeMetricFamily(
        "incoming_store_away", "1 if the last call to the store failed in this way.", labels=["store"]
    )
    for one in stores:
        calls.add_metric([one.name], _buckets(one.latency), one.latency.sum_s)
        away.add_metric([one.name], one.is_away)
        for error, count in sorted(one.failures.items()):
            failures.add_metric([one.name, error], count)
    yield from (calls, failures, away)
    for one in stores:
        if one.transfers:
            yield from _transfers(one.transfers)


def _transfers(transfers: Transfers) -> Iterator[Metric]:
    yield _gauge("parts_in_flight", "Parts that are being sent to S3.", transfers.parts_in_flight)
    yield _gauge(
        "part_memory_bytes", "Memory of bytes that came in, and are not in S3 yet.", transfers.buffered_bytes
    )
    yield _counter("parts_sent_bytes", "Bytes sent to S3, repeated ones too.", transfers.sent_bytes)
    yield _counter("store_repeated_calls", "Calls to S3 that were repeated.", transfers.repeated_calls)


def _instances(instances: Sequence[Instance]) -> Iterator[Metric]:
    """Yields which processes live; nothing where there is only one."""
    if instances:
        names = Counter(one.name for one in instances)
        alive = GaugeMetricFamily("incoming_instances", "Instances that live.", labels=["name"])
        for name, count in names.items():
            alive.add_metric([name], count)
        yield alive


def _lag(lag: Lag) -> Metric:
    text = "How late a timer of the event loop was."
    return HistogramMetricFamily("incoming_loop_lag_seconds", text, _buckets(lag), lag.sum_s)


def _buckets(lag: Lag) -> list[tuple[str, int]]:
    return [("+Inf" if limit_s == float("inf") else str(limit_s), n) for limit_s, n in lag.buckets()]


def _build() -> Metric:
    info = GaugeMetricFamily("incoming_build_info", "Always 1.", labels=["version", "python"])
    info.add_metric([__version__, platform.python_version()], 1)
    return info


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"incoming_{name}", text, value)


def _counter(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(f"incoming_{name}", text, value)


def _labelled(name: str, text: str, label: str, values: Iterable[tuple[str, int]]) -> Metric:
    counter = CounterMetricFamily(f"incoming_{name}", text, labels=[label])
    for value, count in values:
        counter.add_metric([value], count)
    return counter
