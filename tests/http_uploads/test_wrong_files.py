"""A client comes back with another file, to an upload whose length nobody knows yet.

Whatever it says of its file counts only once it has shown that its file is the one that is stored. So the
right file still finds the upload as it was.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Final

import pytest

from incoming.core.checksum import checksum
from tests.http_uploads.conftest import NewHttpUpload
from tests.http_uploads.test_library_session import Session, message
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.data import FileBytes
from tests.support.http_upload import HttpUpload
from tests.support.server import RunningServer
from tests.support.tus import in_base64

SIZE_BYTES: Final = 300_000
STORED_BYTES: Final = 150_000
RIGHT: Final = FileBytes(SIZE_BYTES, 81)
WRONG: Final = FileBytes(STORED_BYTES + 50_000, 82)
AS_MUCH: Final = FileBytes(STORED_BYTES, 83)
"""Another file that has as many bytes as are stored: with its length the upload would be complete."""
TUS: Final = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
IETF: Final = {"Upload-Complete": "?1"}
Way = Callable[[RunningServer, HttpUpload, FileBytes], object]


def content(file: FileBytes) -> bytes:
    """Returns all of a file."""
    return file.read(0, file.length_bytes)


def digest(file: FileBytes) -> str:
    """Returns the value of Repr-Digest."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content(file)).digest()).decode()}:"


