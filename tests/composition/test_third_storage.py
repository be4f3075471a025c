"""A storage that is neither a directory nor S3: it needs its row in two tables, and keeps its own name."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from incoming.commands.server_client import Remote
from incoming.composition import storage_note, stores
from incoming.composition.directory import OwnedDirectory
from incoming.composition.redis_tickets import RedisTickets
from incoming.core.errors import BadParameter, BadSetting
from incoming.core.stats import Lag, StoreFigures
from incoming.core.storage_kinds import KINDS, LOCAL, StorageKind
from incoming.core.ticket import Ticket
from incoming.http import parameters
from incoming.runtime.base import Runtime
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.settings.load import resolve
from incoming.settings.table import Settings
from tests.support.piece_storage import PieceObjects, PieceStorage

CLOUD: Final = "cloud"
ADDRESS: Final = "cloud://shelf/prefix"
APP: Final = {"signalFinishURL": "http://app.example.org/"}


class CloudStorage(PieceStorage):
    """See storage.RemoteStorage. Its files are objects, as those in S3 are."""

    name = CLOUD

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.objects = PieceObjects()

    def figures(self) -> StoreFigures:
        """See storage.RemoteStorage."""
        return StoreFigures(self.name, Lag(), {}, False)


def open_cloud(
    settings: Settings, runtime: Runtime, redis: RedisTickets | None, directory: OwnedDirectory | None,
    undo: contextlib.ExitStack,
) -> CloudStorage:  # fmt: skip
    """See composition.stores.REMOTE."""
    assert settings.storage == ADDRESS
    return CloudStorage(runtime)


@pytest.fixture(autouse=True)
def third(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person writes who adds a storage."""
    monkeypatch.setitem(KINDS, CLOUD, StorageKind("in the cloud", "cloud://SHELF"))
    monkeypatch.setitem(stores.REMOTE, CLOUD, (__name__, "open_cloud"))


def settings_of(directory: Path, **more: str) -> Settings:
    """Returns the settings as a server reads them."""
    return resolve({}, {}, {"storage_dir": str(directory), "storage": ADDRESS, **more})


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[stores.Stores]:
    """Opens what the settings name, as a server does."""
    with contextlib.ExitStack() as undo:
        yield stores.open_stores(settings, GeventRuntime(), undo)


def test_it_has_the_name_of_its_address_alone(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert settings.storages == (CLOUD,)
    with opened(settings) as found:
        assert found.storages.names == (CLOUD,)
        assert found.location == ADDRESS
        assert [one.name for one in found.cluster.stores()] == [CLOUD]
        assert isinstance(found.storages.of(Ticket("a", "", storage=CLOUD)), CloudStorage)
        with pytest.raises(BadParameter, match="must be cloud: this server stores uploads in the cloud only"):
            found.storages.name("")
    assert (tmp_path / storage_note.NOTE_FILE).read_text() == f"{ADDRESS}\n"


@pytest.mark.parametrize("order", ["local,cloud", "cloud,local"])
def test_apps_choose_between_it_and_a_directory(tmp_path: Path, order: str) -> None:
    with opened(settings_of(tmp_path, storage_choice=order)) as found:
        assert ",".join(found.storages.names) == order
        for name in (CLOUD, LOCAL):
            asked = parameters.new_upload({**APP, "storage": name}).storage
            assert found.storages.name(asked) == found.storages.named(name).name == name
        with pytest.raises(BadParameter, match=r"must be .*: this server stores uploads .*in the cloud"):
            found.storages.name("s3")


def test_its_files_may_not_be_left_behind_while_they_are_needed(tmp_path: Path) -> None:
    with opened(settings_of(tmp_path)) as found:
        found.tickets.registry.add(Ticket(str(uuid.uuid4()), APP["signalFinishURL"], storage=CLOUD))
        found.tickets.close()
    for storage in ("", "s3://bucket"):
        with (
            pytest.raises(BadSetting, match=f"1 uploads still have files in {ADDRESS}"),
            opened(settings_of(tmp_path, storage=storage)),
        ):
            pass


def test_the_commands_do_not_take_its_files_for_those_of_another_storage(tmp_path: Path) -> None:
    ticket = Ticket("a", "", storage=CLOUD)
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "a").write_bytes(b"of another")
    remote = Remote(settings_of(tmp_path, storage_choice="local,cloud"))
    assert remote.stored_bytes([ticket, replace(ticket, id="b")]) == {"a": None, "b": None}
    assert remote.stored_bytes([replace(ticket, storage=LOCAL)]) == {"a": 10}
    assert Remote(settings_of(tmp_path)).stored_bytes([replace(ticket, storage="")]) == {"a": None}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"storage": "cloud://"}, "must be s3://.* or cloud://SHELF; leave it empty"),
        ({"storage": "other://x"}, "must be s3://BUCKET"),
        (
            {"storage_choice": "cloud,s3"},
            "must be local,s3, s3,local, local,cloud or cloud,local",
        ),
        ({"storage_choice": "local,s3"}, "must name cloud, which storage is"),
    ],
)
def test_settings_that_do_not_fit_it_are_refused_in_words(
    tmp_path: Path, options: dict[str, str], why: str
) -> None:
    with pytest.raises(BadSetting, match=why):
        settings_of(tmp_path, **options)


def test_an_app_that_asks_for_a_storage_that_nobody_knows_hears_all_names() -> None:
    with pytest.raises(BadParameter, match="must be local, s3 or cloud"):
        parameters.new_upload({**APP, "storage": "other"})
