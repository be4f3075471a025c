"""Rights: who may have the server do something, whom it calls, and what a stranger can find out.

Against the real server. INCOMING_TEST_ATTACKS scales how often what is random is tried (1 unless set).
"""

from __future__ import annotations

import ast
import itertools
import os
import random
import re
import socket
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.core import backend_requests
from incoming.core.errors import BadParameter
from incoming.handover.connections import target
from incoming.http import parameters
from incoming.uploads.admission import Admission
from tests.conftest import StartServer
from tests.support.app import Reply, ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.data import FileBytes
from tests.support.server import ROOT, RunningServer, call_backend, cancel_upload, new_upload
from tests.support.tally import tally
from tests.support.uploads import House
from tests.support.waiting import wait_until

SCALE: Final = int(os.environ.get("INCOMING_TEST_ATTACKS", "1"))
DATA: Final = FileBytes(5_000, seed=11)
BACKEND_ROUTES: Final = ("new_upload", "finish_upload", "cancel_upload", "retry_upload", "sweep")
READING_ROUTES: Final = ("backend/uploads", "status", "metrics")
PREFIXES: Final = ("/incoming/", "/incoming/0.1/")

FORGED_NAMES: Final = (
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Server", "Forwarded", "Via"),
    *("X-Real-IP", "X-Client-IP", "Client-IP", "True-Client-IP", "CF-Connecting-IP", "X-Cluster-Client-IP"),
    *("X-Originating-IP", "X-Remote-Addr", "Remote-Addr", "REMOTE_ADDR", "X_Forwarded_For", "Host"),
)
FORGED_VALUES: Final = (
    *("192.0.2.1", "127.0.0.1", "::1", "localhost", "for=127.0.0.1", "127.0.0.1, 192.0.2.1", ""),
)
SIGNS_OF_A_PROXY: Final = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Via")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server as it comes, but for the patience of its handovers."""
    folder = tmp_path_factory.mktemp("plain")
    with RunningServer(folder / "storage", log_level="debug", handover_retry_first_s=0.05) as server:
        yield server


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server to which the tests come from outside: their address is not one of those allowed."""
    folder = tmp_path_factory.mktemp("closed")
    with RunningServer(folder / "storage", allowed_backends="192.0.2.1", backend_token="t0ken") as server:
        yield server


def some(combinations: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Returns all of them for `make attacks`, else a few of each kind."""
    all_of_them = list(combinations)
    return all_of_them if SCALE > 1 else random.Random(5).sample(all_of_them, min(len(all_of_them), 120))


def journal(server: RunningServer) -> list[str]:
    """Returns the ids of the tickets that the server has."""
    return sorted(server.journaled())


# --- the backend routes --------------------------------------------------------------------------------


def test_nobody_outside_gets_in_whatever_the_headers_say(closed: RunningServer, app: ScriptedApp) -> None:
    requests_made = some(itertools.product(PREFIXES, BACKEND_ROUTES, FORGED_NAMES, FORGED_VALUES))
    with requests.Session() as session:
        for prefix, route, name, value in requests_made:
            url = f"{closed.url}{prefix}backend/{route}"
            answer = session.post(url, params={"signalFinishURL": app.url}, headers={name: value})
            assert answer.status_code in ((400, 403) if name == "Host" else (403,)), (route, name, value)
    assert journal(closed) == []
    what = "backend routes from outside with forged headers"
    tally("attack", what, len(requests_made), "403, nothing was done")


def test_nobody_outside_sees_anything_whatever_the_headers_say(closed: RunningServer) -> None:
    requests_made = some(itertools.product(PREFIXES, READING_ROUTES, FORGED_NAMES, FORGED_VALUES))
    with requests.Session() as session:
        for prefix, route, name, value in requests_made:
            answer = session.get(closed.url + prefix + route, headers={name: value})
            assert answer.status_code in (400, 401, 403), (route, name, value)
            assert "uploads" not in answer.text
    what = "list, status and metrics from outside with forged headers"
    tally("attack", what, len(requests_made), "401 or 403")


def test_what_came_through_a_proxy_of_this_machine_is_from_outside(
    plain: RunningServer, app: ScriptedApp
) -> None:
    known = journal(plain)
    values = ("127.0.0.1", "203.0.113.9", "", "for=127.0.0.1;proto=http")
    requests_made = some(itertools.product(BACKEND_ROUTES, SIGNS_OF_A_PROXY, values))
    for route, name, value in requests_made:
        url = f"{plain.url}/incoming/backend/{route}"
        answer = requests.post(url, params={"signalFinishURL": app.url}, headers={name: value}, timeout=60)
        assert answer.status_code == 403
    assert journal(plain) == known
    tally("attack", "backend routes through a proxy", len(requests_made), "403, nothing was done")


