"""Every refusal is counted by its code, and logged with its reason: once, and not without bound."""

from __future__ import annotations

import errno
import logging

import pytest

from incoming.core.errors import (
    BadRequest,
    IncomingError,
    NotAllowed,
    StorageFailed,
    StorageFull,
    UnknownTicket,
    UploadTooLarge,
    WrongSecret,
)
from incoming.core.stats import Counters
from incoming.runtime.logs import JsonFormatter
from incoming.storage.s3.store.client import S3Error
from incoming.uploads.refusals import LOG_INTERVAL_S, LOGGED_PER_INTERVAL, OUTAGE_INTERVAL_S, Kind, Refusals

TICKET_ID = "0b8a0f0e-7d3c-4a53-9c3b-0b6f2f1f3a5d"


class Time:
    """A clock that tests move."""

    now_s = 0.0


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def refusals(counters: Counters, time: Time, caplog: pytest.LogCaptureFixture) -> Refusals:
    caplog.set_level(logging.INFO)
    return Refusals(counters, lambda: time.now_s)


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (UnknownTicket(), logging.INFO),
        (UploadTooLarge(12, 10), logging.INFO),
        (WrongSecret(), logging.WARNING),
        (NotAllowed("no"), logging.WARNING),
        (StorageFull(), logging.WARNING),
    ],
    ids=lambda x: type(x).__name__,
)
def test_a_refusal_is_logged_with_its_ticket_its_code_and_its_reason(
    refusals: Refusals, caplog: pytest.LogCaptureFixture, error: IncomingError, level: int
) -> None:
    refusals.record(Kind.CLAIM, error, TICKET_ID)
    [record] = caplog.records
    assert record.getMessage() == f"upload 0b8a0f0e: claim refused ({error.code}): {error}"
    assert record.levelno == level
    line = JsonFormatter().format(record)
    assert f'"code": "{error.code}"' in line and '"ticket": "0b8a0f0e"' in line
    assert TICKET_ID not in line, "the id is a secret"


def test_a_request_is_named_by_its_route(refusals: Refusals, caplog: pytest.LogCaptureFixture) -> None:
    refusals.record(Kind.REQUEST, NotAllowed("Go away."), route="new_upload")
    assert caplog.messages == ["new_upload refused (not_allowed): Go away."]


def test_refusals_are_counted_by_kind_and_code(refusals: Refusals, counters: Counters) -> None:
    refusals.record(Kind.CLAIM, UnknownTicket())
    refusals.record(Kind.REQUEST, UnknownTicket())
    refusals.record(Kind.REQUEST, UnknownTicket())
    refusals.count(Kind.HANDOVER, WrongSecret())
    assert counters.refusals == {
        ("claim", "unknown_ticket"): 1,
        ("request", "unknown_ticket"): 2,
        ("handover", "wrong_secret"): 1,
    }


def test_a_flood_is_counted_whole_and_does_not_flood_the_log(
    refusals: Refusals, counters: Counters, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10_000):
        refusals.record(Kind.CLAIM, UnknownTicket(), TICKET_ID)
    assert counters.refusals["claim", "unknown_ticket"] == 10_000
    assert len(caplog.records) == LOGGED_PER_INTERVAL
    refusals.record(Kind.CLAIM, StorageFull(), TICKET_ID)
    assert "storage_full" in caplog.messages[-1], "a flood of one code hides no other"
    time.now_s += LOG_INTERVAL_S
    refusals.record(Kind.CLAIM, UnknownTicket(), TICKET_ID)
    assert caplog.messages[-1].endswith(f"({10_000 - LOGGED_PER_INTERVAL} more were not logged)")


@pytest.mark.parametrize(
    ("error", "cause", "told"),
    [
        (StorageFailed(), ConnectionError("Redis is away."), "Redis is away."),
        (StorageFailed(), S3Error("put_object", "SlowDown", 503), "put_object: SlowDown"),
        (StorageFailed(), OSError(errno.EIO, "Input error", f"data/{TICKET_ID}"), "Input error"),
        (StorageFull(), MemoryError("used memory > 'maxmemory'"), "used memory > 'maxmemory'"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_an_outage_is_logged_once_with_its_reason_though_all_clients_try_again(  # noqa: PLR0913, PLR0917
    refusals: Refusals, counters: Counters, time: Time, caplog: pytest.LogCaptureFixture,
    error: IncomingError, cause: Exception, told: str,
) -> None:  # fmt: skip
    error.__cause__ = cause
    line = f"upload 0b8a0f0e: claim refused ({error.code}): {error} ({told})"
    for _ in range(1000):
        refusals.record(Kind.CLAIM, error, TICKET_ID)
    assert caplog.messages == [line]
    assert counters.refusals["claim", error.code] == 1000
    other = StorageFailed()
    other.__cause__ = OSError(errno.EROFS, "Read-only file system")
    refusals.record(Kind.CLAIM, other, TICKET_ID)
    refusals.record(Kind.CLAIM, type(error)(), TICKET_ID)
    assert len(caplog.messages) == 3, "neither another reason nor one upload's own trouble is hidden"
    time.now_s += OUTAGE_INTERVAL_S
    refusals.record(Kind.CLAIM, error, TICKET_ID)
    assert caplog.messages[3:] == [f"{line} (999 more were not logged)"]


def test_a_malformed_request_is_logged_once_for_each_source_in_an_interval(
    refusals: Refusals, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    error = BadRequest("The request could not be read.")
    for source in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.1"):
        refusals.record_from(source, Kind.REQUEST, error)
    told = "request from {} refused (bad_request): The request could not be read."
    assert caplog.messages == [
        told.format("192.0.2.1"),
        told.format("192.0.2.2") + " (1 more were not logged)",
    ]
    time.now_s += LOG_INTERVAL_S
    refusals.record_from("192.0.2.1", Kind.REQUEST, error)
    assert caplog.messages[2:] == [told.format("192.0.2.1") + " (1 more were not logged)"]


def test_malformed_requests_of_many_sources_are_counted_and_neither_fill_the_log_nor_hide_other_lines(
    refusals: Refusals, counters: Counters, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    error = BadRequest("The request could not be read.")
    for minute in range(1, 4):
        for number in range(1000):
            refusals.record_from(f"2001:db8::{number:x}", Kind.REQUEST, error)
        assert len(caplog.records) == minute * LOGGED_PER_INTERVAL
        time.now_s += LOG_INTERVAL_S
    assert counters.refusals["request", "bad_request"] == 3000
    assert len(refusals._source_limit._logged_at_s) <= LOGGED_PER_INTERVAL
    refusals.record(Kind.REQUEST, BadRequest("Not UTF-8."), route="new_upload")
    assert caplog.messages[-1] == "new_upload refused (bad_request): Not UTF-8."


def test_a_line_end_in_an_id_starts_no_line_of_the_log(
    refusals: Refusals, caplog: pytest.LogCaptureFixture
) -> None:
    refusals.record(Kind.REQUEST, UnknownTicket(), "a\nb", "finish_upload")
    assert "\n" not in JsonFormatter().format(caplog.records[0])
