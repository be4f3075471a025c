"""A form of a page without a script, at a real server: what is stored, and where the browser goes."""

from __future__ import annotations

import json
from typing import Final

import pytest

from tests.http_uploads.conftest import NewHttpUpload
from tests.support.app import WAIT, Reply, ScriptedApp
from tests.support.data import FileBytes
from tests.support.digests import digest
from tests.support.http_upload import Headers, HttpAnswer, HttpUpload
from tests.support.server import RunningServer, finish_upload
from tests.support.tus import checksum
from tests.support.waiting import wait_until

SIZE_BYTES: Final = 300_000
FILE: Final = FileBytes(SIZE_BYTES, 2)
DATA: Final = FILE.read(0, SIZE_BYTES)
LARGE: Final = FileBytes(40_000_000, 3)
"""Larger than any buffer of the server."""
BOUNDARY: Final = "----WebKitFormBoundaryAbC0dEfGh1jK2lMn"
FORM: Final = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
HTML: Final = {**FORM, "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
END: Final = f"--{BOUNDARY}--\r\n".encode()
RETURN_URL: Final = "https://app.example/thanks?a=1&b=2"


def part(
    name: bytes, content: bytes, file_name: bytes | None = None, headers: Headers | None = None
) -> bytes:
    """Returns a field of a form, or a file in it."""
    file = b"" if file_name is None else b'; filename="%s"\r\nContent-Type: video/mp4' % file_name
    more = "".join(f"\r\n{name}: {value}" for name, value in (headers or {}).items()).encode()
    head = b'Content-Disposition: form-data; name="%s"%s%s' % (name, file, more)
    return b"--%s\r\n%s\r\n\r\n%s\r\n" % (BOUNDARY.encode(), head, content)


def form(content: bytes = DATA, name: bytes = b"a.mov") -> bytes:
    """Returns a form with a file between two fields."""
    return part(b"title", b"Holiday") + part(b"file", content, name) + part(b"note", b"x" * 500) + END


def send(upload: HttpUpload, body: bytes, headers: dict[str, str] = HTML) -> HttpAnswer:
    """Sends a form as a browser does."""
    return upload.ask("POST", headers, body)


def state(upload: HttpUpload) -> str:
    """Returns the state of an upload."""
    return str(json.loads(upload.ask("GET").body)["state"])


@pytest.fixture
def server(patient_server: RunningServer) -> RunningServer:
    """The server of these tests."""
    return patient_server


# --- one file ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", [FILE, LARGE, FileBytes(0)], ids=["small", "large", "empty"])
def test_the_file_in_a_form_reaches_the_app(
    new_http_upload: NewHttpUpload, app: ScriptedApp, file: FileBytes
) -> None:
    upload = new_http_upload()
    answer = send(upload, form(file.read(0, file.length_bytes)))
    assert (answer.status, answer.headers["location"]) == (303, upload.ticket_id)
    assert [one.sha256 for one in app.deliveries] == [file.sha256]
    assert app.deliveries[0].fields["filenameFromBrowser"] == "a.mov"
    assert b"Finished" in upload.ask("GET", HTML).body


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("Ünnüz %22漢%22.mov".encode(), 'Ünnüz "漢".mov'),
        (b"\xdcbung.mov", "Übung.mov"),
        (rb"C:\Users\me\a.mov", "a.mov"),
        (b"../../etc/passwd", "passwd"),
    ],
)
def test_the_name_of_the_file_is_what_its_user_sees(
    new_http_upload: NewHttpUpload, app: ScriptedApp, sent: bytes, name: str
) -> None:
    assert send(new_http_upload(), form(DATA, sent)).status == 303
    assert app.deliveries[0].fields["filenameFromBrowser"] == name


def test_the_browser_is_sent_to_the_page_that_the_app_has_chosen(new_http_upload: NewHttpUpload) -> None:
    answer = send(
        new_http_upload(returnURL=RETURN_URL), form() + part(b"returnURL", b"https://evil.example/")
    )
    assert (answer.status, answer.headers["location"]) == (303, RETURN_URL)


