"""`incoming send` and the addresses that it is given: the app's own, the server's, with and without TLS."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.certificates import make_certificate
from tests.support.data import MIB, FileBytes
from tests.support.relay import BLOCK_BYTES
from tests.support.sending import PATCHED, Sending, write_file
from tests.support.server import RunningServer, new_upload

DATA = FileBytes(5 * MIB + 3, 2)


@pytest.fixture
def server(start_server: StartServer) -> RunningServer:
    return start_server()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_file(tmp_path / "a.bin", DATA)


class TicketPage(ThreadingHTTPServer):
    """An app's address that gives tickets; a context manager. `status` and `body` are what it answers."""

    daemon_threads = True

    def __init__(self, body: str, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.body, self.status, self.headers = body, status, headers or {}
        self.asked: list[str] = []
        self.interim: list[int] = []
        self.authorization = ""
        self.form: dict[str, str] = {}
        super().__init__(("127.0.0.1", 0), _Page)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/ticket"


class _Page(BaseHTTPRequestHandler):
    server: TicketPage

    def do_GET(self) -> None:
        self.server.asked.append(self.command)
        form = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        self.server.form = dict(parse_qsl(form))
        self.server.authorization = self.headers.get("Authorization", "")
        body = self.server.body.encode()
        for status in self.server.interim:
            self.send_response_only(status)
            self.send_header("Link", "</a.css>; rel=preload")
            self.end_headers()
        self.send_response(self.server.status)
        for name, value in {"Content-Length": str(len(body)), **self.server.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *args: object) -> None:
        """Nobody reads it."""


# --- the app's address ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "id", "ticket", "upload_id", "with server"])
def test_a_ticket_is_taken_from_the_apps_answer(
    server: RunningServer, app: ScriptedApp, file: Path, form: str
) -> None:
    ticket_id = new_upload(server, app.url)
    body = ticket_id + "\n" if form == "text" else json.dumps({form: ticket_id, "more": 1})
    options = ["--server", server.url]
    if form == "with server":
        body, options = json.dumps({"id": ticket_id, "server": server.url}), []
    with TicketPage(body) as page, Sending(file, "--url", page.url, *options) as sending:
        assert sending.ends().exit_code == 0, sending.said
        assert page.asked == ["POST"]
    assert sending.result["ticket"] == ticket_id
    assert ticket_id in sending.said, "without it nobody could go on after a kill"
    assert app.wait_for(1)[0].sha256 == DATA.sha256


def test_the_app_can_be_asked_with_get(server: RunningServer, app: ScriptedApp, file: Path) -> None:
    ticket_id = new_upload(server, app.url)
    with TicketPage(ticket_id) as page:
        with Sending(file, "--url", page.url, "--method", "get", "--server", server.url) as sending:
            assert sending.ends().exit_code == 0, sending.said
        assert page.asked == ["GET"]


def test_an_app_may_send_hints_before_the_ticket(server: RunningServer, app: ScriptedApp, file: Path) -> None:
    with TicketPage(new_upload(server, app.url)) as page:
        page.interim = [100, 103, 103]
        with Sending(file, "--url", page.url, "--server", server.url) as sending:
            assert sending.ends().exit_code == 0, sending.said


def test_credentials_in_the_url_are_sent_to_the_app(
    server: RunningServer, app: ScriptedApp, file: Path
) -> None:
    with TicketPage(new_upload(server, app.url)) as page:
        url = page.url.replace("//", "//ann:word@")
        with Sending(file, "--url", url, "--server", server.url) as sending:
            assert sending.ends().exit_code == 0, sending.said
        assert page.authorization == "Basic " + base64.b64encode(b"ann:word").decode()
    assert "word" not in sending.said


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (405, "", "127.0.0.1 does not accept POST there (status 405). Try --method GET."),
        (302, "", "127.0.0.1 redirects to /login (status 302) instead of giving a ticket."),
        (403, "", "127.0.0.1 requires authentication (status 403)."),
        (500, "", "127.0.0.1 answers with status 500 instead of a ticket."),
        (200, "<html>", "The app's answer is not a ticket"),
        (200, '{"id": 7}', "The app's answer is not a ticket"),
        (200, '{"id": "seven"}', "The app's answer is not a ticket"),
    ],
)
def test_an_app_that_gives_no_ticket_is_explained(file: Path, status: int, body: str, said: str) -> None:
    page = TicketPage(body, status, {"Location": "/login"})
    with page, Sending(file, "--url", page.url) as sending:
        assert sending.ends().exit_code == 1
    assert said in sending.said
    assert "Traceback" not in sending.said
    assert "Resume with" not in sending.said
    assert sending.result["ticket"] is None


