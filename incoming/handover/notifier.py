"""One call to the app: a form, POSTed; the answer, bounded in time and size."""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from incoming.handover.dialing import AppAdapter, MustNotCall
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
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no .netrc of the operator's own shell
        adapter = AppAdapter(runtime.look_up, Networks(refused), CONNECTIONS_A_HOST)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

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
            # The time-out of requests is one between bytes; an answer that drips is bounded here.
            with self._runtime.time_limit(self._connect_timeout_s + self._answer_timeout_s, _TooSlow()):
                return self._post(url, form)
        except _TooSlow:
            return NoAnswer("the app did not answer in time")
        except (requests.Timeout, TimeoutError, ReadTimeoutError):
            return NoAnswer("the app did not answer in time")
        except MustNotCall:
            return NoAnswer("the app's address is one that this server never calls")
        except (requests.RequestException, HTTPError, OSError, ValueError) as exc:
            log.debug("a call to the app failed: %(error)s", {"error": exc})
            return NoAnswer("the app could not be reached")

    def _post(self, url: str, form: dict[str, str]) -> Answer:
        timeouts = (self._connect_timeout_s, self._answer_timeout_s)
        with self._session.post(
            url, data=form, timeout=timeouts, allow_redirects=False, stream=True
        ) as response:
            body = response.raw.read(MAX_ANSWER_BYTES, decode_content=True)
            return classify(response.status_code, body)
