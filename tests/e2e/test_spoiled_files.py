"""Files that vanish or change on the user's disk while they are uploaded: what the page says of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.stage import SLOW_BYTES_PER_S, Stage
from tests.support.browser import Card
from tests.support.data import MIB
from tests.support.engines import Browser

ENGINES = ("firefox", "webkit")  # for Chromium, tests/static has it in more detail
SIZE_BYTES = 48 * MIB
"""More than can have been read when a fifth has arrived: 16 MiB queued, three chunks of 4 MiB to follow."""


def truncate(path: Path) -> None:
    os.truncate(path, MIB)


def replace(path: Path) -> None:
    """Another file of the same name and length, written over the old one as editors do."""
    other = path.with_suffix(".new")
    other.write_bytes(os.urandom(SIZE_BYTES))
    changed_ns = path.stat().st_mtime_ns + 2_000_000_000  # beyond the grain of any clock
    os.utime(other, ns=(changed_ns, changed_ns))
    other.rename(path)


def rewrite(path: Path) -> None:
    """Other bytes in the same file, near its end."""
    with path.open("r+b") as file:
        file.seek(SIZE_BYTES - 10)
        file.write(b"other")
    changed_ns = path.stat().st_mtime_ns + 2_000_000_000
    os.utime(path, ns=(changed_ns, changed_ns))


@pytest.fixture
def page(clean_driver: Browser, dynamic: Stage) -> Card:
    """The page of the dynamic example."""
    clean_driver.get(dynamic.app.url)
    return Card(clean_driver)


def upload_and_spoil(page: Card, stage: Stage, spoil: Callable[[Path], None]) -> Path:
    """Uploads a file, and does that to it when a fifth of it has arrived."""
    path, _ = stage.file("holiday.mov", SIZE_BYTES)
    stage.network.bytes_per_s = SLOW_BYTES_PER_S
    page.choose(path)
    page.wait_for_text("article", "holiday.mov")
    stage.hold_at(0.2, page)
    spoil(path)
    stage.let_go()
    return path


@pytest.mark.parametrize("spoil", [Path.unlink, truncate])
def test_a_file_that_is_gone_or_cut_short_ends_in_words_and_does_not_arrive(
    page: Card, dynamic: Stage, spoil: Callable[[Path], None]
) -> None:
    upload_and_spoil(page, dynamic, spoil)
    page.wait_for_text(".failed .output_state_msg", "can no longer be read")
    assert page.fraction() < 1
    assert dynamic.app.uploaded() == {}


@pytest.mark.parametrize("spoil", [replace, rewrite])
def test_a_file_that_is_overwritten_does_not_arrive_except_from_firefox_which_reads_on(
    page: Card, dynamic: Stage, spoil: Callable[[Path], None], engine: str
) -> None:
    path = upload_and_spoil(page, dynamic, spoil)
    if engine == "firefox":  # it shows a page neither the new time of change nor any error
        page.wait_for_text(".finished .output_state_msg", "Finished")
        assert dynamic.app.uploaded().keys() == {path.name}
    else:
        page.wait_for_text(".failed .output_state_msg", "can no longer be read")
        assert page.fraction() < 1
        assert dynamic.app.uploaded() == {}
