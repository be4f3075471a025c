"""Uploads are the same under each web server: both versions of the protocol, resumed, taken over, refused."""

from __future__ import annotations

import base64
import itertools
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

import incoming
from incoming.protocol.withheld import WITHHELD_BYTES
from tests.support.app import ScriptedApp, SlowApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.data import MIB, FileBytes
from tests.support.hosts import GunicornServer, HostedServer, UwsgiServer
from tests.support.http_upload import Headers, HttpUpload
from tests.support.ietf import IetfClient
from tests.support.server import call_backend
from tests.support.tus import TusUpload, checksum
from tests.support.upload_client import PATH
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed, HandshakeRefused, WebSocket

_seeds = itertools.count(9000)
LENGTH_BYTES = 5 * MIB + 17


def data() -> FileBytes:
    return FileBytes(LENGTH_BYTES, next(_seeds))


def b64(digits: str) -> str:
    """Returns the bytes of hexadecimal digits in base64."""
    return base64.b64encode(bytes.fromhex(digits)).decode()


def test_a_client_of_version_1_uploads(host: HostedServer, app: ScriptedApp) -> None:
    client = ClientV1(host.url, host.new_ticket(app.url), data())
    client.upload()
    assert app.wait_for(1)[0].sha256 == client.data.sha256


def test_a_client_of_version_2_uploads(host: HostedServer, app: ScriptedApp) -> None:
    client = ClientV2(host.url, host.new_ticket(app.url), data())
    client.upload()
    assert app.wait_for(1)[0].sha256 == client.data.sha256


def test_a_request_without_a_length_uploads(host: HostedServer, app: ScriptedApp) -> None:
    content, ticket_id = data(), host.new_ticket(app.url)
    url = f"{host.url}/incoming/frontend/uploads/{ticket_id}"
    answer = requests.put(url, data=content.blocks(), timeout=60)
    assert (answer.status_code, answer.text) == (200, "The app has the file.\n")
    assert app.wait_for(1)[0].sha256 == content.sha256
    if isinstance(host, UwsgiServer | GunicornServer):  # an app's own server logs what its author wants
        assert ticket_id not in host.log_text()


@pytest.mark.parametrize("kind", [ClientV1, ClientV2], ids=["version 1", "version 2"])
def test_the_cookies_of_a_single_sign_on_keep_no_upload_from_its_beginning(
    host: HostedServer, app: ScriptedApp, kind: type[ClientV1 | ClientV2]
) -> None:
    client = kind(host.url, host.new_ticket(app.url), data())
    client.headers = {"Cookie": "session=" + "x" * 9000 + "; more=" + "y" * 9000}
    client.upload()
    assert app.wait_for(1)[0].sha256 == client.data.sha256


def test_a_form_without_a_script_uploads_and_leads_to_a_page(host: HostedServer, app: ScriptedApp) -> None:
    file, ticket_id = data(), host.new_ticket(app.url)
    url = f"{host.url}/incoming/frontend/uploads/{ticket_id}"
    form = {"file": ("größe.mov", file.read(0, LENGTH_BYTES))}
    page = requests.post(url, data={"a": "b"}, files=form, headers={"Accept": "text/html"}, timeout=60)
    assert [one.status_code for one in page.history] == [303]
    assert "Finished" in page.text
    (delivery,) = app.deliveries
    assert (delivery.sha256, delivery.fields["filenameFromBrowser"]) == (file.sha256, "größe.mov")


@pytest.mark.parametrize("chunk_bytes", [0, 100_000], ids=["length", "chunked"])
def test_a_file_is_put_over_http(host: HostedServer, app: ScriptedApp, chunk_bytes: int) -> None:
    file = data()
    upload = HttpUpload(host.url, host.new_ticket(app.url))
    content = file.read(0, LENGTH_BYTES)
    if chunk_bytes:
        with upload.open("PUT", {"Transfer-Encoding": "chunked"}) as request:
            for at in range(0, LENGTH_BYTES, chunk_bytes):
                request.send_chunk(content[at : at + chunk_bytes])
            request.send_chunk(b"")
            answer = request.answer()
    else:
        answer = upload.ask("PUT", None, content)
    assert answer.status == 200, answer.text
    assert app.wait_for(1)[0].sha256 == file.sha256


