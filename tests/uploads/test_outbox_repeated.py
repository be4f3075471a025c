"""Repeated deliveries: existing apps forget an id, or move the file before they answer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from incoming.core.lifecycle import State
from incoming.core.ticket import DEST_TYPES
from incoming.handover.answers import Answer, NoAnswer, Refused, WillFinish
from tests.support.fakes import FakeAnswer
from tests.support.uploads import arrived

pytestmark = pytest.mark.parametrize("dest_type", DEST_TYPES)
DOWN = NoAnswer("the app could not be reached")
NOT_FOUND = Refused("the app answered with status 404")


def moving_to(place: Path, answer: Answer) -> FakeAnswer:
    """Returns an app that moves the file away, and then answers this."""

    def move(form: dict[str, str]) -> Answer:
        shutil.move(form["filename"], place)
        return answer

    return move


def test_a_repeated_delivery_that_is_refused_has_arrived_when_the_app_has_moved_the_file(
    tmp_path: Path, dest_type: str
) -> None:
    move_and_die = moving_to(tmp_path / "moved", DOWN)
    house, ticket_id = arrived(
        tmp_path, move_and_die, NOT_FOUND, removeFileWhenFinished="false", destType=dest_type
    )
    house.runtime.advance(5)
    assert house.state(ticket_id) is State.FINISHED


@pytest.mark.parametrize("remove", ["true", "false"])
def test_a_repeated_delivery_that_is_refused_has_failed_while_the_file_is_there(
    tmp_path: Path, dest_type: str, remove: str
) -> None:
    house, ticket_id = arrived(tmp_path, DOWN, NOT_FOUND, removeFileWhenFinished=remove, destType=dest_type)
    house.runtime.advance(5)
    assert house.state(ticket_id) is State.FAILED


@pytest.mark.parametrize("remove", ["true", "false"])
def test_a_first_delivery_that_is_refused_has_failed_whatever_the_app_did(
    tmp_path: Path, dest_type: str, remove: str
) -> None:
    move_and_refuse = moving_to(tmp_path / "moved", NOT_FOUND)
    house, ticket_id = arrived(tmp_path, move_and_refuse, removeFileWhenFinished=remove, destType=dest_type)
    assert house.state(ticket_id) is State.FAILED


def test_a_lost_file_that_was_ours_to_remove_is_not_taken_for_an_arrival(
    tmp_path: Path, dest_type: str
) -> None:
    def lose(form: dict[str, str]) -> Answer:
        shutil.move(form["filename"], tmp_path / "lost")
        return DOWN

    house, ticket_id = arrived(tmp_path, lose, NOT_FOUND, destType=dest_type)
    house.runtime.advance(5)
    assert house.state(ticket_id) is State.FAILED


def test_an_app_that_moved_the_file_and_never_answered_again_has_it(tmp_path: Path, dest_type: str) -> None:
    move_and_die = moving_to(tmp_path / "moved", DOWN)
    house, ticket_id = arrived(
        tmp_path, move_and_die, DOWN, removeFileWhenFinished="false", destType=dest_type
    )
    house.runtime.advance(120)
    assert house.state(ticket_id) is State.FINISHED


def test_a_call_after_a_restart_counts_as_a_repeated_one(tmp_path: Path, dest_type: str) -> None:
    before, ticket_id = arrived(tmp_path, DOWN, removeFileWhenFinished="false", destType=dest_type)
    house = before.restarted()
    house.app.answers = [moving_to(tmp_path / "moved", NOT_FOUND)]
    house.app.forms.clear()
    house.uploads.outbox.start(ticket_id)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED


def test_a_call_after_a_wait_and_a_restart_counts_as_a_repeated_one(tmp_path: Path, dest_type: str) -> None:
    before, ticket_id = arrived(tmp_path, WillFinish(), removeFileWhenFinished="false", destType=dest_type)
    house = before.restarted()
    house.app.answers = [moving_to(tmp_path / "moved", NOT_FOUND)]
    house.app.forms.clear()
    house.uploads.outbox.lapse(house.ticket(ticket_id))
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED
