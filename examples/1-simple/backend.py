"""Example 1, simple: one page, one ticket, one file. docs/examples.md walks through it."""

if __name__ == "__main__":  # gevent has to prepare the standard library before anybody else uses it
    from gevent import monkey

    monkey.patch_all()

import contextlib
import re
import secrets
import shutil
from pathlib import Path
from threading import Lock

import click
import requests
from bottle import Bottle, HTTPError, HTTPResponse, request, response, static_file, template
from gevent.pywsgi import WSGIServer

PAGE = Path(__file__).with_name("frontend_tmpl.html")
UPLOADS = Path(__file__).with_name("uploads")
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
    tickets.mkdir(parents=True, exist_ok=True)
    uploads = {path.name: path.read_text() for path in tickets.iterdir()}  # ticket id -> secret
    arrived: set[str] = set()
    taking = Lock()  # one file at a time: the same one may be announced twice at once

    def new_upload() -> str:
        secret = secrets.token_urlsafe()  # Incoming!! will know it, browsers won't
        url = f"http://{internal_incoming_host}/incoming/backend/new_upload"
        finish_url = f"http://{internal_app_host}/api/backend/upload_finished"
        form = {"signalFinishURL": finish_url, "removeFileWhenFinished": "false", "backendSecret": secret}
        try:
            answer = requests.post(url, form, timeout=10)
            answer.raise_for_status()
        except requests.RequestException as problem:
            raise HTTPError(503, "The upload server gives no ticket. Is it running?") from problem
        uploads[answer.text] = secret
        (tickets / answer.text).write_text(secret)
        return answer.text

    @app.get("/")
    def page() -> str:
        files = sorted(folder.glob("[!.]*"), key=lambda path: -path.stat().st_mtime)
        page_host = re.sub(r":\d+$", "", request.urlparts.netloc)
        host = public_incoming_host or f"{page_host}:{internal_incoming_host.rpartition(':')[2]}"
        response.set_header("Cache-Control", "no-store")  # a page shown again needs a ticket of its own
        html = PAGE.read_text("utf-8")
        return template(html, upload_id=new_upload(), incoming_host=host, files=files)

    @app.post("/api/backend/upload_finished")
    def upload_finished() -> str:
        form = request.forms
        # A browser knows the id, but not the secret: else it could make us "move" any file of this machine.
        if form.backendSecret != uploads.get(form.id):
            raise HTTPError(404, "There is no such upload.")
        if form.cancelled == "yes":
            print(f"{form.filenameFromBrowser!r} was cancelled: {form.cancelReason}", flush=True)
            return "done"
        with taking:
            if form.id not in arrived:  # else our answer got lost, and Incoming!! asks again
                name = keep_file(form.id, form.filename, form.filenameFromBrowser, folder)
                if not name:
                    raise HTTPError(404, "There is no such file.")
                arrived.add(form.id)
                print(f"http://{public_app_host}/ has a new file, {name!r}", flush=True)
        return "done"

    @app.get("/uploads/<name>")
    def download(name: str) -> HTTPResponse:
        return static_file(name, folder, mimetype="application/octet-stream", headers=DOWNLOAD_ONLY)

    return app


def keep_file(upload_id: str, source: str, wanted_name: str, folder: Path) -> str:
    """Moves `source` into `folder`, never over another file. Can be called again; returns "" once done."""
    partial = folder / f".{upload_id}.part"  # to another disk a move is a long copy: hidden until whole
    if Path(source).exists():
        shutil.move(source, partial)
    elif not partial.exists():
        return ""
    wanted = Path(Path(wanted_name).name.lstrip(". ") or "upload")  # in no other folder, and not hidden
    suffix = wanted.suffix[:30]
    stem = wanted.stem.encode()[: 240 - len(suffix.encode())].decode("utf-8", "ignore")  # Linux takes 255
    target, number = folder / (stem + suffix), 1
    while True:
        try:
            target.touch(exist_ok=False)  # takes the name, unless it is taken
            return partial.replace(target).name
        except FileExistsError:
            number += 1
            target = target.with_stem(f"{stem} ({number})")


@click.command()
@click.option(
    "--public_incoming_host", default="", help="Incoming!! for browsers; else on the page's machine"
)
@click.option("--internal_incoming_host", default="localhost:4000", help="Incoming!! for this app")
@click.option("--public_app_host", default="", help="this app for browsers; else localhost, with its port")
@click.option("--internal_app_host", default="", help="this app for Incoming!!; else the same")
@click.option("--port", default=4001, help="where this app listens")
def main(port: int, **hosts: str) -> None:
    """Runs the simple example by itself."""
    for name in ("public_app_host", "internal_app_host"):
        hosts[name] = hosts[name] or f"localhost:{port}"
    print(f"The simple example is at http://{hosts['public_app_host']}/", flush=True)
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
        WSGIServer(("", port), make_app(**hosts)).serve_forever()


if __name__ == "__main__":
    main()