@pytest.mark.parametrize("chunk_bytes", [0, 100_000], ids=["length", "chunked"])
@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_what_had_arrived_over_http_when_a_connection_broke_is_stored(
    host: HostedServer, app: ScriptedApp, reset: bool, chunk_bytes: int
) -> None:
    sent_bytes = 3_400_123
    upload, content = HttpUpload(host.url, host.new_ticket(app.url)), data().read(0, sent_bytes)
    length: Headers = {"Transfer-Encoding": "chunked"} if chunk_bytes else {"Content-Length": LENGTH_BYTES}
    with upload.open("PUT", length) as request:
        for at in range(0, sent_bytes, chunk_bytes or sent_bytes):
            send = request.send_chunk if chunk_bytes else request.send
            send(content[at : at + (chunk_bytes or sent_bytes)])
        request.break_off(reset=reset)
    # GET only looks. HEAD takes over, and would end the reading.
    wait_until(lambda: upload.look()["offset_bytes"] == sent_bytes, "all that was sent is stored")
    assert upload.ask("HEAD").offset_bytes == sent_bytes
    assert host.stored_file(upload.ticket_id).read_bytes() == content


def test_nothing_of_a_request_with_a_checksum_is_stored_when_its_connection_breaks(
    host: HostedServer, app: ScriptedApp
) -> None:
    file = data()
    upload = TusUpload(host.url, host.new_ticket(app.url))
    upload.create(LENGTH_BYTES)
    upload.append(0, file.read(0, MIB))
    rest = file.read(MIB, LENGTH_BYTES)
    about = {"Content_Length": str(len(rest)), "Upload_Checksum": checksum("sha1", rest)}
    with upload.begin_append(MIB, **about) as request:
        request.send(rest[: 3 * MIB])
        request.break_off(reset=False)
    assert upload.head().offset_bytes == MIB
    assert upload.append(MIB, rest, Upload_Checksum=checksum("sha1", rest)).offset_bytes == LENGTH_BYTES
    assert app.wait_for(1)[0].sha256 == file.sha256


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_a_request_for_the_offset_takes_an_upload_over_from_a_request_that_is_silent(
    host: HostedServer, app: ScriptedApp, is_chunked: bool
) -> None:
    file = data()
    upload = TusUpload(host.url, host.new_ticket(app.url))
    length = {"Transfer-Encoding": "chunked"} if is_chunked else {"Content-Length": str(LENGTH_BYTES)}
    with upload.open("PUT", length) as old:
        send = old.send_chunk if is_chunked else old.send
        send(file.read(0, 2 * MIB))
        wait_until(lambda: upload.look()["offset_bytes"], "the beginning is stored")
        offset = upload.head().offset_bytes
        assert 0 < offset <= 2 * MIB
        answer = old.answer()
        assert (answer.status, answer.code) == (400, "taken_over")
    upload.create(LENGTH_BYTES)
    assert upload.append(offset, file.read(offset, LENGTH_BYTES)).offset_bytes == LENGTH_BYTES
    assert app.wait_for(1)[0].sha256 == file.sha256


def test_no_client_over_http_is_told_of_success_before_the_app_has_the_file(
    host: HostedServer, app: ScriptedApp
) -> None:
    slow, file = SlowApp(), data()
    app.answers = [slow]
    upload = TusUpload(host.url, host.new_ticket(app.url))
    upload.create(LENGTH_BYTES)
    with ThreadPoolExecutor(1) as pool:
        last = pool.submit(upload.append, 0, file.read(0, LENGTH_BYTES))
        wait_until(lambda: upload.look()["state"] == "handing_over", "all bytes are stored")
        assert LENGTH_BYTES - WITHHELD_BYTES <= upload.head().offset_bytes < LENGTH_BYTES
        assert IetfClient(upload, 9).head().is_complete is False
        assert "has the file" not in upload.ask("GET").text
        assert not last.done()
        slow.go_ahead.set()
        assert last.result().offset_bytes == LENGTH_BYTES
    assert upload.head().offset_bytes == LENGTH_BYTES
    assert IetfClient(upload, 9).head().is_complete


