"""What every news channel promises, tested against the Protocol `NewsChannel` only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from incoming.core.errors import TakenOver
from incoming.core.news import HandedOver, Interrupted, News
from incoming.registry import NewsChannel

ID: Final = "an upload"
OTHER: Final = "another one"
TAKEN: Final = Interrupted(TakenOver())


class NewsContract:
    """Needs two fixtures: `channel`, and `settle`, which returns when all news have come."""

    def test_news_reach_the_claims_of_the_upload_and_no_other(
        self, channel: NewsChannel, settle: Callable[[], None]
    ) -> None:
        mine: list[News] = []
        others: list[News] = []
        channel.listen(ID, "first", mine.append)
        channel.listen(OTHER, "first", others.append)
        channel.tell(ID, HandedOver(7))
        settle()
        assert (mine, others) == ([HandedOver(7)], [])

    def test_news_for_one_claim_reach_no_other_claim(
        self, channel: NewsChannel, settle: Callable[[], None]
    ) -> None:
        old: list[News] = []
        new: list[News] = []
        channel.listen(ID, "first", old.append)
        channel.listen(ID, "second", new.append)
        channel.tell(ID, TAKEN, "first")
        settle()
        assert ([type(news) for news in old], new) == ([Interrupted], [])
        channel.tell(ID, HandedOver())
        settle()
        assert (len(old), len(new)) == (2, 1)

    def test_a_claim_that_ignores_news_hears_none(
        self, channel: NewsChannel, settle: Callable[[], None]
    ) -> None:
        heard: list[News] = []
        channel.listen(ID, "first", heard.append)
        channel.ignore(ID, "first")
        channel.ignore(ID, "first")
        channel.tell(ID, HandedOver())
        channel.tell(ID, HandedOver(), "first")
        settle()
        assert heard == []

    def test_a_second_listener_of_a_claim_replaces_the_first(
        self, channel: NewsChannel, settle: Callable[[], None]
    ) -> None:
        before: list[News] = []
        after: list[News] = []
        channel.listen(ID, "first", before.append)
        channel.listen(ID, "first", after.append)
        channel.tell(ID, HandedOver())
        settle()
        assert (before, len(after)) == ([], 1)

    def test_telling_waits_for_no_listener(self, channel: NewsChannel, settle: Callable[[], None]) -> None:
        heard: list[News] = []
        channel.listen(ID, "first", heard.append)
        channel.tell(ID, HandedOver())
        assert heard == []
        settle()
        assert len(heard) == 1