def test_the_browser_waits_on_a_page_until_the_app_has_the_file(
    hasty_server: RunningServer, new_hasty_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    app.answers = [WAIT]
    upload = new_hasty_upload(returnURL=RETURN_URL)
    answer = send(upload, form())
    assert (answer.status, answer.headers["location"]) == (303, upload.ticket_id)
    assert b"The file has arrived" in upload.ask("GET", HTML).body
    wait_until(lambda: state(upload) == "waiting", "the app waits")
    with upload.open("GET", HTML, "?wait=25") as held:
        assert finish_upload(hasty_server, upload.ticket_id).text == "ok"
        arrived = held.answer()
    assert (arrived.status, arrived.headers["location"]) == (303, RETURN_URL)


def test_a_client_that_wants_no_page_gets_a_sentence(new_http_upload: NewHttpUpload) -> None:
    answer = send(new_http_upload(returnURL=RETURN_URL), form(), FORM)
    assert (answer.status, answer.body) == (200, b"The app has the file.\n")


def test_a_form_may_come_in_chunks(new_http_upload: NewHttpUpload, app: ScriptedApp) -> None:
    with new_http_upload().open("POST", {**HTML, "Transfer-Encoding": "chunked"}) as request:
        body = form()
        for at in range(0, len(body), 7777):
            request.send_chunk(body[at : at + 7777])
        request.send_chunk(b"")
        assert request.answer().status == 303
    assert app.deliveries[0].sha256 == FILE.sha256


def test_a_refusal_by_the_app_is_a_page_that_says_so(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    app.answers = [Reply(403)]
    answer = send(new_http_upload(returnURL=RETURN_URL), form())
    assert (answer.status, answer.headers["incoming-error"]) == (422, "handover_failed")
    assert b"The app did not accept the file" in answer.body
    assert b'<a href="https://app.example/thanks?a=1&amp;b=2">' in answer.body


def test_the_same_form_once_more_gets_the_same_answer(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = new_http_upload()
    assert [send(upload, form()).status for _ in range(2)] == [303, 303]
    assert len(app.deliveries) == 1
    assert send(upload, form(DATA[:-1] + b"x")).status == 409


# --- digests ---------------------------------------------------------------------------------------------

OF_FORM: Final = form()
NOT_SENT: Final = b"something else"


def form_with(headers: Headers) -> bytes:
    """Returns a form with a file that has these headers."""
    return part(b"file", DATA, b"a.mov", headers) + END


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (OF_FORM, {"Content-Digest": digest("sha-256", OF_FORM)}),
        (OF_FORM, {"Upload-Checksum": checksum("sha1", OF_FORM)}),
        (OF_FORM, {"Repr-Digest": digest("sha-256", DATA)}),
        (form_with({"Content-Digest": digest("sha-256", DATA)}), {}),
        (form_with({"repr-digest": digest("sha-512", DATA)}), {}),
    ],
)
def test_a_form_with_the_digest_that_came_with_it_is_handed_over(
    new_http_upload: NewHttpUpload, app: ScriptedApp, body: bytes, headers: dict[str, str]
) -> None:
    assert send(new_http_upload(), body, HTML | headers).status == 303
    assert [one.sha256 for one in app.deliveries] == [FILE.sha256]


@pytest.mark.parametrize("file", [FILE, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    ("headers", "of_file"),
    [
        ({"Content-Digest": digest("sha-256", NOT_SENT)}, {}),
        ({"Upload-Checksum": checksum("sha1", NOT_SENT)}, {}),
        ({}, {"Content-Digest": digest("sha-256", NOT_SENT)}),
    ],
)
def test_of_a_form_with_another_digest_than_came_with_it_nothing_is_stored(
    new_http_upload: NewHttpUpload,
    app: ScriptedApp,
    file: FileBytes,
    headers: dict[str, str],
    of_file: Headers,
) -> None:
    upload, content = new_http_upload(), file.read(0, file.length_bytes)
    answer = send(upload, part(b"file", content, b"a.mov", of_file) + END, FORM | headers)
    assert (answer.status, answer.headers["incoming-error"]) == (400, "checksum_mismatch")
    assert upload.ask("HEAD").offset_bytes == 0
    assert app.deliveries == []


@pytest.mark.parametrize("is_of_file", [False, True])
def test_a_form_with_another_digest_of_the_file_than_its_client_names_is_not_handed_over(
    new_http_upload: NewHttpUpload, app: ScriptedApp, is_of_file: bool
) -> None:
    named = {"Repr-Digest": digest("sha-256", NOT_SENT)}
    body, headers = (form_with(named), FORM) if is_of_file else (OF_FORM, FORM | named)
    answer = send(new_http_upload(), body, headers)
    assert (answer.status, answer.headers["incoming-error"]) == (422, "digest_mismatch")
    wait_until(lambda: app.deliveries, "the app is told")
    assert "digest" in app.deliveries[0].fields["cancelReason"]


# --- what is refused, and that nothing of it is kept ----------------------------------------------------


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (part(b"file", b"", b"") + END, "No file was chosen."),
        (part(b"title", b"x") + END, "The form has no field for a file."),
        (part(b"a", b"1", b"a") + part(b"b", b"2", b"b") + END, "The form has several files."),
        (part(b"a", DATA, b"a") + part(b"b", b"2", b"b") + END, "The form has several files."),
        (form()[:-6], "The form is incomplete"),
        (b"a=b", "The form is malformed"),
        (part(b"a", DATA, b"a") + part(b"t", b"x" * 200_000) + END, "100 KiB"),
        (part(b"a", DATA, b"a", {"Content-Range": "bytes 0-299999/900000"}) + END, "a part of a file"),
        (part(b"dztotalchunkcount", b"3") + part(b"a", DATA, b"a") + END, "a part of a file"),
        (part(b"a", DATA, b"a") + part(b"flowTotalChunks", b"20") + END, "a part of a file"),
        (part(b"chunk", b"0") + part(b"chunks", b"3") + part(b"a", DATA, b"a") + END, "a part of a file"),
        (part(b"a", DATA, b"a", {"Content-Encoding": "gzip"}) + END, "Content-Encoding is not supported"),
        (part(b"a", DATA, b"a", {"Content-Disposition": 'form-data; name="b"'}) + END, "two names"),
    ],
)
def test_a_form_without_exactly_one_file_is_refused_with_a_page_and_nothing_is_kept(
    server: RunningServer, new_http_upload: NewHttpUpload, app: ScriptedApp, body: bytes, sentence: str
) -> None:
    upload = new_http_upload()
    answer = send(upload, body)
    assert answer.status in (400, 413)
    assert sentence in answer.body.decode()
    assert b"<form " in answer.body
    assert upload.ask("HEAD").offset_bytes == 0
    assert send(upload, form()).status == 303
    assert [one.sha256 for one in app.deliveries] == [FILE.sha256]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-299999/900000"},
        {"Content-Range": "bytes 300000-599999/900000"},
        {"Content-Range": "bytes 0-299999/*"},
        {"Upload-Offset": "300000"},
    ],
)
def test_a_form_whose_headers_say_that_it_has_a_part_of_a_file_is_not_taken_for_the_whole(
    new_http_upload: NewHttpUpload, app: ScriptedApp, headers: dict[str, str]
) -> None:
    upload = new_http_upload()
    answer = send(upload, form(), FORM | headers)
    assert (answer.status, answer.headers["incoming-error"]) == (400, "bad_header")
    assert (state(upload), app.deliveries) == ("issued", [])


