"""A Django app whose uploads go through Incoming!!. README.md says how to add it to a project."""

import os

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from incoming.app import IncomingServer, Refuse, Upload, move_into_place, secret_in_file

SERVER = os.environ.get("UPLOAD_SERVER", "http://localhost:4000")  # Incoming!!, for this app and for browsers
APP = os.environ.get("APP_URL", "http://localhost:8080")  # this app, for Incoming!!
UPLOADS = settings.BASE_DIR / "uploads"

incoming = IncomingServer(SERVER, secret_in_file(settings.BASE_DIR / "upload-secret"))


def page(request):
    files = sorted(UPLOADS.glob("*/[!.]*"), key=lambda file: file.stat().st_mtime, reverse=True)
    return render(request, "uploader/page.html", {"server": SERVER, "files": files})


@require_POST  # add @login_required, or a check of your own; the page sends the CSRF token
def ticket(request):
    new = incoming.new_upload(f"{APP}/arrived", remove_file_when_finished=False)
    return HttpResponse(new.id, content_type="text/plain")


@csrf_exempt  # Incoming!! calls this, maybe twice; it has no cookie, and the secret protects this view
@require_POST
def arrived(request):
    answer = incoming.answer(request.POST, take)
    return HttpResponse(answer.body, status=answer.status, headers=answer.headers)


def take(upload: Upload) -> None:
    if upload.name.lower().endswith(".exe"):
        raise Refuse("This app takes no programs.")
    move_into_place(upload.path, UPLOADS / upload.id / upload.safe_name)
