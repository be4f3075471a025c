"""A FastAPI app whose uploads go through Incoming!!. README.md says how to run it, and what to copy."""

import os
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse
from fastapi.templating import Jinja2Templates

from incoming.app import IncomingServer, Refuse, Upload, move_into_place, secret_in_file

SERVER = os.environ.get("UPLOAD_SERVER", "http://localhost:4000")  # Incoming!!, for this app and for browsers
APP = os.environ.get("APP_URL", "http://localhost:8080")  # this app, for Incoming!!
HERE = Path(__file__).parent
UPLOADS = HERE / "uploads"

app = FastAPI()
templates = Jinja2Templates(HERE / "templates")
incoming = IncomingServer(SERVER, secret_in_file(HERE / "upload-secret"))


@app.get("/")
def page(request: Request):
    files = sorted(UPLOADS.glob("*/[!.]*"), key=lambda file: file.stat().st_mtime, reverse=True)
    return templates.TemplateResponse(request, "page.html", {"server": SERVER, "files": files})


@app.post("/ticket", response_class=PlainTextResponse)
def ticket():  # add a dependency that checks who the user is, and whether they may upload
    return incoming.new_upload(f"{APP}/arrived", remove_file_when_finished=False).id


@app.post("/arrived")  # Incoming!! calls this, maybe twice; the secret protects it
async def arrived(request: Request):
    return PlainTextResponse(*await run_in_threadpool(incoming.answer, await request.body(), take))


def take(upload: Upload) -> None:
    if upload.name.lower().endswith(".exe"):
        raise Refuse("This app takes no programs.")
    move_into_place(upload.path, UPLOADS / upload.id / upload.safe_name)
