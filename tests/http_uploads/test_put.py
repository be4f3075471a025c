"""PUT and POST of a whole file at a real server: what is stored and compared, and what the answer says."""

from __future__ import annotations

import json
from typing import Final

import pytest

from incoming.protocol.rules import PREFIXES
from tests.conftest import StartServer
from tests.http_uploads.conftest import NewHttpUpload
from tests.support.app import DONE, WAIT, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.digests import digest
from tests.support.http_upload import Headers, HttpAnswer, HttpUpload
from tests.support.server import RunningServer, cancel_upload, finish_upload, new_upload
from tests.support.tus import checksum
from tests.support.waiting import wait_until

SIZE_BYTES: Final = 300_000
HALF: Final = 150_000
FILE: Final = FileBytes(SIZE_BYTES, 1)
DATA: Final = FILE.read(0, SIZE_BYTES)
LAST: Final = SIZE_BYTES - 1
OTHER_AT_THE_START: Final = DATA[:1000] + b"another" + DATA[1007:]
OTHER_AT_THE_END: Final = DATA[:-7] + b"another"
JSON: Final = {"Accept": "application/json"}
FINISHED: Final = b"The app has the file.\n"


def put(
    upload: HttpUpload, content: bytes = DATA, headers: Headers | None = None, below: str = ""
) -> HttpAnswer:
    """Puts a whole file."""
    return upload.ask("PUT", headers, content, below)


def put_part(upload: HttpUpload, start: int, end: int = SIZE_BYTES, total: object = SIZE_BYTES) -> HttpAnswer:
    """Puts the bytes of DATA from `start` to before `end`."""
    return put(upload, DATA[start:end], {"Content-Range": f"bytes {start}-{end - 1}/{total}"})


def put_chunked(upload: HttpUpload, content: bytes = DATA) -> HttpAnswer:
    """Puts a file whose length is known at its end only."""
    with upload.open("PUT", {"Transfer-Encoding": "chunked"}) as request:
        for at in range(0, len(content), 50_000):
            request.send_chunk(content[at : at + 50_000])
        request.send_chunk(b"")
        return request.answer()


def begun(upload: HttpUpload, size_bytes: int = HALF) -> HttpUpload:
    """Returns an upload with the first bytes of DATA."""
    assert put_part(upload, 0, size_bytes).status == 202
    return upload


def assert_finished(answer: HttpAnswer, app: ScriptedApp, file: FileBytes = FILE) -> None:
    """The client was told that the app has this file, and the app has it."""
    assert (answer.status, answer.body) == (200, FINISHED)
    assert answer.offset_bytes == file.length_bytes
    assert [one.sha256 for one in app.deliveries] == [file.sha256]


def code_of(answer: HttpAnswer) -> tuple[int, str]:
    """Returns the status and the stable code of an answer for an error."""
    return answer.status, answer.headers["incoming-error"]


@pytest.fixture
def server(patient_server: RunningServer) -> RunningServer:
    """The server of these tests."""
    return patient_server


# --- a whole file ------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_file_is_put_in_one_request_and_the_answer_means_that_the_app_has_it(
    server: RunningServer, app: ScriptedApp, prefix: str
) -> None:
    assert_finished(put(HttpUpload(server.url, new_upload(server, app.url), prefix)), app)


