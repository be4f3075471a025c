"""A certificate authority of one's own, as companies have one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from tests.support.tools import program

KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


class Authority:
    """Its certificate is `file`. Nobody trusts it who is not told to."""

    def __init__(self, folder: Path) -> None:
        """Makes `folder`. Raises MissingTool."""
        folder.mkdir()
        self.file, self._key = folder / "authority.pem", folder / "authority.key"
        _openssl("-subj", "/CN=Authority", "-keyout", str(self._key), "-out", str(self.file))

    def issue(self, folder: Path, name: str = "localhost") -> None:
        """Makes `cert.pem` and `key.pem` for a host."""
        kind = ["-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=critical,CA:FALSE"]
        signed = ["-CA", str(self.file), "-CAkey", str(self._key)]
        files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
        _openssl("-subj", f"/CN={name}", *kind, *signed, *files)


def _openssl(*options: str) -> None:
    command = [program("openssl"), "req", "-x509", *KEY, *options]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
