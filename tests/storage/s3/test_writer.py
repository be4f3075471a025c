"""An upload into S3: whatever the store does, the object is what was sent, or an error says to send again."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import gevent
import gevent.event
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core.checksum import checksum
from incoming.core.errors import BytesLost, DestinationTaken, StorageFailed, TakenOver
from incoming.storage.s3 import flush_timer
from incoming.storage.s3.storage import S3Storage
from incoming.storage.s3.store.client import PutOptions, S3Client, S3Error
from incoming.storage.s3.writer import S3Writer
from tests.storage.contract import TICKET, holds
from tests.storage.s3.conftest import PART_BYTES
from tests.storage.s3.sending import DEADLINE_S, key, send, settled, write
from tests.support.fake_s3 import FakeS3, Kind, StoredObject, checksum_header
from tests.support.s3_place import BucketPlace

CONTENT: Final = random.Random(1).randbytes(5_500)
SMALL: Final = CONTENT[:700]
OTHER: Final = random.Random(2).randbytes(5_500)


def upload(storage: S3Storage, content: bytes = CONTENT, length_bytes: int | None = None) -> None:
    """Sends a file."""
    send(lambda: storage.open(TICKET, length_bytes), content)


# --- faults of the store -----------------------------------------------------------------------------------

ANY: Final = ("lost", "dropped", "cut", "refused")
FAULTS: Final = [
    *(("create", kind) for kind in ANY),
    *(("put_part", kind) for kind in ANY),
    *(("put", kind) for kind in ANY),
    *(("complete", kind) for kind in (*ANY, "late_error", "error_after")),
    *(("get", kind) for kind in ANY),
    *(("head", kind) for kind in ("lost", "refused")),
    *(("delete", kind) for kind in ("lost", "refused")),
    *(("list", kind) for kind in ("lost", "refused")),
]


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize(("operation", "kind"), FAULTS)
def test_whatever_the_store_does_the_object_is_what_was_sent(
    fake: FakeS3, place: BucketPlace, operation: str, kind: Kind, nth: int
) -> None:
    fake.fail(operation, kind, times=2, nth=nth)
    storage = place.storage()
    upload(storage, length_bytes=len(CONTENT))
    assert fake.content(key(place)) == CONTENT
    settled(place, storage)


@pytest.mark.parametrize("forgets_uploads", [False, True])
@pytest.mark.parametrize("kind", ["lost", "error_after"])
def test_a_lost_answer_to_the_completion_is_found_out(
    fake: FakeS3, place: BucketPlace, kind: Kind, forgets_uploads: bool
) -> None:
    fake.forgets_uploads = forgets_uploads
    fault = fake.fail("complete", kind)
    upload(place.storage())
    assert not fault.times
    assert fake.content(key(place)) == CONTENT


def test_after_a_fence_the_checksums_tell_what_another_process_has_stored_meanwhile(
    place: BucketPlace,
) -> None:
    ours, others = place.storage(), place.storage()
    writer = ours.open(TICKET, len(CONTENT))
    writer.fence("first")
    write(writer, CONTENT, PART_BYTES)
    writer.flush()
    other = others.open(TICKET, len(CONTENT))
    other.fence("second")
    write(other, CONTENT, 2 * PART_BYTES + 1)
    other.flush()
    writer.fence("third")
    for storage in (ours, others, place.storage()):
        end = 2 * PART_BYTES + 1
        assert storage.checksums.stored(TICKET) == (end, checksum(CONTENT[:end]))
        assert [sample[0] for sample in storage.checksums.samples(TICKET)] == [0, PART_BYTES, 2 * PART_BYTES]


@pytest.mark.parametrize("kind", ["lost", "dropped", "cut", "refused"])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.usefixtures("without_remainders")
def test_a_small_file_takes_one_call_and_no_parts(
    fake: FakeS3, place: BucketPlace, kind: Kind, times: int
) -> None:
    fake.fail("put", kind, times=times)
    writer = place.storage().open(TICKET, len(SMALL))
    write(writer, SMALL)
    writer.finish()
    assert fake.content(key(place)) == SMALL
    assert not fake.uploads
    assert fake.calls["put"] == times + 1
    assert not fake.calls["create"]


def test_an_empty_file_becomes_an_empty_object(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    storage.open(TICKET, 0).finish()
    assert fake.content(key(place)) == b""
    assert storage.size(TICKET) == 0


@pytest.mark.usefixtures("gives_up_soon")
@pytest.mark.parametrize("operation", ["create", "put_part", "complete", "head"])
def test_a_store_that_stays_away_is_an_error_that_may_be_retried(
    fake: FakeS3, place: BucketPlace, operation: str
) -> None:
    fault = fake.fail(operation, "refused", times=10_000)
    storage = place.storage()
    writer = storage.open(TICKET, len(CONTENT))
    with pytest.raises(StorageFailed):
        write(writer, CONTENT)
        writer.flush()
        writer.finish()
    assert holds(storage, CONTENT[: writer.durable_offset])
    fault.times = 0
    write(writer, CONTENT)
    writer.finish()
    assert fake.content(key(place)) == CONTENT
    settled(place, storage)


@pytest.mark.usefixtures("gives_up_soon")
def test_who_stands_still_hears_that_the_store_is_away_and_the_next_flush_raises_it(
    fake: FakeS3, place: BucketPlace
) -> None:
    told: list[Any] = []
    fault = fake.fail("put", "refused", times=10_000)
    writer = place.storage().open(TICKET, len(CONTENT), on_durable=told.append)
    write(writer, SMALL)
    with gevent.Timeout(DEADLINE_S):
        while not told:
            gevent.sleep(0.002)
    assert isinstance(told[0], StorageFailed)
    with pytest.raises(StorageFailed):
        writer.flush()
    fault.times = 0
    writer.flush()
    assert writer.durable_offset == len(SMALL)


def test_a_flush_beside_a_faster_one_does_not_wait_for_what_is_unchecked(
    fake: FakeS3, place: BucketPlace
) -> None:
    """Nor does it ask for that again and again, which would let nobody else run."""
    writer = place.storage().open(TICKET, len(CONTENT))
    write(writer, SMALL)

    def go_on() -> None:
        writer.begin_unchecked()
        write(writer, CONTENT, len(SMALL) + 100)

    first, second = gevent.spawn(go_on), gevent.spawn(writer.flush)
    gevent.joinall([first, second], timeout=DEADLINE_S, raise_error=True)
    assert first.successful() and second.successful()
    assert (writer.durable_offset, writer.taken_bytes) == (len(SMALL), len(SMALL) + 100)
    with pytest.raises(StorageFailed):
        writer.finish()
    writer.accept_unchecked()
    assert writer.durable_offset == len(SMALL) + 100


@pytest.mark.parametrize("call_takes_s", [0.0, 0.5])
def test_closing_takes_a_limited_time_while_the_store_is_away(
    fake: FakeS3, place: BucketPlace, call_takes_s: float
) -> None:
    """That time may be over in the middle of a call, or between two of them."""
    place.limits = replace(place.limits, retry_for_s=10_000.0)
    place.runtime.has_fast_limits = True
    fake.fail("put", "refused", times=10_000, takes_s=call_takes_s)
    storage = place.storage()
    writer = storage.open(TICKET, len(CONTENT))
    writer.write(memoryview(SMALL))
    before_s = place.runtime.now_s()
    with pytest.raises(StorageFailed):
        writer.close()
    assert place.runtime.now_s() - before_s < 200
    assert storage.size(TICKET) == 0
    settled(place, storage)


# --- what others do to the store ---------------------------------------------------------------------------


@pytest.mark.parametrize("changed", [1, 3, 5])
def test_a_part_that_was_stored_again_with_other_bytes_is_sent_again(
    fake: FakeS3, place: BucketPlace, changed: int
) -> None:
    storage = place.storage()
    writer = storage.open(TICKET, len(CONTENT))
    write(writer, CONTENT)
    writer.flush()
    (multipart,) = fake.uploads.values()
    multipart.parts[changed] = StoredObject(OTHER[:PART_BYTES])
    with pytest.raises(BytesLost):
        writer.finish()
    assert writer.durable_offset == writer.taken_bytes == (changed - 1) * PART_BYTES
    write(writer, CONTENT)
    writer.finish()
    assert fake.content(key(place)) == CONTENT
    settled(place, storage)


def test_a_part_that_was_stored_again_with_the_same_bytes_and_another_etag_counts(
    fake: FakeS3, place: BucketPlace
) -> None:
    writer = place.storage().open(TICKET, len(CONTENT))
    write(writer, CONTENT)
    writer.flush()
    (multipart,) = fake.uploads.values()
    part = multipart.parts[2]
    multipart.parts[2] = StoredObject(part.content, checksum=checksum_header(part.content), salt=b"again")
    writer.finish()
    assert fake.content(key(place)) == CONTENT


def test_an_upload_that_the_store_has_aborted_begins_anew(fake: FakeS3, place: BucketPlace) -> None:
    writer = place.storage().open(TICKET, len(CONTENT))
    write(writer, CONTENT, 3_300)
    writer.flush()
    fake.uploads.clear()  # a lifecycle rule with too few days
    with pytest.raises(BytesLost):
        write(writer, CONTENT)
        writer.flush()
    writer.close()
    upload(place.storage())
    assert fake.content(key(place)) == CONTENT


@pytest.mark.parametrize("mistakes_lost_uploads", [False, True])
def test_an_upload_that_the_store_has_aborted_before_its_end_begins_anew(
    fake: FakeS3, place: BucketPlace, mistakes_lost_uploads: bool
) -> None:
    fake.mistakes_lost_uploads = mistakes_lost_uploads
    writer = place.storage().open(TICKET, len(CONTENT))
    write(writer, CONTENT)
    writer.flush()
    fake.uploads.clear()
    with pytest.raises(BytesLost):
        writer.finish()
    assert writer.durable_offset == 0
    write(writer, CONTENT)
    writer.finish()
    assert fake.content(key(place)) == CONTENT


def lose_rests(fake: FakeS3) -> None:
    """The store loses all remainders, as when another process has deleted them."""
    for name in [name for name in fake.objects if "/rest/" in name]:
        del fake.objects[name]


@pytest.mark.parametrize("first_bytes", [2_300, 2_999, 700, 1])
@pytest.mark.parametrize("sends_more", [True, False])
def test_a_rest_that_is_gone_is_sent_again(
    fake: FakeS3, place: BucketPlace, first_bytes: int, sends_more: bool
) -> None:
    content = CONTENT if sends_more else CONTENT[:first_bytes]
    storage = place.storage()
    writer = storage.open(TICKET, None)
    write(writer, CONTENT, first_bytes)
    writer.close()
    lose_rests(fake)
    writer = storage.open(TICKET, len(content))
    assert writer.taken_bytes == first_bytes
    with pytest.raises(BytesLost):
        write(writer, content)
        writer.finish()
    writer.close()
    assert storage.size(TICKET) == first_bytes // PART_BYTES * PART_BYTES
    upload(storage, content)
    assert fake.content(key(place)) == content


def test_a_writer_whose_rest_was_deleted_after_a_takeover_is_told_of_the_takeover(
    fake: FakeS3, place: BucketPlace
) -> None:
    storage = place.storage()
    writer = storage.open(TICKET, len(SMALL))
    write(writer, SMALL)
    writer.close()
    zombie = storage.open(TICKET, len(SMALL))
    zombie.fence("old")
    storage.open(TICKET, len(SMALL)).fence("new")
    lose_rests(fake)
    with pytest.raises(TakenOver):
        zombie.finish()
    zombie.abort()
    settled(place, storage)


@pytest.mark.parametrize("knows_conditions", [True, False])
@pytest.mark.parametrize("content", [SMALL, CONTENT])
def test_an_object_of_somebody_else_is_never_replaced_or_deleted(
    fake: FakeS3, place: BucketPlace, content: bytes, knows_conditions: bool
) -> None:
    fake.knows_conditions = knows_conditions
    fake.objects[key(place)] = StoredObject(b"of somebody else")
    storage = place.storage()
    writer = storage.open(TICKET, len(content))
    write(writer, content)
    with pytest.raises(DestinationTaken):
        writer.finish()
    writer.abort()
    storage.delete(TICKET)
    assert fake.content(key(place)) == b"of somebody else"


@pytest.mark.parametrize("content", [SMALL, CONTENT])
def test_an_object_that_appears_in_the_last_moment_is_not_replaced(
    fake: FakeS3, place: BucketPlace, content: bytes
) -> None:
    def appear(operation: str) -> None:
        if operation == ("put" if content is SMALL else "complete"):
            fake.objects.setdefault(key(place), StoredObject(b"of somebody else"))

    fake.on_call = appear
    writer = place.storage().open(TICKET, len(content))
    write(writer, content)
    with pytest.raises(DestinationTaken):
        writer.finish()
    assert fake.content(key(place)) == b"of somebody else"


@pytest.mark.parametrize("knows_checksums", [True, False])
@pytest.mark.parametrize("length_bytes", [len(SMALL), len(CONTENT)])
def test_an_object_of_the_same_upload_with_other_bytes_is_replaced(
    fake: FakeS3, place: BucketPlace, length_bytes: int, knows_checksums: bool
) -> None:
    fake.knows_checksums = knows_checksums
    upload(place.storage(), OTHER[:length_bytes])
    place.storage().clean_up(TICKET)
    upload(place.storage(), CONTENT[:length_bytes])
    assert fake.content(key(place)) == CONTENT[:length_bytes]


@pytest.mark.parametrize("knows_checksums", [True, False])
@pytest.mark.parametrize("content", [SMALL, CONTENT])
def test_bytes_that_are_damaged_on_the_way_to_the_store_are_sent_again(
    fake: FakeS3, place: BucketPlace, content: bytes, knows_checksums: bool
) -> None:
    fake.knows_checksums = knows_checksums
    storage = place.storage()
    send(lambda: storage.open("another upload", None), SMALL)  # from now on the client knows the store
    fake.damages = 2
    writer = storage.open(TICKET, len(content))
    write(writer, content)
    writer.finish()
    assert not fake.damages
    assert fake.content(key(place)) == content


@pytest.mark.parametrize("content", [SMALL, CONTENT])
def test_a_store_without_checksums_completes_in_spite_of_lost_answers(
    fake: FakeS3, place: BucketPlace, content: bytes
) -> None:
    fake.knows_checksums, fake.forgets_uploads = False, True
    fake.fail("put" if content is SMALL else "complete", "lost")
    upload(place.storage(), content)
    assert fake.content(key(place)) == content


# --- claims ------------------------------------------------------------------------------------------------


def test_a_writer_that_was_fenced_leaves_no_rest_behind(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    zombie = storage.open(TICKET, len(SMALL))
    zombie.fence("old")
    writer = storage.open(TICKET, len(SMALL))
    writer.fence("new")
    write(writer, SMALL)
    writer.finish()
    settled_calls = fake.calls["put"]
    write(zombie, OTHER, 500)  # not before the fence, as it is stored after 5 ms without another chunk
    with pytest.raises(TakenOver):
        zombie.flush()
    with contextlib.suppress(TakenOver):  # it tries again, unless its watcher has found out
        zombie.close()
    settled(place, storage)
    assert fake.calls["put"] > settled_calls
    assert list(fake.objects) == [key(place)]


@pytest.mark.parametrize("rest_is_gone", [False, True])
def test_a_claim_during_the_reading_of_a_rest_loses_none_of_it(
    fake: FakeS3, place: BucketPlace, monkeypatch: pytest.MonkeyPatch, rest_is_gone: bool
) -> None:
    storage = place.storage()
    first = storage.open(TICKET, len(CONTENT))
    first.fence("first")
    write(first, CONTENT, 500)
    first.close()
    settled(place, storage)
    writer = storage.open(TICKET, len(CONTENT))
    writer.fence("second")
    read, claims = place.client.read, iter(["third"])

    def interrupted(*args: Any) -> None:
        for token in claims:
            writer.fence(token)
            if rest_is_gone:
                raise S3Error("get_object", "NoSuchKey", 404)
        read(*args)

    monkeypatch.setattr(place.client, "read", interrupted)
    write(writer, CONTENT, 900)
    with pytest.raises(TakenOver):
        writer.flush()
    assert writer.durable_offset == 500
    write(writer, CONTENT)
    writer.finish()
    assert fake.content(key(place)) == CONTENT
    settled(place, storage)


@pytest.mark.parametrize("finishes", [True, False])
def test_an_upload_that_a_killed_process_has_begun_and_not_noted_is_aborted(
    fake: FakeS3, place: BucketPlace, finishes: bool
) -> None:
    storage = place.storage()
    writer = storage.open(TICKET, len(CONTENT))
    write(writer, CONTENT)
    writer.flush()
    storage._client.create(key(place), TICKET)
    assert len(fake.uploads) == 2
    if finishes:
        writer.finish()
    else:
        writer.abort()
        storage.delete(TICKET)
    settled(place, storage)
    assert not fake.uploads


def test_a_writer_that_was_fenced_changes_nothing(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    zombie = storage.open(TICKET, len(CONTENT))
    zombie.fence("old")
    write(zombie, CONTENT, 1_300)
    zombie.flush()
    away = fake.fail("put_part", "refused", times=10_000)
    write(zombie, OTHER, 4_000)  # on its way when the other one comes
    writer = storage.open(TICKET, len(CONTENT))
    writer.fence("new")
    away.times = 0
    assert writer.taken_bytes == 1_300
    write(writer, CONTENT, 2_500)
    writer.flush()
    for attempt in (zombie.flush, zombie.finish, lambda: write(zombie, OTHER, 5_000)):
        with pytest.raises(TakenOver):
            attempt()
    with pytest.raises(TakenOver):
        zombie.truncate(0)
    zombie.close()
    assert holds(storage, CONTENT[:2_500])
    finish_after_repair(writer)
    assert fake.content(key(place)) == CONTENT
    settled(place, storage)


def finish_after_repair(writer: S3Writer) -> None:
    """Finishes; the zombie may have replaced parts, which is found out then."""
    write(writer, CONTENT)
    try:
        writer.finish()
    except BytesLost:
        write(writer, CONTENT)
        writer.finish()


@pytest.mark.parametrize("flushed_bytes", [0, 700, 2_000, 2_300])
def test_the_next_claim_in_the_same_process_continues_behind_what_is_durable(
    fake: FakeS3, place: BucketPlace, flushed_bytes: int
) -> None:
    storage = place.storage()
    writer = storage.open(TICKET, len(CONTENT))
    writer.fence("first")
    write(writer, CONTENT, flushed_bytes)
    writer.flush()
    at = writer.taken_bytes
    writer.write(memoryview(OTHER)[at : at + 200])
    writer.fence("second")
    assert writer.taken_bytes == writer.durable_offset == flushed_bytes
    write(writer, CONTENT)
    writer.finish()
    assert fake.content(key(place)) == CONTENT
    settled(place, storage)


def test_a_writer_learns_what_another_process_has_stored(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    first, second = storage.open(TICKET, len(CONTENT)), storage.open(TICKET, len(CONTENT))
    first.fence("1")
    write(first, CONTENT, 900)
    first.flush()
    second.fence("2")
    write(second, CONTENT, 3_100)
    second.flush()
    first.fence("3")
    assert first.taken_bytes == first.durable_offset == 3_100
    write(first, CONTENT)
    first.finish()
    assert fake.content(key(place)) == CONTENT


# --- acknowledgements --------------------------------------------------------------------------------------


def test_who_stands_still_gets_an_acknowledgement_and_then_takes_no_memory(
    fake: FakeS3, place: BucketPlace
) -> None:
    storage = place.storage()
    told: list[Any] = []
    writer = storage.open(TICKET, len(CONTENT), on_durable=told.append)
    write(writer, CONTENT, 2_300)
    with gevent.Timeout(DEADLINE_S):
        while writer.durable_offset < 2_300 or storage.memory.buffered_bytes:
            gevent.sleep(0.002)
    assert told
    assert set(told) == {None}
    assert holds(place.storage(), CONTENT[:2_300])
    write(writer, CONTENT)
    writer.finish()
    assert fake.content(key(place)) == CONTENT


def test_who_sends_slowly_gets_acknowledgements_before_a_part_is_full(
    fake: FakeS3, place: BucketPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IDLE_S", "SLOW_S", "WAITING_S"):  # a busy machine stands still: it is no test of that
        monkeypatch.setattr(flush_timer, name, math.inf)
    storage = place.storage()
    writer = storage.open(TICKET, len(CONTENT))
    began_s, seen = place.runtime.now_s(), 0
    with gevent.Timeout(DEADLINE_S):
        while not writer.durable_offset and writer.taken_bytes < 999:
            write(writer, CONTENT, writer.taken_bytes + 1)
            place.runtime.sleep(0.05)
            seen = max(seen, writer.taken_bytes)
    assert 0 < writer.durable_offset < PART_BYTES
    assert place.runtime.now_s() - began_s >= 4.5
    writer.close()


def test_a_part_counts_only_when_all_in_front_of_it_are_stored(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    fault = fake.fail("put_part", "refused", times=100)
    writer = storage.open(TICKET, len(CONTENT))
    write(writer, CONTENT, 3_000)
    gevent.sleep(0.05)
    fault.times = 0
    assert writer.durable_offset == 0
    writer.flush()
    assert writer.durable_offset == 3_000
    assert holds(storage, CONTENT[:3_000])
    writer.abort()
    settled(place, storage)


@pytest.mark.parametrize("end", ["accept", "truncate", "close", "fence", "kill"])
@pytest.mark.parametrize("unchecked_bytes", [100, 1_500, 3_200])
def test_unchecked_bytes_are_durable_when_they_are_accepted_and_not_before(
    fake: FakeS3, place: BucketPlace, end: str, unchecked_bytes: int
) -> None:
    storage = place.storage()
    writer = storage.open(TICKET, None)
    write(writer, CONTENT, 1_300)
    writer.begin_unchecked()
    body = CONTENT if end == "accept" else CONTENT[:1_300] + OTHER
    write(writer, body, 1_300 + unchecked_bytes)
    writer.flush()
    gevent.sleep(0.05)
    assert writer.durable_offset == 1_300
    assert holds(storage, CONTENT[:1_300])
    match end:
        case "accept":
            writer.accept_unchecked()
            assert writer.durable_offset == 1_300 + unchecked_bytes
        case "truncate":
            writer.truncate(1_300)
        case "fence":
            writer.fence("the next")
        case "close":
            writer.close()
            writer = storage.open(TICKET, None)
        case "kill":
            storage = place.storage()
            writer = storage.open(TICKET, None)
    assert writer.taken_bytes == (1_300 + unchecked_bytes if end == "accept" else 1_300)
    write(writer, CONTENT)
    writer.finish()
    assert fake.content(key(place)) == CONTENT


# --- room --------------------------------------------------------------------------------------------------


def test_no_more_parts_are_on_their_way_than_allowed(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    writer = storage.open(TICKET, len(CONTENT))
    most = 0

    def look(_: str) -> None:
        nonlocal most
        most = max(most, storage.memory.full_part_bytes)

    fake.on_call = look
    write(writer, CONTENT)
    writer.finish()
    assert 0 < most <= 3 * PART_BYTES


def test_the_memory_of_all_uploads_is_limited(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    writers = [storage.open(f"{number}", 4_000) for number in range(8)]
    most = 0
    for at in range(0, 4_000, 250):
        for writer in writers:
            writer.wait_for_capacity()
            writer.write(memoryview(CONTENT)[at : at + 250])
            most = max(most, storage.memory.full_part_bytes)
    assert most <= 10_000
    for number, writer in enumerate(writers):
        writer.finish()
        assert fake.content(place.address.object_key(f"{number}")) == CONTENT[:4_000]
    settled(place, storage)


def test_waiting_for_room_ends_when_the_writer_is_closed_or_fenced(fake: FakeS3, place: BucketPlace) -> None:
    fake.fail("put_part", "refused", times=10_000)
    writer = place.storage().open(TICKET, None)
    for at in range(0, 3_000, 500):
        writer.write(memoryview(CONTENT)[at : at + 500])
    ends: list[Callable[[], None]] = [lambda: writer.fence("next"), writer.abort]
    for end in ends:
        waiting = gevent.spawn(writer.wait_for_capacity)
        gevent.sleep(0.01)
        end()
        waiting.get(timeout=DEADLINE_S)


# --- the end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent_bytes", [0, 700, 3_000, 3_300, len(CONTENT)])
@pytest.mark.parametrize("is_finished", [False, True])
def test_nothing_is_left_of_what_is_deleted(
    fake: FakeS3, place: BucketPlace, sent_bytes: int, is_finished: bool
) -> None:
    storage = place.storage()
    writer = storage.open(TICKET, None)
    write(writer, CONTENT, sent_bytes)
    if is_finished:
        writer.finish()
    else:
        writer.flush()
        writer.abort()
    storage.delete(TICKET)
    settled(place, storage)
    assert (fake.objects, fake.uploads) == ({}, {})
    assert storage.size(TICKET) is None


@pytest.mark.parametrize("destination", ["", "inbox/1"])
def test_a_second_deletion_deletes_what_a_process_has_stored_after_the_first_one(
    fake: FakeS3, place: BucketPlace, destination: str
) -> None:
    storage = place.storage()
    writer = storage.open(TICKET, len(SMALL), destination=destination)
    write(writer, SMALL)
    writer.finish()
    late = dict(fake.objects)
    storage.delete(TICKET, destination)
    remainder, foreign = f"{place.address.remainders(TICKET)}late", f"{place.address.prefix}other"
    fake.objects = {**late, remainder: StoredObject(SMALL, TICKET), foreign: StoredObject(SMALL)}
    assert len(fake.objects) == 3
    storage.delete(TICKET, destination)
    settled(place, storage)
    assert list(fake.objects) == [foreign]


@pytest.mark.parametrize("knows_conditions", [True, False])
def test_an_object_that_its_app_puts_there_while_an_upload_is_deleted_stays(
    fake: FakeS3, place: BucketPlace, knows_conditions: bool
) -> None:
    fake.knows_conditions = knows_conditions
    storage = place.storage()
    writer = storage.open(TICKET, len(SMALL), destination="inbox/1")
    write(writer, SMALL)
    writer.finish()
    new = StoredObject(b"of its app")

    def replace(operation: str) -> None:
        if operation == "delete" and fake.objects["inbox/1"] is not new:
            fake.objects["inbox/1"] = new

    fake.on_call = replace
    storage.delete(TICKET)
    assert ("inbox/1" in fake.objects) == knows_conditions
    assert storage.size(TICKET) is None


def test_a_store_that_refuses_the_condition_of_a_deletion_deletes_without_it(
    fake: FakeS3, place: BucketPlace
) -> None:
    storage = place.storage()
    for mistaken in ("condition", "operation"):
        writer = storage.open(TICKET, len(SMALL))
        write(writer, SMALL)
        writer.finish()
        fake.mistakes_conditions = mistaken == "condition"
        if mistaken == "operation":
            fake.fail("delete", "not_implemented")
        storage.delete(TICKET)
        settled(place, storage)
        assert fake.objects == {}
    assert not storage.retries.count, "it is asked once"


@pytest.mark.parametrize("operation", ["list", "delete"])
def test_a_rest_beside_a_complete_object_is_deleted_though_the_store_is_away_for_a_moment(
    fake: FakeS3, place: BucketPlace, operation: str
) -> None:
    writer = place.storage().open(TICKET, len(SMALL))
    write(writer, SMALL)
    writer.flush()
    assert len(fake.objects) == 1, "the remainder"
    fake.fail(operation, "dropped")
    writer.finish()
    with gevent.Timeout(DEADLINE_S):
        while place.runtime.is_busy:
            gevent.sleep(0.002)
    assert list(fake.objects) == [key(place)]


class Hesitation:
    """The store takes its time to make an object, until `end`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._waits, self._may_go_on = gevent.event.Event(), gevent.event.Event()
        for name in ("complete", "put"):
            monkeypatch.setattr(S3Client, name, self._slowly(getattr(S3Client, name)))

    def _slowly(self, make: Callable[..., None]) -> Callable[..., None]:
        def call(*about: Any, **more: Any) -> None:
            if make.__name__ == "complete" or about[-1] == PutOptions(only_if_new=True):
                self._waits.set()
                self._may_go_on.wait(DEADLINE_S)
            make(*about, **more)

        return call

    def finish(self, writer: S3Writer) -> gevent.Greenlet:
        """Returns what finishes a file, when the store has begun to make the object."""
        found: gevent.Greenlet = gevent.spawn(writer.finish)
        assert self._waits.wait(DEADLINE_S)
        return found

    def end(self) -> None:
        """The store does it."""
        self._may_go_on.set()


