"""Whom the server calls: the address that was checked, and no other one, whatever its name says later."""

from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import certifi
import gevent
import pytest

from incoming.core.errors import BadSetting
from incoming.core.networks import Networks
from incoming.handover import connections, tls_trust
from incoming.handover.answers import Answer, Done, FailureKind, NoAnswer, no_answer
from incoming.handover.connections import Endpoint
from incoming.handover.http_client import CONNECTIONS_AN_APP, HttpClient
from tests.support.app import ScriptedApp
from tests.support.calls import post
from tests.support.certificates import make_certificate
from tests.support.fakes import FakeRuntime
from tests.support.ports import free_port
from tests.support.waiting import wait_until

NEVER_CALLED = no_answer(FailureKind.NEVER_CALLED)
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
    monkeypatch.setattr(FakeRuntime, "resolve", lambda _, host, port: owner.look_up(host, port))
    yield owner


def call(app: ScriptedApp, *refused: str, scheme: str = "http") -> Answer:
    """Calls the app by its name."""
    url = f"{scheme}://{NAME}:{app.port}/finished"
    return post(HttpClient(5.0, 5.0, FakeRuntime(), refused), url, {"id": "1"})


def kind_of(answer: Answer) -> FailureKind:
    """Returns why the call failed."""
    assert isinstance(answer, NoAnswer)
    assert answer.why == answer.kind.words
    return answer.kind


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
    notifier = HttpClient(0.2, 0.2, FakeRuntime(), (INSIDE,))
    answer = post(notifier, f"http://{NAME}:{app.port}/finished", {"id": "1"})
    assert isinstance(answer, NoAnswer)
    assert (names.asked, app.deliveries) == ([NAME], [])
    assert call(app, INSIDE) == NEVER_CALLED


def test_of_several_addresses_those_are_called_that_may_be(names: Names, app: ScriptedApp) -> None:
    names.answers = [["169.254.169.254", INSIDE]]
    assert call(app, "169.254.0.0/16") == Done()


def test_an_address_that_does_not_answer_is_followed_by_the_next(names: Names, app: ScriptedApp) -> None:
    names.answers = [["127.0.0.77", INSIDE]]  # where nobody listens
    assert call(app) == Done()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ([], FailureKind.UNKNOWN_NAME),
        (NO_SUCH_NAME, FailureKind.UNKNOWN_NAME),
        (UnicodeError("label too long"), FailureKind.UNKNOWN_NAME),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), FailureKind.NAME_SERVER),
        (socket.gaierror(socket.EAI_FAIL, "failed"), FailureKind.NAME_SERVER),
        (["127.0.0.77"], FailureKind.CONNECTION_REFUSED),
    ],
)
def test_a_name_that_leads_nowhere_is_not_an_answer(
    names: Names, app: ScriptedApp, answer: list[str] | Exception, kind: FailureKind
) -> None:
    names.answers = [answer]
    assert kind_of(call(app)) is kind


def test_an_address_in_figures_is_not_looked_up(names: Names, app: ScriptedApp) -> None:
    assert post(HttpClient(5.0, 5.0, FakeRuntime()), app.url, {}) == Done()
    assert names.asked == []


def test_an_ipv6_app_is_called() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        listener.settimeout(5.0)
        url = f"http://[::1]:{listener.getsockname()[1]}/"
        assert isinstance(post(HttpClient(0.2, 0.2, FakeRuntime()), url, {}), NoAnswer)
        listener.accept()[0].close()
        assert post(HttpClient(0.2, 0.2, FakeRuntime(), ("::1",)), url, {}) == NEVER_CALLED


# --- what is sent, and over which connection -------------------------------------------------------------


def test_user_and_password_of_the_url_are_sent_and_are_not_in_the_address(app: ScriptedApp) -> None:
    url = app.url.replace("http://", "http://us%65r:p%40ss@")
    assert post(HttpClient(5.0, 5.0, FakeRuntime()), url, {"id": "1"}) == Done()
    [delivery] = app.deliveries
    assert delivery.headers["authorization"] == f"Basic {b64encode(b'user:p@ss').decode()}"
    assert delivery.headers["host"] == f"127.0.0.1:{app.port}"