def test_an_app_that_is_not_there_is_explained(file: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        with Sending(file, "--url", url) as sending:
            assert sending.ends().exit_code == 1
    assert sending.said == "127.0.0.1 gave no ticket: no server listens there.\n"


# --- the server's address ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, "", "There is no Incoming!! server at http://127.0.0.1:"),
        (200, "<html>", "answers with status 200."),
        (426, "", "A proxy in front of it must pass the Upgrade and Connection headers on."),
        (101, "", "answers, but not with a WebSocket."),
    ],
)
def test_a_server_that_is_not_incoming_ends_it_at_once(file: Path, status: int, body: str, said: str) -> None:
    with TicketPage(body, status) as page:
        address = page.url.removesuffix("/ticket")
        with Sending(file, "--ticket", str(uuid.uuid4()), "--server", address) as sending:
            assert sending.ends().exit_code == 1
    assert said in sending.said
    assert "Resume with" not in sending.said, "it would not help"


def test_a_wrong_prefix_in_the_address_of_the_server_ends_it_at_once(
    server: RunningServer, file: Path
) -> None:
    with Sending(file, "--ticket", "any", "--server", f"{server.url}/prefix") as sending:
        assert sending.ends().exit_code == 1
    assert sending.said == f"There is no Incoming!! server at {server.url}/prefix (status 404).\n"


def test_a_proxy_whose_server_is_away_is_asked_again(file: Path) -> None:
    with TicketPage("", 502) as page:
        options = ["--server", page.url, "--give-up-after", "0.5"]
        with Sending(file, "--ticket", str(uuid.uuid4()), *options) as sending:
            assert sending.ends().exit_code == 3
    assert "answers with status 502. Trying again in" in sending.said


def test_a_host_that_does_not_exist_ends_it_at_once(file: Path) -> None:
    with Sending(file, "--ticket", "t", "--server", "http://nobody.invalid:4000") as sending:
        assert sending.ends().exit_code in (1,)
    assert "The host nobody.invalid is not found" in sending.said


@pytest.mark.parametrize("command", [None, PATCHED], ids=["by itself", "as a command of incoming"])
def test_it_can_be_interrupted_while_a_server_does_not_answer(file: Path, command: list[str] | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Sending(file, "--ticket", "t", "--server", address, command=command) as sending:
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(10) == b"GET /incom"
                sending.interrupt()
                assert sending.ends().exit_code == 130
    assert "Traceback" not in sending.said


# --- TLS -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of `localhost`, signed by itself, and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    pem = folder / "both.pem"
    make_certificate(folder)
    pem.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return pem


@contextmanager
def tls_in_front(port: int, certificate: Path) -> Iterator[int]:
    """Takes TLS off connections and passes them on to `port`; yields its own port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, context, port), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        try:
            outer = context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            continue
        inner = socket.create_connection(("127.0.0.1", port))
        for source, sink in ((outer, inner), (inner, outer)):
            threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while block := source.recv(BLOCK_BYTES):
            sink.sendall(block)
    except OSError:
        pass
    finally:
        for end in (source, sink):
            end.close()


def test_a_file_is_sent_over_tls(
    server: RunningServer, app: ScriptedApp, file: Path, certificate: Path
) -> None:
    ticket_id = new_upload(server, app.url)
    with tls_in_front(server.port, certificate) as port:
        options = ["--ticket", ticket_id, "--server", f"https://localhost:{port}"]
        with Sending(file, *options) as sending:
            assert sending.ends().exit_code == 1
        assert "The certificate of localhost is not trusted: self-signed certificate." in sending.said
        with Sending(file, *options, "--ca-file", str(certificate)) as sending:
            assert sending.ends().exit_code == 0, sending.said
    assert app.wait_for(1)[0].sha256 == DATA.sha256


def test_a_certificate_of_another_name_is_not_trusted(
    server: RunningServer, file: Path, certificate: Path
) -> None:
    with tls_in_front(server.port, certificate) as port:
        options = ["--ca-file", str(certificate), "--server", f"https://127.0.0.1:{port}"]
        with Sending(file, "--ticket", "t", *options) as sending:
            assert sending.ends().exit_code == 1
    assert "is not trusted" in sending.said


def test_a_server_without_tls_is_explained(server: RunningServer, file: Path) -> None:
    with Sending(file, "--ticket", "t", "--server", f"https://127.0.0.1:{server.port}") as sending:
        assert sending.ends().exit_code == 1
    assert "failed the TLS handshake" in sending.said


# --- usage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "Give either --ticket or --url."),
        (["--ticket", "a", "--url", "http://b"], "Give either --ticket or --url."),
        (["--ticket", "a", "--max-bytes-per-s", "0"], "0 is not in the range"),
        (["--ticket", "a", "--server", "localhost"], "'localhost' is not an address like"),
    ],
)
def test_wrong_usage_is_told_apart_from_failure(file: Path, options: list[str], said: str) -> None:
    with Sending(file, *options) as sending:
        assert sending.ends().exit_code == 2
    assert said in sending.said


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with Sending(tmp_path / "none", "--ticket", "a") as sending:
        assert sending.ends().exit_code == 2
    assert "does not exist" in sending.said


def test_a_device_can_not_be_sent() -> None:
    with Sending(Path("/dev/null"), "--ticket", "a") as sending:
        assert sending.ends().exit_code == 1
    assert "is not a regular file" in sending.said
