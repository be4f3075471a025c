"""Why an app has not taken a file: every way to upload, and every way to ask, tells the same reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import pytest

from tests.http_uploads.conftest import NewHttpUpload
from tests.http_uploads.test_library_session import Session
from tests.support.app import Reply, ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.data import FileBytes
from tests.support.http_upload import HttpUpload
from tests.support.ietf import NEW, IetfClient
from tests.support.server import RunningServer
from tests.support.tus import MEDIA_TYPE, TusUpload
from tests.support.upload_client import UploadError
from tests.support.waiting import wait_until

FILE: Final = FileBytes(5000, 3)
DATA: Final = FILE.read(0, 5000)
WORDS_OF_THE_APP: Final = "no album for /srv/app/cats.jpg"
REFUSAL: Final = Reply(403, WORDS_OF_THE_APP)
REASON: Final = "the app answered with status 403"
FAILURE: Final = Reply(503, WORDS_OF_THE_APP)
REASON_OF_FAILURE: Final = "the app answered with status 503"
FORM: Final = {"Content-Type": "multipart/form-data; boundary=b"}
HTML: Final = {"Accept": "text/html"}
JSON: Final = {"Accept": "application/json"}
FORM_BODY: Final = (
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\n' + DATA + b"\r\n--b--\r\n"
)
Way = Callable[[HttpUpload], str]
"""Sends the file, or asks, and returns what the client is told."""


def tus(upload: HttpUpload) -> TusUpload:
    """Returns a client of tus."""
    return TusUpload(f"http://{upload.host}:{upload.port}", upload.ticket_id)


def tus_in_parts(upload: HttpUpload, data: bytes = DATA) -> str:
    """Sends the file as the only part of a final upload."""
    client = tus(upload)
    client.create(len(data), data, Upload_Concat="partial")
    return client.send("POST", b"", Upload_Concat=f"final;{upload.url}/parts/1").text


def our_session(upload: HttpUpload) -> str:
    """Uploads as our library does where no WebSocket opens."""
    session = Session(upload, DATA)
    session.send_from(0)
    return session.complete().text


def websocket(upload: HttpUpload, version: int) -> str:
    """Uploads over a WebSocket."""
    client_of = {1: ClientV1, 2: ClientV2}[version]
    client = client_of(f"http://{upload.host}:{upload.port}", upload.ticket_id, FILE)
    try:
        with pytest.raises(UploadError) as refused:
            client.upload()
    finally:
        client.drop()
    return str(refused.value)


SENDING: Final[dict[str, Way]] = {
    "PUT": lambda upload: upload.ask("PUT", None, DATA).text,
    "PUT, as JSON": lambda upload: upload.ask("PUT", JSON, DATA).text,
    "POST": lambda upload: upload.ask("POST", {"Content-Type": "video/mp4"}, DATA).text,
    "a form of a browser": lambda upload: upload.ask("POST", FORM | HTML, FORM_BODY).text,
    "a form of a program": lambda upload: upload.ask("POST", FORM, FORM_BODY).text,
    "tus": lambda upload: tus(upload).create(len(DATA), DATA).text,
    "tus, an empty file": lambda upload: tus(upload).create(0).text,
    "tus in parts": tus_in_parts,
    "IETF 3": lambda upload: IetfClient(upload, 3).create(DATA).problem["detail"],
    "IETF": lambda upload: IetfClient(upload, NEW[-1]).create(DATA).problem["detail"],
    "our library over HTTP": our_session,
    "WebSocket, version 1": lambda upload: websocket(upload, 1),
    "WebSocket, version 2": lambda upload: websocket(upload, 2),
}
ASKING: Final[dict[str, Way]] = {
    "state as JSON": lambda upload: str(json.loads(upload.ask("GET").body)["reason"]),
    "state as a page": lambda upload: upload.ask("GET", HTML).text,
    "our library over HTTP": lambda upload: upload.ask("GET", None, None, "/session").text,
}
AGAIN: Final[dict[str, Way]] = {
    "PATCH of tus": lambda upload: tus(upload).append(len(DATA) - 1, DATA[-1:]).text,
    "DELETE of tus": lambda upload: tus(upload).terminate().text,
    "PATCH of IETF": lambda upload: IetfClient(upload, NEW[-1]).append(len(DATA)).problem["detail"],
    "DELETE of IETF": lambda upload: IetfClient(upload, NEW[-1]).cancel().problem["detail"],
}
every_way_to_send = pytest.mark.parametrize("way", [*SENDING])


@every_way_to_send
def test_a_client_whose_file_is_refused_learns_the_reason_and_not_the_words_of_the_app(
    new_http_upload: NewHttpUpload, app: ScriptedApp, server: RunningServer, way: str
) -> None:
    app.answers = [REFUSAL]
    upload = new_http_upload()
    told = {way: SENDING[way](upload), **{name: ask(upload) for name, ask in (ASKING | AGAIN).items()}}
    for name, text in told.items():
        assert REASON in text, name
        assert "album" not in text, name
        assert "cats.jpg" not in text, name
    assert WORDS_OF_THE_APP in server.log_text(), "they are for the app's developer"


def tus_with_another_method(upload: HttpUpload) -> str:
    """Sends the file, or the last byte that counts as missing, with POST in place of PATCH."""
    client = tus(upload)
    client.create(len(DATA))
    offset = client.head().offset_bytes
    named = {"X_HTTP_Method_Override": "PATCH", "Content_Type": MEDIA_TYPE, "Upload_Offset": str(offset)}
    return client.send("POST", DATA[offset:], **named).text


NOT_YET: Final[dict[str, Way]] = {
    "PUT": SENDING["PUT"],
    "PUT, as JSON": SENDING["PUT, as JSON"],
    "a form of a program": SENDING["a form of a program"],
    "tus, an empty file": SENDING["tus, an empty file"],
    "tus with another method": tus_with_another_method,
    "tus in parts": tus_in_parts,
    "IETF 3": SENDING["IETF 3"],
    "IETF": SENDING["IETF"],
    "our library over HTTP": our_session,
}


@pytest.mark.parametrize("way", [*NOT_YET])
def test_a_client_that_waits_in_vain_learns_why_the_app_has_not_answered(
    hasty_server: RunningServer, new_hasty_upload: NewHttpUpload, app: ScriptedApp, way: str
) -> None:
    app.answers = [FAILURE]
    upload = new_hasty_upload()
    NOT_YET[way](upload)
    wait_until(lambda: REASON_OF_FAILURE in ASKING["state as JSON"](upload), "the app has answered")
    if way == "our library over HTTP":
        text = Session(upload, DATA).complete().text
    elif way == "tus in parts":
        text = tus(upload).send("POST", b"", Upload_Concat=f"final;{upload.url}/parts/1").text
    else:
        text = NOT_YET[way](upload)
    assert REASON_OF_FAILURE in text
    assert "album" not in text
    assert REASON_OF_FAILURE in ASKING["state as a page"](upload)
