"""One tree of errors: what went wrong, for programs and for people.

Every error that can reach somebody outside carries

- `code`: a stable word for programs (JSON answers, logs),
- `number`: the same as an integer (the `ErrorCode` of a MsgError),
- `http_status`: the status of an HTTP answer,
- `retryable`: whether trying the same again later can succeed; `retry_after_s`: when, if it says so.

The sentence of an error is shown to users by pages that write it into innerHTML: it holds no `<`, `>`
or `&` and no name of a file. `sentence_for_pages` replaces these characters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_UNSAFE_IN_PAGES = str.maketrans({"<": "(", ">": ")", "&": "+"})


def sentence_for_pages(text: str) -> str:
    """Returns `text` without the characters that mean something in HTML."""
    return text.translate(_UNSAFE_IN_PAGES)


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """The file that an upload was begun with, as its client described it; the time is 0 when unknown.

    `length_bytes`: None when unknown. The file then has at least `min_bytes` bytes. `app_has_it`: the
    upload has finished.
    """

    name: str
    length_bytes: int | None
    last_modified_ms: int
    min_bytes: int = 0
    app_has_it: bool = False

    @property
    def size_text(self) -> str:
        """How long it is, for sentences."""
        if self.length_bytes is None:
            return f"at least {self.min_bytes} bytes"
        return f"{self.length_bytes} bytes"


class IncomingError(Exception):
    """Something that somebody outside may be told about."""

    code = "internal_error"
    number = 1
    http_status = 500
    retryable = True
    retry_after_s = 0
    sentence = "The upload server failed: an internal error."
    expected_file: ExpectedFile | None = None
    """The file that should have come, when another one did."""

    def __str__(self) -> str:
        return sentence_for_pages(super().__str__() or self.sentence)


class InternalError(IncomingError):
    """A defect of ours. The log has the details; the outside gets none."""


# --- what a caller got wrong -------------------------------------------------------------------


class BadParameter(IncomingError):
    """A parameter of a route is missing, malformed or not supported."""

    code, number, http_status, retryable = "bad_parameter", 10, 400, False

    def __init__(self, parameter: str, why: str) -> None:
        super().__init__(f"The parameter {parameter} {why}.")
        self.parameter = parameter


class UnknownTicket(IncomingError):
    """Nobody knows this ticket, or it was forgotten after its retention time."""

    code, number, http_status, retryable = "unknown_ticket", 11, 400, False
    sentence = "No upload has this id, or it ended too long ago."


class WrongSecret(IncomingError):
    """The secret is missing or not the ticket's."""

    code, number, http_status, retryable = "wrong_secret", 12, 403, False
    sentence = "The backendSecret is not the secret of this upload."


class NotAllowed(IncomingError):
    """The caller may not use the backend routes."""

    code, number, http_status, retryable = "not_allowed", 13, 403, False


class SignInNeeded(IncomingError):
    """The caller may see this once it has shown the token."""

    code, number, http_status, retryable = "sign_in_needed", 19, 401, False


class UpgradeRequired(IncomingError):
    """The route speaks WebSocket only."""

    code, number, http_status, retryable = "upgrade_required", 14, 426, False
    sentence = (
        "This address accepts WebSocket connections only. A proxy in front of the server must forward the "
        "Upgrade and Connection headers."
    )


class NotFound(IncomingError):
    """There is no such page."""

    code, number, http_status, retryable = "not_found", 15, 404, False


class MethodNotAllowed(IncomingError):
    """The route exists, for another method. `allow`: the ones that it has, for the Allow header."""

    code, number, http_status, retryable = "method_not_allowed", 16, 405, False

    def __init__(self, sentence: str, allow: str) -> None:
        super().__init__(sentence)
        self.allow = allow


class WrongState(IncomingError):
    """The ticket's state does not admit what was asked for."""

    code, number, http_status, retryable = "wrong_state", 17, 412, False


class BadRequest(IncomingError):
    """The request could not be read at all."""

    code, number, http_status, retryable = "bad_request", 18, 400, False


class LengthRequired(IncomingError):
    """The web server in front of this app can't read a chunked body."""

    code, number, http_status, retryable = "length_required", 61, 411, False
    sentence = "This server can't read a chunked body. Send the request with a Content-Length."


class IncompleteBody(IncomingError):
    """The body of a request ended before it was complete, or came too slowly. What came may be stored."""

    code, number, http_status, retryable = "incomplete_body", 62, 408, True

    def __init__(self, why: str) -> None:
        super().__init__(f"The body of the request is incomplete: {why}.")


class FormTooLarge(IncomingError):
    """The parameters of a request are more than any route needs."""

    code, number, http_status, retryable = "form_too_large", 60, 413, False
    sentence = "The body of the request is too large: its parameters may have at most 100 KiB."


