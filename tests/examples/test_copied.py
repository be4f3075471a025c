"""What holds for every example, because people copy them: strangers choose nothing, damage is survived."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import requests
from webtest import TestApp

from tests.examples.hosting import FINISHED_PATH, HostedExample, hosted, load
from tests.examples.test_tutorial import EXAMPLES
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.ports import free_port
from tests.support.server import ROOT, RunningServer
from tests.support.waiting import wait_until

FORGED: Final = {
    "X-Forwarded-Host": "evil.example", "X-Forwarded-Server": "evil.example", "X-Forwarded-Port": "666",
    "X-Forwarded-Proto": "evil", "X-Original-URL": "//evil.example/", "X-Rewrite-URL": "//evil.example/",
    "X-Host": "evil.example", "X-Forwarded-Prefix": "/evil", "Forwarded": "host=evil.example",
    "Referer": "http://evil.example/", "Origin": "http://evil.example",
}  # fmt: skip
DAMAGED: Final = {
    "empty": b"", "half": b"short", "half an object": b'{"secret": "abc', "no object": b"[1]",
    "no secret": b'{"source": ""}', "an empty secret": b'{"secret": ""}', "zeros": bytes(43),
    "no text": b"\xff" * 43, "unknown fields": b'{"secret": "a", "colour": 1}',
}  # fmt: skip


def take_a_file(server: RunningServer, port: int, uploads: Path) -> None:
    """Uploads a file through the simple example at this port, and waits until it has it."""

    def page() -> str:
        with suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{port}/", timeout=60).text
        return ""

    ticket_id = wait_until(page, "the example serves").split('data-upload-id="')[1].split('"')[0]
    ClientV1(server.url, ticket_id, FileBytes(1000), "a.mov").upload()
    assert (uploads / "a.mov").stat().st_size == 1000


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest, server: RunningServer, tmp_path: Path) -> Iterator[HostedExample]:
    """Each of the examples that stand beside a server."""
    with hosted(request.param, server, tmp_path / "uploads") as app:
        yield app


@pytest.mark.parametrize(
    ("name", "path"), [("3-dropzone", "/page.js"), ("5-uppy", "/page.js"), ("5-uppy", "/uppy.css")]
)
def test_a_browser_that_has_another_version_gets_this_one_though_it_may_be_older(
    server: RunningServer, tmp_path: Path, name: str, path: str
) -> None:
    with hosted(name, server, tmp_path / "uploads") as example:
        answer = example.web.get(path)
        date = {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
        assert example.web.get(path, headers=date | {"If-None-Match": '"another"'}).body == answer.body
        example.web.get(path, headers=date | {"If-None-Match": answer.headers["ETag"]}, status=304)


def new_ticket(example: HostedExample) -> str:
    """Returns a ticket, got as each of the pages gets it."""
    if (element := example.web.get("/").html.find(id="input_file")) and element.get("data-upload-id"):
        return str(element["data-upload-id"])
    path = "/api/frontend/request_upload"
    answer = example.web.post(path, {"path": "a.mov"}, expect_errors=True)
    if answer.status_int == 405:
        answer = example.web.get(path, {"filename": "a.mov"})
    return str(answer.text)


def test_no_header_chooses_an_address_that_the_page_loads_from(example: HostedExample) -> None:
    def addresses(headers: dict[str, str]) -> list[str]:
        page = example.web.get("/", headers={"Host": "app.example"} | headers)
        assert page.headers["Cache-Control"] == "no-store"
        return re.findall(r"""["']((?:https?:)?/.*?)["']""", page.text)

    plain = addresses({})
    assert [url for url in plain if url.startswith(f"//app.example:{example.server.port}/incoming/frontend/")]
    for name, value in FORGED.items():
        assert addresses({name: value}) == plain, name


@pytest.mark.parametrize(
    "host", ["", "evil.example/x", "a b", 'a"onload=x', "evil.example:1@b", "a:b", "é", "[x]", "<b>", "a\\b"]
)
def test_an_invalid_host_gets_no_page(example: HostedExample, host: str) -> None:
    answer = example.web.get("/", headers={"Host": host}, expect_errors=True)
    # Bottle's own error page fails for what is not ASCII.
    assert answer.status_int == (400 if host.isascii() else 500)
    assert "<script" not in answer.text


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_ticket_is_set_aside_and_opens_no_door(
    example: HostedExample, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    damaged, whole = new_ticket(example), new_ticket(example)
    (file,) = example.uploads_dir.glob(f".tickets/{damaged}*")
    file.write_bytes(content)
    example.start(0)
    assert [line for line in caplog.messages if damaged in line and "damaged" in line]
    aside = file.with_name(f".damaged-{file.name}")
    assert aside.read_bytes() == content, "it is kept"
    assert example.web.get("/").status_int == 200
    assert damaged not in example.web.get("/").text
    treasure = tmp_path / "treasure"
    treasure.write_text("mine")
    form = {"id": damaged, "filename": str(treasure), "filenameFromBrowser": "loot", "cancelled": "no"}
    for secret in ({}, {"backendSecret": ""}, {"backendSecret": content.decode("latin-1")}):
        assert example.web.post(FINISHED_PATH, form | secret, expect_errors=True).status_int == 404
    assert treasure.read_text() == "mine"
    example.upload(whole, "a.mov")
    assert (example.uploads_dir / "a.mov").exists()


def test_state_is_synced_before_it_is_put_in_its_place(
    example: HostedExample, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noted_sync(fd: int) -> None:
        calls.append(f"sync {Path(f'/proc/self/fd/{fd}').readlink().name}")
        sync(fd)

    def noted_replace(path: Path, target: Path) -> Path:
        calls.append(f"replace {path.name} by {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    new_ticket(example)
    (file,) = example.uploads_dir.glob(".tickets/[!.]*")
    new = f".{file.name}.new"
    assert calls == [f"sync {new}", f"replace {new} by {file.name}", "sync .tickets"]


def test_nobody_else_may_read_the_secrets(example: HostedExample) -> None:
    new_ticket(example)
    assert (example.uploads_dir / ".tickets").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_answer_that_is_not_a_ticket_is_not_a_file_name(name: str, tmp_path: Path) -> None:
    uploads = tmp_path / "uploads"
    with pytest.MonkeyPatch.context() as patched:
        backend = load(name)

        class Answer:
            ok, status_code, text = True, 200, "../../escaped"

            def raise_for_status(self) -> None: ...

        patched.setattr(backend.requests, "post", lambda *_, **__: Answer())
        web = TestApp(backend.make_app("", "localhost:4000", "", "", uploads))
        tried = [web.get(path, expect_errors=True) for path in ("/", "/api/frontend/request_upload")]
        tried.append(web.post("/api/frontend/request_upload", {"path": "a"}, expect_errors=True))
    assert 503 in [answer.status_int for answer in tried]
    assert {path.name for path in tmp_path.rglob("*")} == {"uploads", ".tickets"}


@pytest.mark.parametrize("name", [".hidden.part", ".tickets", "%2ehidden.part"])
def test_hidden_files_are_not_served(example: HostedExample, name: str) -> None:
    (example.uploads_dir / ".hidden.part").write_text("half of it")
    assert example.web.get(f"/uploads/{name}", expect_errors=True).status_int in (403, 404)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_port_in_use_is_an_error_that_says_what_to_do(server: RunningServer, name: str) -> None:
    script = str(ROOT / "examples" / name / "backend.py")
    done = subprocess.run(
        [sys.executable, script, "--port", str(server.port)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    said = f"The {name[2:]} example can't listen on port {server.port}: Address already in use."
    assert done.stderr == f"{said} Choose another one with --port.\n"


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", "| true"])
@pytest.mark.parametrize("name", EXAMPLES[:1])
def test_an_example_takes_its_file_whatever_becomes_of_its_output(
    server: RunningServer, tmp_path: Path, name: str, redirection: str
) -> None:
    port = free_port()
    folder = tmp_path / "example"
    folder.mkdir()
    for file in (ROOT / "examples" / name).glob("*.*"):
        (folder / file.name).write_bytes(file.read_bytes())
    options = f"--port {port} --internal_incoming_host 127.0.0.1:{server.port}"
    command = f"exec {sys.executable} {folder}/backend.py {options} {redirection}"
    with subprocess.Popen(["bash", "-c", command], start_new_session=True) as process:
        try:
            take_a_file(server, port, folder / "uploads")
        finally:
            os.killpg(process.pid, 9)
