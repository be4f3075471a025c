"""Example 2, dynamic: many uploads in one page, each with a secret.

docs/tutorial/examples.md walks through it.
"""

if __name__ == "__main__":  # gevent has to patch the standard library before any other import
    from gevent import monkey

    monkey.patch_all()

import contextlib
import json
import logging
import os
import re
import secrets
import shutil
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock, Thread

import click
import requests
from bottle import Bottle, HTTPError, HTTPResponse, request, response, static_file, template
from gevent.pywsgi import WSGIServer

log = logging.getLogger("dynamic")
PAGE = Path(__file__).with_name("frontend_tmpl.html")
UPLOADS = Path(__file__).with_name("uploads")
OTHER_PORT = "Choose another one with --port."
DOWNLOAD_ONLY = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}


@dataclass
class Upload:
    secret: str  # Incoming!! knows it, browsers don't
    source: str = ""  # where Incoming!! has stored the file, once it has arrived
    wanted_name: str = ""
    finished: bool = False

    def __post_init__(self) -> None:
        if not self.secret:  # it would match any caller
            raise ValueError("an upload needs a secret")


def make_app(  # noqa: PLR0913, PLR0917 - all of it is the app's settings
    public_incoming_host: str,
    internal_incoming_host: str,
    public_app_host: str,
    internal_app_host: str,
    uploads_dir: str | Path = UPLOADS,
    finish_delay_s: float = 10,
) -> Bottle:
    """Returns the app. Hosts are `name:port`; an empty public_incoming_host means the page's own machine."""
    app, folder = Bottle(), Path(uploads_dir)
    tickets = folder / ".tickets"  # a real app has a database
    tickets.mkdir(0o700, parents=True, exist_ok=True)  # other users must not read the secrets
    uploads = read_uploads(tickets)
    taking = Lock()  # one file at a time: two calls for the same file may arrive at once

    def remember(upload_id: str, upload: Upload) -> None:
        write_whole(tickets / f"{upload_id}.json", json.dumps(asdict(upload)))
        uploads[upload_id] = upload

    def ask_incoming(call: str, **form: str) -> str:
        url = f"http://{internal_incoming_host}/incoming/backend/{call}"
        answer = requests.post(url, form, timeout=10)
        if not answer.ok:  # `retried` repeats an action after an OSError
            raise OSError(answer.text) if answer.status_code >= 500 else ValueError(answer.text)
        return answer.text

    @app.get("/")
    def page() -> str:
        files = sorted(folder.glob("[!.]*"), key=lambda path: -path.stat().st_mtime)
        host = public_incoming_host or page_machine(internal_incoming_host.rpartition(":")[2])
        response.set_header("Cache-Control", "no-store")  # it is for this host only
        return template(PAGE.read_text("utf-8"), incoming_host=host, files=files)

    @app.get("/api/frontend/request_upload")
    def request_upload() -> str:
        secret = secrets.token_urlsafe()
        finish_url = f"http://{internal_app_host}/api/backend/upload_finished"
        form = {"signalFinishURL": finish_url, "removeFileWhenFinished": "false", "backendSecret": secret}
        try:
            upload_id = str(uuid.UUID(ask_incoming("new_upload", **form)))
        except (OSError, ValueError) as problem:
            raise HTTPError(503, "The upload server did not issue a ticket. Is it running?") from problem
        remember(upload_id, Upload(secret))
        log.info("upload %s will be %r", upload_id[:8], request.query.filename)
        response.set_header("Cache-Control", "no-store")
        return upload_id

    @app.post("/api/backend/upload_finished")
    def upload_finished() -> str:
        form = request.forms
        if form.id not in uploads:
            raise HTTPError(404, "There is no such upload.")
        upload = uploads[form.id]
        if form.backendSecret != upload.secret:
            raise HTTPError(418, "I'm a teapot, and you are not Incoming!!.")
        if form.cancelled == "yes":
            log.info("upload %s was cancelled: %r", form.id[:8], form.cancelReason)
            return "done"
        with taking:
            if not uploads[form.id].source:  # otherwise our answer was lost, and Incoming!! has called again
                if not Path(form.filename).exists():
                    raise HTTPError(404, "There is no such file.")
                upload = replace(upload, source=form.filename, wanted_name=form.filenameFromBrowser)
                remember(form.id, upload)
                Thread(target=store, args=(form.id, upload), daemon=True).start()
        return "done" if upload.finished else "wait"

    def store(upload_id: str, upload: Upload) -> None:
        retried(lambda: keep_file(upload_id, upload.source, upload.wanted_name, folder))
        time.sleep(finish_delay_s)  # here a real app might scan, convert or copy the file
        retried(lambda: ask_incoming("finish_upload", id=upload_id, backendSecret=upload.secret))
        remember(upload_id, replace(upload, finished=True))
        log.info("http://%s/ has a new file, %r", public_app_host, upload.wanted_name)

    @app.get("/uploads/<name>")
    def download(name: str) -> HTTPResponse:
        if name.startswith("."):  # not complete yet
            raise HTTPError(404, "There is no such file.")
        return static_file(name, folder, mimetype="application/octet-stream", headers=DOWNLOAD_ONLY)

    for upload_id, upload in uploads.items():  # those that a restart of this app interrupted
        if upload.source and not upload.finished:
            Thread(target=store, args=(upload_id, upload), daemon=True).start()
    return app


