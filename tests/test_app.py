"""The helper for the backends of apps, in Python and for Node: both do the same."""

from __future__ import annotations

import ast
import dataclasses
import errno
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import pytest

import incoming
from incoming import app
from incoming.http.routes import PARAMETER_NAMES
from tests.conftest import StartServer
from tests.support.app import DONE, WAIT, Reply, ScriptedApp
from tests.support.client_v2 import ClientV2
from tests.support.data import FileBytes
from tests.support.ports import free_port
from tests.support.server import ROOT, RunningServer
from tests.support.waiting import wait_until

SECRET: Final = "only we two know, and nobody else"
ID: Final = "0b8a0f0e-4c1b-4c57-9d2a-6c0d3f6f1a55"
CALL: Final = {
    "id": ID, "filename": "/data/file", "filenameFromBrowser": "Übung 1.mov", "backendSecret": SECRET,
    "secret": SECRET, "cancelled": "no", "cancelReason": "", "crc32c": "00c0ffee",
}  # fmt: skip
OTHER_DISK: Final = Path("/dev/shm")

Outcome = tuple[str, Any]
"""("value", what came of it) or ("error", its name)."""


class Helper(Protocol):
    """The helper in one language."""

    def __call__(self, do: str, **arguments: Any) -> Outcome:
        """Does an action of app_twin.mjs."""


class InPython:
    """incoming.app."""

    def __call__(self, do: str, **arguments: Any) -> Outcome:
        try:
            return "value", getattr(self, f"_{do}")(**arguments)
        except app.ServerRefused as exc:
            return "error", (type(exc).__name__, exc.status, exc.code, exc.retry_after_s)
        except OSError as exc:
            return "error", errno.errorcode[exc.errno or 0]
        except Exception as exc:
            return "error", type(exc).__name__

    def _read_call(self, form: str, secret: str) -> dict[str, Any]:
        upload = app.read_call(form.encode(), secret)
        properties = {"is_cancelled": upload.is_cancelled, "safe_name": upload.safe_name}
        return dataclasses.asdict(upload) | properties

    def _answer(self, form: str, secret: str, result: object = None, refuse: str | None = None) -> object:
        def take(_: app.Upload) -> object:
            if refuse is not None:
                raise app.Refuse(refuse)
            return result

        return app.IncomingServer(secret=secret).answer(form.encode(), take)._asdict()

    def _answers(self) -> object:
        answers = [app.done(), app.wait(), app.refuse("no"), app.refuse(), app.try_later(3)]
        return [answer._asdict() for answer in answers]

    def _safe_file_name(self, name: str) -> str:
        return app.safe_file_name(name)

    def _secret_in_file(self, file: str) -> str:
        return app.secret_in_file(file)

    def _move_into_place(self, moves: list[list[str]]) -> list[str]:
        with ThreadPoolExecutor() as pool:
            return [str(path) for path in pool.map(lambda move: app.move_into_place(*move), moves)]

    def _call(  # noqa: PLR0913
        self, *, url: str, route: str, args: list[Any], secret: str = SECRET, token: str = "",
        timeout_ms: int = 10_000,
    ) -> object:  # fmt: skip
        server = app.IncomingServer(url, secret, token=token, timeout_s=timeout_ms / 1000)
        positional = [arg for arg in args if isinstance(arg, str)]
        named = next((arg for arg in args if isinstance(arg, dict)), {})
        value = getattr(server, route)(*positional, **named)
        return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]


class InNode:
    """static/app.mjs, in a process of Node that answers one line at a time."""

    def __init__(self) -> None:
        if not shutil.which("node"):
            pytest.skip("node is not installed")
        command = ["node", str(ROOT / "tests/static/app_twin.mjs")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, do: str, **arguments: Any) -> Outcome:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"do": do, "secret": SECRET, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "value" in answer:
            return "value", answer["value"]
        if answer["error"] == "ServerRefused":
            return "error", (answer["error"], answer["status"], answer["code"], answer.get("retry_after_s"))
        return "error", answer.get("code") or answer["error"]

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def in_node() -> Iterator[InNode]:
    node = InNode()
    yield node
    node.close()


