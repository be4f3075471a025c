"""How long a client waits when it comes back to another server, which shares Redis and S3 with the first.

    python -m bench.takeover_elsewhere --takeovers 200 --storage DIR

A client sends 1 MiB of a file to one server, and does not read any more: its connection stays open, and its
server does not know that it is gone. Then the client asks another server to resume, on an open connection.
The time runs from MsgUploadReq to MsgUploadConf. Redis and SeaweedFS are real, and run on this machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench import settings
from bench.takeover import LENGTH_BYTES, SENT_BYTES, add_option, percentiles
from tests.support.app import ScriptedApp
from tests.support.client_v2 import ClientV2
from tests.support.cluster import CREDENTIALS, own_cluster
from tests.support.data import FileBytes
from tests.support.s3_place import BUCKET
from tests.support.s3_server import S3Server

PAUSE_S: Final = 0.1
"""Between two takeovers, so that the machine is idle when the next one comes."""


def measure(takeovers: int, storage: Path) -> list[float]:
    """Returns how long each takeover took, in ms."""
    data, took_ms = FileBytes(LENGTH_BYTES, 1), []
    os.environ.update(CREDENTIALS)
    with ExitStack() as stack:
        s3 = stack.enter_context(S3Server(storage / "s3"))
        s3.create_bucket(BUCKET)
        app = stack.enter_context(ScriptedApp())
        cluster = stack.enter_context(own_cluster(storage, s3, log_level="warning"))
        first, second = cluster.servers
        for number in range(takeovers):
            settings.progress(f"takeover {number + 1} of {takeovers}")
            ticket_id = cluster.new_ticket(app)
            before = ClientV2(first.url, ticket_id, data).open()
            before.send_until_stored(SENT_BYTES)
            after = ClientV2(second.url, ticket_id, data).connect()
            time.sleep(PAUSE_S)
            began_s = time.perf_counter()
            offset_bytes = after.request()["Offset"]
            took_ms.append((time.perf_counter() - began_s) * 1000)
            assert offset_bytes == SENT_BYTES
            after.drop()
            before.drop()
    return took_ms


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    settings.add_options(parser)
    add_option(parser, "how many")
    options = parser.parse_args()
    with settings.storage(options.storage) as storage:
        found = percentiles(measure(options.takeovers, storage))
    about = "{} takeovers: p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms\n"
    sys.stdout.write(about.format(options.takeovers, **found))


if __name__ == "__main__":
    main()
