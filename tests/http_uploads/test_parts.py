"""tus 1.0, "Concatenation", over real sockets. Each test compares what is stored, not only what is answered.

`t29` and `t30` are about one rule of the text each: how partial and final uploads are created, and what they
answer.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Final, cast
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoming.core.errors import BadAssembly, InParts, NotInParts, TakenOver
from incoming.core.parts import Assembly
from incoming.core.progress import Progress
from incoming.http_uploads.answers import Answer
from incoming.http_uploads.parts import Concatenation, final_header, read_urls
from incoming.http_uploads.request import UploadAddress, UploadRequest
from incoming.http_uploads.transfers import Transfers
from incoming.http_uploads.tus import Tus
from incoming.protocol.tus import FinalUpload, read_creation
from incoming.runtime.buffer_pool import BufferPool
from tests.conftest import StartServer
from tests.support.app import DONE, WAIT, Delivery, Reply, ScriptedApp
from tests.support.both_house import BothHouse
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.data import FileBytes
from tests.support.forked import ForkedServer, Launcher
from tests.support.http_upload import HttpAnswer
from tests.support.parts import claim_part, new_part, plan, send_part, write_part
from tests.support.server import RunningServer, cancel_upload, finish_upload
from tests.support.tus import KEPT, MEDIA_TYPE, VERSION, IssuedTusUpload, TusUpload, checksum, in_base64
from tests.support.uploads import Client, House, new_claim
from tests.support.waiting import wait_until

HOLD_S: Final = 0.3
PATIENT_S: Final = 60.0
"""How long requests are held where a test is not about that: a busy machine may take seconds."""
MAX_BYTES: Final = 50_000_000
QUICK: Final = {
    "http_hold_s": PATIENT_S,
    "handover_retry_first_s": 0.05,
    "handover_retry_max_s": 0.2,
    "max_upload_bytes": MAX_BYTES,
}
TEN: Final = b"0123456789"
PIECES: Final = (TEN, b"abcdef", b"XYZ")
_seeds = itertools.count(100)


@pytest.fixture(scope="module")
def server(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The server that most of these tests share. None of them stops it."""
    with ForkedServer(launcher, tmp_path_factory.mktemp("parts") / "storage", **QUICK) as running:
        yield running


class Part(TusUpload):
    """A partial upload."""

    def __init__(self, upload: Upload, location: str) -> None:
        super().__init__(upload.server.url, upload.ticket_id)
        self.absolute_url = urljoin(upload.url, location)
        self.path = self.absolute_url.partition(f":{self.port}")[2]

    def put(self, data: bytes) -> None:
        """Sends all of its bytes."""
        assert self.append(0, data).offset_bytes == len(data)


class Upload(IssuedTusUpload):
    """The upload of a ticket, which its parts make."""

    def part(self, length_bytes: int | None, body: bytes = b"", **headers: str) -> Part:
        """Creates a partial upload."""
        answer = self.create(length_bytes, body, Upload_Concat="partial", **headers)
        assert answer.status == 201, answer.text
        return Part(self, answer.headers["location"])

    def parts(self, *contents: bytes) -> list[Part]:
        """Creates partial uploads, and sends their bytes."""
        made = [self.part(len(content)) for content in contents]
        for part, content in zip(made, contents, strict=True):
            part.put(content)
        return made

    def final(self, *parts: Part, urls: str | None = None, **headers: str) -> HttpAnswer:
        """Creates the final upload."""
        named = " ".join(part.absolute_url for part in parts) if urls is None else urls
        return self.send("POST", b"", **{"Upload_Concat": f"final;{named}", **headers})

    @property
    def file(self) -> Path:
        """Where the app gets it."""
        return self.server.stored_file(self.ticket_id)

    @property
    def regions(self) -> Path:
        """Where the parts are meanwhile."""
        return self.file.with_name(f"{self.ticket_id}.parts")

    def has(self, at: int, data: bytes) -> bool:
        """Returns whether these bytes are stored there among the parts."""
        return self.regions.exists() and self.regions.read_bytes()[at : at + len(data)] == data


NewUpload = Callable[..., Upload]


@pytest.fixture
def new(server: RunningServer, app: ScriptedApp) -> NewUpload:
    """Makes uploads with a ticket of their own on the shared server. The files stay where they are."""
    return lambda **params: Upload(server, app, **{**KEPT, **params})