def test_a_client_of_the_ietf_protocol_learns_where_to_resume_before_it_is_cut(
    host: HostedServer, app: ScriptedApp
) -> None:
    file = data()
    client = IetfClient(HttpUpload(host.url, host.new_ticket(app.url)), 9)
    digest = f"sha-256=:{b64(file.sha256)}:"
    about = client.headers(True, {"Content-Length": LENGTH_BYTES, "Repr-Digest": digest})
    with client.open("POST", about) as exchange:
        interim = exchange.read_head()
        assert (interim.status, interim.headers["location"]) == (104, client.upload.ticket_id)
        exchange.send(file.read(0, 2 * MIB))
    wait_until(lambda: host.stored_file(client.upload.ticket_id).exists(), "it has begun")
    offset = client.head().offset_bytes
    answer = client.append(offset, file.read(offset, LENGTH_BYTES))
    assert (answer.is_complete, answer.headers["repr-digest"]) == (True, digest)
    assert app.wait_for(1)[0].sha256 == file.sha256


def test_a_client_that_is_still_sending_can_read_why_it_is_refused(host: HostedServer) -> None:
    upload = HttpUpload(host.url, str(uuid.uuid4()))
    with upload.open("PUT", {"Content-Length": 8 * MIB}) as request:
        request.send(bytes(8 * MIB))
        answer = request.answer()
    assert (answer.status, answer.code) == (404, "unknown_ticket")


def test_a_client_that_waits_is_told_to_send_its_file(host: HostedServer, app: ScriptedApp) -> None:
    upload = HttpUpload(host.url, host.new_ticket(app.url))
    with upload.open("PUT", {"Content-Length": 5, "Expect": "100-continue"}) as request:
        assert request.socket.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n")
        request.send(b"hello")
        assert request.answer().status == 200
    assert app.wait_for(1)[0].size_bytes == 5


def test_an_upload_resumes_where_its_connection_was_lost(host: HostedServer, app: ScriptedApp) -> None:
    client = ClientV1(host.url, host.new_ticket(app.url), data())
    client.open().send_until_acked(2 * MIB)
    client.drop()
    client.upload()
    assert client.resumed_at[-1] >= 2 * MIB
    assert app.wait_for(1)[0].sha256 == client.data.sha256


def test_a_new_connection_takes_an_upload_over_at_once(host: HostedServer, app: ScriptedApp) -> None:
    old = ClientV1(host.url, host.new_ticket(app.url), data())
    old.open().send_until_acked(MIB)
    new = ClientV1(host.url, old.ticket_id, old.data)
    new.upload()
    assert new.resumed_at[0] >= MIB
    with pytest.raises(ConnectionClosed):
        old.receive_acks()
        old.receive()
    assert app.wait_for(1)[0].sha256 == new.data.sha256


def test_a_connection_that_ends_leaves_room_for_the_next_one(host: HostedServer) -> None:
    for _ in range(20):
        assert WebSocket(host.url + PATH).close()[0] == 1000


def test_a_request_without_an_upgrade_gets_426(host: HostedServer) -> None:
    answer = requests.get(host.url + PATH, timeout=60)
    assert answer.status_code == 426
    assert "WebSocket" in answer.text


def test_a_broken_handshake_is_refused(host: HostedServer) -> None:
    with pytest.raises(HandshakeRefused) as refused:
        WebSocket(host.url + PATH, {"Sec-WebSocket-Key": "c2hvcnQ="})
    assert " 400 " in refused.value.head.partition("\r\n")[0]


def test_the_backend_routes_are_closed_to_what_came_through_a_proxy(host: HostedServer) -> None:
    url = f"{host.url}/incoming/backend/new_upload?signalFinishURL=http://localhost/x"
    assert requests.post(url, headers={"X-Forwarded-For": "127.0.0.1"}, timeout=60).status_code == 403


def test_a_form_in_the_body_is_read(host: HostedServer, app: ScriptedApp) -> None:
    answer = requests.post(
        f"{host.url}/incoming/backend/new_upload", data={"signalFinishURL": app.url}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    assert call_backend(host, "cancel_upload", id=answer.text).text == "ok"


def test_nothing_in_the_log_is_a_defect(host: HostedServer) -> None:
    # gevent-websocket's own handler fails when it refuses a handshake, before anybody is asked.
    package = re.escape(str(Path(incoming.__file__).parent))  # the checkout may be called `incoming` as well
    assert not re.search(rf'File "{package}/', host.log_text())
    assert "a defect" not in host.log_text()