def test_a_file_of_unknown_length_is_as_long_as_what_came(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    assert_finished(put_chunked(new_http_upload()), app)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_empty_file_is_a_file(new_http_upload: NewHttpUpload, app: ScriptedApp, chunked: bool) -> None:
    answer = put_chunked(new_http_upload(), b"") if chunked else put(new_http_upload(), b"")
    assert_finished(answer, app, FileBytes(0))


def test_a_small_file_may_be_posted_as_it_is(new_http_upload: NewHttpUpload, app: ScriptedApp) -> None:
    answer = new_http_upload().ask("POST", {"Content-Type": "application/octet-stream"}, DATA)
    assert_finished(answer, app)


@pytest.mark.parametrize(
    ("below", "name"),
    [
        ("", "upload"),
        ("/", "upload"),
        ("/report.pdf", "report.pdf"),
        ("/%C3%9Cbung%20%231.txt", "Übung #1.txt"),
        ("/%3Cb%3E.txt", "<b>.txt"),
        ("/%2e%2e", "upload"),
    ],
)
def test_the_name_at_the_end_of_the_address_is_the_name_of_the_file(
    new_http_upload: NewHttpUpload, app: ScriptedApp, below: str, name: str
) -> None:
    assert put(new_http_upload(), below=below).status == 200
    assert app.deliveries[0].fields["filenameFromBrowser"] == name


def test_a_ticket_at_the_end_of_the_address_is_not_a_file_name(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = new_http_upload()
    assert put(upload, below=f"/{upload.ticket_id}").status == 200
    assert app.deliveries[0].fields["filenameFromBrowser"] == "upload"


def test_a_header_may_name_the_file(new_http_upload: NewHttpUpload, app: ScriptedApp) -> None:
    said = "attachment; filename=\"a.txt\"; filename*=UTF-8''%c3%9c.txt"
    assert put(new_http_upload(), headers={"Content-Disposition": said}).status == 200
    assert app.deliveries[0].fields["filenameFromBrowser"] == "Ü.txt"


def test_a_client_that_accepts_json_gets_the_state(new_http_upload: NewHttpUpload) -> None:
    answer = put(new_http_upload(), headers=JSON, below="/a.txt")
    assert answer.status == 200
    assert json.loads(answer.body) == {
        "state": "finished",
        "offset_bytes": SIZE_BYTES,
        "length_bytes": SIZE_BYTES,
        "name": "a.txt",
        "reason": "",
    }


# --- until the app has the file ------------------------------------------------------------------------


def test_a_put_is_held_until_the_app_has_the_file(new_http_upload: NewHttpUpload, app: ScriptedApp) -> None:
    app.answers = [Reply(503), Reply(503), DONE]
    assert (put(new_http_upload()).status, len(app.deliveries)) == (200, 3)


def test_an_app_that_takes_long_lets_the_client_ask_again(
    hasty_server: RunningServer, new_hasty_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    app.answers = [WAIT]
    upload = new_hasty_upload()
    answer = put(upload)
    assert (answer.status, answer.offset_bytes) == (202, LAST)
    assert answer.headers["location"] == upload.ticket_id
    assert int(answer.headers["retry-after"]) > 0
    assert f"curl '{upload.url}?wait=25'".encode() in answer.body
    wait_until(lambda: b'"waiting"' in upload.ask("GET").body, "the app waits")
    again = put(upload, headers=JSON)
    assert (again.status, json.loads(again.body)["state"]) == (202, "waiting")
    assert finish_upload(hasty_server, upload.ticket_id).text == "ok"
    assert put(upload).status == 200
    assert len(app.deliveries) == 1


def test_a_refusal_by_the_app_ends_the_upload_with_a_sentence(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    app.answers = [Reply(403, "no videos")]
    upload = new_http_upload()
    for answer in (put(upload), put(upload)):
        assert code_of(answer) == (422, "handover_failed")
        assert b"The app did not accept the file" in answer.body


def test_an_upload_that_the_app_cancels_ends_with_a_sentence(
    server: RunningServer, new_http_upload: NewHttpUpload
) -> None:
    upload = begun(new_http_upload())
    with upload.open(
        "PUT", {"Content-Range": f"bytes {HALF}-{LAST}/{SIZE_BYTES}", "Content-Length": HALF}
    ) as request:
        request.send(DATA[HALF:-1])
        wait_until(lambda: server.stored_file(upload.ticket_id).stat().st_size > HALF, "more is stored")
        assert cancel_upload(server, upload.ticket_id).text == "ok"
        assert code_of(request.answer()) == (410, "cancelled")
    assert code_of(put(upload)) == (410, "cancelled")


# --- resuming ------------------------------------------------------------------------------------------


def test_parts_that_follow_each_other_make_the_file(new_http_upload: NewHttpUpload, app: ScriptedApp) -> None:
    upload = new_http_upload()
    for start in range(0, SIZE_BYTES - 100_000, 100_000):
        answer = put_part(upload, start, start + 100_000)
        assert (answer.status, answer.offset_bytes) == (202, start + 100_000)
        assert answer.body.decode().startswith(f"Stored {start + 100_000} bytes of {SIZE_BYTES}.")
    assert_finished(put_part(upload, 200_000), app)


def test_the_length_may_be_said_with_the_last_part(new_http_upload: NewHttpUpload, app: ScriptedApp) -> None:
    upload = new_http_upload()
    assert put_part(upload, 0, HALF, "*").body.startswith(f"Stored {HALF} bytes. ".encode())
    assert_finished(put_part(upload, HALF), app)


@pytest.mark.parametrize("start", [1000, HALF - 1, HALF + 1, LAST])
def test_a_part_that_does_not_begin_where_the_stored_bytes_end_is_refused_with_the_command_that_resumes(
    server: RunningServer, new_http_upload: NewHttpUpload, start: int
) -> None:
    upload = begun(new_http_upload())
    answer = put_part(upload, start)
    assert code_of(answer) == (409, "offset_mismatch")
    assert answer.offset_bytes == HALF
    assert f"\nResume with: curl -T FILE -C {HALF} {upload.url}\n" in answer.body.decode()
    assert server.stored_file(upload.ticket_id).read_bytes() == DATA[:HALF]


def test_no_line_of_the_log_has_the_command_with_the_whole_ticket(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server()  # of many refusals in a minute, a server logs only the first ones
    upload = begun(HttpUpload(server.url, new_upload(server, app.url)))
    put_part(upload, 7)
    assert f"upload {upload.ticket_id[:8]}: claim refused (offset_mismatch)" in server.log_text()
    assert upload.ticket_id not in server.log_text()


def test_the_byte_that_is_withheld_may_come_again(
    hasty_server: RunningServer, new_hasty_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    app.answers = [WAIT]
    upload = new_hasty_upload()
    assert put(upload).offset_bytes == LAST
    assert put_part(upload, LAST).status == 202
    assert finish_upload(hasty_server, upload.ticket_id).text == "ok"
    assert_finished(put_part(upload, LAST), app)


def stored_bytes(upload: HttpUpload) -> int:
    """Returns how much is stored, without taking the upload from the request that stores it."""
    state: dict[str, int] = json.loads(upload.ask("GET").body)
    return state["offset_bytes"]


def test_what_arrived_before_the_connection_broke_is_stored_and_the_rest_resumes(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = new_http_upload()
    with upload.open("PUT", {"Content-Length": SIZE_BYTES}) as request:
        request.send(DATA[:123_457])
    wait_until(lambda: stored_bytes(upload) == 123_457, "all that came is stored")
    assert_finished(put_part(upload, 123_457), app)


def test_a_file_of_unknown_length_that_breaks_off_is_not_taken_for_a_whole_one(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = new_http_upload()
    with upload.open("PUT", {"Transfer-Encoding": "chunked"}) as request:
        request.send_chunk(DATA[:HALF])
    wait_until(lambda: stored_bytes(upload) == HALF, "all that came is stored")
    assert not app.deliveries
    assert_finished(put_chunked(upload), app)


# --- the same file from the start once more ------------------------------------------------------------


def test_a_range_that_is_the_whole_file_is_a_put_from_the_start(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = begun(new_http_upload())
    other = {"Content-Range": f"bytes 0-{LAST}/{SIZE_BYTES}"}
    assert code_of(put(upload, OTHER_AT_THE_START, other)) == (409, "wrong_file")
    assert_finished(put_part(upload, 0), app)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_put_from_the_start_compares_what_is_stored_and_stores_the_rest(
    new_http_upload: NewHttpUpload, app: ScriptedApp, chunked: bool
) -> None:
    upload = begun(new_http_upload())
    assert_finished(put_chunked(upload) if chunked else put(upload), app)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("content", [OTHER_AT_THE_START, DATA[: HALF - 1]])
def test_another_file_from_the_start_is_refused_and_changes_nothing(
    server: RunningServer, new_http_upload: NewHttpUpload, content: bytes, chunked: bool
) -> None:
    upload = begun(new_http_upload())
    answer = put_chunked(upload, content) if chunked else put(upload, content)
    assert answer.status == 409
    assert server.stored_file(upload.ticket_id).read_bytes() == DATA[:HALF]
    assert upload.ask("HEAD").offset_bytes == HALF


TUS: Final = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}


@pytest.mark.parametrize(
    ("method", "headers"),
    [("PUT", {}), ("POST", TUS | {"Upload-Length": str(HALF)})],
    ids=["PUT", "tus"],
)
def test_another_file_that_has_as_many_bytes_as_are_stored_does_not_complete_an_upload_of_unknown_length(
    new_http_upload: NewHttpUpload, app: ScriptedApp, method: str, headers: Headers
) -> None:
    upload = new_http_upload()
    part = {"Content-Range": f"bytes 0-{HALF - 1}/*"}
    assert put(upload, DATA[:HALF], part).status == 202
    answer = upload.ask(method, headers, OTHER_AT_THE_START[:HALF])
    assert answer.headers["incoming-error"] == "wrong_file"
    assert_finished(put(upload), app)


def test_another_length_is_refused_before_the_file_comes(new_http_upload: NewHttpUpload) -> None:
    upload = begun(new_http_upload())
    with upload.open("PUT", {"Content-Length": SIZE_BYTES + 1, "Expect": "100-continue"}) as request:
        assert code_of(request.answer()) == (409, "length_mismatch")


@pytest.mark.parametrize("size_bytes", [HALF, SIZE_BYTES - 1])
def test_a_body_that_is_shorter_than_the_file_is_refused_and_not_handed_over(
    new_http_upload: NewHttpUpload, app: ScriptedApp, size_bytes: int
) -> None:
    upload = new_http_upload(lengthBytes=str(SIZE_BYTES))
    assert code_of(put_chunked(upload, DATA[:size_bytes])) == (409, "length_mismatch")
    assert not app.deliveries


def test_a_body_that_is_longer_than_the_file_is_refused_at_the_first_byte_too_many(
    server: RunningServer, new_http_upload: NewHttpUpload
) -> None:
    upload = new_http_upload(lengthBytes=str(HALF))
    assert code_of(put_chunked(upload)) == (413, "too_many_bytes")
    assert server.stored_file(upload.ticket_id).read_bytes() == b"", "another file leaves nothing behind"


def test_a_put_whose_answer_was_lost_gets_it_when_it_is_repeated(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = new_http_upload()
    assert_finished(put(upload), app)
    assert_finished(put(upload), app)
    assert_finished(put_chunked(upload), app)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_put_that_is_repeated_while_the_app_takes_its_time_hands_nothing_over_again(
    new_hasty_upload: NewHttpUpload, app: ScriptedApp, chunked: bool
) -> None:
    app.answers = [WAIT]
    upload = new_hasty_upload()
    assert put(upload).status == 202
    assert (put_chunked(upload) if chunked else put(upload)).status == 202
    assert len(app.wait_for(1)) == 1


@pytest.mark.parametrize("content", [OTHER_AT_THE_START, OTHER_AT_THE_END])
def test_another_file_is_not_taken_for_the_one_that_the_app_has(
    new_http_upload: NewHttpUpload, content: bytes
) -> None:
    upload = new_http_upload()
    assert put(upload).status == 200
    assert code_of(put(upload, content)) == (409, "wrong_file")
    assert code_of(put_chunked(upload, content)) == (409, "wrong_file")


def test_an_upload_that_began_over_a_websocket_continues_with_a_put(
    server: RunningServer, new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = new_http_upload()
    client = ClientV1(server.url, upload.ticket_id, FILE)
    client.open().send_until_acked(HALF)
    assert_finished(put(upload), app)
    client.drop()


# --- digests -------------------------------------------------------------------------------------------

LARGE_BYTES: Final = 9_000_000
"""More than a buffer has, so such a body is stored before its digest is known."""


@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize("stored_bytes", [0, HALF, SIZE_BYTES])
def test_a_file_with_the_digest_that_its_client_names_is_handed_over(
    new_http_upload: NewHttpUpload, app: ScriptedApp, header: str, stored_bytes: int
) -> None:
    upload = new_http_upload()
    if stored_bytes:
        put_part(upload, 0, stored_bytes)
    assert_finished(put(upload, headers={header: digest("sha-256", DATA)}), app)


@pytest.mark.parametrize(
    ("method", "size_bytes"), [("PUT", SIZE_BYTES), ("PUT", LARGE_BYTES), ("POST", SIZE_BYTES)]
)
@pytest.mark.parametrize(("chunked", "stored_bytes"), [(False, 0), (True, 0), (False, HALF), (True, HALF)])
def test_of_a_file_without_the_digest_of_its_body_nothing_is_stored(  # noqa: PLR0913, PLR0917 - its inputs
    new_http_upload: NewHttpUpload, app: ScriptedApp, method: str, size_bytes: int, chunked: bool,
    stored_bytes: int,
) -> None:  # fmt: skip
    file = FileBytes(size_bytes, 5)
    data, upload = file.read(0, size_bytes), new_http_upload()
    if stored_bytes:
        begin = {"Content-Range": f"bytes 0-{stored_bytes - 1}/{size_bytes}"}
        assert put(upload, data[:stored_bytes], begin).status == 202
    length = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(size_bytes))
    headers = dict([length, ("Content-Digest", digest("sha-256", data[1:])), ("Content-Type", "video/mp4")])
    with upload.open(method, headers) as request:
        if chunked:
            request.send_chunk(data)
            request.send_chunk(b"")
        else:
            request.send(data)
        assert code_of(request.answer()) == (400, "checksum_mismatch")
    assert upload.ask("HEAD").offset_bytes == stored_bytes
    assert not app.deliveries
    assert_finished(put(upload, data, {"Content-Digest": digest("crc32c", data)}), app, file)


def test_a_part_has_the_digest_of_its_own_body(new_http_upload: NewHttpUpload, app: ScriptedApp) -> None:
    upload = begun(new_http_upload())
    part = {"Content-Range": f"bytes {HALF}-{LAST}/{SIZE_BYTES}"}
    rest = DATA[HALF:]
    assert code_of(put(upload, rest, part | {"Content-Digest": digest("md5", DATA)})) == (
        400, "checksum_mismatch",
    )  # fmt: skip
    assert upload.ask("HEAD").offset_bytes == HALF
    digests = {"Content-Digest": digest("md5", rest), "Repr-Digest": digest("sha-512", DATA)}
    assert_finished(put(upload, rest, part | digests), app)


def test_a_file_with_another_digest_than_its_client_names_is_not_handed_over(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = new_http_upload()
    answer = put(upload, headers={"Repr-Digest": digest("sha-256", DATA[1:])})
    assert code_of(answer) == (422, "digest_mismatch")
    wait_until(lambda: app.deliveries, "the app is told")
    assert "digest" in app.deliveries[0].fields["cancelReason"]


# --- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-Range": "bytes 0-9/5"}, (400, "bad_header")),
        ({"Content-Range": "bytes 0-/5"}, (400, "bad_header")),
        ({"Content-Range": f"bytes 0-{LAST - 1}/{SIZE_BYTES}"}, (400, "bad_header")),
        ({"Content-Digest": "sha-256"}, (400, "bad_header")),
        ({"Repr-Digest": "sha-256=:AAAA:"}, (400, "bad_header")),
        ({"Content-Encoding": "gzip"}, (415, "unsupported_coding")),
        ({"Upload-Offset": "5"}, (400, "bad_header")),
        ({"Upload-Offset": "5", "X-HTTP-Method-Override": "PATCH"}, (400, "bad_header")),
        ({"Upload-Length": str(SIZE_BYTES + 1)}, (400, "bad_header")),
        ({"Content-Range": f"bytes 0-{LAST}/*", "Upload-Offset": "1"}, (400, "bad_header")),
        ({"Upload-Checksum": "sha1 AAAA"}, (400, "bad_header")),
    ],
)
def test_a_bad_header_is_refused_before_the_body_is_read(
    server: RunningServer, new_http_upload: NewHttpUpload, headers: Headers, code: tuple[int, str]
) -> None:
    upload = new_http_upload()
    with upload.open("PUT", {**headers, "Content-Length": SIZE_BYTES, "Expect": "100-continue"}) as request:
        assert code_of(request.answer()) == code
    assert server.journaled_state(upload.ticket_id) == "issued"


def test_headers_of_tus_that_say_the_same_as_the_request_change_nothing(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    said = {"Upload-Offset": "0", "Upload-Length": str(SIZE_BYTES), "Upload-Checksum": checksum("md5", DATA)}
    assert_finished(put(new_http_upload(), headers=said), app)


def test_a_file_without_the_checksum_of_tus_that_came_with_it_is_not_stored(
    new_http_upload: NewHttpUpload,
) -> None:
    upload = new_http_upload()
    answer = put(upload, headers={"Upload-Checksum": checksum("md5", DATA[1:])})
    assert code_of(answer) == (400, "checksum_mismatch")
    assert upload.ask("HEAD").offset_bytes == 0


@pytest.mark.parametrize("is_right", [True, False])
def test_a_digest_may_come_after_a_chunked_body(
    new_http_upload: NewHttpUpload, app: ScriptedApp, is_right: bool
) -> None:
    upload, said = new_http_upload(), digest("sha-256", DATA if is_right else DATA[1:])
    with upload.open("PUT", {"Transfer-Encoding": "chunked", "Trailer": "Content-Digest"}) as request:
        request.send_chunk(DATA)
        request.send(f"0\r\nContent-Digest: {said}\r\n\r\n".encode())
        answer = request.answer()
    if is_right:
        assert_finished(answer, app)
    else:
        assert code_of(answer) == (400, "checksum_mismatch")
        assert upload.ask("HEAD").offset_bytes == 0


FORM_HEAD: Final = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
WAYS: Final[dict[str, tuple[str, dict[str, str], bytes, bytes]]] = {
    "PUT": ("PUT", {}, b"", b""),
    "form": ("POST", {"Content-Type": "multipart/form-data; boundary=b"}, FORM_HEAD, b"\r\n--b--\r\n"),
    "tus": (
        "POST",
        {
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(LARGE_BYTES),
            "Content-Type": "application/offset+octet-stream",
        },
        b"",
        b"",
    ),
    "IETF": ("POST", {"Upload-Draft-Interop-Version": "8", "Upload-Complete": "?1"}, b"", b""),
}


@pytest.mark.parametrize("is_right", [True, False])
@pytest.mark.parametrize(("method", "headers", "before", "after"), WAYS.values(), ids=WAYS)
def test_the_digest_of_the_file_may_come_after_a_chunked_body(  # noqa: PLR0913, PLR0917 - its inputs
    new_http_upload: NewHttpUpload, app: ScriptedApp, method: str, headers: dict[str, str], before: bytes,
    after: bytes, is_right: bool,
) -> None:  # fmt: skip
    file = FileBytes(LARGE_BYTES, 5)
    data, upload = file.read(0, LARGE_BYTES), new_http_upload()
    said = digest("sha-512", data if is_right else data[1:])
    announced = {"Transfer-Encoding": "chunked", "Trailer": "repr-digest"}
    with upload.open(method, {**headers, **announced}) as request:
        request.send_chunk(before + data + after)
        request.send(f"0\r\nRepr-Digest: {said}\r\n\r\n".encode())
        while (answer := request.answer()).status < 200:
            pass  # an interim one
    if is_right:
        assert 200 <= answer.status < 300
        assert [one.sha256 for one in app.deliveries] == [file.sha256]
    else:
        assert code_of(answer) == (422, "digest_mismatch")
        wait_until(lambda: app.deliveries, "the app is told")
        assert "digest" in app.deliveries[0].fields["cancelReason"]


def test_the_digest_of_the_file_may_come_after_its_last_part(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = new_http_upload(lengthBytes=str(SIZE_BYTES))
    put_part(upload, 0, HALF)
    tus = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(HALF), "Trailer": "Repr-Digest"}
    media_type = {"Content-Type": "application/offset+octet-stream", "Transfer-Encoding": "chunked"}
    with upload.open("PATCH", {**tus, **media_type}) as request:
        request.send_chunk(DATA[HALF:])
        request.send(f"0\r\nRepr-Digest: {digest('md5', DATA[1:])}\r\n\r\n".encode())
        assert code_of(request.answer()) == (422, "digest_mismatch")
    assert all(one.fields["cancelled"] == "yes" for one in app.deliveries)


def test_a_malformed_digest_after_the_body_is_refused_and_the_file_may_come_again(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = new_http_upload()
    with upload.open("PUT", {"Transfer-Encoding": "chunked", "Trailer": "Repr-Digest"}) as request:
        request.send_chunk(DATA)
        request.send(b"0\r\nRepr-Digest: sha-256=:AAAA:\r\n\r\n")
        assert code_of(request.answer()) == (400, "bad_header")
    assert not app.deliveries
    assert_finished(put(upload, headers={"Repr-Digest": digest("sha-256", DATA)}), app)


def test_a_body_without_a_length_is_not_finished_before_the_length_that_its_header_says(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = new_http_upload()
    with upload.open("PUT", {"Transfer-Encoding": "chunked", "Upload-Length": SIZE_BYTES}) as request:
        request.send_chunk(DATA[:HALF])
        request.send_chunk(b"")
        assert code_of(request.answer()) == (409, "length_mismatch")
    assert_finished(put(upload), app)


@pytest.mark.parametrize("media_type", [{}, {"Content-Type": "application/x-www-form-urlencoded"}])
def test_a_post_that_means_no_file_is_not_taken_for_one(
    server: RunningServer, new_http_upload: NewHttpUpload, media_type: Headers
) -> None:
    upload = new_http_upload()
    assert code_of(upload.ask("POST", media_type, b"file=a.txt")) == (415, "wrong_media_type")
    assert server.journaled_state(upload.ticket_id) == "issued"


def test_a_put_without_a_body_is_not_taken_for_an_empty_file(
    server: RunningServer, new_http_upload: NewHttpUpload
) -> None:
    upload = new_http_upload()
    assert code_of(upload.ask("PUT")) == (411, "length_required")
    assert server.journaled_state(upload.ticket_id) == "issued"


def test_a_part_has_to_say_its_length(new_http_upload: NewHttpUpload) -> None:
    said = {"Transfer-Encoding": "chunked", "Content-Range": "bytes 0-9/10"}
    with new_http_upload().open("PUT", said) as request:
        assert code_of(request.answer()) == (411, "length_required")


def test_an_address_below_the_name_is_not_found(new_http_upload: NewHttpUpload) -> None:
    assert code_of(put(new_http_upload(), below="/a/b")) == (404, "not_found")


def test_an_unknown_ticket_is_not_found(server: RunningServer) -> None:
    unknown = HttpUpload(server.url, "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11")
    assert code_of(put(unknown)) == (404, "unknown_ticket")


def test_a_file_that_is_too_large_for_its_ticket_is_refused_before_it_comes(
    new_http_upload: NewHttpUpload,
) -> None:
    upload = new_http_upload(maxBytes=str(HALF))
    with upload.open("PUT", {"Content-Length": SIZE_BYTES, "Expect": "100-continue"}) as request:
        assert code_of(request.answer()) == (413, "upload_too_large")
    assert code_of(put_chunked(upload)) == (413, "upload_too_large")


def test_an_error_is_json_for_a_client_that_accepts_json(new_http_upload: NewHttpUpload) -> None:
    upload = begun(new_http_upload())
    answer = put(upload, DATA[5:], {"Content-Range": f"bytes 5-{LAST}/{SIZE_BYTES}", **JSON})
    assert json.loads(answer.body)["error"]["code"] == "offset_mismatch"
    assert answer.offset_bytes == HALF


# --- takeover ------------------------------------------------------------------------------------------


def test_a_newer_put_takes_over_from_one_that_is_stuck(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = new_http_upload()
    with upload.open("PUT", {"Content-Length": SIZE_BYTES}) as stuck:
        stuck.send(DATA[:HALF])
        wait_until(lambda: json.loads(upload.ask("GET").body)["offset_bytes"] == HALF, "half is stored")
        assert_finished(put(upload), app)
        assert code_of(stuck.answer()) == (400, "taken_over")
