"""One call to the app: a form, POSTed; the answer, bounded in time and size."""

from __future__ import annotations

import logging
import zlib
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Final
from urllib.parse import urlencode, urlsplit
from weakref import WeakValueDictionary

from incoming import __version__
from incoming.handover.dialing import Connections, MustNotCall, target
from incoming.handover.schedule import MAX_ANSWER_BYTES, Answer, NoAnswer, classify
from incoming.networks import Networks
from incoming.runtime import Lock, Runtime

log = logging.getLogger(__name__)

CONNECTIONS_A_HOST: Final = 32
"""A backlog of thousands of handovers, or an app that hangs, takes no more of the server than this."""


class _TooSlow(Exception):
    """The whole call took longer than the app may take."""


class Notifier:
    """Calls apps. Connections are kept alive; redirects are not followed; proxies are not used."""

    def __init__(
        self, connect_timeout_s: float, answer_timeout_s: float, runtime: Runtime,
        refused: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """`refused`: addresses and networks that are never called."""
        self._connect_timeout_s = connect_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._runtime = runtime
        self._turns: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        self._connections = Connections(runtime.look_up, Networks(refused), connect_timeout_s)
        self._headers = {
            "User-Agent": f"incoming/{__version__}",
            "Accept": "*/*",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    def turn(self, url: str) -> Lock:
        """Returns what to hold during a `post` to this URL: a place among the calls to its host."""
        host = urlsplit(url).netloc
        turn = self._turns.get(host)
        if turn is None:
            turn = self._turns[host] = self._runtime.semaphore(CONNECTIONS_A_HOST)
        return turn

    def post(self, url: str, form: dict[str, str]) -> Answer:
        """Returns the app's answer to this form; NoAnswer for whatever keeps it from answering."""
        try:
            # Other time-outs are between two bytes; an answer that drips is bounded here.
            with self._runtime.time_limit(self._connect_timeout_s + self._answer_timeout_s, _TooSlow()):
                return self._post(url, form)
        except (_TooSlow, TimeoutError):
            return NoAnswer("the app did not answer in time")
        except MustNotCall:
            return NoAnswer("the app's address is one that this server never calls")
        except (HTTPException, zlib.error, OSError, ValueError) as exc:
            log.debug("a call to the app failed: %(error)s", {"error": exc})
            return NoAnswer("the app could not be reached")

    def _post(self, url: str, form: dict[str, str]) -> Answer:
        where = target(url)
        with self._connections.to(where) as connection:
            connection.sock.settimeout(self._answer_timeout_s)
            connection.request("POST", where.path, urlencode(form).encode(), self._headers | where.headers)
            with connection.getresponse() as response:
                body = _beginning(response)
                connection.is_done = response.isclosed()
                return classify(response.status, body)


def _beginning(response: HTTPResponse) -> bytes:
    """Returns the body, or as much as counts. Raises OSError, HTTPException, zlib.error."""
    if len(set(response.headers.get_all("Content-Length", ()))) > 1:
        raise HTTPException("several lengths")  # http.client takes the first
    body = response.read(MAX_ANSWER_BYTES)
    if response.length and len(body) < MAX_ANSWER_BYTES:
        raise IncompleteRead(body, response.length)
    if response.getheader("Content-Encoding", "").lower() in ("gzip", "deflate"):  # we did not ask for it
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, MAX_ANSWER_BYTES)
    return body
