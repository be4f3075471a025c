"""Certificates for tests: of a host that has signed its own, and of an authority as companies have one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from tests.support.tools import program

KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def make_certificate(folder: Path, host: str = "localhost", *addresses: str) -> None:
    """Makes `cert.pem` and `key.pem` for a host and its IP addresses, self-signed. Raises MissingTool."""
    _make_for_host(folder, host, addresses)


class Authority:
    """Its certificate is `file`. Nobody trusts it who is not told to."""

    def __init__(self, folder: Path) -> None:
        """Makes `folder`. Raises MissingTool."""
        folder.mkdir()
        self.file, self._key = folder / "authority.pem", folder / "authority.key"
        _openssl("-subj", "/CN=Authority", "-keyout", str(self._key), "-out", str(self.file))

    def issue(self, folder: Path, host: str = "localhost") -> None:
        """Makes `cert.pem` and `key.pem` for a host."""
        signed = ("-CA", str(self.file), "-CAkey", str(self._key))
        _make_for_host(folder, host, (), "-addext", "basicConstraints=critical,CA:FALSE", *signed)


def _make_for_host(folder: Path, host: str, addresses: tuple[str, ...], *options: str) -> None:
    names = ",".join([f"DNS:{host}", *(f"IP:{address}" for address in addresses)])
    files = ("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"))
    _openssl("-subj", f"/CN={host}", "-addext", f"subjectAltName={names}", *options, *files)


def _openssl(*options: str) -> None:
    command = [program("openssl"), "req", "-x509", *KEY, *options]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
