"""The line that a person sees: on wide and narrow terminals, with any name, in any state."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.client.progress import (
    Meter,
    View,
    bar_line,
    column_count,
    duration,
    log_line,
    printable,
    shortened,
    view,
)
from incoming.client.protocol.events import File, Options, Stage
from incoming.client.protocol.session import Session

HALF = View("holiday in the mountains.mov", 3_000_000_000, 1_260_000_000, 412_345_678.0)
WAITS = View("a.mov", 100, 42, 0.0, "The connection was lost.", "", 2.2)


@settings(derandomize=True, deadline=None)
@given(
    st.integers(20, 220),
    st.builds(
        View,
        st.text(min_size=1).map(printable),
        st.just(1000),
        st.integers(0, 1000),
        st.floats(0, 1e12),
        st.text().map(printable),
        st.sampled_from(["", "checking"]),
        st.sampled_from([0.0, 7.0]),
    ),
)
def test_the_progress_bar_never_reaches_the_last_column(columns: int, seen: View) -> None:
    assert column_count(bar_line(seen, columns)) < columns


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (40, "holid…ns.mov   42%  412 MB/s, 0:05 left"),
        (80, "holiday…ains.mov   42%  #############-------------------  412 MB/s, 0:05 left"),
        (120, "holiday in the mountains.mov   42%  #####################-----------------------------  "
              "412 MB/s, 0:05 left"),
    ],
)  # fmt: skip
def test_the_progress_bar_shows_what_fits_into_the_line(columns: int, line: str) -> None:
    assert bar_line(HALF, columns) == line


def test_a_wait_is_counted_down_and_said_shortly_where_there_is_little_room() -> None:
    assert bar_line(WAITS, 80).endswith("  The connection was lost. Trying again in 3 s.")
    assert bar_line(WAITS, 40) == "a.mov   42%  trying again in 3 s"
    assert log_line(WAITS) == "a.mov: 42 % of 100 B, The connection was lost. Trying again in 3 s."


def test_a_hundred_percent_is_shown_for_whole_files_only() -> None:
    assert View("a", 1_000_000, 999_999, 0.0).percent == 99
    assert View("a", 0, 0, 0.0).percent == 100
    assert bar_line(View("a", 0, 0, 0.0), 60)


def test_the_files_of_a_folder_are_counted() -> None:
    photos = View("photos", 1000, 420, 96.4, files=10_000, stored_files=4_212)
    assert log_line(photos) == "photos: 42 % of 1.00 kB, 4,212/10,000 files, 96 B/s, 0:07 left"
    bars = [bar_line(one, 120).split("  ")[2] for one in (photos, replace(photos, stored_files=9_999))]
    assert len(bars[0]) == len(bars[1]) > 8, "the bar keeps its width"


def test_a_log_line_has_numbers() -> None:
    assert log_line(HALF) == "holiday in the mountains.mov: 42 % of 3.00 GB, 412 MB/s, 0:05 left"


def test_a_name_can_not_move_the_cursor() -> None:
    assert printable("a\x1b[2J\r\n\u202eb\udcff") == "a?[2J???b?"


def test_wide_letters_take_two_columns() -> None:
    assert column_count("写真") == 4
    assert column_count(shortened("写真写真写真", 7)) <= 7
    assert shortened("short", 5) == "short"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.1, "0:01"), (59.5, "1:00"), (3723, "1:02:03"), (200_000, "2 days")]
)
def test_times_are_those_of_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_speed_is_that_of_the_last_seconds() -> None:
    meter = Meter()
    assert meter.sample(0, 100.0) == 0
    for tenth in range(1, 100):
        rate = meter.sample(tenth * 1000, 100 + tenth / 10)
        assert rate == pytest.approx(10_000, rel=0.01)
    for tenth in range(100, 220):
        rate = meter.sample(99_000, 100 + tenth / 10)
    assert rate == 0
    meter.restart()
    assert meter.sample(5_000_000, 200.0) == 0


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("", "the app does not answer yet; the server tries again"),
        ("the app answered with status 500", "the app answered with status 500; the server tries again"),
        ("a\x1b[31mb", "a?[31mb; the server tries again"),
    ],
)
def test_the_user_sees_why_the_app_is_waited_for(why: str, words: str) -> None:
    session = Session("0b8a0f0e", File("a.mov", 0, 0), Options(), lambda: 0.5, 0.0)
    session.stage, session.app_is_silent, session.app_problem = Stage.AWAITING_APP, True, why
    assert log_line(view(session, File("a.mov", 0, 0), Meter(), 0.0)) == f"a.mov: 100 % of 0 B, {words}"