@pytest.fixture(params=["Python", "Node"])
def helper(request: pytest.FixtureRequest) -> Helper:
    """The helper in each language in turn."""
    node: InNode
    if request.param == "Node":
        node = request.getfixturevalue("in_node")
        return node
    return InPython()


def form(**changes: str | None) -> str:
    """Returns the body of a call with these fields changed; None leaves a field out."""
    return urlencode({name: value for name, value in (CALL | changes).items() if value is not None})


# --- reading a call --------------------------------------------------------------------------------------


def read(helper: Helper, body: str) -> dict[str, Any]:
    """Returns what a call says."""
    kind, value = helper("read_call", form=body, secret=SECRET)
    assert kind == "value", value
    assert isinstance(value, dict)
    return value


def test_a_call_about_a_file_becomes_a_value_without_the_secret(helper: Helper) -> None:
    extra = {"sha256": "ab" * 32, "metadata": '{"user": [1, null]}', "uploadMetadata": "a Yg==", "later": "1"}
    fields = {name: text for name, text in (CALL | extra).items() if name not in ("secret", "backendSecret")}
    assert read(helper, form(**extra)) == {
        "id": ID, "state": "arrived", "is_cancelled": False, "path": "/data/file", "name": "Übung 1.mov",
        "safe_name": "Übung 1.mov", "size_bytes": None, "crc32c": "00c0ffee", "sha256": "ab" * 32,
        "metadata": {"user": [1, None]}, "cancel_reason": "", "upload_metadata": "a Yg==", "url": "",
        "bucket": "", "key": "", "dest_type": "file", "files": 0, "files_bytes": 0, "left_out": 0,
        "manifest": "", "fields": fields,
    }  # fmt: skip


def test_calls_about_a_file_in_s3_and_about_a_folder_tell_more(helper: Helper) -> None:
    in_s3 = {"filename": "s3://b/k", "url": "https://s3/b/k?x=1&y", "bucket": "b", "key": "k", "size": "0"}
    found = read(helper, form(**in_s3))
    assert [found[name] for name in ("path", "url", "bucket", "key")] == [*list(in_s3.values())[:4]]
    assert found["size_bytes"] == 0
    folder = {"destType": "folder", "files": "100000", "filesBytes": "7", "leftOut": "2"}
    found = read(helper, form(**folder, manifest="/data/m"))
    names = ("dest_type", "files", "files_bytes", "left_out", "manifest")
    assert [found[name] for name in names] == ["folder", 100000, 7, 2, "/data/m"]


def test_a_cancelled_upload_has_a_reason_and_no_file(helper: Helper) -> None:
    found = read(helper, form(cancelled="yes", filename="", cancelReason="changed my mind"))
    assert (found["state"], found["path"], found["cancel_reason"]) == ("cancelled", "", "changed my mind")


@pytest.mark.parametrize("given", [None, "", "guess", SECRET[:-1], SECRET + "x", "ü" * 40, "\ud800"])
def test_a_call_without_the_secret_is_refused(helper: Helper, given: str | None) -> None:
    if given == "\ud800":
        body = form(backendSecret=None, secret=None) + "&backendSecret=%ED%A0%80"
        assert helper("answer", form=body, secret=SECRET)[1]["status"] in (400, 403)
        return
    body = form(backendSecret=given, secret=None)
    assert helper("read_call", form=body, secret=SECRET) == ("error", "WrongSecret")
    assert helper("answer", form=body, secret=SECRET)[1]["status"] == 403
    older_field = form(backendSecret=None, secret=given)
    assert helper("read_call", form=older_field, secret=SECRET) == ("error", "WrongSecret")


