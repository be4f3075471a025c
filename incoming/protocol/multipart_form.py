"""A form with a file in it, as browsers and `curl -F` send it (RFC 7578): which bytes are the file.

The library python-multipart finds the parts; this module says what they mean. Bytes go in as they come, and
those of the file come out: nothing of it is kept here. The other fields are the page's business, so they are
passed over. Whether the form is whole, and has one file, is known only at its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from incoming.core.errors import BadForm, FormTooLarge
from incoming.protocol.part_fields import find_part_count, is_part_field
from incoming.wire import content_disposition

MEDIA_TYPE: Final = "multipart/form-data"
MAX_OTHER_BYTES: Final = 100 * 1024
"""The limit for everything in a form that is not the file: its other fields, and what surrounds the parts."""
ENCODINGS: Final = {
    b"content-transfer-encoding": "Content-Transfer-Encoding",
    b"content-encoding": "Content-Encoding",
}
"""The headers of a part by which its bytes are not the file itself."""
IDENTITY_ENCODINGS: Final = frozenset((b"", b"identity", b"binary", b"7bit", b"8bit"))
"""What these may be. Browsers send none (RFC 7578 section 4.7)."""
_ESCAPED: Final = ((b"%22", b'"'), (b"%0D", b"\r"), (b"%0A", b"\n"))
"""What browsers write in names instead of these (HTML standard, "multipart/form-data encoding algorithm")."""


def file_name_of(raw: bytes) -> str:
    """Returns the name of a file as the page's user sees it.

    Browsers send its bytes in the charset of the page. That is UTF-8, or else most likely Windows-1252.
    """
    for escaped, meant in _ESCAPED:
        raw = raw.replace(escaped, meant)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("windows-1252", "replace")


class FormReader:
    """Reads one form. After an error it is no longer usable."""

    def __init__(self, content_type: str) -> None:
        """`content_type`: the header. Raises BadForm if it names no usable boundary."""
        media_type, options = parse_options_header(content_type.encode("latin-1", "replace"))
        boundary = options.get(b"boundary", b"")
        if media_type.lower() != MEDIA_TYPE.encode() or not boundary:
            raise BadForm("The form has no boundary: its Content-Type must be multipart/form-data.")
        self.file_name: str | None = None
        """The name of the file; None until the file has begun. It is a stranger's text."""
        self.is_complete = False
        """Whether the end of the form has come."""
        self._pieces: list[memoryview] = []
        self._other_bytes = 0
        self._header_name = self._header_value = b""
        self._part: dict[bytes, bytes] = {}
        self._file_headers: Mapping[bytes, bytes] = {}
        self._offered_name: bytes | None = None
        """The name of the part that comes in now, if it is a file. An empty one has to have bytes, too."""
        self._is_in_file = self._has_file_field = self._has_begun = False
        self._part_field: str | None = None
        """The name of the field that comes in now, if it may say that the file has several parts."""
        self._part_fields: dict[str, bytearray] = {}
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part.clear,
                    "on_header_field": self._add_to_header_name,
                    "on_header_value": self._add_to_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_part,
                    "on_part_data": self._take,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as exc:
            raise BadForm("The boundary of the form is too long.") from exc
        self._parser.logger = cast(Any, _NoLog())

    def feed(self, data: bytes) -> list[memoryview]:
        """Takes the next bytes of the form, and returns those of them that are bytes of the file.

        Raises BadForm, FormTooLarge.
        """
        self._other_bytes += len(data)
        self._pieces = []
        if not self._has_begun:
            # Behind a line end the parser passes over anything, depending on how the form is cut.
            data = data.lstrip(b"\r\n")
            self._has_begun = bool(data)
        try:
            self._parser.write(data)
        except FormParserError as exc:
            raise BadForm("The form is malformed: it is not multipart/form-data.") from exc
        self._other_bytes -= sum(map(len, self._pieces))
        if self._other_bytes > MAX_OTHER_BYTES:
            raise FormTooLarge(f"The form has more than {MAX_OTHER_BYTES >> 10} KiB in addition to its file.")
        return self._pieces

    def finish(self) -> None:
        """No more bytes will come. Raises BadForm unless the form is whole, and has a file."""
        if not self.is_complete:
            raise BadForm("The form is incomplete: it ends in the middle.")
        if self.file_name is None:
            raise BadForm(
                "No file was chosen." if self._has_file_field else "The form has no field for a file."
            )

    def find_file_header(self, name: str) -> str | None:
        """Returns a header of the file once it has begun, as `FindHeader` does for those of a request."""
        value = self._file_headers.get(name.lower().encode())
        return None if value is None else value.decode("latin-1").strip(" \t")

    # --- what the parser calls ------------------------------------------------------------------------

    def _add_to_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_to_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        name, value = self._header_name.lower(), self._header_value
        if name in self._part:
            if name == b"content-disposition":
                raise BadForm("The form is malformed: a part of it has two names.")
            value = b", ".join((self._part[name], value))
        self._part[name] = value
        self._header_name = self._header_value = b""

    def _begin_part(self) -> None:
        disposition = self._part.get(b"content-disposition", b"")
        kind, options = parse_options_header(disposition)
        if kind != b"form-data":
            raise BadForm("The form is malformed: a part of it is not a field.")
        for header, name in ENCODINGS.items():
            if self._part.get(header, b"").strip().lower() not in IDENTITY_ENCODINGS:
                raise BadForm(f"The form has an encoded part. A {name} is not supported.")
        self._offered_name = options.get(b"filename")
        if self._offered_name is None and b"filename*" in disposition.lower():
            # RFC 7578 section 4.2 forbids it, and older versions of urllib3 send nothing else.
            self._offered_name = content_disposition.file_name(disposition.decode("latin-1")).encode()
        if self._offered_name is not None:
            self._has_file_field = True
        else:
            self._begin_field(options.get(b"name", b"").decode("latin-1"))
        if self._offered_name:
            self._begin_file()

    def _begin_field(self, name: str) -> None:
        if is_part_field(name):
            self._part_field = name
            self._part_fields[name] = bytearray()

    def _begin_file(self) -> None:
        if self.file_name is not None:
            raise BadForm("The form has several files. This address takes one file.")
        self._check_is_whole()
        self.file_name = file_name_of(self._offered_name or b"")
        self._file_headers = dict(self._part)
        self._is_in_file = True

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._part_field is not None:
            self._part_fields[self._part_field] += data[start:end]
        if self._offered_name is None:
            return
        if not self._is_in_file:  # a file without a name: an empty one means that none was chosen
            self._begin_file()
        self._pieces.append(memoryview(data)[start:end])

    def _end_part(self) -> None:
        self._part_field = None
        self._offered_name = None
        self._is_in_file = False

    def _end(self) -> None:
        self._check_is_whole()
        self.is_complete = True

    def _check_is_whole(self) -> None:
        """Raises BadForm if the fields that have come say that the form has a part of a file."""
        fields = {name: value.decode("latin-1") for name, value in self._part_fields.items()}
        count = find_part_count(fields)
        if count and count.parts > 1:
            raise BadForm("The form has only a part of a file. The page must send the file in one form.")


class _NoLog:
    """In place of the parser's log: the server logs a refused form itself, with one line."""

    def warning(self, *_: object) -> None:
        """Logs nothing."""
