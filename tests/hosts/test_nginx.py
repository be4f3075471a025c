"""Behind a real nginx, set up as deploy/nginx.conf says: uploads over TLS, and nothing else gets through."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.conftest import StartServer
from tests.support.app import WAIT, ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.data import MIB, FileBytes
from tests.support.forked import ForkedServer, Launcher
from tests.support.hosts import GunicornServer, UwsgiServer
from tests.support.nginx import Nginx
from tests.support.server import ROOT, RunningServer, finish_upload, new_upload
from tests.support.upload_client import PATH
from tests.support.waiting import wait_until
from tests.support.websocket import PING, PONG, ConnectionClosed, HandshakeRefused, WebSocket

LENGTH_BYTES: Final = 5 * MIB + 17
LARGE_BYTES: Final = 320 * MIB
BACKEND: Final = ("new_upload", "finish_upload", "cancel_upload", "retry_upload")
_seeds = itertools.count(12000)
both_versions = pytest.mark.parametrize("kind", [ClientV1, ClientV2], ids=["version 1", "version 2"])


def data(length_bytes: int = LENGTH_BYTES) -> FileBytes:
    return FileBytes(length_bytes, next(_seeds))


@pytest.fixture(scope="module")
def nginx(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx as the file says, for all tests that change nothing."""
    with Nginx(tmp_path_factory.mktemp("front") / "nginx", server.port) as running:
        yield running


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, verify=False, timeout=60, allow_redirects=False)


# --- uploads -------------------------------------------------------------------------------------------


@both_versions
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_uploads_pass_and_resume_where_their_connection_was_lost(
    nginx: Nginx, server: RunningServer, app: ScriptedApp, kind: type[ClientV1 | ClientV2]
) -> None:
    client = kind(nginx.url, new_upload(server, app.url), data())
    client.open()
    for _ in range(4):
        client.send_chunk()
    if isinstance(client, ClientV1):
        client.receive_acks()
    else:
        client.receive_until_stored()
    client.drop()
    client.upload()
    assert client.resumed_at[-1] > 0
    assert app.wait_for(1)[0].sha256 == client.data.sha256


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@pytest.mark.parametrize("prefix", ["", "/uploads"])
def test_uploads_over_http_pass_as_they_come_and_the_log_shows_no_ticket(
    server: RunningServer, app: ScriptedApp, tmp_path: Path, prefix: str
) -> None:
    content = data(70 * MIB)  # larger than any limit that was here
    front = Nginx(tmp_path / "nginx", server.port)
    if prefix:
        front.use_prefix()
    with front:
        ticket_id = new_upload(server, app.url)
        url = f"{front.url}{prefix}/incoming/frontend/uploads/{ticket_id}"

        def pieces() -> Iterator[bytes]:
            """Looks, in the middle, at what the server has received so far."""
            yield from itertools.islice(content.blocks(), 1)
            wait_until(lambda: server.stored_file(ticket_id).is_file(), "the server has the first bytes")
            yield from itertools.islice(content.blocks(), 1, None)

        answer = requests.put(url, data=pieces(), verify=False, timeout=60)
        assert (answer.status_code, answer.text) == (200, "The app has the file.\n")
        assert app.wait_for(1)[0].sha256 == content.sha256
        assert get(f"{url}?ticket={ticket_id}").status_code == 200
    logged = "".join(log.read_text() for log in front.folder.glob("*.log"))
    assert f"frontend/uploads/{ticket_id[:8]}..." in logged
    assert ticket_id not in logged


@pytest.mark.parametrize("kind", [GunicornServer, UwsgiServer], ids=["gunicorn", "uWSGI"])
def test_the_cookies_of_a_single_sign_on_pass_to_each_server(
    tmp_path: Path, app: ScriptedApp, kind: type[GunicornServer | UwsgiServer]
) -> None:
    with kind(tmp_path / "storage") as host, Nginx(tmp_path / "nginx", host.port) as nginx:
        for client_kind in (ClientV1, ClientV2):
            client = client_kind(nginx.url, host.new_ticket(app.url), data())
            client.headers = {"Cookie": "session=" + "x" * 9000 + "; more=" + "y" * 9000}
            client.upload()
        assert len(app.wait_for(2)) == 2