def test_no_secret_never_matches_no_secret(helper: Helper) -> None:
    body = form(backendSecret="", secret="")
    assert helper("read_call", form=body, secret="") == ("error", "WrongSecret")
    kind, name = helper("answer", form=body, secret="")
    assert (kind, name) in [("error", "ValueError"), ("error", "TypeError")]


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None}, {"id": ""}, {"id": "../x"}, {"id": "a/b"}, {"id": ".x"}, {"cancelled": None},
        {"cancelled": "maybe"}, {"filename": ""}, {"filename": None}, {"size": "-1"}, {"size": "x"},
        {"files": "1.5"}, {"metadata": "{"},
    ],
    ids=str,
)  # fmt: skip
def test_a_call_that_makes_no_sense_is_refused(helper: Helper, changes: dict[str, str | None]) -> None:
    assert helper("read_call", form=form(**changes), secret=SECRET) == ("error", "BadCall")
    assert helper("answer", form=form(**changes), secret=SECRET)[1]["status"] == 400


def test_the_fields_of_a_framework_are_read_as_the_body_is() -> None:
    assert app.read_call(CALL, SECRET) == app.read_call(form().encode(), SECRET)
    with pytest.raises(app.BadCall):
        app.read_call({name: [value] for name, value in CALL.items()}, SECRET)


def test_the_names_are_those_of_an_app_that_has_the_server_in_its_process() -> None:
    embedded = {field.name for field in dataclasses.fields(incoming.ArrivedUpload)}
    assert embedded <= {field.name for field in dataclasses.fields(app.Upload)}
    assert incoming.Refuse is app.Refuse


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.mov", "a.mov"), ("../../etc/passwd", "passwd"), ("..", "upload"), ("", "upload"), ("/", "upload"),
        ("C:\\x\\a b.mov", "a b.mov"), (".hidden", "hidden"), ("a\0\nb\u202ec", "abc"), (" . x", "x"),
        ("Übung 1.tar.gz", "Übung 1.tar.gz"), ("\N{FAMILY}.png", "\N{FAMILY}.png"),
    ],
)  # fmt: skip
def test_a_strangers_name_becomes_the_name_of_a_file(helper: Helper, name: str, safe: str) -> None:
    assert helper("safe_file_name", name=name) == ("value", safe)


# --- answers ----------------------------------------------------------------------------------------------


def test_each_answer_is_what_the_server_takes_for_it(helper: Helper) -> None:
    answers = helper("answers")[1]
    assert [(answer["status"], answer["body"]) for answer in answers] == [
        (200, "done"), (200, "wait"), (422, "no"), (422, "The app refuses this file."),
        (503, "Call again later."),
    ]  # fmt: skip
    assert all(answer["headers"]["Content-Type"].startswith("text/plain") for answer in answers)
    assert answers[-1]["headers"]["Retry-After"] == "3"


def test_what_the_function_returns_or_raises_is_the_answer(helper: Helper) -> None:
    def answer(**arguments: object) -> tuple[int, str]:
        found = helper("answer", form=form(), secret=SECRET, **arguments)[1]
        return found["status"], found["body"]

    assert answer() == answer(result="done") == (200, "done")
    assert answer(result="wait") == (200, "wait")
    assert answer(refuse="Only videos.") == (422, "Only videos.")
    assert helper("answer", form=form(), secret=SECRET, result=False) == ("error", "TypeError")
    called_off = form(cancelled="yes", filename="")
    answered = helper("answer", form=called_off, secret=SECRET, refuse="no")[1]
    assert answered["body"] == "done", "there is nothing to take"


def test_a_cancellation_reaches_the_function_for_it() -> None:
    told: list[app.Upload] = []
    server = app.IncomingServer(secret=SECRET)
    body = form(cancelled="yes", filename="", cancelReason="no").encode()
    assert server.answer(body, told.append, told.append) == app.done()
    assert [upload.cancel_reason for upload in told] == ["no"]


# --- calls to the server ------------------------------------------------------------------------------------


@pytest.fixture
def server(start_server: StartServer) -> RunningServer:
    """A server for apps on other machines: without the token, this one may not call it."""
    return start_server(backend_token="the token", allowed_backends="192.0.2.1")


