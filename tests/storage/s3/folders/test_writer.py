"""A folder into S3: whatever the store does, each object is a file as it was sent, and the list is last."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from functools import partial
from typing import Any, Final

import gevent
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core.checkpoints import Checkpoint
from incoming.core.checksum import checksum
from incoming.core.errors import (
    BadFolder,
    BadParameter,
    BytesLost,
    DestinationTaken,
    StorageFailed,
    TakenOver,
)
from incoming.core.folder_manifest import Entry, encode_head
from incoming.storage.s3.folders.storage import S3FolderStorage
from incoming.storage.s3.folders.writer import S3FolderWriter
from tests.storage.contract import TICKET
from tests.storage.s3 import sending
from tests.storage.s3.sending import DEADLINE_S, key, settled
from tests.support.fake_s3 import FakeS3, Kind, StoredObject, checksum_header
from tests.support.folder_data import MODIFIED_MS, FolderData
from tests.support.s3_place import BucketPlace

FOLDER: Final = FolderData((
    *(("a.txt", 300), ("empty/", 0), ("b/nothing", 0), ("b/large.bin", 3_300), ("b/ö 1.txt", 999)),
    *(("b/c/whole part", 1_000), ("b/c/one more", 1_001), ("z", 1), ("z last", 0)),
))  # fmt: skip
LARGE: Final = 3
CHUNK_BYTES: Final = 250
write = partial(sending.write, chunk_bytes=CHUNK_BYTES)


def upload(folders: S3FolderStorage, folder: FolderData = FOLDER, stream: bytes | None = None) -> None:
    """Sends a folder."""
    content = folder.stream if stream is None else stream
    sending.send(lambda: folders.open(TICKET, len(content)), content, CHUNK_BYTES)


def objects(fake: FakeS3, place: BucketPlace) -> dict[str, bytes]:
    """Returns the content of each object of the folder, by its path."""
    prefix = f"{key(place)}/"
    return {name[len(prefix) :]: one.content for name, one in fake.objects.items() if name.startswith(prefix)}


def listed(
    fake: FakeS3, place: BucketPlace, folder: FolderData = FOLDER, *left_out: int
) -> list[dict[str, Any]]:
    """Returns the lines of the list, which agrees with what was sent, and with the keys."""
    lines = folder.listed(fake.content(f"{key(place)}.manifest"), left_out)
    for index, line in enumerate(lines):
        if not line["path"].endswith("/") and index not in left_out:
            assert line["key"] == f"{key(place)}/{line['path']}"
    return lines


def claimed(folders: S3FolderStorage, token: str, length_bytes: int | None = None) -> S3FolderWriter:
    """Returns the writer of a claim."""
    writer = folders.open(TICKET, length_bytes)
    writer.fence(token)
    return writer


# --- a folder ----------------------------------------------------------------------------------------------


def test_each_file_is_an_object_with_its_time_and_the_list_has_the_key_of_each(
    fake: FakeS3, place: BucketPlace
) -> None:
    storage = place.storage()
    writer = storage.folders.open(TICKET, len(FOLDER.stream))
    write(writer, FOLDER.stream)
    assert f"{key(place)}.manifest" not in fake.objects
    writer.finish()
    assert objects(fake, place) == FOLDER.files
    listed(fake, place)
    assert fake.objects[f"{key(place)}/a.txt"].modified == f"{MODIFIED_MS / 1000:.3f}"
    assert fake.objects[f"{key(place)}/b/large.bin"].modified == f"{(MODIFIED_MS + LARGE) / 1000:.3f}"
    assert {one.ticket_id for one in fake.objects.values()} == {TICKET}
    arrival = storage.folders.arrival(TICKET)
    assert (arrival.files, arrival.files_bytes, arrival.left_out) == (
        8,
        sum(map(len, FOLDER.files.values())),
        0,
    )
    assert f"{key(place)}.manifest?" in arrival.manifest
    assert storage.folders.location(TICKET) == f"s3://uploads/{key(place)}/"
    address = storage.folders.objects.address(TICKET)
    assert (address.key, address.url.partition("?")[0]) == (
        f"{key(place)}/",
        arrival.manifest.partition("?")[0],
    )
    settled(place, storage)
    assert set(fake.objects) == {
        *(f"{key(place)}/{path}" for path in FOLDER.files), f"{key(place)}.manifest", *heads(fake, place)
    }  # fmt: skip


def heads(fake: FakeS3, place: BucketPlace) -> list[str]:
    """Returns the keys of what is kept beside the folder."""
    return [name for name in fake.objects if name.startswith(place.address.remainders(TICKET))]


@pytest.mark.usefixtures("without_remainders")
def test_a_small_file_takes_one_call(fake: FakeS3, place: BucketPlace) -> None:
    folder = FolderData([(f"{number}", 10) for number in range(40)])
    writer = place.storage().folders.open(TICKET, len(folder.stream))
    write(writer, folder.stream)
    writer.finish()
    assert objects(fake, place) == folder.files
    assert fake.calls["put"] == 42, "the head, the files and the list"
    assert fake.calls["head"] == 1, "nothing but the list may be there already"
    assert not fake.calls["create"]


@pytest.mark.parametrize("sizes", [(), (("only/", 0),), (("only", 0),), (("a", 0), ("b/", 0), ("c", 0))])
def test_a_folder_without_bytes_arrives(
    fake: FakeS3, place: BucketPlace, sizes: tuple[tuple[str, int], ...]
) -> None:
    folder = FolderData(sizes)
    upload(place.storage().folders, folder)
    assert objects(fake, place) == folder.files
    listed(fake, place, folder)


@pytest.mark.parametrize("chunk_bytes", [1, 7, 10_000])
def test_the_stream_may_come_in_chunks_of_any_size_and_its_length_may_be_unknown(
    fake: FakeS3, place: BucketPlace, chunk_bytes: int
) -> None:
    writer = place.storage().folders.open(TICKET, None)
    write(writer, FOLDER.stream, chunk_bytes=chunk_bytes)
    writer.finish()
    assert objects(fake, place) == FOLDER.files


def test_a_folder_that_has_arrived_can_be_read_as_its_stream(place: BucketPlace) -> None:
    folders = place.storage().folders
    upload(folders)
    stream = FOLDER.stream
    for start, end in (
        (0, len(stream)),
        (10, 20),
        (len(FOLDER.head) - 1, len(FOLDER.head) + 400),
        (3_000, 4_000),
    ):
        found = bytearray()
        folders.read(TICKET, start, end, found.extend)
        assert found == stream[start:end]
    with pytest.raises(StorageFailed):
        folders.read(TICKET, 0, len(stream) + 1, lambda _: None)


@pytest.mark.parametrize("resumes", [False, True])
def test_the_app_gets_the_sha256_of_each_file_when_it_wants_it(
    fake: FakeS3, place: BucketPlace, resumes: bool
) -> None:
    writer = place.storage().folders.open(TICKET, len(FOLDER.stream))
    writer.want_sha256()
    write(writer, FOLDER.stream, 3_000)
    if resumes:
        writer.flush()
        writer = place.storage().folders.open(TICKET, len(FOLDER.stream))
        assert writer.taken_bytes == 3_000
    write(writer, FOLDER.stream)
    writer.finish()
    lines = {line["path"]: line.get("sha256") for line in listed(fake, place)}
    expected = {path: hashlib.sha256(content).hexdigest() for path, content in FOLDER.files.items()}
    assert {path: sha256 for path, sha256 in lines.items() if sha256} == expected


# --- what is refused ---------------------------------------------------------------------------------------


def refused(fake: FakeS3, place: BucketPlace, head: bytes, length_bytes: int | None = None) -> str:
    """Returns why a head is refused before a file is stored. Its bytes come one by one."""
    folders = place.storage().folders
    writer = folders.open(TICKET, length_bytes)
    taken_bytes = 0
    with pytest.raises(BadFolder) as caught:
        for at in range(len(head)):
            taken_bytes = writer.taken_bytes
            writer.write(memoryview(head)[at : at + 1])
    assert writer.taken_bytes == taken_bytes
    writer.abort()
    assert not objects(fake, place)
    folders.delete(TICKET)  # a remainder of the head may be noted by now
    return caught.value.reason


def test_a_bad_head_is_refused_before_a_file_is_stored(fake: FakeS3, place: BucketPlace) -> None:
    assert refused(fake, place, b"a file" * 100) == "not_a_folder"
    assert refused(fake, place, encode_head([Entry("../up", 1)])) == "leads_elsewhere"
    assert refused(fake, place, encode_head([Entry("a"), Entry("a")])) == "duplicate_path"
    assert refused(fake, place, encode_head([Entry("a/" * 50 + "n" * 900, 1)])) == "path_too_long"
    assert refused(fake, place, encode_head([Entry("a", 2**53 - 50)])) == "bad_size"
    assert refused(fake, place, FOLDER.head, len(FOLDER.stream) - 1) == "wrong_length"
    assert refused(fake, place, FOLDER.head, 40) == "wrong_length"


@pytest.mark.parametrize("taken_bytes", [32, 40, len(FOLDER.head) - 1, len(FOLDER.head), len(FOLDER.stream)])
def test_a_length_that_is_told_late_has_to_be_that_of_the_list(
    fake: FakeS3, place: BucketPlace, taken_bytes: int
) -> None:
    writer = place.storage().folders.open(TICKET, None)
    write(writer, FOLDER.stream, taken_bytes)
    with pytest.raises(BadFolder) as refused:
        writer.set_length(taken_bytes if taken_bytes < len(FOLDER.stream) else taken_bytes + 1)
    assert refused.value.reason == "wrong_length"
    writer.set_length(len(FOLDER.stream))
    write(writer, FOLDER.stream)
    writer.finish()
    assert [line["path"] for line in listed(fake, place)]


@pytest.mark.parametrize("is_durable", [False, True])
@pytest.mark.parametrize("damaged_at", [20, 40])
def test_the_right_head_is_stored_after_a_damaged_one_was_discarded(
    fake: FakeS3, place: BucketPlace, damaged_at: int, is_durable: bool
) -> None:
    damaged = FOLDER.stream[:damaged_at] + b"?" + FOLDER.stream[damaged_at + 1 :]
    writer = place.storage().folders.open(TICKET, len(FOLDER.stream))
    with pytest.raises(BadFolder) as refused:
        for at in range(0, len(damaged), 10):
            writer.write(memoryview(damaged)[at : at + 10])
            if is_durable:
                writer.flush()
    assert refused.value.reason == "damaged"
    writer.truncate(0)
    assert (writer.taken_bytes, writer.durable_offset) == (0, 0)
    writer.fence("the next claim")
    write(writer, FOLDER.stream)
    writer.finish()
    assert listed(fake, place)


def test_a_stream_of_unknown_length_that_does_not_fit_its_list_is_refused(place: BucketPlace) -> None:
    folders = place.storage().folders
    writer = folders.open(TICKET, None)
    write(writer, FOLDER.stream, len(FOLDER.stream) - 1)
    with pytest.raises(BadFolder):
        writer.finish()
    write(writer, FOLDER.stream)
    with pytest.raises(BadFolder):
        writer.write(memoryview(b"?"))


def test_names_that_are_changed_are_told_in_the_list(fake: FakeS3, place: BucketPlace) -> None:
    folder = FolderData((("a\tb", 5), ("a_b", 6), ("n" * 300, 7)))
    upload(place.storage().folders, folder)
    assert objects(fake, place) == {"a_b": folder.files["a_b"], "a_b (2)": folder.files["a\tb"],
                                    "n" * 300: folder.files["n" * 300]}  # fmt: skip
    assert [line.get("sent_path") for line in listed(fake, place, folder)] == ["a\tb", None, None]


# --- faults of the store -----------------------------------------------------------------------------------

ANY: Final = ("lost", "dropped", "cut", "refused")
FAULTS: Final = [
    *(("put", kind) for kind in ANY),
    *((operation, kind) for operation in ("create", "put_part", "get") for kind in ("lost", "refused")),
    *(("complete", kind) for kind in ("lost", "refused", "late_error", "error_after")),
    *((operation, "refused") for operation in ("head", "delete", "list")),
]


@pytest.mark.parametrize(("operation", "kind"), FAULTS)
def test_whatever_the_store_does_the_objects_are_what_was_sent(
    fake: FakeS3, place: BucketPlace, operation: str, kind: Kind
) -> None:
    for nth in (1, 3):
        fake.fail(operation, kind, nth=nth)
    storage = place.storage()
    upload(storage.folders)
    assert objects(fake, place) == FOLDER.files
    listed(fake, place)
    settled(place, storage)


@pytest.mark.usefixtures("gives_up_soon")
@pytest.mark.parametrize("operation", ["put", "create", "put_part", "complete", "list"])
def test_a_store_that_stays_away_is_an_error_that_may_be_retried(
    fake: FakeS3, place: BucketPlace, operation: str
) -> None:
    fault = fake.fail(operation, "refused", times=10_000)
    storage = place.storage()
    writer = storage.folders.open(TICKET, len(FOLDER.stream))
    with pytest.raises(StorageFailed) as caught:
        write(writer, FOLDER.stream)
        writer.finish()
    assert caught.value.retryable
    fault.times = 0
    write(writer, FOLDER.stream)
    writer.finish()
    assert objects(fake, place) == FOLDER.files
    settled(place, storage)


def test_a_folder_of_many_pages_is_compared_and_deleted_as_a_whole(fake: FakeS3, place: BucketPlace) -> None:
    fake.page = 7
    folder = FolderData([(f"{number % 3}/{number}", number) for number in range(50)])
    storage = place.storage()
    upload(storage.folders, folder)
    assert objects(fake, place) == folder.files
    settled(place, storage)
    storage.folders.delete(TICKET)
    assert fake.objects == {}
    assert storage.folders.size(TICKET) is None


@pytest.mark.parametrize("destination", ["", "inbox/1"])
def test_a_second_deletion_deletes_what_a_process_has_stored_of_a_folder_after_the_first_one(
    fake: FakeS3, place: BucketPlace, destination: str
) -> None:
    folders = place.storage().folders
    key = folders.key(TICKET, destination)
    folders.delete(TICKET, destination)
    fake.objects = {f"{key}/{name}": StoredObject(b"late", TICKET) for name in ("a/1", "2")}
    fake.objects[f"{key}-other/1"] = StoredObject(b"late", TICKET)
    folders.delete(TICKET, destination)
    assert list(fake.objects) == [f"{key}-other/1"]


# --- kills, pauses, truncations ----------------------------------------------------------------------------


@pytest.mark.parametrize("up_to", [10, 600, len(FOLDER.head), len(FOLDER.head) + 300, 3_300, 5_000])
def test_what_was_flushed_is_found_by_the_next_process(fake: FakeS3, place: BucketPlace, up_to: int) -> None:
    writer = place.storage().folders.open(TICKET, len(FOLDER.stream))
    write(writer, FOLDER.stream, up_to)
    writer.flush() if up_to % 100 else writer.close()
    folders = place.storage().folders
    assert folders.size(TICKET) == up_to
    assert folders.checksums.stored(TICKET) == Checkpoint(up_to, checksum(FOLDER.stream[:up_to]))
    for start, end, crc in folders.checksums.samples(TICKET):
        assert checksum(FOLDER.stream[start:end]) == crc
    writer = folders.open(TICKET, len(FOLDER.stream))
    assert writer.taken_bytes == writer.durable_offset == up_to
    write(writer, FOLDER.stream)
    writer.finish()
    assert objects(fake, place) == FOLDER.files


def test_a_client_that_stands_still_gets_its_acknowledgement(place: BucketPlace) -> None:
    writer = place.storage().folders.open(TICKET, len(FOLDER.stream))
    write(writer, FOLDER.stream, 2_345)
    with gevent.Timeout(DEADLINE_S):
        while writer.durable_offset < 2_345:
            gevent.sleep(0.002)
    writer.abort()


ENDS: Final = sorted(
    {0, 20, len(FOLDER.stream), *FOLDER.manifest.ends, *(end - 1 for end in FOLDER.manifest.ends)}
)


@pytest.mark.parametrize("length_bytes", ENDS)
def test_after_a_truncation_other_bytes_may_follow(
    fake: FakeS3, place: BucketPlace, length_bytes: int
) -> None:
    storage = place.storage()
    writer = storage.folders.open(TICKET, len(FOLDER.stream))
    write(writer, FOLDER.stream)
    writer.flush()
    writer.truncate(length_bytes)
    large_start, large_end = FOLDER.manifest.range_of(LARGE)
    more_start, more_end = FOLDER.manifest.range_of(LARGE + 3)
    if large_start <= length_bytes < large_end:
        assert writer.taken_bytes == large_start, "no part of an object can be replaced"
    elif more_start <= length_bytes < more_end:
        assert writer.taken_bytes == more_start
    else:
        assert writer.taken_bytes == length_bytes, "bytes in front stay durable"
    assert writer.durable_offset == writer.taken_bytes == storage.folders.size(TICKET)
    other = FolderData(FOLDER.sizes, seed=2)
    stream = FOLDER.stream[: writer.taken_bytes] + other.stream[writer.taken_bytes :]
    write(writer, stream)
    writer.finish()
    found, at = objects(fake, place), len(FOLDER.head)
    for path, content in FOLDER.files.items():
        assert found[path] == stream[at : at + len(content)]
        at += len(content)
    settled(place, storage)


def test_another_folder_may_follow_and_nothing_is_left_of_the_first(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    writer = storage.folders.open(TICKET, None)
    write(writer, FOLDER.stream)
    writer.flush()
    writer.truncate(0)
    other = FolderData((("a.txt", 12), ("b/large.bin", 2_222), ("new", 3)), seed=5)
    write(writer, other.stream)
    writer.finish()
    assert objects(fake, place) == other.files
    settled(place, storage)
    assert not fake.uploads


@pytest.mark.usefixtures("gives_up_soon")
@settings(suppress_health_check=(HealthCheck.function_scoped_fixture,), max_examples=8, deadline=None)
@given(data=st.data())
def test_whatever_happens_a_kill_takes_only_what_was_not_durable(
    fake: FakeS3, place: BucketPlace, data: st.DataObject
) -> None:
    sizes = data.draw(st.lists(st.sampled_from([0, 0, 1, 30, 999, 1_000, 1_001, 2_500]), max_size=8))
    folder = FolderData([(f"f{number}", size) for number, size in enumerate(sizes)], seed=len(sizes))
    stream, folders = folder.stream, place.storage().folders
    folders.delete(TICKET)
    claims = map(str, itertools.count(1))

    def claimed() -> S3FolderWriter:
        """Opens the folder as a claim does: an older writer that still sends changes nothing more."""
        writer = folders.open(TICKET, len(stream))
        writer.fence(next(claims))
        return writer

    writer, out, gone = claimed(), list[int](), stream
    for step in data.draw(st.lists(st.sampled_from("wwwwwkfctl"), max_size=14)):
        if step == "w":
            up_to = min(len(gone), writer.taken_bytes + data.draw(st.integers(1, 900)))
            write(writer, gone, up_to, chunk_bytes=200)
        elif step == "f":
            writer.flush()
            assert writer.durable_offset == writer.taken_bytes
        elif step == "c":
            writer.close()
            writer = claimed()
        elif step == "t":
            writer.truncate(data.draw(st.integers(0, writer.taken_bytes)))
        elif step == "l":
            index = folder.manifest.index_at(writer.taken_bytes)
            if writer.taken_bytes < len(folder.head) or index >= len(sizes):
                continue
            writer.leave_out(index)
            assert writer.taken_bytes == folder.manifest.range_of(index)[1]
        else:
            durable_offset = writer.durable_offset
            folders = place.storage().folders
            writer = claimed()
            assert writer.taken_bytes >= durable_offset
        out = [*writer.left_out]
        gone = folder.without(*out)
        stored = folders.checksums.stored(TICKET)
        assert stored == (writer.durable_offset, checksum(gone[: writer.durable_offset]))
        assert folders.left_out(TICKET) == tuple(out)
    write(writer, gone, chunk_bytes=800)
    writer.finish()
    assert objects(fake, place) == {p: c for n, (p, c) in enumerate(folder.files.items()) if n not in out}
    found = bytearray()
    folders.read(TICKET, 0, len(stream), found.extend)
    assert found == gone


@pytest.mark.parametrize("then_bytes", [0, 33, 70])
@pytest.mark.parametrize("begun_bytes", [31, 32, 40, 74])
@pytest.mark.parametrize("size_bytes", [0, 1])
def test_a_folder_whose_head_was_discarded_in_its_middle_is_taken_from_its_first_byte(
    fake: FakeS3, place: BucketPlace, size_bytes: int, begun_bytes: int, then_bytes: int
) -> None:
    folder = FolderData([("f0", size_bytes)])
    stream, folders = folder.stream, place.storage().folders
    writer = folders.open(TICKET, len(stream))
    write(writer, stream, begun_bytes)
    writer.fence("new")  # another client has taken the upload over
    assert writer.taken_bytes == 0
    write(writer, stream, then_bytes)
    writer.close()
    writer = folders.open(TICKET, len(stream))
    writer.fence("new")
    assert writer.taken_bytes == then_bytes
    write(writer, stream)
    writer.finish()
    assert objects(fake, place) == folder.files


# --- leaving a file out ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent_bytes", [0, 1, 2_000, 3_300])
def test_a_file_that_is_left_out_counts_as_zeros_and_has_no_object(
    fake: FakeS3, place: BucketPlace, sent_bytes: int
) -> None:
    start, end = FOLDER.manifest.range_of(LARGE)
    storage = place.storage()
    writer = storage.folders.open(TICKET, len(FOLDER.stream))
    write(writer, FOLDER.stream, start + sent_bytes)
    writer.leave_out(LARGE)
    assert writer.taken_bytes == writer.durable_offset == end
    assert writer.left_out == storage.folders.left_out(TICKET) == (LARGE,)
    stream = FOLDER.without(LARGE)
    folders = place.storage().folders
    assert folders.left_out(TICKET) == (LARGE,)
    assert folders.checksums.stored(TICKET) == Checkpoint(end, checksum(stream[:end]))
    assert all(sample.end <= start or sample.start >= end for sample in folders.checksums.samples(TICKET))
    writer = folders.open(TICKET, len(FOLDER.stream))
    writer.leave_out(LARGE)
    write(writer, stream)
    writer.finish()
    assert objects(fake, place) == {p: c for p, c in FOLDER.files.items() if p != "b/large.bin"}
    listed(fake, place, FOLDER, LARGE)
    arrival = folders.arrival(TICKET)
    assert (arrival.files, arrival.left_out) == (7, 1)
    assert arrival.files_bytes == sum(map(len, FOLDER.files.values())) - 3_300
    found = bytearray()
    folders.read(TICKET, 0, len(stream), found.extend)
    assert found == stream


def test_only_the_file_of_the_moment_can_be_left_out(place: BucketPlace) -> None:
    writer = place.storage().folders.open(TICKET, len(FOLDER.stream))
    write(writer, FOLDER.stream, 100)
    with pytest.raises(BadParameter):
        writer.leave_out(0)
    write(writer, FOLDER.stream, FOLDER.manifest.range_of(0)[1])
    for index in (-1, 1, 4, 99):  # a folder, and files that are not next
        with pytest.raises(BadParameter):
            writer.leave_out(index)
    writer.leave_out(2)  # empty
    writer.leave_out(0)  # has just ended
    write(writer, FOLDER.without(0, 2), FOLDER.manifest.range_of(LARGE)[0] + 10)
    with pytest.raises(BadParameter):
        writer.leave_out(0)
    assert writer.left_out == (0, 2)
    writer.abort()


def test_a_truncation_into_a_file_that_was_left_out_brings_it_back(fake: FakeS3, place: BucketPlace) -> None:
    start, end = FOLDER.manifest.range_of(LARGE)
    writer = place.storage().folders.open(TICKET, len(FOLDER.stream))
    write(writer, FOLDER.stream, start)
    writer.leave_out(LARGE)
    writer.truncate(end - 1)
    assert (writer.taken_bytes, writer.left_out) == (start, ())
    write(writer, FOLDER.stream)
    writer.finish()
    assert objects(fake, place) == FOLDER.files


# --- several processes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("knows_checksums", [True, False])
@pytest.mark.parametrize("conditions", ["known", "mistaken", "unknown"])
def test_what_a_process_that_was_taken_over_has_stored_is_replaced(
    fake: FakeS3, place: BucketPlace, conditions: str, knows_checksums: bool
) -> None:
    fake.knows_checksums = knows_checksums
    fake.knows_conditions, fake.mistakes_conditions = conditions != "unknown", conditions == "mistaken"
    storage = place.storage()
    other = FolderData(FOLDER.sizes, seed=9)
    stale = claimed(storage.folders, "first")
    write(stale, FOLDER.head + other.stream[len(FOLDER.head) :], 3_000)
    stale.flush()
    newer = claimed(storage.folders, "second")
    newer.truncate(0)
    write(newer, FOLDER.stream, 2_000)
    newer.flush()
    with pytest.raises(TakenOver):
        write(stale, other.stream)
        stale.flush()
    stale.abort()
    write(newer, FOLDER.stream)
    newer.finish()
    assert objects(fake, place) == FOLDER.files
    listed(fake, place)
    settled(place, storage)


@pytest.mark.usefixtures("waits_as_long")  # else a rest may hear of the takeover first
def test_a_process_that_was_frozen_before_it_replaces_an_object_finds_another_one_and_stops(
    fake: FakeS3, place: BucketPlace
) -> None:
    name, newest = f"{key(place)}/a.txt", FOLDER.files["a.txt"]
    fake.objects[name] = StoredObject(b"of an earlier claim", TICKET, checksum_header(b"of an earlier claim"))
    folders = place.storage().folders
    stale = claimed(folders, "first")
    looked = [0]

    def takes_over(operation: str, about: str) -> None:
        """The process stands still between its look at the object and its put, and is taken over."""
        if about != name:  # the list of its files may come at any time
            return
        looked[0] += operation == "head"
        if operation == "put" and looked[0] == 1:
            looked[0] += 1
            fake.objects[name] = StoredObject(newest, TICKET, checksum_header(newest))
            folders.open(TICKET, None).fence("second")

    fake.on_call_about = takes_over
    other = FolderData(FOLDER.sizes[:1], seed=9)
    with pytest.raises(TakenOver):
        write(stale, other.stream)
        stale.flush()
    stale.abort()
    assert looked[0] > 2, "it has compared what it has found"
    assert fake.content(name) == newest


DAMAGES: Final = [
    *(("b/large.bin", damage) for damage in ("other bytes", "other size", "gone")),
    *(("a.txt", "other bytes"), ("b/nothing", "other size"), ("z", "gone")),
]


@pytest.mark.parametrize(("path", "damage"), DAMAGES)
def test_what_others_have_changed_is_sent_again(
    fake: FakeS3, place: BucketPlace, path: str, damage: str
) -> None:
    storage = place.storage()
    writer = storage.folders.open(TICKET, len(FOLDER.stream))
    write(writer, FOLDER.stream)
    writer.flush()
    settled_objects = {**objects(fake, place)}
    while path not in settled_objects:  # a large file is completed in the background
        gevent.sleep(0.002)
        settled_objects = {**objects(fake, place)}
    name = f"{key(place)}/{path}"
    content = fake.content(name)
    if damage == "gone":
        del fake.objects[name]
    else:
        fake.objects[name] = StoredObject(b"?" * (len(content) + (damage == "other size")), TICKET)
    index = [*(one.path for one in FOLDER.entries)].index(path)
    with pytest.raises(BytesLost):
        writer.finish()
    assert writer.taken_bytes == FOLDER.manifest.range_of(index)[0]
    assert f"{key(place)}.manifest" not in fake.objects
    write(writer, FOLDER.stream)
    writer.finish()
    assert objects(fake, place) == FOLDER.files


def test_an_object_that_belongs_to_no_file_is_deleted_before_the_list_is_stored(
    fake: FakeS3, place: BucketPlace
) -> None:
    storage = place.storage()
    writer = storage.folders.open(TICKET, len(FOLDER.stream))
    write(writer, FOLDER.stream)
    fake.objects[f"{key(place)}/late"] = StoredObject(b"of a process that was frozen", TICKET)
    writer.finish()
    assert objects(fake, place) == FOLDER.files


def test_parts_that_the_store_has_discarded_are_sent_again(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    start, _ = FOLDER.manifest.range_of(LARGE)
    writer = storage.folders.open(TICKET, len(FOLDER.stream))
    write(writer, FOLDER.stream, start + 2_500)
    writer.flush()
    fake.uploads.clear()
    with pytest.raises(BytesLost):
        write(writer, FOLDER.stream)
        writer.finish()
    writer.fence("the next claim")
    assert writer.taken_bytes == start
    write(writer, FOLDER.stream)
    writer.finish()
    assert objects(fake, place) == FOLDER.files
    settled(place, storage)


@pytest.mark.parametrize("same_bytes", [True, False])
def test_parts_that_were_stored_again_by_others_are_compared_at_the_end(
    fake: FakeS3, place: BucketPlace, same_bytes: bool
) -> None:
    storage = place.storage()
    start, end = FOLDER.manifest.range_of(LARGE)
    writer = storage.folders.open(TICKET, len(FOLDER.stream))
    write(writer, FOLDER.stream, end - 1)
    writer.flush()
    (upload,) = fake.uploads.values()
    stored = upload.parts[2].content
    content = stored if same_bytes else bytes(len(stored))
    upload.parts[2] = StoredObject(content, checksum=checksum_header(content), salt=b"SSE-KMS")
    write(writer, FOLDER.stream)
    if not same_bytes:
        with pytest.raises(BytesLost):
            writer.finish()
        assert writer.taken_bytes == start + 1_000, "the first part stays"
        write(writer, FOLDER.stream)
    writer.finish()
    assert objects(fake, place) == FOLDER.files
    settled(place, storage)


def test_a_head_that_the_store_has_lost_is_sent_again(fake: FakeS3, place: BucketPlace) -> None:
    writer = place.storage().folders.open(TICKET, len(FOLDER.stream))
    write(writer, FOLDER.stream, 2_000)
    writer.close()
    for name in heads(fake, place):
        del fake.objects[name]
    upload(place.storage().folders)
    assert objects(fake, place) == FOLDER.files


# --- keys that apps name -----------------------------------------------------------------------------------


def test_an_app_names_where_its_folder_is_and_nothing_else_there_is_touched(
    fake: FakeS3, place: BucketPlace
) -> None:
    fake.objects["photos/2026/other"] = StoredObject(b"of somebody else")
    storage = place.storage()
    writer = storage.folders.open(TICKET, len(FOLDER.stream), destination="photos/2026")
    write(writer, FOLDER.stream)
    writer.finish()
    assert fake.content("photos/2026/b/large.bin") == FOLDER.files["b/large.bin"]
    assert "photos/2026.manifest" in fake.objects
    assert storage.folders.location(TICKET, "photos/2026") == "s3://uploads/photos/2026/"
    settled(place, storage)
    storage.folders.delete(TICKET)
    assert set(fake.objects) == {"photos/2026/other"}


@pytest.mark.parametrize("knows_conditions", [True, False])
@pytest.mark.parametrize("path", ["a.txt", "b/large.bin"])
def test_an_object_of_somebody_else_is_never_replaced(
    fake: FakeS3, place: BucketPlace, path: str, knows_conditions: bool
) -> None:
    fake.knows_conditions = knows_conditions
    fake.objects[f"photos/{path}"] = StoredObject(b"of somebody else")
    writer = place.storage().folders.open(TICKET, len(FOLDER.stream), destination="photos")
    with pytest.raises(DestinationTaken):
        write(writer, FOLDER.stream)
        writer.finish()
    assert fake.content(f"photos/{path}") == b"of somebody else"
    writer.abort()


# --- the end -----------------------------------------------------------------------------------------------


CALLED_OFF: Final = [
    *(("abort", up_to) for up_to in (10, 600, 3_000)),
    *(("kill", up_to) for up_to in (600, 3_000, len(FOLDER.stream))),
    *(("close", 3_000), ("finish", len(FOLDER.stream))),
]


@pytest.mark.parametrize(("ends", "up_to"), CALLED_OFF)
def test_an_upload_that_is_called_off_leaves_nothing(
    fake: FakeS3, place: BucketPlace, ends: str, up_to: int
) -> None:
    storage = place.storage()
    writer = storage.folders.open(TICKET, len(FOLDER.stream))
    write(writer, FOLDER.stream, up_to)
    if ends == "kill":
        storage = place.storage()
    else:
        getattr(writer, ends)()
    storage.folders.delete(TICKET)
    settled(place, storage)
    storage.folders.delete(TICKET)
    assert (fake.objects, fake.uploads) == ({}, {})
    assert storage.folders.size(TICKET) is None


def test_a_folder_that_is_called_off_while_it_is_completed_stops(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    writer = storage.folders.open(TICKET, len(FOLDER.stream))
    write(writer, FOLDER.stream)
    writer.flush()
    fake.page, begun = 1, threading.Event()

    def waits(operation: str) -> None:
        if operation == "list":
            begun.set()
            time.sleep(0.02)

    fake.on_call = waits
    finishing = gevent.spawn(writer.finish)
    with gevent.Timeout(DEADLINE_S):
        while not begun.is_set():
            gevent.sleep(0.002)
    writer.abort()
    with pytest.raises(StorageFailed):
        finishing.get()
    assert f"{key(place)}.manifest" not in fake.objects
    storage.folders.delete(TICKET)
    settled(place, storage)
    assert fake.objects == {}


def test_an_app_takes_the_folder_by_deleting_the_list(fake: FakeS3, place: BucketPlace) -> None:
    storage = place.storage()
    upload(storage.folders)
    settled(place, storage)
    assert not storage.folders.is_taken(TICKET)
    del fake.objects[f"{key(place)}.manifest"]
    assert storage.folders.is_taken(TICKET)
    storage.folders.clean_up(TICKET)
    assert objects(fake, place) == FOLDER.files
    assert not heads(fake, place)
    assert storage.folders.size(TICKET) is None
