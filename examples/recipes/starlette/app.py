"""A Starlette app whose uploads go through Incoming!!. README.md says how to run it, and what to copy."""

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from incoming.app import IncomingServer, Refuse, Upload, move_into_place, secret_in_file

SERVER = os.environ.get("UPLOAD_SERVER", "http://localhost:4000")  # Incoming!!, for this app and for browsers
APP = os.environ.get("APP_URL", "http://localhost:8080")  # this app, for Incoming!!
HERE = Path(__file__).parent
UPLOADS = HERE / "uploads"

templates = Jinja2Templates(HERE / "templates")
incoming = IncomingServer(SERVER, secret_in_file(HERE / "upload-secret"))


def page(request: Request) -> Response:
    files = sorted(UPLOADS.glob("*/[!.]*"), key=lambda file: file.stat().st_mtime, reverse=True)
    return templates.TemplateResponse(request, "page.html", {"server": SERVER, "files": files})


def ticket(request: Request) -> Response:  # check here who the user is, and whether they may upload
    return PlainTextResponse(incoming.new_upload(f"{APP}/arrived", remove_file_when_finished=False).id)


async def arrived(request: Request) -> Response:  # Incoming!! calls this, maybe twice; the secret protects it
    return PlainTextResponse(*await run_in_threadpool(incoming.answer, await request.body(), take))


def take(upload: Upload) -> None:
    if upload.name.lower().endswith(".exe"):
        raise Refuse("This app takes no programs.")
    move_into_place(upload.path, UPLOADS / upload.id / upload.safe_name)


app = Starlette(
    routes=[
        Route("/", page),
        Route("/ticket", ticket, methods=["POST"]),
        Route("/arrived", arrived, methods=["POST"]),
    ]
)
