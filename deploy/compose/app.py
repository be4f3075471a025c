"""The example app of compose.scale.yaml: it gives tickets, and downloads each file into a folder."""

from gevent import monkey

monkey.patch_all()

import os
import secrets
import shutil
from pathlib import Path

import requests
from bottle import Bottle, abort, request, run, static_file

INCOMING = os.environ.get("INCOMING_URL", "http://localhost:4000")
APP = os.environ.get("APP_URL", "http://app:8080")
FILES = Path(os.environ.get("FILES", "/var/lib/incoming"))
PORT = int(os.environ.get("APP_PORT", "8080"))
PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Uploads</title>
<script src="/incoming/frontend/incoming.js"></script>
<script src="/incoming/frontend/incoming-upload.js"></script>
<h1>Uploads</h1>
<incoming-upload tickets="/ticket" name="files" multiple></incoming-upload>
"""


def shared_secret() -> str:
    """Returns the secret that the servers call back with. It is made at the first start, and kept."""
    file = FILES / ".secret"
    if not file.exists():
        new = file.with_suffix(".new")
        new.touch(0o600)
        new.write_text(secrets.token_urlsafe(), "ascii")
        new.replace(file)
    return file.read_text("ascii")


app = Bottle()
SECRET = shared_secret()


@app.get("/")
def page():
    return PAGE


@app.post("/ticket")
def ticket():
    wanted = {"signalFinishURL": f"{APP}/arrived", "backendSecret": SECRET, "storage": "s3"}
    answer = requests.post(f"{INCOMING}/incoming/backend/new_upload", data=wanted, timeout=10)
    answer.raise_for_status()
    return answer.text


@app.post("/arrived")
def arrived():
    form = request.forms
    if not secrets.compare_digest(form.backendSecret, SECRET):
        abort(403)
    file = FILES / form.id  # never a path made of filenameFromBrowser, which the user chooses
    if form.cancelled == "no" and not file.exists():
        partial = file.with_suffix(".part")
        with requests.get(form.url, stream=True, timeout=60) as found, partial.open("wb") as copy:
            found.raise_for_status()
            shutil.copyfileobj(found.raw, copy)
        partial.replace(file)
    return "done"  # the server deletes the object


@app.get("/files/<upload_id:re:[0-9a-f-]{36}>")
def download(upload_id):
    return static_file(upload_id, FILES, mimetype="application/octet-stream", download=upload_id)


if __name__ == "__main__":
    run(app, server="gevent", host="0.0.0.0", port=PORT)