def over_version_1(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """It has no proof. Its user sees what has happened, and goes away before a byte is sent."""
    client = ClientV1(server.url, upload.ticket_id, file).connect()
    assert client.request()["FilePos"] == STORED_BYTES
    client.drop()


def over_version_2(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """The comparison finds that it is another file."""
    with pytest.raises(UploadRefused, match="wrong_file"):
        ClientV2(server.url, upload.ticket_id, file).upload()


def over_a_session(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """The comparison finds that it is another file."""
    session = Session(upload, content(file))
    refused = session.agree()
    assert (refused.status, message(refused)[1]["Code"]) == (409, "wrong_file")
    unproved = session.complete()
    assert message(unproved)[1]["Code"] == "wrong_state"


def over_a_session_without_a_proof(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """Its client may not skip the comparison."""
    session = Session(upload, content(file))
    assert message(session.send(STORED_BYTES, b"x"))[1]["Code"] == "wrong_state"
    agreed = session.ask("PUT", "MsgAgree", {"Crc32c": [], "Compare": []})
    assert message(agreed)[1]["Code"] == "bad_message"
    assert message(session.complete())[1]["Code"] == "wrong_state"


def by_put(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """The beginning is compared."""
    assert upload.ask("PUT", None, content(file)).code == "wrong_file"


def by_put_from_a_wrong_offset(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """The offset is not where the stored bytes end."""
    part = {"Content-Range": f"bytes 7-{file.length_bytes - 1}/{file.length_bytes}"}
    assert upload.ask("PUT", part, content(file)[7:]).code == "offset_mismatch"


def by_tus(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """The content of the creation is compared."""
    about = {"Upload-Length": str(file.length_bytes), "Upload-Metadata": f"filename {in_base64('wrong.bin')}"}
    assert upload.ask("POST", {**TUS, **about}, content(file)).code == "wrong_file"


def by_tus_with_its_beginning(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """The content of the creation is shorter than what is stored, and differs."""
    about = {**TUS, "Upload-Length": str(file.length_bytes)}
    assert upload.ask("POST", about, content(file)[:1000]).code == "wrong_file"


def by_ietf(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """The content of the creation is compared."""
    about = {**IETF, "Repr-Digest": digest(file), "Content-Disposition": 'attachment; filename="wrong"'}
    assert upload.ask("POST", about, content(file)).code == "wrong_file"


def by_ietf_from_a_wrong_offset(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """The offset is not where the stored bytes end."""
    about = {
        **IETF,
        "Upload-Offset": "7",
        "Upload-Length": str(file.length_bytes),
        "Repr-Digest": digest(file),
        "Content-Type": "application/partial-upload",
    }
    assert upload.ask("PATCH", about, content(file)[7:]).code == "offset_mismatch"


def by_tus_without_content(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """Nothing shows which file it is before bytes come. They come to an address that names its length."""
    about = {"Upload-Length": str(file.length_bytes), "Upload-Metadata": f"filename {in_base64('wrong.bin')}"}
    created = upload.ask("POST", {"Tus-Resumable": "1.0.0", **about})
    assert created.status == 201
    assert created.headers["location"].endswith(f"?length={file.length_bytes}")
    address = f"?length={file.length_bytes}"
    seen = upload.ask("HEAD", {"Tus-Resumable": "1.0.0"}, below=address)
    withheld = 1 if file.length_bytes == STORED_BYTES else 0
    assert seen.headers["upload-length"] == str(file.length_bytes)
    assert seen.offset_bytes == STORED_BYTES - withheld, "no client is told success"
    nothing = {**TUS, "Upload-Offset": str(STORED_BYTES)}
    assert upload.ask("PATCH", nothing, b"", below=address).status == 204
    if withheld:
        again = {**TUS, "Upload-Offset": str(STORED_BYTES - 1)}
        last = content(file)[-1:]
        assert last != content(RIGHT)[STORED_BYTES - 1 : STORED_BYTES], "the files differ here"
        assert upload.ask("PATCH", again, last, below=address).code == "wrong_file"


def by_ietf_without_content(server: RunningServer, upload: HttpUpload, file: FileBytes) -> None:
    """Nothing shows which file it is before bytes come."""
    about = {"Upload-Complete": "?0", "Upload-Length": str(file.length_bytes), "Repr-Digest": digest(file)}
    assert upload.ask("POST", about).status == 201


WAYS: Final[tuple[Way, ...]] = (
    over_version_1,
    over_version_2,
    over_a_session,
    over_a_session_without_a_proof,
    by_put,
    by_put_from_a_wrong_offset,
    by_tus,
    by_tus_with_its_beginning,
    by_ietf,
    by_ietf_from_a_wrong_offset,
    by_tus_without_content,
    by_ietf_without_content,
)


@pytest.fixture
def server(patient_server: RunningServer) -> RunningServer:
    """The server of these tests."""
    return patient_server


def begun(upload: HttpUpload) -> HttpUpload:
    """Returns an upload of unknown length, with some bytes of the right file."""
    part = {"Content-Range": f"bytes 0-{STORED_BYTES - 1}/*"}
    assert upload.ask("PUT", part, RIGHT.read(0, STORED_BYTES)).status == 202
    return upload


def check_untouched(server: RunningServer, upload: HttpUpload) -> None:
    """The ticket knows nothing of the other file."""
    ticket = server.journaled()[upload.ticket_id]
    assert (ticket.length_bytes, ticket.upload_metadata, ticket.file_digest) == (None, "", "")
    assert not ticket.needs_proof, "else nobody but a client with a proof could complete it"
    assert upload.ask("HEAD").offset_bytes == STORED_BYTES


@pytest.mark.parametrize("file", [WRONG, AS_MUCH], ids=["another length", "as much as is stored"])
@pytest.mark.parametrize("come_back", WAYS)
def test_another_file_tells_an_upload_of_unknown_length_nothing(
    server: RunningServer, new_http_upload: NewHttpUpload, app: ScriptedApp, come_back: Way, file: FileBytes
) -> None:
    upload = begun(new_http_upload())
    come_back(server, upload, file)
    check_untouched(server, upload)
    assert not app.deliveries
    assert upload.ask("PUT", None, content(RIGHT)).status == 200
    assert [one.sha256 for one in app.deliveries] == [RIGHT.sha256]


@pytest.mark.parametrize("client", [ClientV1, ClientV2])
def test_the_right_file_continues_it_over_a_websocket_after_another_one(
    server: RunningServer,
    new_http_upload: NewHttpUpload,
    app: ScriptedApp,
    client: type[ClientV1] | type[ClientV2],
) -> None:
    upload = begun(new_http_upload())
    over_version_1(server, upload, WRONG)
    over_version_2(server, upload, WRONG)
    right = client(server.url, upload.ticket_id, RIGHT)
    right.upload()
    assert right.resumed_at == [STORED_BYTES]
    assert [one.sha256 for one in app.deliveries] == [RIGHT.sha256]


def test_the_right_file_continues_it_in_a_session_after_another_one(
    server: RunningServer, new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = begun(new_http_upload())
    over_a_session(server, upload, WRONG)
    session = Session(upload, content(RIGHT))
    assert session.agree().status == 204
    assert server.journaled()[upload.ticket_id].length_bytes == SIZE_BYTES
    session.send_from(STORED_BYTES)
    assert message(session.complete()) == (
        "MsgAllDone",
        {"Success": True, "Crc32c": checksum(content(RIGHT))},
    )
    assert [one.sha256 for one in app.deliveries] == [RIGHT.sha256]


def test_the_right_file_continues_it_over_tus_after_another_one_at_the_address_of_its_creation(
    server: RunningServer, new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    upload = begun(new_http_upload())
    by_tus_without_content(server, upload, WRONG)
    version = {"Tus-Resumable": "1.0.0"}
    created = upload.ask("POST", {**version, "Upload-Length": str(SIZE_BYTES)})
    address = f"?{created.headers['location'].partition('?')[2]}"
    assert upload.ask("HEAD", version, below=address).headers["upload-length"] == str(SIZE_BYTES)
    append = {**TUS, "Upload-Offset": str(STORED_BYTES)}
    assert upload.ask("PATCH", append, content(RIGHT)[STORED_BYTES:], below=address).status == 204
    assert [one.sha256 for one in app.deliveries] == [RIGHT.sha256]
    for method, more, body in (("HEAD", version, None), ("PATCH", append, b"x")):
        wrong = upload.ask(method, more, body, below=f"?length={WRONG.length_bytes}")
        assert wrong.code == "length_mismatch", "the client of the other file is not told success"
    assert upload.ask("HEAD", version, below="?length=x").code == "bad_parameter"


@pytest.mark.parametrize("client", [ClientV1, ClientV2])
def test_a_file_that_has_all_its_bytes_is_completed_by_who_knows_its_length(
    server: RunningServer,
    new_http_upload: NewHttpUpload,
    app: ScriptedApp,
    client: type[ClientV1] | type[ClientV2],
) -> None:
    upload = begun(new_http_upload())
    client(server.url, upload.ticket_id, FileBytes(STORED_BYTES, RIGHT.seed)).upload()
    assert [one.sha256 for one in app.deliveries] == [hashlib.sha256(RIGHT.read(0, STORED_BYTES)).hexdigest()]