@pytest.fixture
def upload(new: NewUpload) -> Upload:
    """A ticket, and nothing more."""
    return new()


def refused(answer: HttpAnswer, status: int, code: str) -> None:
    """Checks an error: its status, its code, the headers of every answer, and a sentence for people."""
    assert (answer.status, answer.code) == (status, code), answer.text
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers["access-control-allow-origin"] == "*"


# --- creating partial and final uploads ----------------------------------------------------------------


def test_t29_a_partial_upload_has_an_address_of_its_own_below_the_ticket(upload: Upload) -> None:
    for number in (1, 2):
        answer = upload.create(5, Upload_Concat="partial")
        assert (answer.status, answer.headers["location"]) == (201, f"{upload.ticket_id}/parts/{number}")
        assert "upload-expires" in answer.headers
    assert upload.state == "paused"


def test_t29_the_address_is_right_for_clients_that_name_the_ticket_in_a_header(upload: Upload) -> None:
    ticket_id, upload.path = upload.ticket_id, upload.path.rpartition("/")[0]
    answer = upload.create(5, Upload_Concat="partial", Upload_Ticket=ticket_id)
    part = Part(upload, answer.headers["location"])
    assert part.path == f"{upload.path}/{ticket_id}/parts/1"
    part.put(b"01234")


def test_t29_a_final_upload_has_the_bytes_of_its_parts_in_the_order_of_its_header(upload: Upload) -> None:
    parts = upload.parts(*PIECES)
    inode = upload.regions.stat().st_ino
    answer = upload.final(*parts, Upload_Metadata=f"filename {in_base64('größe.mov')}")
    assert (answer.status, answer.headers["location"]) == (201, upload.ticket_id)
    assert upload.file.read_bytes() == b"".join(PIECES)
    assert upload.file.stat().st_ino == inode, "nothing was copied"
    assert upload.delivery.fields["filenameFromBrowser"] == "größe.mov"
    assert [file.name for file in upload.file.parent.iterdir()] == [upload.ticket_id]


@pytest.mark.parametrize("order", [(2, 1, 0), (1,), (0, 0), (2, 0), (1, 1, 2, 1)], ids=str)
def test_t29_any_order_is_possible_and_a_part_may_come_twice(upload: Upload, order: tuple[int, ...]) -> None:
    parts = upload.parts(*PIECES)
    assert upload.final(*(parts[number] for number in order)).status == 201
    assert upload.file.read_bytes() == b"".join(PIECES[number] for number in order)
    assert upload.delivery.size_bytes == sum(len(PIECES[number]) for number in order)


@pytest.mark.parametrize(
    "form", ["{0}", "http://other.example{0}", "https://x:8/prefix{0}", "../uploads/{1}", "{1}"]
)
def test_t29_the_addresses_of_parts_may_be_absolute_or_relative(upload: Upload, form: str) -> None:
    parts = upload.parts(*PIECES)
    urls = [form.format(part.path, part.path.partition("uploads/")[2]) for part in parts]
    assert upload.final(urls=" ".join(urls)).status == 201
    assert upload.file.read_bytes() == b"".join(PIECES)


@pytest.mark.parametrize(
    "url",
    [
        *("{ticket}/parts/4", "{ticket}/parts/0", "{ticket}/parts/x", "{ticket}/parts/1/", "parts/1", "1"),
        *(
            "{other}/parts/1",
            "http://h/{other}/parts/1",
            "{ticket}/parts/99999999999",
            "{ticket}/parts/1?x=1",
        ),
        *("{ticket}", "{ticket}/parts/../parts/1", "/etc/passwd", "..", "x" * 5000),
    ],
)
def test_t29_a_final_upload_takes_parts_of_its_own_ticket_only(
    upload: Upload, new: NewUpload, url: str
) -> None:
    (own, *_), (foreign,) = upload.parts(*PIECES), (other := new()).parts(b"foreign")
    named = url.format(ticket=upload.ticket_id, other=other.ticket_id)
    refused(upload.final(urls=f"{own.path} {named}"), 400, "bad_assembly")
    assert (upload.state, upload.file.exists(), foreign.head().offset_bytes) == ("uploading", False, 7)


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"Upload_Concat": "final;"}, "Upload-Concat"),
        ({"Upload_Concat": "final"}, "Upload-Concat"),
        ({"Upload_Concat": "part"}, "Upload-Concat"),
        ({"Upload_Concat": "partial;x", "Upload_Length": "5"}, "Upload-Concat"),
        ({"Upload_Concat": "partial"}, "Upload-Length"),
        ({"Upload_Concat": "final;/a/parts/1", "Upload_Length": "5"}, "Upload-Length"),
        ({"Upload_Concat": "final;/a/parts/1", "Upload_Defer_Length": "1"}, "Upload-Length"),
        ({"Upload_Concat": "partial", "Upload_Length": "5", "Upload_Metadata": "a,,b"}, "Upload-Metadata"),
    ],
)
def test_t29_a_malformed_creation_is_refused_and_names_the_header(
    upload: Upload, headers: dict[str, str], named: str
) -> None:
    answer = upload.send("POST", b"", **headers)
    refused(answer, 400, "bad_header")
    assert named in answer.text
    assert upload.state == "issued"


