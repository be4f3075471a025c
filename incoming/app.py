"""For the backend of an app: asks the server for tickets, answers its calls. docs/reference/app-helper.md.

    from incoming.app import IncomingServer, Upload, move_into_place, secret_in_file

    incoming = IncomingServer("http://localhost:4000", secret_in_file("upload-secret"))

    def take(upload: Upload) -> None:
        move_into_place(upload.path, f"uploads/{upload.id}/{upload.safe_name}")

    ticket = incoming.new_upload("http://localhost:8080/arrived", remove_file_when_finished=False)
    body, status, headers = incoming.answer(form, take)  # in the view that the server calls

It needs Python's standard library only, so an app may also copy this one file. It imports nothing of the
server, and works with threads, asyncio (in a thread) and gevent. A call may come twice: see `answer`.
"""

from __future__ import annotations

import errno
import filecmp
import hmac
import http.client
import json
import os
import secrets
import shutil
import ssl
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

ANSWER_TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 1 << 20
SECRET_BYTES: Final = 32
_SECRET_FIELDS: Final = ("backendSecret", "secret")


# --- what can go wrong -----------------------------------------------------------------------------------


class AppError(Exception):
    """What went wrong between the app and the server. Its text is for logs, and holds no secret."""


class ServerUnreachable(AppError):
    """The server did not answer, or not in time. Nothing is known of what it has done."""


class NotAnIncomingServer(AppError):
    """What answered at this address is not an Incoming!! server."""