def test_every_documented_parameter_reaches_the_server(
    helper: Helper, server: RunningServer, app_process: ScriptedApp
) -> None:
    limits = {"max_bytes": 500_000, "max_bytes_per_s": 10**9, "length_bytes": 1000}
    options = {"remove_file_when_finished": False, "sha256": True, "metadata": {"a": "ü"}, **limits}
    more = {"return_url": "http://localhost/thanks", "storage": "local", "file_owner_uid": os.getuid()}
    args = [app_process.url, options | more]
    kind, ticket = helper("call", url=server.url, token="the token", route="new_upload", args=args)
    assert kind == "value", ticket
    stored = server.journaled()[ticket["id"]]
    assert ticket["url"] == f"/incoming/frontend/uploads/{ticket['id']}"
    assert (stored.secret, stored.remove_file_when_finished, stored.wants_sha256) == (SECRET, False, True)
    assert (stored.max_bytes, stored.max_bytes_per_s, stored.length_bytes) == (500_000, 10**9, 1000)
    assert (json.loads(stored.metadata), stored.return_url) == ({"a": "ü"}, "http://localhost/thanks")
    assert stored.file_owner_uid == os.getuid()

    ClientV2(server.url, ticket["id"], FileBytes(1000), "a.mov").upload()
    (delivery,) = app_process.deliveries
    upload = app.read_call(delivery.fields, SECRET)
    assert (upload.metadata, upload.sha256, upload.name) == ({"a": "ü"}, delivery.sha256, "a.mov")


@pytest.fixture
def app_process() -> Iterator[ScriptedApp]:
    with ScriptedApp(DONE) as running:
        yield running


def test_the_helper_knows_every_parameter_of_a_new_upload() -> None:
    older = {"signalFinishSecret"}  # whose rules nobody needs today
    others = {"id", "by", *("state", "start", "limit", "history", "search")}
    in_python = (ROOT / "incoming/app.py").read_text("utf-8")
    in_node = (ROOT / "static/app.mjs").read_text("utf-8")
    for name in set(PARAMETER_NAMES) - older - others:
        assert f'"{name}": ' in in_python, name
        assert re.search(rf"\b{name}: ", in_node), name


def test_an_app_finishes_cancels_and_retries_its_uploads(helper: Helper, server: RunningServer) -> None:
    def call(route: str, *args: object) -> Outcome:
        return helper("call", url=server.url, token="the token", route=route, args=args)

    with ScriptedApp(WAIT, Reply(404, "no"), DONE) as scripted:
        waiting, cancelled, failed = (call("new_upload", scripted.url)[1]["id"] for _ in range(3))
        client = ClientV2(server.url, waiting, FileBytes(10)).open()
        client.send_until_stored()
        client.complete()
        wait_until(lambda: server.journaled_state(waiting) == "waiting", "the app finishes later")
        assert call("finish_upload", waiting) == call("finish_upload", waiting) == ("value", None)
        client.receive_result()
        assert call("cancel_upload", cancelled) == call("cancel_upload", cancelled) == ("value", None)
        with suppress(Exception):
            ClientV2(server.url, failed, FileBytes(10)).upload()
        assert call("retry_upload", failed) == ("value", None)
        wait_until(lambda: server.journaled_state(failed) == "finished", "the app has it now")
    assert call("retry_upload", failed) == ("error", ("ServerRefused", 412, "wrong_state", None))
    assert call("object_url", failed) == ("error", ("ServerRefused", 412, "wrong_state", None))
    assert call("finish_upload", ID) == ("error", ("ServerRefused", 400, "unknown_ticket", None))
    strange = {"url": server.url, "route": "finish_upload", "args": [failed]}
    refused = helper("call", token="the token", secret="x", **strange)
    assert refused == ("error", ("ServerRefused", 403, "wrong_secret", None))
    refused = helper("call", token="wrong", **strange)
    assert refused == ("error", ("ServerRefused", 403, "not_allowed", None))


