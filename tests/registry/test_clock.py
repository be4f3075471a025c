"""The file of the service's clock: believed when it is sound, and only then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from incoming.registry.clock import ClockFile, ClockState

KEPT = ClockState(1234.5, "a start", stopped=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clock"


def test_the_clock_file_is_read_as_it_was_written(file: Path) -> None:
    clock = ClockFile(file)
    assert not clock.exists()
    assert clock.read() is None
    clock.write(KEPT, sync=True)
    assert clock.exists()
    assert clock.read() == KEPT
    assert [path.name for path in file.parent.iterdir()] == ["clock"]


def test_a_file_with_any_bit_changed_is_not_believed(file: Path) -> None:
    clock = ClockFile(file)
    clock.write(KEPT, sync=False)
    sound = file.read_bytes()
    for position in range(len(sound)):
        for bit in range(8):
            content = bytearray(sound)
            content[position] ^= 1 << bit
            file.write_bytes(content)
            kept = clock.read()
            assert kept in (None, KEPT), bytes(content)


def test_a_file_that_was_cut_off_is_not_believed(file: Path) -> None:
    clock = ClockFile(file)
    clock.write(KEPT, sync=False)
    sound = file.read_bytes()
    for length in range(len(sound)):
        file.write_bytes(sound[:length])
        assert clock.read() is None


def test_the_file_of_an_older_version_is_read(file: Path) -> None:
    file.write_text(json.dumps({"ran_s": 7.5, "boot": "b"}))
    assert ClockFile(file).read() == ClockState(7.5, "b", stopped=False)


@pytest.mark.parametrize(
    "ran_s", ["NaN", "Infinity", "-Infinity", "-1", "1e15", "1e400", "null", '"x"', "[]"]
)
def test_a_clock_file_with_an_invalid_time_is_ignored(file: Path, ran_s: str) -> None:
    file.write_text(f'{{"ran_s": {ran_s}, "boot": "b"}}')
    assert ClockFile(file).read() is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b"7", b"\xff", b"[" * 100_000])
def test_a_malformed_clock_file_is_ignored(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert ClockFile(file).read() is None
