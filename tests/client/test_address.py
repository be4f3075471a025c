"""Where the server is, as a user writes it, and what the app's answer says."""

from __future__ import annotations

import pytest

from incoming.client.address import BadAddress, parse
from incoming.client.ticket_request import NoTicket, Ticket, read

ID = "c25ce2d3-cb96-46ff-868f-5f3855fc5a1c"


@pytest.mark.parametrize(
    ("text", "shown", "path", "host"),
    [
        ("http://localhost:4000", "http://localhost:4000", "", "localhost:4000"),
        ("http://localhost:4000/", "http://localhost:4000", "", "localhost:4000"),
        ("https://a.example", "https://a.example:443", "", "a.example"),
        ("http://a.example", "http://a.example:80", "", "a.example"),
        ("https://a.example:80/up/load/", "https://a.example:80/up/load", "/up/load", "a.example:80"),
        ("http://a.example/up/incoming", "http://a.example:80/up", "/up", "a.example"),
        ("wss://[::1]:7", "https://[::1]:7", "", "[::1]:7"),
    ],
)
def test_an_address_is_understood(text: str, shown: str, path: str, host: str) -> None:
    address = parse(text)
    assert str(address) == shown
    assert address.path == path + "/incoming/frontend/upload_ws"
    assert address.host_header == host


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "localhost:4000", "ftp://a", "http://", "http://a:x", "http://a:70000", "http://a?b", "http://[",
     "http://user:word@a", "http://a/\u00fc", "http://a/b c"],
)  # fmt: skip
def test_a_malformed_address_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        parse(text)


@pytest.mark.parametrize(
    ("answer", "ticket"),
    [
        (ID, Ticket(ID)),
        (f" {ID}\r\n", Ticket(ID)),
        (f'"{ID}"', Ticket(ID)),
        (f'{{"ticket": "{ID}"}}', Ticket(ID)),
        (f'{{"id": 12, "upload_id": "{ID}"}}', Ticket(ID)),
        (f'{{"id": "{ID}", "server": "https://up.example"}}', Ticket(ID, "https://up.example")),
        (f'{{"id": "{ID}", "server": 4}}', Ticket(ID)),
    ],
)
def test_a_ticket_is_found_in_an_answer(answer: str, ticket: Ticket) -> None:
    assert read(answer) == ticket


@pytest.mark.parametrize("answer", ["", "no", "{}", f"[{ID!r}]", f'{{"Id": "{ID}"}}', ID[:-1], f"{{{ID}}}"])
def test_an_answer_without_a_ticket_is_refused(answer: str) -> None:
    with pytest.raises(NoTicket):
        read(answer)
