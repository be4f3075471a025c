"""News that were lost between processes: a client hears later what has become of its upload."""

from __future__ import annotations

from pathlib import Path

import pytest
from crc32c import crc32c

from incoming.core.errors import TakenOver
from incoming.core.lifecycle import Cancel, Confirm, Event, Lapse
from incoming.core.news import CalledOff, HandedOver, Interrupted, NotHandedOver
from incoming.handover.answers import Done, WillFinish
from tests.support.fakes import FakeApp
from tests.support.uploads import House, new_claim

CONTENT = b"content"


def by_another_process(house: House, ticket_id: str, *events: Event) -> None:
    """Changes a ticket as another process does whose news get lost."""
    for event in events:
        house.context.registry.change(ticket_id, event)


@pytest.mark.parametrize("event", [Confirm(), Lapse("the app never called", final=True)])
def test_a_client_that_waits_hears_how_its_upload_ended(event: Event, tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(WillFinish()))
    ticket_id = house.new_ticket()
    client = house.arrive(ticket_id, CONTENT)
    by_another_process(house, ticket_id, event)
    house.uploads.repeat_news()
    last = client.news[-1]
    if isinstance(event, Confirm):
        assert last == HandedOver(crc32c(CONTENT))
    else:
        assert isinstance(last, NotHandedOver) and "never called" in str(last.error)


def test_a_client_that_sends_hears_that_its_upload_was_called_off(tmp_path: Path) -> None:
    house = House(tmp_path)
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, len(CONTENT))
    by_another_process(house, ticket_id, Cancel("enough", by_app=True))
    house.uploads.repeat_news()
    [news] = client.news
    assert isinstance(news, CalledOff)


def test_a_client_hears_that_another_process_has_taken_its_upload_over(tmp_path: Path) -> None:
    house = House(tmp_path)
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, len(CONTENT))
    by_another_process(house, ticket_id, new_claim(len(CONTENT)))
    house.uploads.repeat_news()
    [news] = client.news
    assert isinstance(news, Interrupted) and isinstance(news.error, TakenOver)
    with pytest.raises(TakenOver):
        house.uploads.write(client.claim, memoryview(CONTENT))


def test_a_client_of_which_nobody_has_anything_to_say_hears_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(WillFinish()))
    sends, waits = house.claim(house.new_ticket(), 10), house.arrive(house.new_ticket(), CONTENT)
    before = list(waits.news)
    house.uploads.repeat_news()
    assert (sends.news, waits.news) == ([], before)


def test_a_client_that_waits_has_its_app_called_when_the_process_that_called_it_has_ended(
    tmp_path: Path,
) -> None:
    house = House(tmp_path, FakeApp(WillFinish(), Done()))
    waits = house.arrive(house.new_ticket(), CONTENT)
    sends = house.claim(house.new_ticket(), 10)
    by_another_process(house, waits.claim.ticket.id, Lapse("it was killed before the answer", final=False))
    house.uploads.repeat_news(arrived_only=True)
    house.runtime.settle()
    assert waits.news[-1] == HandedOver(crc32c(CONTENT))
    assert sends.news == []
