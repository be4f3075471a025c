"""Uploads in parts: creating, claiming, writing and discarding parts, by the rules of whole uploads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from incoming.core import parts as core_parts
from incoming.core.errors import (
    BadChunk,
    HandoverFailed,
    InParts,
    LengthMismatch,
    NotInParts,
    Stopping,
    StorageFailed,
    StorageFull,
    StorageLost,
    TakenOver,
    TooMany,
    TooManyParts,
    UnknownPart,
    UnknownTicket,
    UploadCancelled,
    UploadExpired,
    UploadTooLarge,
    WrongState,
)
from incoming.core.lifecycle import State
from incoming.core.news import CalledOff, Interrupted
from incoming.core.parts import part_id
from incoming.core.units import MIB
from incoming.handover.answers import Refused
from incoming.storage import Storage
from incoming.uploads.admission import RESERVATION_STEP_BYTES, UNUSED_AFTER_S
from incoming.uploads.housekeeping import sweep
from incoming.uploads.overview import Overview
from tests.support.fakes import FakeApp
from tests.support.parts import claim_part, files, new_part, plan, resume_part, send_part, write_part
from tests.support.piece_storage import PieceStorage
from tests.support.uploads import TIMES, House, free_space, new_claim

CONTENT = bytes(range(100))
LEASE_S = 30.0


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def ticket_id(house: House) -> str:
    return house.new_ticket()


def offsets(house: House, ticket_id: str) -> list[int]:
    parts = house.ticket(ticket_id).parts
    assert parts
    upload_ids = [part_id(ticket_id, part.number) for part in parts.present]
    return [house.uploads.parts.look(one).offset_bytes for one in upload_ids]


# --- one part, and several -----------------------------------------------------------------------------


def test_parts_are_written_side_by_side(house: House, ticket_id: str) -> None:
    clients = [claim_part(house, new_part(house, ticket_id, 40)) for _ in range(3)]
    for at in range(0, 40, 10):
        for number, client in enumerate(clients):
            write_part(house, client, bytes([number]) * 10)
            assert offsets(house, ticket_id) == [at + 10 if one <= number else at for one in range(3)]
    assert house.state(ticket_id) is State.UPLOADING


def test_each_part_resumes_at_its_own_offset(house: House, ticket_id: str) -> None:
    first, second = new_part(house, ticket_id, 40), new_part(house, ticket_id, 60)
    resume_part(house, second, CONTENT[40:50])
    client = claim_part(house, second)
    assert (client.claim.offset_bytes, client.claim.end_bytes) == (10, 60)
    assert claim_part(house, first).claim.offset_bytes == 0


def test_each_creation_makes_another_part(house: House, ticket_id: str) -> None:
    """Parts of one file have the same length, so nothing tells a repeated request from the next part."""
    assert new_part(house, ticket_id, 40) != new_part(house, ticket_id, 40)


def test_an_upload_is_uploading_while_one_of_its_parts_is_held(house: House, ticket_id: str) -> None:
    first, second = new_part(house, ticket_id, 40), new_part(house, ticket_id, 60)
    assert house.state(ticket_id) is State.PAUSED
    clients = [claim_part(house, first), claim_part(house, second)]
    house.uploads.release(clients[0].claim)
    assert house.state(ticket_id) is State.UPLOADING
    house.uploads.release(clients[1].claim)
    assert house.state(ticket_id) is State.PAUSED
    assert house.uploads.claims.count() == 0, "their files are closed"


def test_a_new_claim_takes_a_part_over_at_once_and_no_other_part(house: House, ticket_id: str) -> None:
    upload_ids = [new_part(house, ticket_id, 50), new_part(house, ticket_id, 50)]
    old, other = (claim_part(house, one) for one in upload_ids)
    write_part(house, old, CONTENT[:10])
    new = claim_part(house, upload_ids[0])
    house.runtime.settle()
    assert [type(news) for news in old.news] == [Interrupted]
    assert new.claim.offset_bytes == 10
    with pytest.raises(TakenOver):
        write_part(house, old, CONTENT[10:20])
    house.uploads.release(old.claim)
    write_part(house, new, CONTENT[10:20])
    write_part(house, other, CONTENT[50:60])
    assert other.news == []
    assert offsets(house, ticket_id) == [20, 10]


def test_a_claim_that_began_earlier_does_not_take_a_part_from_a_newer_one(
    house: House, ticket_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id, newer = new_part(house, ticket_id, 50), []
    parts = house.uploads.parts
    examine = parts.examine

    def examine_slowly(_: str) -> None:
        monkeypatch.setattr(parts, "examine", examine)
        assert house.uploads.claims.has_pending_claim(upload_id)
        newer.append(claim_part(house, upload_id))

    monkeypatch.setattr(parts, "examine", examine_slowly)
    with pytest.raises(TakenOver):
        claim_part(house, upload_id)
    write_part(house, newer[0], CONTENT[:50])
    assert offsets(house, ticket_id) == [50]


def test_a_chunk_beyond_a_part_is_refused_and_no_other_part_is_touched(house: House, ticket_id: str) -> None:
    client = claim_part(house, new_part(house, ticket_id, 40))
    send_part(house, ticket_id, CONTENT[40:])
    with pytest.raises(BadChunk):
        write_part(house, client, CONTENT[:41])
    write_part(house, client, CONTENT[:40])
    assert offsets(house, ticket_id) == [40, 60]
    regions = house.file(ticket_id).with_name(f"{ticket_id}.parts")
    assert regions.read_bytes() == CONTENT


# --- what is refused -----------------------------------------------------------------------------------


def test_an_upload_in_parts_is_not_claimed_as_a_whole_until_it_is_cancelled(
    house: House, ticket_id: str
) -> None:
    new_part(house, ticket_id, 40)
    before = house.ticket(ticket_id)
    with pytest.raises(InParts):
        house.claim(ticket_id, 40)
    assert house.ticket(ticket_id) == before
    assert house.uploads.claims.count() == 0
    house.uploads.cancel_by_app(ticket_id, "")
    with pytest.raises(UploadCancelled):
        house.claim(ticket_id, 40)


def test_an_upload_without_its_last_part_is_claimed_as_a_whole(house: House, ticket_id: str) -> None:
    upload_id = send_part(house, ticket_id, CONTENT)
    house.uploads.parts.delete(upload_id)
    assert house.state(ticket_id) is State.ISSUED
    house.arrive(ticket_id, CONTENT[:7])
    assert house.state(ticket_id) is State.FINISHED
    assert house.ticket(ticket_id).name == "holiday.mov"


@pytest.mark.parametrize("is_held", [True, False])
def test_an_upload_that_was_begun_as_a_whole_takes_no_parts(
    house: House, ticket_id: str, is_held: bool
) -> None:
    client = house.claim(ticket_id, 40)
    if not is_held:
        house.uploads.release(client.claim)
    with pytest.raises(NotInParts):
        new_part(house, ticket_id, 40)
    with pytest.raises(NotInParts):
        plan(house, ticket_id, 1)
    assert house.uploads.admission.reserved_bytes() == 40, "nothing is kept for the part"


def test_a_storage_of_whole_files_takes_no_parts(tmp_path: Path) -> None:
    class PieceHouse(House):
        def _make_storage(self) -> Storage:
            return PieceStorage(self.runtime)

    house = PieceHouse(tmp_path)
    with pytest.raises(NotInParts, match="whole files only"):
        new_part(house, house.new_ticket(), 40)


def test_a_part_that_does_not_exist_is_unknown(house: House, ticket_id: str) -> None:
    parts = house.uploads.parts
    new_part(house, ticket_id, 40)
    for upload_id in (f"{ticket_id}/parts/2", ticket_id, "x", f"{ticket_id}/parts/0"):
        for act in (parts.look, parts.delete, lambda one: claim_part(house, one)):
            with pytest.raises(UnknownPart):
                act(upload_id)
    for act in (parts.look, parts.delete, lambda one: claim_part(house, one)):
        with pytest.raises(UnknownTicket):
            act("no-ticket/parts/1")
    with pytest.raises(UnknownTicket):
        new_part(house, "no-ticket", 40)
    assert house.uploads.claims.count() == 0


def test_nothing_begins_while_the_server_stops(house: House, ticket_id: str) -> None:
    upload_id = new_part(house, ticket_id, 40)
    house.uploads.stop()
    for act in (lambda: new_part(house, ticket_id, 40), lambda: claim_part(house, upload_id)):
        with pytest.raises(Stopping):
            act()


def test_what_sends_a_part_hears_that_the_server_stops(house: House, ticket_id: str) -> None:
    upload_id = new_part(house, ticket_id, 40)
    client = claim_part(house, upload_id, lease_s=30.0)
    write_part(house, client, bytes(10))
    house.uploads.stop()
    house.runtime.settle()
    assert not house.uploads.claims.is_held(upload_id), "the stop has released it"
    with pytest.raises(Stopping):
        write_part(house, client, bytes(10))


def test_parts_of_an_ended_upload_tell_how_it_ended(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(Refused("no")), **{**TIMES, "result_retention_s": 1000.0})
    cancelled, expired, failed = (house.new_ticket() for _ in range(3))
    for ticket_id in (cancelled, expired, failed):
        send_part(house, ticket_id, CONTENT)
    plan(house, failed, 1)
    house.uploads.cancel_by_app(cancelled, "")
    house.pass_time(TIMES["idle_timeout_s"] + 1)
    for ticket_id, error in (
        (cancelled, UploadCancelled),
        (expired, UploadExpired),
        (failed, HandoverFailed),
    ):
        upload_id = part_id(ticket_id, 1)
        for act in (house.uploads.parts.look, house.uploads.parts.delete, lambda one: claim_part(house, one)):
            with pytest.raises(error):
                act(upload_id)
        with pytest.raises(error):
            new_part(house, ticket_id, 40)


# --- limits --------------------------------------------------------------------------------------------


def test_all_parts_together_may_have_what_the_ticket_allows(house: House) -> None:
    ticket_id = house.new_ticket(maxBytes="100")
    with pytest.raises(UploadTooLarge):
        new_part(house, ticket_id, 101)
    first = send_part(house, ticket_id, CONTENT[:60])
    with pytest.raises(UploadTooLarge, match="has 41 bytes, the limit is 40 bytes"):
        new_part(house, ticket_id, 41)
    send_part(house, ticket_id, CONTENT[60:])
    with pytest.raises(UploadTooLarge):
        new_part(house, ticket_id, 1)
    house.uploads.parts.delete(first)
    assert offsets(house, ticket_id) == [40]
    new_part(house, ticket_id, 60)


def test_a_part_that_nobody_has_used_takes_nothing_from_the_limit(house: House) -> None:
    """Its answer was lost, so its client has created another one."""
    ticket_id = house.new_ticket(maxBytes="100")
    lost, again = new_part(house, ticket_id, 100), new_part(house, ticket_id, 100)
    client = claim_part(house, again)
    with pytest.raises(UploadTooLarge):
        claim_part(house, lost)
    write_part(house, client, CONTENT)
    house.uploads.release(client.claim)
    assert plan(house, ticket_id, 2)
    assert house.state(ticket_id) is State.FINISHED


@pytest.mark.parametrize("of_ticket", [True, False])
def test_the_limit_holds_for_parts_of_unknown_length(tmp_path: Path, of_ticket: bool) -> None:
    house = House(tmp_path, max_upload_bytes=1 << 40 if of_ticket else 100)
    ticket_id = house.new_ticket(maxBytes="100") if of_ticket else house.new_ticket()
    clients = [claim_part(house, new_part(house, ticket_id, None)) for _ in range(2)]
    write_part(house, clients[0], CONTENT[:70])
    write_part(house, clients[1], CONTENT[:30])
    with pytest.raises(UploadTooLarge):
        write_part(house, clients[1], CONTENT[30:31])
    with pytest.raises(UploadTooLarge):
        house.uploads.parts.set_length(clients[1].claim, 31)
    with pytest.raises(UploadTooLarge):
        new_part(house, ticket_id, 1)
    assert offsets(house, ticket_id) == [70, 30]


def test_the_number_of_parts_of_a_ticket_is_bounded(
    house: House, ticket_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_parts, "MAX_PARTS", 5)
    for _ in range(5):
        upload_id = new_part(house, ticket_id, 0)
    with pytest.raises(TooManyParts):
        new_part(house, ticket_id, 0)
    house.uploads.parts.delete(upload_id)
    with pytest.raises(TooManyParts):
        new_part(house, ticket_id, 0)


def test_room_on_the_disk_is_kept_for_each_part_from_its_creation_on(house: House, ticket_id: str) -> None:
    free_space(house).free_bytes = lambda: 100  # type: ignore[method-assign]
    new_part(house, ticket_id, 60)
    with pytest.raises(StorageFull):
        new_part(house, ticket_id, 41)
    with pytest.raises(StorageFull):
        house.claim(house.new_ticket(), 41)
    new_part(house, ticket_id, 40)
    assert house.uploads.admission.reserved_bytes() == 100


def test_parts_without_a_byte_yield_their_room_to_others(house: House, ticket_id: str) -> None:
    free_space(house).free_bytes = lambda: 100  # type: ignore[method-assign]
    idle, begun = new_part(house, ticket_id, 50), new_part(house, ticket_id, 50)
    client = claim_part(house, begun)
    write_part(house, client, CONTENT[:10])
    house.runtime.advance(UNUSED_AFTER_S + 1)
    other = house.claim(house.new_ticket(), 50)
    with pytest.raises(StorageFull):
        claim_part(house, idle)
    write_part(house, client, CONTENT[10:20])
    house.uploads.cancel_by_client(other.claim, "no")
    assert claim_part(house, idle).claim.offset_bytes == 0


def test_room_that_is_kept_for_parts_is_free_again_in_the_end(house: House) -> None:
    deleted, cancelled, handed_over = (house.new_ticket() for _ in range(3))
    for ticket_id in (deleted, cancelled, handed_over):
        send_part(house, ticket_id, CONTENT[:10], length_bytes=10)
        new_part(house, ticket_id, 90)
    assert house.uploads.admission.reserved_bytes() == 270
    house.uploads.parts.delete(part_id(deleted, 2))
    house.uploads.cancel_by_app(cancelled, "")
    plan(house, handed_over, 1)
    assert house.uploads.admission.reserved_bytes() == 0


def test_a_source_may_bring_so_much_in_parts_as_in_whole_files(tmp_path: Path) -> None:
    house = House(tmp_path, max_unfinished_mib_per_source=1)
    ticket_id = house.new_ticket()
    new_part(house, ticket_id, MIB // 2, "1.2.3.4")
    abandoned = new_part(house, ticket_id, MIB // 2, "1.2.3.4")
    with pytest.raises(TooMany):
        new_part(house, ticket_id, 1, "1.2.3.4")
    with pytest.raises(TooMany):
        new_part(house, house.new_ticket(), 1, "1.2.3.4")
    with pytest.raises(UploadTooLarge):
        new_part(house, house.new_ticket(), MIB + 1, "5.6.7.8")
    new_part(house, ticket_id, 1, "5.6.7.8")
    house.uploads.parts.delete(abandoned)
    new_part(house, ticket_id, 1, "1.2.3.4")


def test_room_is_reserved_on_the_disk_within_a_part_and_counted_once(house: House, ticket_id: str) -> None:
    first, second = new_part(house, ticket_id, 2 * MIB), new_part(house, ticket_id, 2 * MIB)
    client = claim_part(house, first)
    write_part(house, client, bytes(MIB))
    house.runtime.settle()
    assert house.uploads.admission.reserved_bytes() < 3 * MIB, "some is reserved on the disk"
    house.uploads.release(client.claim)
    assert house.uploads.admission.reserved_bytes() == 3 * MIB
    after = house.after_a_kill()
    assert after.uploads.admission.reserved_bytes() == 3 * MIB
    assert claim_part(after, second).claim.offset_bytes == 0


def test_the_rate_limit_of_a_ticket_holds_for_its_parts_together(house: House) -> None:
    ticket_id = house.new_ticket(maxBytesPerS="10")
    clients = [claim_part(house, new_part(house, ticket_id, 50)) for _ in range(2)]
    delays = [house.uploads.parts.write(one.claim, memoryview(CONTENT[:10])) for one in clients]
    assert delays[1] == pytest.approx(delays[0] + 1.0)


# --- length unknown ------------------------------------------------------------------------------------


def test_the_length_of_a_part_may_be_told_later(house: House, ticket_id: str) -> None:
    upload_id = new_part(house, ticket_id, None)
    assert house.uploads.admission.reserved_bytes() == RESERVATION_STEP_BYTES
    client = claim_part(house, upload_id)
    write_part(house, client, CONTENT[:70])
    assert house.uploads.parts.look(upload_id).length_bytes is None
    for length_bytes in (69, 0):
        with pytest.raises(LengthMismatch):
            house.uploads.parts.set_length(client.claim, length_bytes)
    house.uploads.parts.set_length(client.claim, 100)
    house.uploads.parts.set_length(client.claim, 100)
    with pytest.raises(LengthMismatch):
        house.uploads.parts.set_length(client.claim, 101)
    with pytest.raises(BadChunk):
        write_part(house, client, CONTENT)
    write_part(house, client, CONTENT[70:])
    after = house.after_a_kill()
    assert after.uploads.parts.look(upload_id).length_bytes == 100
    assert plan(after, ticket_id, 1)
    assert after.state(ticket_id) is State.FINISHED


def test_a_claim_may_tell_the_length_of_a_part(house: House, ticket_id: str) -> None:
    upload_id = new_part(house, ticket_id, None)
    client = claim_part(house, upload_id, length_bytes=100)
    assert client.claim.end_bytes == 100
    write_part(house, client, CONTENT)
    with pytest.raises(LengthMismatch):
        claim_part(house, upload_id, length_bytes=99)
    with pytest.raises(LengthMismatch):
        claim_part(house, new_part(house, ticket_id, 5), length_bytes=6)
    write_part(house, client, b"")
    assert house.state(ticket_id) is State.UPLOADING


def test_a_claim_that_is_refused_for_its_length_leaves_the_part_as_it_was(house: House) -> None:
    ticket_id = house.new_ticket(maxBytes="100")
    upload_id = new_part(house, ticket_id, None)
    with pytest.raises(UploadTooLarge):
        claim_part(house, upload_id, length_bytes=101)
    assert house.state(ticket_id) is State.PAUSED
    assert house.uploads.claims.count() == 0
    assert house.ticket(ticket_id).of_part(1).length_bytes is None


# --- leases, idle uploads, housekeeping ----------------------------------------------------------------


def test_a_lease_of_a_part_that_is_not_used_ends_like_a_lost_connection(house: House, ticket_id: str) -> None:
    used, unused = (claim_part(house, new_part(house, ticket_id, 50), lease_s=LEASE_S) for _ in range(2))
    write_part(house, unused, CONTENT[:10])
    for at in range(3):
        house.pass_time(LEASE_S - 1)
        write_part(house, used, CONTENT[at : at + 1])
    assert house.state(ticket_id) is State.UPLOADING
    assert house.uploads.claims.count() == 1
    with pytest.raises(TakenOver):
        write_part(house, unused, CONTENT[10:20])
    house.pass_time(LEASE_S + 1)
    assert house.state(ticket_id) is State.PAUSED
    assert house.uploads.claims.count() == 0
    assert offsets(house, ticket_id) == [3, 10]


def test_abandoned_parts_go_with_their_ticket(tmp_path: Path) -> None:
    house = House(tmp_path, **TIMES)
    ticket_id = house.new_ticket()
    send_part(house, ticket_id, CONTENT[:40])
    new_part(house, ticket_id, None)
    client = claim_part(house, new_part(house, ticket_id, None), lease_s=LEASE_S)
    write_part(house, client, CONTENT)
    assert files(house, ticket_id) == {".parts", ".offsets", ".part-3"}
    house.pass_time(LEASE_S + 1)
    house.pass_time(TIMES["idle_timeout_s"] - 2)
    assert house.state(ticket_id) is State.PAUSED, "its time begins when the last client has gone"
    house.pass_time(3)
    assert house.state(ticket_id) is State.EXPIRED
    assert not house.file(ticket_id).parent.exists()
    assert house.uploads.admission.reserved_bytes() == 0
    assert house.app.forms[-1]["cancelled"] == "yes"


def test_an_upload_of_which_no_part_is_held_any_more_is_paused_by_a_sweep(
    house: House, ticket_id: str
) -> None:
    client = claim_part(house, new_part(house, ticket_id, 50))
    sweep(house.uploads)
    assert house.state(ticket_id) is State.UPLOADING
    house.context.leases.release(client.claim.ticket.id, client.claim.token)
    house.uploads.claims.lock(client.claim.ticket.id).holder = None
    house.pass_time(1)
    assert house.state(ticket_id) is State.PAUSED


def test_a_server_that_stops_releases_parts_at_once(house: House, ticket_id: str) -> None:
    client = claim_part(house, new_part(house, ticket_id, 50), lease_s=LEASE_S)
    write_part(house, client, CONTENT[:10])
    house.uploads.stop()
    house.runtime.settle()
    assert house.state(ticket_id) is State.PAUSED
    assert house.uploads.claims.count() == 0


def test_without_its_storage_a_server_acknowledges_nothing_of_a_part(house: House, ticket_id: str) -> None:
    client = claim_part(house, new_part(house, ticket_id, 50))
    house.uploads.lose(StorageLost())
    with pytest.raises(StorageLost):
        write_part(house, client, CONTENT[:10])
    with pytest.raises(StorageLost):
        new_part(house, ticket_id, 50)


def test_a_claim_that_another_process_took_over_stores_nothing_more(house: House, ticket_id: str) -> None:
    client = claim_part(house, new_part(house, ticket_id, 50), lease_s=LEASE_S)
    write_part(house, client, CONTENT[:10])
    token = new_claim(1).token
    house.context.leases.take(client.claim.ticket.id, token)
    with pytest.raises(TakenOver):
        write_part(house, client, CONTENT[10:20])
    with pytest.raises(TakenOver):
        house.uploads.parts.set_length(client.claim, 50)
    house.uploads.release(client.claim)
    assert house.context.leases.holder(client.claim.ticket.id) == token
    assert house.state(ticket_id) is State.UPLOADING, "the other process has a part"
    assert offsets(house, ticket_id) == [10]


# --- ends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["app", "operator", "client"])
def test_a_cancellation_ends_all_parts_at_once(house: House, ticket_id: str, who: str) -> None:
    clients = [claim_part(house, new_part(house, ticket_id, 50)) for _ in range(2)]
    for client in clients:
        write_part(house, client, CONTENT[:10])
    cancel: dict[str, Callable[[], None]] = {
        "app": lambda: house.uploads.cancel_by_app(ticket_id, ""),
        "operator": lambda: house.uploads.cancel_by_operator(ticket_id, ""),
        "client": lambda: house.uploads.cancel_by_request(ticket_id, "no more"),
    }
    cancel[who]()
    house.runtime.settle()
    assert house.state(ticket_id) is State.CANCELLED
    for client in clients:
        assert [type(news) for news in client.news] == [CalledOff]
        with pytest.raises(UploadCancelled):
            write_part(house, client, CONTENT[10:20])
        house.uploads.release(client.claim)
    assert not house.file(ticket_id).parent.exists()
    assert house.uploads.claims.count() == 0
    assert house.uploads.admission.reserved_bytes() == 0
    assert len(house.app.forms) == (who != "app")


def test_an_upload_is_not_cancelled_once_its_parts_have_become_the_file(house: House, ticket_id: str) -> None:
    send_part(house, ticket_id, CONTENT)
    plan(house, ticket_id, 1)
    with pytest.raises(WrongState):
        house.uploads.cancel_by_request(ticket_id, "no")
    assert house.state(ticket_id) is State.FINISHED


def test_a_part_that_is_deleted_is_gone_and_its_client_hears_of_it(house: House, ticket_id: str) -> None:
    upload_ids = [new_part(house, ticket_id, 50), new_part(house, ticket_id, None)]
    clients = [claim_part(house, one) for one in upload_ids]
    for client in clients:
        write_part(house, client, CONTENT[:10])
    house.uploads.parts.delete(upload_ids[1])
    house.runtime.settle()
    assert [type(news) for news in clients[1].news] == [CalledOff]
    with pytest.raises(UploadCancelled):
        write_part(house, clients[1], CONTENT[:10])
    assert files(house, ticket_id) == {".parts", ".offsets"}
    with pytest.raises(UnknownPart):
        house.uploads.parts.look(upload_ids[1])
    assert house.state(ticket_id) is State.UPLOADING
    write_part(house, clients[0], CONTENT[10:20])
    assert house.after_a_kill().ticket(ticket_id).parts == house.ticket(ticket_id).parts


# --- kills and power cuts ------------------------------------------------------------------------------


def test_parts_survive_a_kill_and_resume(house: House, ticket_id: str) -> None:
    lengths = [40, None, 60]
    clients = [claim_part(house, new_part(house, ticket_id, one)) for one in lengths]
    for client, sent in zip(clients, (10, 20, 60), strict=True):
        write_part(house, client, CONTENT[:sent])
    after = house.after_a_kill()
    assert after.state(ticket_id) is State.PAUSED
    assert offsets(after, ticket_id) == [10, 20, 60]
    parts = after.ticket(ticket_id).parts
    assert parts and [part.length_bytes for part in parts.present] == lengths
    assert new_part(after, ticket_id, 1) == part_id(ticket_id, 4)


@pytest.mark.parametrize("ending", ["kill", "takeover", "discard", "release"])
def test_bytes_whose_checksum_has_not_come_do_not_count(house: House, ticket_id: str, ending: str) -> None:
    upload_id = new_part(house, ticket_id, 50)
    client = claim_part(house, upload_id)
    write_part(house, client, CONTENT[:10])
    house.uploads.parts.begin_unchecked(client.claim)
    write_part(house, client, b"?" * 20)
    assert offsets(house, ticket_id) == [10]
    if ending == "kill":
        house = house.after_a_kill()
    elif ending == "discard":
        house.uploads.parts.discard_unchecked(client.claim)
        write_part(house, client, CONTENT[10:20])
        assert offsets(house, ticket_id) == [20]
    elif ending == "release":
        house.uploads.release(client.claim)
    assert claim_part(house, upload_id).claim.offset_bytes == (20 if ending == "discard" else 10)
    resume_part(house, upload_id, CONTENT[:50])
    assert plan(house, ticket_id, 1)
    assert house.state(ticket_id) is State.FINISHED


def test_bytes_whose_checksum_was_right_count(house: House, ticket_id: str) -> None:
    client = claim_part(house, new_part(house, ticket_id, 50))
    house.uploads.parts.begin_unchecked(client.claim)
    write_part(house, client, CONTENT[:50])
    assert plan(house, ticket_id, 1) is False
    house.uploads.parts.accept_unchecked(client.claim)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED


def test_after_a_power_cut_only_what_is_right_of_each_part_counts(house: House, ticket_id: str) -> None:
    for at in (0, 40):
        send_part(house, ticket_id, CONTENT[at : at + 30], length_bytes=40)
    regions = house.file(ticket_id).with_name(f"{ticket_id}.parts")
    with regions.open("r+b") as file:
        file.seek(45)
        file.write(b"?")
    after = house.after_a_power_cut()
    assert offsets(after, ticket_id) == [30, 0]
    assert after.uploads.look(ticket_id).offset_bytes == 30
    for number, at in ((1, 0), (2, 40)):
        resume_part(after, part_id(ticket_id, number), CONTENT[at : at + 40])
    assert plan(after, ticket_id, 1, 2)
    assert after.state(ticket_id) is State.FINISHED


# --- what others see -----------------------------------------------------------------------------------


def test_a_look_at_the_upload_sees_all_of_its_parts(house: House, ticket_id: str) -> None:
    client = claim_part(house, new_part(house, ticket_id, 40))
    send_part(house, ticket_id, CONTENT[:10], length_bytes=60)
    write_part(house, client, CONTENT[:20])
    seen = house.uploads.look(ticket_id)
    assert (seen.state, seen.offset_bytes) == (State.UPLOADING, 30)
    seen = house.uploads.parts.look(part_id(ticket_id, 1))
    assert (seen.offset_bytes, seen.length_bytes) == (20, 40)


def test_the_overview_shows_an_upload_in_parts_as_one(house: House, ticket_id: str) -> None:
    overview = Overview(house.uploads)
    overview.speeds.sample(0.0, 0, {})
    clients = [claim_part(house, new_part(house, ticket_id, 50)) for _ in range(2)]
    for client in clients:
        write_part(house, client, CONTENT[:10])
    overview.speeds.sample(1.0, 20, house.uploads.claims.take_moved())
    for client in clients:
        write_part(house, client, CONTENT[:10])
    overview.speeds.sample(2.0, 40, house.uploads.claims.take_moved())
    (row,) = overview._rows([house.ticket(ticket_id)])
    assert (row["parts"], row["length_bytes"], row["offset_bytes"]) == (2, 100, 40)
    assert (row["connected"], row["bytes_per_s"], row["seconds_left"]) == (True, 20, 3.0)
    for client in clients:
        house.uploads.release(client.claim)
    (row,) = overview._rows([house.ticket(ticket_id)])
    assert (row["connected"], row["offset_bytes"], row["state"]) == (False, 40, "paused")
    whole = overview._rows([house.ticket(house.new_ticket())])[0]
    assert whole["parts"] is None


def test_a_disk_that_fails_is_told_as_one_that_fails(house: House, ticket_id: str) -> None:
    upload_id = send_part(house, ticket_id, CONTENT)
    offsets_file = house.file(ticket_id).with_name(f"{ticket_id}.offsets")
    offsets_file.unlink()
    offsets_file.mkdir()
    with pytest.raises(StorageFailed):
        house.uploads.parts.look(upload_id)
    (row,) = Overview(house.uploads)._rows([house.ticket(ticket_id)])
    assert row["offset_bytes"] is None
    house.pass_time(1)


def test_claims_of_parts_are_counted(house: House, ticket_id: str) -> None:
    upload_id = new_part(house, ticket_id, 50)
    for _ in range(3):
        claim_part(house, upload_id)
    assert house.context.counters.claims["part"] == 3


def test_folders_of_parts_are_not_reported_as_strays(house: House, ticket_id: str) -> None:
    send_part(house, ticket_id, CONTENT)
    inventory = house.context.storages.default.inventory
    assert inventory
    assert inventory.strays(lambda _: {ticket_id}).names == ()
    assert inventory.strays(lambda _: set()).names == (ticket_id,)


def test_a_journal_that_refuses_leaves_no_room_reserved(house: House, ticket_id: str) -> None:
    with house.journal_broken(), pytest.raises(StorageFailed):
        new_part(house, ticket_id, 50)
    assert house.uploads.admission.reserved_bytes() == 0
    upload_id = new_part(house, ticket_id, 50)
    with house.journal_broken(), pytest.raises(StorageFailed):
        claim_part(house, upload_id)
    assert house.uploads.claims.count() == 0
    assert claim_part(house, upload_id).claim.offset_bytes == 0