# --- what a client of an upload got wrong -------------------------------------------------------


class BadMessage(IncomingError):
    """A websocket message that can't be read, or that has no place here."""

    code, number, http_status, retryable = "bad_message", 20, 400, False


CHUNK_TOO_LARGE = "The chunk is larger than the server allows."


class BadChunk(IncomingError):
    """A chunk larger than the server allows, or bytes beyond the declared length."""

    code, number, http_status, retryable = "bad_chunk", 21, 400, False


class LengthMismatch(IncomingError):
    """The file has another length than the one that this upload began with."""

    code, number, http_status, retryable = "length_mismatch", 22, 409, False

    def __init__(self, expected: ExpectedFile, got_bytes: int) -> None:
        """Without a name in `expected`, the app may have asked for this length."""
        if expected.app_has_it:
            what = (
                f"The app has the file of this upload already. That file has {expected.size_text}, this one"
            )
        elif expected.name:
            what = "This is not the file that the upload started with: that file has "
            what += f"{expected.size_text}, this one"
        else:
            what = f"The upload is for a file of {expected.size_text}. This one"
        super().__init__(f"{what} has {got_bytes} bytes.")
        self.expected_file = expected if expected.name else None


class UploadTooLarge(IncomingError):
    """The declared length is more than the ticket, or this server, will ever take."""

    code, number, http_status, retryable = "upload_too_large", 23, 413, False

    def __init__(self, length_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"The file is too large: it has {length_bytes} bytes, the limit is {limit_bytes} bytes."
        )


class WrongFile(IncomingError):
    """The file has other bytes than the ones that are stored already."""

    code, number, http_status, retryable = "wrong_file", 24, 409, False

    def __init__(self, expected: ExpectedFile) -> None:
        super().__init__(
            "The app has another file from this upload already: its content differs."
            if expected.app_has_it
            else "This is not the file that the upload started with: its content differs."
        )
        self.expected_file = expected if expected.name else None


class Damaged(IncomingError):
    """Several chunks in a row arrived with other bytes than were sent."""

    code, number, http_status, retryable = "damaged", 25, 400, True
    sentence = "The data was damaged in transit several times."


class BytesLost(IncomingError):
    """The storage has lost bytes that were acknowledged; the file was cut off before them.

    A power cut took them from a disk, or somebody has replaced or removed a stored part in S3.
    """

    code, number, http_status, retryable = "bytes_lost", 26, 500, True
    sentence = "The storage lost the last bytes, for example in a power cut. The client sends them again."


# --- what a request of an upload over HTTP got wrong ------------------------------------------------


class BadHeader(IncomingError):
    """A header of an upload over HTTP is missing, malformed, out of range or contradicts another one."""

    code, number, http_status, retryable = "bad_header", 70, 400, False

    def __init__(self, header: str, why: str) -> None:
        super().__init__(f"The header {header} {why}.")
        self.header = header


class UnsupportedVersion(IncomingError):
    """The client names another version of the upload protocol, or none where it must."""

    code, number, http_status, retryable = "unsupported_version", 71, 412, False

    def __init__(self, header: str, supported: str) -> None:
        super().__init__(f"The header {header} must be {supported}: this server has no other version.")
        self.header = header


class WrongMediaType(IncomingError):
    """The Content-Type is not the one that this kind of request has."""

    code, number, http_status, retryable = "wrong_media_type", 72, 415, False

    def __init__(self, expected: str) -> None:
        super().__init__(f"The header Content-Type must be {expected}.")
        self.expected = expected


class UnsupportedCoding(IncomingError):
    """The body of a request is compressed, or coded in another way (RFC 9110 section 8.4).

    It would be stored as it came, and the app could not tell that from the file.
    """

    code, number, http_status, retryable = "unsupported_coding", 95, 415, False
    sentence = "The request has a Content-Encoding. Send the file as it is, without one."


class OffsetMismatch(IncomingError):
    """The bytes of a request do not begin where the stored ones end."""

    code, number, http_status, retryable = "offset_mismatch", 73, 409, True

    def __init__(self, expected_bytes: int, got_bytes: int) -> None:
        super().__init__(f"The upload continues at byte {expected_bytes}, not at byte {got_bytes}.")
        self.expected_bytes = expected_bytes
        self.got_bytes = got_bytes


class UnsupportedChecksum(IncomingError):
    """The client names a checksum that this server does not compute."""

    code, number, http_status, retryable = "unsupported_checksum", 74, 400, False

    def __init__(self, supported: str) -> None:
        super().__init__(f"This checksum is not supported. The server supports {supported}.")


