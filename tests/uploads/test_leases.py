"""Claims that outlive a request: what they cost, how they end, and what the next client finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from incoming.core.errors import TakenOver, UploadCancelled
from incoming.core.lifecycle import State
from incoming.core.news import CalledOff
from incoming.handover.answers import WillFinish
from incoming.uploads.claims import RENEWALS_A_LEASE
from incoming.uploads.housekeeping import sweep
from tests.support.fakes import FakeApp
from tests.support.uploads import Client, House, new_claim

CONTENT = b"0123456789"
LEASE_S = 30.0


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def claim(house: House, ticket_id: str) -> Client:
    client = Client()
    claimed = new_claim(len(CONTENT))
    client.claim = house.uploads.claim(ticket_id, claimed, client.listener, lease_s=LEASE_S)
    return client


def send(house: House, client: Client, content: bytes) -> None:
    house.uploads.write(client.claim, memoryview(content))


def test_many_short_requests_journal_one_claim_and_one_release(house: House) -> None:
    ticket_id = house.new_ticket()
    before = house.runtime.pool_calls.count("append")
    for at in range(len(CONTENT)):
        client = claim(house, ticket_id)
        assert client.claim.offset_bytes == at
        send(house, client, CONTENT[at : at + 1])
        house.pass_time(5)
    house.pass_time(LEASE_S)
    assert house.state(ticket_id) is State.PAUSED
    assert house.runtime.pool_calls.count("append") == before + 2
    assert house.file(ticket_id).read_bytes() == CONTENT


def test_a_lease_that_is_not_used_ends_like_a_lost_connection(house: House) -> None:
    client = claim(house, ticket_id := house.new_ticket())
    send(house, client, CONTENT[:3])
    house.pass_time(LEASE_S - 1)
    assert house.state(ticket_id) is State.UPLOADING
    house.pass_time(1)
    assert house.state(ticket_id) is State.PAUSED
    assert house.uploads.claims.count() == 0, "its file is closed"
    assert house.journaled()[0].state is State.PAUSED
    with pytest.raises(TakenOver):
        send(house, client, CONTENT[3:])
    assert house.claim(ticket_id, len(CONTENT)).claim.offset_bytes == 3


def test_each_use_of_a_lease_renews_it(house: House) -> None:
    client = claim(house, ticket_id := house.new_ticket())
    for at in range(len(CONTENT)):
        house.pass_time(LEASE_S - 1)
        send(house, client, CONTENT[at : at + 1])
    house.uploads.complete(client.claim)
    assert house.state(ticket_id) is State.HANDING_OVER


def test_a_client_that_is_just_in_time_keeps_its_lease(house: House) -> None:
    client = claim(house, ticket_id := house.new_ticket())
    house.runtime.advance(LEASE_S + 1)
    send(house, client, CONTENT[:3])  # the sweep has not run yet
    sweep(house.uploads)
    assert house.state(ticket_id) is State.UPLOADING
    send(house, client, CONTENT[3:])


def test_a_connection_without_a_lease_holds_its_upload_for_any_time(house: House) -> None:
    house.claim(ticket_id := house.new_ticket(), len(CONTENT))
    house.pass_time(10 * LEASE_S)
    assert house.state(ticket_id) is State.UPLOADING


def test_a_completion_renews_the_lease_however_long_it_reads(house: House) -> None:
    send(house, claim(house, ticket_id := house.new_ticket()), CONTENT[:9])
    after = house.after_a_kill()
    with after.runtime.held("_read"):
        client = claim(after, ticket_id)
        send(after, client, CONTENT[9:])
        after.runtime.spawn(after.uploads.complete, client.claim)
        for _ in range(5):
            after.pass_time(LEASE_S - 1)
        assert after.state(ticket_id) is State.UPLOADING
    assert after.state(ticket_id) is State.FINISHED


def test_a_client_that_has_completed_its_upload_keeps_its_lease_only_for_its_time(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(WillFinish()))
    client = claim(house, ticket_id := house.new_ticket())
    send(house, client, CONTENT)
    house.runtime.advance(LEASE_S - 1)
    house.uploads.complete(client.claim)
    house.pass_time(LEASE_S - 1)
    assert house.context.leases.holder(ticket_id) == client.claim.token
    house.pass_time(1)
    assert house.context.leases.holder(ticket_id) is None


def test_a_lease_may_be_released_and_taken_over_like_any_claim(house: House) -> None:
    first = claim(house, ticket_id := house.new_ticket())
    second = claim(house, ticket_id)
    house.uploads.release(first.claim)
    assert house.state(ticket_id) is State.UPLOADING
    house.uploads.release(second.claim)
    assert house.state(ticket_id) is State.PAUSED
    house.pass_time(2 * LEASE_S)
    assert house.ticket(ticket_id).epoch == 2


def test_a_lease_of_a_watcher_ends_without_a_change(tmp_path: Path) -> None:
    house = House(tmp_path, result_retention_s=1000.0)
    ticket_id = house.new_ticket()
    house.arrive(ticket_id, CONTENT)
    claim(house, ticket_id)
    house.pass_time(LEASE_S)
    assert house.state(ticket_id) is State.FINISHED
    assert house.uploads.claims.count() == 0


def test_a_server_that_stops_releases_leases_at_once(house: House) -> None:
    client = claim(house, ticket_id := house.new_ticket())
    send(house, client, CONTENT[:3])
    house.uploads.stop()
    house.runtime.settle()
    assert house.state(ticket_id) is State.PAUSED
    assert house.uploads.claims.count() == 0


def test_a_cancelled_upload_ends_its_lease(house: House) -> None:
    client = claim(house, ticket_id := house.new_ticket())
    house.uploads.cancel_by_app(ticket_id, "")
    house.runtime.settle()
    assert [type(news) for news in client.news] == [CalledOff]
    assert house.context.leases.holder(ticket_id) is None
    with pytest.raises(UploadCancelled):
        send(house, client, CONTENT)
    house.pass_time(LEASE_S)


# --- two processes -----------------------------------------------------------------------------------


def as_another_process(house: House, ticket_id: str) -> str:
    """Has another process take the upload over, as far as leases tell. Returns its token."""
    token = new_claim(1).token
    house.context.leases.take(ticket_id, token)
    return token


def test_a_claim_that_another_process_took_over_stores_nothing_more(house: House) -> None:
    client = claim(house, ticket_id := house.new_ticket())
    send(house, client, CONTENT[:3])
    as_another_process(house, ticket_id)
    with pytest.raises(TakenOver):
        send(house, client, CONTENT[3:])
    assert house.file(ticket_id).read_bytes() == CONTENT[:3]


def test_a_claim_that_another_process_took_over_leaves_its_lease_alone(house: House) -> None:
    client = claim(house, ticket_id := house.new_ticket())
    token = as_another_process(house, ticket_id)
    house.uploads.release(client.claim)
    assert house.context.leases.holder(ticket_id) == token


def test_a_claim_takes_over_from_another_process_and_tells_it(house: House) -> None:
    ticket_id, heard = house.new_ticket(), Client()
    house.context.news.listen(ticket_id, as_another_process(house, ticket_id), heard.listener)
    client = claim(house, ticket_id)
    house.runtime.settle()
    assert len(heard.news) == 1
    assert house.context.leases.holder(ticket_id) == client.claim.token


def test_an_upload_is_not_abandoned_while_another_process_holds_it(house: House) -> None:
    client = house.claim(ticket_id := house.new_ticket(), len(CONTENT))
    token = as_another_process(house, ticket_id)
    house.uploads.claims.lock(ticket_id).holder = None
    assert client.claim.token != token
    house.pass_time(1)
    assert house.state(ticket_id) is State.UPLOADING
    house.context.leases.release(ticket_id, token)
    house.pass_time(1)
    assert house.state(ticket_id) is State.PAUSED


@pytest.mark.parametrize(("stores_later", "at_once", "later"), [(False, 6, 1), (True, 0, 1)])
def test_a_lease_is_renewed_with_each_chunk_only_where_the_storage_does_not_refuse_a_lost_claim(
    house: House, monkeypatch: pytest.MonkeyPatch, stores_later: bool, at_once: int, later: int
) -> None:
    client = claim(house, house.new_ticket())
    client.claim.stores_later = stores_later
    send(house, client, CONTENT[:1])
    renewals: list[str] = []
    renew = house.context.leases.renew

    def count(ticket_id: str, token: str, until_s: float) -> bool:
        renewals.append(ticket_id)
        return renew(ticket_id, token, until_s)

    monkeypatch.setattr(house.context.leases, "renew", count)
    for at in range(1, 7):
        send(house, client, CONTENT[at : at + 1])
    assert len(renewals) == at_once
    house.pass_time(LEASE_S / RENEWALS_A_LEASE)
    send(house, client, CONTENT[7:8])
    assert len(renewals) == at_once + later
