"""Numbered lines: what is damaged or missing is noticed, and told from what was cut off at the end."""

from __future__ import annotations

import pytest

from incoming.registry.records import RecordReader, encode_record

TEXTS = [b"first", b"second, of several words", b"third"]
LINES = [encode_record(number, text) for number, text in enumerate(TEXTS)]


def read(*lines: bytes) -> tuple[list[bytes], RecordReader]:
    reader = RecordReader()
    return list(reader.payloads(b"".join(lines).split(b"\n"))), reader


def counts(reader: RecordReader) -> tuple[int, int]:
    return reader.records, reader.lost


def test_a_line_has_its_checksum_its_number_and_its_text() -> None:
    assert encode_record(7, b"text") == b"e80741e5 7 text\n"


def test_records_are_read_as_they_were_written() -> None:
    texts, reader = read(*LINES)
    assert texts == TEXTS
    assert counts(reader) == (3, 0)


def test_blank_lines_between_records_are_skipped() -> None:
    blank = [b"\n", b" " * 4095 + b"\n", bytes(4096), bytes(100) + b"\n"]
    texts, reader = read(blank[0], LINES[0], *blank, LINES[1], *blank, LINES[2], *blank)
    assert texts == TEXTS
    assert counts(reader) == (3, 0)


BAD_LINES = {
    "cut off": LINES[1][:-3] + b"\n",
    "without its beginning": LINES[1][4:],
    "a bit is another": LINES[1].replace(b"words", b"wordr"),
    "another number": LINES[1].replace(b" 1 ", b" 5 "),
    "no number": b"00000000  second\n",
    "no checksum": b"rubbish\n",
    "a checksum only": b"00000000\n",
    "no text": b"\xff\xfe \x80\n",
    "capitals": LINES[1].upper(),
    "joined to the next": LINES[1][:-9],
    "missing": b"",
    "blank": b" " * len(LINES[1]) + b"\n",
    "zeros": bytes(len(LINES[1])),
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
def test_a_line_that_is_damaged_or_missing_is_counted_and_stops_no_other(line: bytes) -> None:
    texts, reader = read(LINES[0], line, b"\n", LINES[2])
    assert texts == [b"first", b"third"]
    assert counts(reader) == (3, 1)


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
def test_a_line_that_is_not_sound_at_the_end_is_torn_and_does_not_count_as_lost(line: bytes) -> None:
    _, reader = read(LINES[0], line)
    assert counts(reader) == (1, 0)
    assert reader.is_torn is bool(line.strip(b" \n\0"))
    assert reader.last_payload == b"first"


def test_what_stands_before_a_sound_line_is_not_torn() -> None:
    _, reader = read(LINES[0], b"rubbish\n", LINES[1])
    assert not reader.is_torn
    assert reader.last_payload == TEXTS[1]


def test_lines_of_which_the_beginning_is_missing_are_damaged() -> None:
    assert counts(read(LINES[2])[1]) == (3, 2)