class ChecksumMismatch(IncomingError):
    """The bytes of a request do not have the checksum that its client named. None of them is kept."""

    code, number, http_status, retryable = "checksum_mismatch", 75, 460, True
    sentence = "The checksum of the request does not match its bytes. Nothing of it was stored."


class DigestMismatch(IncomingError):
    """The whole file has another digest than its client named at the beginning. The upload has ended."""

    code, number, http_status, retryable = "digest_mismatch", 86, 422, False
    sentence = "The file does not have the digest that its client named. The upload was cancelled."


class BadForm(IncomingError):
    """A form that a page sends without the library is malformed, or does not have exactly one file."""

    code, number, http_status, retryable = "bad_form", 90, 400, False


class TooManyBytes(IncomingError):
    """The body of a request has more bytes than the upload lacks. The bytes too many are not stored."""

    code, number, http_status, retryable = "too_many_bytes", 76, 413, False

    def __init__(self, missing_bytes: int) -> None:
        super().__init__(f"The body of the request has more than the {missing_bytes} bytes that are missing.")


class SessionEnded(IncomingError):
    """The server knows nothing of the session any more: it has started again since."""

    code, number, http_status, retryable = "session_ended", 78, 409, True
    sentence = "The session has ended. Begin another one."


class AppNotReady(IncomingError):
    """All bytes have arrived, and the app has not answered yet. The same request may be repeated."""

    code, number, http_status, retryable = "app_not_ready", 77, 423, True
    retry_after_s = 2

    def __init__(self, why: str = "") -> None:
        """`why`: the reason why the last call to the app failed, if it did."""
        super().__init__(
            f"All bytes have arrived, and the app has not taken the file yet{f': {why}' if why else ''}. "
            "Ask again."
        )


# --- a folder as one upload ------------------------------------------------------------------------


class BadFolder(IncomingError):
    """What a client says of its folder is damaged, or the server can't keep the folder that way.

    No byte of a file was stored. `reason` is a stable word: see docs/reference/folders.md. `index` is that of
    the entry, counted from 0, and `path` its path; None and empty if it is about none. The sentence has
    neither: pages may write it as HTML.

    DAMAGED and NOT_A_FOLDER: the list does not have its own checksums, or another file came. So the right
    list may still come. With any other reason it came as its client has made it, and is refused for good.
    """

    DAMAGED, NOT_A_FOLDER = "damaged", "not_a_folder"

    code, number, http_status, retryable = "bad_folder", 92, 422, False

    def __init__(self, reason: str, why: str, index: int | None = None, path: str = "") -> None:
        """`why` completes a sentence; about an entry, one that begins with "Its entry 17"."""
        about = "" if index is None else f"Its entry {index + 1} "
        super().__init__(f"This folder can't be uploaded. {about}{why}.")
        self.reason = reason
        self.index = index
        self.path = path


class FilesOnly(IncomingError):
    """The ticket is for a folder, and a client sends one file in a way that can't send a folder."""

    code, number, http_status, retryable = "files_only", 93, 403, False

    def __init__(self, way: str) -> None:
        """`way`: what can't send a folder."""
        super().__init__(f"This ticket is for a folder. {way} can't send one.")


class LeaveOutRefused(IncomingError):
    """A client wants to leave a file of a folder out, over HTTP."""

    code, number, http_status, retryable = "leave_out_refused", 94, 403, False
    sentence = "Over HTTP, no file of a folder can be left out. Use a WebSocket, or upload the folder again."


# --- parts of an upload -------------------------------------------------------------------------


class InParts(IncomingError):
    """The upload comes in parts, so nobody can send it as a whole."""

    code, number, http_status, retryable = "upload_in_parts", 80, 403, False
    sentence = "This upload comes in parts, so it can't be sent as a whole. Cancel it to start again."


class NotInParts(IncomingError):
    """The upload was begun as a whole file, or the storage takes whole files only."""

    code, number, http_status, retryable = "upload_not_in_parts", 81, 403, False
    sentence = "This upload was begun as a whole file. It takes no parts."


class UnknownPart(IncomingError):
    """The upload has no such part, or it was deleted."""

    code, number, http_status, retryable = "unknown_part", 82, 404, False
    sentence = "The upload has no part with this number."


class BadAssembly(IncomingError):
    """The file can't be made of these parts."""

    code, number, http_status, retryable = "bad_assembly", 83, 400, False


class TooManyParts(IncomingError):
    """The parts of an upload are more than one needs."""

    code, number, http_status, retryable = "too_many_parts", 84, 403, False
    sentence = "The upload has too many parts, or they have too much metadata."


# --- how an upload ended -----------------------------------------------------------------------


