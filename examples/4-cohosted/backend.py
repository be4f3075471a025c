#!/usr/bin/env python3
"""Example 4: the app and Incoming!! in one process. A function call hands files over, not HTTP.

python examples/4-cohosted/backend.py        then open http://localhost:4004
"""

from gevent import monkey  # isort: skip

monkey.patch_all()  # before every other import

import argparse
import logging
import shutil
import sys
from pathlib import Path

import bottle

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))  # not needed if Incoming!! is installed

from incoming import ArrivedUpload, Incoming

UPLOADS = HERE / "uploads"
UPLOADS.mkdir(exist_ok=True)

# A log line that can't be written is lost. A print that fails would make the handover fail.
logging.basicConfig(format="%(message)s", stream=sys.stdout)
log = logging.getLogger("cohosted")
log.setLevel(logging.INFO)

options = argparse.ArgumentParser()
options.add_argument("--port", default="4004")
options.add_argument("--storage-dir", default="incoming-storage-4")
given = options.parse_args()

app = bottle.Bottle()
incoming = Incoming(storage_dir=given.storage_dir, port=given.port)
incoming.mount(app)


@incoming.callback("arrived")  # tickets store this name, so it works after a restart
def arrived(upload: ArrivedUpload) -> str:
    """Takes the file. After an error, Incoming!! would call again."""
    if Path(upload.path).exists():  # otherwise this is the second call for the same file
        folder = UPLOADS / upload.id  # never a path made of upload.name, which the user chooses
        folder.mkdir(exist_ok=True)
        incoming.in_thread(shutil.move, upload.path, folder / "file")
        log.info("%s sent %r, %d bytes", upload.metadata["user"], upload.name, upload.size_bytes)
    return "done"


@app.get("/")
def page() -> str:
    return (HERE / "frontend_tmpl.html").read_text("utf-8")


@app.post("/ticket")
def ticket() -> str:
    return incoming.new_upload(arrived, metadata={"user": "the user who is logged in"}).id


incoming.serve(app)
