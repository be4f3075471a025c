"""The digests of files that are being uploaded, through kills, takeovers and reading back.

Whether a client has the file that the upload began with: see test_integrity_same.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import gevent
import pytest
from crc32c import crc32c

from incoming.core.errors import IncomingError, StorageFailed, TakenOver, UploadCancelled
from incoming.core.lifecycle import State
from incoming.handover.answers import WillFinish
from incoming.storage.local.storage import LocalStorage
from incoming.uploads.housekeeping import recover
from incoming.uploads.integrity import BLOCK_BYTES
from tests.support.data import FileBytes
from tests.support.fakes import FakeApp, FakeRuntime
from tests.support.uploads import Client, House, new_claim

CONTENT = Random(5).randbytes(10_000)
LENGTH_BYTES = len(CONTENT)
HALF = LENGTH_BYTES // 2
CRC, SHA256 = crc32c(CONTENT), hashlib.sha256(CONTENT).hexdigest()
THEN_MS = 1_700_000_000_000
every_version = pytest.mark.parametrize("version", [1, 2])


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, FakeApp(WillFinish()))


def claim(house: House, ticket_id: str, version: int = 2, length_bytes: int = LENGTH_BYTES,
          last_modified_ms: int = THEN_MS) -> Client:  # fmt: skip
    client = Client()
    claimed = new_claim(length_bytes, "holiday.mov", last_modified_ms, proves=version > 1)
    client.claim = house.uploads.claim(ticket_id, claimed, client.listener)
    return client


def write(house: House, client: Client, chunk: bytes) -> None:
    house.uploads.write(client.claim, memoryview(chunk), crc32c(chunk))


def begun(house: House, stored: bytes, version: int = 2, length_bytes: int = LENGTH_BYTES,
          **request: str) -> str:  # fmt: skip
    """Returns the id of an upload that has paused with these bytes."""
    ticket_id = house.new_ticket(**request)
    client = claim(house, ticket_id, version, length_bytes)
    write(house, client, stored)
    house.uploads.release(client.claim)
    return ticket_id


def complete(house: House, client: Client, crc: int = CRC) -> None:
    house.uploads.complete(client.claim, crc)
    house.runtime.settle()


def digests(house: House, ticket_id: str) -> tuple[int | None, str]:
    ticket = house.ticket(ticket_id)
    return ticket.crc32c, ticket.sha256


def outcome(action: Callable[..., None], *args: Any) -> list[IncomingError | None]:
    """Starts an action beside the test; its result appears in the list."""
    results: list[IncomingError | None] = []

    def run() -> None:
        try:
            action(*args)
            results.append(None)
        except IncomingError as exc:
            results.append(exc)

    gevent.spawn(run)
    return results


# --- following the writer ------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize("sizes_bytes", [[LENGTH_BYTES], [1, 2, 3], [HALF, 1]])
def test_the_digests_follow_the_chunks(house: House, version: int, sizes_bytes: list[int]) -> None:
    ticket_id = house.new_ticket(digest="sha256")
    client = claim(house, ticket_id, version)
    position = 0
    for size_bytes in [*sizes_bytes, LENGTH_BYTES]:
        chunk = CONTENT[position : position + size_bytes]
        house.uploads.write(client.claim, memoryview(chunk), None if version == 1 else crc32c(chunk))
        position += len(chunk)
    assert "_read" not in house.runtime.pool_calls, "nothing has to be read back"
    complete(house, client)
    assert digests(house, ticket_id) == (CRC, SHA256)


def test_the_checksum_that_came_with_a_chunk_is_not_computed_a_second_time(house: House) -> None:
    ticket_id = house.new_ticket()
    client = claim(house, ticket_id)
    house.uploads.write(client.claim, memoryview(CONTENT), CRC ^ 1)  # whoever gives it has compared it
    complete(house, client, CRC ^ 1)
    assert digests(house, ticket_id)[0] == CRC ^ 1


LARGE = FileBytes(3 * 256 * 1024)
"""Chunks of a third of it are digested by a thread."""


class Buffers:
    """The chunks of LARGE, each in a buffer that is overwritten when it is given back."""

    def __init__(self, house: House, client: Client) -> None:
        self.house, self.client = house, client
        self.kept = 0

    def write(self, number: int) -> None:
        """Has a third of LARGE stored."""
        size_bytes = LARGE.length_bytes // 3
        buffer = bytearray(LARGE.read(number * size_bytes, size_bytes))

        def keep() -> Callable[[], None]:
            self.kept += 1
            return give_back

        def give_back() -> None:
            self.kept -= 1
            buffer[:] = bytes(size_bytes)

        self.house.uploads.write(self.client.claim, memoryview(buffer), crc32c(buffer), keep)


@pytest.fixture
def buffers(house: House) -> Buffers:
    ticket_id = house.new_ticket(digest="sha256")
    return Buffers(house, claim(house, ticket_id, length_bytes=LARGE.length_bytes))


def assert_is_large(house: House, client: Client) -> None:
    complete(house, client, crc32c(LARGE.read(0, LARGE.length_bytes)))
    assert digests(house, client.claim.ticket.id) == (
        crc32c(LARGE.read(0, LARGE.length_bytes)), LARGE.sha256,
    )  # fmt: skip


def test_while_a_large_chunk_is_digested_the_next_one_may_come(house: House, buffers: Buffers) -> None:
    with house.runtime.held("add"):
        buffers.write(0)
        assert buffers.kept == 1
        house.runtime.settle()
        second = outcome(buffers.write, 1)
        house.runtime.settle()
        assert (second, buffers.kept) == ([], 1), "of one upload no more than one is kept"
    assert second == [None]
    buffers.write(2)
    house.runtime.settle()
    assert buffers.kept == 0
    assert "_read" not in house.runtime.pool_calls, "nothing has to be read back"
    assert_is_large(house, buffers.client)


def test_a_file_is_complete_when_its_last_chunk_is_digested(house: House, buffers: Buffers) -> None:
    for number in (0, 1):
        buffers.write(number)
    house.runtime.settle()
    with house.runtime.held("add"):
        buffers.write(2)
        completed = outcome(house.uploads.complete, buffers.client.claim, None)
        house.runtime.settle()
        assert (completed, buffers.kept) == ([], 1)
    assert (completed, buffers.kept) == ([None], 0)
    assert digests(house, buffers.client.claim.ticket.id)[1] == LARGE.sha256


def test_a_writer_killed_while_it_waits_leaves_a_gap_that_is_read_back(
    house: House, buffers: Buffers
) -> None:
    with house.runtime.held("add"):
        buffers.write(0)
        house.runtime.settle()
        waiting = gevent.spawn(buffers.write, 1)
        house.runtime.settle()
        waiting.kill()
    buffers.write(2)
    house.runtime.settle()
    assert buffers.kept == 0
    assert_is_large(house, buffers.client)
    assert "_read" in house.runtime.pool_calls


def test_a_takeover_while_a_chunk_is_digested_changes_no_digest(house: House, buffers: Buffers) -> None:
    ticket_id = buffers.client.claim.ticket.id
    with house.runtime.held("add"):
        buffers.write(0)
        house.runtime.settle()
        buffers.client = claim(house, ticket_id, length_bytes=LARGE.length_bytes)
        house.runtime.settle()
    for number in (1, 2):
        buffers.write(number)
    assert_is_large(house, buffers.client)


def test_a_small_chunk_takes_no_thread(house: House) -> None:
    client = claim(house, house.new_ticket(digest="sha256"))
    house.runtime.pool_calls.clear()
    write(house, client, CONTENT)
    assert "add" not in house.runtime.pool_calls
    complete(house, client)
    assert digests(house, client.claim.ticket.id) == (CRC, SHA256)


def test_an_empty_file_has_digests_too(house: House) -> None:
    ticket_id = house.new_ticket(digest="sha256")
    complete(house, claim(house, ticket_id, length_bytes=0), 0)
    assert digests(house, ticket_id) == (0, hashlib.sha256(b"").hexdigest())


def test_a_takeover_in_the_middle_continues_the_digest(house: House) -> None:
    ticket_id = house.new_ticket(digest="sha256")
    old = claim(house, ticket_id)
    write(house, old, CONTENT[:HALF])
    new = claim(house, ticket_id)
    with pytest.raises(TakenOver):
        write(house, old, CONTENT[HALF:])
    write(house, new, CONTENT[HALF:])
    complete(house, new)
    assert digests(house, ticket_id) == (CRC, SHA256)
    assert "_read" not in house.runtime.pool_calls


# --- catching up after a restart -----------------------------------------------------------------------


@pytest.mark.parametrize("digest", ["", "sha256"])
def test_after_a_kill_the_stored_part_is_read_back_beside_the_upload(house: House, digest: str) -> None:
    ticket_id = begun(house, CONTENT[:HALF], digest=digest)
    house = house.after_a_kill()
    with house.runtime.held("_read"):
        client = claim(house, ticket_id)
        write(house, client, CONTENT[HALF:-10])
        house.runtime.settle()
        assert house.file(ticket_id).read_bytes() == CONTENT[:-10], "chunks do not wait for that"
    write(house, client, CONTENT[-10:])
    complete(house, client)
    assert digests(house, ticket_id) == (CRC, SHA256 if digest else "")


def test_an_upload_is_complete_only_when_its_digest_has_caught_up(house: House) -> None:
    ticket_id = begun(house, CONTENT)
    house = house.after_a_kill()
    with house.runtime.held("_read"):
        results = outcome(house.uploads.complete, claim(house, ticket_id).claim, CRC)
        house.runtime.settle()
        assert (results, house.state(ticket_id)) == ([], State.UPLOADING)
    assert (results, house.state(ticket_id)) == ([None], State.WAITING)


class LateRuntime(FakeRuntime):
    """A thread's result comes some time after the thread has done its work."""

    def in_pool(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """See Runtime."""
        result = super().in_pool(function, *args, **kwargs)
        for _ in range(3):
            gevent.sleep(0)
        return result


@pytest.mark.parametrize("pauses", range(10))
@pytest.mark.parametrize("digest", ["", "sha256"])
def test_a_chunk_that_comes_while_the_digest_catches_up_counts_once(
    tmp_path: Path, house: House, digest: str, pauses: int
) -> None:
    ticket_id = begun(house, CONTENT[:HALF], digest=digest)
    house = House(tmp_path, FakeApp(WillFinish()), LateRuntime(5.0))
    recover(house.uploads)
    client = claim(house, ticket_id)
    for _ in range(pauses):  # the next chunk comes at any moment of the reading
        gevent.sleep(0)
    write(house, client, CONTENT[HALF:-1])
    write(house, client, CONTENT[-1:])
    complete(house, client)
    assert digests(house, ticket_id) == (CRC, SHA256 if digest else "")


def test_a_large_file_is_read_back_in_blocks(house: House) -> None:
    data = FileBytes(BLOCK_BYTES + 4321)
    content = data.read(0, data.length_bytes)
    ticket_id = begun(house, content, length_bytes=len(content), digest="sha256")
    house = house.after_a_kill()
    complete(house, claim(house, ticket_id, length_bytes=len(content)), crc32c(content))
    assert digests(house, ticket_id) == (crc32c(content), data.sha256)
    assert house.runtime.pool_calls.count("_read") == 2, "whoever waits for a thread gets one soon"


@every_version
def test_a_file_that_got_shorter_is_started_again_where_it_ends(house: House, version: int) -> None:
    ticket_id = begun(house, CONTENT[:HALF], version, digest="sha256")
    with house.file(ticket_id).open("r+b") as file:
        file.truncate(100)
    now = CONTENT[:100] + CONTENT[:99:-1]
    client = claim(house, ticket_id, version)
    assert client.claim.offset_bytes == 100
    write(house, client, now[100:])
    complete(house, client, crc32c(now))
    assert digests(house, ticket_id) == (crc32c(now), hashlib.sha256(now).hexdigest())


def spoilt(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_file_that_can_not_be_read_back_is_said_and_tried_again(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket_id = begun(house, CONTENT)
    house = house.after_a_kill()
    with monkeypatch.context() as unreadable, caplog.at_level(logging.WARNING):
        unreadable.setattr(LocalStorage, "_read", spoilt)
        client = claim(house, ticket_id)
        house.runtime.settle()
        assert "can't be read for its checksum" in caplog.text
        with pytest.raises(StorageFailed):
            complete(house, client)
    complete(house, client)
    assert digests(house, ticket_id)[0] == CRC


@pytest.mark.parametrize("crc", [CRC, CRC ^ 1])
def test_who_cancels_while_a_file_is_read_back_is_not_kept_waiting(house: House, crc: int) -> None:
    ticket_id = begun(house, CONTENT)
    house = house.after_a_kill()
    with house.runtime.held("_read"):
        results = outcome(house.uploads.complete, claim(house, ticket_id).claim, crc)
        house.runtime.settle()
        house.uploads.cancel_by_app(ticket_id, "")
    assert [type(result) for result in results] == [UploadCancelled]
    assert house.state(ticket_id) is State.CANCELLED
