"""A request for an upload, as the handlers see it: which ticket, which method, which headers, which body.

The address of an upload is its ticket's: PREFIX + `frontend/uploads/TICKET`, and what belongs to it is below
(`TICKET/NAME`, `TICKET/parts/1`). A client may also use one address for all tickets, PREFIX +
`frontend/uploads`. It names the ticket with `Upload-Ticket: TICKET`, with `?ticket=TICKET`, or with the key
`ticket` in the metadata of tus.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qs

from incoming.core.errors import BadHeader, BadParameter, NotFound, UnsupportedCoding
from incoming.core.parts import PARTS, part_number
from incoming.http_uploads.body import BodyBroken, RequestBody, open_body
from incoming.protocol import tus
from incoming.protocol.part_fields import PartCount, find_part_count
from incoming.protocol.rules import PREFIXES, UPLOADS_ROUTE
from incoming.wire.media_type import media_type

OVERRIDE_METHODS: Final = frozenset(("PATCH", "DELETE", "HEAD"))
"""What X-HTTP-Method-Override may ask for, on a POST only (tus 1.0, "X-HTTP-Method-Override")."""
MAX_QUERY_FIELDS: Final = 20
MAX_WAIT_S: Final = 25
"""How long `?wait=` may hold an answer. Proxies often end a request after 30 or 60 s."""
_SECONDS: Final = re.compile(r"[0-9]{1,6}")
_BASES: Final = tuple(f"{prefix}{UPLOADS_ROUTE}" for prefix in PREFIXES)


@dataclass(frozen=True, slots=True)
class UploadAddress:
    """The path of a request below `frontend/uploads`.

    `ticket_id` is empty for the address of all tickets. `tail`: the segments after the ticket, decoded.
    """

    ticket_id: str = ""
    tail: tuple[str, ...] = ()

    @property
    def part_number(self) -> int | None:
        """Which part of the upload this is the address of; None if it is not the address of a part."""
        match self.tail:
            case (parts, number) if parts == PARTS:
                return part_number(number)
        return None


def upload_address(path: str) -> UploadAddress | None:
    """Returns what the path of a request names; None when it is not the address of an upload.

    `path` is as WSGI has it: percent-decoded, each byte as one character. A slash at the end is kept as an
    empty segment.
    """
    for base in _BASES:
        if path == base:
            return UploadAddress()
        if path.startswith(f"{base}/"):
            text = path[len(base) + 1 :].encode("latin-1", "replace").decode("utf-8", "replace")
            ticket_id, *tail = text.split("/")
            return UploadAddress(ticket_id, tuple(tail))
    return None


class UploadRequest:
    """One request. Nothing of its body is read before `body` is used."""

    def __init__(self, environ: Mapping[str, Any], address: UploadAddress, source: str = "") -> None:
        """`environ` is that of WSGI. `source`: what the client's limits are counted by."""
        self.environ = environ
        self.source = source
        self.address = address
        self.real_method = str(environ.get("REQUEST_METHOD", ""))
        override = self.header("X-HTTP-Method-Override").strip().upper()
        is_overridden = self.real_method == "POST" and override in OVERRIDE_METHODS
        self.method = override if is_overridden else self.real_method
        self.ticket_id = address.ticket_id or self._named_ticket()

    def check_names_upload(self) -> None:
        """Raises NotFound unless the address is that of an upload, and not of something below it.

        aiotus puts the id there twice, and others append a slash.
        """
        if self.address.tail not in ((), ("",), (self.ticket_id,)):
            raise NotFound("This is not the address of an upload.")

    def _named_ticket(self) -> str:
        """Returns the ticket that a request to the address of all tickets names; empty if it names none."""
        try:
            metadata = tus.read_metadata(self.find_header)
            return self.header("Upload-Ticket") or self.query("ticket") or metadata.text("ticket")
        except BadHeader:
            return ""

    def header(self, name: str) -> str:
        """Returns the value of a header; an empty text when it is missing."""
        return self.find_header(name) or ""

    def find_header(self, name: str) -> str | None:
        """Returns the value of a header, without blanks around it; None when it is missing."""
        key = name.upper().replace("-", "_")
        value = self.environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}")
        return None if value is None else str(value).strip(" \t")

    @property
    def media_type(self) -> str:
        """The media type of the body in lower case, without parameters; empty when none is named."""
        return media_type(self.find_header("Content-Type"))

    def accepts(self, media_type: str) -> bool:
        """Returns whether the Accept header names this media type."""
        return media_type in self.header("Accept").lower()

    def query(self, name: str) -> str:
        """Returns a field of the query string; an empty text when it is missing or can't be read."""
        return self._query.get(name, [""])[0]

    def check_query_is_whole(self) -> None:
        """Raises BadParameter if the query says that the body is one of several parts of a file."""
        count = self.part_count
        if count and count.parts > 1:
            why = "says that the body is a part of a file. The client must send the file in one request"
            raise BadParameter(count.field, why)

    @property
    def part_count(self) -> PartCount | None:
        """What the query says of the parts of a file, as upload libraries do; None if it says nothing."""
        return find_part_count({name: values[0] for name, values in self._query.items()})

    @cached_property
    def _query(self) -> dict[str, list[str]]:
        try:
            return parse_qs(str(self.environ.get("QUERY_STRING", "")), max_num_fields=MAX_QUERY_FIELDS)
        except ValueError:
            return {}

    def wait_s(self, default_s: int = 0) -> int:
        """Returns for how many seconds the answer may be held: `?wait=25`. Raises BadParameter."""
        text = self.query("wait") or str(default_s)
        if not _SECONDS.fullmatch(text):
            raise BadParameter("wait", f"must be a number of seconds; at most {MAX_WAIT_S} count")
        return min(int(text), MAX_WAIT_S)

    @property
    def path(self) -> str:
        """The path of the request, percent-decoded, below SCRIPT_NAME."""
        return str(self.environ.get("PATH_INFO", ""))

    @property
    def location(self) -> str:
        """The address of the ticket, relative to the address of this request (RFC 3986 section 4.2).

        A relative address is right behind every proxy and path prefix, and trusts no header about them.
        """
        if not self.address.ticket_id:
            folder = "" if self.path.endswith("/") else f"{UPLOADS_ROUTE.rpartition('/')[2]}/"
            return f"{folder}{self.ticket_id}"
        return "../" * len(self.address.tail) + self.ticket_id

    @cached_property
    def body(self) -> RequestBody:
        """The body. Raises LengthRequired where the web server can't read one of this kind."""
        return open_body(self.environ)

    def read_into(self, buffer: memoryview) -> int:
        """Reads some of the body that no upload waits for. Returns how many bytes; 0 at the end.

        Raises IncompleteBody.
        """
        try:
            return self.body.read_into(buffer)
        except BodyBroken as exc:
            raise exc.error from exc

    def check_coding(self) -> None:
        """Raises UnsupportedCoding for a body that is not the file itself, but is compressed, say."""
        codings = {one.strip().lower() for one in self.header("Content-Encoding").split(",")}
        if self.declares_body and codings - {"", "identity"}:
            raise UnsupportedCoding

    @property
    def declares_body(self) -> bool:
        """Whether a body follows the head, of whatever length."""
        return bool(self.header("Transfer-Encoding")) or self.header("Content-Length") not in ("", "0")

    @property
    def declared_body_bytes(self) -> int | None:
        """The length of the body as its head says; None for a chunked one."""
        if self.header("Transfer-Encoding"):
            return None
        length = self.header("Content-Length")
        return int(length) if length.isascii() and length.isdigit() else 0
