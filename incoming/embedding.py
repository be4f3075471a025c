"""Incoming!! inside an app's own process: tickets without HTTP, and handovers by function calls.

    from gevent import monkey; monkey.patch_all()     # before every other import
    import bottle
    from incoming import Incoming

    app = bottle.Bottle()
    incoming = Incoming(storage_dir="uploads-under-way")
    incoming.mount(app)

The pages load `/incoming/frontend/incoming.js` from the app's own address; the HTTP routes work as well.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from incoming import wsgi_servers
from incoming.core.backend_requests import NewUpload
from incoming.core.errors import BadParameter
from incoming.core.ticket import DEST_TYPES, FILE, Ticket
from incoming.handover.callbacks import Callback
from incoming.http import listeners
from incoming.http.lifetime import Servers
from incoming.http.parameters import json_text, length, optional_url
from incoming.runtime import output
from incoming.runtime.native_threads import real_poll
from incoming.settings import load
from incoming.websocket.upgrade import WsgiApp

P = ParamSpec("P")
T = TypeVar("T")
SECRET_BYTES = 24


class Incoming:
    """The uploads of one app, in its process. A storage directory belongs to one process and one instance."""

    def __init__(self, **settings: object) -> None:
        """Opens the storage directory, and resumes its uploads as soon as the app serves.

        docs/reference/settings.md lists the `settings`. They override the environment, for example
        `storage_dir` overrides INCOMING_STORAGE_DIR.

        Raises BadSetting, StorageInUse and OSError. Raises RuntimeError in a process that gevent has not
        patched, or that will be copied (uWSGI without lazy-apps).
        """
        in_force = load.resolve({}, os.environ, {name: _raw(v) for name, v in settings.items()})
        self._service = wsgi_servers.start(in_force)

    # --- in front of the app -----------------------------------------------------------------------

    def mount(self, app: Any) -> None:
        """Serves the paths below /incoming/ of a Bottle app. All other paths stay as they are.

        This happens before the app's routing, so its hooks, plugins and error pages do not apply. `app` has
        to be the app that is served: mounting it into another Bottle app copies only its routes.
        """
        if not callable(getattr(app, "wsgi", None)):
            raise TypeError("mount needs a Bottle app; wrap any other WSGI app with incoming.wsgi(app)")
        app.wsgi = self.wsgi(app.wsgi)

    def wsgi(self, app: WsgiApp | None = None) -> WsgiApp:
        """Returns a WSGI app that serves the paths below /incoming/. `app` gets all other requests."""
        return self._service.wsgi(app)

    def serve(self, app: WsgiApp) -> None:
        """Serves `app` on the settings' host and port, until SIGTERM or Ctrl-C. Raises BadSetting.

        Then clients are told to reconnect later, and requests have `stop_timeout_s` to end. An app with its
        own web server (gevent's, uWSGI, gunicorn) does not need this.
        """
        settings = self._service.settings
        servers = Servers(settings, self._service.uploads.refusals, self._service.new_client_limits())
        port = servers.listen(lambda _: app, settings.host, settings.port)
        address = listeners.browser_url(settings.host, port)
        if sys.stdout is not None:
            stdout = output.guarded(sys.stdout, output.WAIT_BUDGET_S, real_poll)
            stdout.write(f"Listening on {address}; uploads are stored in {self._service.location}\n")
            stdout.flush()
        servers.serve_until_signal(self._service.stop)
        self._service.close()

    # --- instead of the backend routes ---------------------------------------------------------------

    def callback(self, name: str) -> Callable[[T], T]:
        """Decorator: registers a function for `new_upload` under a lasting name.

        A function of a module does not need it. It is found by its module and its name.
        """

        def keep(function: T) -> T:
            self._service.context.callbacks.register(name, function)  # type: ignore[arg-type]
            return function

        return keep

    def new_upload(  # noqa: PLR0913 - one keyword for each parameter of the route
        self,
        on_finished: Callback,
        *,
        on_cancelled: Callback | None = None,
        remove_file_when_finished: bool = True,
        sha256: bool = False,
        metadata: object = None,
        max_bytes: int = 0,
        max_bytes_per_s: int = 0,
        file_owner_uid: int | None = None,
        length_bytes: int | None = None,
        return_url: str = "",
        storage: str = "",
        destination_key: str = "",
        dest_type: str = FILE,
    ) -> Ticket:
        """Returns a new ticket; its `id` is for the page. Limits of 0 set none.

        `on_finished` is called with an ArrivedUpload, and may move its file; see Callback. `metadata` is
        any value that JSON can represent. `length_bytes` is the required length of the file. `return_url` is
        where a form without JavaScript leads in the end. `storage` has to be `s3` if the server keeps files
        in S3 only; `destination_key` is the key that the object shall have. With the `dest_type` "folder" the
        ticket is for a whole folder.

        Raises BadParameter, UploadTooLarge, TooMany, Stopping, StorageFull, StorageFailed.
        """
        if dest_type not in DEST_TYPES:
            raise BadParameter("dest_type", f"must be {' or '.join(DEST_TYPES)}")
        return self._service.uploads.issue(
            NewUpload(
                self._service.context.callbacks.url(on_finished, on_cancelled),
                remove_file_when_finished=remove_file_when_finished,
                secret=secrets.token_urlsafe(SECRET_BYTES),  # nobody but this process ends its uploads
                secret_required=True,
                file_owner_uid=file_owner_uid,
                wants_sha256=sha256,
                metadata=_json(metadata),
                max_bytes_per_s=max_bytes_per_s,
                max_bytes=max_bytes,
                length_bytes=None if length_bytes is None else length("length_bytes", str(length_bytes)),
                return_url=optional_url("return_url", return_url),
                storage=storage,
                destination=destination_key,
                dest_type=dest_type,
            )
        )

    def finish_upload(self, ticket_id: str) -> None:
        """Says that the app has the file, after its callback answered `wait`.

        Raises UnknownTicket, WrongState.
        """
        self._service.uploads.finish(ticket_id, self._secret(ticket_id))

    def object_url(self, ticket_id: str) -> str:
        """Returns a new URL of a file in S3. Raises UnknownTicket, WrongState if there is none."""
        return self._service.uploads.object_url(ticket_id, self._secret(ticket_id))

    def cancel_upload(self, ticket_id: str) -> None:
        """Cancels the upload. Raises UnknownTicket; WrongState once the file has arrived."""
        self._service.uploads.cancel_by_app(ticket_id, self._secret(ticket_id))

    def retry_upload(self, ticket_id: str) -> None:
        """Retries a failed handover. Raises UnknownTicket, WrongState."""
        self._service.uploads.retry(ticket_id, self._secret(ticket_id))

    def _secret(self, ticket_id: str) -> str:
        return self._service.context.registry.get(ticket_id).secret

    # --- helpers -------------------------------------------------------------------------------------

    def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `function` in a thread and returns its result. Use it to copy a large file."""
        return self._service.runtime.in_pool(function, *args, **kwargs)

    def stop(self) -> None:
        """Prepares the end of the process: tells clients to reconnect later, accepts nothing new."""
        self._service.stop()


def _raw(value: object) -> object:
    """Returns a setting in the form that the table reads; a path may be a pathlib.Path."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _json(metadata: object) -> str:
    if metadata is None:
        return ""
    try:
        return json_text("metadata", json.dumps(metadata, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as exc:
        raise BadParameter("metadata", f"can't be written as JSON: {exc}") from exc
