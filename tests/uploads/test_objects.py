"""Files that are objects in a store: the app asks for them, may name the key, and gets URLs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from incoming.core.errors import BadParameter, UnknownTicket, WrongSecret, WrongState
from incoming.core.lifecycle import State
from incoming.handover.answers import Answer, Done, FailureKind, Refused, WillFinish, no_answer
from incoming.runtime.logs import TextFormatter
from tests.support.fakes import FakeApp
from tests.support.piece_house import PieceHouse
from tests.support.piece_storage import PieceObjects
from tests.support.uploads import House, new_claim

CONTENT = b"content"


class ObjectHouse(PieceHouse):
    """The service on a store of objects."""

    objects = PieceObjects()


def object_house(tmp_path: Path, *answers: Answer) -> ObjectHouse:
    ObjectHouse.objects = PieceObjects()
    return ObjectHouse(tmp_path, FakeApp(*answers))


def test_an_app_that_has_asked_for_s3_hears_where_its_object_is(tmp_path: Path) -> None:
    house = object_house(tmp_path, Done())
    ticket_id = house.new_ticket(storage="s3")
    house.arrive(ticket_id, CONTENT)
    [form] = house.app.forms
    assert form["filename"] == f"piece://{ticket_id}"
    told = {name: form[name] for name in ("bucket", "key", "size", "url")}
    url = f"https://s3.example.org/pieces/{ticket_id}?X-Amz-Signature=s1"
    assert told == {"bucket": "pieces", "key": ticket_id, "size": str(len(CONTENT)), "url": url}


def test_an_app_names_the_key_of_its_object(tmp_path: Path) -> None:
    house = object_house(tmp_path, Done())
    house.arrive(house.new_ticket(storage="s3", destinationKey="inbox/a b.mov"), CONTENT)
    [form] = house.app.forms
    assert (form["key"], form["filename"]) == ("inbox/a b.mov", "piece://inbox/a b.mov")


def test_a_key_survives_a_restart(tmp_path: Path) -> None:
    house = object_house(tmp_path)
    ticket_id = house.new_ticket(storage="s3", destinationKey="inbox/1")
    house.after_a_kill().arrive(ticket_id, CONTENT)
    assert house.app.forms[0]["key"] == "inbox/1"


def test_each_call_has_a_new_url(tmp_path: Path) -> None:
    house = object_house(tmp_path, no_answer(FailureKind.CONNECTION_REFUSED, "down"), Done())
    house.arrive(house.new_ticket(storage="s3"), CONTENT)
    house.runtime.advance(10)
    house.runtime.settle()
    first, second = (form["url"] for form in house.app.forms)
    assert first != second


def test_the_news_that_an_upload_was_called_off_has_no_url(tmp_path: Path) -> None:
    house = object_house(tmp_path)
    claim = house.uploads.claim(house.new_ticket(storage="s3"), new_claim(len(CONTENT)), lambda _: None)
    house.uploads.cancel_by_client(claim, "enough")
    house.runtime.settle()
    assert not {"url", "bucket", "key", "size"} & set(house.app.forms[0])


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({}, "storage"),
        ({"storage": "local"}, "storage"),
        ({"storage": "s3", "fileOwnerUid": "0"}, "fileOwnerUid"),
        ({"storage": "s3", "destinationKey": "elsewhere/1"}, "destinationKey"),
    ],
)
def test_a_ticket_that_an_object_store_can_not_serve_is_refused_in_words(
    asked: dict[str, str], named: str, tmp_path: Path
) -> None:
    with pytest.raises(BadParameter, match=named):
        object_house(tmp_path).new_ticket(**asked)


@pytest.mark.parametrize(("name", "value"), [("storage", "s3"), ("destinationKey", "inbox/1")])
def test_a_ticket_for_s3_is_refused_where_files_are_on_a_disk(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(BadParameter, match=name):
        House(tmp_path).new_ticket(**{name: value})


def test_local_may_be_named_where_files_are_on_a_disk(tmp_path: Path) -> None:
    assert House(tmp_path).new_ticket(storage="local")


def test_an_app_that_waits_gets_another_url_until_it_has_finished(tmp_path: Path) -> None:
    house = object_house(tmp_path, WillFinish())
    ticket_id = house.new_ticket(storage="s3", backendSecret="s3cret")
    with pytest.raises(WrongState):
        house.uploads.object_url(ticket_id, "s3cret")
    house.arrive(ticket_id, CONTENT)
    assert house.uploads.ticket(ticket_id).state is State.WAITING
    assert house.uploads.object_url(ticket_id, "s3cret") != house.app.forms[0]["url"]
    with pytest.raises(WrongSecret):
        house.uploads.object_url(ticket_id, "another")
    with pytest.raises(UnknownTicket):
        house.uploads.object_url("unknown", "s3cret")
    house.uploads.finish(ticket_id, "s3cret")
    with pytest.raises(WrongState):
        house.uploads.object_url(ticket_id, "s3cret")


def test_there_is_no_url_where_files_are_on_a_disk(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(WillFinish()))
    ticket_id = house.new_ticket()
    house.arrive(ticket_id, CONTENT)
    with pytest.raises(WrongState):
        house.uploads.object_url(ticket_id, "")


def test_the_log_has_no_signature_when_the_app_repeats_the_url(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    said = "GET https://s3.example.org/k?X-Amz-Credential=AKIA&X-Amz-Signature=abc123 failed"
    house = object_house(tmp_path, Refused("the app said no", FailureKind.REFUSED, said))
    house.arrive(house.new_ticket(storage="s3"), CONTENT)
    logged = "\n".join(TextFormatter().format(record) for record in caplog.records)
    assert "said no" in logged
    assert "abc123" not in logged and "AKIA" not in logged
