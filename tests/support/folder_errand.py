"""An upload of a folder that goes on whatever happens to the server. One of its files is left out."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final

from incoming.core.folder_manifest import HEADER_BYTES, FolderManifest, head_bytes, parse_head
from incoming.storage.local.storage import LocalStorage
from tests.support.app import DONE, Delivery, Reply
from tests.support.client_v2 import ClientV2
from tests.support.data import FileBytes
from tests.support.errands import PATIENCE_S, Backend, Errand
from tests.support.fakes import FakeRuntime
from tests.support.forked import ForkedServer
from tests.support.uploads import stream_of

FILES: Final = 5
LEFT_OUT: Final = 2
"""The number of the file that the client can't read to its end."""


class FolderBytes(FileBytes):
    """The stream of a folder, with zeros in place of the files that are left out."""

    def __init__(self, seed: int) -> None:
        chance = Random(seed)
        sizes = {"a/one": 9000, "a/b/two": 0, "three": 15_000, "four": 6000, "five": 1}
        self.files = {path: chance.randbytes(size) for path, size in sizes.items()} | {"empty/": b""}
        self._stream = bytearray(stream_of(self.files, 1_700_000_000_000))
        super().__init__(len(self._stream), seed)
        self.left_out: set[int] = set()

    @cached_property
    def manifest(self) -> FolderManifest:
        """The list of the files."""
        return parse_head(bytes(self._stream[: head_bytes(bytes(self._stream[:HEADER_BYTES]))]))

    def leave_out(self, *indices: int) -> None:
        """From now on there are zeros in place of these files, and of no others."""
        self._stream = bytearray(stream_of(self.files, 1_700_000_000_000))
        for index in indices:
            start, end = self.manifest.range_of(index)
            self._stream[start:end] = bytes(end - start)
        self.left_out = set(indices)

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """See FileBytes."""
        return bytes(self._stream[offset_bytes : offset_bytes + size_bytes])

    def kept(self) -> dict[str, bytes]:
        """Returns the files that are not left out, by path."""
        paths = [entry.path for entry in self.manifest.entries]
        left_out = {paths[index] for index in self.left_out}
        return {k: v for k, v in self.files.items() if k not in left_out and not k.endswith("/")}


class FolderClient(ClientV2):
    """A client that believes the server what is left out."""

    data: FolderBytes
    has_lost_power = False
    """Whether the server may have forgotten something since."""

    def _resume(self, conf: dict[str, Any]) -> None:
        assert conf["DestType"] == "folder"
        left_out = conf.get("LeftOut", ())
        assert self.has_lost_power or conf["Arrived"] or self.data.left_out <= {*left_out}, conf
        if not conf["Arrived"]:
            self.data.leave_out(*left_out)
        super()._resume(conf)


class WholeFolder(Errand):
    """Version 2; the app moves the folder away with one rename, answers done, and forgets the id at once."""

    version = 2
    params: ClassVar = {"destType": "folder", "digest": "sha256", "removeFileWhenFinished": "false"}
    data: FolderBytes
    client: FolderClient

    def __init__(self, server: ForkedServer, backend: Backend, seed: int) -> None:
        super().__init__(server, backend, seed)
        self.data = FolderBytes(seed)

    def new_client(self) -> FolderClient:
        """See Errand."""
        client = FolderClient(self.server.url, self.ticket_id, self.data, "Holiday", timeout_s=PATIENCE_S)
        client.chunk_size_bytes = 5000
        return client

    def _half(self) -> None:
        """Sends half of a file, leaves it out, and leaves."""
        start, end = self.data.manifest.range_of(LEFT_OUT)
        self.client.open()
        if not self.data.left_out:
            self.client.send_until_stored((start + end) // 2)
            self.client.leave_out(LEFT_OUT, end)
            self.data.leave_out(LEFT_OUT)
        self.client.drop()
        self.phase = "rest"

    def decide(self, delivery: Delivery) -> Reply:
        """All files are there but the one that was left out, and the list has their digests."""
        folder = Path(delivery.fields["filename"])
        if len(self.arrivals) > 1 and not folder.exists():
            return Reply(404, "unknown id")
        listed = [json.loads(line) for line in Path(delivery.fields["manifest"]).read_text().splitlines()]
        left_out = {index for index, one in enumerate(listed) if one.get("left_out")}
        assert self.data.left_out <= left_out <= {LEFT_OUT}, f"{self}: {listed}"
        self.data.leave_out(*left_out)  # after a power cut the client has forgotten it
        told = delivery.fields["files"], delivery.fields["leftOut"]
        assert told == (f"{FILES - len(left_out)}", f"{len(left_out)}"), delivery.fields
        assert files_in(folder) == self.data.kept(), f"{self}: {delivery.fields}"
        digests = {one["path"]: one["sha256"] for one in listed if "sha256" in one}
        assert digests == {path: hashlib.sha256(c).hexdigest() for path, c in self.data.kept().items()}
        self.place.parent.mkdir(exist_ok=True)
        if self.place.exists():
            shutil.rmtree(self.place)  # a power cut has undone that it was moved here
        folder.rename(self.place)
        return DONE

    @property
    def place(self) -> Path:
        """Where the app keeps it."""
        return self.server.storage_dir.with_name("moved") / self.ticket_id

    def _result(self) -> None:
        assert files_in(self.place) == self.data.kept()
        super()._result()

    def _assert_stored(self) -> None:
        if not self.acked_bytes:
            return
        folders = LocalStorage(self.server.storage_dir / "data", 0, FakeRuntime()).folders
        stored_bytes = folders.size(self.ticket_id) or 0
        assert stored_bytes >= self.acked_bytes, f"{self}: {stored_bytes} of {self.acked_bytes} are stored"
        expected, stored = FolderBytes(self.data.seed), bytearray()
        expected.leave_out(*folders.left_out(self.ticket_id))
        assert expected.left_out >= self.data.left_out, f"{self}: the file is not left out any more"
        folders.read(self.ticket_id, 0, stored_bytes, stored.extend)
        assert stored == expected.read(0, stored_bytes), f"{self}: other bytes are stored"


def files_in(folder: Path) -> dict[str, bytes]:
    """Returns the files in a folder, by path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
