"""One upload with bytes whose checksum comes after them, for a process that a test kills in the middle.

`unchecked_errand.py STORAGE_DIR SAID SEEN accept|discard`: SAID gets a line for each offset that a client
would be told. SEEN is the file of the plan (`faultpoints`): it gets the lines `begin` and `end`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Final

import gevent

from incoming.composition.service import Service
from incoming.core.backend_requests import NewUpload
from incoming.core.lifecycle import Claim
from incoming.settings.table import Settings
from incoming.uploads.claims import new_token

CHUNK_BYTES: Final = 16 * 1024
DATA: Final = Random(5).randbytes(6 * CHUNK_BYTES)
CHECKED_BYTES: Final = 2 * CHUNK_BYTES
JUNK: Final = b"?" * CHUNK_BYTES


def main(storage_dir: str, said: str, seen: str, end: str) -> None:
    """Stores two chunks, then two unchecked ones, which are accepted or discarded."""
    settings = Settings(storage_dir=storage_dir, min_free_mib=0, reserve_ahead_mib=0)
    uploads = Service(settings).uploads
    ticket_id = uploads.issue(NewUpload("http://127.0.0.1:9/", wants_sha256=True)).id
    claim = uploads.claim(ticket_id, Claim(len(DATA), "a", token=new_token()), lambda _: None)

    def note(file: str, line: object) -> None:
        with Path(file).open("a") as lines:
            lines.write(f"{line}\n")

    def write(chunk: bytes) -> None:
        uploads.write(claim, memoryview(chunk))
        note(said, claim.acknowledged_bytes)

    for start in range(0, CHECKED_BYTES, CHUNK_BYTES):
        write(DATA[start : start + CHUNK_BYTES])
    note(seen, "begin")
    uploads.begin_unchecked(claim)
    write(DATA[CHECKED_BYTES : CHECKED_BYTES + CHUNK_BYTES])
    uploads.keep_checkpoints()
    while not uploads.context.registry.get(ticket_id).checkpoints:
        gevent.sleep(0.001)
    if end == "accept":
        write(DATA[3 * CHUNK_BYTES : 4 * CHUNK_BYTES])
        uploads.accept_unchecked(claim)
    else:
        write(JUNK)
        uploads.discard_unchecked(claim)
    note(said, claim.acknowledged_bytes)
    note(seen, "end")


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.exit()  # else the launcher takes it for failed
