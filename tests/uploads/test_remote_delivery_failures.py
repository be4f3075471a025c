"""The failures of deliveries that other servers make: the last reason, until it is over or old."""

from __future__ import annotations

import pytest

from incoming.core.errors import HandoverFailed, Stopping, UploadCancelled
from incoming.core.news import CalledOff, HandedOver, Interrupted, News, NotHandedOver, WaitingForApp
from incoming.uploads.remote_delivery_failures import MAX_KEPT, RemoteDeliveryFailures

KEPT_FOR_S = 10.0


@pytest.fixture
def failures() -> RemoteDeliveryFailures:
    failures = RemoteDeliveryFailures(KEPT_FOR_S)
    failures.note("a", WaitingForApp("down"), 0.0)
    return failures


def test_the_last_reason_of_each_ticket_counts_until_it_is_old(failures: RemoteDeliveryFailures) -> None:
    failures.note("b", WaitingForApp("slow"), 1.0)
    reasons = [failures.last_reason(*asked) for asked in (("a", 10.0), ("b", 11.0), ("c", 0.0))]
    assert reasons == ["down", "slow", ""]
    failures.note("a", WaitingForApp("busy"), 10.0)
    reasons = [failures.last_reason(*asked) for asked in (("a", 20.0), ("a", 20.1), ("b", 11.1))]
    assert reasons == ["busy", "", ""]


@pytest.mark.parametrize(
    "news", [HandedOver(), NotHandedOver(HandoverFailed()), CalledOff(UploadCancelled())], ids=repr
)
def test_an_end_takes_the_reason_of_its_ticket_away(failures: RemoteDeliveryFailures, news: News) -> None:
    failures.note("b", news, 1.0)
    assert failures.last_reason("a", 1.0) == "down"
    failures.note("a", news, 1.0)
    assert failures.last_reason("a", 1.0) == ""


def test_a_connection_that_ends_says_nothing_of_the_app(failures: RemoteDeliveryFailures) -> None:
    failures.note("a", Interrupted(Stopping()), 1.0)
    assert failures.last_reason("a", 1.0) == "down"


def test_the_oldest_reasons_make_room_for_new_ones(failures: RemoteDeliveryFailures) -> None:
    failures.note("b", WaitingForApp("slow"), 1.0)
    failures.note("a", WaitingForApp("busy"), 2.0)
    for number in range(MAX_KEPT - 1):
        failures.note(f"{number}", WaitingForApp(), 3.0)
    assert (failures.last_reason("b", 3.0), failures.last_reason("a", 3.0)) == ("", "busy")
    assert failures.last_reason("0", 3.0)