def test_the_shipped_nginx_file_passes_uploads_to_uwsgi(tmp_path: Path, app: ScriptedApp) -> None:
    with UwsgiServer(tmp_path / "storage") as host, Nginx(tmp_path / "nginx", host.port) as nginx:
        for kind in (ClientV1, ClientV2):
            client = kind(nginx.url, host.new_ticket(app.url), data())
            client.upload()
        assert len(app.wait_for(2)) == 2


def files_on_disk(nginx: Nginx) -> list[str]:
    """Returns the temporary files that nginx has open: it removes their names at once."""
    links = [link for pid in nginx.workers() for link in Path(f"/proc/{pid}/fd").iterdir()]
    return [target for link in links if f"{nginx.folder}/temp" in (target := str(link.readlink()))]


def peak_bytes(nginx: Nginx) -> int:
    """Returns the most memory that a worker has had."""
    texts = [Path(f"/proc/{pid}/status").read_text() for pid in nginx.workers()]
    return max(int(re.findall(r"VmHWM:\s*(\d+) kB", text)[0]) for text in texts) * 1024


@pytest.mark.parametrize("switch", ["off", "on"])
def test_a_large_upload_is_neither_kept_in_memory_nor_on_disk_whatever_the_buffering_is_set_to(
    server: RunningServer, app: ScriptedApp, tmp_path: Path, switch: str
) -> None:
    front = Nginx(tmp_path / "nginx", server.port)
    front.change(r"buffering off;", f"buffering {switch};")
    with front:
        client = ClientV2(front.url, new_upload(server, app.url), data(LARGE_BYTES))
        client.chunk_size_bytes = MIB
        client.open()
        while client.stored_bytes < LARGE_BYTES:
            client.send_until_stored(client.stored_bytes + 32 * MIB)
            assert files_on_disk(front) == []
        client.finish()
        assert peak_bytes(front) < 32 * MIB
    assert app.wait_for(1)[0].size_bytes == LARGE_BYTES


@both_versions
def test_an_upload_that_waits_for_its_app_is_not_cut_for_its_silence(
    start_server: StartServer, tmp_path: Path, kind: type[ClientV1 | ClientV2]
) -> None:
    """The server asks the client twice in that time, and the client answers."""
    server = start_server(connection_timeout_s=4)
    front = Nginx(tmp_path / "nginx", server.port)
    front.change(r"proxy_read_timeout 2m", "proxy_read_timeout 4s")
    front.change(r"proxy_send_timeout 2m", "proxy_send_timeout 4s")
    with front, ScriptedApp(WAIT) as app:
        client = kind(front.url, new_upload(server, app.url), data())
        client.open()
        if isinstance(client, ClientV1):
            client.send_until_acked()
        else:
            client.send_until_stored()
            client.complete()
        app.wait_for(1)
        pings = 0
        while pings < 3:  # one in two seconds
            frame = client.ws.receive_frame()
            if frame.opcode == PING:
                client.ws.send_frame(0x80 | PONG, frame.payload)
                pings += 1
        assert finish_upload(server, client.ticket_id).text == "ok"
        client.receive_result()


