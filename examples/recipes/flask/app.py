"""A Flask app whose uploads go through Incoming!!. README.md says how to run it, and what to copy."""

import os
from pathlib import Path

from flask import Flask, render_template, request

from incoming.app import IncomingServer, Refuse, Upload, move_into_place, secret_in_file

SERVER = os.environ.get("UPLOAD_SERVER", "http://localhost:4000")  # Incoming!!, for this app and for browsers
APP = os.environ.get("APP_URL", "http://localhost:8080")  # this app, for Incoming!!
HERE = Path(__file__).parent
UPLOADS = HERE / "uploads"

app = Flask(__name__)
incoming = IncomingServer(SERVER, secret_in_file(HERE / "upload-secret"))


@app.get("/")
def page():
    files = sorted(UPLOADS.glob("*/[!.]*"), key=lambda file: file.stat().st_mtime, reverse=True)
    return render_template("page.html", server=SERVER, files=files)


@app.post("/ticket")
def ticket():  # check here who the user is, and whether they may upload
    return incoming.new_upload(f"{APP}/arrived", remove_file_when_finished=False).id


@app.post("/arrived")  # Incoming!! calls this, maybe twice; the secret protects it
def arrived():
    return incoming.answer(request.form, take)


def take(upload: Upload) -> None:
    if upload.name.lower().endswith(".exe"):
        raise Refuse("This app takes no programs.")
    move_into_place(upload.path, UPLOADS / upload.id / upload.safe_name)
