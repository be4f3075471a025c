"""tus-js-client in Node with the IETF protocol, interop versions 5 and 6, which reads no flag in an answer.

It takes an offset that has reached the length for success, and 2xx with a smaller one for a reason to go on.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.clients.conftest import Stage, check, matrix
from tests.clients.node_upload import uploading
from tests.support.app import Reply, SlowApp
from tests.support.client_cases import EMPTY, LARGE, NOT_EARLY, REFUSAL, UPLOAD, case, of_client
from tests.support.waiting import wait_until

pytestmark = of_client("tus-js-client in Node, {protocol}")

MIB: Final = 1 << 20
V5, V6 = "ietf-draft-03", "ietf-draft-05"
in_both = pytest.mark.parametrize("protocol", [V5, V6])
WAYS: Final[dict[str, dict[str, Any]]] = {
    "one request": {},
    "chunks": {"chunkSize": 300_000},
    "with the creation": {"uploadDataDuringCreation": True},
    "chunks, the first one with the creation": {"uploadDataDuringCreation": True, "chunkSize": 300_000},
    "override": {"overridePatchMethod": True},
    "length deferred": {"uploadLengthDeferred": True, "chunkSize": 300_000, "inMemory": True},
}
QUICK: Final = {(V5, "one request"), (V6, "chunks"), (V6, "with the creation")}


def each_way(*quick: tuple[str, str]) -> list[Any]:
    """Returns the protocols with each way; those that are not quick are for `make clients`."""
    return [
        pytest.param(protocol, way, marks=[] if (protocol, way) in quick else matrix)
        for protocol in (V5, V6)
        for way in WAYS
    ]


@case(UPLOAD)
@pytest.mark.parametrize(("protocol", "way"), each_way(*QUICK))
def test_a_file_arrives(stage: Stage, protocol: str, way: str) -> None:
    file, upload = stage.file(1_000_000), stage.issue()
    about = {"metadata": {"filename": "größe.mov"}, **WAYS[way]}
    with uploading(file, endpoint=upload.url, protocol=protocol, **about) as client:
        assert client.end() == "success", client.seen
    check(upload, file)
    assert upload.delivery.fields["filenameFromBrowser"] == "größe.mov"


@in_both
def test_an_address_that_is_known_needs_no_creation(stage: Stage, protocol: str) -> None:
    file = stage.file(1_000_000)
    upload = stage.issue(lengthBytes=str(file.size_bytes))
    with uploading(file, uploadUrl=upload.url, protocol=protocol) as client:
        assert client.end() == "success", client.seen
    assert {one["method"] for one in client.events("answer")} == {"HEAD", "PATCH"}
    check(upload, file)


@pytest.mark.parametrize(
    ("protocol", "options", "trouble"),
    [
        pytest.param(V5, {}, "cut", id="5, one request, cut"),
        pytest.param(V6, {"chunkSize": MIB}, "kill", id="6, chunks, kill"),
        pytest.param(V5, {"chunkSize": MIB}, "kill", id="5, chunks, kill", marks=matrix),
        pytest.param(V6, {}, "cut", id="6, one request, cut", marks=matrix),
        pytest.param(V6, {}, "kill", id="6, one request, kill", marks=matrix),
    ],
)
def test_an_upload_resumes_where_it_was_after(
    stage: Stage, protocol: str, options: dict[str, Any], trouble: str
) -> None:
    file, upload = stage.file(6 * MIB), stage.issue(line_bytes=4 * MIB)
    with uploading(file, endpoint=upload.url, protocol=protocol, **options) as client:
        wait_until(lambda: upload.stored_bytes > 2 * MIB, "a third is stored")
        stage.break_off(trouble)
        assert client.end() == "success", client.seen
    resumed = [one["offset"] for one in client.events("answer") if one["method"] == "HEAD"]
    assert resumed and all(offset >= MIB for offset in resumed)
    check(upload, file)


@case(NOT_EARLY)
@pytest.mark.parametrize(
    ("protocol", "way"), each_way((V5, "one request"), (V6, "chunks"), (V6, "with the creation"))
)
def test_success_is_reported_when_the_app_has_the_file_and_not_before(
    stage: Stage, protocol: str, way: str
) -> None:
    slow = SlowApp()
    stage.app.answers = [slow]
    file, upload = stage.file(400_000), stage.issue()
    options = {"retryDelays": [0, 100] * 20, **WAYS[way]}
    with uploading(file, endpoint=upload.url, protocol=protocol, **options) as client:
        wait_until(lambda: len(client.events("answer")) >= 5, "it has asked again and again")
        assert client.process.poll() is None
        assert not client.events("success")
        slow.go_ahead.set()
        assert client.end() == "success", client.seen
    check(upload, file)


@case(EMPTY, NOT_EARLY)
@in_both
def test_an_empty_file_is_a_success_when_the_app_has_it_and_not_before(stage: Stage, protocol: str) -> None:
    slow = SlowApp()
    stage.app.answers = [slow]
    file, upload = stage.file(0), stage.issue()
    with uploading(file, endpoint=upload.url, protocol=protocol, retryDelays=[0, 100] * 20) as client:
        wait_until(lambda: len(client.events("answer")) >= 2, "it has asked again")
        assert not client.events("success")
        slow.go_ahead.set()
        assert client.end() == "success", client.seen
    check(upload, file)


@case(NOT_EARLY)
@matrix
@in_both
def test_success_waits_for_an_app_that_is_down_and_for_a_server_that_restarts(
    stage: Stage, protocol: str
) -> None:
    stage.app.stop()
    file, upload = stage.file(300_000), stage.issue()
    with uploading(file, endpoint=upload.url, protocol=protocol) as client:
        wait_until(lambda: len(client.events("answer")) >= 4, "it waits for the app")
        stage.server.restart()
        before = len(client.seen)
        wait_until(lambda: len(client.seen) >= before + 3, "it waits for the app again")
        assert not client.events("success")
        stage.app.start()
        assert client.end() == "success", client.seen
    check(upload, file)


@case(REFUSAL)
@in_both
@pytest.mark.parametrize("size", [pytest.param(300_000), pytest.param(0, marks=matrix)])
def test_a_refusal_by_the_app_is_an_error_with_our_words_at_once(
    stage: Stage, protocol: str, size: int
) -> None:
    stage.app.answers = [Reply(400, "no such album")]
    file, upload = stage.file(size), stage.issue()
    with uploading(file, endpoint=upload.url, protocol=protocol) as client:
        assert client.end() == "error", client.seen
    (error,) = client.events("error")
    assert "422" in error["message"] and "The app did not accept the file" in error["message"]
    assert not client.events("success")


@case(LARGE)
@matrix
@in_both
def test_a_file_of_5_gib_arrives(stage: Stage, protocol: str) -> None:
    file, upload = stage.large_file(), stage.issue()
    with uploading(file, endpoint=upload.url, protocol=protocol) as client:
        assert client.end() == "success", client.seen
    check(upload, file)