def test_an_address_is_sent_as_urls_are_written(app: ScriptedApp) -> None:
    url = f"HTTP://127.0.0.1:{app.port}/ü%20b?name=ä#part"
    assert post(HttpClient(5.0, 5.0, FakeRuntime()), url, {"id": "1"}) == Done()
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
    notifier = HttpClient(5.0, 5.0, FakeRuntime())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5.0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with ThreadPoolExecutor(1) as calls:
            first = calls.submit(post, notifier, url, {"id": "1"})
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(answer)
            first.result()
            if then:
                connection.sendall(then)
            elif then is not None:
                connection.close()
            second = calls.submit(post, notifier, url, {"id": "2"})
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
        call = calls.submit(post, HttpClient(5.0, 5.0, FakeRuntime()), url, {"id": "1"})
        with listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(head.encode() + DONE_ZIPPED)
            assert call.result() == Done()


def test_no_more_connections_are_kept_than_may_be(app: ScriptedApp) -> None:
    kept = connections.Connections(FakeRuntime(), Networks(()), 5.0, tls_trust.context)
    where = connections.target(app.url)
    [place] = kept.endpoints(where)
    with ExitStack() as calls:
        given = [calls.enter_context(kept.to(where, place)) for _ in range(connections.MAX_IDLE + 3)]
        for connection in given:
            connection.is_done = True
    assert sum(connection.sock is not None for connection in given) == connections.MAX_IDLE


# --- TLS -------------------------------------------------------------------------------------------------