def test_t29_a_sum_that_is_too_large_is_refused(new: NewUpload) -> None:
    upload = new(maxBytes="16")
    first, second = upload.parts(*PIECES[:2])
    refused(upload.final(first, second, first), 413, "upload_too_large")
    refused(upload.create(1, Upload_Concat="partial"), 413, "upload_too_large")
    assert upload.final(first, second).status == 201
    assert upload.file.read_bytes() == PIECES[0] + PIECES[1]


def test_t29_a_file_has_the_length_that_the_app_has_asked_for(new: NewUpload) -> None:
    upload = new(lengthBytes="16")
    first, second = upload.parts(*PIECES[:2])
    refused(upload.final(first), 400, "length_mismatch")
    assert upload.final(first, second).status == 201


def test_t29_empty_parts_are_complete_at_once_and_make_an_empty_file(upload: Upload) -> None:
    empty = upload.part(0)
    assert (empty.head().offset_bytes, empty.append(0).status) == (0, 204)
    assert upload.final(empty, empty).status == 201
    assert upload.file.read_bytes() == b""


def test_a_request_that_waits_for_the_file_of_parts_takes_it_from_no_newer_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path)
    ticket_id = house.new_ticket()
    send_part(house, ticket_id, TEN)
    transfers, assemblies = Transfers(house.uploads, BufferPool(4096, 1 << 20)), house.uploads.assemblies
    newer = Client()

    def wait(_: str, __: float) -> None:
        assert not house.uploads.claims.has_pending_claim(ticket_id), "a HEAD need not end it"
        house.runtime.settle()
        newer.claim = house.uploads.claim(ticket_id, new_claim(len(TEN)), newer.listener)

    monkeypatch.setattr(assemblies, "wait", wait)
    headers = {"REQUEST_METHOD": "POST", "HTTP_UPLOAD_CONCAT": f"final;{ticket_id}/parts/1"}
    request = UploadRequest(headers, UploadAddress(ticket_id))
    creation = read_creation(request.find_header)
    with pytest.raises(TakenOver):
        Concatenation(transfers).create_final(request, creation, cast(FinalUpload, creation.concat))
    newer.claim.check()


@pytest.mark.parametrize("digest", ["", "sha1"])
def test_the_append_that_completes_a_named_file_is_answered_though_its_body_has_not_ended(
    upload: Upload, digest: str
) -> None:
    """The file is made as soon as the bytes are there, and the body may end after that."""
    (first,), second = upload.parts(TEN), upload.part(len(TEN))
    assert upload.final(first, second).status == 201
    about = {"Upload_Checksum": checksum(digest, TEN)} if digest else {}
    with second.begin_append(0, Transfer_Encoding="chunked", **about) as request:
        request.send_chunk(TEN)
        if not digest:
            wait_until(lambda: upload.app.about(upload.ticket_id), "the app has the file")
        request.send_chunk(b"")
        answer = request.answer()
    assert (answer.status, answer.offset_bytes) == (204, len(TEN)), answer.text
    assert upload.final(first, second).status == 201
    assert upload.delivery.sha256 == sha256(TEN * 2).hexdigest()


def test_t29_parts_of_unfinished_uploads_may_be_named_and_the_file_follows(upload: Upload) -> None:
    first, second = upload.part(10), upload.part(6)
    assert upload.final(first, second).status == 201
    second.put(PIECES[1])
    assert first.append(0, TEN[:5]).offset_bytes == 5
    assert upload.app.about(upload.ticket_id) == []
    assert first.append(5, TEN[5:]).offset_bytes == 10
    upload.app.wait_for(1)
    assert upload.file.read_bytes() == TEN + PIECES[1]
    wait_until(lambda: upload.head().headers.get("upload-offset") == "16", "the app has it")


