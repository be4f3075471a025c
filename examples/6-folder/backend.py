"""Example 6, folder: a whole folder as one upload. docs/how-to/folders.md explains it."""

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
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock, Thread

import click
import requests
from bottle import Bottle, HTTPError, HTTPResponse, request, response, template
from gevent.pywsgi import WSGIServer

log = logging.getLogger("folder")
PAGE = Path(__file__).with_name("frontend_tmpl.html")
UPLOADS = Path(__file__).with_name("uploads")
OTHER_PORT = "Choose another one with --port."
MAX_TOLD = 100  # paths that were changed or left out: the page is told no more of them


@dataclass
class Upload:
    secret: str  # Incoming!! knows it, browsers don't
    source: str = ""  # where Incoming!! has stored the folder, once it has arrived
    manifest: str = ""  # the list of its files
    wanted_name: str = ""
    place: str = ""  # its name in our folder
    finished: bool = False  # whether all of it is there, and Incoming!! knows

    def __post_init__(self) -> None:
        if not self.secret:  # it would match any caller
            raise ValueError("an upload needs a secret")


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
    uploads = read_uploads(tickets)
    copying: set[str] = set()
    taking = Lock()  # one folder at a time: two calls for the same one may arrive at once

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
        kept = [path for path in folder.glob("[!.]*") if path.is_dir()]
        kept.sort(key=lambda path: -path.stat().st_mtime)
        host = public_incoming_host or page_machine(internal_incoming_host.rpartition(":")[2])
        response.set_header("Cache-Control", "no-store")  # it is for this host only
        return template(PAGE.read_text("utf-8"), incoming_host=host, folders=kept)

    @app.post("/api/frontend/request_upload")
    def request_upload() -> str:
        secret = secrets.token_urlsafe()
        form = {"destType": "folder", "removeFileWhenFinished": "false", "backendSecret": secret}
        form["signalFinishURL"] = f"http://{internal_app_host}/api/backend/upload_finished"
        form["digest"] = "sha256"  # the list of the files then has the SHA-256 of each
        try:
            upload_id = str(uuid.UUID(ask_incoming("new_upload", **form)))
        except (OSError, ValueError) as problem:
            raise HTTPResponse("The upload server did not issue a ticket.", 503) from problem
        remember(upload_id, Upload(secret))
        response.set_header("Cache-Control", "no-store")
        return upload_id

    @app.post("/api/backend/upload_finished")
    def upload_finished() -> str:
        form = request.forms
        upload = uploads.get(form.id)
        # A browser knows the id, not the secret. Otherwise it could make us "move" any folder we may move.
        if not upload or form.backendSecret != upload.secret:
            raise HTTPError(404, "There is no such upload.")
        if form.cancelled == "yes":
            log.info("%r was cancelled: %r", form.filenameFromBrowser, form.cancelReason)
            return "done"
        with taking:
            if not uploads[form.id].source:  # otherwise our answer was lost, and Incoming!! has called again
                about = {"source": form.filename, "manifest": form.manifest}
                remember(form.id, replace(upload, wanted_name=form.filenameFromBrowser, **about))
            take(form.id)
        return "done" if uploads[form.id].finished else "wait"

    def take(upload_id: str) -> None:
        """Moves a folder to its place, or begins to copy it there. It may be repeated."""
        upload = uploads[upload_id]
        if upload.finished or upload_id in copying:
            return
        if not is_kept(upload_id):
            keep_list(upload_id, upload)
            if not moved(Path(upload.source), partial(upload_id)):
                copying.add(upload_id)
                Thread(target=copy_in, args=(upload_id,), daemon=True).start()
                return
            put_in_place(upload_id)
        remember(upload_id, replace(uploads[upload_id], finished=True))

    def copy_in(upload_id: str) -> None:
        """Copies a folder, which takes a while, then tells Incoming!! that we have it."""
        upload = uploads[upload_id]
        if not is_kept(upload_id):
            keep_list(upload_id, upload)
            retried(lambda: copy_whole(upload.source, partial(upload_id)))
            put_in_place(upload_id)
        shutil.rmtree(upload.source, ignore_errors=True)  # it follows no link
        with contextlib.suppress(ValueError):  # it ended long ago
            retried(lambda: ask_incoming("finish_upload", id=upload_id, backendSecret=upload.secret))
        remember(upload_id, replace(uploads[upload_id], finished=True))
        copying.discard(upload_id)

    def put_in_place(upload_id: str) -> None:
        """Gives a complete folder its name. If another one has the name, it gets a number."""
        upload = uploads[upload_id]
        if not upload.place:
            place = first_free(folder / safe_name(upload.wanted_name), Path.mkdir)
            remember(upload_id, replace(upload, place=place.name))
        place = folder / uploads[upload_id].place
        partial(upload_id).rename(place)  # it replaces the empty folder
        log.info("http://%s/ has a new folder, %r", public_app_host, place.name)

    def is_kept(upload_id: str) -> bool:
        return bool(uploads[upload_id].place) and not partial(upload_id).exists()

    def keep_list(upload_id: str, upload: Upload) -> None:
        """Keeps the list of the files: it has the digest of each, and says which are missing or renamed."""
        with contextlib.suppress(FileNotFoundError):  # we have it already
            copy = tickets / f".{upload_id}.jsonl"
            shutil.copyfile(upload.manifest, copy)
            copy.replace(tickets / f"{upload_id}.jsonl")

    def partial(upload_id: str) -> Path:
        """Where the folder is until all of it is there: hidden."""
        return folder / f".{upload_id}.part"

    @app.get("/api/frontend/result")
    def result() -> dict[str, object]:
        """Tells the page of an upload what has become of its folder."""
        upload_id = request.query.id
        if upload_id not in uploads or not is_kept(upload_id):
            raise HTTPError(404, "There is no such folder.")
        response.set_header("Cache-Control", "no-store")
        with (tickets / f"{upload_id}.jsonl").open(encoding="utf-8") as lines:
            files = [json.loads(line) for line in lines]
        left_out = [one["path"] for one in files if one.get("left_out")]
        renamed = [[one["sent_path"], one["path"]] for one in files if "sent_path" in one]
        return {
            "name": uploads[upload_id].place, "left_out_count": len(left_out), "renamed_count": len(renamed),
            "left_out": left_out[:MAX_TOLD], "renamed": renamed[:MAX_TOLD],
        }  # fmt: skip

    for upload_id, upload in uploads.items():  # those that a restart of this app interrupted
        is_here = is_kept(upload_id) or partial(upload_id).exists()
        if upload.source and not upload.finished and (is_here or Path(upload.source).exists()):
            copying.add(upload_id)
            Thread(target=copy_in, args=(upload_id,), daemon=True).start()
    return app