def test_a_page_of_another_site_can_use_none_of_it(plain: RunningServer, app: ScriptedApp) -> None:
    server, known = plain, journal(plain)
    of_pages = ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"})
    for headers, route in itertools.product(of_pages, BACKEND_ROUTES):
        url = f"{server.url}/incoming/backend/{route}"
        answer = requests.post(url, params={"signalFinishURL": app.url}, headers=headers, timeout=60)
        assert answer.status_code == 403
        assert not any(name.lower().startswith("access-control") for name in answer.headers)
        assert requests.options(url, headers=headers, timeout=60).status_code == 405
    for headers, route in itertools.product(of_pages, READING_ROUTES):
        answer = requests.get(f"{server.url}/incoming/{route}", headers=headers, timeout=60)
        assert answer.status_code == 403
        assert not any(name.lower().startswith("access-control") for name in answer.headers)
    assert journal(server) == known
    tally("attack", "backend routes from pages of other sites", 3 * 8, "403, which no page may read")


WRONG_TOKENS: Final = (
    "", "t", "t0ke", "t0kens", "T0KEN", "t0ken ", " t0ken", "t0ken\t", "tøken", "t0ken\xa0", "*", "null",
    "undefined", "t0ken,t0ken", "' OR 1=1", "%74%30ken", "A" * 7000,
)  # fmt: skip


def test_no_token_but_the_right_one_opens_anything(closed: RunningServer) -> None:
    server = closed
    schemes = ("Bearer", "bearer", "Basic", "Token", "Digest", "")
    tried = 0
    for scheme, token in itertools.product(schemes, WRONG_TOKENS):
        value = f"{scheme} {token}".strip().encode("latin-1")  # Requests sends bytes as they are
        answer = requests.post(
            f"{server.url}/incoming/backend/sweep", headers={"Authorization": value}, timeout=60
        )
        if value in (b"Bearer t0ken", b"bearer t0ken"):  # white space around a value is no part of it
            continue
        assert answer.status_code == 403, value
        tried += 1
    right = {"Authorization": "Bearer t0ken"}
    answer = requests.post(f"{server.url}/incoming/backend/sweep", headers=right, timeout=60)
    assert answer.status_code == 200
    tally("attack", "wrong tokens", tried, "403")


# --- secrets -------------------------------------------------------------------------------------------

SECRETS: Final = ("s3cret", "sécrèt 🔑", "a" * 4096, " ", "\t\x00", "null", "%73", "\uff533cret")


def test_a_ticket_obeys_its_own_secret_only(plain: RunningServer, app: ScriptedApp) -> None:
    server = plain
    tried = 0
    for secret in SECRETS:
        ticket_id = new_upload(server, app.url, backendSecret=secret)
        wrong = {secret[:-1], secret + "x", secret.swapcase(), secret[::-1] + "y", "", "\udc80"} - {secret}
        for other in wrong:
            raw = other.encode("utf-8", "surrogateescape").decode("latin-1")
            for name in ("backendSecret", "signalFinishSecret"):
                url = f"{server.url}/incoming/backend/cancel_upload?id={ticket_id}"
                body = f"{name}={quote(raw.encode('latin-1'), safe='')}"
                form = {"Content-Type": "application/x-www-form-urlencoded"}
                answer = requests.post(url, data=body, headers=form, timeout=60)
                assert answer.status_code in (400, 403), (secret, other, answer.text)
                tried += 1
        assert cancel_upload(server, ticket_id, backendSecret=secret).text == "ok"
    assert "a defect" not in server.log_text()
    tally("attack", "wrong secrets", tried, "403, the upload continued")


def test_a_parameter_that_is_not_a_text_is_refused_and_not_taken_for_none(
    plain: RunningServer, app: ScriptedApp
) -> None:
    """A secret in another encoding would count as none, and protect nothing."""
    known = journal(plain)
    names = ("backendSecret", "signalFinishSecret", "removeFileWhenFinished", "metadata")
    for name, value in itertools.product(names, ("%ff", "s%e9cret", "%ed%a0%80")):
        query = f"signalFinishURL={app.url}&{name}={value}"
        url = f"{plain.url}/incoming/backend/new_upload"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for answer in (
            requests.post(f"{url}?{query}", timeout=60),
            requests.post(url, data=query, headers=form, timeout=60),
        ):
            assert (answer.status_code, answer.text) == (400, f"The parameter {name} is not valid UTF-8.")
    assert journal(plain) == known
    tally("attack", "parameters that are not UTF-8", 24, "400, no ticket was made")


