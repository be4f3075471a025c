"""A real nginx in front of two servers, as docs/how-to/two-servers.md says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from tests.support.ports import free_port
from tests.support.server import ROOT
from tests.support.tools import program
from tests.test_docs import code_blocks

PAGE: Final = ROOT / "docs/how-to/two-servers.md"
DOCUMENTED: Final = ("127.0.0.1:4001", "127.0.0.1:4002")


class Balancer:
    """nginx with the page's configuration, for servers at other addresses. A context manager."""

    def __init__(self, folder: Path, addresses: Sequence[str]) -> None:
        """`addresses`: `host:port` of each of the two servers. Makes `folder`. Raises MissingTool."""
        folder.mkdir(exist_ok=True)
        port = free_port()
        self.host = f"127.0.0.1:{port}"
        self.log_file = folder / "error.log"
        (conf,) = code_blocks(PAGE, "nginx")
        for documented, address in zip(DOCUMENTED, addresses, strict=True):
            conf = conf.replace(documented, address)
        conf = conf.replace("127.0.0.1:4000", self.host)
        user = "" if os.geteuid() else "user root;\n"
        (folder / "nginx.conf").write_text(f"daemon off;\n{user}{conf}")
        self._command = [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """`http://HOST:PORT`."""
        return f"http://{self.host}"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(60)