def test_t29_until_then_another_final_upload_may_take_its_place(upload: Upload) -> None:
    first, second = upload.part(10), upload.part(6)
    assert upload.final(first, second).status == 201
    second.put(PIECES[1])
    assert upload.final(second, second).status == 201
    assert upload.file.read_bytes() == PIECES[1] * 2
    refused(upload.final(first, second), 400, "bad_assembly")


def test_t29_the_length_of_a_part_may_come_later(upload: Upload) -> None:
    part = upload.part(None)
    assert part.head().headers["upload-defer-length"] == "1"
    assert part.append(0, TEN[:5]).offset_bytes == 5
    assert part.append(5, TEN[5:], Upload_Length="10").offset_bytes == 10
    refused(part.append(10, b"", Upload_Length="11"), 400, "length_mismatch")
    assert part.head().headers["upload-length"] == "10"
    assert upload.final(part, part).status == 201
    assert upload.file.read_bytes() == TEN * 2


def test_t29_a_part_may_begin_with_its_creation(upload: Upload) -> None:
    answer = upload.create(10, TEN[:4], Upload_Concat="partial", Upload_Checksum=checksum("sha1", TEN[:4]))
    assert (answer.status, answer.offset_bytes) == (201, 4)
    part = Part(upload, answer.headers["location"])
    assert part.append(4, TEN[4:]).offset_bytes == 10
    assert upload.final(part).status == 201
    assert upload.file.read_bytes() == TEN


def test_a_part_whose_creation_broke_off_is_discarded_because_nobody_knows_its_address(
    new: NewUpload,
) -> None:
    upload = new(maxBytes="10")
    head = {"Upload_Concat": "partial", "Upload_Length": "10", "Content_Length": "10"}
    with upload.begin("POST", **head) as request:
        request.send(TEN[:4])
        wait_until(lambda: upload.has(0, TEN[:4]), "it has come")
    wait_until(lambda: upload.state == "issued", "the part is deleted")
    part = upload.part(10)
    part.put(TEN)
    assert upload.final(part).status == 201


# --- what they answer ----------------------------------------------------------------------------------


def test_t30_head_of_a_partial_upload(upload: Upload) -> None:
    raw = f"filename {in_base64('part.bin')},k"
    part = upload.part(10, Upload_Metadata=raw)
    part.append(0, TEN[:4])
    answer = part.head()
    assert answer.status == 200
    assert answer.headers["upload-concat"] == "partial"
    assert (answer.headers["upload-offset"], answer.headers["upload-length"]) == ("4", "10")
    assert answer.headers["upload-metadata"] == raw
    assert answer.headers["cache-control"] == "no-store"


def test_t30_head_of_a_final_upload_says_what_its_creation_said(upload: Upload, app: ScriptedApp) -> None:
    app.answers = [WAIT]
    raw = f"filename {in_base64('whole.bin')}"
    first, second = upload.part(10, Upload_Metadata="part YQ=="), upload.part(6)
    assert upload.final(second, first, Upload_Metadata=raw).status == 201
    given = f"final;{second.absolute_url} {first.absolute_url}"

    def seen() -> dict[str, str]:
        answer = upload.head()
        assert answer.status == 200
        assert answer.headers["upload-concat"] == given
        assert (answer.headers["upload-length"], answer.headers["upload-metadata"]) == ("16", raw)
        return answer.headers

    assert "upload-offset" not in seen()
    first.put(TEN)
    second.put(PIECES[1])
    app.wait_for(1)
    assert "upload-offset" not in seen(), "the app does not have the file"
    assert finish_upload(upload.server, upload.ticket_id).text == "ok"
    assert seen()["upload-offset"] == "16"
    assert app.about(upload.ticket_id)[0].fields["uploadMetadata"] == raw, "not that of its parts"


def test_t30_the_length_of_a_final_upload_is_told_once_it_is_known(upload: Upload) -> None:
    part = upload.part(None)
    upload.final(part)
    assert "upload-length" not in upload.head().headers
    part.append(0, b"", Upload_Length="10")
    assert upload.head().headers["upload-length"] == "10"


