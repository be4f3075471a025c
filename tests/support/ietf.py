"""A client of the IETF's resumable uploads that sends what a test says, and sees every interim answer."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import RemoteDisconnected
from typing import Any, Final

from incoming.protocol.ietf_draft import DIALECTS, MEDIA_TYPE
from tests.support.http_upload import Headers, HttpUpload, OpenRequest

VERSIONS: Final = tuple(DIALECTS)
"""The interop versions, written down nowhere else in the tests."""
NEW: Final = tuple(version for version in VERSIONS if version >= 7)


@dataclass(frozen=True, slots=True)
class Interim:
    """An interim answer. The names of its headers are in lower case."""

    status: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class IetfAnswer:
    """A final answer, and the interim ones before it."""

    status: int
    headers: dict[str, str]
    body: bytes
    interims: list[Interim] = field(default_factory=list)

    @property
    def is_complete(self) -> bool | None:
        """What Upload-Complete, or Upload-Incomplete, says; None if neither is there."""
        if "upload-incomplete" in self.headers:
            return {"?1": False, "?0": True}[self.headers["upload-incomplete"]]
        return {"?1": True, "?0": False, None: None}[self.headers.get("upload-complete")]

    @property
    def offset_bytes(self) -> int:
        """What Upload-Offset says."""
        return int(self.headers["upload-offset"])

    @property
    def problem(self) -> dict[str, Any]:
        """The problem details."""
        assert self.headers["content-type"] == "application/problem+json"
        members: dict[str, Any] = json.loads(self.body)
        return members

    @property
    def kind(self) -> str:
        """The name of the problem's registered type; empty if it has none."""
        return str(self.problem["type"]).partition("#")[2]

    @property
    def code(self) -> str:
        """The stable code of an error."""
        assert self.problem["code"] == self.headers["incoming-error"]
        return str(self.problem["code"])


class Exchange:
    """A request under way, on a connection of its own. A context manager."""

    def __init__(self, request: OpenRequest, method: str) -> None:
        self._request, self._method = request, method
        self._answers: io.BufferedReader = request.socket.makefile("rb")

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._answers.close()
        self._request.socket.close()

    def send(self, data: bytes) -> None:
        """Sends bytes of the content."""
        self._request.send(data)

    def send_chunk(self, data: bytes) -> None:
        """Sends a chunk of the chunked coding; an empty one is the last."""
        self._request.send_chunk(data)

    def read_head(self) -> Interim:
        """Waits for the head of the next answer, interim or final. Raises RemoteDisconnected."""
        status_line = self._answers.readline()
        if not status_line:
            raise RemoteDisconnected("no answer")
        status = int(status_line.split()[1])
        headers: dict[str, str] = {}
        while line := self._answers.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            assert name.lower() not in headers, f"{name} comes twice"
            headers[name.lower()] = value.strip()
        return Interim(status, headers)

    def answer(self) -> IetfAnswer:
        """Waits for the final answer."""
        interims = []
        while (head := self.read_head()).status < 200:
            interims.append(head)
        has_body = self._method != "HEAD" and head.status != 204
        length = head.headers.get("content-length", "0")
        body = self._answers.read(int(length)) if has_body else b""
        return IetfAnswer(head.status, head.headers, body, interims)


@dataclass(frozen=True, slots=True)
class IetfClient:
    """A client of one upload, in the dialect of an interop version; None speaks as the final RFC will."""

    upload: HttpUpload
    version: int | None

    @property
    def knows_media_type(self) -> bool:
        """Whether appends have a media type."""
        return self.version is None or self.version >= 6

    def flag(self, is_last: bool) -> dict[str, str]:
        """Returns the header that says whether this is the end of the file."""
        if self.version == 3:
            return {"Upload-Incomplete": "?0" if is_last else "?1"}
        return {"Upload-Complete": "?1" if is_last else "?0"}

    def headers(self, is_last: bool | None = None, more: Headers | None = None) -> dict[str, str | int]:
        """Returns the headers of a request in this dialect."""
        named = {} if self.version is None else {"Upload-Draft-Interop-Version": self.version}
        return {**named, **({} if is_last is None else self.flag(is_last)), **(more or {})}

    def open(self, method: str, headers: Headers) -> Exchange:
        """Sends the head of a request."""
        return Exchange(self.upload.open(method, headers), method)

    def ask(self, method: str, headers: Headers, body: bytes | None = None) -> IetfAnswer:
        """Makes a whole request."""
        given = dict(headers)
        if body is not None and not {"Content-Length", "Transfer-Encoding"} & set(given):
            given["Content-Length"] = len(body)
        with self.open(method, given) as exchange:
            if body:
                exchange.send(body)
            return exchange.answer()

    def create(
        self, body: bytes = b"", is_last: bool = True, method: str = "POST", more: Headers | None = None
    ) -> IetfAnswer:
        """Creates the upload."""
        return self.ask(method, self.headers(is_last, more), body)

    def append_headers(
        self, offset: int | str, is_last: bool | None = True, more: Headers | None = None
    ) -> dict[str, str | int]:
        """Returns the headers of an append."""
        kind = {"Content-Type": MEDIA_TYPE} if self.knows_media_type else {}
        return self.headers(is_last, {"Upload-Offset": offset, **kind, **(more or {})})

    def append(
        self, offset: int | str, body: bytes = b"", is_last: bool | None = True, more: Headers | None = None
    ) -> IetfAnswer:
        """Appends to the upload."""
        return self.ask("PATCH", self.append_headers(offset, is_last, more), body)

    def head(self, method: str = "HEAD", more: Headers | None = None) -> IetfAnswer:
        """Asks for the offset."""
        return self.ask(method, self.headers(None, more))

    def cancel(self, more: Headers | None = None) -> IetfAnswer:
        """Cancels the upload."""
        return self.ask("DELETE", self.headers(None, more))

    def complete(self, offset: int, rest: bytes = b"", deadline_s: float = 60.0) -> IetfAnswer:
        """Completes the upload, again and again as long as the answer says to come back."""
        until_s = time.monotonic() + deadline_s
        while (answer := self.append(offset, rest)).status == 504:
            assert time.monotonic() < until_s, "it is not complete in time"
        return answer


def without(headers: Mapping[str, str | int], *names: str) -> dict[str, str | int]:
    """Returns the headers without some of them."""
    return {name: value for name, value in headers.items() if name not in names}
