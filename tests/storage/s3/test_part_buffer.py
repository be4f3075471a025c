"""The memory of a part: a request that reads it never sends bytes of another part."""

from __future__ import annotations

import pytest

from incoming.core.errors import StorageFailed
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.storage.s3.memory_budget import SEGMENT_BYTES, MemoryBudget
from incoming.storage.s3.part_buffer import NOTHING, PartBody, PartBuffer

CONTENT = bytes(range(256)) * (3 * SEGMENT_BYTES // 512)


@pytest.fixture
def memory() -> MemoryBudget:
    return MemoryBudget(64 * SEGMENT_BYTES, GeventRuntime())


def part(memory: MemoryBudget, content: bytes = CONTENT) -> PartBuffer:
    buffer = PartBuffer(1, 8 * SEGMENT_BYTES, memory)
    buffer.append(memoryview(content))
    return buffer


def sent(body: PartBody) -> bytes:
    """Returns what a request sends of a body."""
    found = bytearray()
    while piece := body.read():
        found += piece
    return bytes(found)


def test_a_request_sends_what_the_part_had_even_if_the_part_was_released_meanwhile(
    memory: MemoryBudget,
) -> None:
    buffer = part(memory)
    with buffer.lent(len(CONTENT)) as segments:
        body = PartBody(segments, len(CONTENT), lambda: None)
        first = body.read()
        buffer.release()
        part(memory, b"other" * SEGMENT_BYTES)  # it would get the released memory
        body.seek(0)
        assert sent(body) == CONTENT
        assert first == CONTENT[: len(first)]


@pytest.mark.parametrize("kept_bytes", [0, 1])
def test_the_memory_comes_back_when_the_last_request_has_ended(kept_bytes: int, memory: MemoryBudget) -> None:
    buffer = part(memory)
    before = memory.buffered_bytes
    with buffer.lent(len(CONTENT)), buffer.lent(1):
        buffer.cut(NOTHING._replace(size_bytes=kept_bytes))
        assert memory.buffered_bytes == before
    assert memory.buffered_bytes == kept_bytes * SEGMENT_BYTES


def test_bytes_that_are_not_here_any_more_can_not_be_lent(memory: MemoryBudget) -> None:
    buffer = part(memory)
    buffer.release()
    with pytest.raises(StorageFailed), buffer.lent(len(CONTENT)):
        pass


def test_a_part_without_bytes_has_an_empty_body(memory: MemoryBudget) -> None:
    buffer = PartBuffer(1, SEGMENT_BYTES, memory)
    with buffer.lent(0) as segments:
        assert sent(PartBody(segments, 0, lambda: None)) == b""


def test_a_small_part_takes_only_the_memory_that_it_needs(memory: MemoryBudget) -> None:
    buffer = PartBuffer(1, 700, memory)
    buffer.append(memoryview(CONTENT))
    assert (buffer.size_bytes, buffer.is_full, memory.buffered_bytes) == (700, True, 700)
    buffer.release()
    assert memory.buffered_bytes == 0
