"""Example 5, Uppy: its Dashboard on our tickets. docs/tutorial/examples.md walks through it."""

if __name__ == "__main__":  # gevent has to patch the standard library before any other import
    from gevent import monkey

    monkey.patch_all()

import contextlib
import logging
import os
import re
import secrets
import shutil
import sys
import uuid
from pathlib import Path
from threading import Lock

import click
import requests
from bottle import Bottle, HTTPError, HTTPResponse, request, response, static_file, template
from gevent.pywsgi import WSGIServer

log = logging.getLogger("uppy")
HERE = Path(__file__).parent
UPLOADS = HERE / "uploads"
OTHER_PORT = "Choose another one with --port."
DOWNLOAD_ONLY = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}


def make_app(
    public_incoming_host: str,
    internal_incoming_host: str,
    public_app_host: str,
    internal_app_host: str,
    uploads_dir: str | Path = UPLOADS,
) -> Bottle:
    """Returns the app. Hosts are `name:port`; an empty public_incoming_host means the page's own machine."""
    app, folder = Bottle(), Path(uploads_dir)
    tickets = folder / ".tickets"  # a real app has a database
    tickets.mkdir(0o700, parents=True, exist_ok=True)  # other users must not read the secrets
    uploads = read_secrets(tickets)
    arrived: set[str] = set()
    taking = Lock()  # one file at a time: two calls for the same file may arrive at once

    @app.post("/api/frontend/request_upload")
    def request_upload() -> str:
        secret = secrets.token_urlsafe()  # Incoming!! knows it, browsers don't
        url = f"http://{internal_incoming_host}/incoming/backend/new_upload"
        finish_url = f"http://{internal_app_host}/api/backend/upload_finished"
        form = {"signalFinishURL": finish_url, "removeFileWhenFinished": "false", "backendSecret": secret}
        try:
            answer = requests.post(url, form, timeout=10)
            answer.raise_for_status()
            upload_id = str(uuid.UUID(answer.text))  # otherwise it is not the answer of Incoming!!
        except (requests.RequestException, ValueError) as problem:
            raise HTTPResponse("The upload server did not issue a ticket.", 503) from problem
        write_whole(tickets / upload_id, secret)
        uploads[upload_id] = secret
        response.set_header("Cache-Control", "no-store")
        return upload_id

    @app.get("/")
    @app.get("/<uploader:re:tus>")
    def page(uploader: str = "incoming") -> str:
        files = sorted(folder.glob("[!.]*"), key=lambda path: -path.stat().st_mtime)
        host = public_incoming_host or page_machine(internal_incoming_host.rpartition(":")[2])
        response.set_header("Cache-Control", "no-store")  # it is for this host only
        html = (HERE / "frontend_tmpl.html").read_text("utf-8")
        return template(html, incoming_host=host, files=files, uploader=uploader)

    @app.get("/<name:re:uppy[.](mjs|css)|(page|with_incoming|with_tus)[.]js>")
    def script_or_style(name: str) -> HTTPResponse:
        request.environ.pop("HTTP_IF_MODIFIED_SINCE", None)  # Bottle would trust it more than the ETag
        headers = {"Cache-Control": "no-cache"}  # checked each time, but loaded only if changed
        return static_file(name, HERE, headers=headers)

    @app.post("/api/backend/upload_finished")
    def upload_finished() -> str:
        form = request.forms
        # A browser knows the id, not the secret. Otherwise it could make us "move" any file of this machine.
        if form.backendSecret != uploads.get(form.id):
            raise HTTPError(404, "There is no such upload.")
        if form.cancelled == "yes":
            log.info("%r was cancelled: %r", form.filenameFromBrowser, form.cancelReason)
            return "done"
        with taking:
            if form.id not in arrived:  # otherwise our answer was lost, and Incoming!! has called again
                name = keep_file(form.id, form.filename, form.filenameFromBrowser, folder)
                if not name:
                    raise HTTPError(404, "There is no such file.")
                arrived.add(form.id)
                log.info("http://%s/ has a new file, %r", public_app_host, name)
        return "done"

    @app.get("/uploads/<name>")
    def download(name: str) -> HTTPResponse:
        if name.startswith("."):  # not complete yet
            raise HTTPError(404, "There is no such file.")
        return static_file(name, folder, mimetype="application/octet-stream", headers=DOWNLOAD_ONLY)

    return app


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


def read_secrets(tickets: Path) -> dict[str, str]:
    """Returns {ticket id: secret}. Damaged files are set aside: an empty secret would match any caller."""
    secrets_by_id = {}
    for file in tickets.glob("[!.]*"):
        secret = file.read_text(errors="replace")
        if re.fullmatch(r"[\w-]{43}", secret, re.ASCII):  # as token_urlsafe makes them
            secrets_by_id[file.name] = secret
        else:
            log.warning("The ticket %s is damaged. Its file is kept as .damaged-%s.", file.name, file.name)
            file.replace(file.with_name(f".damaged-{file.name}"))
    return secrets_by_id


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
@click.option("--port", default=4005, help="where this app listens")
@click.option(
    "--uploads_dir", default=str(UPLOADS), help="where it keeps files; default: uploads/ next to it"
)
def main(port: int, **hosts: str) -> None:
    """Runs the Uppy example by itself."""
    for name in ("public_app_host", "internal_app_host"):
        hosts[name] = hosts[name] or f"localhost:{port}"
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    log.info("The uppy example is at http://%s/", hosts["public_app_host"])
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends it
        try:
            WSGIServer(("", port), make_app(**hosts)).serve_forever()
        except OSError as problem:
            why = os.strerror(problem.errno or 0)
            sys.exit(f"The uppy example can't listen on port {port}: {why}. {OTHER_PORT}")


if __name__ == "__main__":
    main()