class ServerRefused(AppError):
    """The server answered with an error of docs/reference/api.md.

    `status` is the HTTP status, `code` the stable word for programs, `message` the sentence. `retry_after_s`:
    when another try can succeed, in seconds; None if it can't without a change.
    """

    def __init__(self, status: int, code: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{message} ({code or 'no code'}, status {status})")
        self.status, self.code, self.message, self.retry_after_s = status, code, message, retry_after_s


class WrongSecret(AppError):
    """A call did not have the app's secret: it is not from the server."""


class BadCall(AppError):
    """A call had the app's secret, and a form that is not a handover."""


class Refuse(Exception):
    """Raised by a function that does not accept a file. Its text says why.

    The server's log has the text. With the server in the app's process, the user sees it, too.
    """


# --- the call of the server: pure ------------------------------------------------------------------------


class Answer(NamedTuple):
    """What the app answers, in the order that Flask, Bottle and Starlette take it."""

    body: str
    status: int
    headers: dict[str, str]


def _answer(body: str, status: int = 200, **headers: str) -> Answer:
    return Answer(body, status, {"Content-Type": "text/plain; charset=utf-8"} | headers)


def done() -> Answer:
    """Returns the answer "the app has the file". The user reads "finished"."""
    return _answer("done")


def wait() -> Answer:
    """Returns the answer "the app calls `finish_upload` later"."""
    return _answer("wait")


def refuse(reason: str = "") -> Answer:
    """Returns the answer "the app does not accept this file". The reason is in the server's log."""
    return _answer(reason or "The app refuses this file.", 422)


def try_later(after_s: int = 1) -> Answer:
    """Returns the answer "call again", after this many seconds."""
    return _answer("Call again later.", 503, **{"Retry-After": str(after_s)})


@dataclass(frozen=True, slots=True)
class Upload:
    """What the server tells in a call. The names are those of `incoming.ArrivedUpload`.

    `path`: the file, or the folder, on a disk that both share; `s3://BUCKET/KEY` for a file in S3, with
    `url`, `bucket` and `key`; empty for a cancelled upload. `name`: the user's name of it, a stranger's text.
    `size_bytes`: its length, if the call tells it. `crc32c` and `sha256`: hex, the second only if the ticket
    asked for it. `metadata`: what `new_upload` was given. `upload_metadata`: that of a tus client, a
    stranger's text. Of a folder (`dest_type`), `files` is how many files it has, `files_bytes` how many bytes
    they have, `left_out` how many the client could not read, and `manifest` the path of their list.
    `fields`: all fields as they came, without the secret.
    """

    id: str
    state: Literal["arrived", "cancelled"]
    path: str = ""
    name: str = ""
    size_bytes: int | None = None
    crc32c: str = ""
    sha256: str = ""
    metadata: Any = field(default=None, repr=False)
    cancel_reason: str = ""
    upload_metadata: str = field(default="", repr=False)
    url: str = field(default="", repr=False)
    bucket: str = ""
    key: str = ""
    dest_type: str = "file"
    files: int = 0
    files_bytes: int = 0
    left_out: int = 0
    manifest: str = ""
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_cancelled(self) -> bool:
        """Whether there is no file, and never will be."""
        return self.state == "cancelled"

    @property
    def safe_name(self) -> str:
        """The user's name as the name of a file: see `safe_file_name`."""
        return safe_file_name(self.name)


def safe_file_name(name: str) -> str:
    """Returns a name without folders and control characters: never empty, `.`, `..` or a hidden file."""
    bare = name.replace("\\", "/").rpartition("/")[2]
    printable = "".join(char for char in bare if not unicodedata.category(char).startswith("C"))
    return printable.lstrip(". ") or "upload"


def read_call(form: Mapping[str, Any] | bytes, secret: str) -> Upload:
    """Returns what a call says. `form`: its fields, as the framework has them, or its body as it came.

    Raises WrongSecret if the call is not from the server, and BadCall if it makes no sense. How long the
    comparison takes tells nothing about the secret.
    """
    fields = _fields(form)
    if not secret:
        raise WrongSecret("The app has no secret, so it can't tell the server from a stranger.")
    given = fields.get("backendSecret") or fields.get("secret") or ""
    if not hmac.compare_digest(given.encode(errors="replace"), secret.encode()):
        raise WrongSecret("The call does not have the app's secret.")
    upload_id = fields.get("id", "")
    if not upload_id or upload_id != safe_file_name(upload_id):
        raise BadCall("id: is missing, or is not an id.")
    cancelled = _one_of(fields, "cancelled", {"yes": True, "no": False})
    if not cancelled and not fields.get("filename"):
        raise BadCall("filename: is missing.")
    return Upload(
        id=upload_id,
        state="cancelled" if cancelled else "arrived",
        path="" if cancelled else fields["filename"],
        name=fields.get("filenameFromBrowser", ""),
        size_bytes=_number(fields, "size"),
        crc32c=fields.get("crc32c", ""),
        sha256=fields.get("sha256", ""),
        metadata=_json_value(fields, "metadata"),
        cancel_reason=fields.get("cancelReason", ""),
        upload_metadata=fields.get("uploadMetadata", ""),
        url=fields.get("url", ""),
        bucket=fields.get("bucket", ""),
        key=fields.get("key", ""),
        dest_type=fields.get("destType") or "file",
        files=_number(fields, "files") or 0,
        files_bytes=_number(fields, "filesBytes") or 0,
        left_out=_number(fields, "leftOut") or 0,
        manifest=fields.get("manifest", ""),
        fields={name: value for name, value in fields.items() if name not in _SECRET_FIELDS},
    )


def _fields(form: Mapping[str, Any] | bytes) -> dict[str, str]:
    """Returns the fields; of a repeated one the last value. Raises BadCall."""
    if isinstance(form, bytes):
        try:
            return dict(parse_qsl(form.decode("ascii"), keep_blank_values=True, errors="strict"))
        except ValueError as exc:
            raise BadCall("The body is not a form in UTF-8.") from exc
    found = {name: form[name] for name in form}
    if not all(isinstance(value, str) for value in found.values()):
        raise BadCall("The form has values that are not text.")
    return found


def _one_of(fields: Mapping[str, str], name: str, values: Mapping[str, bool]) -> bool:
    if fields.get(name) not in values:
        raise BadCall(f"{name}: must be one of {', '.join(values)}.")
    return values[fields[name]]


def _number(fields: Mapping[str, str], name: str) -> int | None:
    text = fields.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise BadCall(f"{name}: is not a number.")
    return int(text)


def _json_value(fields: Mapping[str, str], name: str) -> Any:
    try:
        return json.loads(fields[name]) if fields.get(name) else None
    except (ValueError, RecursionError) as exc:
        raise BadCall(f"{name}: is not JSON.") from exc


# --- calls to the server -----------------------------------------------------------------------------------

Take = Callable[[Upload], object]
"""Gets an arrived file. Returns "done" or None (the app has it), or "wait". Raises Refuse."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to upload one file: `id` is for the page. `url` is its address for clients of plain HTTP."""

    id: str = field(repr=False)
    url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class IncomingServer:
    """The server that this app works with.

    `url`: its address, as the app reaches it: `http(s)://HOST[:PORT][/PATH]`. `secret`: what only this app
    and the server know. `token`: the server's setting `backend_token`, if the app is on another machine.
    `timeout_s` is for each call. `tls`: which certificates to trust; the system's by default.
    """

    url: str = "http://localhost:4000"
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False, kw_only=True)
    timeout_s: float = field(default=ANSWER_TIMEOUT_S, kw_only=True)
    tls: ssl.SSLContext | None = field(default=None, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        """Raises ValueError for an address or a secret that can't be right."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{self.url!r} is not the address of a server: http(s)://HOST[:PORT]")
        if not self.secret:
            raise ValueError("The secret is empty. Then a stranger could make the app move any file.")

    def new_upload(  # noqa: PLR0913 - one keyword for each parameter of the route
        self,
        signal_finish_url: str,
        *,
        remove_file_when_finished: bool = True,
        sha256: bool = False,
        metadata: object = None,
        max_bytes: int = 0,
        max_bytes_per_s: int = 0,
        file_owner_uid: int | None = None,
        length_bytes: int | None = None,
        return_url: str = "",
        storage: str = "",
        destination_key: str = "",
        dest_type: str = "file",
    ) -> Ticket:
        """Returns a new ticket. Limits of 0 set none.

        `signal_finish_url` is where the server calls the app. `remove_file_when_finished=False` is for an app
        that moves the file. `metadata` is any value that JSON can represent. docs/reference/api.md says what
        the others mean. Raises ServerUnreachable, NotAnIncomingServer, ServerRefused.
        """
        parameters: dict[str, object] = {
            "signalFinishURL": signal_finish_url,
            "backendSecret": self.secret,
            "destType": dest_type,
            "removeFileWhenFinished": "true" if remove_file_when_finished else "false",
            "digest": "sha256" if sha256 else "",
            "metadata": "" if metadata is None else json.dumps(metadata, allow_nan=False),
            "maxBytes": max_bytes or "",
            "maxBytesPerS": max_bytes_per_s or "",
            "fileOwnerUid": "" if file_owner_uid is None else file_owner_uid,
            "lengthBytes": "" if length_bytes is None else length_bytes,
            "returnURL": return_url,
            "storage": storage,
            "destinationKey": destination_key,
        }
        answer = self._call("new_upload", parameters)
        try:
            found = json.loads(answer)
            return Ticket(str(found["id"]), str(found["url"]))
        except (ValueError, KeyError, TypeError) as exc:
            raise self._stranger(answer) from exc

    def finish_upload(self, upload_id: str) -> None:
        """Says that the app has the file, after it answered "wait". May be repeated. Raises ServerRefused."""
        self._expect_ok("finish_upload", upload_id)

    def cancel_upload(self, upload_id: str) -> None:
        """Cancels an upload. May be repeated. Raises ServerRefused once the file has arrived."""
        self._expect_ok("cancel_upload", upload_id)

    def retry_upload(self, upload_id: str) -> None:
        """Repeats a handover that has failed. Raises ServerRefused for an upload that has not."""
        self._expect_ok("retry_upload", upload_id)

    def object_url(self, upload_id: str) -> str:
        """Returns a new URL of a file in S3. Raises ServerRefused if there is none."""
        return self._call("object_url", {"id": upload_id, "backendSecret": self.secret})

    def read_call(self, form: Mapping[str, Any] | bytes) -> Upload:
        """Returns what a call says, with the secret of this app. Raises WrongSecret, BadCall."""
        return read_call(form, self.secret)

    def answer(
        self,
        form: Mapping[str, Any] | bytes,
        take: Take,
        on_cancelled: Callable[[Upload], object] | None = None,
    ) -> Answer:
        """Returns the answer to a call of the server. `form`: its fields, or its body as it came.

        Calls `take` with a file that has arrived, and `on_cancelled` with an upload that was cancelled. An
        answer can get lost. Then the call comes twice, so both have to do no harm the second time. An
        exception of theirs passes through: the framework answers 500, and the server calls again.
        """
        try:
            upload = self.read_call(form)
            if upload.is_cancelled:
                if on_cancelled:
                    on_cancelled(upload)
                return done()
            result = take(upload)
        except WrongSecret as exc:
            return _answer(str(exc), 403)
        except BadCall as exc:
            return _answer(str(exc), 400)
        except Refuse as exc:
            return refuse(str(exc))
        if result in (None, "done"):
            return done()
        if result == "wait":
            return wait()
        raise TypeError(f"{take} returned {result!r}, which is neither None, 'done' nor 'wait'")

    def _expect_ok(self, route: str, upload_id: str) -> None:
        answer = self._call(route, {"id": upload_id, "backendSecret": self.secret})
        if answer != "ok":
            raise self._stranger(answer)

    def _call(self, route: str, parameters: Mapping[str, object]) -> str:
        """Returns the body of a success."""
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        connection = (
            http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=self.tls)
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=self.timeout_s)
        )
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            path = f"{parts.path.rstrip('/')}/incoming/backend/{route}"
            connection.request("POST", path, urlencode(parameters), headers)
            response = connection.getresponse()
            body = response.read(MAX_ANSWER_BYTES).decode("utf-8", "replace")
        except TimeoutError as exc:
            raise ServerUnreachable(f"{self.url} did not answer within {self.timeout_s:g} s.") from exc
        except OSError as exc:
            raise ServerUnreachable(f"{self.url} can't be reached ({exc}). Is the server running?") from exc
        except http.client.HTTPException as exc:
            raise NotAnIncomingServer(f"{self.url} does not answer in HTTP ({exc}).") from exc
        finally:
            connection.close()
        if response.status == HTTPStatus.OK:
            return body
        raise self._refusal(response, body)

    def _refusal(self, response: http.client.HTTPResponse, body: str) -> AppError:
        try:
            error = json.loads(body)["error"]
            code, message = str(error["code"]), str(error["message"])
        except (ValueError, KeyError, TypeError):
            return self._stranger(body, response.status)
        return ServerRefused(response.status, code, message, _seconds(response.headers.get("Retry-After")))

    def _stranger(self, answer: str, status: int = 200) -> NotAnIncomingServer:
        return NotAnIncomingServer(
            f"{self.url} answered with status {status} and {answer[:60]!r}. That is not an Incoming!! server."
        )


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None


# --- files -------------------------------------------------------------------------------------------------


def secret_in_file(path: str | os.PathLike[str]) -> str:
    """Returns the secret in a file that only its owner can read. Makes the file if there is none.

    With an app that is started again, uploads that are under way need the same secret. Several processes may
    call this at the same time. Raises OSError, and ValueError for a file without a secret.
    """
    file = Path(path)
    if not file.exists():
        new = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
                opened.write(secrets.token_hex(SECRET_BYTES))
                opened.flush()
                os.fsync(opened.fileno())
            with suppress(FileExistsError):  # another process was faster: its secret counts
                os.link(new, file)
        finally:
            new.unlink(missing_ok=True)
        _sync_folder(file.absolute().parent)
    content = file.read_text("utf-8").strip()
    if len(content) < SECRET_BYTES:
        raise ValueError(f"{file} has less than {SECRET_BYTES} characters. Remove it to get a new secret.")
    return content


def move_into_place(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Path:
    """Moves a file or a folder of the server to `target`, makes the folders above it, and returns its path.

    It can be called again after a kill at any moment, and by two calls at the same time: `target` appears
    whole or not at all, and is on the disk when this returns. It copies to another file system. `target` has
    to be different for each upload, so put the upload's id into it. Raises FileExistsError if something else
    is there, FileNotFoundError if neither exists, OSError.
    """
    source, target = Path(source), Path(target)
    missing = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    for made in missing:
        _sync_folder(made.parent)
    try:
        locked = os.open(source, os.O_RDONLY)
    except FileNotFoundError:
        if not target.exists():
            lost = "neither this nor the target exists. Does the app see the server's files?"
            raise FileNotFoundError(errno.ENOENT, lost, str(source)) from None
    else:
        try:
            _lock(locked)  # a second call waits here while the first one copies
            if source.exists():
                _move(source, target)
        finally:
            os.close(locked)
    _sync_entry(target)
    return target


def _move(source: Path, target: Path) -> None:
    if target.exists():  # a kill between the copy and the removal, or another file
        if not _same(source, target):
            raise FileExistsError(errno.EEXIST, "something else is there", str(target))
        _remove(source)
        return
    try:
        source.rename(target)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        partial = target.with_name(f".{source.name}.part")
        _remove(partial)
        _copy(source, partial)
        partial.rename(target)
        _sync_entry(target)
        _remove(source)


def _copy(source: Path, target: Path) -> None:
    """Copies a file or a folder. It is on the disk when this returns."""
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
        for folder, _, files in os.walk(target, topdown=False):
            for name in files:
                _sync(Path(folder, name))
            _sync_folder(Path(folder))
    else:
        shutil.copy2(source, target)
        _sync(target)


def _same(one: Path, other: Path) -> bool:
    """Tells whether two files, or two folders, have the same content."""
    if one.is_dir() != other.is_dir():
        return False
    if not one.is_dir():
        return filecmp.cmp(one, other, shallow=False)
    names = sorted(path.relative_to(one) for path in one.rglob("*"))
    return names == sorted(path.relative_to(other) for path in other.rglob("*")) and all(
        _same(one / name, other / name) for name in names if not (one / name).is_dir()
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _lock(fd: int) -> None:
    import fcntl  # noqa: PLC0415 - not on Windows, where an app may use the rest

    fcntl.flock(fd, fcntl.LOCK_EX)


def _sync(path: Path) -> None:
    if path.is_symlink():
        return
    with path.open("rb") as opened:
        os.fsync(opened.fileno())


def _sync_entry(path: Path) -> None:
    """Syncs the name to the disk, and that of its folder, which an earlier call may have made."""
    _sync_folder(path.parent)
    _sync_folder(path.parent.parent)


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
