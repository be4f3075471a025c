"""One call to the app, over real connections, from a process that is patched as the server is."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from incoming.handover.answers import MAX_ANSWER_BYTES, Done
from incoming.handover.http_client import HttpClient
from incoming.wire.answer_reader import MAX_READ_BYTES, PIECE_BYTES, AnswerFile, AnswerTooLong
from tests.support.app import DONE, WAIT, Reply, ScriptedApp
from tests.support.calls import post
from tests.support.fakes import FakeRuntime
from tests.support.server import ROOT

FORM = {"id": "2b1c5a06", "filename": "/srv/ü & =.bin", "cancelReason": ""}
NEARLY_AT_ONCE_S = 20.0
LONG_S = 30.0


@dataclass
class Told:
    """What became of a call."""

    answer: str
    why: str
    kind: str
    took_s: float


class Caller:
    """The patched process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def post(self, url: str, connect_timeout_s: float = LONG_S, answer_timeout_s: float = LONG_S) -> Told:
        job = {"connect_timeout_s": connect_timeout_s, "answer_timeout_s": answer_timeout_s}
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps({**job, "url": url, "form": FORM}), file=self._process.stdin, flush=True)
        return Told(*json.loads(self._process.stdout.readline()))


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A caller whose operator has proxies and passwords in his own environment."""
    home = tmp_path_factory.mktemp("home")
    (home / ".netrc").write_text("machine 127.0.0.1 login operator password private\n")
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    with subprocess.Popen(
        [sys.executable, "-m", "gevent.monkey", str(Path(__file__).with_name("patched_caller.py"))],
        cwd=ROOT,
        env={**os.environ, **proxies, "no_proxy": "", "HOME": str(home), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Caller(process)
        assert process.stdin
        process.stdin.close()


@contextmanager
def raw_app(answer: bytes, then: bytes = b"", closes: bool = False) -> Iterator[str]:
    """An app that sends `answer` once it was asked, and then `then` again and again."""
    over = threading.Event()

    def serve(listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            return  # nobody came, which is the test's to say
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(answer)
            while not closes and not over.wait(0.02):
                connection.sendall(then)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/finished"
        over.set()
        thread.join()


# --- answers -------------------------------------------------------------------------------------


def test_the_app_gets_the_form_fields_unchanged(caller: Caller, app: ScriptedApp) -> None:
    assert caller.post(f"{app.url}?key=a%26b").answer == "Done"
    [delivery] = app.deliveries
    assert delivery.fields == FORM
    assert delivery.path == "/api/backend/upload_finished?key=a%26b"
    assert delivery.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (DONE, "Done"),
        (WAIT, "WillFinish"),
        (Reply(200, " done \r\n"), "Done"),
        (Reply(200, '"done"'), "Done"),
        (Reply(200, "\ufeffwait"), "WillFinish"),
        (Reply(200, "finished"), "Refused"),
        (Reply(200, ""), "Refused"),
        (Reply(204, ""), "Refused"),
        (Reply(404, "done"), "Refused"),
        (Reply(404, "done", {"Retry-After": "1"}), "NoAnswer"),
        (Reply(408, "done"), "NoAnswer"),
        (Reply(421, "done"), "NoAnswer"),
        (Reply(423, "done"), "NoAnswer"),
        (Reply(425, "done"), "NoAnswer"),
        (Reply(429, "done"), "NoAnswer"),
        (Reply(500, "done"), "NoAnswer"),
        (Reply(503, ""), "NoAnswer"),
    ],
)
def test_the_answer_is_what_status_and_word_say(
    caller: Caller, app: ScriptedApp, reply: Reply, answer: str
) -> None:
    app.answers = [reply]
    assert caller.post(app.url).answer == answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(caller: Caller, app: ScriptedApp, status: int) -> None:
    app.answers = [Reply(status, "", {"Location": app.url}), DONE]
    told = caller.post(app.url)
    assert (told.answer, told.why) == ("Refused", f"the app answered with status {status}")
    assert len(app.deliveries) == 1


def test_nothing_that_the_app_says_is_repeated(caller: Caller, app: ScriptedApp) -> None:
    app.answers = [Reply(500, "<b>Traceback: password=hunter2</b>")]
    assert "hunter2" not in caller.post(app.url).why


# --- bounds --------------------------------------------------------------------------------------


def test_of_a_long_answer_only_its_beginning_is_read(caller: Caller, app: ScriptedApp) -> None:
    app.answers = [Reply(200, " " * (MAX_ANSWER_BYTES - 4) + "done" + "x" * 1_000_000)]
    assert caller.post(app.url).answer == "Done"


def test_an_endless_answer_of_an_app_is_cut_off_and_refused(caller: Caller) -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    with raw_app(endless, b"x" * 65536) as url:
        told = caller.post(url)
    assert told.answer == "Refused"
    assert told.took_s < NEARLY_AT_ONCE_S


FOR_EVER = {
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "early hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"),
    "headers of interim answers": (b"HTTP/1.1 100 Continue\r\n", b"X-A: b\r\n"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "one header": (b"HTTP/1.1 200 OK\r\nX-A: ", b"x" * 100),
    "a status line": (b"HTTP/1.1 200 ", b"x" * 100),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndone\r\n0\r\n", b"X-A: b\r\n"),
    "extensions of chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1;" + b"x" * 100 + b"\r\nd\r\n",
    ),
    "one extension of a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;", b"x" * 100),
}


@pytest.mark.parametrize(("begin", "then"), FOR_EVER.values(), ids=FOR_EVER)
def test_whatever_an_app_sends_for_ever_is_not_read_for_ever(
    caller: Caller, begin: bytes, then: bytes
) -> None:
    with raw_app(begin, then * (262_144 // len(then))) as url:
        told = caller.post(url)
    assert told.answer == "NoAnswer"
    assert told.kind in ("too_long", "bad_answer", "cut")
    assert told.took_s < NEARLY_AT_ONCE_S


@pytest.mark.parametrize(("begin", "then"), FOR_EVER.values(), ids=FOR_EVER)
def test_whatever_drips_for_ever_is_bounded_in_time(caller: Caller, begin: bytes, then: bytes) -> None:
    with raw_app(begin, then) as url:  # each piece comes well within the time between two bytes
        told = caller.post(url, connect_timeout_s=1.0, answer_timeout_s=0.4)
    assert (told.answer, told.kind) == ("NoAnswer", "timeout")
    assert told.took_s < NEARLY_AT_ONCE_S


def test_others_run_between_two_pieces_of_an_answer() -> None:
    breaths: list[None] = []
    flood = io.BytesIO(b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000)
    file = io.BufferedReader(AnswerFile(flood, lambda: breaths.append(None)), PIECE_BYTES)
    with pytest.raises(AnswerTooLong):
        while file.readline():
            pass
    assert len(breaths) > MAX_READ_BYTES / PIECE_BYTES


INTERIM = {
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
    "processing": b"HTTP/1.1 102 Processing\r\n\r\n",
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "an unknown one": b"HTTP/1.1 199 Whatever\r\nContent-Length: 400\r\n\r\n",
    "several": b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20,
}
FINAL = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndone\r\n0\r\n\r\n",
    "to the end": b"HTTP/1.0 200 OK\r\n\r\ndone",
}


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
@pytest.mark.parametrize("final", FINAL.values(), ids=FINAL)
def test_an_interim_answer_is_skipped(caller: Caller, interim: bytes, final: bytes) -> None:
    with raw_app(interim + final, closes=True) as url:
        assert caller.post(url).answer == "Done"


def test_an_answer_that_changes_the_protocol_is_not_skipped(caller: Caller) -> None:
    with raw_app(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n") as url:
        told = caller.post(url)
    assert (told.answer, told.kind) == ("Refused", "status_1xx")


def test_an_answer_that_never_begins_is_not_waited_for(caller: Caller) -> None:
    with raw_app(b"") as url:
        told = caller.post(url, answer_timeout_s=0.2)
    assert (told.answer, told.why) == ("NoAnswer", "the app did not answer in time")
    assert told.took_s < NEARLY_AT_ONCE_S


@pytest.mark.parametrize(
    "begin", [b"HTTP/1.1 200 OK\r\nX-Drip: ", b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"]
)
def test_an_answer_that_drips_is_bounded_as_a_whole(caller: Caller, begin: bytes) -> None:
    with raw_app(begin, b"d") as url:  # each byte comes well within the time between two bytes
        told = caller.post(url, connect_timeout_s=1.0, answer_timeout_s=0.5)
    assert (told.answer, told.why) == ("NoAnswer", "the app did not answer in time")
    assert told.took_s < NEARLY_AT_ONCE_S


# --- apps that can't be reached --------------------------------------------------------------------


def test_an_app_that_is_down_gives_no_answer(caller: Caller, app: ScriptedApp) -> None:
    app.stop()
    told = caller.post(app.url)
    assert (told.answer, told.kind) == ("NoAnswer", "connection_refused")


@pytest.mark.parametrize(
    ("begin", "kind"), [(b"", "cut"), (b"HTTP/1.", "bad_answer"), (b"\x00rubbish\r\n\r\n", "bad_answer")]
)
def test_an_app_that_dies_before_its_answer_gives_none(caller: Caller, begin: bytes, kind: str) -> None:
    with raw_app(begin, closes=True) as url:
        told = caller.post(url)
    assert (told.answer, told.kind) == ("NoAnswer", kind)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndo",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\ndone",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 400\r\n\r\ndone",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"done")[:12],
    ],
    ids=["half a word", "a bad chunk", "bad gzip", "two lengths", "half of a gzip"],
)
def test_an_app_that_breaks_off_in_its_answer_gives_none(caller: Caller, answer: bytes) -> None:
    with raw_app(answer, closes=True) as url:
        assert caller.post(url).answer == "NoAnswer"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nServer: x\r\nDate",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n",
        b"HTTP/1.1 404 Not Found\r\nServ",
        b"HTTP/1.1 103 Early Hints\r\nLink: <",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ndo\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ndo\r\n1",
    ],
)
def test_an_answer_that_is_cut_anywhere_in_its_framing_is_not_taken_for_a_refusal(
    caller: Caller, answer: bytes
) -> None:
    with raw_app(answer, closes=True) as url:
        told = caller.post(url)
    assert (told.answer, told.kind) == ("NoAnswer", "cut")


CHUNKED_DONE = b"4\r\ndone\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (b"Transfer-Encoding: chunked ", CHUNKED_DONE),
        (b"TRANSFER-ENCODING:\tChunked\t", CHUNKED_DONE),
        (b"Content-Encoding: gzip ", gzip.compress(b"done")),
        (b"Content-Encoding: x-gzip", gzip.compress(b"done")),
        (b"Transfer-Encoding: chunked", CHUNKED_DONE.removesuffix(b"\r\n")),
    ],
    ids=["blank", "tabs", "gzip and a blank", "the old name of gzip", "no line after the last chunk"],
)
def test_an_answer_is_understood_however_its_headers_are_written(
    caller: Caller, header: bytes, body: bytes
) -> None:
    with raw_app(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n" + body, closes=True) as url:
        assert caller.post(url).answer == "Done"


def test_an_app_that_stalls_in_its_answer_gives_none(caller: Caller) -> None:
    with raw_app(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndo") as url:
        told = caller.post(url, answer_timeout_s=0.2)
    assert (told.answer, told.why) == ("NoAnswer", "the app did not answer in time")


@pytest.mark.parametrize(
    ("url", "kinds"),
    [
        ("http://app.invalid/", ["unknown_name", "name_server"]),  # the latter on a machine without a network
        ("http://127.0.0.1:1/", ["connection_refused"]),
        ("http://[::1", ["bad_url"]),
    ],
)
def test_a_name_that_leads_nowhere_gives_no_answer(caller: Caller, url: str, kinds: list[str]) -> None:
    told = caller.post(url)
    assert told.answer == "NoAnswer"
    assert told.kind in kinds


def test_an_https_app_without_tls_gives_no_answer(caller: Caller, app: ScriptedApp) -> None:
    told = caller.post(app.url.replace("http:", "https:"))
    assert (told.answer, told.kind) == ("NoAnswer", "tls")
    assert app.deliveries == []


def test_an_app_that_accepts_no_connection_is_not_waited_for(caller: Caller) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as stack:
        code = 0
        while not code:  # until its queue is full
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.2)
            code = waiting.connect_ex(full.getsockname())
        told = caller.post(f"http://127.0.0.1:{full.getsockname()[1]}/", connect_timeout_s=0.2)
    assert (told.answer, told.kind) == ("NoAnswer", "connect_timeout")


def test_the_operators_own_proxies_and_passwords_are_not_used(caller: Caller, app: ScriptedApp) -> None:
    assert caller.post(app.url).answer == "Done"
    assert "authorization" not in app.deliveries[0].headers


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndone\r\n0\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
def test_a_connection_is_kept_for_the_next_call(answer: bytes) -> None:
    notifier = HttpClient(LONG_S, LONG_S, FakeRuntime())
    connections: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threading.Thread(target=answer_each, args=[connection], daemon=True).start()

    def answer_each(connection: socket.socket) -> None:
        asked = b""
        while more := connection.recv(65536):
            asked += more
            while b"cancelReason=" in asked:  # the form's last field, and it is empty
                asked = asked.partition(b"cancelReason=")[2]
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert [post(notifier, url, FORM) for _ in range(3)] == [Done()] * 3
    assert len(connections) == 1