def test_t30_a_final_upload_can_not_be_patched(upload: Upload, app: ScriptedApp) -> None:
    app.answers = [WAIT]
    part = upload.part(10)
    refused(upload.append(0, b"x"), 403, "upload_in_parts")
    upload.final(part)
    refused(upload.append(0, b"x"), 403, "upload_in_parts")
    part.put(TEN)
    app.wait_for(1)
    for offset_bytes in (0, 9, 10):
        refused(upload.append(offset_bytes, b"x"), 403, "upload_in_parts")
    finish_upload(upload.server, upload.ticket_id)
    refused(upload.append(10, b""), 403, "upload_in_parts")
    assert upload.file.read_bytes() == TEN


def test_a_ticket_that_has_parts_but_no_final_upload_yet_has_no_offset(upload: Upload) -> None:
    upload.parts(TEN)
    answer = upload.head()
    assert answer.status == 403
    assert "upload-offset" not in answer.headers


def test_parts_answer_with_their_offset_after_the_file_was_made_too(upload: Upload) -> None:
    """tus-js-client asks each of them before it repeats the creation of the final upload."""
    parts = upload.parts(*PIECES)
    upload.final(*parts)
    for part, piece in zip(parts, PIECES, strict=True):
        answer = part.head()
        assert (answer.status, answer.offset_bytes) == (200, len(piece))
        assert part.append(len(piece)).status == 204
        refused(part.append(0, b"x"), 409, "offset_mismatch")
        refused(part.append(len(piece), b"x"), 413, "too_many_bytes")
        refused(part.terminate(), 409, "wrong_state")
    assert upload.file.read_bytes() == b"".join(PIECES)


# --- one way or the other ------------------------------------------------------------------------------


def test_a_ticket_in_parts_takes_no_whole_file_by_any_way(upload: Upload) -> None:
    (part,) = upload.parts(TEN)
    refused(upload.create(10), 403, "upload_in_parts")
    for answer in (
        upload.ask("PUT", {}, b"whole"),
        upload.ask("PUT", {"Content-Range": "bytes 5-9/10"}, b"whole"),
        upload.ask("POST", {"Upload-Complete": "?1", "Upload-Draft-Interop-Version": "6"}, b"whole"),
    ):
        assert (answer.status, answer.code) == (403, "upload_in_parts")
    client = ClientV1(upload.server.url, upload.ticket_id, FileBytes(10))
    with pytest.raises(UploadEnded) as ended:
        client.open()
    assert ended.value.code == InParts.number
    assert part.head().offset_bytes == 10
    assert upload.final(part).status == 201
    assert upload.file.read_bytes() == TEN


def test_a_ticket_that_was_begun_as_a_whole_takes_no_parts(upload: Upload) -> None:
    upload.create(10)
    upload.append(0, TEN[:4])
    refused(upload.create(5, Upload_Concat="partial"), 403, "upload_not_in_parts")
    refused(upload.final(urls=f"{upload.ticket_id}/parts/1"), 403, "upload_not_in_parts")
    assert upload.head().offset_bytes == 4


def test_the_state_of_an_upload_in_parts_is_that_of_all_of_them(upload: Upload) -> None:
    first, second = upload.part(10), upload.part(6)
    first.put(TEN)
    second.append(0, b"abc")
    answer = upload.ask("GET", {"Accept": "application/json"})
    assert b'"offset_bytes": 13, "length_bytes": 16' in answer.body


@pytest.mark.parametrize("below", ["/parts/2", "/parts/x", "/parts/0", "/parts", "/parts/", "/parts/1/2"])
def test_what_is_not_a_part_is_not_found(upload: Upload, below: str) -> None:
    upload.parts(TEN)
    for method in ("HEAD", "PATCH", "DELETE"):
        about = {"Content-Type": MEDIA_TYPE, "Upload-Offset": "0"}
        answer = upload.ask(method, VERSION | about, b"" if method == "PATCH" else None, below=below)
        assert answer.status == 404, (method, answer.text)
    assert upload.state == "uploading"


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "PATCH", "PUT", "POST", "GET"])
def test_a_part_answers_requests_of_tus_only(upload: Upload, method: str) -> None:
    (part,) = upload.parts(TEN)
    answer = part.ask(method, {}, b"x" if method in ("PATCH", "PUT", "POST") else None)
    assert answer.status == 412
    answer = part.send(method, b"x") if method in ("PUT", "POST", "GET") else part.head()
    assert answer.status == (405 if method in ("PUT", "POST", "GET") else 200)
    assert part.head().offset_bytes == 10


# --- ends ----------------------------------------------------------------------------------------------


