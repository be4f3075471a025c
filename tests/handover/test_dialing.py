"""Whom the server calls: the address that was checked, and no other one, whatever its name says later."""

from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import certifi
import pytest

from incoming.handover import dialing
from incoming.handover.notifier import Notifier
from incoming.handover.schedule import Answer, Done, NoAnswer
from incoming.networks import Networks
from tests.support.app import ScriptedApp
from tests.support.fakes import FakeRuntime

NEVER_CALLED = NoAnswer("the app's address is one that this server never calls")
UNREACHED = NoAnswer("the app could not be reached")
INSIDE = "127.0.0.1"
NAME = "app.example.org"
NO_SUCH_NAME = socket.gaierror(socket.EAI_NONAME, "no such name")


class Names:
    """The names' owner: says each time something else, the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[list[str] | Exception] = []
        self.asked: list[str] = []

    def look_up(self, host: str, port: int) -> list[Any]:
        """See Runtime."""
        self.asked.append(host)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        families = (socket.AF_INET6 if ":" in text else socket.AF_INET for text in answer)
        return [(family, 1, 6, "", (text, port)) for family, text in zip(families, answer, strict=True)]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """Looking a name up asks its owner."""
    owner = Names()
    monkeypatch.setattr(FakeRuntime, "look_up", lambda _, host, port: owner.look_up(host, port))
    yield owner


def call(app: ScriptedApp, *refused: str, scheme: str = "http") -> Answer:
    """Calls the app by its name."""
    url = f"{scheme}://{NAME}:{app.port}/finished"
    return Notifier(5.0, 5.0, FakeRuntime(), refused).post(url, {"id": "1"})


def test_an_address_that_may_be_called_is_called(names: Names, app: ScriptedApp) -> None:
    names.answers = [[INSIDE]]
    assert call(app, "169.254.0.0/16") == Done()
    assert app.deliveries[0].headers["host"] == f"{NAME}:{app.port}"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_leads_where_nobody_may_call_is_not_called(
    names: Names, app: ScriptedApp, scheme: str
) -> None:
    names.answers = [[INSIDE, "::1", "0.0.0.0", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]]
    assert call(app, "127.0.0.0/8", "::1", scheme=scheme) == NEVER_CALLED
    assert app.deliveries == []


def test_a_name_that_changes_after_it_was_looked_at_changes_nothing(names: Names, app: ScriptedApp) -> None:
    """DNS rebinding: harmless when it is checked, and inside when it is connected to."""
    names.answers = [["192.0.2.1"], [INSIDE]]
    notifier = Notifier(0.2, 0.2, FakeRuntime(), (INSIDE,))
    answer = notifier.post(f"http://{NAME}:{app.port}/finished", {"id": "1"})
    assert isinstance(answer, NoAnswer)
    assert (names.asked, app.deliveries) == ([NAME], [])
    assert call(app, INSIDE) == NEVER_CALLED


def test_of_several_addresses_those_are_called_that_may_be(names: Names, app: ScriptedApp) -> None:
    names.answers = [["169.254.169.254", INSIDE]]
    assert call(app, "169.254.0.0/16") == Done()


def test_an_address_that_does_not_answer_is_followed_by_the_next(names: Names, app: ScriptedApp) -> None:
    names.answers = [["127.0.0.77", INSIDE]]  # where nobody listens
    assert call(app) == Done()


@pytest.mark.parametrize("answer", [[], NO_SUCH_NAME, UnicodeError("label too long"), ["127.0.0.77"]])
def test_a_name_that_leads_nowhere_is_no_answer(
    names: Names, app: ScriptedApp, answer: list[str] | Exception
) -> None:
    names.answers = [answer]
    assert call(app) == UNREACHED


def test_an_address_in_figures_is_not_looked_up(names: Names, app: ScriptedApp) -> None:
    assert Notifier(5.0, 5.0, FakeRuntime()).post(app.url, {}) == Done()
    assert names.asked == []


def test_an_ipv6_app_is_called() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        listener.settimeout(5.0)
        url = f"http://[::1]:{listener.getsockname()[1]}/"
        assert isinstance(Notifier(0.2, 0.2, FakeRuntime()).post(url, {}), NoAnswer)
        listener.accept()[0].close()
        assert Notifier(0.2, 0.2, FakeRuntime(), ("::1",)).post(url, {}) == NEVER_CALLED


# --- what is sent, and over which connection -------------------------------------------------------------


def test_user_and_password_of_the_url_are_sent_and_are_not_in_the_address(app: ScriptedApp) -> None:
    url = app.url.replace("http://", "http://us%65r:p%40ss@")
    assert Notifier(5.0, 5.0, FakeRuntime()).post(url, {"id": "1"}) == Done()
    [delivery] = app.deliveries
    assert delivery.headers["authorization"] == f"Basic {b64encode(b'user:p@ss').decode()}"
    assert delivery.headers["host"] == f"127.0.0.1:{app.port}"


def test_an_address_is_sent_as_urls_are_written(app: ScriptedApp) -> None:
    url = f"HTTP://127.0.0.1:{app.port}/ü%20b?name=ä#part"
    assert Notifier(5.0, 5.0, FakeRuntime()).post(url, {"id": "1"}) == Done()
    assert app.deliveries[0].path == "/%C3%BC%20b?name=%C3%A4"


DONE_ZIPPED = gzip.compress(b"done")
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"


@pytest.mark.parametrize(
    ("answer", "then"),
    [
        (PLAIN, b""),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ndone", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b" " * 5000, None),
        (PLAIN, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwait"),
    ],
    ids=["the app hangs up", "the app will hang up", "half of a long answer was read", "it says more"],
)
def test_a_connection_that_is_not_good_for_another_call_gets_none(answer: bytes, then: bytes | None) -> None:
    notifier = Notifier(5.0, 5.0, FakeRuntime())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5.0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with ThreadPoolExecutor(1) as calls:
            first = calls.submit(notifier.post, url, {"id": "1"})
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(answer)
            first.result()
            if then:
                connection.sendall(then)
            elif then is not None:
                connection.close()
            second = calls.submit(notifier.post, url, {"id": "2"})
            another, _ = listener.accept()
            another.recv(65536)
            another.sendall(PLAIN)
            assert second.result() == Done()
        connection.close()
        another.close()


def test_an_answer_may_be_compressed_though_nobody_asked_for_that() -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(DONE_ZIPPED)}\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as calls:
        listener.settimeout(5.0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        call = calls.submit(Notifier(5.0, 5.0, FakeRuntime()).post, url, {"id": "1"})
        with listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(head.encode() + DONE_ZIPPED)
            assert call.result() == Done()


def test_no_more_connections_are_kept_than_may_be(app: ScriptedApp) -> None:
    connections = dialing.Connections(FakeRuntime().look_up, Networks(()), 5.0)
    where = dialing.target(app.url)
    with ExitStack() as calls:
        given = [calls.enter_context(connections.to(where)) for _ in range(dialing.MAX_IDLE + 3)]
        for connection in given:
            connection.is_done = True
    assert sum(connection.sock is not None for connection in given) == dialing.MAX_IDLE


# --- TLS -------------------------------------------------------------------------------------------------


@pytest.fixture
def tls_app(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """An app with a certificate for NAME that nobody else has signed: its port, and the certificate."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={NAME}",
         "-addext", f"subjectAltName=DNS:{NAME}"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def serve() -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                plain, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
                    while connection.recv(65536):
                        connection.sendall(PLAIN)

    dialing.tls.cache_clear()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], cert
        listener.shutdown(socket.SHUT_RDWR)
    dialing.tls.cache_clear()


def test_an_app_that_proves_its_name_is_called(
    names: Names, tls_app: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, cert = tls_app
    monkeypatch.setattr(certifi, "where", lambda: str(cert))
    names.answers = [[INSIDE]]
    notifier = Notifier(5.0, 5.0, FakeRuntime())
    answers = [notifier.post(f"https://{NAME}:{port}/", {"id": "1"}) for _ in range(3)]
    assert answers == [Done()] * 3
    assert names.asked == [NAME], "the connection was kept"


def test_an_app_that_proves_another_name_is_not_called(
    names: Names, tls_app: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, cert = tls_app
    monkeypatch.setattr(certifi, "where", lambda: str(cert))
    names.answers = [[INSIDE]]
    assert Notifier(5.0, 5.0, FakeRuntime()).post(f"https://other.example.org:{port}/", {}) == UNREACHED


def test_an_app_whose_certificate_nobody_has_signed_is_not_called(
    names: Names, tls_app: tuple[int, Path]
) -> None:
    names.answers = [[INSIDE]]
    assert Notifier(5.0, 5.0, FakeRuntime()).post(f"https://{NAME}:{tls_app[0]}/", {}) == UNREACHED
