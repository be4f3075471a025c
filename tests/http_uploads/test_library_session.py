"""The session of our library over HTTP, at a real server: messages of version 2, and chunks in requests."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import pytest

from incoming.core.checksum import checksum
from tests.http_uploads.conftest import NewHttpUpload
from tests.support.app import DONE, WAIT, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.http_upload import HttpAnswer, HttpUpload
from tests.support.server import RunningServer, finish_upload
from tests.support.waiting import wait_until

DATA = bytes(range(256)) * 1000
CHUNK_BYTES = 100_000
UNUSUAL_NAME = "ü <b>.txt"


def sha256_of(data: bytes) -> str:
    """Returns the digest that the app computes of a file."""
    return hashlib.sha256(data).hexdigest()


def message(answer: HttpAnswer) -> tuple[str, dict[str, Any]]:
    """Returns type and members of the message that a request was answered with."""
    content = json.loads(answer.body)
    return content["MsgType"], content["MsgData"]


class Session:
    """A client of the session, as docs/reference/protocol.md has it."""

    def __init__(
        self, upload: HttpUpload, data: bytes = DATA, name: str = "a.txt", changed_ms: int = 5
    ) -> None:
        self.upload, self.data = upload, data
        request = {
            "Version": 2, "Id": upload.ticket_id, "LengthBytes": len(data), "Name": name,
            "LastModifiedMs": changed_ms,
        }  # fmt: skip
        self.opened = self.ask("POST", "MsgUploadReq", request)
        self.token = self.opened.headers.get("upload-session", "")

    def ask(self, method: str, kind: str, members: Mapping[str, Any], below: str = "") -> HttpAnswer:
        headers = {"Upload-Session": self.token} if hasattr(self, "token") else {}
        body = json.dumps({"MsgType": kind, "MsgData": members}).encode()
        return self.upload.ask(method, headers, body, f"/session{below}")

    def chunk_headers(self, start: int, data: bytes) -> dict[str, str]:
        digest = base64.b64encode(checksum(data).to_bytes(4, "big")).decode()
        return {
            "Upload-Session": self.token, "Upload-Offset": str(start), "Upload-Checksum": f"crc32c {digest}",
            "Content-Length": str(len(data)),
        }  # fmt: skip

    def send(self, start: int, data: bytes) -> HttpAnswer:
        return self.upload.ask("PATCH", self.chunk_headers(start, data), data, "/session")

    def send_from(self, start: int, end: int | None = None) -> None:
        """Sends chunk after chunk."""
        end = len(self.data) if end is None else end
        for at in range(start, end, CHUNK_BYTES):
            data = self.data[at : min(at + CHUNK_BYTES, end)]
            assert message(self.send(at, data))[1]["Offset"] == at + len(data)

    def complete(self, crc: int | None = None) -> HttpAnswer:
        crc = checksum(self.data) if crc is None else crc
        return self.ask("POST", "MsgComplete", {"Crc32c": crc, "Round": 0}, "/complete")

    def agree(self, data: bytes | None = None) -> HttpAnswer:
        ranges = message(self.opened)[1]["Compare"]
        data = self.data if data is None else data
        crcs = [checksum(data[start:end]) for start, end in ranges]
        return self.ask("PUT", "MsgAgree", {"Crc32c": crcs, "Compare": ranges})

    def watch(self, wait_s: int = 0) -> tuple[str, dict[str, Any]]:
        return message(self.upload.ask("GET", below=f"/session?wait={wait_s}"))


def test_a_file_arrives_chunk_by_chunk_and_the_app_has_it(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    session = Session(new_http_upload(), name=UNUSUAL_NAME)
    kind, terms = message(session.opened)
    assert (kind, terms["Offset"], terms["Compare"], terms["Arrived"]) == ("MsgUploadConf", 0, [], False)
    session.send_from(0)
    assert session.watch() == ("MsgPong", {})
    assert message(session.complete()) == ("MsgAllDone", {"Success": True, "Crc32c": checksum(DATA)})
    (delivery,) = app.wait_for(1)
    assert delivery.sha256 == sha256_of(DATA)
    assert delivery.fields["filenameFromBrowser"] == UNUSUAL_NAME
    assert session.watch()[0] == "MsgAllDone"


def test_two_chunks_on_their_way_are_stored_in_their_order(new_http_upload: NewHttpUpload) -> None:
    session = Session(new_http_upload())
    answers: list[HttpAnswer] = []
    later = threading.Thread(target=lambda: answers.append(session.send(CHUNK_BYTES, DATA[CHUNK_BYTES:])))
    with session.upload.open("PATCH", session.chunk_headers(0, DATA[:CHUNK_BYTES]), "/session") as first:
        first.send(DATA[:1000])
        later.start()
        first.send(DATA[1000:CHUNK_BYTES])
        assert message(first.answer())[1]["Offset"] == CHUNK_BYTES
    later.join(60)
    assert message(answers[0])[1]["Offset"] == len(DATA)


def test_a_damaged_chunk_is_not_stored(new_http_upload: NewHttpUpload) -> None:
    session = Session(new_http_upload())
    damaged = b"x" + DATA[1:100]
    answer = session.upload.ask("PATCH", session.chunk_headers(0, DATA[:100]), damaged, "/session")
    assert answer.status == 460
    assert message(answer)[1]["Code"] == "checksum_mismatch"
    assert message(Session(session.upload).opened)[1]["Offset"] == 0


def test_a_session_resumes_with_the_same_file_only(new_http_upload: NewHttpUpload) -> None:
    first = Session(new_http_upload())
    first.send_from(0, 150_000)
    again = Session(first.upload)
    terms = message(again.opened)[1]
    assert terms["Offset"] == 150_000 and terms["Compare"]
    assert again.agree().status == 204
    other = Session(first.upload)
    refused = other.agree(bytes(len(DATA)))
    assert refused.status == 409
    kind, error = message(refused)
    assert (kind, error["Code"], error["FileName"]) == ("MsgError", "wrong_file", "a.txt")


def test_a_file_of_another_time_is_compared_as_a_whole(new_http_upload: NewHttpUpload) -> None:
    first = Session(new_http_upload())
    first.send_from(0, 150_000)
    terms = message(Session(first.upload, changed_ms=6).opened)[1]
    assert terms["Compare"] == [[0, 150_000]]


@pytest.mark.parametrize(
    "agree",
    [
        {"Crc32c": [1], "Compare": [[0, 10**9]]},
        {"Crc32c": [1], "Compare": []},
        {"Crc32c": [1, 2], "Compare": [[5, 9], [0, 6]]},
        {"Crc32c": [1], "Compare": [[-1, 1]]},
        {"Crc32c": [1] * 1000, "Compare": [[0, 1000]] * 1000},
        {"Crc32c": "no"},
        None,
    ],
)
def test_ranges_that_were_not_asked_for_are_refused(new_http_upload: NewHttpUpload, agree: Any) -> None:
    session = Session(new_http_upload())
    session.send_from(0, 1000)
    refused = session.ask("PUT", "MsgAgree", agree)
    assert (refused.status, message(refused)[1]["Code"]) == (400, "bad_message")


def test_samples_of_the_stored_part_may_overlap(new_http_upload: NewHttpUpload) -> None:
    session = Session(new_http_upload())
    session.send_from(0, 1000)
    ranges = [(0, 600), (500, 800), (500, 1000)]
    crcs = [checksum(DATA[start:end]) for start, end in ranges]
    assert session.ask("PUT", "MsgAgree", {"Crc32c": crcs, "Compare": ranges}).status == 204


def test_another_file_checksum_at_the_end_hands_nothing_over(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    session = Session(new_http_upload())
    session.send_from(0)
    refused = session.complete(crc=1)
    assert message(refused)[1]["Code"] == "damaged"
    again = Session(session.upload)
    assert message(again.opened)[1]["Compare"] == [[0, len(DATA)]]
    assert again.agree().status == 204
    assert message(again.complete())[0] == "MsgAllDone"
    assert app.wait_for(1)[0].sha256 == sha256_of(DATA)


def test_the_newest_session_has_the_upload_and_an_older_one_hears_of_it(
    new_http_upload: NewHttpUpload,
) -> None:
    older = Session(new_http_upload())
    older.send_from(0, 1000)
    newer = Session(older.upload)
    refused = older.send(1000, DATA[1000:2000])
    assert message(refused)[1]["Code"] == "taken_over"
    newer.send_from(1000, 2000)


def test_a_websocket_takes_over_from_a_session_and_a_session_from_a_websocket(
    server: RunningServer, new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    data = FileBytes(300_000, 3)
    session = Session(new_http_upload(), data.read(0, 300_000))
    session.send_from(0, 100_000)
    client = ClientV1(server.url, session.upload.ticket_id, data).open()
    assert message(session.send(100_000, b"x"))[1]["Code"] == "taken_over"
    client.drop()
    again = Session(session.upload, session.data)
    assert again.agree().status == 204
    again.send_from(message(again.opened)[1]["Offset"])
    assert message(again.complete())[0] == "MsgAllDone"
    assert app.wait_for(1)[0].sha256 == sha256_of(session.data)


def test_a_session_ends_when_the_server_restarts_and_the_next_one_resumes(
    server: RunningServer, new_http_upload: NewHttpUpload
) -> None:
    session = Session(new_http_upload())
    session.send_from(0, 150_000)
    unknown = dict(session.chunk_headers(150_000, b"x"), **{"Upload-Session": "unknown"})
    answer = session.upload.ask("PATCH", unknown, b"x", "/session")
    assert message(answer)[1]["Code"] == "taken_over"
    assert message(Session(session.upload).opened)[1]["Offset"] == 150_000


def test_a_client_waits_for_an_app_that_takes_its_time(
    hasty_server: RunningServer, new_hasty_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    app.answers = [WAIT]
    session = Session(new_hasty_upload())
    session.send_from(0)
    assert message(session.complete()) == ("MsgNews", {"News": "handing_over", "RetryAfterS": 0.0, "Why": ""})
    threading.Timer(0.2, finish_upload, (hasty_server, session.upload.ticket_id)).start()
    wait_until(lambda: session.watch(20)[0] == "MsgAllDone", "the app has the file")


def test_a_client_hears_that_the_app_is_silent_and_why(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    app.answers = [Reply(503)]
    session = Session(new_http_upload())
    session.send_from(0)
    kind, news = message(session.complete())
    assert (kind, news["News"]) == ("MsgNews", "waiting_for_app")
    assert "503" in news["Why"]
    app.answers = [DONE]
    wait_until(lambda: session.watch(20)[0] == "MsgAllDone", "the app has the file")


def test_a_client_hears_that_the_app_does_not_take_its_file(
    new_http_upload: NewHttpUpload, app: ScriptedApp
) -> None:
    app.answers = [Reply(403, "no")]
    session = Session(new_http_upload())
    session.send_from(0)
    refused = session.complete()
    assert (refused.status, message(refused)[1]["Code"]) == (422, "handover_failed")
    assert session.watch(20)[0] == "MsgError"


REASON = "ü & a half of a pair: \ud800"


@pytest.mark.parametrize(
    "cancel",
    [
        lambda session, reason: session.ask("POST", "MsgCancel", {"Reason": reason}, "/cancel"),
        lambda session, reason: session.upload.ask(
            "DELETE", below=f"/session?reason={quote(reason, errors='replace')}"
        ),
    ],
    ids=["POST", "DELETE"],
)
def test_a_cancel_has_its_reason_and_comes_too_late_once_the_file_has_arrived(
    new_http_upload: NewHttpUpload, app: ScriptedApp, cancel: Callable[[Session, str], HttpAnswer]
) -> None:
    session = Session(new_http_upload())
    assert message(cancel(session, REASON)) == ("MsgCancelAck", {"Ack": True})
    assert app.wait_for(1)[0].fields["cancelReason"] == REASON.replace("\ud800", "?")
    assert session.watch()[1]["Code"] == "cancelled"
    assert message(cancel(session, REASON))[1]["Code"] == "cancelled", "the first answer may be lost"
    arrived = Session(new_http_upload())
    arrived.send_from(0)
    arrived.complete()
    assert message(cancel(arrived, ""))[0] == "MsgAllDone"


CRC = {"Upload-Checksum": "crc32c AAAAAA=="}
PING = b'{"MsgType": "MsgPing", "MsgData": {}}'


@pytest.mark.parametrize(
    ("request_line", "headers", "body", "refused"),
    [
        ("POST /session", {}, b"{", (400, "bad_message")),
        ("POST /session", {}, PING, (400, "bad_message")),
        ("POST /session", {}, b"x" * 70_000, (400, "bad_message")),
        ("POST /session/complete", {}, PING, (400, "bad_message")),
        ("POST /session/cancel", {}, PING, (400, "bad_message")),
        ("POST /session/cancel", {}, b"", (400, "bad_message")),
        ("PATCH /session", {"Upload-Offset": "0"}, b"x", (400, "bad_header")),
        ("PATCH /session", CRC, b"x", (400, "bad_header")),
        ("PATCH /session", {"Upload-Offset": "0", **CRC}, b"x", (400, "bad_header")),
        ("PATCH /session", {"Upload-Offset": "-1", **CRC}, b"x", (400, "bad_header")),
        ("BREW /session", {}, b"", (405, "method_not_allowed")),
        ("GET /session/other", {}, b"", (404, "not_found")),
        ("GET /session/complete", {}, b"", (405, "method_not_allowed")),
        ("DELETE /session/cancel", {}, b"", (405, "method_not_allowed")),
    ],
)
def test_bad_input_has_its_code_and_stores_nothing(
    new_http_upload: NewHttpUpload,
    request_line: str,
    headers: dict[str, str],
    body: bytes,
    refused: tuple[int, str],
) -> None:
    upload = new_http_upload()
    method, below = request_line.split()
    answer = upload.ask(method, headers, body, below)
    assert (answer.status, message(answer)[1]["Code"]) == refused
    assert upload.ask("HEAD").offset_bytes == 0
