"""Our server with both versions of its protocol, alone and under uWSGI."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from bench import measure
from bench.load import V1, V2, Upload
from bench.rivals.base import Rival
from tests.support.app import DONE, Delivery, Reply, ScriptedApp
from tests.support.hosts import UwsgiServer
from tests.support.server import RunningServer, cancel_upload, new_upload


class TakingApp(ScriptedApp):
    """An app that moves each file away, as apps do, and says "done"."""

    def __init__(self, folder: Path) -> None:
        super().__init__(self._take)
        self.hash_files = False
        self.folder = folder

    def _take(self, delivery: Delivery) -> Reply:
        Path(delivery.fields["filename"]).rename(self.folder / delivery.id)
        return DONE


class Ours(Rival):
    """`run.py`, version 2."""

    title = "Incoming!!, version 2"
    protocol: ClassVar[type[V1] | type[V2]] = V2
    ticket_wants: ClassVar[dict[str, str]] = {}

    def __init__(self, storage_dir: Path, **settings: Any) -> None:
        patient = {"connection_timeout_s": 600, **settings}  # our client answers no ping while others send
        super().__init__(storage_dir, log_level="warning", **patient)
        self.app = TakingApp(storage_dir)
        self._tickets: dict[int, str] = {}

    def start(self) -> None:
        """See RunningServer."""
        self.app.start()
        super().start()

    def kill(self) -> None:
        """See RunningServer."""
        super().kill()
        self.app.stop()

    def _announced_url(self) -> str:
        return RunningServer._announced_url(self)

    def upload(self, size_bytes: int) -> Upload:
        """See Rival."""
        ticket_id = new_upload(self, self.app.url, **self.ticket_wants)
        upload = self.protocol(self.url, ticket_id, size_bytes)
        self._tickets[id(upload)] = ticket_id
        return upload

    def stored_bytes(self, upload: Upload) -> int:
        """See Rival. The length of the file counts, because acknowledgements come later."""
        if upload.is_stored:
            return upload.size_bytes  # the app may have taken it
        return self.stored_file(self._tickets[id(upload)]).stat().st_size

    def finish(self, upload: Upload) -> Path:
        """See Rival."""
        assert isinstance(upload, V1 | V2)
        upload.receive_result()
        upload.socket.close()
        return self.storage_dir / self._tickets.pop(id(upload))

    def check_and_remove(self, upload: Upload, sha256: str) -> None:
        """Compares the file, and cancels the upload, because a sync for the handover would take time."""
        ticket_id = self._tickets.pop(id(upload))
        assert measure.sha256(self.stored_file(ticket_id)) == sha256, "the file is another"
        upload.socket.close()
        cancel_upload(self, ticket_id)


class OursV1(Ours):
    """`run.py`, version 1."""

    title = "Incoming!!, version 1"
    protocol = V1

    def check_and_remove(self, upload: Upload, sha256: str) -> None:
        """See Rival. An upload of version 1 is handed over once it is whole."""
        Rival.check_and_remove(self, upload, sha256)


class OursSha256(Ours):
    """`run.py`, version 2, and the app wants a SHA-256 of the file."""

    title = "Incoming!!, version 2 and SHA-256"
    ticket_wants: ClassVar[dict[str, str]] = {"digest": "sha256"}


class OursUnsynced(Ours):
    """Version 2 without syncs: a power cut may lose finished uploads."""

    title = "Incoming!!, version 2, --fsync no"

    def __init__(self, storage_dir: Path, **settings: Any) -> None:
        super().__init__(storage_dir, fsync="no", **settings)


class UnderUwsgi(UwsgiServer, Ours):
    """Version 2, under uWSGI."""

    title = "Incoming!!, version 2, uWSGI"


class UnderUwsgiV1(UnderUwsgi):
    """Version 1, under uWSGI."""

    title = "Incoming!!, version 1, uWSGI"
    protocol = V1