def test_a_part_that_is_terminated_is_gone(upload: Upload) -> None:
    first, second = upload.parts(*PIECES[:2])
    assert first.terminate().status == 204
    for answer in (first.head(), first.append(0, b"x"), first.terminate()):
        assert answer.status == 404
    refused(upload.final(first, second), 400, "bad_assembly")
    assert upload.final(second).status == 201
    assert upload.file.read_bytes() == PIECES[1]


def test_a_part_of_the_final_upload_is_not_terminated(upload: Upload) -> None:
    first, second = upload.part(10), upload.part(6)
    upload.final(first)
    refused(first.terminate(), 409, "wrong_state")
    assert second.terminate().status == 204


@pytest.mark.parametrize("way", ["tus", "plain", "app"])
def test_a_termination_of_the_upload_ends_all_of_its_parts(upload: Upload, way: str) -> None:
    first, second = upload.part(10), upload.part(6)
    first.append(0, TEN[:4])
    if way == "app":
        assert cancel_upload(upload.server, upload.ticket_id).text == "ok"
    else:
        answer = upload.terminate() if way == "tus" else upload.ask("DELETE")
        assert answer.status == 204
        assert upload.app.wait_for(1)[0].fields["cancelled"] == "yes"
    for answer in (first.append(4, b"x"), second.terminate(), upload.final(first, second)):
        refused(answer, 410, "cancelled")
    assert first.head().status == upload.head().status == 410
    wait_until(lambda: not upload.file.parent.exists(), "nothing is left")


# --- finished means that the app has the file ----------------------------------------------------------


def test_the_final_upload_is_created_once_the_app_has_the_file(
    start_server: StartServer, app: ScriptedApp
) -> None:
    upload, go_ahead = Upload(start_server(**{**QUICK, "http_hold_s": HOLD_S}), app, **KEPT), Event()

    def slowly(_: Delivery) -> Reply:
        assert go_ahead.wait(60)
        return DONE

    app.answers = [slowly]
    parts = upload.parts(*PIECES)
    began_s = monotonic()
    for _ in range(2):
        answer = upload.final(*parts)
        refused(answer, 423, "app_not_ready")
        assert int(answer.headers["retry-after"]) > 0
    assert monotonic() - began_s >= 2 * HOLD_S
    go_ahead.set()
    wait_until(lambda: upload.final(*parts).status == 201, "the app has it")
    assert upload.delivery.sha256
    assert upload.file.read_bytes() == b"".join(PIECES)


def test_a_refusal_of_the_app_is_told_with_its_reason(upload: Upload, app: ScriptedApp) -> None:
    app.answers = [Reply(404, "no room for cats")]
    parts = upload.parts(*PIECES)
    answer = upload.final(*parts)
    refused(answer, 422, "handover_failed")
    assert parts[0].head().status == 422
    assert upload.file.read_bytes() == b"".join(PIECES)


# --- checksums -----------------------------------------------------------------------------------------


def test_a_part_with_another_checksum_is_not_stored(upload: Upload) -> None:
    part = upload.part(10)
    refused(part.append(0, TEN, Upload_Checksum=checksum("sha1", b"other")), 460, "checksum_mismatch")
    assert part.append(0, TEN[:4], Upload_Checksum=checksum("crc32c", TEN[:4])).offset_bytes == 4
    refused(part.append(4, b"xxxxxx", Upload_Checksum=checksum("md5", b"yyyyyy")), 460, "checksum_mismatch")
    assert part.head().offset_bytes == 4
    assert part.append(4, TEN[4:]).offset_bytes == 10
    assert upload.final(part).status == 201
    assert upload.file.read_bytes() == TEN


@pytest.mark.parametrize("trouble", ["cut", "kill", "takeover"])
def test_a_large_request_with_a_checksum_that_breaks_off_is_discarded_whole(
    start_server: StartServer, app: ScriptedApp, trouble: str
) -> None:
    server, data = start_server(**QUICK), FileBytes(6_000_000, next(_seeds))
    upload = Upload(server, app, **KEPT)
    part = upload.part(data.length_bytes + 10)
    part.append(0, TEN)
    said = checksum("sha1", data.read(0, data.length_bytes))
    with part.begin_append(10, Content_Length=str(data.length_bytes), Upload_Checksum=said) as request:
        request.send(data.read(0, 5_000_000))
        wait_until(lambda: upload.has(10, data.read(0, 4_000_000)), "much of it is there")
        if trouble == "kill":
            server.restart()
        elif trouble == "takeover":
            assert part.head().offset_bytes == 10
    wait_until(lambda: part.head().offset_bytes == 10, "none of it counts")
    assert part.append(10, data.read(0, data.length_bytes), Upload_Checksum=said).status == 204
    assert upload.final(part).status == 201
    assert upload.file.read_bytes() == TEN + data.read(0, data.length_bytes)


