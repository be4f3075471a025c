"""Behind a real HAProxy and a real Apache, set up as their pages say: uploads, takeover and cuts."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from tests.support.apache import PAGE, Apache
from tests.support.app import Reply, ScriptedApp
from tests.support.client_v2 import ClientV2
from tests.support.data import MIB, FileBytes
from tests.support.haproxy import Haproxy
from tests.support.on_disk import bytes_in
from tests.support.proxy import Proxy, app_without_routes
from tests.support.relay import Relay
from tests.support.server import RunningServer, new_upload
from tests.support.tus import MEDIA_TYPE, VERSION
from tests.support.waiting import AT_ONCE_S, wait_until
from tests.test_docs import code_blocks

LENGTH_BYTES: Final = 5 * MIB + 17
SLOW_BYTES_PER_S: Final = 3 * MIB
NAME: Final = "größe 100% #1.mov"
TIMEOUT_S: Final = 60
_seeds = itertools.count(21000)

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


def data(length_bytes: int = LENGTH_BYTES) -> FileBytes:
    return FileBytes(length_bytes, next(_seeds))


@pytest.fixture(scope="module", params=[Haproxy, Apache], ids=["HAProxy", "Apache"])
def front(
    request: pytest.FixtureRequest, server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """The proxy as its page says."""
    folder = tmp_path_factory.mktemp("front") / "proxy"
    with app_without_routes() as app_port, request.param(folder, server.port, app_port) as running:
        yield running


@pytest.fixture
def line(front: Proxy) -> Iterator[Relay]:
    """A slow line to the proxy, which a test may cut."""
    with Relay(front.port, SLOW_BYTES_PER_S) as relay:
        yield relay


def address(ticket_id: str, port: int) -> str:
    """Returns the address of an upload, over this port."""
    return f"https://localhost:{port}/incoming/frontend/uploads/{ticket_id}"


def ask(method: str, url: str, **options: Any) -> requests.Response:
    return requests.request(method, url, verify=False, timeout=TIMEOUT_S, **options)


def append(
    url: str, content: FileBytes, offset: int, pieces: Iterator[bytes] | None = None
) -> requests.Response:
    """PATCH with all that is missing, or with these pieces of it, chunked."""
    body = pieces or content.read(offset, content.length_bytes - offset)
    headers = {"Content-Type": MEDIA_TYPE, "Upload-Offset": str(offset)}
    return ask("PATCH", url, data=body, headers={**VERSION, **headers})


def created(server: RunningServer, app: ScriptedApp, content: FileBytes) -> str:
    """Returns a ticket whose length is known."""
    return new_upload(server, app.url, lengthBytes=str(content.length_bytes))


def stored_bytes(server: RunningServer, ticket_id: str) -> int:
    return bytes_in(server.stored_file(ticket_id))


# --- cuts ----------------------------------------------------------------------------------------------


def test_a_websocket_that_is_cut_resumes_where_it_was(
    front: Proxy, line: Relay, server: RunningServer, app: ScriptedApp
) -> None:
    client = ClientV2(f"https://localhost:{line.port}", new_upload(server, app.url), data())
    client.open()
    for _ in range(4):
        client.send_chunk()
    client.receive_until_stored()
    line.cut()
    client.upload()
    assert client.resumed_at[-1] >= client.stored_at_s[0][1]
    assert app.wait_for(1)[0].sha256 == client.data.sha256


def test_a_tus_request_that_is_cut_resumes_where_it_was(
    front: Proxy, line: Relay, server: RunningServer, app: ScriptedApp
) -> None:
    content = data()
    ticket_id = created(server, app, content)

    def cut_in_the_middle() -> Iterator[bytes]:
        yield content.read(0, 3 * MIB)
        wait_until(lambda: stored_bytes(server, ticket_id) >= 2 * MIB, "some of it is stored")
        line.cut()
        yield content.read(3 * MIB, LENGTH_BYTES - 3 * MIB)

    with pytest.raises(requests.ConnectionError):
        append(address(ticket_id, line.port), content, 0, cut_in_the_middle())
    url = address(ticket_id, front.port)
    offset = int(ask("HEAD", url, headers=VERSION).headers["Upload-Offset"])
    assert offset >= 2 * MIB
    assert append(url, content, offset).status_code == 204
    assert app.wait_for(1)[0].sha256 == content.sha256


# --- takeover ------------------------------------------------------------------------------------------


def test_a_request_takes_over_at_once_from_one_that_hangs(
    front: Proxy, line: Relay, server: RunningServer, app: ScriptedApp
) -> None:
    content = data()
    ticket_id = created(server, app, content)
    url = address(ticket_id, front.port)
    offsets: list[int] = []

    def hang_in_the_middle() -> Iterator[bytes]:
        """Another client comes while this one is silent."""
        yield content.read(0, 2 * MIB)
        wait_until(lambda: stored_bytes(server, ticket_id) >= 2 * MIB, "all that was sent is stored")
        begun_s = time.monotonic()
        offsets.append(int(ask("HEAD", url, headers=VERSION).headers["Upload-Offset"]))
        assert time.monotonic() - begun_s < AT_ONCE_S
        assert append(url, content, offsets[0]).status_code == 204
        yield content.read(2 * MIB, LENGTH_BYTES - 2 * MIB)

    with contextlib.suppress(requests.ConnectionError):
        assert append(address(ticket_id, line.port), content, 0, hang_in_the_middle()).status_code >= 400
    assert offsets == [2 * MIB]
    assert [one.sha256 for one in app.about(ticket_id)] == [content.sha256]


def test_a_websocket_takes_over_from_a_tus_request(
    front: Proxy, server: RunningServer, app: ScriptedApp
) -> None:
    content = data()
    ticket_id = created(server, app, content)
    client = ClientV2(front.url, ticket_id, content)

    def hang_in_the_middle() -> Iterator[bytes]:
        yield content.read(0, 2 * MIB)
        wait_until(lambda: stored_bytes(server, ticket_id) >= 2 * MIB, "all that was sent is stored")
        client.open()
        yield content.read(2 * MIB, LENGTH_BYTES - 2 * MIB)

    with contextlib.suppress(requests.ConnectionError):
        assert append(address(ticket_id, front.port), content, 0, hang_in_the_middle()).status_code >= 400
    assert client.resumed_at == [2 * MIB]
    client.finish()
    assert [one.sha256 for one in app.about(ticket_id)] == [content.sha256]


# --- curl, and forms -----------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file whose name has all that can go wrong in an address."""
    path = tmp_path / NAME
    path.write_bytes(data().read(0, LENGTH_BYTES))
    return path


