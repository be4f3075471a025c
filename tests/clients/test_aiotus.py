"""aiotus, a client for asyncio, as it comes."""

from __future__ import annotations

import asyncio
from threading import Thread
from typing import Any, Final

import aiotus
import pytest

from tests.clients.conftest import DEADLINE_S, DiskFile, Issued, Stage, check, matrix
from tests.support.app import Reply, SlowApp
from tests.support.client_cases import LARGE, NOT_EARLY, REFUSAL, UPLOAD, case, of_client
from tests.support.waiting import wait_until

pytestmark = of_client("aiotus")

MIB: Final = 1 << 20
FEW_TRIES: Final = aiotus.RetryConfiguration(retry_attempts=2, max_retry_period_seconds=0.2)
MANY_TRIES: Final = aiotus.RetryConfiguration(retry_attempts=60, max_retry_period_seconds=0.2)


class AiotusUpload:
    """One upload with aiotus, in a thread. It returns nothing where others raise."""

    def __init__(self, upload: Issued, file: DiskFile, **options: Any) -> None:
        self.succeeded: bool | None = None
        self._upload, self._file = upload, file
        self._options = {"config": MANY_TRIES, **options}
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._file.path.open("rb") as file:
            url = asyncio.run(aiotus.upload(self._upload.url, file, **self._options))
        self.succeeded = url is not None

    def end(self) -> bool | None:
        """Returns whether it reports success, once it has ended."""
        self._thread.join(DEADLINE_S)
        return self.succeeded


@case(UPLOAD)
@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"chunksize": 300_000}, marks=matrix),
        pytest.param({"metadata": {"filename": b"b.mov"}}, marks=matrix),
    ],
    ids=str,
)
def test_a_file_arrives(stage: Stage, options: dict[str, Any]) -> None:
    file, upload = stage.file(1_000_000), stage.issue()
    assert AiotusUpload(upload, file, **options).end()
    check(upload, file)


@pytest.mark.parametrize("trouble", ["cut", pytest.param("kill", marks=matrix)])
def test_an_upload_resumes_after(stage: Stage, trouble: str) -> None:
    file, upload = stage.file(6 * MIB), stage.issue(line_bytes=4 * MIB)
    client = AiotusUpload(upload, file)
    wait_until(lambda: upload.stored_bytes > 2 * MIB, "a third is stored")
    stage.break_off(trouble)
    assert client.end()
    check(upload, file)


@case(NOT_EARLY)
@matrix
@pytest.mark.parametrize("size", [300_000, 0])
def test_success_is_reported_when_the_app_has_the_file_and_not_before(stage: Stage, size: int) -> None:
    slow = SlowApp()
    stage.app.answers = [slow]
    file, upload = stage.file(size), stage.issue()
    client = AiotusUpload(upload, file)
    wait_until(lambda: stage.server.log_text().count(" claimed ") >= 3, "it has asked again and again")
    assert client.succeeded is None
    slow.go_ahead.set()
    assert client.end()
    check(upload, file)


@case(REFUSAL)
@matrix
def test_a_refusal_by_the_app_is_not_a_success(stage: Stage) -> None:
    stage.app.answers = [Reply(400, "no such album")]
    file, upload = stage.file(300_000), stage.issue()
    assert AiotusUpload(upload, file, config=FEW_TRIES).end() is False
    assert upload.delivery.sha256 == file.sha256


@case(LARGE)
@matrix
def test_a_file_of_5_gib_arrives(stage: Stage) -> None:
    file, upload = stage.large_file(), stage.issue()
    assert AiotusUpload(upload, file).end()
    check(upload, file)
