"""The clock file: how long the service has run, over all its processes.

`{"ran_s": 1234.5, "boot": "...", "stopped": false, "crc": "0a1b2c3d"}`: the seconds that the service has run;
the id of the machine's boot; whether the last process stopped cleanly; and the CRC-32C of the rest. Files of
older versions have the first two fields only. Every method blocks on the disk.
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
"""Its content is a new one each time that the machine boots."""
_MAX_RAN_S: Final = 1e15


@dataclass(frozen=True, slots=True)
class ClockState:
    """The content of the clock file. The names of the fields are those in the file."""

    ran_s: float
    boot: str
    stopped: bool

    @property
    def is_of_this_boot(self) -> bool:
        """Whether the machine has surely not rebooted since this was written."""
        return bool(self.boot) and self.boot == boot_id()


class ClockFile:
    """Reads and writes the clock file. Errors are OSError."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def exists(self) -> bool:
        """Returns whether there is a file: a server has run here before."""
        return self._file.exists()

    def read(self) -> ClockState | None:
        """Returns the content of the file; None if it is missing or damaged."""
        try:
            raw = json.loads(self._file.read_bytes())
            if "crc" in raw and raw.pop("crc") != _crc(raw):
                return None
            state = ClockState(float(raw["ran_s"]), str(raw.get("boot") or ""), raw.get("stopped") is True)
        except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
            return None
        return state if math.isfinite(state.ran_s) and 0 <= state.ran_s < _MAX_RAN_S else None

    def write(self, state: ClockState, *, sync: bool) -> None:
        """Replaces the file. The caller syncs the directory."""
        content = dataclasses.asdict(state)
        content["crc"] = _crc(content)
        new_file = self._file.with_suffix(".tmp")
        fd = os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, json.dumps(content).encode(), 0)
            if sync:
                os.fdatasync(fd)
        finally:
            close_descriptor(fd)
        new_file.replace(self._file)


def boot_id() -> str:
    """Returns the id of the machine's current boot; empty if the system does not tell it."""
    try:
        return BOOT_ID.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _crc(content: dict[str, Any]) -> str:
    return f"{checksum(json.dumps(content, sort_keys=True).encode()):08x}"