PLAIN: Final = {"Content-Type": "application/octet-stream"}
RESUMABLE: Final = "?resumableChunkNumber=1&resumableTotalChunks={parts}&resumableFilename=a.mov"


@pytest.mark.parametrize("headers", [FORM, PLAIN], ids=["form", "body"])
def test_a_request_whose_query_says_that_it_has_a_part_of_a_file_is_not_taken_for_the_whole(
    new_http_upload: NewHttpUpload, app: ScriptedApp, headers: dict[str, str]
) -> None:
    upload = new_http_upload()
    body = form() if headers is FORM else DATA
    answer = upload.ask("POST", headers, body, RESUMABLE.format(parts=3))
    assert (answer.status, answer.headers["incoming-error"]) == (400, "bad_parameter")
    assert (state(upload), app.deliveries) == ("issued", [])
    assert upload.ask("POST", headers, body, RESUMABLE.format(parts=1)).status == 200
    assert [one.sha256 for one in app.deliveries] == [FILE.sha256]


@pytest.mark.parametrize("parts", [1, 3])
def test_a_client_that_asks_for_a_stored_part_is_told_that_none_is_there(
    new_http_upload: NewHttpUpload, parts: int
) -> None:
    answer = new_http_upload().ask("GET", below=RESUMABLE.format(parts=parts))
    assert (answer.status, answer.body) == (204, b"")


