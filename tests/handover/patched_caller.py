"""A process like the server's: monkey-patched, with the real runtime. It posts what it is told to.

`python -m gevent.monkey patched_caller.py`: each line of stdin is JSON, the arguments of a HttpCall and of
a call; each line of stdout is the answer, as its class, its words and its kind of trouble, and the
seconds that it took.
"""

from __future__ import annotations

import json
import sys
import time

from incoming.handover.http_call import HttpCall
from incoming.runtime.gevent_runtime import GeventRuntime
from tests.support.calls import post


def main() -> None:
    """Serves until stdin ends."""
    runtime = GeventRuntime()
    for line in sys.stdin:
        job = json.loads(line)
        notifier = HttpCall(job["connect_timeout_s"], job["answer_timeout_s"], runtime)
        began_s = time.monotonic()
        answer: object
        try:
            answer = post(notifier, job["url"], job["form"])
        except Exception as exc:  # a defect; the test sees its name
            answer = exc
        took_s = time.monotonic() - began_s
        why, trouble = getattr(answer, "why", ""), getattr(answer, "trouble", "")
        print(json.dumps([type(answer).__name__, why, trouble, took_s]), flush=True)


if __name__ == "__main__":
    main()
