"""What the slow store of the tests adds to the contract: fences, room, unchecked bytes, and its own pace."""

from __future__ import annotations

import pytest

from incoming.core.errors import StorageFailed, TakenOver
from tests.storage.contract import CONTENT, TICKET, holds, write
from tests.support.fakes import FakeRuntime
from tests.support.slow_storage import STANDSTILL_S, SlowStorage, SlowStore, SlowWriter

PIECE_BYTES = 64
IN_FLIGHT_BYTES = 256
Told = list[StorageFailed | TakenOver | None]


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def store(runtime: FakeRuntime) -> SlowStore:
    return SlowStore(runtime, put_s=0.1, piece_bytes=PIECE_BYTES, in_flight_bytes=IN_FLIGHT_BYTES)


def opened(store: SlowStore, token: str = "first") -> tuple[SlowWriter, Told]:
    told: Told = []
    writer = SlowStorage(store).open(TICKET, None, on_durable=told.append)
    writer.fence(token)
    return writer, told


def test_bytes_become_durable_by_themselves_and_that_is_told(runtime: FakeRuntime, store: SlowStore) -> None:
    writer, told = opened(store)
    write(writer, CONTENT[: PIECE_BYTES + 10])
    assert (writer.durable_offset, told) == (0, [])
    runtime.advance(0.1)
    assert (writer.durable_offset, told) == (PIECE_BYTES, [None])
    runtime.advance(STANDSTILL_S + 0.1)
    assert (writer.durable_offset, told) == (PIECE_BYTES + 10, [None, None])


def test_a_writer_has_room_again_when_something_is_stored(runtime: FakeRuntime, store: SlowStore) -> None:
    writer, _ = opened(store)
    write(writer, CONTENT[:IN_FLIGHT_BYTES])
    waiting = runtime.spawn(writer.wait_for_capacity)
    runtime.settle()
    assert not waiting.dead  # type: ignore[attr-defined]
    runtime.advance(0.1)
    assert waiting.dead  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", ["fence", "close", "away"])
def test_nobody_waits_for_room_in_vain(runtime: FakeRuntime, store: SlowStore, end: str) -> None:
    writer, told = opened(store)
    write(writer, CONTENT[:IN_FLIGHT_BYTES])
    store.is_away = end == "away"
    ended: list[object] = []

    def wait() -> None:
        try:
            writer.wait_for_capacity()
            ended.append(None)
        except StorageFailed as exc:
            ended.append(exc)

    runtime.spawn(wait)
    runtime.settle()
    if end == "away":
        runtime.advance(70)
        assert isinstance(told[-1], StorageFailed)
    elif end == "fence":
        writer.fence("second")
    else:
        writer.abort()
    runtime.settle()
    assert len(ended) == 1
    assert (ended[0] is None) is (end != "away")


def test_a_fence_discards_what_is_not_durable_and_finds_what_others_have_stored(
    runtime: FakeRuntime, store: SlowStore
) -> None:
    store.put_s = 0.0
    old, told = opened(store)
    write(old, CONTENT[:100])
    old.flush()
    write(old, b"?" * 50)
    new, _ = opened(store, "second")
    write(new, CONTENT[100:200])
    new.flush()
    with pytest.raises(TakenOver):
        old.flush()
    assert isinstance(told[-1], TakenOver)
    old.close()
    assert holds(SlowStorage(store), CONTENT[:200])
    old.fence("third")
    assert old.taken_bytes == old.durable_offset == 200


@pytest.mark.parametrize("end", ["accept", "truncate", "fence", "close"])
def test_unchecked_bytes_are_durable_once_they_are_accepted(
    runtime: FakeRuntime, store: SlowStore, end: str
) -> None:
    store.put_s = 0.0
    writer, _ = opened(store)
    write(writer, CONTENT[:100])
    writer.begin_unchecked()
    write(writer, CONTENT[100:800])
    writer.wait_for_capacity()
    runtime.advance(10)
    writer.flush()
    assert writer.durable_offset == 100
    match end:
        case "accept":
            writer.accept_unchecked()
        case "truncate":
            writer.truncate(100)
        case "fence":
            writer.fence("second")
        case _:
            writer.close()
    kept_bytes = 800 if end == "accept" else 100
    assert holds(SlowStorage(store), CONTENT[:kept_bytes])
    if end != "close":
        write(writer, CONTENT[kept_bytes:])
        writer.finish()
        assert holds(SlowStorage(store), CONTENT)
