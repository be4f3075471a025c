"""tus-js-client in Node, as it comes: it uploads, resumes, gives up, and never reports success too early."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.clients.conftest import Stage, check, matrix
from tests.clients.node_upload import uploading
from tests.support.app import Reply, SlowApp
from tests.support.client_cases import EMPTY, LARGE, NOT_EARLY, REFUSAL, UPLOAD, case, of_client
from tests.support.waiting import wait_until

pytestmark = of_client("tus-js-client in Node")

MIB: Final = 1 << 20

WAYS: Final[dict[str, dict[str, Any]]] = {
    "one request": {},
    "chunks": {"chunkSize": 300_000},
    "with the creation": {"uploadDataDuringCreation": True},
    "chunks, the first one with the creation": {"uploadDataDuringCreation": True, "chunkSize": 300_000},
    "override": {"overridePatchMethod": True},
    "length deferred": {"uploadLengthDeferred": True, "chunkSize": 300_000, "inMemory": True},
}


QUICK_WAYS: Final = ("one request", "chunks")


@case(UPLOAD)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(options, id=way, marks=[] if way in QUICK_WAYS else matrix)
        for way, options in WAYS.items()
    ],
)
def test_a_file_arrives(stage: Stage, options: dict[str, Any]) -> None:
    file, upload = stage.file(1_000_000), stage.issue()
    with uploading(file, endpoint=upload.url, metadata={"filename": "größe.mov"}, **options) as client:
        assert client.end() == "success", client.seen
    check(upload, file)
    assert upload.delivery.fields["filenameFromBrowser"] == "größe.mov"


@pytest.mark.parametrize(
    "options",
    [pytest.param({}, id="one request"), pytest.param({"chunkSize": 300_000}, id="chunks", marks=matrix)],
)
def test_a_ticket_whose_length_is_known_needs_no_creation(stage: Stage, options: dict[str, Any]) -> None:
    file = stage.file(1_000_000)
    upload = stage.issue(lengthBytes=str(file.size_bytes))
    with uploading(file, uploadUrl=upload.url, **options) as client:
        assert client.end() == "success", client.seen
    assert {one["method"] for one in client.events("answer")} == {"HEAD", "PATCH"}
    check(upload, file)


@pytest.mark.parametrize(
    ("options", "trouble"),
    [
        pytest.param({}, "cut", id="one request, cut"),
        pytest.param({"chunkSize": MIB}, "kill", id="chunks, kill"),
        pytest.param({"chunkSize": MIB}, "cut", id="chunks, cut", marks=matrix),
        pytest.param({}, "kill", id="one request, kill", marks=matrix),
    ],
)
def test_an_upload_resumes_where_it_was_after(stage: Stage, options: dict[str, Any], trouble: str) -> None:
    file, upload = stage.file(6 * MIB), stage.issue(line_bytes=4 * MIB)
    with uploading(file, endpoint=upload.url, **options) as client:
        wait_until(lambda: upload.stored_bytes > 2 * MIB, "a third is stored")
        stage.break_off(trouble)
        assert client.end() == "success", client.seen
    resumed = [one["offset"] for one in client.events("answer") if one["method"] == "HEAD"]
    assert resumed and all(offset >= MIB for offset in resumed)
    check(upload, file)


@case(NOT_EARLY)
@pytest.mark.parametrize("size", [300_000, 0])
def test_success_is_reported_when_the_app_has_the_file_and_not_before(stage: Stage, size: int) -> None:
    slow = SlowApp()
    stage.app.answers = [slow]
    file, upload = stage.file(size), stage.issue()
    with uploading(file, endpoint=upload.url, retryDelays=[0, 100] * 20) as client:
        wait_until(lambda: len(client.events("answer")) >= 4, "it has asked again and again")
        assert client.process.poll() is None
        assert not client.events("success")
        slow.go_ahead.set()
        assert client.end() == "success", client.seen
    check(upload, file)


@case(NOT_EARLY)
@matrix
def test_success_waits_for_an_app_that_is_down_and_for_a_server_that_restarts(stage: Stage) -> None:
    stage.app.stop()
    file, upload = stage.file(300_000), stage.issue()
    with uploading(file, endpoint=upload.url) as client:
        wait_until(lambda: len(client.events("answer")) >= 4, "it waits for the app")
        stage.server.restart()
        before = len(client.seen)
        wait_until(lambda: len(client.seen) >= before + 3, "it waits for the app again")
        assert not client.events("success")
        stage.app.start()
        assert client.end() == "success", client.seen
    check(upload, file)


@case(REFUSAL)
@pytest.mark.parametrize("size", [300_000, 0])
def test_a_refusal_by_the_app_is_an_error_with_our_words_at_once(stage: Stage, size: int) -> None:
    stage.app.answers = [Reply(400, "no such album")]
    file, upload = stage.file(size), stage.issue()
    with uploading(file, endpoint=upload.url) as client:
        assert client.end() == "error", client.seen
    (error,) = client.events("error")
    assert "422" in error["message"] and "The app" in error["message"]
    assert not client.events("success")


@matrix
@pytest.mark.parametrize("way", ["header", "metadata"])
def test_an_app_may_have_one_address_for_all_uploads(stage: Stage, way: str) -> None:
    file, upload = stage.file(300_000), stage.issue()
    named = {
        "header": {"headers": {"Upload-Ticket": upload.ticket_id}},
        "metadata": {"metadata": {"ticket": upload.ticket_id}},
    }
    with uploading(file, endpoint=upload.url.removesuffix(f"/{upload.ticket_id}"), **named[way]) as client:
        assert client.end() == "success", client.seen
    check(upload, file)


@case(EMPTY)
def test_an_empty_file_arrives(stage: Stage) -> None:
    file, upload = stage.file(0), stage.issue()
    with uploading(file, endpoint=upload.url) as client:
        assert client.end() == "success", client.seen
    check(upload, file)


@matrix
def test_a_terminated_upload_is_cancelled(stage: Stage) -> None:
    file, upload = stage.file(1_000_000), stage.issue()
    with uploading(file, endpoint=upload.url, chunkSize=100_000, terminateAt=300_000) as client:
        assert client.end() == "terminated", client.seen
    stage.app.wait_for(1)
    assert upload.delivery.fields["cancelled"] == "yes"
    assert upload.stored_bytes == 0


@case(LARGE)
@matrix
def test_a_file_of_5_gib_arrives(stage: Stage) -> None:
    file, upload = stage.large_file(), stage.issue()
    with uploading(file, endpoint=upload.url) as client:
        assert client.end() == "success", client.seen
    check(upload, file)
