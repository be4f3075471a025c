"""A real HAProxy in front of the server: as its how-to page says, or with the lines of a test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.support.certificates import make_certificate
from tests.support.proxy import Proxy
from tests.support.server import ROOT
from tests.support.tools import program
from tests.test_docs import code_blocks

PAGE: Final = ROOT / "docs/how-to/haproxy.md"


class Haproxy(Proxy):
    """HAProxy with the configuration of its page; `change` it before it starts."""

    def __init__(self, folder: Path, server_port: int, app_port: int = 1) -> None:
        """Makes `folder`. Raises MissingTool."""
        site, *_ = code_blocks(PAGE, "haproxy")
        super().__init__(folder, site)
        make_certificate(folder, "localhost", "127.0.0.1")
        pair = ((folder / name).read_text() for name in ("cert.pem", "key.pem"))
        (folder / "both.pem").write_text("".join(pair))
        self.change(r"bind :443", f"bind 127.0.0.1:{self.port}")
        self.change(r"bind :80\b", f"bind 127.0.0.1:{self.plain_port}")
        self.change(r"127\.0\.0\.1:4000\b", f"127.0.0.1:{server_port}")
        self.change(r"127\.0\.0\.1:8080\b", f"127.0.0.1:{app_port}")
        self.change(r"/etc/haproxy/example\.org\.pem", str(folder / "both.pem"))
        self.change(r"log /dev/log local0", "log stdout format raw local0")

    def _write(self) -> None:
        (self.folder / "haproxy.cfg").write_text(self.site)

    def _command(self) -> list[str]:
        return [program("haproxy", "/usr/sbin/haproxy"), "-db", "-f", str(self.folder / "haproxy.cfg")]


BARE_SITE: Final = """
global
    log stdout format raw local0

defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s

frontend site
    bind 127.0.0.1:{port}
    bind 127.0.0.1:{plain_port}
    default_backend incoming
    # in the frontend

backend incoming
    server incoming 127.0.0.1:{server_port}
    # in the backend

"""


class BareHaproxy(Haproxy):
    """HAProxy as people set it up who do not think of uploads, without TLS."""

    def __init__(self, folder: Path, server_port: int) -> None:
        """Makes `folder`. Raises MissingTool."""
        super().__init__(folder, server_port)
        self.site = BARE_SITE.format(port=self.port, plain_port=self.plain_port, server_port=server_port)

    def paste(self, *pieces: str) -> None:
        """Does what the doctor says: puts lines where their comment says, or removes what they name.

        A directive replaces the same one of its section.
        """
        for piece in pieces:
            self._paste(piece)

    def _paste(self, piece: str) -> None:
        if piece.startswith("remove "):
            self._remove(" ".join(piece.split()[1:3]))
            return
        directive, comment, place = piece.partition("  # ")
        if not comment:
            self.site += f"{piece}\n"
            return
        before, mark, after = self.site.partition(f"    # {place}\n")
        assert mark, f"there is no place {place}"
        start, section, lines = before.rpartition("\n\n")
        name = " ".join(directive.removeprefix("no ").split()[:2])
        kept = re.sub(rf"(?m)^    (no )?{re.escape(name)}\b.*\n", "", lines)
        self.site = f"{start}{section}{kept}    {directive}\n{mark}{after}"

    def _remove(self, directive: str) -> None:
        self.site = re.sub(rf"(?m)^    {re.escape(directive)}\b.*\n", "", self.site)
