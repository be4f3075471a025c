"""A real Apache in front of the server: as its how-to page says, or with the lines of a test."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from tests.support.certificates import make_certificate
from tests.support.proxy import Proxy
from tests.support.server import ROOT
from tests.support.tools import MissingTool, program
from tests.test_docs import code_blocks

PAGE: Final = ROOT / "docs/how-to/apache.md"
MODULES_DIRS: Final = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules")
MODULES: Final = (
    *("mpm_event", "authz_core", "alias", "allowmethods", "buffer", "env", "filter", "headers", "proxy"),
    *("proxy_http", "reqtimeout", "setenvif", "socache_shmcb", "ssl", "unique_id", "security2"),
)
MAIN: Final = """
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
ServerName localhost
{modules}
{user}
Listen 127.0.0.1:{port}
Listen 127.0.0.1:{plain_port}
DocumentRoot {readable}
ErrorLog {folder}/error.log
StartServers 1
Include {folder}/site.conf
"""


class Apache(Proxy):
    """Apache with the configuration of its page; `change` it before it starts."""

    def __init__(self, folder: Path, server_port: int, app_port: int = 1) -> None:
        """Makes `folder`. Raises MissingTool."""
        site, *_ = code_blocks(PAGE, "apache")
        super().__init__(folder, site)
        make_certificate(folder, "localhost", "127.0.0.1")
        self.server_port = server_port
        self.change(r"\*:443", f"*:{self.port}")
        self.change(r"\*:80\b", f"*:{self.plain_port}")
        self.change(r"127\.0\.0\.1:4000\b", f"127.0.0.1:{server_port}")
        self.change(r"127\.0\.0\.1:8080\b", f"127.0.0.1:{app_port}")
        self.change(r"/etc/ssl/example.org/fullchain.pem", str(folder / "cert.pem"))
        self.change(r"/etc/ssl/example.org/privkey.pem", str(folder / "key.pem"))
        self.change(r"/var/log/apache2/", f"{folder}/")

    def _write(self) -> None:
        user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
        modules = "\n".join(f"LoadModule {name}_module {_module(name)}" for name in MODULES)
        place = {"folder": self.folder, "port": self.port, "plain_port": self.plain_port}
        place["readable"] = _module("proxy").parent  # any folder: the workers can't enter the test's
        (self.folder / "apache.conf").write_text(MAIN.format(modules=modules, user=user, **place))
        (self.folder / "site.conf").write_text(self.site)

    def _command(self) -> list[str]:
        place = ["-d", str(self.folder), "-f", str(self.folder / "apache.conf")]
        return [program("apache2", "/usr/sbin/apache2", "httpd"), *place, "-D", "FOREGROUND"]


def _module(name: str) -> Path:
    """Returns where a module is. Raises MissingTool."""
    for folder in MODULES_DIRS:
        for file in (f"mod_{name}.so", f"mod_{name.removesuffix('2')}.so"):
            if (path := Path(folder, file)).is_file():
                return path
    raise MissingTool(f"Apache's module {name}")


BARE_SITE: Final = """
<VirtualHost *>
    ProxyPass / http://127.0.0.1:{server_port}/
</VirtualHost>
"""


class BareApache(Apache):
    """Apache as people set it up who do not think of uploads, without TLS."""

    def __init__(self, folder: Path, server_port: int) -> None:
        """Makes `folder`. Raises MissingTool."""
        super().__init__(folder, server_port)
        self.site = BARE_SITE.format(server_port=server_port)

    def paste(self, *pieces: str) -> None:
        """Does what the doctor says: puts directives before what is there, and sections behind it.

        A directive replaces the same one, but for ProxyPass, of which there may be many.
        """
        above, below = "", ""
        for piece in pieces:
            name = piece.split()[0]
            lines = "".join(f"    {line}\n" for line in piece.splitlines())
            if name.startswith("<"):
                below += lines
                continue
            above += lines.replace("127.0.0.1:4000", f"127.0.0.1:{self.server_port}")
            if name != "ProxyPass":
                self.site = re.sub(rf"(?m)^    {re.escape(name)}\b.*\n", "", self.site)
        self.change("(?m)^<VirtualHost .*\n", f"<VirtualHost *>\n{above}")
        self.change("</VirtualHost>", f"{below}</VirtualHost>")
