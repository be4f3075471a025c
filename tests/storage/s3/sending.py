"""Sends a file, or the stream of a folder, to a writer into S3, as a client does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import gevent

from incoming.core.checksum import checksum
from incoming.core.errors import IncomingError
from incoming.storage import Writer
from incoming.storage.s3.storage import S3Storage
from tests.storage.contract import TICKET
from tests.support.s3_place import BucketPlace

DEADLINE_S: Final = 60.0
MAX_TRIES: Final = 10


def write(writer: Writer, content: bytes, up_to: int | None = None, chunk_bytes: int = 300) -> None:
    """Writes what is missing of the content, up to an offset. The checksum of every other chunk is known."""
    end = len(content) if up_to is None else up_to
    while writer.taken_bytes < end:
        at = writer.taken_bytes
        writer.wait_for_capacity()
        chunk = memoryview(content)[at : min(at + chunk_bytes, end)]
        writer.write(chunk, checksum(chunk) if at // chunk_bytes % 2 else None)


def send(open_writer: Callable[[], Writer], content: bytes, chunk_bytes: int = 300) -> None:
    """Sends everything, as a client does that reconnects after each error that it may retry."""
    for _ in range(MAX_TRIES):
        writer = open_writer()
        write_on = partial(write, writer, content, chunk_bytes=chunk_bytes)
        try:
            write_on(len(content) // 2)
            writer.flush()
            write_on()
            writer.finish()
        except IncomingError as exc:
            assert exc.retryable
            writer.abort()
        else:
            return
    raise AssertionError("it never arrives")


def key(place: BucketPlace) -> str:
    """Returns the key of the upload's object, or of its folder."""
    return place.address.object_key(TICKET)


def settled(place: BucketPlace, storage: S3Storage) -> None:
    """Waits for what is done in the background; nothing may be left of the memory then."""
    with gevent.Timeout(DEADLINE_S):
        while place.runtime.is_busy:
            gevent.sleep(0.002)
    assert (storage.memory.buffered_bytes, storage.memory.full_part_bytes) == (0, 0)
