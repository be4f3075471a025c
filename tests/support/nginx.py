"""A real nginx in front of the server, as deploy/nginx.conf says, with a certificate of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from tests.support.certificates import make_certificate
from tests.support.owned_process import children_of
from tests.support.proxy import Proxy
from tests.support.server import ROOT
from tests.support.tools import program
from tests.support.waiting import wait_until

MAIN: Final = """
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
events {{ worker_connections 512; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/temp/body;
    proxy_temp_path {folder}/temp/proxy;
    fastcgi_temp_path {folder}/temp/fastcgi;
    uwsgi_temp_path {folder}/temp/uwsgi;
    scgi_temp_path {folder}/temp/scgi;
    include {folder}/site.conf;
}}
"""


class Nginx(Proxy):
    """nginx with the site of deploy/nginx.conf; `change` the site before it starts."""

    def __init__(self, folder: Path, server_port: int, app_port: int = 1) -> None:
        """Makes `folder`. Raises MissingTool."""
        super().__init__(folder, (ROOT / "deploy/nginx.conf").read_text("utf-8"))
        (folder / "temp").mkdir()
        make_certificate(folder, "localhost", "127.0.0.1")
        self.change(r"(?m)^ *listen \[::\].*\n", "")
        self.change(r"listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl")
        self.change(r"listen 80", f"listen 127.0.0.1:{self.plain_port}")
        self.change(r"127\.0\.0\.1:4000;", f"127.0.0.1:{server_port};")
        self.change(r"127\.0\.0\.1:8080;", f"127.0.0.1:{app_port};")
        self.change(r"/etc/ssl/example.org/fullchain.pem", str(folder / "cert.pem"))
        self.change(r"/etc/ssl/example.org/privkey.pem", str(folder / "key.pem"))
        self.change(r"/var/log/nginx/access.log", str(folder / "uploads.log"))
        self.change(r"server_name example.org", "server_name localhost 127.0.0.1")

    def use_prefix(self) -> None:
        """Takes the second example of the file, below a path, instead of the first."""
        self.change(r"(?s)    # The library and the uploads.*?(?=    # Or below)", "")
        self.change(r"(?m)^    #~ ", "    ")

    def _write(self) -> None:
        user = "user root;" if os.geteuid() == 0 else ""  # else the workers could not enter the test's folder
        (self.folder / "nginx.conf").write_text(MAIN.format(user=user, folder=self.folder))
        (self.folder / "site.conf").write_text(self.site)

    def _command(self) -> list[str]:
        place = ["-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        return [program("nginx", "/usr/sbin/nginx"), *place, "-e", str(self.folder / "error.log")]

    def workers(self) -> list[int]:
        """Returns the process ids of the workers, those included that only finish what they have begun."""
        assert self._process
        return children_of(self._process.pid)

    def reload(self) -> None:
        """`nginx -s reload` with the site as it is now; returns when a new worker runs."""
        self._write()
        before = set(self.workers())
        subprocess.run([*self._command(), "-s", "reload"], check=True, timeout=60)
        wait_until(lambda: set(self.workers()) - before, "a new worker")


PLAIN_SITE: Final = """
server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{plain_port};
    location / {{
        proxy_pass http://127.0.0.1:{server_port};
        {lines}
    }}
}}
"""


class PlainNginx(Nginx):
    """nginx as people set it up who do not think of WebSockets: it passes no upgrade on."""

    def __init__(self, folder: Path, server_port: int, lines: str = "") -> None:
        """`lines` are for its only location. Raises MissingTool."""
        super().__init__(folder, server_port)
        self.server_port = server_port
        self.say(lines)

    def say(self, lines: str) -> None:
        """Sets the lines of its location; they count from the next start or reload."""
        ports = {"port": self.port, "plain_port": self.plain_port, "server_port": self.server_port}
        self.site = PLAIN_SITE.format(lines=lines, **ports)
