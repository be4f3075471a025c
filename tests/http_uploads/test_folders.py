"""Folders over HTTP, at a real server: their stream is sent as the bytes of a file are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from threading import Thread
from typing import Final

import pytest
from crc32c import crc32c

from incoming.core.folder_manifest import Entry, encode_head
from tests.http_uploads.test_form import FORM, HTML, form
from tests.http_uploads.test_library_session import Session, message
from tests.support.app import WAIT, ScriptedApp
from tests.support.http_upload import HttpAnswer
from tests.support.server import RunningServer, finish_upload
from tests.support.tus import VERSION, IssuedTusUpload, checksum
from tests.support.uploads import stream_of

FILES: Final = {
    "a/one.bin": Random(1).randbytes(70_000), "a/two.txt": b"two", "empty/": b"", "last": b"last",
}  # fmt: skip
STREAM: Final = stream_of(FILES, 1_700_000_000_000)
LARGE: Final = stream_of({"large": Random(2).randbytes(40_000_000)})
"""Larger than any buffer of the server."""
BAD: Final = encode_head([Entry("../x", 3)]) + b"abc"
IETF: Final = {"Upload-Draft-Interop-Version": "8", "Upload-Complete": "?1"}


def files_in(folder: Path) -> dict[str, bytes]:
    """Returns the files in a folder, by path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def upload(patient_server: RunningServer, app: ScriptedApp) -> IssuedTusUpload:
    """The upload of a ticket for a folder. Its app looks at it, and keeps it for a while."""
    app.answers = [WAIT]
    return IssuedTusUpload(patient_server, app, destType="folder", digest="sha256")


def arrived(upload: IssuedTusUpload) -> dict[str, str]:
    """Returns what the app was told of the folder, which is complete."""
    (delivery,) = upload.app.wait_for(1)
    fields = delivery.fields
    assert files_in(Path(fields["filename"])) == {k: v for k, v in FILES.items() if not k.endswith("/")}
    assert (Path(fields["filename"]) / "empty").is_dir()
    listed = [json.loads(line) for line in Path(fields["manifest"]).read_text().splitlines()]
    assert [one["path"] for one in listed] == list(FILES)
    assert (Path(fields["filename"]) / "last").stat().st_mtime == 1_700_000_000
    assert fields["crc32c"] == f"{crc32c(STREAM):08x}"
    finish_upload(upload.server, upload.ticket_id)
    return fields


def by_tus(upload: IssuedTusUpload) -> HttpAnswer:
    """Sends the folder in two requests of tus, the first of which ends within a file."""
    assert upload.create(len(STREAM)).status == 201
    first, rest = STREAM[:30_000], STREAM[30_000:]
    assert upload.append(0, first, Upload_Checksum=checksum("crc32c", first)).status == 204
    return upload.append(len(first), rest)


def by_ietf(upload: IssuedTusUpload) -> HttpAnswer:
    """Sends the folder in one request of the IETF's draft."""
    return upload.ask("POST", {**IETF, "Content-Type": "application/octet-stream"}, STREAM)


def by_put(upload: IssuedTusUpload) -> HttpAnswer:
    """Sends the folder as the body of a PUT, as curl does."""
    return upload.ask("PUT", {}, STREAM)


def by_session(upload: IssuedTusUpload) -> HttpAnswer:
    """Sends the folder as incoming.js does without WebSockets."""
    session = Session(upload, STREAM)
    terms = message(session.opened)[1]
    assert (terms["DestType"], "LeftOut" in terms) == ("folder", False)
    session.send_from(0)
    return session.complete()


def sent_and_arrived(upload: IssuedTusUpload, way: Callable[[IssuedTusUpload], HttpAnswer]) -> dict[str, str]:
    """Sends the folder, whose last answer waits for the app, and returns what the app was told."""
    sending = Thread(target=way, args=(upload,))
    sending.start()
    fields = arrived(upload)
    sending.join(30)
    assert not sending.is_alive()
    return fields


@pytest.mark.parametrize("way", [by_tus, by_ietf, by_put, by_session])
def test_the_same_stream_arrives_in_every_way(
    upload: IssuedTusUpload, way: Callable[[IssuedTusUpload], HttpAnswer]
) -> None:
    fields = sent_and_arrived(upload, way)
    assert (fields["destType"], fields["files"], fields["leftOut"]) == ("folder", "3", "0")
    assert "sha256" not in fields


def test_a_form_can_not_send_a_folder(upload: IssuedTusUpload) -> None:
    answer = upload.ask("POST", FORM, form(STREAM))
    assert (answer.status, answer.code) == (403, "files_only")
    assert "This ticket is for a folder. A form can't send one." in answer.text
    assert upload.state == "issued"


def test_the_page_of_a_folder_has_no_form_and_says_how_to_send_it(upload: IssuedTusUpload) -> None:
    page = upload.ask("GET", HTML).text
    assert "Send a folder" in page and "<form" not in page


def test_a_folder_can_not_come_in_parts(upload: IssuedTusUpload) -> None:
    headers = {**VERSION, "Upload-Length": "10", "Upload-Concat": "partial"}
    answer = upload.ask("POST", headers, b"")
    assert (answer.status, answer.code) == (403, "files_only")


def test_no_file_is_left_out_over_http(upload: IssuedTusUpload) -> None:
    session = Session(upload, STREAM)
    session.send_from(0, 30_000)
    answer = session.ask("POST", "MsgLeaveOut", {"Index": 0})
    assert (answer.status, message(answer)[1]["Code"]) == (403, "leave_out_refused")
    assert upload.state == "uploading"


