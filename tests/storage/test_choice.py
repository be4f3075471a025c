"""Each upload is in the storage that its ticket names."""

from __future__ import annotations

import pytest

from incoming.core.errors import BadParameter
from incoming.core.ticket import Ticket
from incoming.storage import Storage
from incoming.storage.choice import Storages
from tests.support.fakes import FakeRuntime
from tests.support.piece_storage import PieceObjects, PieceStorage
from tests.support.slow_storage import SlowStorage, SlowStore

LOCAL: Storage = SlowStorage(SlowStore(FakeRuntime()))


def s3() -> Storage:
    storage = PieceStorage(FakeRuntime())
    storage.objects, storage.name = PieceObjects(), "s3"
    return storage


S3 = s3()


def ticket(storage: str, ticket_id: str = "a") -> Ticket:
    return Ticket(ticket_id, "http://app.example.org/", storage=storage)


@pytest.mark.parametrize("order", [(LOCAL, S3), (S3, LOCAL)])
def test_an_upload_is_where_its_ticket_says(order: tuple[Storage, Storage]) -> None:
    storages = Storages(*order)
    assert storages.all == order
    assert storages.of(ticket("local")) is LOCAL
    assert storages.of(ticket("s3")) is S3


@pytest.mark.parametrize(("nameless", "found"), [("local", LOCAL), ("s3", S3), ("", S3)])
def test_a_ticket_without_a_storage_is_where_files_were_when_it_was_issued(
    nameless: str, found: Storage
) -> None:
    assert Storages(S3, LOCAL, nameless=nameless).of(ticket("")) is found


def test_a_settled_upload_of_a_storage_that_is_gone_is_looked_for_in_another_one() -> None:
    assert Storages(LOCAL).of(ticket("s3")) is LOCAL


@pytest.mark.parametrize(
    ("storages", "asked", "named"),
    [
        (Storages(LOCAL, S3), "", "local"),
        (Storages(S3, LOCAL), "", "s3"),
        (Storages(LOCAL, S3), "s3", "s3"),
        (Storages(S3, LOCAL), "local", "local"),
        (Storages(LOCAL), "", "local"),
        (Storages(LOCAL), "local", "local"),
        (Storages(S3), "s3", "s3"),
    ],
)
def test_an_app_chooses_the_storage_of_its_file(storages: Storages, asked: str, named: str) -> None:
    assert storages.name(asked) == named


@pytest.mark.parametrize(
    ("storages", "asked", "why"),
    [
        (Storages(LOCAL), "s3", "must be local"),
        (Storages(S3), "local", "must be s3"),
        (Storages(S3), "", "must be s3"),
    ],
)
def test_a_storage_that_is_not_there_is_refused_in_words(storages: Storages, asked: str, why: str) -> None:
    with pytest.raises(BadParameter, match=why):
        storages.name(asked)


def test_sizes_come_from_the_storage_of_each_upload() -> None:
    local, objects = SlowStorage(SlowStore(FakeRuntime(), put_s=0.0)), s3()
    for storage, content in ((local, b"12345"), (objects, b"123")):
        writer = storage.open("same id", len(content))
        writer.fence("t")
        writer.write(memoryview(content))
        writer.finish()
    for storages in (Storages(local, objects), Storages(objects, local)):
        assert storages.sizes([ticket("local", "same id")]) == {"same id": 5}
        assert storages.sizes([ticket("s3", "same id"), ticket("local", "no such")]) == {
            "same id": 3, "no such": None,
        }  # fmt: skip
