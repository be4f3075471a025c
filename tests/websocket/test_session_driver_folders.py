"""One client's connection that sends a folder: what it is told, what it may leave out, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest
from crc32c import crc32c

from incoming.core.folder_manifest import Entry, encode_head, parse_head
from incoming.core.lifecycle import State
from tests.support.uploads import House, stream_of
from tests.websocket.page2 import Page2

FILES: Final = {"a/one.bin": Random(1).randbytes(9000), "a/two": b"two", "three": b"three"}
STREAM: Final = stream_of(FILES)
MANIFEST: Final = parse_head(STREAM[: len(STREAM) - sum(map(len, FILES.values()))])


class FolderPage(Page2):
    """A page that sends the folder."""

    content = STREAM


class BadPage(Page2):
    """A page that sends a folder with a path that leads out of it."""

    content = encode_head([Entry("../<x>", 3)]) + b"abc"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def page(house: House) -> Iterator[FolderPage]:
    page = FolderPage(house)
    yield page
    page.end()


def test_a_folder_goes_from_the_page_to_the_app(house: House, page: FolderPage) -> None:
    ticket_id = house.new_ticket(destType="folder")
    conf = page.request2(ticket_id)
    assert (conf["DestType"], "LeftOut" in conf) == ("folder", False)
    page.send_message("MsgAgree", Crc32c=[])
    for start in range(0, len(STREAM), 4000):
        page.chunk(start, min(start + 4000, len(STREAM)))
        page.stored(min(start + 4000, len(STREAM)))
    page.send_message("MsgComplete", Crc32c=crc32c(STREAM), Round=0)
    page.expect("MsgNews")
    page.expect("MsgAllDone")
    assert house.app.forms[0]["files"] == "3"


def test_a_page_leaves_a_file_out_and_one_that_comes_back_hears_of_it(house: House, page: FolderPage) -> None:
    ticket_id = house.new_ticket(destType="folder")
    page.begin(ticket_id)
    start, end = MANIFEST.range_of(0)
    page.chunk(0, start + 1000)
    page.stored(start + 1000)
    page.send_message("MsgLeaveOut", Index=0)
    page.stored(end)
    again = FolderPage(house)
    again.content = STREAM[:start] + bytes(end - start) + STREAM[end:]
    conf = again.request2(ticket_id)
    assert (conf["Offset"], conf["LeftOut"]) == (end, [0])
    crcs = [crc32c(again.content[a:b]) for a, b in conf["Compare"]]
    again.send_message("MsgAgree", Crc32c=crcs)
    again.chunk(end, len(STREAM))
    again.stored(len(STREAM))
    again.send_message("MsgComplete", Crc32c=crc32c(again.content), Round=0)
    again.expect("MsgNews")
    again.expect("MsgAllDone")
    again.end()
    assert (house.app.forms[0]["files"], house.app.forms[0]["leftOut"]) == ("2", "1")


def test_a_page_that_names_another_file_is_told_and_the_upload_stays(house: House, page: FolderPage) -> None:
    ticket_id = house.new_ticket(destType="folder")
    page.begin(ticket_id)
    page.chunk(0, 4000)
    page.stored(4000)
    page.send_message("MsgLeaveOut", Index=1)
    error = page.expect("MsgError")
    assert (error["Code"], error["Retryable"]) == ("bad_parameter", False)
    page.expect_close(1000)
    house.runtime.settle()
    assert house.state(ticket_id) is State.PAUSED


def test_a_folder_that_can_not_be_stored_ends_with_a_stable_code_and_a_sentence(house: House) -> None:
    ticket_id = house.new_ticket(destType="folder")
    page = BadPage(house)
    page.begin(ticket_id)
    page.chunk(0, len(page.content))
    error = page.expect("MsgError")
    assert (error["Code"], error["Retryable"]) == ("bad_folder", False)
    assert error["Index"] == 0
    assert "entry 1 " in error["Msg"] and "<" not in error["Msg"]
    page.end()
    assert house.state(ticket_id) is State.CANCELLED