@pytest.mark.parametrize("begin", [1, 40])
def test_a_folder_that_can_not_be_stored_is_refused_and_the_app_is_told(
    upload: IssuedTusUpload, begin: int
) -> None:
    assert upload.create(len(BAD)).status == 201
    assert upload.append(0, BAD[:begin]).status == 204
    answer = upload.append(begin, BAD[begin:])
    assert (answer.status, answer.code) == (422, "bad_folder")
    (delivery,) = upload.app.wait_for(1)
    assert delivery.fields["cancelReason"].endswith("Its path is: ../x")
    assert not upload.server.stored_file(upload.ticket_id).exists()


@pytest.mark.parametrize(("is_damaged", "code"), [(True, "checksum_mismatch"), (False, "bad_folder")])
def test_a_list_that_was_damaged_on_its_way_may_be_sent_again(
    upload: IssuedTusUpload, is_damaged: bool, code: str
) -> None:
    sent = LARGE[:40] + b"?" + LARGE[41:]
    assert upload.create(len(LARGE)).status == 201
    named = checksum("crc32c", LARGE if is_damaged else sent)
    answer = upload.append(0, sent, Upload_Checksum=named)
    assert answer.code == code
    assert upload.state == "uploading"
    assert upload.head().offset_bytes == 0


def a_list_damaged_in_a_put(upload: IssuedTusUpload, stream: bytes) -> HttpAnswer:
    """The stream comes in one request."""
    return upload.ask("PUT", {}, stream)


def a_list_damaged_in_tus(upload: IssuedTusUpload, stream: bytes) -> HttpAnswer:
    """The damage is in bytes that were acknowledged: only the end of the list shows it."""
    upload.create(len(stream))
    assert upload.append(0, stream[:25]).status == 204
    return upload.append(25, stream[25:])


def a_list_damaged_for_the_ietf(upload: IssuedTusUpload, stream: bytes) -> HttpAnswer:
    """The stream comes in one request, whose answer would be followed by appends."""
    return upload.ask("POST", {"Upload-Complete": "?1"}, stream)


@pytest.mark.parametrize(
    "send", [a_list_damaged_in_a_put, a_list_damaged_in_tus, a_list_damaged_for_the_ietf]
)
@pytest.mark.parametrize("damaged_at", [20, 40])
def test_a_list_that_came_damaged_without_a_checksum_of_the_request_may_be_sent_again(
    upload: IssuedTusUpload, send: Callable[[IssuedTusUpload, bytes], HttpAnswer], damaged_at: int
) -> None:
    answer = send(upload, STREAM[:damaged_at] + b"?" + STREAM[damaged_at + 1 :])
    assert (answer.status, answer.code) == (422, "bad_folder")
    assert upload.head().offset_bytes == 0
    assert not upload.app.deliveries
    sent_and_arrived(upload, by_put)


@pytest.mark.parametrize("file", [b"not a folder" * 9, b"abc", b"IncF", b""])
@pytest.mark.parametrize(
    ("method", "headers"),
    [("PUT", {}), ("POST", {"Tus-Resumable": "1.0.0"}), ("PUT", {"Upload-Complete": "?1"})],
)
def test_a_file_that_is_sent_to_the_ticket_of_a_folder_leaves_it_for_the_folder(
    upload: IssuedTusUpload, method: str, headers: dict[str, str], file: bytes
) -> None:
    if method == "POST":
        headers = {
            **headers, "Upload-Length": str(len(file)), "Content-Type": "application/offset+octet-stream"
        }  # fmt: skip
    answer = upload.ask(method, headers, file)
    assert (answer.status, answer.code) == (422, "bad_folder")
    assert upload.state == "issued"
    assert not upload.app.deliveries
    sent_and_arrived(upload, by_tus)


def by_chunked_put(upload: IssuedTusUpload, data: bytes) -> HttpAnswer:
    """Sends this in a request that ends as it should."""
    with upload.open("PUT", {"Transfer-Encoding": "chunked"}) as request:
        request.send_chunk(data)
        request.send_chunk(b"")
        return request.answer()


def by_deferred_length(upload: IssuedTusUpload, data: bytes) -> HttpAnswer:
    """Sends this, and says afterwards that it is all."""
    assert upload.ask("POST", {**VERSION, "Upload-Defer-Length": "1"}).status == 201
    assert upload.append(0, data).status == 204
    return upload.append(len(data), b"", Upload_Length=str(len(data)))


HEAD_BYTES: Final = len(STREAM) - sum(len(data) for data in FILES.values())


@pytest.mark.parametrize("send", [by_chunked_put, by_deferred_length])
@pytest.mark.parametrize("sent_bytes", [32, 33, HEAD_BYTES - 1, HEAD_BYTES, 30_000, len(STREAM) - 1])
def test_a_folder_that_ends_too_early_is_refused_and_can_be_sent_again(
    upload: IssuedTusUpload, send: Callable[[IssuedTusUpload, bytes], HttpAnswer], sent_bytes: int
) -> None:
    refused = send(upload, STREAM[:sent_bytes])
    assert (refused.status, refused.code) == (422, "bad_folder")
    why = (
        "ends within the list"
        if sent_bytes < HEAD_BYTES
        else f"has {len(STREAM)} bytes, and not {sent_bytes}"
    )
    assert why in refused.body.decode()
    assert upload.ask("HEAD").offset_bytes == sent_bytes
    sent_and_arrived(upload, by_put)
