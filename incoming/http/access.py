"""Who may use the backend routes: the app on this machine, allowed addresses, and callers with the token.

The server listens on all addresses, because browsers have to reach it. A caller of the backend routes can
make the server call any URL, so a web page or a proxy must not reach them by accident. A request without the
token has to look like the call of an app, whatever address it comes from (`callers`): it has only headers
that HTTP clients add by default, and its Host is this server's own. A proxy that adds nothing and calls the
server by its own name looks the same: `incoming probe` finds one (docs/how-to/nginx.md).

People open the read-only routes (the status page, the list, the metrics) in a browser, too. There the server
accepts requests of its own page and of a person who types the address, but of no other page. It checks two
headers:

- Sec-Fetch-Site says where a request comes from, but browsers send it to HTTPS and to this machine only.
- Host: a page of evil.example can point its own name at this server (DNS rebinding). Its requests are then
  same-origin, and differ from those of curl only in their Host. So the Host has to be an address, localhost,
  or a name from the settings. A request that could change something carries an Origin if a page made it.

A browser sends the password of HTTP Basic automatically, even when another page makes it send a request. So
the password allows only routes that change nothing, and what the server's own status page asks for: see
`check_operating`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
from collections.abc import Mapping
from typing import Final

from incoming.core.errors import NotAllowed, SignInNeeded
from incoming.core.networks import Address, Networks, address
from incoming.http import callers
from incoming.http.callers import shown

OWN_SITE: Final = ("none", "same-origin")
"""Sec-Fetch-Site of an address that a person typed, and of requests of our own page."""
WHAT_TO_DO: Final = (
    "Call the server directly, or set backend_token and send it as 'Authorization: Bearer TOKEN'."
)
NO_ADDRESS: Final = (
    "The backend routes are closed to this caller, which has no address: it used a Unix socket, like "
    "a request through a proxy. Set backend_token, and send it as 'Authorization: Bearer TOKEN'."
)
_NO_ADDRESSES: Final = ("", "b''", "0.0.0.0", "::")
"""What web servers report as the peer of a Unix socket: gunicorn the first, uWSGI the third."""


class BackendAccess:
    """The rule for one server."""

    def __init__(
        self,
        allowed_backends: tuple[str, ...],
        token: str,
        status_hosts: tuple[str, ...] = (),
        backend_hosts: tuple[str, ...] = (),
    ) -> None:
        """`allowed_backends`: addresses and networks; empty means this machine.

        `status_hosts`: host names that browsers may use for the read-only routes. `backend_hosts`: host
        names that apps may use, in addition to the usual ones (`callers.is_own_host`).
        """
        self._networks = Networks(allowed_backends)
        self._token = token.encode()
        self._status_hosts = {"localhost", *status_hosts}
        self._backend_hosts = frozenset(backend_hosts)

    def check(self, environ: Mapping[str, object], server_address: str) -> None:
        """Raises NotAllowed unless the request of this WSGI `environ` may use the backend routes.

        `server_address` is the local end of its connection. A peer with the same address is this machine.
        """
        if self._has_token(str(environ.get("HTTP_AUTHORIZATION", ""))):
            return
        if strange := callers.strange_headers(environ):
            raise NotAllowed(
                "The backend routes are for the app's server only. HTTP clients do not send the header "
                f"{shown(strange[0])} by themselves, so this request came through a proxy or from a web "
                f"page. {WHAT_TO_DO}"
            )
        self._check_address(environ, server_address)
        self._check_host(environ, server_address)

    def _check_host(self, environ: Mapping[str, object], server_address: str) -> None:
        """A request of HTTP/1.0 may have no Host. An empty one names no server, so it is not this one's."""
        if "HTTP_HOST" not in environ:
            return
        host, port = str(environ["HTTP_HOST"]), str(environ.get("SERVER_PORT", ""))
        if not callers.is_own_host(host, server_address, port, self._backend_hosts):
            raise NotAllowed(
                f"The backend routes are for the app's server only. The host {shown(host)} is not this "
                "server's own, so this request came through a proxy or from a web page. "
                f"{WHAT_TO_DO} If apps call the server by this name, the setting backend_hosts allows it."
            )

    def check_reading(self, environ: Mapping[str, object], server_address: str) -> None:
        """The same for a request that only reads.

        Raises NotAllowed, or SignInNeeded if the token as a password would help.
        """
        authorization = str(environ.get("HTTP_AUTHORIZATION", ""))
        if self._has_token(authorization):
            return
        if environ.get("HTTP_SEC_FETCH_SITE", "none") not in OWN_SITE or "HTTP_ORIGIN" in environ:
            raise NotAllowed("Other web pages may not use this address. Type it into the browser to open it.")
        if self._has_password(authorization):
            return
        try:
            self._check_headers(environ)
            self._check_address(environ, server_address)
        except NotAllowed as exc:
            if self._token:
                raise SignInNeeded(
                    f"{exc} Or sign in with any user name; the password is the backend_token."
                ) from exc
            raise

    def check_operating(self, environ: Mapping[str, object], _server_address: str) -> None:
        """The same for what the operator does on the status page.

        It takes the token, wherever the request comes from: being on this machine is not enough, because the
        routes ask for no secret of the upload. As a password it counts only in requests of the page itself.
        Browsers tell where a request comes from, and let no page change what they tell. Another page can't
        send JSON either, unless the server allows it (the CORS protocol).

        Raises NotAllowed, or SignInNeeded if the token as a password would help.
        """
        authorization = str(environ.get("HTTP_AUTHORIZATION", ""))
        if self._has_token(authorization):
            return
        content_type = str(environ.get("CONTENT_TYPE", "")).lower().partition(";")[0].strip()
        if not _is_of_own_page(environ) or content_type != "application/json":
            raise NotAllowed(
                "Only the status page may do this, or a program that sends 'Authorization: Bearer TOKEN'."
            )
        if not self._token:
            raise NotAllowed(
                "Set backend_token to cancel and retry uploads on the status page. The commands "
                "incoming cancel and incoming retry work without it."
            )
        if not self._has_password(authorization):
            raise SignInNeeded("Sign in with any user name; the password is the backend_token.")

    def _check_headers(self, environ: Mapping[str, object]) -> None:
        if strange := callers.strange_headers(environ, from_browser=True):
            raise NotAllowed(
                f"Neither browsers nor HTTP clients send the header {shown(strange[0])} by themselves, so "
                "this request came through a proxy, which needs the backend_token."
            )
        if not self._is_our_name(str(environ.get("HTTP_HOST", ""))):
            raise NotAllowed(
                "The server does not answer to this host name. The setting status_hosts allows it."
            )

    def _check_address(self, environ: Mapping[str, object], server_address: str) -> None:
        remote = str(environ.get("REMOTE_ADDR", ""))
        client = address(remote)
        if remote in _NO_ADDRESSES:
            raise NotAllowed(NO_ADDRESS)
        if client is None or not self._is_allowed(client, address(server_address)):
            raise NotAllowed(
                "The backend routes are closed to this address. The setting allowed_backends opens them."
            )

    def _has_token(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        if not self._token or scheme.lower() != "bearer":  # RFC 9110 section 11.1: the scheme has no case
            return False
        return hmac.compare_digest(token.encode("latin-1", "replace"), self._token)  # PEP 3333: Latin-1

    def _has_password(self, authorization: str) -> bool:
        scheme, _, credentials = authorization.partition(" ")
        if not self._token or scheme.lower() != "basic":
            return False
        try:
            _, _, password = base64.b64decode(credentials, validate=True).partition(b":")  # RFC 7617
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(password, self._token)

    def _is_our_name(self, host: str) -> bool:
        """Returns whether a Host header names this server by an address or by an allowed name."""
        name, _ = callers.host_name(host)
        return name in self._status_hosts or address(name) is not None

    def _is_allowed(self, client: Address, server: Address | None) -> bool:
        if self._networks:
            return client in self._networks
        return client.is_loopback or client == server


def operator_of(environ: Mapping[str, object]) -> str:
    """Returns who the operator is, for the log: the name that came with the password, and the address."""
    scheme, _, credentials = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    name = ""
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, ValueError):
            name = base64.b64decode(credentials, validate=True).partition(b":")[0].decode("utf-8", "replace")
    remote = str(environ.get("REMOTE_ADDR", "")) or "an unknown address"
    return f"{shown(name) or 'the operator'} at {shown(remote)}"


def _is_of_own_page(environ: Mapping[str, object]) -> bool:
    """Returns whether a browser says that a page of this server sends the request.

    Over plain http to another machine it sends no Sec-Fetch-Site. Then the Origin has to be the Host: the
    scheme may differ, because a proxy may have added https.
    """
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site == "same-origin"
    scheme, _, origin = str(environ.get("HTTP_ORIGIN", "")).partition("://")
    host = str(environ.get("HTTP_HOST", ""))
    return scheme in ("http", "https") and bool(origin) and origin.lower() == host.lower()
