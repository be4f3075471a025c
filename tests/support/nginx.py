"""A real nginx in front of the server, as deploy/nginx.conf says, with a certificate of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Final, Self

import requests

from tests.support.ports import free_port
from tests.support.server import ROOT
from tests.support.tools import program
from tests.support.waiting import wait_until

STOP_DEADLINE_S: Final = 10.0
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


def make_certificate(folder: Path) -> None:
    """Makes `cert.pem` and `key.pem` for localhost."""
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = [program("openssl"), "req", *kind, *names, *files]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


class Nginx:
    """nginx with the site of deploy/nginx.conf. A context manager; `change` the site before it starts."""

    def __init__(self, folder: Path, server_port: int, app_port: int = 1) -> None:
        """Makes `folder`. Raises MissingTool."""
        self.folder = folder
        self.port = free_port()
        self.plain_port = free_port()
        self.site = (ROOT / "deploy/nginx.conf").read_text("utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        for directory in (folder, folder / "temp"):
            directory.mkdir()
        make_certificate(folder)
        self.change(r"(?m)^ *listen \[::\].*\n", "")
        self.change(r"listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl")
        self.change(r"listen 80", f"listen 127.0.0.1:{self.plain_port}")
        self.change(r"127\.0\.0\.1:4000;", f"127.0.0.1:{server_port};")
        self.change(r"127\.0\.0\.1:8080;", f"127.0.0.1:{app_port};")
        self.change(r"/etc/ssl/example.org/fullchain.pem", str(folder / "cert.pem"))
        self.change(r"/etc/ssl/example.org/privkey.pem", str(folder / "key.pem"))
        self.change(r"/var/log/nginx/access.log", str(folder / "uploads.log"))
        self.change(r"server_name example.org", "server_name localhost 127.0.0.1")

    @property
    def host(self) -> str:
        """`localhost:PORT`, as browsers see it."""
        return f"localhost:{self.port}"

    @property
    def url(self) -> str:
        """`https://localhost:PORT`, without a slash at the end."""
        return f"https://{self.host}"

    def change(self, pattern: str, text: str) -> None:
        """Replaces what a regular expression finds in the site's file. Raises AssertionError for nothing."""
        self.site, count = re.subn(pattern, lambda _: text, self.site)
        assert count, f"deploy/nginx.conf has no {pattern}"

    def use_prefix(self) -> None:
        """Takes the second example of the file, below a path, instead of the first."""
        self.change(r"(?s)    # The library and the uploads.*?(?=    # Or below)", "")
        self.change(r"(?m)^    #~ ", "    ")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts nginx and returns when it answers."""
        user = "user root;" if os.geteuid() == 0 else ""  # else the workers could not enter the test's folder
        (self.folder / "nginx.conf").write_text(MAIN.format(user=user, folder=self.folder))
        self._write_site()
        with (self.folder / "start.log").open("wb") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(self._answers, "nginx answers")
        except BaseException:
            self.stop()
            raise

    def _write_site(self) -> None:
        (self.folder / "site.conf").write_text(self.site)

    def _command(self) -> list[str]:
        place = ["-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        return [program("nginx", "/usr/sbin/nginx"), *place, "-e", str(self.folder / "error.log")]

    def _answers(self) -> bool:
        assert self._process and self._process.poll() is None, (self.folder / "start.log").read_text()
        with contextlib.suppress(requests.ConnectionError):
            return bool(
                requests.get(f"http://127.0.0.1:{self.plain_port}/", allow_redirects=False, timeout=5)
            )
        return False

    def workers(self) -> list[int]:
        """Returns the process ids of the workers, those included that only finish what they have begun."""
        assert self._process
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def reload(self) -> None:
        """`nginx -s reload` with the site as it is now; returns when a new worker runs."""
        self._write_site()
        before = set(self.workers())
        subprocess.run([*self._command(), "-s", "reload"], check=True, timeout=30)
        wait_until(lambda: set(self.workers()) - before, "a new worker")

    def stop(self) -> None:
        """Ends nginx and its workers."""
        process, self._process = self._process, None
        if not process:
            return
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


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
