"""Example 3, dropzone: whole folders, dropped on the page. docs/tutorial/examples.md walks through it."""

if __name__ == "__main__":  # gevent has to patch the standard library before any other import
    from gevent import monkey

    monkey.patch_all()

import contextlib
import errno
import json
import logging
import os
import re
import secrets
import shutil
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import click
import requests
from bottle import Bottle, HTTPError, HTTPResponse, request, response, static_file, template
from gevent.pywsgi import WSGIServer

log = logging.getLogger("dropzone")
HERE = Path(__file__).parent
OTHER_PORT = "Choose another one with --port."
MAX_TOLD = 100  # paths that were changed or left out: the page is told no more of them
DOWNLOAD_ONLY = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
MAX_PATH_BYTES = 2000  # Linux allows 4096, and the folder's own path needs some of it


def make_app(
    public_incoming_host: str,
    internal_incoming_host: str,
    public_app_host: str,
    internal_app_host: str,
    uploads_dir: str | Path = HERE / "uploads",
) -> Bottle:
    """Returns the app. Hosts are `name:port`; an empty public_incoming_host means the page's own machine."""
    app, folder = Bottle(), Path(uploads_dir)
    tickets = folder / ".tickets"  # a real app has a database
    tickets.mkdir(0o700, parents=True, exist_ok=True)  # other users must not read the secrets
    uploads = read_secrets(tickets)
    ended: set[str] = set()
    told: dict[str, dict[str, object]] = {}  # what became of the files of a folder, by ticket
    taking = Lock()  # one file at a time: two calls for the same file may arrive at once

    @app.get("/")
    def page() -> str:
        files = sorted(folder.glob("[!.]*"), key=lambda path: -path.stat().st_mtime)
        host = public_incoming_host or page_machine(internal_incoming_host.rpartition(":")[2])
        response.set_header("Cache-Control", "no-store")  # it is for this host only
        html = (HERE / "frontend_tmpl.html").read_text("utf-8")
        return template(html, incoming_host=host, folder=folder, files=files)

    @app.get("/<name:re:[a-z]+[.]js>")
    def script(name: str) -> HTTPResponse:
        request.environ.pop("HTTP_IF_MODIFIED_SINCE", None)  # Bottle would trust it more than the ETag
        headers = {"Cache-Control": "no-cache"}  # checked each time, but loaded only if changed
        return static_file(name, HERE, mimetype="text/javascript", headers=headers)

    @app.post("/api/frontend/request_upload")
    def request_upload() -> str:
        path = "/".join(safe_parts(request.forms.path))
        if len(path.encode()) > MAX_PATH_BYTES:
            raise HTTPResponse("The folders of this file are nested too deeply.", 400)
        secret = secrets.token_urlsafe()  # Incoming!! knows it, browsers don't
        url = f"http://{internal_incoming_host}/incoming/backend/new_upload"
        finish_url = f"http://{internal_app_host}/api/backend/upload_finished"
        form = {"signalFinishURL": finish_url, "removeFileWhenFinished": "false", "backendSecret": secret}
        if request.forms.destType == "folder":
            form["destType"] = "folder"  # all its files are one upload
        form["metadata"] = json.dumps({"path": path})  # is sent back with the file
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

    @app.post("/api/backend/upload_finished")
    def upload_finished() -> str:
        form = request.forms
        # A browser knows the id, not the secret. Otherwise it could make us "move" any file of this machine.
        if form.backendSecret != uploads.get(form.id):
            raise HTTPError(404, "There is no such upload.")
        if form.cancelled == "yes":
            log.info("%r was cancelled: %r", form.filenameFromBrowser, form.cancelReason)
            ended.add(form.id)
        with taking:
            if form.id not in ended:  # otherwise our answer was lost, and Incoming!! has called again
                if form.manifest:  # of a folder: the list of its files
                    told[form.id] = told_of(Path(form.manifest))
                kept = keep_file(form.id, form.filename, json.loads(form.metadata)["path"], folder)
                if not kept:
                    raise HTTPError(404, "There is no such file.")
                ended.add(form.id)
                log.info("http://%s/ now has %r", public_app_host, kept)
        (tickets / form.id).unlink(missing_ok=True)
        return "done"

    @app.get("/api/frontend/result")
    def result() -> dict[str, object]:
        response.set_header("Cache-Control", "no-store")
        return told.get(request.query.id, {})

    @app.get("/uploads/<path:path>")
    def download(path: str) -> HTTPResponse:
        if any(part.startswith(".") for part in Path(path).parts):
            raise HTTPError(404, "There is no such file.")  # the secrets are in a hidden folder
        return static_file(path, folder, mimetype="application/octet-stream", headers=DOWNLOAD_ONLY)

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


