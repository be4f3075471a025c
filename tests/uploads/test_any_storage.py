"""The service asks of a storage no more than the seam promises: here one without any capability."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from incoming.core.errors import BadParameter
from incoming.core.lifecycle import State
from incoming.handover.answers import Done, FailureKind, NoAnswer, Refused
from incoming.uploads.deletion import QUIET_AFTER_S
from incoming.uploads.housekeeping import report_strays
from incoming.uploads.overview import Overview
from tests.support.fakes import FakeApp
from tests.support.piece_house import PieceHouse
from tests.support.piece_storage import PIECE_BYTES
from tests.support.uploads import TIMES, House

CONTENT = b"0123456789" * 3


@pytest.fixture
def house(tmp_path: Path) -> PieceHouse:
    return PieceHouse(tmp_path, FakeApp(Done()), **TIMES)


def test_an_upload_arrives_and_its_app_is_told_where_it_is(house: PieceHouse) -> None:
    ticket_id = house.new_ticket()
    house.arrive(ticket_id, CONTENT)
    assert house.state(ticket_id) is State.FINISHED
    assert house.app.forms[0]["filename"] == f"piece://{ticket_id}"
    assert house.files == {}, "its file was deleted"


def test_an_app_that_keeps_its_file_finds_it_after_the_end(house: PieceHouse) -> None:
    ticket_id = house.new_ticket(removeFileWhenFinished="false")
    house.arrive(ticket_id, CONTENT)
    house.pass_time(TIMES["result_retention_s"] + 1)
    assert house.files == {ticket_id: bytearray(CONTENT)}


@pytest.mark.parametrize("end", [House.after_a_kill, House.after_a_power_cut])
def test_a_paused_upload_resumes_in_the_next_process(
    house: PieceHouse, end: Callable[[House], House]
) -> None:
    ticket_id = house.paused(len(CONTENT), CONTENT[:11])
    assert end(house).claim(ticket_id, len(CONTENT)).claim.offset_bytes == 11


def test_a_client_that_takes_an_upload_over_starts_at_what_may_be_acknowledged(house: PieceHouse) -> None:
    ticket_id = house.new_ticket()
    first = house.claim(ticket_id, len(CONTENT))
    house.uploads.write(first.claim, memoryview(CONTENT[: PIECE_BYTES + 3]))
    second = house.claim(ticket_id, len(CONTENT))
    house.uploads.write(second.claim, memoryview(CONTENT[second.claim.offset_bytes :]))
    house.uploads.complete(second.claim)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED
    assert house.app.forms[0]["crc32c"] == f"{house.ticket(ticket_id).crc32c:08x}"


def test_a_cancelled_upload_leaves_nothing(house: PieceHouse) -> None:
    client = house.claim(house.new_ticket(), len(CONTENT))
    house.uploads.write(client.claim, memoryview(CONTENT[:20]))
    house.uploads.cancel_by_client(client.claim, "enough")
    house.pass_time(QUIET_AFTER_S)
    assert house.files == {}


def test_where_apps_can_not_take_files_a_refusal_counts(tmp_path: Path) -> None:
    """Without the capability nobody guesses that the app has its file."""
    app = FakeApp(NoAnswer(FailureKind.TIMEOUT), Refused("unknown id"))
    house = PieceHouse(tmp_path, app, **TIMES)
    ticket_id = house.new_ticket(removeFileWhenFinished="false")
    house.arrive(ticket_id, CONTENT)
    house.files.clear()
    house.pass_time(20)
    assert house.state(ticket_id) is State.FAILED


def test_a_file_can_not_be_given_to_a_user_where_files_have_no_owners(house: PieceHouse) -> None:
    with pytest.raises(BadParameter, match="fileOwnerUid"):
        house.new_ticket(fileOwnerUid="1000")


def test_where_space_is_not_limited_any_length_is_let_in_and_no_free_space_is_told(house: PieceHouse) -> None:
    overview = Overview(house.uploads)
    overview._look_at_storage()
    assert overview.free_bytes is None
    assert house.claim(house.new_ticket(), 2**50).claim.offset_bytes == 0


def test_what_can_not_be_listed_is_not_reported(house: PieceHouse, caplog: pytest.LogCaptureFixture) -> None:
    report_strays(house.context)
    assert not caplog.records
