"""A folder that is uploaded as one, from real browsers: chosen, cut off, chosen again after a reload."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import StartServer
from tests.support.app import DONE, Delivery, Reply, ScriptedApp
from tests.support.data import MIB, FileBytes
from tests.support.engines import Browser, in_make_engines
from tests.support.relay import Relay
from tests.support.server import RunningServer, new_upload
from tests.support.site import serve_page
from tests.support.waiting import wait_until

SLOW_BYTES_PER_S: Final = MIB
AT_S: Final = 1_600_000_000
PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Folder</title>
<input type="file" id="folder" webkitdirectory> <input type="file" id="files" multiple>
<script src="{server}/incoming/frontend/incoming.js"></script>
<script>
  incoming.set_server_hostname("{network}");
  window.options = {{}};
  const upload = (files) => {{
    window.uploader = incoming.Uploader("{ticket}", files, window.options).start();
  }};
  document.getElementById("folder").onchange = ({{ target }}) => upload(target.files);
  document.getElementById("files").onchange = ({{ target }}) => (
    upload(window.paths.map((path, at) => ({{ path, file: target.files[at] }}))));
</script>"""


@dataclass
class Visit:
    """A browser at a page for one folder, a network, the server, and the app, which moves the folder away."""

    driver: Browser
    url: str
    server: RunningServer
    network: Relay
    kept: Path

    def choose(self, folder: Path, prepare: str = "") -> None:
        """Opens the page, runs a script there, and chooses the folder, as the file dialog does.

        Only the driver of Chromium can choose a folder. The others choose its files, and the page has their
        places.
        """
        self.driver.get(self.url)
        self.driver.execute_script(prepare)
        if self.driver.engine == "chromium":
            self.driver.find_element("id", "folder").send_keys(str(folder))
        else:
            files = [path for path in folder.rglob("*") if path.is_file()]
            paths = [str(path.relative_to(folder.parent)) for path in files]
            self.driver.execute_script("window.paths = arguments[0]", paths)
            self.driver.find_element("id", "files").send_keys("\n".join(map(str, files)))
        wait_until(lambda: self.driver.execute_script("return !!window.uploader"), "the folder is chosen")

    def look(self) -> dict[str, Any]:
        """Returns all properties of the uploader."""
        properties: dict[str, Any] = self.driver.execute_script("return window.uploader.snapshot()")
        return properties

    def wait_for(self, **wanted: object) -> dict[str, Any]:
        """Waits until properties have these values. Returns all."""
        seen: dict[str, Any] = {}

        def are_there() -> bool:
            seen.update(self.look())
            return all(seen[name] == value for name, value in wanted.items())

        try:
            wait_until(are_there, f"{wanted}")
        except AssertionError as exc:
            raise AssertionError(f"{exc}; {seen}") from None
        return seen

    def wait_until_stored(self, share: float) -> None:
        """Waits until so much of the folder is stored."""
        wait_until(lambda: self.look()["frac_complete"] >= share, f"{share} is stored")


@pytest.fixture
def visit(clean_driver: Browser, start_server: StartServer, tmp_path: Path) -> Iterator[Visit]:
    """Everything that a folder needs on its way."""
    kept = tmp_path / "kept"

    def keep(delivery: Delivery) -> Reply:
        Path(delivery.fields["filename"]).rename(kept)
        return DONE

    with ExitStack() as stack:
        app = stack.enter_context(ScriptedApp(keep))
        app.hash_files = False
        server = start_server(chunk_size_kib=256, connection_timeout_s=120)
        network = stack.enter_context(Relay(server.port))
        ticket_id = new_upload(server, app.url, destType="folder", removeFileWhenFinished="false")
        page = PAGE.format(server=server.url, network=network.host, ticket=ticket_id)
        url = stack.enter_context(serve_page(page))
        yield Visit(clean_driver, url, server, network, kept)


def make_tree(root: Path, sizes: dict[str, int]) -> dict[str, tuple[bytes, int]]:
    """Makes a folder; returns the bytes and the time (in s) of each file, by its path."""
    for number, (path, length_bytes) in enumerate(sizes.items()):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as opened:
            opened.writelines(FileBytes(length_bytes, number).blocks())
        os.utime(file, (AT_S + number, AT_S + number))
    return tree(root)


