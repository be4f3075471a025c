"""tus-js-client in Node with `parallelUploads`: four parts of a file at a time, then the file of them."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.clients.conftest import DiskFile, Issued, Stage, check, matrix
from tests.clients.node_upload import NodeUpload, uploading
from tests.support.app import Reply, SlowApp
from tests.support.client_cases import LARGE, NOT_EARLY, REFUSAL, UPLOAD, case, of_client
from tests.support.waiting import wait_until

pytestmark = of_client("tus-js-client in Node, four parts at a time")

MIB = 1 << 20


def parallel(file: DiskFile, upload: Issued, **options: Any) -> Any:
    """Runs the client with four parts at a time."""
    return uploading(
        file, endpoint=upload.url, parallelUploads=4, metadata={"filename": "holiday.mov"}, **options
    )


def stored_bytes(upload: Issued) -> int:
    """Returns how many bytes the server has of all parts."""
    url = f"{upload.server.url}/incoming/frontend/uploads/{upload.ticket_id}"
    answer = requests.get(url, headers={"Accept": "application/json"}, timeout=60)
    return int(answer.json()["offset_bytes"])


def finals(client: NodeUpload) -> list[int]:
    """Returns the statuses of the answers to the creation of the final upload, which is the fifth POST."""
    posts = [one["status"] for one in client.events("answer") if one["method"] == "POST"]
    return posts[4:]


@case(UPLOAD)
@pytest.mark.parametrize("options", [{}, pytest.param({"chunkSize": 200_000}, marks=matrix)], ids=str)
def test_a_file_arrives_in_parts(stage: Stage, options: dict[str, Any]) -> None:
    file, upload = stage.file(3_000_001), stage.issue(lengthBytes="3000001")
    with parallel(file, upload, **options) as client:
        assert client.end() == "success", client.seen
    check(upload, file)
    assert upload.delivery.fields["filenameFromBrowser"] == "holiday.mov"
    assert finals(client)[-1] == 201


@pytest.mark.parametrize("trouble", ["kill", pytest.param("cut", marks=matrix)])
def test_parts_resume_where_they_were_after_a(stage: Stage, trouble: str) -> None:
    file, upload = stage.file(8 * MIB), stage.issue(line_bytes=MIB)
    with parallel(file, upload) as client:
        wait_until(lambda: stored_bytes(upload) > 3 * MIB, "a third is stored")
        stage.break_off(trouble)
        assert client.end() == "success", client.seen
    resumed = [one["offset"] for one in client.events("answer") if one["method"] == "HEAD"]
    assert len(resumed) >= 4
    assert sum(resumed[:4]) > 2 * MIB, "what was stored is not sent again"
    assert set(resumed[4:]) <= {2 * MIB}, "the app was slow, so the client has asked for the file again"
    check(upload, file)


@case(NOT_EARLY)
def test_success_is_reported_when_the_app_has_the_file_and_not_before(stage: Stage) -> None:
    slow = SlowApp()
    stage.app.answers = [slow]
    file, upload = stage.file(300_000), stage.issue()
    with parallel(file, upload, retryDelays=[0, 100] * 20) as client:
        wait_until(lambda: 423 in finals(client), "it was told to wait")
        assert client.process.poll() is None
        assert not client.events("success")
        slow.go_ahead.set()
        assert client.end() == "success", client.seen
    check(upload, file)


@case(REFUSAL)
def test_a_refusal_by_the_app_is_an_error_with_our_words(stage: Stage) -> None:
    stage.app.answers = [Reply(400, "no such album")]
    file, upload = stage.file(300_000), stage.issue()
    with parallel(file, upload) as client:
        client.end()  # its last word may be the answer to another part
    assert any("422" in error["message"] for error in client.events("error")), client.seen
    assert not client.events("success")


@case(LARGE)
@matrix
def test_a_large_file_arrives_in_parts(stage: Stage) -> None:
    file, upload = stage.large_file(), stage.issue()
    with parallel(file, upload, retryDelays=[1000] * 100) as client:  # the app reads all of it
        assert client.end() == "success", client.seen
    check(upload, file)
