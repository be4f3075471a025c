import socket
import ssl
from threading import Thread

import pytest

from incoming.client.ticket_request import NoTicket, ask


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabcd",
    ],
    ids=["cut", "wrong gzip", "bad chunk size"],
)
def test_a_damaged_answer_of_the_app_is_no_ticket(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def respond() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        app = Thread(target=respond)
        app.start()
        with pytest.raises(NoTicket, match="cut or damaged"):
            ask(f"http://127.0.0.1:{listener.getsockname()[1]}/", "GET", ssl.create_default_context())
        app.join()


@pytest.mark.parametrize("url", ["http://[::1", "http://a..b/", f"http://{'a' * 64}.org/"])
def test_an_address_whose_host_is_impossible_is_no_http_address(url: str) -> None:
    with pytest.raises(NoTicket, match="is not an http address"):
        ask(url, "GET", ssl.create_default_context())