def curl(*arguments: str | Path) -> str:
    """Returns the status and the body of the answer."""
    command = ["curl", "-sk", "-w", "%{http_code} ", "--max-time", str(TIMEOUT_S), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(
    "way",
    [("-T", "{file}", "{url}/"), ("-T", "-", "{url}"), ("-F", "file=@{file}", "{url}")],
    ids=["a file", "what a program writes", "a form"],
)
def test_curl_uploads(
    front: Proxy, server: RunningServer, app: ScriptedApp, file: Path, way: tuple[str, ...]
) -> None:
    ticket_id = new_upload(server, app.url)
    url = address(ticket_id, front.port)
    given = [part.format(file=file, url=url) for part in way]
    with file.open("rb") as stdin:
        command = ["curl", "-skg", "-w", "%{http_code}", "--max-time", str(TIMEOUT_S), *given]
        said = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=True).stdout
    assert said == "The app has the file.\n200"
    (delivery,) = app.about(ticket_id)
    assert delivery.size_bytes == LENGTH_BYTES
    if "{file}" in way[1]:
        assert delivery.fields["filenameFromBrowser"] == NAME


# --- refusals ------------------------------------------------------------------------------------------


def test_a_refusal_by_the_app_reaches_the_client_with_our_words(
    front: Proxy, server: RunningServer, app: ScriptedApp
) -> None:
    app.answers = [Reply(400, "no such album")]
    content = data()
    answer = append(address(created(server, app, content), front.port), content, 0)
    assert (answer.status_code, answer.headers["Incoming-Error"]) == (422, "handover_failed")
    assert "The app did not accept the file" in answer.text


def test_a_refusal_comes_before_the_end_of_a_long_body(
    front: Proxy, server: RunningServer, app: ScriptedApp, file: Path
) -> None:
    """Not as a failure of the proxy, and not after all of it was sent."""
    with file.open("r+b") as larger:
        larger.truncate(1 << 30)
    url = address("c25ce2d3-cb96-46ff-868f-5f3855fc5a1c", front.port)
    begun_s = time.monotonic()
    done = subprocess.run(
        ["curl", "-sk", "-w", "%{http_code} %{size_upload}", "-o", "/dev/null", "-T", file, url],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    status, sent_bytes = done.stdout.split()
    assert (status, int(sent_bytes) < 1 << 30) == ("404", True), done
    assert time.monotonic() - begun_s < TIMEOUT_S - 10


def test_the_rule_of_the_page_keeps_mod_security_away_from_uploads_and_from_nothing_else(
    server: RunningServer, app: ScriptedApp, tmp_path: Path, file: Path
) -> None:
    """LimitRequestBody does no harm, as the page says."""
    _, rule = code_blocks(PAGE, "apache")
    front = Apache(tmp_path / "proxy", server.port)
    strict = ("SecRuleEngine On", "SecRequestBodyAccess On", "SecRequestBodyLimit 1048576")
    front.change("ProxyTimeout 120", "\n".join(strict))
    front.change("LimitRequestBody 0", "LimitRequestBody 1048576")
    front.change(r"</VirtualHost>\n\Z", f"{rule}</VirtualHost>\n")
    with front:
        sent = curl("-T", file, address(new_upload(server, app.url), front.port))
        assert sent == "The app has the file.\n200 "
        for path in ("/login", "/incoming/frontend/../../login", "/incoming/frontend/%2e%2e/%2e%2e/login"):
            assert curl("--path-as-is", "-T", file, front.url + path).endswith("413 "), path


# --- what nobody may see -------------------------------------------------------------------------------


def test_the_log_shows_no_whole_ticket(front: Proxy, server: RunningServer, app: ScriptedApp) -> None:
    ticket_id = new_upload(server, app.url)
    url = address(ticket_id, front.port)
    assert ask("GET", f"{url}?ticket={ticket_id}").status_code == 200
    assert ask("PUT", f"{url}/a.mov", data=b"x").status_code == 200

    def logged() -> str:
        return "".join(log.read_text() for log in front.folder.glob("*.log"))

    wait_until(lambda: logged().count(f"frontend/uploads/{ticket_id[:8]}...") == 2, "both are logged")
    assert ticket_id not in logged()


@pytest.mark.parametrize(
    "path",
    [
        "/incoming/backend/new_upload",
        "/incoming%2fbackend/new_upload",
        "/incoming/frontend/../backend/new_upload",
        "/incoming/frontend/%2e%2e/backend/new_upload",
        "//incoming/backend/new_upload",
        "/incoming/status",
    ],
)
def test_nothing_else_of_the_server_gets_through(front: Proxy, server: RunningServer, path: str) -> None:
    said = curl("--path-as-is", "-X", "POST", f"{front.url}{path}")
    assert said[-4:-1] in ("404", "501"), said  # neither 403 nor 400, as backend routes; 501 is the app's
