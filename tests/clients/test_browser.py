"""tus-js-client and Uppy in Chromium: they upload, pause, resume, give up, and never succeed too early."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.clients.browser_upload import CLIENTS, BrowserUpload, page_served
from tests.clients.conftest import Stage, check, matrix
from tests.support.app import Reply, SlowApp
from tests.support.client_cases import EMPTY, LARGE, NOT_EARLY, REFUSAL, UPLOAD, case, of_client
from tests.support.engines import Browser
from tests.support.on_disk import disk_bytes_of, files_below
from tests.support.waiting import wait_until

pytestmark = of_client("{client} in Chromium")

MIB: Final = 1 << 20
WAYS: Final[dict[str, dict[str, Any]]] = {
    "one request": {},
    "chunks": {"chunkSize": 300_000},
    "with the creation": {"uploadDataDuringCreation": True},
    "parts": {"parallelUploads": 3},
    "override": {"overridePatchMethod": True},
}
QUICK_WAYS: Final = ("one request", "parts")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page."""
    with page_served(tmp_path_factory.mktemp("page")) as url:
        yield url


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, driver: Browser, address: str) -> Iterator[BrowserUpload]:
    """Each client in a fresh page."""
    yield BrowserUpload(driver, address, request.param)
    driver.get("about:blank")


@case(UPLOAD)
@pytest.mark.parametrize(
    "options",
    [pytest.param(o, id=way, marks=[] if way in QUICK_WAYS else matrix) for way, o in WAYS.items()],
)
def test_a_file_arrives(stage: Stage, client: BrowserUpload, options: dict[str, Any]) -> None:
    file, upload = stage.file(1_000_000), stage.issue()
    client.begin((file, upload), **options)
    assert client.end() == ["success"], client.seen
    check(upload, file)
    assert upload.delivery.fields["filenameFromBrowser"] == file.path.name


@case(UPLOAD, EMPTY)
def test_several_files_arrive_each_with_the_ticket_of_its_own(stage: Stage, client: BrowserUpload) -> None:
    uploads = [(stage.file(size), stage.issue()) for size in (300_000, 0, 1, 700_000)]
    client.begin(*uploads)
    assert client.end(len(uploads)) == ["success"] * len(uploads), client.seen
    for file, upload in uploads:
        check(upload, file)


@pytest.mark.parametrize(
    ("options", "trouble"),
    [
        pytest.param({}, "kill", id="one request, kill"),
        pytest.param({"chunkSize": 2 * MIB}, "cut", id="chunks, cut"),
        pytest.param({}, "cut", id="one request, cut", marks=matrix),
        pytest.param({"chunkSize": 2 * MIB}, "kill", id="chunks, kill", marks=matrix),
    ],
)
def test_an_upload_resumes_where_it_was_after(
    stage: Stage, client: BrowserUpload, options: dict[str, Any], trouble: str
) -> None:
    file, upload = stage.file(6 * MIB), stage.issue(line_bytes=4 * MIB)
    client.begin((file, upload), **options)
    wait_until(lambda: upload.stored_bytes > 2 * MIB, "the second chunk is under way")
    stage.break_off(trouble)
    assert client.end() == ["success"], client.seen
    resumed = [one["offset"] for one in client.events("answer") if one["method"] == "HEAD"]
    assert resumed and all(offset >= MIB for offset in resumed), client.seen
    check(upload, file)


def on_the_disk(stage: Stage) -> int:
    """Returns how many bytes the server's files take, parts included."""
    return sum(map(disk_bytes_of, files_below(stage.server.storage_dir / "data")))


@matrix
@pytest.mark.parametrize("trouble", ["cut", "kill"])
def test_parts_resume_where_they_were_after(stage: Stage, client: BrowserUpload, trouble: str) -> None:
    file, upload = stage.file(9 * MIB), stage.issue(line_bytes=2 * MIB)
    client.begin((file, upload), parallelUploads=3)
    wait_until(lambda: on_the_disk(stage) > MIB, "some of it is stored")
    stage.break_off(trouble)
    assert client.end() == ["success"], client.seen
    assert [one for one in client.events("answer") if one["method"] == "HEAD" and one["offset"] > 0]
    check(upload, file)


def test_a_paused_upload_resumes_where_it_was(stage: Stage, client: BrowserUpload) -> None:
    file, upload = stage.file(6 * MIB), stage.issue(line_bytes=4 * MIB)
    client.begin((file, upload))
    wait_until(lambda: upload.stored_bytes > MIB, "some of it is stored")
    client.call("pause")
    before = upload.stored_bytes
    assert not client.events("success")
    stage.release_line()
    client.call("resume")
    assert client.end() == ["success"], client.seen
    resumed = [one["offset"] for one in client.events("answer") if one["method"] == "HEAD"]
    assert resumed and resumed[0] >= before
    check(upload, file)


def test_an_upload_resumes_where_it_was_after_a_reload_of_the_page(
    stage: Stage, client: BrowserUpload
) -> None:
    file, upload = stage.file(6 * MIB), stage.issue(line_bytes=4 * MIB)
    client.begin((file, upload))
    wait_until(lambda: upload.stored_bytes > 2 * MIB, "a third is stored")
    before = upload.stored_bytes
    stage.release_line()
    client.load()
    client.begin((file, upload))
    assert client.end() == ["success"], client.seen
    first = client.events("answer")[0]
    assert first["method"] == "HEAD" and before <= first["offset"] < file.size_bytes
    check(upload, file)


@case(NOT_EARLY)
@pytest.mark.parametrize("size", [300_000, 0])
def test_success_is_reported_when_the_app_has_the_file_and_not_before(
    stage: Stage, client: BrowserUpload, size: int
) -> None:
    slow = SlowApp()
    stage.app.answers = [slow]
    file, upload = stage.file(size), stage.issue()
    client.begin((file, upload), retryDelays=[0, 100] * 20)
    wait_until(lambda: len(client.events("answer")) >= 4, "it has asked again and again")
    assert not client.events("success")
    slow.go_ahead.set()
    assert client.end() == ["success"], client.seen
    check(upload, file)


@case(REFUSAL)
@pytest.mark.parametrize("size", [300_000, pytest.param(0, marks=matrix)])
def test_a_refusal_by_the_app_is_an_error_with_our_words_at_once(
    stage: Stage, client: BrowserUpload, size: int
) -> None:
    stage.app.answers = [Reply(400, "no such album")]
    file, upload = stage.file(size), stage.issue()
    client.begin((file, upload))
    assert client.end() == ["error"], client.seen
    (error,) = client.events("error")
    assert "422" in error["message"] and "The app" in error["message"]


@case(LARGE)
@matrix
def test_a_file_of_5_gib_arrives(stage: Stage, client: BrowserUpload) -> None:
    file, upload = stage.large_file(), stage.issue()
    client.begin((file, upload))
    assert client.end() == ["success"], client.seen
    check(upload, file)
