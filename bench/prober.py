"""Makes small requests to a busy server, in a process of its own: `python -m bench.prober URL`.

It begins at once, and ends when its standard input ends. Then it prints a JSON object with the time that each
answer took, in milliseconds: {"library": [...], "ticket": [...]}.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import sys
import time
from typing import Final
from urllib.parse import urlsplit

LIBRARY: Final = ("GET", "/incoming/frontend/incoming.js")
TICKET: Final = ("POST", "/incoming/0.1/backend/new_upload?signalFinishURL=http%3A%2F%2F127.0.0.1%3A1%2F")
EVERY_S: Final = 0.01
TICKET_EVERY: Final = 5
"""How many requests for the library come before one for a ticket."""
MS_PER_S: Final = 1000.0


def time_ms(connection: http.client.HTTPConnection, request: tuple[str, str]) -> float:
    """Returns how long the answer to a request took. Raises AssertionError for an error."""
    began_s = time.perf_counter()
    connection.request(*request)
    answer = connection.getresponse()
    assert answer.read()
    assert answer.status == 200, answer.status
    return (time.perf_counter() - began_s) * MS_PER_S


def main() -> None:
    """Makes requests until the standard input ends."""
    with contextlib.suppress(PermissionError):
        os.nice(-15)  # otherwise it would wait for one of the two cores, which all processes share
    target = urlsplit(sys.argv[1])
    assert target.hostname
    connection = http.client.HTTPConnection(target.hostname, target.port, timeout=60)
    times_ms: dict[str, list[float]] = {"library": [], "ticket": []}
    number = 0
    while not select.select([sys.stdin], [], [], EVERY_S)[0]:
        times_ms["library"].append(time_ms(connection, LIBRARY))
        if number % TICKET_EVERY == 0:
            times_ms["ticket"].append(time_ms(connection, TICKET))
        number += 1
    sys.stdout.write(json.dumps(times_ms))


if __name__ == "__main__":
    main()