# --- takeover, cuts and kills --------------------------------------------------------------------------


def test_a_new_request_takes_a_part_over_at_once_and_no_other_part(upload: Upload) -> None:
    first, second = upload.part(10), upload.part(6)
    with (
        first.begin_append(0, Content_Length="10") as old,
        second.begin_append(0, Content_Length="6") as other,
    ):
        old.send(TEN[:4])
        other.send(b"abc")
        wait_until(lambda: upload.has(10, b"abc") and upload.has(0, TEN[:4]), "both have begun")
        began_s = monotonic()
        assert first.head().offset_bytes == 4
        assert monotonic() - began_s < 1.0
        assert (old.answer().status, first.append(4, TEN[4:]).offset_bytes) == (400, 10)
        other.send(b"def")
        assert other.answer().offset_bytes == 6
    assert upload.final(first, second).status == 201
    assert upload.file.read_bytes() == TEN + PIECES[1]


def test_what_had_arrived_of_a_part_when_its_line_broke_is_stored(upload: Upload) -> None:
    part = upload.part(10)
    with part.begin_append(0, Content_Length="10") as request:
        request.send(TEN[:7])
        wait_until(lambda: upload.has(0, TEN[:7]), "it has come")
    assert part.head().offset_bytes == 7
    assert part.append(7, TEN[7:]).offset_bytes == 10


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (0, 2)], ids=str)
def test_parts_that_are_sent_at_the_same_time_survive_a_kill_and_make_the_file(
    start_server: StartServer, app: ScriptedApp, order: tuple[int, ...]
) -> None:
    server = start_server(**QUICK)
    upload, datas = Upload(server, app), [FileBytes(1_500_000, next(_seeds)) for _ in range(4)]
    parts = [upload.part(data.length_bytes) for data in datas]
    acknowledged = [0] * 4

    def send(number: int) -> None:
        data, part = datas[number], parts[number]
        try:
            while acknowledged[number] < data.length_bytes:
                at = acknowledged[number]
                acknowledged[number] = part.append(at, data.read(at, 50_000)).offset_bytes
        except OSError:
            pass  # the server is dead

    threads = [Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: min(acknowledged) > 200_000, "all of them have begun")
    os.kill(server.pid, signal.SIGKILL)
    for thread in threads:
        thread.join()
    server.kill()
    server.start()
    for number, part in enumerate(parts):
        offset_bytes = part.head().offset_bytes
        assert offset_bytes >= acknowledged[number]
        rest = datas[number].read(offset_bytes, datas[number].length_bytes)
        assert part.append(offset_bytes, rest).offset_bytes == datas[number].length_bytes
    assert upload.final(*(parts[number] for number in order)).status == 201
    expected = b"".join(datas[number].read(0, datas[number].length_bytes) for number in order)
    digest = sha256(expected).hexdigest()
    assert (upload.delivery.size_bytes, upload.delivery.sha256) == (len(expected), digest)