def moved(source: Path, target: Path) -> bool:
    """Moves a folder in one step, however many files it has. Returns False if that is not possible."""
    if not source.exists():
        if not target.exists():
            raise HTTPError(404, "There is no such folder.")
        return True  # it was moved before
    try:
        source.rename(target)
    except OSError as problem:
        if problem.errno != errno.EXDEV:
            raise
        return False  # it is on another file system
    return True


def copy_whole(source: str, target: Path) -> str:
    """Copies a folder, with its times. An interrupted copy begins again. A moved folder is there."""
    with contextlib.suppress(HTTPError):
        if not moved(Path(source), target):
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, symlinks=True)
    return str(target)


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
    """Returns {ticket id: upload}. Damaged files are set aside: an empty secret would match any caller."""
    uploads = {}
    for file in tickets.glob("[!.]*.json"):
        try:
            uploads[file.stem] = Upload(**json.loads(file.read_text("utf-8")))
        except (ValueError, TypeError):
            log.warning("The ticket %s is damaged. Its file is kept as .damaged-%s.", file.stem, file.name)
            file.replace(file.with_name(f".damaged-{file.name}"))
    return uploads


def safe_name(name: str) -> str:
    """Makes a name for a folder of an untrusted one: not hidden, and with room for a number."""
    last = re.split(r"[/\\]", name)[-1]
    clean = re.sub(r"[\x00-\x1f\x7f]", "", last).lstrip(". ").encode()[:240]
    return clean.decode("utf-8", "ignore") or "folder"


def first_free(path: Path, make: Callable[[Path], None]) -> Path:
    """Creates `path`, or else "name (2)", "name (3)" and so on in the same folder. Returns the path."""
    name, number = path.name, 1
    while True:
        with contextlib.suppress(FileExistsError):
            make(path)
            return path
        number += 1
        path = path.with_name(f"{name} ({number})")


@click.command()
@click.option(
    "--public_incoming_host", default="", help="Incoming!! for browsers; default: the host of the page"
)
@click.option("--internal_incoming_host", default="localhost:4000", help="Incoming!! for this app")
@click.option(
    "--public_app_host", default="", help="this app for browsers; default: localhost, with its port"
)
@click.option("--internal_app_host", default="", help="this app for Incoming!!; default: the same")
@click.option("--port", default=4006, help="where this app listens")
@click.option(
    "--uploads_dir", default=str(UPLOADS), help="where it keeps folders; default: uploads/ next to it"
)
def main(port: int, **hosts: str) -> None:
    """Runs the folder example by itself."""
    for name in ("public_app_host", "internal_app_host"):
        hosts[name] = hosts[name] or f"localhost:{port}"
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    log.info("The folder example is at http://%s/", hosts["public_app_host"])
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends it
        try:
            WSGIServer(("", port), make_app(**hosts)).serve_forever()
        except OSError as problem:
            why = os.strerror(problem.errno or 0)
            sys.exit(f"The folder example can't listen on port {port}: {why}. {OTHER_PORT}")


if __name__ == "__main__":
    main()