def test_a_form_may_say_that_it_has_all_bytes(new_http_upload: NewHttpUpload, app: ScriptedApp) -> None:
    said = {"Content-Range": f"bytes 0-{len(form()) - 1}/{len(form())}", "Upload-Offset": "0"}
    assert send(new_http_upload(), form(), HTML | said).status == 303
    assert [one.sha256 for one in app.deliveries] == [FILE.sha256]


@pytest.mark.parametrize("count", [b"1", b""])
def test_a_form_with_the_only_part_of_a_file_is_taken(
    new_http_upload: NewHttpUpload, app: ScriptedApp, count: bytes
) -> None:
    body = part(b"dztotalchunkcount", count) + part(b"a", DATA, b"a") + END
    assert send(new_http_upload(), body).status == 303
    assert [one.sha256 for one in app.deliveries] == [FILE.sha256]


def test_a_form_may_be_put(new_http_upload: NewHttpUpload, app: ScriptedApp) -> None:
    answer = new_http_upload().ask("PUT", FORM, form())
    assert (answer.status, answer.body) == (200, b"The app has the file.\n")
    assert [one.sha256 for one in app.deliveries] == [FILE.sha256]


def test_a_second_file_behind_a_large_one_takes_that_back(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = new_http_upload()
    content = LARGE.read(0, LARGE.length_bytes)
    assert send(upload, part(b"a", content, b"a") + part(b"b", b"2", b"b") + END).status == 400
    assert upload.ask("HEAD").offset_bytes == 0
    assert send(upload, form()).status == 303
    assert [one.sha256 for one in app.deliveries] == [FILE.sha256]


@pytest.mark.parametrize("kill", [False, True])
def test_nothing_is_kept_of_a_form_that_breaks_off(
    server: RunningServer, new_http_upload: NewHttpUpload, app: ScriptedApp, kill: bool
) -> None:
    upload = new_http_upload()
    body = form(LARGE.read(0, LARGE.length_bytes))
    with upload.open("POST", {**HTML, "Content-Length": str(len(body))}) as request:
        request.send(body[:-2000])
        wait_until(lambda: server.stored_file(upload.ticket_id).stat().st_size > 20_000_000, "most has come")
        if kill:
            server.restart()
    wait_until(lambda: state(upload) != "issued" and upload.ask("HEAD").offset_bytes == 0, "nothing is kept")
    assert not app.deliveries
    assert send(upload, form()).status == 303
    assert [one.sha256 for one in app.deliveries] == [FILE.sha256]


def test_what_another_client_has_stored_is_compared_and_kept(
    server: RunningServer, new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = new_http_upload()
    said = {"Content-Range": f"bytes 0-99999/{SIZE_BYTES}"}
    assert upload.ask("PUT", said, DATA[:100_000]).status == 202
    other = send(upload, form(b"x" * SIZE_BYTES))
    assert (other.status, other.headers["incoming-error"]) == (409, "wrong_file")
    assert upload.ask("HEAD").offset_bytes == 100_000
    assert send(upload, form()[:-6]).status == 400
    assert upload.ask("HEAD").offset_bytes == 100_000
    assert send(upload, form()).status == 303
    assert [one.sha256 for one in app.deliveries] == [FILE.sha256]


@pytest.mark.parametrize("is_form", [True, False], ids=["form", "chunked"])
@pytest.mark.parametrize("stored_bytes", [0, 100_000])
@pytest.mark.parametrize("sent_bytes", [-1, 1], ids=["shorter", "longer"])
def test_a_file_of_another_length_than_the_ticket_says_leaves_no_bytes(
    new_http_upload: NewHttpUpload, app: ScriptedApp, is_form: bool, stored_bytes: int, sent_bytes: int
) -> None:
    upload = new_http_upload(lengthBytes=str(SIZE_BYTES))
    if stored_bytes:
        said = {"Content-Range": f"bytes 0-{stored_bytes - 1}/{SIZE_BYTES}"}
        assert upload.ask("PUT", said, DATA[:stored_bytes]).status == 202
    other = DATA[:stored_bytes] + b"x" * (SIZE_BYTES - stored_bytes + sent_bytes)
    if is_form:
        refused = send(upload, form(other))
    else:
        with upload.open("PUT", {"Transfer-Encoding": "chunked"}) as request:
            request.send_chunk(other)
            request.send_chunk(b"")
            refused = request.answer()
    code = "too_many_bytes" if sent_bytes > 0 else "length_mismatch"
    assert refused.headers["incoming-error"] == code
    if sent_bytes > 0:
        assert f"the {SIZE_BYTES - stored_bytes} bytes" in refused.body.decode()
    assert upload.ask("HEAD").offset_bytes == stored_bytes
    assert upload.ask("PUT", None, DATA).status == 200
    assert [one.sha256 for one in app.deliveries] == [FILE.sha256]


def test_a_form_for_an_ended_upload_is_refused_before_it_comes(new_http_upload: NewHttpUpload) -> None:
    upload = new_http_upload()
    assert upload.ask("DELETE").status == 204
    with upload.open("POST", {**HTML, "Content-Length": "1000000000", "Expect": "100-continue"}) as request:
        answer = request.answer()
    assert (answer.status, answer.headers["incoming-error"]) == (410, "cancelled")
    assert b"The upload was cancelled" in answer.body


def test_a_form_that_is_surely_too_large_is_refused_before_it_comes(new_http_upload: NewHttpUpload) -> None:
    upload = new_http_upload(maxBytes="1000")
    with upload.open("POST", {**HTML, "Content-Length": "1000000", "Expect": "100-continue"}) as request:
        answer = request.answer()
    assert (answer.status, answer.headers["incoming-error"]) == (413, "upload_too_large")
    assert state(upload) == "issued"


def test_a_form_that_is_too_large_for_its_ticket_is_refused(new_http_upload: NewHttpUpload) -> None:
    answer = send(new_http_upload(maxBytes=str(SIZE_BYTES - 1)), form())
    assert (answer.status, answer.headers["incoming-error"]) == (413, "upload_too_large")


def test_a_refused_form_is_one_line_in_the_log(server: RunningServer, new_http_upload: NewHttpUpload) -> None:
    upload = new_http_upload()
    began = len(server.log_text())
    assert send(upload, b"\r\nnonsense").status == 400
    log = server.log_text()[began:]
    lines = [line for line in log.splitlines() if upload.ticket_id[:8] in line and "issued" not in line]
    assert len(lines) == 1
    assert "bad_form" in lines[0]
    assert "boundary" not in log, "the parser logs nothing"
    assert upload.ticket_id not in log