Stranger = Callable[[socket.socket], object]
STRANGERS: Final[Mapping[str, tuple[str, bytes | None]]] = {
    "nobody": ("ServerUnreachable", None),
    "hangs up": ("ServerUnreachable", b""),
    "says nothing": ("ServerUnreachable", b"..."),
    "a page": ("NotAnIncomingServer", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<p>Hi"),
    "not found": ("NotAnIncomingServer", b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"),
    "a redirect": ("NotAnIncomingServer", b"HTTP/1.1 302 F\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"),
    "JSON of another": ("NotAnIncomingServer", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_what_is_not_the_server_is_an_error_that_says_so(helper: Helper, stranger: str) -> None:
    error, answer = STRANGERS[stranger]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = free_port() if answer is None else listener.getsockname()[1]

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    if answer == b"...":
                        connection.recv(1)
                    else:
                        connection.sendall(answer or b"")

        threading.Thread(target=serve, daemon=True).start()
        arguments = {"route": "new_upload", "args": ["http://localhost/x"], "timeout_ms": 300}
        assert helper("call", url=f"http://127.0.0.1:{port}", **arguments) == ("error", error)


def test_a_full_server_says_when_to_try_again(helper: Helper, start_server: StartServer) -> None:
    server = start_server(max_unfinished_per_app=1)
    arguments = {"url": server.url, "route": "new_upload", "args": ["http://localhost:1/x"]}
    assert helper("call", **arguments)[0] == "value"
    kind, (name, status, code, retry_after_s) = helper("call", **arguments)
    assert (kind, name, status, code) == ("error", "ServerRefused", 429, "too_many")
    assert retry_after_s > 0


@pytest.mark.parametrize("url", ["localhost:4000", "ftp://x", "http://", "http://x?y", ""])
def test_an_address_that_can_not_be_one_is_refused_at_once(helper: Helper, url: str) -> None:
    kind, name = helper("call", url=url, route="finish_upload", args=[ID])
    assert (kind, name) in [("error", "ValueError"), ("error", "TypeError")]


def test_the_helper_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse((ROOT / "incoming/app.py").read_text("utf-8"))
    nodes = list(ast.walk(tree))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
    loaded = "import sys, incoming.app; print(*sorted(name.split('.')[0] for name in sys.modules))"
    command = [sys.executable, "-c", loaded]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"gevent", "bottle", "click", "requests", "numpy"} & set(done.stdout.split())
    assert "logging" not in done.stdout.split(), "it is quick to import"


# --- files -------------------------------------------------------------------------------------------------


def test_a_secret_is_made_once_and_is_for_its_owner_only(helper: Helper, tmp_path: Path) -> None:
    file = tmp_path / "upload-secret"
    secret = helper("secret_in_file", file=str(file))[1]
    assert re.fullmatch("[0-9a-f]{64}", secret)
    assert helper("secret_in_file", file=str(file)) == ("value", secret)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]
    file.write_text("short")
    assert helper("secret_in_file", file=str(file))[0] == "error"
    file.write_text("a secret that somebody has put there\n")
    assert helper("secret_in_file", file=str(file))[1] == "a secret that somebody has put there"


def test_processes_that_start_together_get_the_same_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(app.secret_in_file, [tmp_path / "secret"] * 32))
    assert len(secrets) == 1


@pytest.fixture(params=["the same disk", "another disk"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file that the server has stored, where the target will be, or on another file system."""
    if request.param == "the same disk":
        folder = tmp_path / "storage"
        folder.mkdir()
        yield folder / ID
        return
    if not OTHER_DISK.is_dir() or OTHER_DISK.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip(f"{OTHER_DISK} is not another file system")
    with tempfile.TemporaryDirectory(dir=OTHER_DISK) as other:
        yield Path(other) / ID


CONTENT: Final = bytes(range(256)) * 1000


def move(helper: Helper, source: Path, target: Path, times: int = 1) -> Outcome:
    return helper("move_into_place", moves=[[str(source), str(target)]] * times)


@pytest.mark.parametrize("times", [1, 4])
def test_a_file_is_moved_by_one_call_or_by_several_at_a_time(
    helper: Helper, source: Path, tmp_path: Path, times: int
) -> None:
    target = tmp_path / "uploads" / ID / "a.mov"
    source.write_bytes(CONTENT)
    assert move(helper, source, target, times) == ("value", [str(target)] * times)
    assert move(helper, source, target) == ("value", [str(target)]), "once more"
    assert target.read_bytes() == CONTENT
    assert not source.exists()
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_is_moved_as_a_whole(helper: Helper, source: Path, tmp_path: Path) -> None:
    (source / "deep/empty").mkdir(parents=True)
    (source / "deep/a.mov").write_bytes(CONTENT)
    (source / "b").touch()
    target = tmp_path / "uploads" / ID
    assert move(helper, source, target)[0] == "value"
    assert move(helper, source, target)[0] == "value", "once more"
    assert (target / "deep/a.mov").read_bytes() == CONTENT
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == [
        "b", "deep", "deep/a.mov", "deep/empty",
    ]  # fmt: skip
    assert not source.exists() and list(target.parent.iterdir()) == [target]


def test_what_a_kill_has_left_is_replaced(helper: Helper, source: Path, tmp_path: Path) -> None:
    source.write_bytes(CONTENT)
    target = tmp_path / "a.mov"
    (tmp_path / f".{ID}.part").write_bytes(CONTENT[:1000] + b"x" * len(CONTENT))
    assert move(helper, source, target)[0] == "value"
    assert target.read_bytes() == CONTENT

    source.write_bytes(CONTENT)  # killed between the copy and the removal
    assert move(helper, source, target)[0] == "value"
    assert target.read_bytes() == CONTENT and not source.exists()


@pytest.mark.parametrize("other", [b"", CONTENT[:-1] + b"x", None])
def test_another_file_is_never_replaced(
    helper: Helper, source: Path, tmp_path: Path, other: bytes | None
) -> None:
    source.write_bytes(CONTENT)
    target = tmp_path / "a.mov"
    if other is None:
        target.mkdir()
    else:
        target.write_bytes(other)
    assert move(helper, source, target) == ("error", "EEXIST")
    assert source.read_bytes() == CONTENT
    assert other is None or target.read_bytes() == other


def test_a_file_that_the_app_can_not_see_is_an_error_and_never_done(helper: Helper, tmp_path: Path) -> None:
    assert move(helper, tmp_path / "nothing", tmp_path / "a.mov") == ("error", "ENOENT")


def test_a_copy_is_on_the_disk_before_the_original_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not OTHER_DISK.is_dir() or OTHER_DISK.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip(f"{OTHER_DISK} is not another file system")
    calls: list[str] = []
    sync, rename, unlink = os.fsync, Path.rename, Path.unlink

    def noted_sync(fd: int) -> None:
        calls.append(f"sync {Path(f'/proc/self/fd/{fd}').readlink().name}")
        sync(fd)

    def noted_rename(path: Path, target: Path) -> Path:
        moved = rename(path, target)
        calls.append(f"rename {path.name} to {target.name}")
        return moved

    def noted_unlink(path: Path, missing_ok: bool = False) -> None:
        if path.exists():
            calls.append(f"remove {path.name}")
        unlink(path, missing_ok)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    monkeypatch.setattr(Path, "unlink", noted_unlink)
    with tempfile.TemporaryDirectory(dir=OTHER_DISK) as other:
        source = Path(other) / ID
        source.write_bytes(CONTENT)
        app.move_into_place(source, tmp_path / "new" / "uploads" / "a.mov")
    part = f".{ID}.part"
    made = ["sync new", f"sync {tmp_path.name}"]
    copied = [f"sync {part}", f"rename {part} to a.mov", "sync uploads", "sync new"]
    assert calls == [*made, *copied, f"remove {ID}", "sync uploads", "sync new"]
