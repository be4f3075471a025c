"""The process is killed at each of its calls to S3 and to the manifests; another one continues the upload."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.storage.s3.metadata.sqlite_file import SqliteFile
from incoming.storage.s3.metadata.sqlite_metadata import metadata_in_sqlite
from tests.support.fake_s3 import FakeS3
from tests.support.s3_errand import ADDRESS, CONTENT, FOLDER, GONE, Errand, Errands

MAX_CALLS: Final = 90


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeS3]:
    """The store, which outlives every process."""
    with FakeS3() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the manifests are."""
    return tmp_path_factory.mktemp("s3-kills")


@pytest.fixture(scope="module")
def errands(fake: FakeS3, folder: Path) -> Iterator[Errands]:
    """Starts processes."""
    with Errands(fake.place.endpoint_url, folder) as running:
        yield running


ALL: Final = [(len(CONTENT), "before"), (None, "after"), (len(CONTENT), "after"), (None, "before")]
IS_LONG: Final = "INCOMING_TEST_KILLS" in os.environ
CASES: Final = ALL if IS_LONG else ALL[:2]


@pytest.mark.parametrize(("length_bytes", "when"), CASES)
def test_killed_at_any_call_nothing_acknowledged_is_lost_and_another_process_finishes(
    fake: FakeS3, errands: Errands, folder: Path, when: str, length_bytes: int | None
) -> None:
    file = SqliteFile(folder / "manifests.sqlite", GeventRuntime())
    manifests = metadata_in_sqlite(file).manifests
    kills = 0
    for nth in range(1, MAX_CALLS):
        ticket_id = str(uuid.uuid4())
        outcome = errands.run(Errand(ticket_id, nth, when, length_bytes))
        if not outcome.was_killed:
            break
        kills += 1
        found = manifests.read(ticket_id)
        stored_bytes = found.size_bytes if found else 0
        assert stored_bytes >= outcome.acknowledged_bytes
        assert not errands.run(Errand(ticket_id, length_bytes=length_bytes)).was_killed
        assert fake.content(ADDRESS.object_key(ticket_id)) == CONTENT
    assert 15 < kills < MAX_CALLS - 1
    file.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_folder_whose_process_is_killed_at_any_call_is_finished_by_another_one(
    fake: FakeS3, errands: Errands, folder: Path, when: str
) -> None:
    file = SqliteFile(folder / "manifests.sqlite", GeventRuntime())
    metadata = metadata_in_sqlite(file).folders
    expected = {path: content for path, content in FOLDER.files.items() if path != "gone"}
    kills, length_bytes = 0, len(FOLDER.stream)
    for nth in range(1 if IS_LONG or when == "after" else 4, MAX_CALLS, 1 if IS_LONG else 6):
        ticket_id = str(uuid.uuid4())
        outcome = errands.run(Errand(ticket_id, nth, when, length_bytes, is_folder=True))
        if not outcome.was_killed:
            break
        kills += 1
        state, key = metadata.read(ticket_id), ADDRESS.object_key(ticket_id)
        assert (state.size_bytes if state else 0) >= outcome.acknowledged_bytes
        assert not errands.run(Errand(ticket_id, length_bytes=length_bytes, is_folder=True)).was_killed
        found = {name: one.content for name, one in fake.objects.items() if name.startswith(f"{key}/")}
        assert found == {f"{key}/{path}": content for path, content in expected.items()}
        FOLDER.listed(fake.content(f"{key}.manifest"), [GONE])
    assert (20 if IS_LONG else 3) < kills < MAX_CALLS - 1
    file.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_again_and_again_an_upload_arrives(fake: FakeS3, errands: Errands, when: str) -> None:
    for nth in (2, 5):
        ticket_id, heard_bytes = str(uuid.uuid4()), 0
        for turn in range(30):
            sends_bytes = min(400 * (turn + 1), len(CONTENT))
            outcome = errands.run(Errand(ticket_id, nth + turn, when, len(CONTENT), sends_bytes))
            heard_bytes = max(heard_bytes, outcome.acknowledged_bytes)
            if not outcome.was_killed and sends_bytes == len(CONTENT):
                break
        assert not errands.run(Errand(ticket_id, length_bytes=len(CONTENT))).was_killed
        assert fake.content(ADDRESS.object_key(ticket_id)) == CONTENT
