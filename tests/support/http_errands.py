"""Errands (see `errands`) over HTTP: each protocol, small files in one request, and large ones.

A client asks for the offset before it sends more. What it was told survives a kill, but for the last bytes:
they are withheld until the app has the file.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, ClassVar, Final, TypeVar

from crc32c import crc32c

from incoming.protocol.withheld import WITHHELD_BYTES
from tests.support.data import FileBytes
from tests.support.errands import CHUNK_KIB, KIB, LENGTH_BYTES, Errand, Large
from tests.support.forked import ForkedServer
from tests.support.http_upload import Headers, HttpAnswer, HttpUpload
from tests.support.ietf import IetfAnswer, IetfClient
from tests.support.tus import MEDIA_TYPE, VERSION, checksum, in_base64
from tests.support.websocket import ConnectionClosed

Answer = TypeVar("Answer", HttpAnswer, IetfAnswer)
TO_REPEAT: Final = (409, 423, 500, 503, 504, 507)
"""The statuses of answers after which a client comes back."""
SMALL_BYTES: Final = 10 * KIB
BOUNDARY: Final = "a-boundary"


class OverHttp(Errand):
    """A file over HTTP in two requests, one for each half."""

    def __init__(self, server: ForkedServer, backend: Any, seed: int) -> None:
        super().__init__(server, backend, seed)
        self.acked = 0
        """How many bytes a client was told to be stored, without the last ones."""

    @property
    def acked_bytes(self) -> int:
        """See Errand."""
        return self.acked

    @property
    def upload(self) -> HttpUpload:
        """The address of the upload."""
        return HttpUpload(self.server.url, self.ticket_id)

    def ask(
        self, method: str, headers: Headers | None = None, body: bytes | None = None, below: str = ""
    ) -> HttpAnswer:
        """Makes a request. Raises ConnectionClosed if the client has to come back."""
        return self.done(lambda: self.upload.ask(method, headers, body, below))

    def done(self, request: Callable[[], Answer]) -> Answer:
        """Returns the answer to a request. Raises ConnectionClosed if the client has to come back."""
        try:
            answer = request()
        except HTTPException as exc:
            raise ConnectionClosed(1006, str(exc)) from exc
        if answer.status in TO_REPEAT:
            raise ConnectionClosed(1013, f"{answer.status} {answer.body!r}")
        assert answer.status < 400, f"{self}: {answer.status} {answer.body!r}"
        return answer

    def saw(self, offset_bytes: int) -> int:
        """A client was told of an offset. Returns that."""
        assert offset_bytes >= self.acked, f"{self}: {offset_bytes} is told, {self.acked} was"
        self.acked = min(offset_bytes, self.data.length_bytes - WITHHELD_BYTES)
        return offset_bytes

    def offset(self) -> int:
        """Returns where the client has to resume."""
        return self.saw(self.ask("HEAD").offset_bytes)

    def _half(self) -> None:
        """Sends the first half."""
        offset_bytes = self.offset()
        if offset_bytes < self.half_bytes:
            self.send(offset_bytes, self.half_bytes)
        self.phase = "rest"

    def _rest(self) -> None:
        """Sends what is missing. The answer says that the app has the file."""
        offset_bytes = self.offset()
        if offset_bytes < self.data.length_bytes:
            self.send(offset_bytes, self.data.length_bytes)
        self.says("finished")
        self.phase = "result"

    @abstractmethod
    def send(self, start_bytes: int, end_bytes: int) -> None:
        """Sends these bytes. If they are the last ones, it returns when the app has the file."""


class Put(OverHttp):
    """PUT with the ranges of parts, as curl -C does."""

    def send(self, start_bytes: int, end_bytes: int) -> None:
        """See OverHttp."""
        length_bytes = self.data.length_bytes
        part = {"Content-Range": f"bytes {start_bytes}-{end_bytes - 1}/{length_bytes}"}
        answer = self.ask("PUT", part, self.data.read(start_bytes, end_bytes - start_bytes))
        if end_bytes < length_bytes:
            self.saw(answer.offset_bytes)
        elif answer.status != 200:
            raise ConnectionClosed(1013, answer.text)


class LargePut(Put):
    """The same for a file that is written in slices, and written out before it is synced."""

    length_bytes = Large.length_bytes
    half_bytes = Large.half_bytes


class Small(OverHttp):
    """A small file in one request, which is repeated as a whole; with another file, if it was for nothing."""

    length_bytes = SMALL_BYTES

    def _half(self) -> None:
        """There is no half."""
        self.phase = "rest"

    def _rest(self) -> None:
        self.send(0, self.data.length_bytes)
        self.says("finished")
        self.phase = "result"

    def send(self, start_bytes: int, end_bytes: int) -> None:
        """See OverHttp."""
        if self.ask("PUT", {}, self.data.read(start_bytes, end_bytes)).status != 200:
            raise ConnectionClosed(1013, "the app has not answered")

    def after_a_death(self) -> None:
        """Nothing that a killed process has left of the first file gets into the second one."""
        super().after_a_death()
        if self.ticket_id and self.journaled() == "issued":
            self.data = FileBytes(self.data.length_bytes, self.data.seed + 100)


class Form(Small):
    """A form, which is repeated as a whole."""

    length_bytes = LENGTH_BYTES

    def send(self, start_bytes: int, end_bytes: int) -> None:
        """See OverHttp."""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.mov"\r\n\r\n'
        body = head.encode() + self.data.read(start_bytes, end_bytes) + f"\r\n--{BOUNDARY}--\r\n".encode()
        if (
            self.ask("POST", {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, body).status
            != 200
        ):
            raise ConnectionClosed(1013, "the app has not answered")


class Tus(OverHttp):
    """tus 1.0, whose clients take the length for success."""

    algorithm: ClassVar[str] = ""

    def offset(self) -> int:
        """See OverHttp."""
        head = self.ask("HEAD", VERSION)
        if "upload-length" not in head.headers:
            created = self.ask("POST", VERSION | {"Upload-Length": str(self.data.length_bytes)}, b"")
            assert created.status == 201
        return self.saw(head.offset_bytes)

    def send(self, start_bytes: int, end_bytes: int) -> None:
        """See OverHttp."""
        body = self.data.read(start_bytes, end_bytes - start_bytes)
        headers = {**VERSION, "Content-Type": MEDIA_TYPE, "Upload-Offset": str(start_bytes)}
        if self.algorithm:
            headers["Upload-Checksum"] = checksum(self.algorithm, body)
        if self.saw(self.ask("PATCH", headers, body).offset_bytes) != end_bytes:
            raise ConnectionClosed(1013, "the last bytes are withheld")


class CheckedTus(Tus):
    """The same with checksums of requests that are stored before they are verified."""

    algorithm = "sha1"
    length_bytes = Large.length_bytes
    half_bytes = 2 * Large.half_bytes


class Ietf(OverHttp):
    """The IETF's draft, with the digest of the file, which its client names first."""

    def send(self, start_bytes: int, end_bytes: int) -> None:
        """See OverHttp."""
        client = IetfClient(self.upload, 8)
        is_last = end_bytes == self.data.length_bytes
        digest = {"Repr-Digest": f"sha-512=:{in_base64(self._sha512())}:"}
        body = self.data.read(start_bytes, end_bytes - start_bytes)
        headers = client.headers(is_last, digest)
        if start_bytes:
            headers = client.append_headers(start_bytes, is_last, digest)
        method = "PATCH" if start_bytes else "POST"
        answer = self.done(lambda: client.ask(method, headers, body))
        if is_last:
            assert answer.headers["repr-digest"] == digest["Repr-Digest"]
        else:
            self.saw(answer.offset_bytes)

    def _sha512(self) -> bytes:
        return hashlib.sha512(self.data.read(0, self.data.length_bytes)).digest()


