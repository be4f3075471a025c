"""How long the service has been running, over all its processes, in a small file beside the log.

`{"ran_s": 1234.5, "boot": "...", "stopped": false, "crc": "0a1b2c3d"}`: the seconds that it has run; in which
start of the machine that was; whether the process has ended by itself since; and the CRC-32C of the rest.
Files of older versions have the first two only. Every method here blocks on the disk.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from incoming.core.checksum import checksum
from incoming.runtime.gevent_runtime import close_descriptor

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""Another one each time that the machine starts."""
_LONGEST_S: Final = 1e15


@dataclass(frozen=True, slots=True)
class Kept:
    """What the file says."""

    ran_s: float
    boot: str
    stopped: bool

    @property
    def since_this_boot(self) -> bool:
        """Whether the machine has surely not been off since this was written."""
        return bool(self.boot) and self.boot == boot_id()


class ClockFile:
    """The file. Errors are OSError."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def exists(self) -> bool:
        """Returns whether there is one: a server has run here before."""
        return self._file.exists()

    def read(self) -> Kept | None:
        """Returns what the file says; None when it is missing or damaged."""
        try:
            raw = json.loads(self._file.read_bytes())
            if "crc" in raw and raw.pop("crc") != _crc(raw):
                return None
            kept = Kept(float(raw["ran_s"]), str(raw.get("boot") or ""), raw.get("stopped") is True)
        except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
            return None
        return kept if math.isfinite(kept.ran_s) and 0 <= kept.ran_s < _LONGEST_S else None

    def write(self, kept: Kept, *, sync: bool) -> None:
        """Puts a new file in the place of the old one. The caller syncs the directory."""
        content = dataclasses.asdict(kept)
        content["crc"] = _crc(content)
        beside = self._file.with_suffix(".tmp")
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, json.dumps(content).encode(), 0)
            if sync:
                os.fdatasync(fd)
        finally:
            close_descriptor(fd)
        beside.replace(self._file)


def boot_id() -> str:
    """Returns what tells this start of the machine from others; empty where the system does not say."""
    try:
        return BOOT_ID.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _crc(content: dict[str, Any]) -> str:
    return f"{checksum(json.dumps(content, sort_keys=True).encode()):08x}"
