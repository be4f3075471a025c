"""A Flask app with Incoming!! in its own process. README.md says how to run it, and what to copy."""

from gevent import monkey  # isort: skip

monkey.patch_all()  # before every other import

import os
from pathlib import Path

from flask import Flask, render_template

from incoming import ArrivedUpload, Incoming, Refuse
from incoming.app import move_into_place, safe_file_name

HERE = Path(__file__).parent
UPLOADS = HERE / "uploads"

app = Flask(__name__)
incoming = Incoming(storage_dir=HERE / "uploads-under-way", port=os.environ.get("PORT", "8080"))


@app.get("/")
def page():
    files = sorted(UPLOADS.glob("*/[!.]*"), key=lambda file: file.stat().st_mtime, reverse=True)
    return render_template("page.html", files=files)


@app.post("/ticket")
def ticket():  # check here who the user is, and whether they may upload
    return incoming.new_upload(arrived, remove_file_when_finished=False).id


@incoming.callback("arrived")  # tickets store this name; it is called again if the process was killed
def arrived(upload: ArrivedUpload) -> None:
    if upload.name.lower().endswith(".exe"):
        raise Refuse("This app takes no programs.")
    incoming.in_thread(move_into_place, upload.path, UPLOADS / upload.id / safe_file_name(upload.name))


app.wsgi_app = incoming.wsgi(app.wsgi_app)

if __name__ == "__main__":
    incoming.serve(app)