class Session(OverHttp):
    """The session of our own library."""

    version = 2

    def offset(self) -> int:
        """See OverHttp. Opens a session."""
        asked = {
            "Version": 2, "Id": self.ticket_id, "LengthBytes": self.data.length_bytes, "Name": "a.mov",
            "LastModifiedMs": 5,
        }  # fmt: skip
        opened = self.ask("POST", {}, _message("MsgUploadReq", asked), "/session")
        self._token = {"Upload-Session": opened.headers["upload-session"]}
        terms = _members(opened, "MsgUploadConf")
        if compare := terms["Compare"]:
            crcs = [crc32c(self.data.read(start, end - start)) for start, end in compare]
            agree = _message("MsgAgree", {"Crc32c": crcs, "Compare": compare})
            answer = self.upload.ask("PUT", self._token, agree, "/session")
            if answer.status != 204:  # a power cut took some of it, and it is cut off
                raise ConnectionClosed(1013, answer.text)
        return self.saw(terms["Offset"])

    def send(self, start_bytes: int, end_bytes: int) -> None:
        """See OverHttp."""
        step_bytes = CHUNK_KIB * KIB
        for at in range(start_bytes, end_bytes, step_bytes):
            body = self.data.read(at, min(step_bytes, end_bytes - at))
            headers = {"Upload-Offset": str(at), "Upload-Checksum": checksum("crc32c", body)}
            stored = self.ask("PATCH", self._token | headers, body, "/session")
            self.saw(_members(stored, "MsgStored")["Offset"])

    def _rest(self) -> None:
        offset_bytes = self.offset()
        self.send(offset_bytes, self.data.length_bytes)
        crc = crc32c(self.data.read(0, self.data.length_bytes))
        complete = _message("MsgComplete", {"Crc32c": crc, "Round": 0})
        _members(self.ask("POST", self._token, complete, "/session/complete"), "MsgAllDone")
        self.says("finished")
        self.phase = "result"


def _message(kind: str, members: dict[str, Any]) -> bytes:
    return json.dumps({"MsgType": kind, "MsgData": members}).encode()


def _members(answer: HttpAnswer, kind: str) -> dict[str, Any]:
    """Returns the members of the message in an answer. Raises ConnectionClosed for another message."""
    message = json.loads(answer.body)
    if message["MsgType"] != kind:
        raise ConnectionClosed(1013, str(message))
    members: dict[str, Any] = message["MsgData"]
    return members


HTTP_KINDS: Final = (Put, LargePut, Small, Form, Tus, CheckedTus, Ietf, Session)