def test_secrets_are_compared_in_constant_time_everywhere() -> None:
    """By reading: no secret is compared with == or looked for with in; each comparison is compare_digest."""
    a_secret = re.compile(r"(\b|_)(secret|token|password)\b")
    fenced = {ROOT / "incoming" / package for package in ("core", "registry", "storage", "uploads")}
    a_fence = re.compile(r"(\b|_)token\b")  # of a claim: it gives no right that the ticket's id does not give
    compared, careless = 0, []
    for path in sorted((ROOT / "incoming").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "hmac.compare_digest":
                compared += 1
            if not isinstance(node, ast.Compare) or path.name in ("load.py", "handshake.py"):
                continue  # these compare the name of a setting, and words of a header
            sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
            if fenced & set(path.parents):
                sides = [a_fence.sub("", side) for side in sides]
            if any(a_secret.search(side) for side in sides):
                careless.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    assert compared >= 3, "the token, the password, a ticket's secret"
    assert careless == [], "compare it with hmac.compare_digest"


# --- tickets -------------------------------------------------------------------------------------------


def test_ticket_ids_come_from_the_systems_randomness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path)
    random.seed(1)
    first = house.new_ticket()
    random.seed(1)
    assert house.new_ticket() != first, "a generator that can be predicted"
    monkeypatch.setattr(os, "urandom", lambda size_bytes: bytes(range(size_bytes)))
    assert house.new_ticket() == str(uuid.UUID(bytes=bytes(range(16)), version=4))


def test_ticket_ids_do_not_repeat_and_use_all_their_bits(tmp_path: Path) -> None:
    admission = Admission(House(tmp_path).context)
    request = backend_requests.NewUpload("http://app.example.org/")
    ids = [uuid.UUID(admission.new_ticket(request).id) for _ in range(2_000 * SCALE)]
    assert len(set(ids)) == len(ids)
    assert all(ticket_id.version == 4 for ticket_id in ids)
    free_bits = [bit for bit in range(128) if bit not in (*range(76, 80), 62, 63)]  # RFC 9562 section 5.4
    for bit in free_bits:
        share = sum(ticket_id.int >> bit & 1 for ticket_id in ids) / len(ids)
        assert 0.4 < share < 0.6, bit
    assert len(free_bits) == 122


def near_misses(ticket_id: str) -> list[str]:
    """Returns ids that are nearly this one, or another spelling of it."""
    flipped = [
        ticket_id[:at] + ("0" if ticket_id[at] != "0" else "1") + ticket_id[at + 1 :]
        for at in range(len(ticket_id))
        if ticket_id[at] != "-"
    ]
    return [
        *flipped, ticket_id[:8], ticket_id[:-1], f"{ticket_id} ", f" {ticket_id}", f"{ticket_id}\0",
        f"{{{ticket_id}}}", f"urn:uuid:{ticket_id}", ticket_id.replace("-", ""), ticket_id.upper() + "x",
        "", "*", "%", "../" + ticket_id, f"{ticket_id}/{ticket_id}", f"{ticket_id}.json", "clock", "damaged",
    ]  # fmt: skip


def test_a_ticket_that_is_not_known_can_not_be_used(plain: RunningServer, app: ScriptedApp) -> None:
    server = plain
    ticket_id = new_upload(server, app.url)
    guesses = [*near_misses(ticket_id), *(str(uuid.uuid4()) for _ in range(20 * SCALE))]
    guesses = guesses if SCALE > 1 else guesses[::2]
    refused_before = None
    for guess in guesses:
        client = ClientV2(server.url, guess, DATA).connect()
        with pytest.raises(UploadRefused) as refused:
            client.request()
        assert refused.value.code in ("unknown_ticket", "bad_message"), guess
        client.drop()
        if refused.value.code == "unknown_ticket":
            refused_before = refused_before or refused.value.error
            assert refused.value.error == refused_before, "how near a guess was is not told"
        assert call_backend(server, "cancel_upload", id=guess).status_code == 400
    with pytest.raises(UploadEnded):
        ClientV1(server.url, guesses[0], DATA).connect().request()
    ClientV1(server.url, ticket_id, DATA).upload()
    tally("attack", "guessed and misspelled tickets", len(guesses), "unknown, and the same answer to each")


def test_nothing_that_strangers_see_or_logs_keep_has_a_ticket_in_it(
    plain: RunningServer, app: ScriptedApp
) -> None:
    server = plain
    ticket_id = new_upload(server, app.url, backendSecret="0nly-we-two")
    ClientV1(server.url, ticket_id, DATA).upload()
    seen = [requests.get(f"{server.url}/incoming/{route}", timeout=60).text for route in READING_ROUTES]
    seen += [requests.get(f"{server.url}/incoming/healthz", timeout=60).text, server.log_text()]
    for text in seen:
        assert ticket_id not in text
        assert "0nly-we-two" not in text
    assert ticket_id[:8] in seen[0]


