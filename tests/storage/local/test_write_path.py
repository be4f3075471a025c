"""Where slices are written: on the event loop while the disk is quick, else in the pool."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from incoming.storage.local.storage import LocalStorage
from incoming.storage.local.write_path import FAST_SLICES
from incoming.storage.local.writer import LocalWriter
from tests.storage.local.conftest import TICKET_ID
from tests.support.fakes import FakeRuntime

LENGTH_BYTES = 16 << 20
ANOTHER_ID = "3f0c1f52-1d4e-4c50-9f0c-2d8a8a5f7d11"


@pytest.fixture
def writer(storage: LocalStorage, runtime: FakeRuntime) -> LocalWriter:
    opened = storage.open(TICKET_ID, LENGTH_BYTES)
    runtime.settle()
    return opened


@pytest.fixture
def slice_takes_s(monkeypatch: pytest.MonkeyPatch, runtime: FakeRuntime) -> dict[str, float]:
    """Lets each write take this time, as a disk does when the page cache takes nothing any more."""
    takes_s, pwrite = {"now": 0.0, "without a CPU": 0.0}, os.pwrite

    def slow_pwrite(fd: int, part: memoryview, position: int) -> int:
        runtime.time_s += takes_s["now"] + takes_s["without a CPU"]
        runtime.waits += takes_s["now"] > 0
        return pwrite(fd, part, position)

    monkeypatch.setattr(os, "pwrite", slow_pwrite)
    return takes_s


def write_in_pool(runtime: FakeRuntime, writer: LocalWriter, slices: int) -> int:
    """Writes so many short slices; returns how many of them went through the pool."""
    before = runtime.pool_calls.count("_timed")
    for _ in range(slices):
        writer.write(memoryview(b"s"))
    return runtime.pool_calls.count("_timed") - before


def test_a_disk_that_nobody_knows_is_written_in_the_pool_until_it_has_shown_that_it_is_quick(
    writer: LocalWriter, runtime: FakeRuntime, storage: LocalStorage, slice_takes_s: dict[str, float]
) -> None:
    slice_takes_s["now"] = 0.001
    assert write_in_pool(runtime, writer, FAST_SLICES + 10) == FAST_SLICES
    assert Path(storage.location(TICKET_ID)).read_bytes() == (FAST_SLICES + 10) * b"s"


def test_a_disk_that_becomes_slow_holds_up_the_others_once_and_is_then_written_in_the_pool(
    writer: LocalWriter, runtime: FakeRuntime, slice_takes_s: dict[str, float]
) -> None:
    write_in_pool(runtime, writer, FAST_SLICES)
    slice_takes_s["now"] = 0.5
    assert write_in_pool(runtime, writer, 1) == 0
    assert write_in_pool(runtime, writer, 10 * FAST_SLICES) == 10 * FAST_SLICES
    slice_takes_s["now"] = 0.001
    assert write_in_pool(runtime, writer, 10 * FAST_SLICES) == FAST_SLICES


def test_a_write_whose_thread_has_lost_its_cpu_says_nothing_about_the_disk(
    writer: LocalWriter, runtime: FakeRuntime, slice_takes_s: dict[str, float]
) -> None:
    write_in_pool(runtime, writer, FAST_SLICES)
    slice_takes_s["without a CPU"] = 0.5
    assert write_in_pool(runtime, writer, 10) == 0


def test_what_one_upload_finds_out_about_the_disk_holds_for_the_others(
    writer: LocalWriter, runtime: FakeRuntime, storage: LocalStorage, slice_takes_s: dict[str, float]
) -> None:
    write_in_pool(runtime, writer, FAST_SLICES)
    another = storage.open(ANOTHER_ID, LENGTH_BYTES)
    assert write_in_pool(runtime, another, 1) == 0
    slice_takes_s["now"] = 0.5
    write_in_pool(runtime, writer, 1)
    assert write_in_pool(runtime, another, 1) == 1
