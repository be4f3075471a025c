"""The promise of the README's first screen: `run.py --examples`, killed in the middle and started again."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from incoming.commands.demo import EXAMPLES
from tests.e2e.stage import sha256
from tests.support.browser import Card, seen_progress, watch_progress
from tests.support.data import MIB, FileBytes
from tests.support.engines import Browser, in_make_engines
from tests.support.ports import free_port
from tests.support.server import ROOT, RunningServer
from tests.support.waiting import wait_until

LIMIT = """
    const [limit] = arguments, made = incoming.Uploader;
    incoming.Uploader = (...of) => Object.assign(window.uploader = made(...of), { max_bytes_per_s: limit });
"""
"""The next upload of the page has a limit: it does not end before something is done to it."""
ENGINES = ("chromium",)  # the pages are tested in all of them; this is about the process that serves them


class RunningTree(RunningServer):
    """`run.py --examples` in a copy of the tree, so that the uploads are the test's alone."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "storage")
        self.tree = folder / "tree"
        for name in ("incoming", "static"):
            shutil.copytree(ROOT / name, self.tree / name)
        shutil.copytree(ROOT / "examples", self.tree / "examples", ignore=shutil.ignore_patterns("uploads"))
        shutil.copy(ROOT / "run.py", self.tree)
        self.ports = {name: free_port() for name, _ in EXAMPLES}

    def start(self) -> None:
        """Starts the process; returns when the pages can be opened, too."""
        super().start()
        for port in self.ports.values():
            wait_until(partial(is_open, port), f"an example listens at port {port}")

    def _command(self) -> list[str]:
        interpreter, _, *options = super()._command()
        ports = ",".join(str(port) for port in self.ports.values())
        return [interpreter, str(self.tree / "run.py"), *options, "--examples", "--examples-ports", ports]


def is_open(port: int) -> bool:
    """Returns whether something listens at a port of this machine."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[RunningTree]:
    """The server and the examples in one process."""
    running = RunningTree(tmp_path)
    with running:
        yield running


@pytest.mark.parametrize("example", [pytest.param("1-simple", marks=in_make_engines), "2-dynamic"])
def test_an_upload_ends_in_the_apps_folder_although_all_of_it_was_killed_in_the_middle(
    clean_driver: Browser, tree: RunningTree, tmp_path: Path, example: str
) -> None:
    content = FileBytes(32 * MIB)
    path = tmp_path / "holiday.mov"
    with path.open("wb") as file:
        file.writelines(content.blocks())

    clean_driver.get(f"http://127.0.0.1:{tree.ports[example]}/")
    watch_progress(clean_driver)
    clean_driver.execute_script(LIMIT, MIB)
    page = Card(clean_driver)
    page.choose(path)
    page.wait_for_fraction(0.05)
    tree.kill()
    page.wait_for_text("[role=status]", "Trying again soon")
    assert 0.05 <= page.fraction() < 1
    tree.start()
    clean_driver.execute_script("uploader.max_bytes_per_s = 0")

    page.wait_for_text("main", "Finished: ")
    uploaded = tree.tree / "examples" / example / "uploads" / "holiday.mov"
    assert sha256(uploaded) == content.sha256
    assert seen_progress(clean_driver) == sorted(seen_progress(clean_driver))
