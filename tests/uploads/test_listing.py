"""A page of a list, where the tickets are in a Redis: the same one as if all of them had been read."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final
from uuid import UUID

import pytest
from msgspec.structs import replace

from incoming.core.backend_requests import Listing
from incoming.core.errors import UnknownTicket
from incoming.core.lifecycle import State
from incoming.core.ticket import Ticket
from incoming.registry.redis import registry as redis_registry
from incoming.uploads.listing import IndexedTickets, Search, Tickets, look
from tests.registry.redis.conftest import Process
from tests.support.redis_server import RedisServer, let_greenlets_wait

APP: Final = "http://app.example.org/finish"
COUNT: Final = 150
NOW_S: Final = 1000.0


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis") / "data") as redis:
        yield redis


@pytest.fixture
def process(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """A process with tickets in all states, more than fit into a page of the index."""
    let_greenlets_wait(monkeypatch)
    monkeypatch.setattr(redis_registry, "IDS_PAGE", 7)
    redis.client().flushall()
    process, random = Process(redis.url, "one"), Random(3)
    for number in range(COUNT):
        ticket = Ticket(str(UUID(int=number, version=4)), APP, changed_at_s=round(random.random() * 900, 2))
        process.registry.add(replace(ticket, state=random.choice(list(State))))
    yield process
    process.close()


@pytest.mark.parametrize("state", ["", "uploading", "paused", "finished"])
def test_pages_and_totals_are_those_of_all_tickets(process: Process, state: str) -> None:
    every = Tickets(process.registry, process.runtime)
    found = look(process.registry, process.runtime)
    assert isinstance(found, IndexedTickets)
    assert found.totals(NOW_S) == every.totals(NOW_S)
    for start in (0, 1, 10, 40, 90, COUNT - 3, COUNT):
        for limit in (1, 13, COUNT):
            asked = Listing(state=state, start=start, limit=limit)
            assert found.page(asked) == every.page(asked)


def test_a_page_does_not_read_every_ticket(process: Process) -> None:
    calls = sum(process.connection.latency.counts)
    found = look(process.registry, process.runtime)
    found.page(Listing(limit=10))
    found.totals(NOW_S)
    assert sum(process.connection.latency.counts) - calls < 10


def test_a_ticket_that_is_forgotten_meanwhile_is_missing(process: Process) -> None:
    found = look(process.registry, process.runtime)
    _, [first, *_] = found.page(Listing(state="paused"))
    process.registry.forget(first.id)
    with pytest.raises(UnknownTicket):
        process.registry.get(first.id)
    assert first not in found.page(Listing(state="paused"))[1]


@pytest.mark.parametrize("state", ["", "uploading", "finished"])
@pytest.mark.parametrize(
    "words", ["", "000000", "example paused", "FINISHED", "server-7", "nothing has this"]
)
def test_a_search_finds_the_same_as_among_all_tickets(process: Process, state: str, words: str) -> None:
    def more(ticket: Ticket) -> str:
        return "Server-7" if ticket.id.endswith("7") else ""

    every = Tickets(process.registry, process.runtime)
    found = look(process.registry, process.runtime)
    for start, limit in ((0, 1), (3, 20), (0, COUNT)):
        asked = Listing(state=state, search=words, start=start, limit=limit)
        assert found.page(asked, more) == every.page(asked, more)


def test_a_search_compares_no_more_of_an_id_than_lists_show() -> None:
    ticket = Ticket("0b8a0f0e-1111-4111-8111-111111111111", APP, name="Holiday Film.mov")
    for words in ("0b8a", "0B8A0F0E", ticket.id, "0b8a0f0e-2222", "film HOLI", "  mov  "):
        assert Search(words).finds(ticket), words
    for words in ("8a0f", "1111", "holiday 0c", "films"):
        assert not Search(words).finds(ticket), words


def test_a_search_finds_folders_by_what_they_are() -> None:
    folder = Ticket("0b8a0f0e-1111-4111-8111-111111111111", APP, name="Holiday", dest_type="folder")
    assert Search("holi Folder").finds(folder)
    assert not Search("holi Folder").finds(replace(folder, dest_type="file"))


def test_the_beginning_of_an_id_finds_the_ticket_in_any_state(process: Process) -> None:
    every = {ticket.id for ticket in process.registry.tickets()}
    found = look(process.registry, process.runtime).starting_with("00000000")
    assert {ticket.id for ticket in found} == every
    assert len(found) == COUNT
    assert not look(process.registry, process.runtime).starting_with("1")
