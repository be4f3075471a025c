"""The app of docs/how-to/embedding.md and example 4, as they stand there."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import requests

from tests.support.client_v1 import ClientV1
from tests.support.data import MIB, FileBytes
from tests.support.hosts import CohostedServer
from tests.support.server import ROOT
from tests.support.waiting import wait_until


class DocumentedApp(CohostedServer):
    """The first Python block of docs/how-to/embedding.md, on a port of the test's own."""

    def _command(self) -> list[str]:
        text = (ROOT / "docs/how-to/embedding.md").read_text("utf-8")
        folder = self.storage_dir.parent
        (block,) = re.findall(r"```python\n(from gevent.*?)```", text, re.DOTALL)
        (html,) = re.findall(r"```html\n(.*?)```", text, re.DOTALL)
        (folder / "app.py").write_text(block.replace("8080", str(self.port)))
        (folder / "page.html").write_text(html)
        return ["sh", "-c", f"cd {folder}; exec {sys.executable} app.py"]


class ExampleApp(CohostedServer):
    """Example 4, from a copy."""

    def _command(self) -> list[str]:
        folder = self.storage_dir.parent / "4-cohosted"
        shutil.copytree(
            ROOT / "examples/4-cohosted", folder, ignore=shutil.ignore_patterns("uploads"), dirs_exist_ok=True
        )
        place = ["--port", str(self.port), "--storage-dir", str(self.storage_dir)]
        return [sys.executable, str(folder / "backend.py"), *place]


def test_the_documented_app_takes_a_file(tmp_path: Path) -> None:
    with DocumentedApp(tmp_path / "storage") as host:
        assert "incoming.js" in requests.get(host.url, timeout=60).text
        client = ClientV1(host.url, host.post("/ticket"), FileBytes(MIB, 1))
        client.upload()
        assert (tmp_path / "uploads" / client.ticket_id).read_bytes() == b"".join(client.data.blocks())


def test_the_example_takes_a_file_across_a_kill(tmp_path: Path) -> None:
    with ExampleApp(tmp_path / "storage") as host:
        assert "incoming.js" in requests.get(host.url, timeout=60).text
        client = ClientV1(host.url, host.post("/ticket"), FileBytes(12 * MIB, 2))
        client.open().send_until_acked(4 * MIB)
        host.restart()
        client.upload()
        assert client.resumed_at[-1] >= 4 * MIB
        taken = tmp_path / "4-cohosted/uploads" / client.ticket_id / "file"
        assert taken.stat().st_size == 12 * MIB
        wait_until(lambda: "sent 'holiday.mov', 12582912 bytes" in host.log_text(), "the app's line")


class DeafExampleApp(ExampleApp):
    """The same, on a full disk that its output goes to."""

    def _command(self) -> list[str]:
        return ["sh", "-c", 'exec "$0" "$@" >/dev/full', *super()._command()]


def test_the_example_takes_a_file_when_its_output_can_not_be_written(tmp_path: Path) -> None:
    with DeafExampleApp(tmp_path / "storage") as host:
        client = ClientV1(host.url, host.post("/ticket"), FileBytes(MIB, 2))
        client.upload()
        assert (tmp_path / "4-cohosted/uploads" / client.ticket_id / "file").stat().st_size == MIB