def test_a_final_upload_that_waits_for_its_parts_survives_a_kill(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(**QUICK)
    upload = Upload(server, app, **KEPT)
    first, second = upload.part(10), upload.part(6)
    assert upload.final(second, first).status == 201
    first.put(TEN)
    server.restart()
    assert upload.head().headers["upload-concat"].startswith("final;")
    second.put(PIECES[1])
    app.wait_for(1)
    assert upload.file.read_bytes() == PIECES[1] + TEN


# --- addresses, as pure functions ----------------------------------------------------------------------

TICKET = "0f8fad5b-d9cb-469f-a165-70867728950e"


@given(
    st.text(st.characters(codec="ascii", exclude_characters=" \r\n"), max_size=20),
    st.lists(st.integers(1, 10**9 - 1), min_size=1),
)
def test_what_a_final_upload_says_is_what_was_said(before: str, numbers: list[int]) -> None:
    address = f"{before}/{TICKET}/parts/"
    urls = tuple(f"{address}{number}" for number in numbers)
    assert read_urls(urls, TICKET) == (tuple(numbers), address)
    assert final_header(TICKET, Assembly(tuple(numbers), address)) == "final;" + " ".join(urls)


def test_addresses_that_differ_are_told_as_relative_ones() -> None:
    numbers, address = read_urls((f"{TICKET}/parts/2", f"/x/{TICKET}/parts/1"), TICKET)
    assert (numbers, address) == ((2, 1), "")
    assert final_header(TICKET, Assembly(numbers, address)) == f"final;{TICKET}/parts/2 {TICKET}/parts/1"


def test_a_long_address_takes_no_longer_than_it_is_long() -> None:
    began_s = monotonic()
    with pytest.raises(BadAssembly):
        read_urls(("/" * 100_000 + "x",), TICKET)
    with pytest.raises(BadAssembly):
        read_urls(("a" * 100_000,), TICKET)
    assert monotonic() - began_s < 1.0


def test_a_head_takes_a_part_from_an_append_that_has_not_seen_yet_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its offset is good for the next request, so the older one must not store anything after it."""
    house = House(tmp_path)
    ticket_id = house.new_ticket()
    upload_id = new_part(house, ticket_id, len(TEN))
    parts, transfers = house.uploads.parts, Transfers(house.uploads, BufferPool(4096, 1 << 20))
    concatenation, look = Concatenation(transfers), parts.look
    address = UploadAddress(ticket_id, ("parts", "1"))

    def ask(method: str, **environ: str) -> Answer:
        return concatenation.answer(UploadRequest({"REQUEST_METHOD": method, **environ}, address), 1)

    def look_slowly(_: str) -> Progress:
        monkeypatch.setattr(parts, "look", look)
        assert ("Upload-Offset", "0") in ask("HEAD").headers
        return look(upload_id)

    monkeypatch.setattr(parts, "look", look_slowly)
    with pytest.raises(TakenOver):
        ask("PATCH", HTTP_UPLOAD_OFFSET="0", CONTENT_TYPE=MEDIA_TYPE, CONTENT_LENGTH="10")


@pytest.mark.parametrize("method", ["HEAD", "PATCH"])
def test_a_request_for_a_part_that_another_one_completes_meanwhile_hears_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The file is made of the part then, so nobody can claim it any more."""
    house = House(tmp_path)
    ticket_id = house.new_ticket()
    upload_id = new_part(house, ticket_id, len(TEN))
    assert not plan(house, ticket_id, 1)
    sender, parts = claim_part(house, upload_id), house.uploads.parts
    look = parts.look

    def look_slowly(_: str) -> Progress:
        monkeypatch.setattr(parts, "look", look)
        seen = look(upload_id)
        write_part(house, sender, TEN)
        return seen

    monkeypatch.setattr(parts, "look", look_slowly)
    length = {"CONTENT_LENGTH": "0", "wsgi.input": BytesIO()}
    environ = {"HTTP_UPLOAD_OFFSET": "10", "CONTENT_TYPE": MEDIA_TYPE, **length}
    request = UploadRequest({"REQUEST_METHOD": method, **environ}, UploadAddress(ticket_id, ("parts", "1")))
    answer = Concatenation(Transfers(house.uploads, BufferPool(4096, 1 << 20))).answer(request, 1)
    assert ("Upload-Offset", "10") in answer.headers


def test_parts_are_announced_and_taken_only_where_the_file_of_the_ticket_can_be_made_of_them(
    tmp_path: Path,
) -> None:
    house = BothHouse(tmp_path)
    tus = Tus(Transfers(house.uploads, BufferPool(4096, 1 << 20)))
    headers = {"HTTP_TUS_RESUMABLE": "1.0.0", "HTTP_UPLOAD_LENGTH": "10", "HTTP_UPLOAD_CONCAT": "partial"}

    def asked(ticket_id: str) -> UploadRequest:
        return UploadRequest({"REQUEST_METHOD": "POST", **headers}, UploadAddress(ticket_id, ()))

    def extensions(ticket_id: str) -> str:
        return dict(tus.options(asked(ticket_id)))["Tus-Extension"]

    on_disk, in_store = house.new_ticket(), house.new_ticket(storage="s3")
    assert "concatenation" in extensions(on_disk) and "concatenation" in extensions("unknown")
    assert "concatenation" not in extensions(in_store)
    assert tus.answer(asked(on_disk)).status == 201
    with pytest.raises(NotInParts):
        tus.answer(asked(in_store))
