"""One upload of 20 GiB into S3, which changes its way and is killed in the middle: `make faults-scale`."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.support.app import ScriptedApp
from tests.support.client_v2 import ClientV2
from tests.support.cluster import S3BackedServer, object_keys, s3_settings, unfinished_uploads
from tests.support.data import BLOCK_BYTES, MIB, FileBytes
from tests.support.s3_choice import new_s3_server
from tests.support.s3_place import BUCKET
from tests.support.s3_server import S3Server
from tests.support.server import new_upload
from tests.support.tally import tally
from tests.support.tus import KEPT, TusUpload
from tests.support.waiting import wait_until

SIZE_GIB: Final = int(os.environ.get("INCOMING_TEST_LONG_GIB", "0"))
HANG_S: Final = 3 * 3600.0
MEMORY_MIB: Final = 256
"""What the server is told that full parts may take."""
MAX_MIB: Final = MEMORY_MIB + 128
"""With its code, its connections, and the part that is not full yet."""
PART_MIB: Final = 8


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    """A store of its own. Its files are deleted at once: they are large."""
    folder = tmp_path / "s3"
    try:
        with new_s3_server(folder) as server:
            server.create_bucket(BUCKET)
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def send_by_tus(server: S3BackedServer, upload: TusUpload, data: FileBytes) -> threading.Thread:
    """Begins one request for the whole file. Nothing comes after the connection breaks off."""
    assert upload.create(data.length_bytes).status == 201

    def send() -> None:
        with (
            suppress(OSError),
            upload.begin_append(0, **{"Content-Length": str(data.length_bytes)}) as request,
        ):
            for block in data.blocks():
                request.send(block)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def peak_mib(server: S3BackedServer) -> int:
    """Returns the highest memory of the process since it has started."""
    lines = Path(f"/proc/{server.pid}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def offset_of(upload: TusUpload) -> int:
    """Returns what the server has of the file."""
    return int(upload.head().headers["upload-offset"])


@pytest.mark.skipif(not SIZE_GIB, reason="make faults-scale runs it")
@pytest.mark.timeout(HANG_S)
def test_a_file_of_many_gibibytes_changes_its_way_and_survives_a_kill_in_little_memory(
    tmp_path: Path, s3: S3Server
) -> None:
    data = FileBytes((SIZE_GIB << 30) + 5, 7)
    assert shutil.disk_usage(tmp_path).free > data.length_bytes + (10 << 30), "the store has no room"
    settings = {**s3_settings(s3, tmp_path.name), "s3_memory_mib": MEMORY_MIB, "s3_part_mib": PART_MIB}
    with (
        ScriptedApp() as app,
        S3BackedServer(tmp_path / "storage", None, **settings) as server,
    ):
        app.hash_files = False
        ticket_id = new_upload(server, app.url, storage="s3", **KEPT)
        upload = TusUpload(server.url, ticket_id)
        sending = send_by_tus(server, upload, data)
        kept = 2 * data.length_bytes // 5
        wait_until(lambda: s3_bytes(server) >= kept, "two fifths are sent to the store", HANG_S)
        peaks = [peak_mib(server)]
        server.kill()
        sending.join()
        server.start()
        had_bytes = offset_of(upload)
        assert had_bytes >= kept - (MEMORY_MIB + PART_MIB) * MIB

        client = ClientV2(server.url, ticket_id, data, timeout_s=300.0)
        client.upload(HANG_S)
        assert client.resumed_at[0] == had_bytes
        peaks.append(peak_mib(server))
        print(f"\npeak of the memory: {peaks} MiB; resumed at {had_bytes} of {data.length_bytes} bytes")

        (delivery,) = app.deliveries
        assert object_keys(s3, tmp_path.name) == [delivery.fields["key"]]
        assert delivery.fields["size"] == str(data.length_bytes)
        check_object(delivery.fields["url"], data)
        assert max(peaks) <= MAX_MIB
        assert not unfinished_uploads(s3, tmp_path.name)
    tally("fault", f"{SIZE_GIB} GiB into S3, by tus and then by a WebSocket, with a kill of the server", 1,
          f"identical; never more than {max(peaks)} MiB of memory")  # fmt: skip


def s3_bytes(server: S3BackedServer) -> int:
    """Returns how many bytes the server has sent to the store."""
    lines = requests.get(f"{server.url}/incoming/metrics", timeout=60).text.splitlines()
    return int(
        next(float(line.split()[1]) for line in lines if line.startswith("incoming_parts_sent_bytes_total"))
    )


def check_object(url: str, data: FileBytes) -> None:
    """Compares each byte of the object with what was sent."""
    at = 0
    with requests.get(url, stream=True, timeout=60) as answer:
        for block in answer.iter_content(BLOCK_BYTES):
            assert block == data.read(at, len(block)), f"other bytes behind {at}"
            at += len(block)
    assert at == data.length_bytes