@pytest.fixture
def hesitation(monkeypatch: pytest.MonkeyPatch) -> Hesitation:
    return Hesitation(monkeypatch)


@pytest.mark.parametrize("content", [SMALL, CONTENT])
def test_a_takeover_does_not_wait_for_an_object_that_is_being_made(
    fake: FakeS3, place: BucketPlace, hesitation: Hesitation, content: bytes
) -> None:
    storage = place.storage()
    writer = storage.open(TICKET, len(content))
    write(writer, content)
    older = hesitation.finish(writer)
    writer.fence("newer")
    assert not older.ready(), "the store has not answered yet"
    write(writer, content)
    newer = gevent.spawn(writer.finish)
    hesitation.end()
    with pytest.raises(TakenOver):
        older.get(timeout=DEADLINE_S)
    newer.get(timeout=DEADLINE_S)
    assert fake.content(key(place)) == content
    settled(place, storage)


@pytest.mark.parametrize("content", [SMALL, CONTENT])
def test_an_object_that_is_being_made_when_the_upload_is_called_off_is_deleted(
    fake: FakeS3, place: BucketPlace, hesitation: Hesitation, content: bytes
) -> None:
    storage = place.storage()
    writer = storage.open(TICKET, len(content))
    write(writer, content)
    older = hesitation.finish(writer)

    def call_off() -> None:
        writer.abort()
        storage.delete(TICKET)

    calling_off = gevent.spawn(call_off)
    gevent.sleep(0.01)
    hesitation.end()
    calling_off.get(timeout=DEADLINE_S)
    with pytest.raises(StorageFailed):
        older.get(timeout=DEADLINE_S)
    assert (fake.objects, fake.uploads) == ({}, {})
    settled(place, storage)