# --- whom the server calls -----------------------------------------------------------------------------

METADATA: Final = ("169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:169.254.169.254]",
                   "[64:ff9b::a9fe:a9fe]", "100.100.100.200", "224.0.0.1", "[ff02::1]")  # fmt: skip


def test_addresses_that_keep_a_clouds_secrets_are_refused_at_once(plain: RunningServer) -> None:
    server, known = plain, journal(plain)
    for host in METADATA:
        answer = call_backend(server, "new_upload", signalFinishURL=f"http://{host}/latest/meta-data/")
        assert answer.status_code == 400, host
        assert answer.text.startswith("The parameter signalFinishURL names an address")
    assert journal(server) == known
    tally("attack", "handover URLs at cloud metadata addresses", len(METADATA), "400, no ticket was made")


SPELLINGS: Final = (
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001"),
    *("0.0.0.0", "0", "localhost", "LOCALHOST", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]"),
    *("127.0.0.1.", "localhost.", "user@127.0.0.1", "169.254.169.254@127.0.0.1"),
)


@contextmanager
def trap() -> Iterator[tuple[int, list[object]]]:
    """Listens on all of this machine's IPv4 addresses; gives the port, and who has connected."""
    caught: list[object] = []

    def watch(listener: socket.socket) -> None:
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            caught.append(peer)
            connection.close()

    with socket.create_server(("0.0.0.0", 0)) as listener:
        thread = threading.Thread(target=watch, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1], caught
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_no_spelling_of_an_address_gets_round_the_list(start_server: StartServer) -> None:
    """Cancelled uploads are told to the app: what is not refused at once must not be called either."""
    server = start_server(handover_refused="127.0.0.0/8, ::1", handover_retry_first_s=0.05)
    with trap() as (port, caught):
        waiting = []
        for host in SPELLINGS:
            answer = call_backend(server, "new_upload", signalFinishURL=f"http://{host}:{port}/")
            if answer.status_code == 400:
                continue
            client = ClientV1(server.url, answer.text, DATA).open()
            client.cancel()
            waiting.append(answer.text[:8])
        assert len(waiting) > 5, "these are names, for all that is known at first"
        for ticket in waiting:
            told = f"upload {ticket}: notified the app of cancelled, answer: the app"
            wait_until(lambda told=told: told in server.log_text(), f"{ticket} is delivered")  # type: ignore[misc]
        assert caught == []
        assert server.log_text().count("the app's address is one that this server may not call") >= 5
    tally("attack", "other spellings of a refused address", len(SPELLINGS), "no call was made")


def test_no_redirect_leads_inside(plain: RunningServer, app: ScriptedApp) -> None:
    with trap() as (port, caught):
        for number, status in enumerate((301, 302, 303, 307, 308), start=1):
            app.answers = [Reply(status, "", {"Location": f"http://127.0.0.1:{port}/latest/meta-data/"})]
            client = ClientV1(plain.url, new_upload(plain, app.url), DATA).open()
            client.send_until_acked()
            assert "did not accept the file" in client.receive_end().text
            ClientV1(plain.url, new_upload(plain, app.url), DATA).open().cancel()
            app.wait_for(2 * number)
        assert caught == []
    tally("attack", "redirects of the handover", 10, "not followed")


def test_only_named_hosts_are_called_if_there_are_any(tmp_path: Path) -> None:
    house = House(tmp_path, handover_hosts=("localhost", "app.example.org"))
    others = ("127.0.0.1", "localhost.evil.example", "app.example.org.evil.example", "evil.example",
              "localhost@evil.example", "evil.example#@localhost", "evil.example?@localhost",
              "evil.example/@localhost", "LOCALHOST.", "localhost%00.evil.example",
              "\u217cocalhost")  # fmt: skip
    for host in others:
        with pytest.raises(BadParameter, match="signalFinishURL"):
            house.new_ticket(signalFinishURL=f"http://{host}/finished")
    assert house.new_ticket(signalFinishURL="http://LocalHost:4001/")
    tally("attack", "handover URLs that only look as if they named an allowed host", len(others), "400")


PIECES: Final = st.sampled_from(["allowed", "evil", *"@:/\\#?[].;&\t\u24d0", "%40", "%2e", "::1", "80"])


@settings(max_examples=300 * SCALE, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=8).map("".join))
def test_whoever_checks_a_url_and_whoever_calls_it_read_the_same_host(rest: str) -> None:
    url = f"http://{rest}"
    try:
        parameters.new_upload({"signalFinishURL": url})
    except BadParameter:
        return
    if urlsplit(url).hostname != "allowed":
        return
    try:
        where = target(url)
    except ValueError:
        return  # nobody is called
    assert where.host == "allowed"
