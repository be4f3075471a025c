"""What is known of apps that other servers call: the last reason, until it is over or old."""

from __future__ import annotations

import pytest

from incoming.core.errors import HandoverFailed, Stopping, UploadCancelled
from incoming.core.news import CalledOff, HandedOver, Interrupted, News, NotHandedOver, WaitingForApp
from incoming.uploads.late_elsewhere import MAX_KEPT, LateElsewhere

KEPT_FOR_S = 10.0


@pytest.fixture
def late() -> LateElsewhere:
    late = LateElsewhere(KEPT_FOR_S)
    late.hear("a", WaitingForApp("down"), 0.0)
    return late


def test_the_last_reason_of_each_ticket_counts_until_it_is_old(late: LateElsewhere) -> None:
    late.hear("b", WaitingForApp("slow"), 1.0)
    assert (late.why("a", 10.0), late.why("b", 11.0), late.why("c", 0.0)) == ("down", "slow", "")
    late.hear("a", WaitingForApp("busy"), 10.0)
    assert (late.why("a", 20.0), late.why("a", 20.1), late.why("b", 11.1)) == ("busy", "", "")


@pytest.mark.parametrize(
    "news", [HandedOver(), NotHandedOver(HandoverFailed()), CalledOff(UploadCancelled())], ids=repr
)
def test_an_end_takes_the_reason_of_its_ticket_away(late: LateElsewhere, news: News) -> None:
    late.hear("b", news, 1.0)
    assert late.why("a", 1.0) == "down"
    late.hear("a", news, 1.0)
    assert late.why("a", 1.0) == ""


def test_a_connection_that_ends_says_nothing_of_the_app(late: LateElsewhere) -> None:
    late.hear("a", Interrupted(Stopping()), 1.0)
    assert late.why("a", 1.0) == "down"


def test_the_oldest_reasons_make_room_for_new_ones(late: LateElsewhere) -> None:
    late.hear("b", WaitingForApp("slow"), 1.0)
    late.hear("a", WaitingForApp("busy"), 2.0)
    for number in range(MAX_KEPT - 1):
        late.hear(f"{number}", WaitingForApp(), 3.0)
    assert (late.why("b", 3.0), late.why("a", 3.0), bool(late.why("0", 3.0))) == ("", "busy", True)
