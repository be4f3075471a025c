"""The words for a failed request, with real failures."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
import requests

from incoming.client.request_failure import why
from tests.support.certificates import make_certificate


def reason(url: str) -> str:
    with requests.Session() as session, pytest.raises(requests.RequestException) as failed:
        session.trust_env = False
        session.get(url, timeout=5)
    return why(failed.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9", "no server listens there"),
        ("http://no-such-host.invalid", "the host is not found"),
        ("ftp://127.0.0.1", "it is not an http address"),
    ],
)
def test_a_request_without_a_connection_says_why(url: str, words: str) -> None:
    assert reason(url).startswith(words)


@pytest.mark.parametrize(
    ("scheme", "secure", "words"),
    [
        ("https", True, "its certificate is not trusted (self"),
        ("https", False, "the TLS handshake failed"),
        ("http", False, "its answer is cut or damaged"),
    ],
)
def test_a_server_that_answers_wrongly_is_described(
    tmp_path: Path, scheme: str, secure: bool, words: str
) -> None:
    make_certificate(tmp_path, "localhost", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def respond() -> None:
            connection, _ = listener.accept()
            with connection:
                if not secure:
                    connection.recv(65536)
                    connection.sendall(b"nonsense\r\n\r\n")
                    return
                with suppress(OSError):
                    context.wrap_socket(connection, server_side=True).close()

        server = Thread(target=respond)
        server.start()
        assert reason(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}").startswith(words)
        server.join()
