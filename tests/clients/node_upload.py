"""tus-js-client in Node, as it comes, with the options that a test gives it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, Final, cast

from tests.clients.conftest import DEADLINE_S, DiskFile

SCRIPT: Final = Path(__file__).with_name("tus_upload.mjs")
PATIENT: Final = [0, 100, 200, 400, 800, 1600, 1600, 1600]

Seen = dict[str, Any]


class NodeUpload:
    """One run of tus-js-client, and what it has told so far."""

    def __init__(self, file: DiskFile, options: dict[str, Any]) -> None:
        node = shutil.which("node")
        assert node, "tus-js-client needs Node"
        given = {"retryDelays": PATIENT, "storeFingerprintForResuming": False, **options}
        self.process = subprocess.Popen(
            [node, str(SCRIPT), str(file.path), json.dumps(given)], stdout=subprocess.PIPE, text=True
        )
        self.seen: list[Seen] = []
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.seen.append(json.loads(line))

    def events(self, name: str) -> list[Seen]:
        """Returns what it told of this kind."""
        return [one for one in self.seen if one["event"] == name]

    def end(self) -> str:
        """Returns its last word once it has ended."""
        self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return cast(str, self.seen[-1]["event"]) if self.seen else "nothing"

    def stop(self) -> None:
        """Kills it, if it still runs."""
        self.process.kill()
        self.process.wait()


@contextmanager
def uploading(file: DiskFile, **options: Any) -> Iterator[NodeUpload]:
    """Runs tus-js-client with these options."""
    running = NodeUpload(file, options)
    try:
        yield running
    finally:
        running.stop()