class UploadCancelled(IncomingError):
    """The upload was cancelled; its ticket is used up."""

    code, number, http_status, retryable = "cancelled", 30, 410, False
    sentence = "This upload was cancelled."


class UploadExpired(IncomingError):
    """The ticket was not used for too long."""

    code, number, http_status, retryable = "expired", 31, 410, False
    sentence = "The upload was idle for too long and has expired. Please start it again."


class HandoverFailed(IncomingError):
    """All bytes are here, but the app did not take the file."""

    code, number, http_status, retryable = "handover_failed", 32, 502, False


# --- what passes: trying again helps -------------------------------------------------------------


class TakenOver(IncomingError):
    """A newer connection has the ticket now."""

    code, number, http_status, retryable = "taken_over", 40, 409, True
    sentence = "A newer connection has taken over this upload."


class StorageFull(IncomingError):
    """There is no room at the moment."""

    code, number, http_status, retryable = "storage_full", 41, 507, True
    retry_after_s = 30
    sentence = "The server has no space for this file at the moment."

    def __init__(self, missing_bytes: int | None = None, room_bytes: int = 0) -> None:
        sizes = f": {missing_bytes} bytes are missing, {room_bytes} bytes are free."
        super().__init__("" if missing_bytes is None else self.sentence.removesuffix(".") + sizes)


class RegistryFull(StorageFull):
    """What keeps the tickets has no memory left, however much room there is for files."""

    sentence = "The server has no memory left for its list of uploads."


class StorageFailed(IncomingError):
    """The storage refused to read or write."""

    code, number, http_status, retryable = "storage_failed", 42, 500, True
    sentence = "The server could not store the file."


class ClaimLapsed(TakenOver):
    """The claim has ended because it was not used for too long, and nobody else has the upload.

    Its process was frozen, for example. To clients it is a storage that failed, so they resume.
    """

    code, number = StorageFailed.code, StorageFailed.number
    http_status, retryable = StorageFailed.http_status, StorageFailed.retryable
    sentence = "The connection was silent for too long, and the upload was paused. Try again."


class ClaimForgotten(ClaimLapsed):
    """What keeps the tickets has lost the claim, as in a failover. No newer connection has come."""

    sentence = "The server's list of uploads has lost this connection. Try again."


class RegistryFailed(StorageFailed):
    """What keeps the tickets is away. The files of uploads may be well."""

    sentence = "The server can't reach its list of uploads."


class ForeignKeys(RegistryFailed):
    """Redis has data of another program where the tickets should be.

    To try again helps once somebody has removed that data. No byte is lost.
    """

    code, number = "foreign_keys", 46
    sentence = "The server can't use its list of uploads: another program has its place in Redis."


class DestinationTaken(StorageFailed):
    """Another object has the key that the app has chosen for the file. It is not replaced.

    To try again helps only once somebody has removed that object. No byte is lost.
    """

    code, number, http_status, retryable = "destination_taken", 45, 409, False
    sentence = "The place that the app has chosen for the file is taken. It is not replaced."


class StorageLost(StorageFailed):
    """Another process may own the storage by now. To clients it is a storage that failed."""


class NotesLost(StorageFailed):
    """What was noted of an upload is missing, or some of it: no repetition of this change can succeed."""


class Stopping(IncomingError):
    """The server is about to stop."""

    code, number, http_status, retryable = "stopping", 43, 503, True
    retry_after_s = 5
    sentence = "The server is being restarted."


class TooMany(IncomingError):
    """One source has as much of the server as it may have; it passes when some of that comes to an end."""

    code, number, http_status, retryable = "too_many", 44, 429, True
    retry_after_s = 10

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"Too many {what}: the limit is {limit}.")


# --- for the operator --------------------------------------------------------------------------


class BadSetting(IncomingError):
    """A setting is unknown or malformed; the server does not start with it."""

    code, number, http_status, retryable = "bad_setting", 50, 500, False

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name
        self.why = why


class StorageInUse(IncomingError):
    """Another process owns the storage directory."""

    code, number, http_status, retryable = "storage_in_use", 51, 500, True

    def __init__(self, directory: str) -> None:
        super().__init__(
            f"Another Incoming!! process uses the storage directory {directory}. Stop it, give this one "
            "another --storage-dir, or start it with --wait-for-storage."
        )


def all_errors() -> Iterator[type[IncomingError]]:
    """Yields every error class that has a code of its own (docs and tests are checked by it)."""
    todo: list[type[IncomingError]] = [IncomingError]
    seen: set[str] = set()
    while todo:
        error = todo.pop(0)
        todo += error.__subclasses__()
        if error.code not in seen:
            seen.add(error.code)
            yield error
