"""One call to the app, over real connections, from a process that is patched as the server is."""

from __future__ import annotations

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

import gevent
import pytest

from incoming.handover.notifier import CONNECTIONS_A_HOST, Notifier
from incoming.handover.schedule import MAX_ANSWER_BYTES, Done
from tests.support.app import DONE, WAIT, Reply, ScriptedApp
from tests.support.fakes import FakeRuntime
from tests.support.server import ROOT

FORM = {"id": "2b1c5a06", "filename": "/srv/ü & =.bin", "cancelReason": ""}
NEARLY_AT_ONCE_S = 5.0
LONG_S = 30.0


@dataclass
class Told:
    """What became of a call."""

    answer: str
    why: str
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
        listener.settimeout(10)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/finished"
        over.set()
        thread.join()


# --- answers -------------------------------------------------------------------------------------


def test_the_form_arrives_as_it_was_sent(caller: Caller, app: ScriptedApp) -> None:
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
        (Reply(200, "finished"), "Refused"),
        (Reply(200, ""), "Refused"),
        (Reply(204, ""), "Refused"),
        (Reply(404, "done"), "Refused"),
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


def test_an_answer_without_end_comes_to_one(caller: Caller) -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    with raw_app(endless, b"x" * 65536) as url:
        told = caller.post(url)
    assert told.answer == "Refused"
    assert told.took_s < NEARLY_AT_ONCE_S


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
        told = caller.post(url, connect_timeout_s=0.2, answer_timeout_s=0.5)
    assert (told.answer, told.why) == ("NoAnswer", "the app did not answer in time")
    assert told.took_s < NEARLY_AT_ONCE_S


# --- apps that can't be reached --------------------------------------------------------------------


def test_an_app_that_is_down_gives_no_answer(caller: Caller, app: ScriptedApp) -> None:
    app.stop()
    told = caller.post(app.url)
    assert (told.answer, told.why) == ("NoAnswer", "the app could not be reached")


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.", b"\x00rubbish\r\n\r\n"])
def test_an_app_that_dies_before_its_answer_gives_none(caller: Caller, begin: bytes) -> None:
    with raw_app(begin, closes=True) as url:
        assert caller.post(url).answer == "NoAnswer"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndo",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\ndone",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 400\r\n\r\ndone",
    ],
    ids=["half a word", "a bad chunk", "bad gzip", "two lengths"],
)
def test_an_app_that_breaks_off_in_its_answer_gives_none(caller: Caller, answer: bytes) -> None:
    with raw_app(answer, closes=True) as url:
        assert caller.post(url).answer == "NoAnswer"


def test_an_app_that_stalls_in_its_answer_gives_none(caller: Caller) -> None:
    with raw_app(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndo") as url:
        told = caller.post(url, answer_timeout_s=0.2)
    assert (told.answer, told.why) == ("NoAnswer", "the app did not answer in time")


@pytest.mark.parametrize("url", ["http://app.invalid/", "http://127.0.0.1:1/", "http://[::1"])
def test_a_name_that_leads_nowhere_gives_no_answer(caller: Caller, url: str) -> None:
    assert caller.post(url).answer == "NoAnswer"


def test_an_https_app_without_tls_gives_no_answer(caller: Caller, app: ScriptedApp) -> None:
    assert caller.post(app.url.replace("http:", "https:")).answer == "NoAnswer"
    assert app.deliveries == []


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
    notifier = Notifier(LONG_S, LONG_S, FakeRuntime())
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
        assert [notifier.post(url, FORM) for _ in range(3)] == [Done()] * 3
    assert len(connections) == 1


def test_calls_to_one_host_take_turns_and_wait_for_no_other_host() -> None:
    notifier = Notifier(LONG_S, LONG_S, FakeRuntime())
    turn = notifier.turn("http://app:8000/a")
    assert notifier.turn("http://app:8000/b?c") is turn
    assert notifier.turn("http://app:8001/a") is not turn
    with ExitStack() as calls:
        for _ in range(CONNECTIONS_A_HOST):
            calls.enter_context(turn)
        late = gevent.spawn(turn.__enter__)
        gevent.idle()
        assert not late.ready()
    late.join(timeout=LONG_S)
    assert late.ready()
