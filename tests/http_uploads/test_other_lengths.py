"""Clients that begin an upload with files of different lengths, before a byte of any is stored.

A request over HTTP that has only said something locks out nobody, whichever way the next client takes. No
client that was there before takes the upload of another file for its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from tests.http_uploads.conftest import NewHttpUpload
from tests.http_uploads.test_form import END, FORM, form, part
from tests.http_uploads.test_library_session import Session
from tests.http_uploads.test_wrong_files import IETF, content
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.client_v2 import ClientV2
from tests.support.data import FileBytes
from tests.support.http_upload import HttpUpload
from tests.support.server import RunningServer
from tests.support.tus import VERSION, TusUpload
from tests.support.waiting import wait_until

RIGHT: Final = FileBytes(3000, 81)
Way = Callable[[RunningServer, HttpUpload, FileBytes], object]


@pytest.fixture
def server(patient_server: RunningServer) -> RunningServer:
    """The server of these tests."""
    return patient_server


# --- ways to say which file it is, and nothing more ---------------------------------------------------


def tus(server: RunningServer, upload: HttpUpload, file: FileBytes) -> TusUpload:
    """Returns the client, which goes to the address that it has got."""
    client = TusUpload(server.url, upload.ticket_id)
    assert client.create(file.length_bytes).status == 201
    return client


def ietf(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """A creation without content."""
    about = {"Upload-Complete": "?0", "Upload-Length": str(file.length_bytes)}
    assert upload.ask("POST", about).status == 201


def version_1(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """A WebSocket that is lost before the first chunk."""
    client = ClientV1(server.url, upload.ticket_id, file).connect()
    assert client.request()["FilePos"] == 0
    client.drop()


def version_2(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """A WebSocket that is lost before the first chunk."""
    client = ClientV2(server.url, upload.ticket_id, file).connect()
    client.request()
    client.drop()


def session(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """A session over HTTP in which no chunk comes."""
    Session(upload, content(file))


# --- ways to send all of it ---------------------------------------------------------------------------


def send_over_tus(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """A creation, and the bytes to the address that it has got."""
    client = tus(server, upload, file)
    seen = client.head()
    assert (seen.headers["upload-length"], seen.offset_bytes) == (str(file.length_bytes), 0)
    half = file.length_bytes // 2
    for start, end in ((0, half), (half, file.length_bytes)):
        assert client.append(start, content(file)[start:end]).status == 204


def send_over_ietf(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """A creation with all content."""
    assert upload.ask("POST", IETF, content(file)).status == 204


def put(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """One request."""
    assert upload.ask("PUT", None, content(file)).status == 200


def send_over_version_1(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """Over a WebSocket."""
    ClientV1(server.url, upload.ticket_id, file).upload()


def send_over_version_2(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """Over a WebSocket, with a proof."""
    ClientV2(server.url, upload.ticket_id, file).upload()


SAID: Final[tuple[Way, ...]] = (tus, ietf)
"""Their length counts against others only when a byte is stored."""
FIRM: Final[tuple[Way, ...]] = (version_1, version_2, session)
"""Another length is an error from their first word on."""
WHOLE: Final[tuple[Way, ...]] = (
    send_over_tus,
    send_over_ietf,
    put,
    send_over_version_1,
    send_over_version_2,
)


@pytest.mark.parametrize("send", WHOLE)
@pytest.mark.parametrize("begin", SAID)
def test_clients_that_have_sent_nothing_of_another_file_lock_out_nobody(
    server: RunningServer, new_http_upload: NewHttpUpload, app: ScriptedApp, begin: Way, send: Way
) -> None:
    upload = new_http_upload()
    for other_bytes in (2000, 4000):  # a shorter one, and a longer one
        begin(server, upload, FileBytes(other_bytes, 82))
    send(server, upload, RIGHT)
    assert [one.sha256 for one in app.deliveries] == [RIGHT.sha256]


@pytest.mark.parametrize("other_bytes", [2000, 4000], ids=["shorter", "longer"])
@pytest.mark.parametrize("begin", SAID + FIRM)
def test_a_client_of_tus_whose_place_another_one_has_taken_is_never_told_success(
    server: RunningServer, new_http_upload: NewHttpUpload, app: ScriptedApp, begin: Way, other_bytes: int
) -> None:
    """Its whole file would be the beginning of the other one, and it takes that offset for success."""
    upload = new_http_upload()
    before = tus(server, upload, RIGHT)
    begin(server, upload, FileBytes(other_bytes, 82))
    for answer in (before.head(), before.append(0, content(RIGHT)[:1500])):
        assert answer.code == "wrong_state"
    if begin in FIRM:
        again = upload.ask("POST", {**VERSION, "Upload-Length": str(RIGHT.length_bytes)})
        assert again.code == "length_mismatch"
        return
    send_over_tus(server, upload, RIGHT)  # it begins once more
    assert [one.sha256 for one in app.deliveries] == [RIGHT.sha256]


def refused_form(server: RunningServer, upload: HttpUpload) -> None:
    """A form that the server takes back: it has two files."""
    two = part(b"file", b"x" * 200_000, b"wrong.mov") + part(b"more", b"y", b"other.mov") + END
    assert upload.ask("POST", FORM, two).status == 400


def half_a_form(server: RunningServer, upload: HttpUpload) -> None:
    """A form that breaks off."""
    assert upload.ask("POST", FORM, form(content(RIGHT), b"wrong.mov")[:-6]).status == 400


def half_a_put(server: RunningServer, upload: HttpUpload) -> None:
    """A chunked body that breaks off before its first byte."""
    with upload.open("PUT", {"Transfer-Encoding": "chunked"}, "/wrong.mov") as request:
        request.break_off(reset=False)
    wait_until(lambda: "the request broke off" in server.log_text(), "the server has seen that")


def session_of_other_name(server: RunningServer, upload: HttpUpload) -> None:
    """A session over HTTP in which no chunk comes."""
    Session(upload, content(RIGHT), name="wrong.mov")


def version_2_of_other_name(server: RunningServer, upload: HttpUpload) -> None:
    """A WebSocket that is lost before the first chunk."""
    client = ClientV2(server.url, upload.ticket_id, RIGHT, "wrong.mov").connect()
    client.request()
    client.drop()


def named_put(server: RunningServer, upload: HttpUpload) -> None:
    """One request that names the file."""
    assert upload.ask("PUT", None, content(RIGHT), "/right.mov").status == 200


def named_form(server: RunningServer, upload: HttpUpload) -> None:
    """A form."""
    assert upload.ask("POST", FORM, form(content(RIGHT), b"right.mov")).status == 200


def named_over_ietf(server: RunningServer, upload: HttpUpload) -> None:
    """A creation with all content."""
    name = {"Content-Disposition": "inline; filename=right.mov"}
    assert upload.ask("POST", {**IETF, **name}, content(RIGHT)).status == 204


def named_over_version_2(server: RunningServer, upload: HttpUpload) -> None:
    """Over a WebSocket."""
    ClientV2(server.url, upload.ticket_id, RIGHT, "right.mov").upload()


@pytest.mark.parametrize("send", [named_put, named_form, named_over_ietf, named_over_version_2])
@pytest.mark.parametrize(
    "begin", [refused_form, half_a_form, half_a_put, session_of_other_name, version_2_of_other_name]
)
def test_a_file_of_which_nothing_is_stored_does_not_give_the_next_one_its_name(
    server: RunningServer, new_http_upload: NewHttpUpload, app: ScriptedApp,
    begin: Callable[..., None], send: Callable[..., None],
) -> None:  # fmt: skip
    upload = new_http_upload()
    begin(server, upload)
    send(server, upload)
    assert [one.fields["filenameFromBrowser"] for one in app.deliveries] == ["right.mov"]
    assert [one.sha256 for one in app.deliveries] == [RIGHT.sha256]


def test_the_name_counts_with_the_first_byte(new_http_upload: NewHttpUpload, app: ScriptedApp) -> None:
    upload = new_http_upload()
    begin = {"Content-Range": f"bytes 0-0/{RIGHT.length_bytes}"}
    assert upload.ask("PUT", begin, content(RIGHT)[:1], "/first.mov").status == 202
    assert upload.ask("PUT", None, content(RIGHT), "/second.mov").status == 200
    assert [one.fields["filenameFromBrowser"] for one in app.deliveries] == ["first.mov"]


@pytest.mark.parametrize("begin", FIRM)
def test_a_length_that_was_said_over_a_websocket_counts_for_all_at_once(
    server: RunningServer, new_http_upload: NewHttpUpload, app: ScriptedApp, begin: Way
) -> None:
    upload = new_http_upload()
    begin(server, upload, RIGHT)
    assert upload.ask("POST", {**VERSION, "Upload-Length": "4000"}).code == "length_mismatch"
    with pytest.raises(UploadEnded, match="3000 bytes"):
        ClientV1(server.url, upload.ticket_id, FileBytes(4000, 82)).connect().request()
    assert upload.ask("PUT", None, content(RIGHT)).status == 200
    assert [one.sha256 for one in app.deliveries] == [RIGHT.sha256]


@pytest.mark.parametrize("begin", SAID)
def test_a_length_counts_for_all_once_a_byte_is_stored_or_if_the_app_has_set_it(
    server: RunningServer, new_http_upload: NewHttpUpload, app: ScriptedApp, begin: Way
) -> None:
    upload = new_http_upload()
    begin(server, upload, RIGHT)
    part = {"Content-Range": f"bytes 0-0/{RIGHT.length_bytes}"}
    assert upload.ask("PUT", part, content(RIGHT)[:1]).status == 202
    preset = new_http_upload(lengthBytes="3000")
    for one in (upload, preset):
        refused = one.ask("POST", {**VERSION, "Upload-Length": "4000"})
        assert refused.code == "length_mismatch"
        assert one.ask("PUT", None, content(RIGHT)).status == 200
    assert [one.sha256 for one in app.deliveries] == [RIGHT.sha256] * 2
