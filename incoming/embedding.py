"""Incoming!! inside an app's own process: tickets without HTTP, and files handed over by a call.

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

from incoming import hosts
from incoming.core.backend_requests import NewUpload
from incoming.core.errors import BadParameter
from incoming.core.ticket import Ticket
from incoming.handover.callbacks import Callback
from incoming.http import listeners
from incoming.http.lifetime import Servers
from incoming.http.parameters import json_text, length, optional_url
from incoming.runtime import output
from incoming.runtime.gevent_runtime import real_poll
from incoming.settings import load
from incoming.websocket.upgrade import WsgiApp

P = ParamSpec("P")
T = TypeVar("T")
SECRET_BYTES = 24


class Incoming:
    """The uploads of one app, in its process. There is one process, and one of these a storage directory."""

    def __init__(self, **settings: object) -> None:
        """Takes the storage directory, and resumes what is in it as soon as the app serves.

        docs/reference/settings.md lists the `settings`. They override the environment, for example
        `storage_dir` overrides INCOMING_STORAGE_DIR.

        Raises BadSetting, StorageInUse and OSError. Raises RuntimeError in a process that gevent has not
        patched, or that will be copied (uWSGI without lazy-apps).
        """
        in_force = load.resolve({}, os.environ, {name: _raw(v) for name, v in settings.items()})
        self._service = hosts.start(in_force)

    # --- in front of the app -----------------------------------------------------------------------

    def mount(self, app: Any) -> None:
        """Takes the paths below /incoming/ of a Bottle app; all others stay as they are.

        They are taken before the app routes, so its hooks, plugins and error pages do not touch them. It has
        to be the app that is served: where Bottle mounts it into another one, it copies its routes only.
        """
        if not callable(getattr(app, "wsgi", None)):
            raise TypeError("mount needs a Bottle app; wrap any other WSGI app with incoming.wsgi(app)")
        app.wsgi = self.wsgi(app.wsgi)

    def wsgi(self, app: WsgiApp | None = None) -> WsgiApp:
        """Returns a WSGI app that serves the paths below /incoming/, and has `app` serve all others."""
        return self._service.wsgi(app)

    def serve(self, app: WsgiApp) -> None:
        """Serves `app` on the settings' host and port, until SIGTERM or Ctrl-C. Raises BadSetting.

        Clients are told to come back, requests get `stop_timeout_s`. An app that has a web server of its
        own (gevent's, uWSGI, gunicorn) does not need this.
        """
        settings = self._service.settings
        servers = Servers(settings, self._service.uploads.refusals.count)
        port = servers.listen(lambda _: app, settings.host, settings.port)
        address = listeners.browser_url(settings.host, port)
        if sys.stdout is not None:
            stdout = output.guarded(sys.stdout, output.WAIT_BUDGET_S, real_poll)
            stdout.write(f"Listening on {address}; uploads are stored in {self._service.directory}\n")
            stdout.flush()
        servers.serve_until_signal(self._service.stop)
        self._service.close()

    # --- instead of the backend routes ---------------------------------------------------------------

    def callback(self, name: str) -> Callable[[T], T]:
        """Decorates a function that `new_upload` may name, with a name that it keeps when it moves.

        Functions of a module need none: they are found by their module and their name.
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
    ) -> Ticket:
        """Returns a new ticket; its `id` is for the page. Limits of 0 set none.

        `on_finished` is called with an ArrivedUpload, and may move its file; see Callback. `metadata` is
        whatever JSON can hold. `length_bytes` is the length that the file has to have. `return_url` is where
        a form without JavaScript leads in the end. Raises BadParameter, UploadTooLarge, TooMany, Stopping,
        StorageFull, StorageFailed.
        """
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
            )
        )

    def finish_upload(self, ticket_id: str) -> None:
        """The app has the file, after its callback answered `wait`. Raises UnknownTicket, WrongState."""
        self._service.uploads.finish(ticket_id, self._secret(ticket_id))

    def cancel_upload(self, ticket_id: str) -> None:
        """The app gives the upload up. Raises UnknownTicket, WrongState once the file has arrived."""
        self._service.uploads.cancel_by_app(ticket_id, self._secret(ticket_id))

    def retry_upload(self, ticket_id: str) -> None:
        """Has a failed handover tried again. Raises UnknownTicket, WrongState."""
        self._service.uploads.retry(ticket_id, self._secret(ticket_id))

    def _secret(self, ticket_id: str) -> str:
        return self._service.context.registry.get(ticket_id).secret

    # --- helpers -------------------------------------------------------------------------------------

    def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what `function` returns, run in a thread: copying a large file would stop everybody."""
        return self._service.runtime.in_pool(function, *args, **kwargs)

    def stop(self) -> None:
        """Tells connected clients to come back later, and takes on nothing new: the process is to end."""
        self._service.stop()


def _raw(value: object) -> object:
    """Returns a setting as the table reads it; a path may be one of pathlib's."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _json(metadata: object) -> str:
    if metadata is None:
        return ""
    try:
        return json_text("metadata", json.dumps(metadata, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as exc:
        raise BadParameter("metadata", f"can't be written as JSON: {exc}") from exc