@pytest.fixture
def tls_app(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """An app with a certificate for NAME that nobody else has signed: its port, and the certificate."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    make_certificate(tmp_path, NAME)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def serve() -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                plain, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
                    while connection.recv(65536):
                        connection.sendall(PLAIN)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], cert
        listener.shutdown(socket.SHUT_RDWR)


def call_tls(port: int, name: str = NAME, ca_file: str = "") -> Answer:
    """Calls the app by an https URL."""
    return post(HttpClient(5.0, 5.0, FakeRuntime(), (), ca_file), f"https://{name}:{port}/", {"id": "1"})


def trust_by_certifi(cert: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(certifi, "where", lambda: str(cert))
    return ""


def trust_by_environment(cert: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    return ""


def trust_by_folder_in_environment(cert: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """In such a folder a certificate's name is the hash of its subject."""
    asked = ["openssl", "x509", "-hash", "-noout", "-in", str(cert)]
    name = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    folder = cert.parent / "certs"
    folder.mkdir()
    (folder / f"{name}.0").write_bytes(cert.read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    return ""


def trust_by_setting(cert: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return str(cert)


@pytest.mark.parametrize(
    "trusts", [trust_by_certifi, trust_by_environment, trust_by_folder_in_environment, trust_by_setting]
)
def test_an_app_that_proves_its_name_to_a_trusted_authority_is_called(
    names: Names,
    tls_app: tuple[int, Path],
    monkeypatch: pytest.MonkeyPatch,
    trusts: Callable[[Path, pytest.MonkeyPatch], str],
) -> None:
    port, cert = tls_app
    names.answers = [[INSIDE]]
    assert call_tls(port, ca_file=trusts(cert, monkeypatch)) == Done()


def test_a_setting_adds_to_what_is_trusted_and_replaces_nothing(
    names: Names, tls_app: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, cert = tls_app
    names.answers = [[INSIDE]]
    others = certifi.where()
    trust_by_environment(cert, monkeypatch)
    assert call_tls(port, ca_file=others) == Done()


def test_an_encrypted_connection_is_kept_for_the_next_call(names: Names, tls_app: tuple[int, Path]) -> None:
    port, cert = tls_app
    names.answers = [[INSIDE]]
    notifier = HttpClient(5.0, 5.0, FakeRuntime(), (), str(cert))
    answers = [post(notifier, f"https://{NAME}:{port}/", {"id": "1"}) for _ in range(3)]
    assert answers == [Done()] * 3
    assert names.asked == [NAME], "the connection was kept"


def test_an_app_that_proves_another_name_is_not_called(names: Names, tls_app: tuple[int, Path]) -> None:
    port, cert = tls_app
    names.answers = [[INSIDE]]
    answer = call_tls(port, "other.example.org", str(cert))
    assert kind_of(answer) is FailureKind.CERTIFICATE


def test_an_app_whose_certificate_nobody_has_signed_is_not_called(
    names: Names, tls_app: tuple[int, Path]
) -> None:
    names.answers = [[INSIDE]]
    assert kind_of(call_tls(tls_app[0])) is FailureKind.CERTIFICATE


def test_an_app_without_tls_is_distinguished_from_one_that_is_down(names: Names, app: ScriptedApp) -> None:
    names.answers = [[INSIDE]]
    assert kind_of(call(app, scheme="https")) is FailureKind.TLS
    app.stop()
    assert kind_of(call(app, scheme="https")) is FailureKind.CONNECTION_REFUSED


def test_session_tickets_without_end_are_not_read_to_their_end(
    names: Names, tls_app: tuple[int, Path]
) -> None:
    """OpenSSL takes them for as long as they come, and tells nobody."""
    port, cert = free_port(), tls_app[1]
    proof = ["-key", str(cert.with_name("key.pem")), "-cert", str(cert)]
    app = ["openssl", "s_server", "-accept", str(port), *proof, "-num_tickets", "300000", "-quiet"]
    names.answers = [[INSIDE]]
    with subprocess.Popen(app, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            answer = wait_until(lambda: _unless_down(call_tls(port, ca_file=str(cert))), "the app is up")
        finally:
            process.kill()
    assert answer
    assert kind_of(answer) is FailureKind.TOO_LONG


def _unless_down(answer: Answer) -> Answer | None:
    down = isinstance(answer, NoAnswer) and answer.kind is FailureKind.CONNECTION_REFUSED
    return None if down else answer


@pytest.mark.parametrize(
    ("content", "why"), [(None, "can't be read"), ("", "no certificates"), ("no PEM", "no certificates")]
)
def test_a_file_without_authorities_is_refused_at_the_start(
    tmp_path: Path, content: str | None, why: str
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(BadSetting, match=f"handover_ca_file: .*{why}"):
        HttpClient(5.0, 5.0, FakeRuntime(), (), str(file))


# --- how many calls at once ------------------------------------------------------------------------------


def machines_and_ports(names: Names, url: str) -> set[tuple[str, int]]:
    """Returns what a URL leads to."""
    kept = connections.Connections(FakeRuntime(), Networks(()), 5.0, tls_trust.context)
    return {place.key for place in kept.endpoints(connections.target(url))}


@pytest.mark.parametrize(
    ("url", "leads_to"),
    [
        ("http://192.0.2.1:8000/", "192.0.2.1"),
        ("http://ann:secret@192.0.2.1:8000/?x", "192.0.2.1"),
        ("HTTP://bob@192.0.2.1:8000", "192.0.2.1"),
        ("https://192.0.2.1:8000/", "192.0.2.1"),
        ("http://one.example.org:8000/", "192.0.2.1"),
        ("http://TWO.example.org.:8000/", "192.0.2.1"),
        ("http://one.example.org:8000/", "::ffff:192.0.2.1"),
        ("http://one.example.org:8000/", "64:ff9b::c000:201"),
    ],
)
def test_an_app_is_its_address_and_port_however_its_url_is_spelled(
    names: Names, url: str, leads_to: str
) -> None:
    names.answers = [[leads_to]]
    assert machines_and_ports(names, url) == {("192.0.2.1", 8000)}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]"])
def test_this_machine_is_one_whatever_it_is_called(names: Names, host: str) -> None:
    assert machines_and_ports(names, f"http://{host}:8000/") == {(connections.THIS_MACHINE, 8000)}


def test_a_port_without_a_number_is_the_schemes_own(names: Names) -> None:
    names.answers = [["192.0.2.1"]]
    assert machines_and_ports(names, "http://app.example.org/") == {("192.0.2.1", 80)}
    assert machines_and_ports(names, "https://app.example.org/") == {("192.0.2.1", 443)}


def test_calls_to_one_address_take_turns_and_wait_for_no_other_address(names: Names) -> None:
    names.answers = [["192.0.2.1"]]
    notifier = HttpClient(5.0, 5.0, FakeRuntime())
    with ExitStack() as calls:
        for number in range(CONNECTIONS_AN_APP):
            calls.enter_context(notifier.slot(f"http://user{number}@name{number}.example.org:8000/"))
        late = gevent.spawn(notifier.slot("http://another.example.org:8000/").__enter__)
        gevent.idle()
        assert not late.ready()
        for url in ("http://192.0.2.1:8001/", "http://192.0.2.2:8000/"):
            calls.enter_context(notifier.slot(url))  # at once
    late.join(timeout=60)
    assert late.ready()


@pytest.mark.parametrize("answer", [["192.0.2.1"], NO_SUCH_NAME])
def test_a_backlog_of_calls_to_one_name_looks_it_up_once(
    names: Names, monkeypatch: pytest.MonkeyPatch, answer: list[str] | Exception
) -> None:
    runtime = FakeRuntime()
    names.answers = [answer]

    def look_up_slowly(host: str, port: int) -> list[Any]:
        runtime.sleep(5.0)
        return names.look_up(host, port)

    monkeypatch.setattr(runtime, "resolve", look_up_slowly)
    notifier = HttpClient(5.0, 5.0, runtime)
    backlog = [gevent.spawn(notifier.look_up, f"http://{NAME}/{number}") for number in range(100)]
    runtime.advance(5.0)
    assert all(call.ready() for call in backlog)
    assert names.asked == [NAME]
    runtime.advance(connections.LOOK_UP_KEPT_S + 0.1)
    again = gevent.spawn(notifier.look_up, f"http://{NAME}/")
    runtime.advance(5.0)
    assert again.ready()
    assert names.asked == [NAME, NAME]


def test_many_names_are_not_remembered_for_ever(names: Names) -> None:
    names.answers = [["192.0.2.1"]]
    kept = connections.Connections(FakeRuntime(), Networks(()), 5.0, tls_trust.context)
    for number in range(3 * connections.MAX_LOOK_UPS_KEPT):
        kept.endpoints(connections.target(f"http://name{number}.example.org/"))
    assert len(kept._look_ups) <= connections.MAX_LOOK_UPS_KEPT


def test_the_next_address_of_an_app_is_called_in_a_turn_of_its_own(names: Names, app: ScriptedApp) -> None:
    """Or names that lead to a dead address first, each to another one, would have 32 calls each."""
    notifier = HttpClient(5.0, 5.0, FakeRuntime())
    names.answers = [["192.0.2.1"]]  # not loopback, and not called here
    with ExitStack() as calls:
        for _ in range(CONNECTIONS_AN_APP):
            calls.enter_context(notifier.slot(app.url))
        with notifier.slot("http://two.example.org/") as turn:
            turn._endpoints = [Endpoint(socket.AF_INET, ("127.0.0.1", free_port())), turn_place(app)]
            late = gevent.spawn(turn.post, {"id": "1"})
            gevent.idle()
            assert not late.ready()
            assert app.deliveries == []
            calls.close()
            assert late.get(timeout=60) == Done()


def turn_place(app: ScriptedApp) -> Endpoint:
    """Returns where an app listens."""
    return Endpoint(socket.AF_INET, ("127.0.0.1", app.port))