def test_a_timeout_below_that_cuts_an_upload_which_then_comes_back(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(connection_timeout_s=30)
    front = Nginx(tmp_path / "nginx", server.port)
    front.change(r"proxy_read_timeout 2m", "proxy_read_timeout 4s")
    with front, ScriptedApp(WAIT) as app:
        client = ClientV1(front.url, new_upload(server, app.url), data())
        client.open().send_until_acked()
        app.wait_for(1)
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
        assert closed.value.code == 1006
        client.open()
        assert finish_upload(server, client.ticket_id).text == "ok"
        client.receive_result()


def test_a_reload_leaves_an_upload_alone(server: RunningServer, app: ScriptedApp, tmp_path: Path) -> None:
    with Nginx(tmp_path / "nginx", server.port) as front:
        client = ClientV2(front.url, new_upload(server, app.url), data())
        client.open().send_until_stored(MIB)
        (old,) = front.workers()
        front.reload()
        other = ClientV1(front.url, new_upload(server, app.url), data())
        other.upload()
        assert old in front.workers(), "it has something to finish"
        client.finish()
        assert client.resumed_at == [0]
        wait_until(lambda: old not in front.workers(), "the old worker ends")


# --- what is closed ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
class TestClosed:
    @pytest.mark.parametrize("prefix", ["", "0.1/"])
    def test_only_what_browsers_need_is_passed_on(self, nginx: Nginx, prefix: str) -> None:
        for route in (*(f"backend/{name}" for name in (*BACKEND, "uploads")), "status", "metrics"):
            for method in ("GET", "POST"):
                url = f"{nginx.url}/incoming/{prefix}{route}"
                forged = {"X-Forwarded-For": "127.0.0.1", "Host": "localhost"}
                answer = requests.request(method, url, headers=forged, verify=False, timeout=60)
                assert (answer.status_code, "nginx" in answer.text) == (404, True), (method, url)
        assert "incoming" in get(f"{nginx.url}/incoming/{prefix}frontend/incoming.js").text

    @pytest.mark.parametrize(
        "path",
        [
            "/incoming/frontend/../backend/uploads",
            "/incoming/frontend/%2e%2e/backend/uploads",
            "/incoming/frontend/..%2fbackend/uploads",
            "/incoming/backend/uploads%3f/../../frontend/incoming.js",
            "/incoming/backend/uploads/../../frontend/incoming.js",
            "//incoming//backend//uploads",
            "/incoming/./backend/uploads",
            "/x/../incoming/backend/uploads",
            "/%69ncoming/backend/uploads",
        ],
    )
    def test_no_spelling_of_an_address_gets_around_that(self, nginx: Nginx, path: str) -> None:
        request = requests.Request("GET", nginx.url).prepare()
        request.url = nginx.url + path  # as it is, not made simpler
        with requests.Session() as session:
            answer = session.send(request, verify=False, timeout=60)
        assert answer.status_code in (404, 502), answer.text  # 502: the app at /, which does not run here
        assert "uploads" not in answer.text

    def test_where_nginx_lets_all_through_the_server_refuses(
        self, server: RunningServer, tmp_path: Path
    ) -> None:
        front = Nginx(tmp_path / "nginx", server.port)
        front.change(r"location ~ \^/incoming/\(0\\\.1/\)\?frontend/", "location ^~ /incoming/")
        front.change(r"(?s)location /incoming/ \{.*?\}", "")
        with front:
            for forged in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Forwarded-For": ""}):
                for route in BACKEND:
                    url = f"{front.url}/incoming/backend/{route}?signalFinishURL=http://localhost/x"
                    answer = requests.post(url, headers=forged, verify=False, timeout=60)
                    assert (answer.status_code, "came through a proxy" in answer.text) == (403, True)
                assert get(f"{front.url}/incoming/status", **forged).status_code == 403

    def test_load_balancers_hear_that_it_is_well_and_http_leads_to_https(self, nginx: Nginx) -> None:
        assert get(f"{nginx.url}/incoming/healthz").text == "ok"
        answer = get(f"http://localhost:{nginx.plain_port}/page?x")
        assert (answer.status_code, answer.headers["Location"]) == (301, "https://localhost/page?x")


# --- other proxies in front ------------------------------------------------------------------------------

SITE: Final = """server {{
    listen 127.0.0.1:{front};
    location = / {{ return 204; }}
    location / {{ proxy_pass http://127.0.0.1:{server}; {lines} }}
}}"""
GIVEAWAYS: Final = {
    "X-Real-IP": "proxy_set_header X-Real-IP $remote_addr;",
    "X-Forwarded-For": "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "a header of its own": "proxy_set_header X-Our-Client $remote_addr;",
    "a header with underscores": "proxy_set_header X_Real_IP $remote_addr;",
    "a request id": "proxy_set_header X-Request-ID $request_id;",
    "the site's name": "proxy_set_header Host example.org;",
    "the site's name, as it was asked for": "proxy_set_header Host $host;",
    "the site's address": "proxy_set_header Host 203.0.113.5;",
}
AS_ASKED: Final = {"Host": "uploads.example.org"}


def front_with(lines: str, server: RunningServer, folder: Path) -> Nginx:
    """Returns an nginx of somebody's own, that passes on everything."""
    front = Nginx(folder, server.port)
    front.site = SITE.format(front=front.plain_port, server=server.port, lines=lines)
    return front


def probe(url: str) -> subprocess.CompletedProcess[str]:
    """Returns what `incoming probe` says."""
    command = [sys.executable, str(ROOT / "run.py"), "probe", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("lines", GIVEAWAYS.values(), ids=list(GIVEAWAYS))
def test_a_proxy_that_gives_itself_away_by_anything_opens_nothing(
    server: RunningServer, app: ScriptedApp, tmp_path: Path, lines: str
) -> None:
    with front_with(lines, server, tmp_path / "nginx") as front:
        base = f"http://127.0.0.1:{front.plain_port}/incoming"
        for route in BACKEND:
            form = {"signalFinishURL": app.url}
            answer = requests.post(f"{base}/backend/{route}", form, headers=AS_ASKED, timeout=60)
            assert answer.status_code == 403, (route, answer.text)
            assert "came through a proxy" in answer.text
        if "Host" not in lines:
            for route in ("status", "metrics", "backend/uploads"):
                assert get(f"{base}/{route}").status_code == 403, route


def test_a_proxy_that_adds_nothing_is_found_by_the_probe(server: RunningServer, tmp_path: Path) -> None:
    with front_with("", server, tmp_path / "nginx") as front:
        done = probe(f"http://127.0.0.1:{front.plain_port}")
        assert (done.returncode, done.stdout.startswith("OPEN: strangers")) == (3, True), done
    with front_with(GIVEAWAYS["X-Real-IP"], server, tmp_path / "other") as front:
        done = probe(f"http://127.0.0.1:{front.plain_port}/")
        assert (done.returncode, done.stdout.startswith("Closed, but by the server")) == (0, True), done


def test_the_probe_finds_the_shipped_file_closed(nginx: Nginx) -> None:
    command = [sys.executable, str(ROOT / "run.py"), "probe", nginx.url, "--insecure"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.startswith("Closed: the answer is HTTP 404")) == (0, True), done
    done = probe(f"http://localhost:{nginx.plain_port}")
    assert (done.returncode, "redirects to https://localhost/" in done.stderr) == (1, True), done


# --- wrong set-ups ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (
            r" *(proxy_http_version|proxy_set_header (Upgrade|Connection)) [^;]*;\n",
            "drops Upgrade, drops Connection, speaks HTTP/1.0",
        ),
        (r" *proxy_http_version [^;]*;\n", "speaks HTTP/1.0"),
        (r" *proxy_set_header Upgrade [^;]*;\n", "drops Upgrade"),
        (r" *proxy_set_header Connection [^;]*;\n", "drops Connection"),
    ],
    ids=["none of the three lines", "no version", "no Upgrade", "no Connection"],
)
@pytest.mark.parametrize("kind", ["serve", "uWSGI"])
def test_a_proxy_that_does_not_pass_websockets_on_is_told_in_the_log_once_and_in_each_answer(
    launcher: Launcher, tmp_path: Path, kind: str, lines: str, what: str
) -> None:
    place = tmp_path / "storage"
    with UwsgiServer(place) if kind == "uWSGI" else ForkedServer(launcher, place) as server:
        front = Nginx(tmp_path / "nginx", server.port)
        front.change(lines, "")
        with front:
            for _ in range(3):
                with pytest.raises(HandshakeRefused, match=" 426 "):
                    WebSocket(front.url + PATH)
            asked = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Upgrade": "websocket"}
            answer = get(front.url + PATH, Connection="Upgrade", **asked)
        assert answer.status_code == 426
        assert f"it {what}. For nginx, " in answer.text
        assert server.log_text().count("does not forward WebSockets") == 1
        assert answer.text in server.log_text()
