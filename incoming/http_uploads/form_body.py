"""The file in a form as a body of its own, which comes while the form does.

Nothing of a form is kept but a block of it. So a file of any size is stored as the body of a PUT is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from incoming.http_uploads.body import RequestBody
from incoming.protocol.multipart_form import FormReader
from incoming.protocol.request_checksum import RequestChecksums

BLOCK_BYTES: Final = 256 * 1024
"""How much of a form is read at a time."""


class FormBody(RequestBody):
    """The file in a form. Its length is known at the end of the form, and only then it counts as whole."""

    def __init__(self, form: RequestBody, reader: FormReader, checks: RequestChecksums) -> None:
        """`form`: the body of the request, with its `checks`. `reader` finds the file in it."""
        super().__init__(None)
        self._checks = checks
        self._form = form
        self._reader = reader
        self._block = memoryview(bytearray(BLOCK_BYTES))
        self._pieces: deque[memoryview] = deque()
        self._is_last = False
        """Whether no more of the form will come."""

    def read_name(self) -> str:
        """Reads up to where the file begins. Returns its name.

        Raises BadForm, FormTooLarge, BodyBroken, BodyInterrupted, and what the checks of the form raise.
        """
        while self._reader.file_name is None:
            self._read_block()
        return self._reader.file_name

    def _read_block(self) -> None:
        """Takes the next block of the form apart, or ends it. Raises as `read_name`."""
        read_bytes = 0 if self._form.at_end else self._form.read_into(self._block)
        if read_bytes:
            block = self._block[:read_bytes]
            self._checks.update(block)
            self._pieces.extend(self._reader.feed(bytes(block)))
        if self._form.at_end or not read_bytes:
            self.trailers = self._form.trailers
            self._checks.verify(self.trailers)
            self._reader.finish()
            self._is_last = True

    @property
    def keeps_alive(self) -> bool:
        """See RequestBody."""
        return self._form.keeps_alive

    def read_into(self, buffer: memoryview) -> int:
        """See RequestBody. Raises what `read_name` raises, too."""
        filled_bytes = 0
        while not self._pieces and not self._is_last:
            self._read_block()
        while self._pieces and filled_bytes < len(buffer):
            piece = self._pieces.popleft()
            part = piece[: len(buffer) - filled_bytes]
            buffer[filled_bytes : filled_bytes + len(part)] = part
            filled_bytes += len(part)
            if len(part) < len(piece):
                self._pieces.appendleft(piece[len(part) :])
        self.received_bytes += filled_bytes
        self.at_end = self._is_last and not self._pieces
        return filled_bytes

    def interrupt(self) -> None:
        """See RequestBody."""
        self._form.interrupt()

    def send_interim(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """See RequestBody."""
        self._form.send_interim(status, headers)

    def finish(self) -> None:
        """See RequestBody."""
        self._form.finish()
