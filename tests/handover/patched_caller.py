"""A process like the server's: monkey-patched, with the real runtime. It posts what it is told to.

`python -m gevent.monkey patched_caller.py`: each line of stdin is JSON, the arguments of a HttpClient and of
a call; each line of stdout is the answer, as its class, its words and its kind of failure, and the
seconds that it took.
"""

from __future__ import annotations

import json
import sys
import time

from incoming.handover.http_client import HttpClient
from incoming.runtime.gevent_runtime import GeventRuntime
from tests.support.calls import post


def main() -> None:
    """Serves until stdin ends."""
    runtime = GeventRuntime()
    for line in sys.stdin:
        job = json.loads(line)
        notifier = HttpClient(job["connect_timeout_s"], job["answer_timeout_s"], runtime)
        began_s = time.monotonic()
        answer: object
        try:
            answer = post(notifier, job["url"], job["form"])
        except Exception as exc:  # a defect; the test sees its name
            answer = exc
        took_s = time.monotonic() - began_s
        why, kind = getattr(answer, "why", ""), getattr(answer, "kind", "")
        print(json.dumps([type(answer).__name__, why, kind, took_s]), flush=True)


if __name__ == "__main__":
    main()
