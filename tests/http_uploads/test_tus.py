"""tus 1.0 over real sockets, rule by rule. Each test compares what is stored, not only what is answered.

The rules are those of the text of tus 1.0.0; the first word of a section here is the section there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Event, Thread
from time import monotonic, time
from typing import Final

import pytest

from tests.conftest import StartServer
from tests.support.app import DONE, WAIT, Delivery, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.cpu_waits import Stopwatch
from tests.support.data import FileBytes
from tests.support.digests import digest
from tests.support.forked import ForkedServer, Launcher
from tests.support.http_upload import HttpAnswer
from tests.support.server import RunningServer, finish_upload
from tests.support.tus import (
    CHUNKED,
    KEPT,
    MEDIA_TYPE,
    VERSION,
    IssuedTusUpload,
    TusUpload,
    checksum,
    in_base64,
)
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
AT_ONCE_S: Final = 0.05
TEN: Final = b"0123456789"
_seeds = itertools.count(1)


@pytest.fixture(scope="module")
def server(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The server that most of these tests share. None of them stops it."""
    with ForkedServer(launcher, tmp_path_factory.mktemp("tus") / "storage", **QUICK) as running:
        yield running


@pytest.fixture(scope="module")
def hasty_server(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One that soon answers that the app has not answered yet."""
    directory = tmp_path_factory.mktemp("hasty") / "storage"
    with ForkedServer(launcher, directory, **{**QUICK, "http_hold_s": HOLD_S}) as running:
        yield running


class Upload(IssuedTusUpload):
    """An upload with its ticket, its server and its app."""

    @property
    def stored(self) -> bytes:
        """What the file holds; nothing if there is no file."""
        file = self.server.stored_file(self.ticket_id)
        return file.read_bytes() if file.exists() else b""


NewUpload = Callable[..., Upload]


@pytest.fixture
def new(server: RunningServer, app: ScriptedApp) -> NewUpload:
    """Makes uploads with a ticket of their own on the shared server. The files stay where they are."""
    return lambda **params: Upload(server, app, **{**KEPT, **params})


@pytest.fixture
def new_hasty(hasty_server: RunningServer, app: ScriptedApp) -> NewUpload:
    """The same on the server that does not wait for the app for long."""
    return lambda **params: Upload(hasty_server, app, **{**KEPT, **params})


@pytest.fixture
def upload(new: NewUpload) -> Upload:
    """An upload of ten bytes that was created, and nothing more."""
    made = new()
    assert made.create(10).status == 201
    return made


@pytest.fixture
def hasty_upload(new_hasty: NewUpload) -> Upload:
    """The same on the server that does not wait for the app for long."""
    made = new_hasty()
    assert made.create(10).status == 201
    return made


def refused(answer: HttpAnswer, status: int, code: str) -> None:
    """Checks an error: its status, its code, and a sentence for people."""
    assert (answer.status, answer.code) == (status, code), answer.text
    assert answer.headers["tus-resumable"] == "1.0.0"


def date_s(answer: HttpAnswer) -> float:
    """Returns Upload-Expires as seconds since 1970."""
    text = answer.headers["upload-expires"]
    assert text.endswith(" GMT")
    return parsedate_to_datetime(text).timestamp()


# --- Headers: Tus-Resumable, Tus-Version ---------------------------------------------------------------


def test_t1_every_answer_has_the_version_errors_too(upload: Upload, new: NewUpload) -> None:
    answers = {
        201: new().create(5),
        204: upload.append(0, b"01234"),
        200: upload.head(),
        400: upload.append(0, b"x", Upload_Offset="x"),
        404: TusUpload(upload.server.url, "no-such-ticket").head(),
        405: upload.send("PUT", b"x"),
        409: upload.append(3, b"x"),
        412: upload.head(Tus_Resumable="0.2.2"),
        413: upload.append(5, b"too much"),
        415: upload.append(5, b"x", Content_Type="text/plain"),
        460: upload.append(5, b"56789", Upload_Checksum=checksum("sha1", b"other")),
    }
    assert {status: answer.status for status, answer in answers.items()} == {s: s for s in answers}
    assert {answer.headers["tus-resumable"] for answer in answers.values()} == {"1.0.0"}
    assert upload.stored == b"01234"


@pytest.mark.parametrize("version", ["0.2.2", "1.0", "2.0.0", "", "1.0.0, 1.0.0"])
def test_t2_a_request_of_another_version_is_refused_and_not_processed(new: NewUpload, version: str) -> None:
    upload = new()
    refused(upload.create(10, Tus_Resumable=version), 412, "unsupported_version")
    assert upload.state == "issued"
    upload.create(10)
    for method in ("HEAD", "PATCH", "DELETE"):
        answer = upload.send(
            method, TEN if method == "PATCH" else b"", Upload_Offset="0", Tus_Resumable=version,
            Content_Type=MEDIA_TYPE,
        )  # fmt: skip
        assert (answer.status, answer.headers["tus-version"]) == (412, "1.0.0")
    assert upload.stored == b""
    assert upload.head().offset_bytes == 0


def test_t2_a_patch_without_a_version_is_refused_likewise(upload: Upload) -> None:
    answer = upload.ask("PATCH", {"Content-Type": MEDIA_TYPE, "Upload-Offset": "0"}, TEN)
    refused(answer, 412, "unsupported_version")
    assert answer.headers["tus-version"] == "1.0.0"
    assert upload.stored == b""


# --- OPTIONS: Tus-Version, Tus-Extension, Tus-Max-Size --------------------------------------------------


@pytest.mark.parametrize("version", ["1.0.0", "0.2.2", "nonsense"])
def test_t3_options_tells_the_versions_whatever_the_client_speaks(upload: Upload, version: str) -> None:
    answer = upload.ask("OPTIONS", {"Tus-Resumable": version})
    assert (answer.status, answer.headers["tus-version"]) == (200, "1.0.0")
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert upload.head().offset_bytes == 0


def test_t4_options_lists_the_extensions_without_spaces(upload: Upload) -> None:
    extensions = upload.send("OPTIONS").headers["tus-extension"]
    assert " " not in extensions
    assert set(extensions.split(",")) >= {
        *("creation", "creation-with-upload", "creation-defer-length"),
        *("expiration", "checksum", "checksum-trailer", "termination"),
    }


@pytest.mark.parametrize(("max_bytes", "told"), [("", MAX_BYTES), ("1000", 1000), (str(10**12), MAX_BYTES)])
def test_t5_options_tells_the_largest_file_that_this_ticket_may_have(
    new: NewUpload, max_bytes: str, told: int
) -> None:
    upload = new(maxBytes=max_bytes)
    assert upload.send("OPTIONS").headers["tus-max-size"] == str(told)
    refused(upload.create(told + 1), 413, "upload_too_large")
    assert upload.state == "issued"
    assert upload.create(told).status == 201


# --- X-HTTP-Method-Override -----------------------------------------------------------------------------


def test_t6_a_post_stands_for_the_method_that_its_header_names(upload: Upload) -> None:
    patched = upload.send(
        "POST",
        b"01234",
        X_HTTP_Method_Override="PATCH",
        Content_Type=MEDIA_TYPE,
        Upload_Offset="0",
    )
    assert (patched.status, patched.offset_bytes) == (204, 5)
    assert upload.stored == b"01234"
    looked = upload.send("POST", X_HTTP_Method_Override="HEAD")
    assert (looked.status, looked.offset_bytes, looked.body) == (200, 5, b"")
    assert upload.send("POST", X_HTTP_Method_Override="DELETE").status == 204
    assert (upload.state, upload.stored) == ("cancelled", b"")


@pytest.mark.parametrize("method", ["PATCH", "HEAD", "OPTIONS"])
def test_t6_no_other_method_stands_for_one(upload: Upload, method: str) -> None:
    upload.send(method, X_HTTP_Method_Override="DELETE", Upload_Offset="0", Content_Type=MEDIA_TYPE)
    assert upload.head().offset_bytes == 0


def test_t6_a_client_without_patch_is_told_to_ask_again_while_the_app_thinks(new_hasty: NewUpload) -> None:
    upload = new_hasty()
    upload.app.answers = [WAIT]
    upload.create(5)
    answer = upload.send(
        "POST",
        b"01234",
        X_HTTP_Method_Override="PATCH",
        Content_Type=MEDIA_TYPE,
        Upload_Offset="0",
    )
    refused(answer, 423, "app_not_ready")
    assert int(answer.headers["retry-after"]) > 0
    assert upload.head().offset_bytes < 5
    assert finish_upload(upload.server, upload.ticket_id).text == "ok"
    assert upload.head().offset_bytes == 5


# --- Upload-Offset, Upload-Length -----------------------------------------------------------------------

NOT_INTEGERS = ["+5", "1e3", "-1", "0x5", "5.0", "5, 5", "five", "9" * 19, str(2**53), ""]


@pytest.mark.parametrize("text", NOT_INTEGERS)
def test_t7_an_offset_is_a_non_negative_integer(upload: Upload, text: str) -> None:
    refused(upload.append(0, TEN, Upload_Offset=text), 400, "bad_header")
    assert upload.stored == b""


@pytest.mark.parametrize(
    "place", [{"Content-Range": "bytes 5-14/20"}, {"Content-Range": "bytes 0-9/20"}, {"Content-Range": "5"}]
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_bytes_that_belong_to_another_place_by_another_header_are_refused(
    upload: Upload, method: str, place: dict[str, str]
) -> None:
    where = {"Upload-Length": "10", "Content-Type": MEDIA_TYPE} | (
        {"Upload-Offset": "0"} if method == "PATCH" else {}
    )
    refused(upload.send(method, TEN, **where, **place), 400, "bad_header")
    assert upload.stored == b""


def test_a_creation_with_an_offset_is_not_taken_for_the_beginning_of_the_file(upload: Upload) -> None:
    refused(upload.create(10, b"01234", Upload_Offset="5"), 400, "bad_header")
    assert upload.stored == b""


def test_a_range_that_says_the_same_as_the_headers_of_tus_is_accepted(upload: Upload) -> None:
    assert upload.create(10, b"01234", Content_Range="bytes 0-4/10").status == 201
    assert upload.append(5, b"56789", Content_Range="bytes 5-9/10").offset_bytes == 10


@pytest.mark.parametrize("text", NOT_INTEGERS)
def test_t7_a_length_is_a_non_negative_integer(new: NewUpload, text: str) -> None:
    upload = new()
    refused(upload.create(0, Upload_Length=text), 400, "bad_header")
    assert upload.state == "issued"
    upload.create()
    refused(upload.append(0, TEN, Upload_Length=text), 400, "bad_header")
    assert upload.stored == b""


# --- HEAD -----------------------------------------------------------------------------------------------


def test_t8_head_tells_the_offset_at_the_start_on_the_way_and_at_the_end(upload: Upload) -> None:
    for data, offset in ((b"", 0), (b"01234", 5), (b"56789", 10)):
        if data:
            assert upload.append(offset - len(data), data).offset_bytes == offset
        answer = upload.head()
        assert (answer.status, answer.offset_bytes, answer.headers["upload-length"]) == (200, offset, "10")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers.get("content-length", "0") == "0"
        assert answer.body == b""
    assert upload.stored == TEN


def test_t8_head_of_an_unknown_upload_has_no_offset(upload: Upload) -> None:
    answer = TusUpload(upload.server.url, upload.ticket_id[:-1] + "x").head()
    assert (answer.status, answer.headers.get("upload-offset")) == (404, None)


# --- PATCH ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", ["application/octet-stream", "text/plain", ""])
def test_t9_an_append_of_another_media_type_is_refused(upload: Upload, media_type: str) -> None:
    refused(upload.append(0, TEN, Content_Type=media_type), 415, "wrong_media_type")
    assert upload.stored == b""


def test_t9_case_and_parameters_of_the_media_type_do_not_matter(upload: Upload) -> None:
    assert upload.append(0, TEN, Content_Type="Application/Offset+Octet-Stream; a=b").status == 204
    assert upload.stored == TEN


@pytest.mark.parametrize("offset", [0, 4, 6, 10, 11, 2**53 - 1])
def test_t10_an_append_elsewhere_changes_nothing_and_is_told_the_offset(upload: Upload, offset: int) -> None:
    upload.append(0, b"01234")
    answer = upload.append(offset, b"xxxxx")
    refused(answer, 409, "offset_mismatch")
    assert answer.offset_bytes == 5
    assert upload.stored == b"01234"
    assert upload.append(5, b"56789").offset_bytes == 10
    assert upload.delivery.fields["filename"] == str(upload.server.stored_file(upload.ticket_id))
    assert upload.stored == TEN


def test_t10_an_append_without_an_offset_is_refused(upload: Upload) -> None:
    answer = upload.ask("PATCH", {**VERSION, "Content-Type": MEDIA_TYPE}, TEN)
    refused(answer, 400, "bad_header")
    assert upload.stored == b""


def test_t11_the_new_offset_is_the_old_one_and_what_was_stored(new: NewUpload) -> None:
    upload, data = new(), FileBytes(3_000_000, next(_seeds))
    upload.create(data.length_bytes)
    offset = 0
    for size in (1, 65_536, 1_000_000, 7, data.length_bytes):
        answer = upload.append(offset, data.read(offset, size))
        offset = min(offset + size, data.length_bytes)
        assert (answer.status, answer.offset_bytes) == (204, offset)
    assert upload.delivery.sha256 == data.sha256


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_t11_what_came_before_a_connection_broke_is_stored(new: NewUpload, is_chunked: bool) -> None:
    upload, data = new(), FileBytes(1_000_000, next(_seeds))
    upload.create(data.length_bytes)
    part = data.read(0, 345_678)
    headers = CHUNKED if is_chunked else {"Content-Length": str(data.length_bytes)}
    with upload.begin_append(0, **headers) as connection:
        connection.send(b"%x\r\n%s" % (500_000, part) if is_chunked else part)
    wait_until(lambda: len(upload.stored) == len(part), "all that was sent is stored")
    assert upload.stored == part
    assert upload.head().offset_bytes == len(part)
    assert upload.append(len(part), data.read(len(part), data.length_bytes)).status == 204
    assert upload.delivery.sha256 == data.sha256


def test_t11_an_append_to_an_unknown_upload_is_not_found(upload: Upload) -> None:
    refused(
        TusUpload(upload.server.url, "0b8a0f0e-4c1b-4c57-9d2a-6c0d3f6f1a55").append(0, TEN),
        404,
        "unknown_ticket",
    )


def test_t12_an_empty_append_at_the_end_is_answered_with_the_offset(upload: Upload) -> None:
    upload.append(0, TEN)
    answer = upload.append(10)
    assert (answer.status, answer.offset_bytes) == (204, 10)
    assert len(upload.app.about(upload.ticket_id)) == 1
    assert upload.stored == TEN


@pytest.mark.parametrize("stored", [b"", b"01234", b"012345678"])
def test_t13_more_bytes_than_the_file_has_are_refused_before_they_are_read(
    upload: Upload, stored: bytes
) -> None:
    upload.append(0, stored)
    with upload.begin_append(len(stored), Content_Length="11", Expect="100-continue") as connection:
        refused(connection.answer(), 413, "too_many_bytes")
    assert upload.stored == stored
    assert upload.append(len(stored), TEN[len(stored) :]).offset_bytes == 10


def test_t13_of_a_chunked_body_the_first_byte_too_many_is_refused_and_not_stored(upload: Upload) -> None:
    refused(upload.append_chunked(0, b"01234", b"56789x"), 413, "too_many_bytes")
    assert TEN.startswith(upload.stored)
    offset = upload.head().offset_bytes
    assert offset in (5, 9, 10)  # the bytes before it may be stored
    assert upload.append(offset, TEN[offset:]).offset_bytes == 10
    assert upload.stored == TEN


def test_t14_a_chunked_body_is_appended(new: NewUpload) -> None:
    upload, data = new(), FileBytes(300_000, next(_seeds))
    upload.create(data.length_bytes)
    sizes = itertools.cycle((1, 70_000, 3, 40_000))
    chunks, offset = [], 0
    while offset < data.length_bytes:
        chunks.append(data.read(offset, next(sizes)))
        offset += len(chunks[-1])
    assert upload.append_chunked(0, *chunks).offset_bytes == data.length_bytes
    assert upload.delivery.sha256 == data.sha256


@pytest.mark.parametrize("length", [{}, {"Content_Length": "0"}], ids=["no body", "length 0"])
def test_t15_an_append_without_a_body_changes_nothing(upload: Upload, length: dict[str, str]) -> None:
    upload.append(0, b"01234")
    with upload.begin_append(5, **length) as connection:
        answer = connection.answer()
    assert (answer.status, answer.offset_bytes) == (204, 5)
    assert upload.append_chunked(5).offset_bytes == 5
    assert upload.stored == b"01234"


# --- Creation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upload_Length": "5", "Upload_Defer_Length": "1"},
        {"Upload_Defer_Length": "0"},
        {"Upload_Defer_Length": "true"},
        {"Upload_Length": "5", "Upload_Defer_Length": "no"},
    ],
    ids=str,
)
def test_t16_a_creation_has_a_length_or_defers_it(new: NewUpload, headers: dict[str, str]) -> None:
    upload = new()
    refused(upload.send("POST", b"", **headers), 400, "bad_header")
    assert upload.state == "issued"


@pytest.mark.parametrize("prefix", ["/incoming/", "/incoming/0.1/"])
def test_t17_a_creation_is_answered_with_the_address_of_the_upload(new: NewUpload, prefix: str) -> None:
    made = new()
    upload = TusUpload(made.server.url, made.ticket_id, prefix)
    answer = upload.create(10)
    assert (answer.status, answer.headers["location"]) == (201, made.ticket_id)  # relative to the address
    assert "upload-offset" not in answer.headers
    assert upload.append(0, TEN).offset_bytes == 10
    assert made.stored == TEN


@pytest.mark.parametrize("tail", ["/", "/{id}"])
def test_t17_the_address_may_end_in_a_slash_or_in_the_id_once_more(new: NewUpload, tail: str) -> None:
    upload = new()
    upload.path += tail.format(id=upload.ticket_id)
    assert upload.create(10).headers["location"] == f"../{upload.ticket_id}"
    assert upload.append(0, TEN).offset_bytes == 10
    assert upload.stored == TEN


def test_t17_any_other_address_below_a_ticket_is_not_found(upload: Upload) -> None:
    upload.path += "/something"
    refused(upload.append(0, TEN), 404, "not_found")
    assert upload.stored == b""


def test_t17_an_empty_file_is_complete_with_its_creation(new: NewUpload) -> None:
    upload = new()
    assert upload.create(0).status == 201
    assert upload.delivery.size_bytes == 0
    assert upload.head().offset_bytes == 0


def test_t18_the_body_of_a_creation_of_another_media_type_is_ignored(new: NewUpload) -> None:
    upload = new()
    answer = upload.create(10, b"not the file", Content_Type="application/octet-stream")
    assert (answer.status, answer.headers.get("upload-offset")) == (201, None)
    assert upload.stored == b""
    assert upload.append(0, TEN).offset_bytes == 10


@pytest.mark.parametrize("way", ["header", "query", "metadata"])
def test_t17_one_address_creates_all_uploads_if_the_request_names_the_ticket(
    new: NewUpload, way: str
) -> None:
    upload = new()
    address = upload.path.removesuffix(f"/{upload.ticket_id}")
    raw = f"filename {in_base64('a.mov')},ticket {in_base64(upload.ticket_id)}"
    upload.path = f"{address}?ticket={upload.ticket_id}" if way == "query" else address
    named = {"header": {"Upload_Ticket": upload.ticket_id}, "metadata": {"Upload_Metadata": raw}}
    answer = upload.create(10, b"", **named.get(way, {}))
    assert (answer.status, answer.headers["location"]) == (201, f"uploads/{upload.ticket_id}")
    upload.path = f"{address}/{upload.ticket_id}"
    assert upload.append(0, TEN).offset_bytes == 10
    assert upload.stored == TEN


def test_t17_a_creation_that_names_no_ticket_is_not_found(new: NewUpload) -> None:
    upload = new()
    upload.path = upload.path.removesuffix(f"/{upload.ticket_id}")
    refused(upload.create(10, Upload_Metadata=",", Upload_Ticket=upload.ticket_id), 404, "not_found")
    refused(upload.create(10), 404, "not_found")


# --- a creation that is repeated -----------------------------------------------------------------------


def test_a_repeated_creation_keeps_what_is_stored(upload: Upload) -> None:
    upload.append(0, b"01234")
    answer = upload.create(10)
    assert (answer.status, answer.headers["location"]) == (201, upload.ticket_id)
    assert upload.head().offset_bytes == 5
    assert upload.stored == b"01234"


def test_a_creation_with_another_length_is_refused_for_good(upload: Upload) -> None:
    upload.append(0, b"01234")
    refused(upload.create(11), 400, "length_mismatch")
    assert upload.stored == b"01234"


def test_a_creation_of_a_cancelled_upload_is_gone(upload: Upload) -> None:
    upload.terminate()
    refused(upload.create(10), 410, "cancelled")


def test_a_creation_of_a_finished_upload_finds_it_finished(upload: Upload) -> None:
    upload.append(0, TEN)
    assert upload.create(10).status == 201
    assert upload.head().offset_bytes == 10
    assert len(upload.app.about(upload.ticket_id)) == 1


def test_an_upload_whose_length_the_app_has_said_needs_no_creation(new: NewUpload) -> None:
    upload = new(lengthBytes="10")
    answer = upload.head()
    assert (answer.offset_bytes, answer.headers["upload-length"]) == (0, "10")
    assert upload.append(0, TEN).offset_bytes == 10
    assert upload.stored == TEN


def test_an_empty_file_whose_length_the_app_has_said_is_handed_over_before_it_counts_as_whole(
    new: NewUpload,
) -> None:
    upload = new(lengthBytes="0")
    assert upload.head().offset_bytes == 0
    assert upload.delivery.size_bytes == 0


# --- Upload-Defer-Length -------------------------------------------------------------------------------


def test_t19_the_length_may_follow_with_an_append(new: NewUpload) -> None:
    upload = new()
    assert upload.create().status == 201
    assert upload.append(0, b"01234").offset_bytes == 5
    answer = upload.head()
    assert answer.headers["upload-defer-length"] == "1"
    assert "upload-length" not in answer.headers
    assert upload.append(5, b"567", Upload_Length="10").offset_bytes == 8
    answer = upload.head()
    assert answer.headers["upload-length"] == "10"
    assert "upload-defer-length" not in answer.headers
    assert upload.append(8, b"89", Upload_Length="10").offset_bytes == 10
    assert upload.stored == TEN


def test_t19_the_length_may_follow_when_all_bytes_are_there(new: NewUpload) -> None:
    upload = new()
    upload.create()
    assert upload.append(0, TEN).offset_bytes == 10
    assert not upload.app.about(upload.ticket_id)
    assert upload.append(10, Upload_Length="10").offset_bytes == 10
    assert upload.delivery.size_bytes == 10


def test_t19_a_file_of_unknown_length_may_turn_out_to_be_empty(new: NewUpload) -> None:
    upload = new()
    upload.create()
    assert upload.append(0, Upload_Length="0").offset_bytes == 0
    assert upload.delivery.size_bytes == 0


def test_t19_a_length_never_changes(new: NewUpload) -> None:
    upload = new()
    upload.create()
    upload.append(0, b"01234", Upload_Length="10")
    refused(upload.append(5, b"5", Upload_Length="11"), 400, "length_mismatch")
    assert upload.head().headers["upload-length"] == "10"
    assert upload.stored == b"01234"


@pytest.mark.parametrize(("length", "status", "code"), [
    (4, 400, "bad_header"), (MAX_BYTES + 1, 413, "upload_too_large"),
])  # fmt: skip
def test_t19_a_length_that_can_not_be_is_refused(new: NewUpload, length: int, status: int, code: str) -> None:
    upload = new()
    upload.create()
    upload.append(0, b"01234")
    refused(upload.append(5, b"5", Upload_Length=str(length)), status, code)
    assert upload.stored == b"01234"
    assert upload.head().headers["upload-defer-length"] == "1"


def test_t19_bytes_of_an_upload_that_nobody_has_begun_need_a_length(new: NewUpload) -> None:
    upload = new()
    answer = upload.append(0, b"01234")
    refused(answer, 400, "bad_header")
    assert "POST" in answer.text
    assert upload.append(0, b"01234", Upload_Length="10").offset_bytes == 5


def test_t19_a_second_creation_may_tell_the_length_and_not_a_shorter_one(new: NewUpload) -> None:
    upload = new()
    own_path = upload.path
    upload.create()
    upload.append(0, b"01234")
    refused(upload.create(4), 400, "length_mismatch")
    created = upload.create(10)
    assert (created.status, created.headers["location"]) == (201, f"{upload.ticket_id}?length=10")
    assert upload.head().headers["upload-length"] == "10"
    upload.path = own_path
    assert "upload-length" not in upload.head().headers, "its client has shown nothing of its file"
    assert upload.stored == b"01234"


# --- Upload-Metadata -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        f"filename {in_base64('größe.mov')},is_confidential",
        "k",
        f"a {in_base64(b'x')} , b ,c {in_base64(bytes(range(256)))}",
        "k eA",
        "schl\xfcssel eA==,schl\xc3\xbcssel eQ==",
    ],
)
def test_t20_head_returns_the_metadata_as_they_came(new: NewUpload, raw: str) -> None:
    upload = new()
    assert upload.create(10, Upload_Metadata=raw).status == 201
    assert upload.head().headers["upload-metadata"] == raw
    upload.append(0, b"01234")
    assert upload.create(10, Upload_Metadata="other eA==").status == 201
    assert upload.head().headers["upload-metadata"] == raw  # the first creation counts


@pytest.mark.parametrize("raw", ["a,,b", "a eA==,a eQ==", "a INVALID!", f"a {'A' * 4096}"])
def test_t21_metadata_with_two_meanings_are_refused(new: NewUpload, raw: str) -> None:
    upload = new()
    refused(upload.create(10, Upload_Metadata=raw), 400, "bad_header")
    assert upload.state == "issued"


def test_t21_empty_metadata_are_none(new: NewUpload) -> None:
    upload = new()
    assert upload.create(10, Upload_Metadata="").status == 201
    assert "upload-metadata" not in upload.head().headers


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (f"filename {in_base64('größe.mov')}", "größe.mov"),
        (f"name {in_base64('b.mov')},type {in_base64('video/quicktime')}", "b.mov"),
        (f"relativePath {in_base64('x/y')},filename {in_base64('../../a.mov')}", "a.mov"),
        (f"filename {in_base64(b'gr' + bytes([0xF6]) + b'sse')}", "grösse"),
        (f"filename {in_base64('..')}", "upload"),
        ("", "upload"),
    ],
)
def test_t22_the_app_gets_the_name_and_never_a_path(new: NewUpload, raw: str, name: str) -> None:
    upload = new()
    upload.create(10, Upload_Metadata=raw)
    upload.append(0, TEN)
    assert upload.delivery.fields["filenameFromBrowser"] == name


# --- Creation With Upload ------------------------------------------------------------------------------


def test_t23_a_creation_may_bring_the_file(new: NewUpload) -> None:
    upload = new()
    answer = upload.create(10, TEN, Upload_Metadata=f"filename {in_base64('a.txt')}")
    assert (answer.status, answer.offset_bytes, answer.headers["location"]) == (201, 10, upload.ticket_id)
    assert upload.delivery.fields["filenameFromBrowser"] == "a.txt"
    assert upload.stored == TEN


def test_t23_a_creation_may_bring_the_beginning(new: NewUpload) -> None:
    upload = new()
    answer = upload.create(10, b"01234")
    assert (answer.status, answer.offset_bytes) == (201, 5)
    assert upload.stored == b"01234"
    assert upload.append(5, b"56789").offset_bytes == 10


def test_t23_the_beginning_of_a_file_of_unknown_length_comes_with_its_creation(new: NewUpload) -> None:
    upload = new()
    assert upload.create(None, b"01234").offset_bytes == 5
    assert upload.head().headers["upload-defer-length"] == "1"
    assert upload.append(5, b"56789", Upload_Length="10").offset_bytes == 10


def test_t23_what_came_with_a_creation_that_broke_off_is_found_by_the_next_one(new: NewUpload) -> None:
    upload = new()
    with upload.begin("POST", Upload_Length="10", Content_Length="10") as connection:
        connection.send(b"01234")
    wait_until(lambda: upload.stored == b"01234", "what was sent is stored")
    assert upload.create(10).status == 201
    assert upload.head().offset_bytes == 5
    refused(upload.create(10, b"0123x56789"), 400, "wrong_file")
    assert upload.stored == b"01234"
    answer = upload.create(10, TEN)
    assert (answer.status, answer.offset_bytes) == (201, 10)
    assert upload.stored == TEN


def test_t23_a_creation_whose_answer_was_lost_may_bring_the_whole_file_again(new: NewUpload) -> None:
    upload = new()
    for _ in range(2):
        answer = upload.create(10, TEN, Upload_Checksum=checksum("sha1", TEN))
        assert (answer.status, answer.offset_bytes) == (201, 10)
    assert upload.stored == TEN
    assert upload.delivery.size_bytes == 10


def test_t23_a_creation_that_is_refused_costs_no_body(new: NewUpload) -> None:
    upload = new(maxBytes="9")
    with upload.begin("POST", Upload_Length="10", Content_Length="10", Expect="100-continue") as connection:
        refused(connection.answer(), 413, "upload_too_large")
    assert upload.state == "issued"


def test_t23_a_creation_whose_client_waits_is_told_to_continue(new: NewUpload) -> None:
    upload = new()
    with upload.begin("POST", Upload_Length="10", Content_Length="10", Expect="100-continue") as connection:
        assert connection.socket.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n")
        connection.send(TEN)
        assert connection.answer().offset_bytes == 10
    assert upload.stored == TEN


# --- Expiration ----------------------------------------------------------------------------------------


def test_t24_every_answer_about_an_unfinished_upload_says_when_it_expires(
    start_server: StartServer, app: ScriptedApp
) -> None:
    upload = Upload(start_server(idle_timeout_s=1000, **QUICK), app)
    for answer in (upload.create(10), upload.append(0, b"01234"), upload.head()):
        assert abs(date_s(answer) - (time() + 1000)) < 20
    finished = upload.append(5, b"56789")
    assert "upload-expires" not in finished.headers
    assert "upload-expires" not in upload.head().headers


def test_t24_an_expired_upload_is_gone(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(idle_timeout_s=1, **QUICK)
    upload = Upload(server, app)
    app.answers = [DONE]
    # The journal has a state a moment before requests see it.
    wait_until(lambda: upload.head().status == 410, "the ticket expires")
    for answer in (upload.append(0, TEN), upload.create(10)):
        refused(answer, 410, "expired")
    answer = upload.head()
    assert (answer.status, answer.headers.get("upload-offset")) == (410, None)
    assert upload.stored == b""


# --- Checksum ------------------------------------------------------------------------------------------

ALGORITHMS = ["crc32c", "sha1", "sha256", "md5", "crc32"]
LARGE_BYTES: Final = 9_000_000
"""More than what is verified before it is written."""


def test_t25_options_lists_the_algorithms_sha1_among_them(upload: Upload) -> None:
    assert upload.send("OPTIONS").headers["tus-checksum-algorithm"].split(",") == ALGORITHMS


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_t25_bytes_with_their_checksum_are_stored_and_others_are_not(upload: Upload, algorithm: str) -> None:
    refused(
        upload.append(0, b"01234", Upload_Checksum=checksum(algorithm, b"01243")), 460, "checksum_mismatch"
    )
    assert upload.stored == b""
    assert upload.head().offset_bytes == 0
    assert upload.append(0, b"01234", Upload_Checksum=checksum(algorithm, b"01234")).offset_bytes == 5
    assert upload.stored == b"01234"


@pytest.mark.parametrize("text", ["sha512 AA==", "SHA1 AA==", "sha1", "sha1 AA==", "sha1 *", "", "sha1,AA=="])
def test_t25_a_checksum_that_can_not_be_checked_is_refused_before_the_body(upload: Upload, text: str) -> None:
    with upload.begin_append(
        0, Content_Length="10", Expect="100-continue", Upload_Checksum=text
    ) as connection:
        answer = connection.answer()
    assert answer.status == 400
    assert answer.code in ("unsupported_checksum", "bad_header")
    assert upload.stored == b""


def test_t25_the_digests_of_the_standard_count_too(upload: Upload) -> None:
    wrong, right = digest("sha-256", b"01243"), digest("sha-256", b"01234")
    refused(upload.append(0, b"01234", Content_Digest=wrong), 460, "checksum_mismatch")
    said = checksum("sha1", b"01234")
    refused(upload.append(0, b"01234", Content_Digest=wrong, Upload_Checksum=said), 460, "checksum_mismatch")
    assert upload.append(0, b"01234", Content_Digest=right, Upload_Checksum=said).offset_bytes == 5
    refused(upload.append(5, b"56789", Repr_Digest=wrong), 422, "digest_mismatch")


def test_t25_a_creation_with_upload_may_have_a_checksum(new: NewUpload) -> None:
    upload = new()
    refused(upload.create(10, TEN, Upload_Checksum=checksum("sha1", b"x")), 460, "checksum_mismatch")
    assert upload.stored == b""
    assert upload.create(10, TEN, Upload_Checksum=checksum("sha1", TEN)).offset_bytes == 10


@pytest.mark.parametrize("size_bytes", [5, LARGE_BYTES], ids=["small", "large"])
def test_t26_a_checked_request_that_breaks_off_leaves_nothing(new: NewUpload, size_bytes: int) -> None:
    upload, data = new(), FileBytes(10 + LARGE_BYTES, next(_seeds))
    upload.create(data.length_bytes)
    upload.append(0, data.read(0, 10))
    said = checksum("sha1", data.read(10, LARGE_BYTES))
    with upload.begin_append(10, Content_Length=str(LARGE_BYTES), Upload_Checksum=said) as connection:
        connection.send(data.read(10, size_bytes - 1))
    assert upload.head().offset_bytes == 10
    assert upload.stored == data.read(0, 10)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_t27_a_checksum_may_follow_the_body_as_a_trailer(upload: Upload, algorithm: str) -> None:
    def append(said: bytes, **headers: str) -> HttpAnswer:
        trailers = {"Upload-Checksum": checksum(algorithm, said)}
        return upload.append_chunked(
            0, b"012", b"34", trailers=trailers, Trailer="Upload-Checksum", **headers
        )

    refused(append(b"01243"), 460, "checksum_mismatch")
    assert upload.stored == b""
    refused(
        append(b"01234", Upload_Checksum=checksum("md5", b"01234")),
        *((400, "bad_header") if algorithm != "md5" else (204, "")),
    ) if algorithm != "md5" else None
    assert upload.stored == b""
    assert append(b"01234", Upload_Checksum=checksum(algorithm, b"01234")).offset_bytes == 5
    assert upload.stored == b"01234"


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_t25_large_bodies_are_checked_too_and_discarded_as_a_whole(new: NewUpload, is_chunked: bool) -> None:
    upload, data = new(), FileBytes(100_000 + LARGE_BYTES, next(_seeds))
    upload.create(data.length_bytes)
    upload.append(0, data.read(0, 100_000))
    body = data.read(100_000, LARGE_BYTES)
    wrong = body[:-1] + bytes([body[-1] ^ 1])

    def append(content: bytes) -> HttpAnswer:
        said = checksum("crc32c", body)
        if is_chunked:
            return upload.append_chunked(100_000, content, Upload_Checksum=said)
        return upload.append(100_000, content, Upload_Checksum=said)

    refused(append(wrong), 460, "checksum_mismatch")
    assert upload.stored == data.read(0, 100_000)
    assert upload.head().offset_bytes == 100_000
    assert append(body).offset_bytes == data.length_bytes
    assert upload.delivery.sha256 == data.sha256


def test_t27_a_checksum_before_the_body_and_another_one_behind_it_are_refused(upload: Upload) -> None:
    answer = upload.append_chunked(
        0, TEN, trailers={"Upload-Checksum": checksum("sha1", TEN)},
        Trailer="Upload-Checksum", Upload_Checksum=checksum("md5", TEN),
    )  # fmt: skip
    refused(answer, 400, "bad_header")
    assert upload.stored == b""


def test_t27_a_large_body_with_a_trailer_is_checked_at_its_end(new: NewUpload) -> None:
    upload, data = new(), FileBytes(LARGE_BYTES, next(_seeds))
    upload.create(data.length_bytes)
    body = data.read(0, LARGE_BYTES)

    def append(said: bytes) -> HttpAnswer:
        trailers = {"Upload-Checksum": checksum("sha256", said)}
        return upload.append_chunked(0, body, trailers=trailers, Trailer="Upload-Checksum")

    refused(append(b"other"), 460, "checksum_mismatch")
    assert upload.stored == b""
    assert append(body).offset_bytes == LARGE_BYTES
    assert upload.delivery.sha256 == data.sha256


def test_t27_an_announced_trailer_that_does_not_come_is_missed(upload: Upload) -> None:
    refused(upload.append_chunked(0, TEN, Trailer="Upload-Checksum"), 400, "bad_header")
    assert upload.stored == b""


def test_t26_a_kill_in_a_large_checked_request_leaves_nothing_of_it(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(**QUICK)
    upload, data = Upload(server, app, **KEPT), FileBytes(10 + LARGE_BYTES, next(_seeds))
    upload.create(data.length_bytes)
    upload.append(0, data.read(0, 10))
    said = checksum("sha1", data.read(10, LARGE_BYTES))
    with upload.begin_append(10, Content_Length=str(LARGE_BYTES), Upload_Checksum=said) as connection:
        connection.send(data.read(10, LARGE_BYTES - 1))
        wait_until(lambda: len(upload.stored) > 5_000_000, "much of it is in the file")
        server.restart()
    assert upload.head().offset_bytes == 10
    assert (
        upload.append(10, data.read(10, LARGE_BYTES), Upload_Checksum=said).offset_bytes == data.length_bytes
    )
    assert upload.delivery.sha256 == data.sha256


# --- Termination ---------------------------------------------------------------------------------------


def test_t28_a_terminated_upload_is_gone_and_the_app_is_told(upload: Upload) -> None:
    upload.append(0, b"01234")
    assert upload.terminate().status == 204
    assert upload.stored == b""
    (delivery,) = upload.app.wait_for(1)
    assert delivery.fields["cancelled"] == "yes"
    for answer in (upload.append(5, b"5"), upload.create(10), upload.terminate()):
        refused(answer, 410, "cancelled")
    assert upload.head().status == 410


@pytest.mark.parametrize("reply", [DONE, WAIT], ids=["finished", "waiting"])
def test_t28_an_upload_that_is_handed_over_can_not_be_terminated(hasty_upload: Upload, reply: Reply) -> None:
    upload = hasty_upload
    upload.app.answers = [reply]
    upload.append(0, TEN)
    refused(upload.terminate(), 409, "wrong_state")
    assert upload.stored == TEN


# --- CORS ----------------------------------------------------------------------------------------------

EXPOSED = {
    *(
        "Location",
        "Upload-Offset",
        "Upload-Length",
        "Upload-Metadata",
        "Upload-Defer-Length",
        "Upload-Concat",
    ),
    *("Upload-Expires", "Tus-Version", "Tus-Resumable", "Tus-Max-Size", "Tus-Extension"),
    *("Tus-Checksum-Algorithm", "Retry-After"),
}
ORIGIN = {"Origin": "https://page.example"}


def test_t31_a_page_of_any_origin_may_read_every_answer_errors_too(upload: Upload) -> None:
    answers = [
        upload.create(10, b"", **ORIGIN),
        upload.append(0, b"01234", **ORIGIN),
        upload.head(**ORIGIN),
        upload.append(3, b"x", **ORIGIN),
        upload.append(5, b"56789", Upload_Checksum=checksum("sha1", b"x"), **ORIGIN),
        upload.head(Tus_Resumable="9", **ORIGIN),
        TusUpload(upload.server.url, "unknown").create(10, b"", **ORIGIN),
    ]
    assert [answer.status for answer in answers] == [201, 204, 200, 409, 460, 412, 404]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "*"
        assert set(answer.headers["access-control-expose-headers"].split(", ")) >= EXPOSED
        assert "access-control-allow-credentials" not in answer.headers


def test_t31_a_preflight_admits_the_methods_and_the_headers_that_a_page_asks_for(upload: Upload) -> None:
    asked = "authorization,content-type,tus-resumable,upload-length,x-of-the-app"
    for method in ("POST", "PATCH", "DELETE", "HEAD"):
        answer = upload.send(
            "OPTIONS",
            b"",
            **ORIGIN,
            Access_Control_Request_Method=method,
            Access_Control_Request_Headers=asked,
        )
        assert answer.status == 200
        assert method in answer.headers["access-control-allow-methods"].split(", ")
        assert answer.headers["access-control-allow-headers"] == asked
        assert int(answer.headers["access-control-max-age"]) >= 600
    assert upload.head().offset_bytes == 0


# --- statuses that mean "try again" --------------------------------------------------------------------


def test_t32_an_empty_file_is_locked_until_the_app_has_it(new_hasty: NewUpload) -> None:
    upload = new_hasty()
    upload.app.answers = [WAIT]
    started_s = monotonic()
    refused(upload.create(0), 423, "app_not_ready")
    assert monotonic() - started_s >= HOLD_S
    for answer in (upload.create(0), upload.head()):
        assert (answer.status, answer.headers.get("upload-offset")) == (423, None)
        assert int(answer.headers["retry-after"]) > 0
    finish_upload(upload.server, upload.ticket_id)
    assert upload.create(0).status == 201
    assert upload.head().offset_bytes == 0
    assert upload.delivery.size_bytes == 0


def test_t32_what_passes_is_a_reason_to_try_again(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(**QUICK, max_unfinished_mib_per_source=1, trusted_proxies="127.0.0.1")
    first, second = Upload(server, app), Upload(server, app)
    assert first.create(800_000, X_Forwarded_For="192.0.2.1").status == 201
    refused(answer := second.create(800_000, X_Forwarded_For="192.0.2.1"), 503, "too_many")
    assert int(answer.headers["retry-after"]) > 0
    first.terminate()
    assert second.create(800_000, X_Forwarded_For="192.0.2.1").status == 201


def test_t32_a_file_larger_than_the_disk_may_fit_later(start_server: StartServer, app: ScriptedApp) -> None:
    upload = Upload(start_server(**{**QUICK, "max_upload_bytes": 0}), app)
    refused(answer := upload.create(2**53 - 1), 503, "storage_full")
    assert int(answer.headers["retry-after"]) > 0
    assert upload.create(10).status == 201


# --- never success before the app has the file ----------------------------------------------------------


def test_the_last_byte_is_withheld_until_the_app_has_answered(hasty_upload: Upload) -> None:
    upload = hasty_upload
    upload.app.answers = [WAIT]
    upload.append(0, b"012345678")
    started_s = monotonic()
    answer = upload.append(9, b"9")
    assert monotonic() - started_s >= HOLD_S
    assert (answer.status, answer.offset_bytes) == (204, 9)
    assert upload.stored == TEN
    for again in (upload.head(), upload.append(9, b"9"), upload.append(9), upload.append_chunked(9, b"9")):
        assert again.offset_bytes == 9
    refused(mismatch := upload.append(11, b"x"), 409, "offset_mismatch")
    assert mismatch.offset_bytes == 9
    refused(upload.append(9, b"x"), 400, "wrong_file")
    refused(upload.append(9, b"9", Upload_Checksum=checksum("sha1", b"x")), 460, "checksum_mismatch")
    assert upload.append(9, b"9", Upload_Checksum=checksum("sha1", b"9")).offset_bytes == 9
    refused(upload.append(9, b"9x"), 413, "too_many_bytes")
    refused(upload.append_chunked(9, b"9x"), 413, "too_many_bytes")
    assert finish_upload(upload.server, upload.ticket_id).text == "ok"
    assert upload.append(9, b"9").offset_bytes == 10
    assert upload.head().offset_bytes == 10
    assert upload.stored == TEN
    assert len(upload.app.about(upload.ticket_id)) == 1


def test_each_answer_before_that_has_progress_for_clients_that_take_none_for_an_error(
    new_hasty: NewUpload,
) -> None:
    upload, data = new_hasty(), FileBytes(100_000, next(_seeds))
    upload.app.answers = [WAIT]
    upload.create(data.length_bytes)
    upload.append(0, data.read(0, 60_000))
    offset = 60_000
    for _ in range(3):
        answer = upload.append(offset, data.read(offset, data.length_bytes))
        assert offset < answer.offset_bytes < data.length_bytes
        assert answer.offset_bytes >= data.length_bytes - 1024
        offset = answer.offset_bytes
        assert upload.head().offset_bytes == offset
    wrong = bytearray(data.read(offset, data.length_bytes))
    wrong[-1] ^= 1
    refused(upload.append(offset, bytes(wrong)), 400, "wrong_file")
    assert upload.head().offset_bytes == offset
    finish_upload(upload.server, upload.ticket_id)
    assert upload.append(offset, data.read(offset, data.length_bytes)).offset_bytes == data.length_bytes
    assert upload.delivery.sha256 == data.sha256


def test_a_request_that_waits_is_answered_as_soon_as_the_app_has_the_file(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(**QUICK)
    go_ahead = Event()

    def slow(_: Delivery) -> Reply:
        assert go_ahead.wait(60)
        return DONE

    app.answers = [slow]
    upload, answers = Upload(server, app), []
    upload.create(10)
    sender = Thread(target=lambda: answers.append(upload.append(0, TEN)))
    sender.start()
    app.wait_for(1)
    looked = upload.head()
    assert looked.offset_bytes < 10
    assert not answers
    go_ahead.set()
    sender.join(60)
    assert [answer.offset_bytes for answer in answers] == [10]


def test_a_request_that_waits_is_told_that_the_server_restarts(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(**QUICK)
    app.answers = [WAIT]
    upload, answers = Upload(server, app), []
    upload.create(10)
    sender = Thread(target=lambda: answers.append(upload.append(0, TEN)))
    sender.start()
    wait_until(lambda: upload.state == "waiting", "the app has been asked")
    server.terminate()
    sender.join(60)
    (answer,) = answers
    refused(answer, 503, "stopping")
    assert int(answer.headers["retry-after"]) > 0
    server.start()
    finish_upload(server, upload.ticket_id)
    assert upload.head().offset_bytes == 10


@pytest.mark.parametrize("length", [10, 0])
def test_a_refusal_by_the_app_ends_the_upload_with_our_words(new: NewUpload, length: int) -> None:
    upload = new()
    upload.app.answers = [Reply(400, "no such album")]
    if length:
        upload.create(length)
        answers = [upload.append(0, TEN), upload.append(9, b"9"), upload.create(length)]
    else:
        answers = [upload.create(0), upload.create(0)]
    for answer in answers:
        refused(answer, 422, "handover_failed")
        assert "app" in answer.text
    looked = upload.head()
    assert (looked.status, looked.headers.get("upload-offset")) == (422, None)


def test_an_app_that_is_down_and_a_server_that_restarts_delay_success_and_nothing_else(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(**{**QUICK, "http_hold_s": HOLD_S})
    upload = Upload(server, app, **KEPT)
    app.stop()
    upload.create(10)
    assert upload.append(0, b"012345678").offset_bytes == 9
    assert upload.append(9, b"9").offset_bytes == 9
    server.restart()
    assert upload.head().offset_bytes == 9
    assert upload.append(9, b"9").offset_bytes == 9
    server.restart()
    app.start()
    wait_until(lambda: upload.append(9, b"9").offset_bytes == 10, "the app has it")
    assert upload.stored == TEN


def test_an_upload_that_was_killed_behind_its_last_byte_is_completed_by_the_withheld_one(
    start_server: StartServer, app: ScriptedApp, tmp_path: Path
) -> None:
    server = start_server(**QUICK)
    upload = Upload(server, app, **KEPT)
    upload.create()  # nothing is complete as long as nobody knows the length
    upload.append(0, TEN)
    server.restart()
    assert upload.head().offset_bytes == 10
    assert upload.append(10, Upload_Length="10").offset_bytes == 10
    assert upload.stored == TEN


# --- a newer request takes over -------------------------------------------------------------------------


def test_a_head_ends_a_request_that_still_sends_and_its_offset_is_good_for_the_next_one(
    new: NewUpload,
) -> None:
    upload, data = new(), FileBytes(1_000_000, next(_seeds))
    upload.create(data.length_bytes)
    offset, took_s = 0, []
    while offset < 500_000:
        with upload.begin_append(offset, Content_Length=str(data.length_bytes - offset)) as old:
            old.send(data.read(offset, 100_000))
            wait_until(lambda: len(upload.stored) == offset + 100_000, "the beginning is stored")  # noqa: B023
            stopwatch = Stopwatch(upload.server.pid)
            answer = upload.head()
            took_s.append(stopwatch.worked_s())
            assert answer.offset_bytes == offset + 100_000
            refused(old.answer(), 400, "taken_over")
        offset = answer.offset_bytes
    assert min(took_s) < AT_ONCE_S
    assert upload.append(offset, data.read(offset, data.length_bytes)).offset_bytes == data.length_bytes
    assert upload.delivery.sha256 == data.sha256


def test_an_append_ends_an_older_one_that_still_sends(new: NewUpload) -> None:
    upload, data = new(), FileBytes(1_000_000, next(_seeds))
    upload.create(data.length_bytes)
    with upload.begin_append(0, Content_Length=str(data.length_bytes)) as old:
        old.send(data.read(0, 400_000))
        wait_until(lambda: len(upload.stored) == 400_000, "the beginning is stored")
        rest = data.read(400_000, data.length_bytes)
        assert upload.append(400_000, rest).offset_bytes == data.length_bytes
        refused(old.answer(), 400, "taken_over")
    assert upload.delivery.sha256 == data.sha256


# --- other ways ----------------------------------------------------------------------------------------

HALF: Final = 200_000
websockets = pytest.mark.parametrize("websocket", [ClientV1, ClientV2])


@websockets
def test_a_file_that_was_begun_here_continues_over_a_websocket(
    new: NewUpload, websocket: type[ClientV1] | type[ClientV2]
) -> None:
    upload, data = new(), FileBytes(2 * HALF, next(_seeds))
    upload.create(data.length_bytes)
    with upload.begin_append(0, Content_Length=str(data.length_bytes)) as old:
        old.send(data.read(0, HALF))
        wait_until(lambda: len(upload.stored) == HALF, "half is stored")
        client = websocket(upload.server.url, upload.ticket_id, data)
        client.upload()
        refused(old.answer(), 400, "taken_over")
    assert client.resumed_at == [HALF]
    assert upload.delivery.sha256 == data.sha256
    assert upload.head().offset_bytes == data.length_bytes


def test_another_file_of_the_same_length_does_not_continue_it_over_a_websocket(new: NewUpload) -> None:
    upload, data = new(), FileBytes(2 * HALF, next(_seeds))
    upload.create(data.length_bytes)
    upload.append(0, data.read(0, HALF))
    other = ClientV2(upload.server.url, upload.ticket_id, FileBytes(2 * HALF, next(_seeds)))
    with pytest.raises(UploadRefused, match="wrong_file"):
        other.upload()
    assert upload.head().offset_bytes == HALF
    assert upload.append(HALF, data.read(HALF, HALF)).offset_bytes == data.length_bytes
    assert upload.delivery.sha256 == data.sha256


@websockets
def test_a_file_that_was_begun_over_a_websocket_continues_here(
    new: NewUpload, websocket: type[ClientV1] | type[ClientV2]
) -> None:
    upload, data = new(), FileBytes(2_000_000, next(_seeds))
    client = websocket(upload.server.url, upload.ticket_id, data).open()
    client.send_chunk()
    wait_until(lambda: upload.stored, "a chunk is stored")
    offset = upload.head().offset_bytes
    assert upload.stored == data.read(0, offset) != b""
    assert upload.append(offset, data.read(offset, data.length_bytes)).offset_bytes == data.length_bytes
    assert upload.delivery.sha256 == data.sha256
    client.drop()