def safe_parts(path: str) -> list[str]:
    """Returns the folders and the name in an untrusted path: none leads upwards, is hidden or too long."""
    clean = (re.sub(r"[\x00-\x1f\x7f]", "", part).lstrip(". ") for part in re.split(r"[/\\]", path))
    return [short(part) for part in clean if part] or ["upload"]


def short(name: str) -> str:
    """Shortens a name to what Linux allows (255 bytes), with room for a number. Its suffix stays."""
    suffix = Path(name).suffix[:30]
    stem = name.removesuffix(Path(name).suffix).encode()[: 240 - len(suffix.encode())]
    return stem.decode("utf-8", "ignore") + suffix


def keep_file(upload_id: str, source: str, wanted_path: str, folder: Path) -> str:
    """Moves `source` to its place in `folder`, never over another file. Can be called again; "" once done."""
    partial = folder / f".{upload_id}.part"  # a move to another disk is a long copy: hidden until complete
    if Path(source).is_dir():
        move_folder(Path(source), partial)
    elif Path(source).exists():
        shutil.move(source, partial)
    elif not partial.exists():
        return ""
    *parents, name = safe_parts(wanted_path)
    place = folder
    for parent in parents:
        place = first_free(place / parent, lambda path: path.mkdir(exist_ok=True))
    make = Path.mkdir if partial.is_dir() else lambda path: path.touch(exist_ok=False)
    target = first_free(place / name, make)
    return str(partial.replace(target).relative_to(folder))


def move_folder(source: Path, target: Path) -> None:
    """Moves a folder. On another file system it is copied, and has its name once all of it is there."""
    if not target.exists():
        try:
            source.rename(target)  # one step, however many files it has
        except OSError as problem:
            if problem.errno != errno.EXDEV:
                raise
            copy = target.with_suffix(".copy")
            shutil.rmtree(copy, ignore_errors=True)  # of a try that was interrupted
            shutil.copytree(source, copy, symlinks=True)
            copy.rename(target)
    shutil.rmtree(source, ignore_errors=True)


def told_of(manifest: Path) -> dict[str, object]:
    """Returns which files of a folder have other names than they were sent with, and which are missing."""
    with manifest.open(encoding="utf-8") as lines:
        files = [json.loads(line) for line in lines]
    left_out = [one["path"] for one in files if one.get("left_out")]
    renamed = [[one["sent_path"], one["path"]] for one in files if "sent_path" in one]
    return {
        "left_out": left_out[:MAX_TOLD], "left_out_count": len(left_out),
        "renamed": renamed[:MAX_TOLD], "renamed_count": len(renamed),
    }  # fmt: skip


def first_free(path: Path, make: Callable[[Path], None]) -> Path:
    """Creates `path`, or else "name (2)", "name (3)" and so on in the same folder. Returns the path."""
    stem, number = path.stem, 1
    while True:
        with contextlib.suppress(FileExistsError):
            make(path)
            return path
        number += 1
        path = path.with_stem(f"{stem} ({number})")


@click.command()
@click.option(
    "--public_incoming_host", default="", help="Incoming!! for browsers; default: the host of the page"
)
@click.option("--internal_incoming_host", default="localhost:4000", help="Incoming!! for this app")
@click.option(
    "--public_app_host", default="", help="this app for browsers; default: localhost, with its port"
)
@click.option("--internal_app_host", default="", help="this app for Incoming!!; default: the same")
@click.option("--port", default=4003, help="where this app listens")
@click.option(
    "--uploads_dir", default=str(HERE / "uploads"), help="where it keeps files; default: uploads/ next to it"
)
def main(port: int, **hosts: str) -> None:
    """Runs the dropzone example by itself."""
    for name in ("public_app_host", "internal_app_host"):
        hosts[name] = hosts[name] or f"localhost:{port}"
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    log.info("The dropzone example is at http://%s/", hosts["public_app_host"])
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends it
        try:
            WSGIServer(("", port), make_app(**hosts)).serve_forever()
        except OSError as problem:
            why = os.strerror(problem.errno or 0)
            sys.exit(f"The dropzone example can't listen on port {port}: {why}. {OTHER_PORT}")


if __name__ == "__main__":
    main()