def test_a_file_may_be_finished_twice(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    writer = storage.open(TICKET, len(CONTENT))
    write(writer, CONTENT)
    both = [gevent.spawn(writer.finish) for _ in range(2)]
    for one in both:
        one.get(timeout=DEADLINE_S)
    writer.finish()
    assert fake.calls["complete"] == 1
    settled(place, storage)


@pytest.mark.usefixtures("gives_up_soon")
def test_a_writer_whose_flush_has_failed_does_not_try_again_to_store_its_rest_at_its_close(
    fake: FakeS3, place: BucketPlace
) -> None:
    fake.fail("put", "refused", times=10_000)
    storage = place.storage()
    writer = storage.open(TICKET, None)
    write(writer, SMALL)
    with pytest.raises(StorageFailed):
        writer.flush()
    tried = fake.calls["put"]
    with pytest.raises(StorageFailed):
        writer.close()
    assert fake.calls["put"] == tried
    settled(place, storage)


def test_a_file_that_arrived_leaves_its_object_only(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    fake.fail("create", "lost")
    upload(storage)
    settled(place, storage)
    assert list(fake.objects) == [key(place)]
    assert not fake.uploads
    storage.clean_up(TICKET)
    assert list(fake.objects) == [key(place)]


def test_what_its_app_has_deleted_or_replaced_is_taken(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    assert not storage.is_taken(TICKET)
    upload(storage)
    assert not storage.is_taken(TICKET)
    fake.objects[key(place)] = StoredObject(b"of the app")
    assert storage.is_taken(TICKET)
    del fake.objects[key(place)]
    assert storage.is_taken(TICKET)


def test_a_file_that_had_arrived_can_begin_anew(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    upload(storage, OTHER)
    writer = storage.open(TICKET, len(CONTENT))
    assert writer.taken_bytes == len(OTHER)
    writer.truncate(0)
    assert writer.taken_bytes == storage.size(TICKET) == 0
    write(writer, CONTENT)
    writer.finish()
    assert fake.content(key(place)) == CONTENT


@pytest.mark.parametrize("length_bytes", [0, 1, 999, 1_000, 1_001, 2_000, 2_299, 2_300])
def test_a_truncation_keeps_whole_parts_and_any_part_of_the_rest(
    fake: FakeS3, place: BucketPlace, length_bytes: int
) -> None:
    storage = place.storage()
    writer = storage.open(TICKET, None)
    write(writer, CONTENT[:length_bytes] + OTHER, 2_300)
    writer.flush()
    writer.truncate(length_bytes)
    kept = length_bytes if length_bytes >= 2_000 else length_bytes // PART_BYTES * PART_BYTES
    assert writer.taken_bytes == writer.durable_offset == kept
    assert holds(place.storage(), CONTENT[:kept])
    writer = place.storage().open(TICKET, None)
    write(writer, CONTENT)
    writer.finish()
    assert fake.content(key(place)) == CONTENT


# --- any order ---------------------------------------------------------------------------------------------

STEPS: Final = st.lists(st.tuples(st.sampled_from("wwwwwckftuan"), st.integers(0, 1_700)), max_size=20)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=25,
    deadline=None,
)
@given(steps=STEPS, faults=st.lists(st.sampled_from(FAULTS), max_size=4), is_known=st.booleans())
def test_whatever_happens_the_object_is_what_was_sent(
    fake: FakeS3, place: BucketPlace, steps: list[tuple[str, int]], faults: list[Any], is_known: bool
) -> None:
    storage = place.storage()
    storage.delete(TICKET)
    length_bytes = len(CONTENT) if is_known else None
    writer = storage.open(TICKET, length_bytes)
    for operation, kind in faults:
        fake.fail(operation, kind, nth=3)
    for number, (step, size_bytes) in enumerate(steps):
        durable_offset = writer.durable_offset
        match step:
            case "w":
                write(writer, CONTENT, min(writer.taken_bytes + size_bytes, len(CONTENT)))
            case "f":
                writer.flush()
            case "t":
                writer.truncate(min(size_bytes, writer.taken_bytes))
                durable_offset = min(durable_offset, size_bytes // PART_BYTES * PART_BYTES)
            case "u":
                writer.begin_unchecked()
            case "a":
                writer.accept_unchecked()
            case "n":
                writer.fence(f"{number}")
            case "c":
                writer.close()
                writer = storage.open(TICKET, length_bytes)
                writer.fence(f"{number}")
            case "k":
                storage = place.storage()
                writer = storage.open(TICKET, length_bytes)
                writer.fence(f"{number}")
        assert durable_offset <= writer.durable_offset <= writer.taken_bytes
        end, crc = storage.checksums.stored(TICKET)
        assert (end, crc) == (writer.durable_offset, checksum(CONTENT[:end]))
    writer.accept_unchecked()
    write(writer, CONTENT)
    writer.finish()
    assert fake.content(key(place)) == CONTENT
    fake.faults.clear()
    settled(place, storage)