def tree(root: Path) -> dict[str, tuple[bytes, int]]:
    """Returns the bytes and the time (in s) of each file of a folder, by its path."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.read_bytes(), int(path.stat().st_mtime)) for path in files}


MIXED: Final = {
    **{f"small/{number:03}.txt": 1 + 97 * number for number in range(150)},
    "large.bin": 6 * MIB,
    "deep/er/Grüße 日本.txt": 5000,
    "empty.txt": 0,
}


@pytest.mark.everywhere
def test_a_chosen_folder_resumes_after_a_cut_and_a_reload_and_arrives_with_its_times(
    visit: Visit, tmp_path: Path
) -> None:
    sent = make_tree(tmp_path / "Holiday", MIXED)
    visit.network.bytes_per_s = SLOW_BYTES_PER_S
    visit.network.max_bytes = 2 * MIB  # over each connection: it does not end meanwhile
    visit.choose(tmp_path / "Holiday")
    visit.wait_until_stored(0.2)
    assert visit.look()["filename"] == "Holiday"
    assert visit.look()["files_total"] == len(sent)
    visit.network.cut()
    visit.wait_until_stored(0.4)
    assert visit.look()["current_file"] == "large.bin"
    visit.choose(tmp_path / "Holiday")
    visit.wait_until_stored(0.4)
    visit.network.bytes_per_s = 0
    visit.wait_for(state="finished", files_acked=len(sent), left_out=[])
    assert tree(visit.kept) == sent
    claims = [line for line in visit.server.log_text().splitlines() if ": claimed at " in line]
    assert len(claims) == 3
    assert not any("claimed at 0 of" in line for line in claims[1:]), "it did not begin anew"


def test_the_same_folder_with_one_more_file_does_not_resume_and_the_first_one_does(
    visit: Visit, tmp_path: Path
) -> None:
    folder = tmp_path / "Holiday"
    sent = make_tree(folder, {"a.bin": 2 * MIB, "b.bin": 2 * MIB})
    visit.network.bytes_per_s = SLOW_BYTES_PER_S
    visit.network.max_bytes = MIB + MIB // 2
    visit.choose(folder)
    visit.wait_until_stored(0.2)
    (folder / "c.txt").write_text("new")
    visit.choose(folder)
    assert visit.wait_for(state="failed")["reason"] == "length_mismatch"
    (folder / "c.txt").unlink()
    os.utime(folder / "b.bin", (AT_S + 50, AT_S + 50))
    visit.choose(folder)
    assert visit.wait_for(state="failed")["reason"] == "wrong_file"
    os.utime(folder / "b.bin", (AT_S + 1, AT_S + 1))
    visit.network.bytes_per_s = 0
    visit.choose(folder)
    visit.wait_for(state="finished")
    assert tree(visit.kept) == sent


@in_make_engines
def test_a_folder_arrives_over_http(visit: Visit, tmp_path: Path) -> None:
    sent = make_tree(tmp_path / "Holiday", MIXED)
    visit.choose(tmp_path / "Holiday", "incoming.transport = 'http'")
    visit.wait_for(state="finished", files_acked=len(sent))
    assert tree(visit.kept) == sent


def test_a_file_that_changes_while_the_folder_is_sent_is_left_out(visit: Visit, tmp_path: Path) -> None:
    folder = tmp_path / "Holiday"
    sent = make_tree(folder, {"a.bin": 2 * MIB, "b.bin": MIB, "c.bin": 32 * MIB, "d.bin": MIB})
    visit.network.bytes_per_s = SLOW_BYTES_PER_S
    visit.network.max_bytes = 4 * MIB  # the page can't read all of the largest file ahead
    visit.choose(folder, "window.options = { when_unreadable: 'leave_out' }")
    wait_until(lambda: visit.look()["current_file"] == "c.bin", "its largest file is on its way")
    for name in ("c.bin", "d.bin"):
        (folder / name).write_bytes(b"another content")
    visit.network.bytes_per_s = 0
    visit.wait_for(state="finished", left_out=["c.bin", "d.bin"], files_acked=2)
    assert tree(visit.kept) == {name: sent[name] for name in ("a.bin", "b.bin")}
