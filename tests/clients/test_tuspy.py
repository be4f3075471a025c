"""tuspy, the Python client of the tus project, as it comes."""

from __future__ import annotations

from threading import Thread
from typing import Any, Final

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from tests.clients.conftest import DEADLINE_S, DiskFile, Issued, Stage, check, matrix
from tests.support.app import Reply, SlowApp
from tests.support.client_cases import EMPTY, LARGE, NOT_EARLY, REFUSAL, UPLOAD, case, of_client
from tests.support.waiting import wait_until

pytestmark = of_client("tuspy")

MIB: Final = 1 << 20


class TuspyUpload:
    """One upload with tuspy, in a thread."""

    def __init__(self, upload: Issued, file: DiskFile, **options: Any) -> None:
        self.error: Exception | None = None
        patient = {"retries": 20, "retry_delay": 0.2, **options}
        self.uploader = TusClient(upload.url).uploader(str(file.path), **patient)
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.uploader.upload()
        except (TusCommunicationError, TusUploadFailed) as exc:
            self.error = exc

    @property
    def has_ended(self) -> bool:
        """Whether it reports success or an error."""
        return not self._thread.is_alive()

    def end(self) -> Exception | None:
        """Returns its error, if it has one, once it has ended."""
        self._thread.join(DEADLINE_S)
        assert self.has_ended
        return self.error


@case(UPLOAD)
@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"chunk_size": 300_000}, marks=matrix),
        {"chunk_size": 300_000, "upload_checksum": True},
        pytest.param({"metadata": {"name": "b.mov"}}, marks=matrix),
    ],
    ids=str,
)
def test_a_file_arrives(stage: Stage, options: dict[str, Any]) -> None:
    file, upload = stage.file(1_000_000), stage.issue()
    assert TuspyUpload(upload, file, **options).end() is None
    check(upload, file)


def test_a_ticket_whose_length_is_known_needs_no_creation(stage: Stage) -> None:
    file = stage.file(1_000_000)
    upload = stage.issue(lengthBytes=str(file.size_bytes))
    assert TuspyUpload(upload, file, url=upload.url).end() is None
    check(upload, file)


@pytest.mark.parametrize("trouble", [pytest.param("cut", marks=matrix), "kill"])
def test_an_upload_resumes_after(stage: Stage, trouble: str) -> None:
    file, upload = stage.file(6 * MIB), stage.issue(line_bytes=4 * MIB)
    client = TuspyUpload(upload, file)
    wait_until(lambda: upload.stored_bytes > 2 * MIB, "a third is stored")
    stage.break_off(trouble)
    assert client.end() is None
    check(upload, file)


@case(NOT_EARLY)
def test_success_is_reported_when_the_app_has_the_file_and_not_before(stage: Stage) -> None:
    slow = SlowApp()
    stage.app.answers = [slow]
    file, upload = stage.file(300_000), stage.issue()
    client = TuspyUpload(upload, file)
    wait_until(lambda: stage.server.log_text().count(" claimed ") >= 3, "it has asked again and again")
    assert not client.has_ended
    slow.go_ahead.set()
    assert client.end() is None
    check(upload, file)


@case(REFUSAL)
@matrix
def test_a_refusal_by_the_app_is_an_error(stage: Stage) -> None:
    stage.app.answers = [Reply(400, "no such album")]
    file, upload = stage.file(300_000), stage.issue()
    error = TuspyUpload(upload, file, retries=2).end()
    assert error is not None
    assert upload.delivery.sha256 == file.sha256


@case(EMPTY)
def test_an_empty_file_arrives(patient_stage: Stage) -> None:
    """tuspy repeats no request that creates an upload, and that of an empty file is the only one."""
    file, upload = patient_stage.file(0), patient_stage.issue()
    assert TuspyUpload(upload, file).end() is None
    check(upload, file)


@case(NOT_EARLY)
@pytest.mark.parametrize("size", [0])
def test_an_empty_file_that_the_app_has_not_accepted_yet_is_an_error_and_its_repetition_succeeds(
    stage: Stage, size: int
) -> None:
    """tuspy repeats no creation. It takes the answer 423 for an error, and never for success."""
    slow = SlowApp()
    stage.app.answers = [slow]
    file, upload = stage.file(size), stage.issue()
    error = TuspyUpload(upload, file).end()
    assert isinstance(error, TusCommunicationError) and error.status_code == 423
    slow.go_ahead.set()
    wait_until(lambda: TuspyUpload(upload, file).end() is None, "a repetition succeeds")
    check(upload, file)


@case(LARGE)
@matrix
def test_a_file_of_5_gib_arrives(stage: Stage) -> None:
    file, upload = stage.large_file(), stage.issue()
    assert TuspyUpload(upload, file, chunk_size=64 * MIB).end() is None
    check(upload, file)