def retried(action: Callable[[], str]) -> str:
    """Repeats an action that fails: a full disk or a restarting server is temporary."""
    for _ in range(1000):
        try:
            return action()
        except OSError as problem:  # requests' errors too
            log.info("trying again in 5 s: %s", problem)
            time.sleep(5)
    return action()


def page_machine(port: str) -> str:
    """Returns the host of the requested page with another port: the default address of Incoming!!."""
    # Not request.urlparts, which trusts X-Forwarded-Host: strangers could choose which script is loaded.
    host = re.sub(r":\d+$", "", request.get_header("Host", ""))
    if not re.fullmatch(r"[\w.-]+|\[[\da-fA-F:.]+\]", host, re.ASCII):
        raise HTTPError(400, "The Host header is not valid.")
    return f"{host}:{port}"


def write_whole(file: Path, text: str) -> None:
    """Replaces a file in one step: after a kill or a power cut it has the old text or the new one."""
    new = file.with_name(f".{file.name}.new")
    with new.open("w") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    os.fsync(folder)  # the name, too
    os.close(folder)


def read_uploads(tickets: Path) -> dict[str, Upload]:
    """Returns {ticket id: upload}. Damaged files are set aside, so that nothing else is lost."""
    uploads = {}
    for file in tickets.glob("[!.]*.json"):
        try:
            uploads[file.stem] = Upload(**json.loads(file.read_bytes()))
        except (ValueError, TypeError):
            log.warning("The ticket %s is damaged. Its file is kept as .damaged-%s.", file.stem, file.name)
            file.replace(file.with_name(f".damaged-{file.name}"))
    return uploads


def keep_file(upload_id: str, source: str, wanted_name: str, folder: Path) -> str:
    """Moves `source` into `folder`, never over another file. Can be called again; returns "" once done."""
    partial = folder / f".{upload_id}.part"  # a move to another disk is a long copy: hidden until complete
    if Path(source).exists():
        shutil.move(source, partial)
    elif not partial.exists():
        return ""
    name = re.sub(r"[\x00-\x1f\x7f]", "", Path(wanted_name).name)
    wanted = Path(name.lstrip(". ") or "upload")  # without a folder, and not hidden
    suffix = wanted.suffix[:30]
    stem = wanted.stem.encode()[: 240 - len(suffix.encode())].decode(
        "utf-8", "ignore"
    )  # Linux allows 255 bytes
    target, number = folder / (stem + suffix), 1
    while True:
        try:
            target.touch(exist_ok=False)  # reserves the name, unless it exists
            return partial.replace(target).name
        except FileExistsError:
            number += 1
            target = target.with_stem(f"{stem} ({number})")


@click.command()
@click.option(
    "--public_incoming_host", default="", help="Incoming!! for browsers; default: the host of the page"
)
@click.option("--internal_incoming_host", default="localhost:4000", help="Incoming!! for this app")
@click.option(
    "--public_app_host", default="", help="this app for browsers; default: localhost, with its port"
)
@click.option("--internal_app_host", default="", help="this app for Incoming!!; default: the same")
@click.option("--port", default=4002, help="where this app listens")
@click.option(
    "--uploads_dir", default=str(UPLOADS), help="where it keeps files; default: uploads/ next to it"
)
@click.option("--finish_delay_s", default=10.0, help="the minimum time that storing a file takes")
def main(port: int, finish_delay_s: float, **hosts: str) -> None:
    """Runs the dynamic example by itself."""
    for name in ("public_app_host", "internal_app_host"):
        hosts[name] = hosts[name] or f"localhost:{port}"
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    log.info("The dynamic example is at http://%s/", hosts["public_app_host"])
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends it
        try:
            WSGIServer(("", port), make_app(**hosts, finish_delay_s=finish_delay_s)).serve_forever()
        except OSError as problem:
            why = os.strerror(problem.errno or 0)
            sys.exit(f"The dynamic example can't listen on port {port}: {why}. {OTHER_PORT}")


if __name__ == "__main__":
    main()
