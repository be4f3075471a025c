"""A new user follows a page of the docs in an empty folder, with nothing but the wheel: `make stopwatch`.

Packages come from the index, as for that user, so this needs the network. It prints a table of the times.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.e2e.test_readme import choose, shown
from tests.how_to.test_two_servers import PROGRAMS, Installation
from tests.recipes.hosting import NEEDS, SERVES, commands_of
from tests.support.data import FileBytes
from tests.support.engines import Browser
from tests.support.installed import Installed
from tests.support.ports import free_port
from tests.support.server import ROOT
from tests.support.snippets import code_of
from tests.support.tools import program
from tests.support.waiting import wait_until

TWO_SERVERS_S: Final = 600
LIMITS_S: Final = {"flask": 300, "fastapi": 420, "starlette": 420, "django": 420, "express": 420, "php": 300}
COPY_S: Final = 30
"""So long a person takes to copy one block from the page to a file or a terminal."""
SIZE_BYTES: Final = 20_000_000
STEP_S: Final = 200.0


class NewUser:
    """Somebody with a folder, a shell and the page."""

    def __init__(self, recipe: str, folder: Path, installed: Installed) -> None:
        page = ROOT / f"docs/how-to/{recipe}.md"
        ports = {"4000": str(free_port()), "8080": str(free_port())}
        self.folder, self.url = folder, f"http://localhost:{ports['8080']}"
        self.incoming_url = f"http://localhost:{ports['4000']}"
        static = next(installed.bin.parent.glob("lib/python3*/site-packages/incoming/static"))

        def with_ports(code: str) -> str:
            return re.sub(r"\b(4000|8080)\b", lambda found: ports[found[1]], code)

        self.blocks = code_of(page)
        for block in self.blocks:
            file = folder / block.source.removeprefix(f"examples/recipes/{recipe}/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(with_ports(block.code) + "\n", "utf-8")
            if recipe == "django":
                (folder / "uploader/__init__.py").touch()
        shell = with_ports("\n".join(commands_of(page)))
        shell = shell.replace("/path/to/the/clone/static", str(static))
        *before, self.start = shell.replace("/path/to/the/clone", str(installed.wheel)).splitlines()
        self.install = [line for line in before if not SERVES.match(line)]
        self.serve = next(filter(SERVES.match, before), "incoming") + f" --port {ports['4000']}"
        kept = {name: os.environ[name] for name in ("HOME", "PATH", "LANG") if name in os.environ}
        self.environment = kept | {"PATH": f"{folder}/.venv/bin:{kept['PATH']}"}

    def run(self, *lines: str) -> None:
        """Runs lines in the shell. Raises AssertionError with what they said if one fails."""
        done = subprocess.run(
            ["bash", "-ec", "\n".join(lines)], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=STEP_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    @contextmanager
    def running(self, line: str, url: str) -> Iterator[None]:
        """Runs a line in a terminal of its own, until the block ends; begins when the address answers."""
        log = self.folder / f"{line.partition(' ')[0]}.log"
        with log.open("w") as opened, subprocess.Popen(
            ["bash", "-ec", line], cwd=self.folder, env=self.environment, stdout=opened, stderr=opened,
            start_new_session=True,
        ) as process:  # fmt: skip
            try:
                wait_until(lambda: self._answers(process, url, log), f"{url} answers")
                yield
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    @staticmethod
    def _answers(process: subprocess.Popen[bytes], url: str, log: Path) -> bool:
        assert process.poll() is None, log.read_text()
        with suppress(requests.ConnectionError):
            return requests.get(url, timeout=60).ok
        return False


@pytest.mark.parametrize("recipe", LIMITS_S)
def test_a_new_user_has_an_app_of_their_own_in_time(
    recipe: str, installed: Installed, driver: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if recipe in NEEDS:
        program(NEEDS[recipe])
    folder = tmp_path / "empty"
    folder.mkdir()
    user = NewUser(recipe, folder, installed)
    content = FileBytes(SIZE_BYTES).read(0, SIZE_BYTES)
    (tmp_path / "holiday.mov").write_bytes(content)
    began_s = time.monotonic()
    if recipe not in NEEDS:
        user.run(f"{sys.executable} -m venv .venv")
    user.run(*user.install)
    installed_s = time.monotonic() - began_s
    with ExitStack() as stack:
        stack.enter_context(user.running(user.serve, f"{user.incoming_url}/incoming/healthz"))
        stack.enter_context(user.running(user.start, user.url))
        driver.get(user.url)
        choose(driver, tmp_path / "holiday.mov")
        listed = "return document.querySelector('ul')?.innerText"
        wait_until(lambda: "holiday.mov" in (driver.execute_script(listed) or ""), "it is on the list")
        driver.get("about:blank")
        machine_s = time.monotonic() - began_s
        (stored,) = folder.glob("uploads/*/*")
        assert stored.read_bytes() == content
    with capsys.disabled():
        taken_s = tell(recipe, installed_s, machine_s, len(user.blocks) + 2)
    assert taken_s < LIMITS_S[recipe]


def tell(what: str, installed_s: float, machine_s: float, copied: int) -> float:
    """Prints how long it took, with so many copied blocks. Returns the sum, in seconds."""
    person_s = COPY_S * copied
    times = f"{installed_s:4.0f} s to install, {machine_s:4.0f} s to the end, {person_s:4} s to copy"
    print(f"\n{what:12}{times}")
    return machine_s + person_s


def test_a_new_user_has_two_servers_with_s3_in_time(
    installed: Installed, driver: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in PROGRAMS:
        program(name)
    folder = tmp_path / "empty"
    folder.mkdir()
    content = FileBytes(SIZE_BYTES).read(0, SIZE_BYTES)
    for name in ("holiday.mov", "again.mov"):
        (tmp_path / name).write_bytes(content)
    user = Installation(folder)
    environment = {name: os.environ[name] for name in ("HOME", "PATH", "LANG") if name in os.environ}
    began_s = time.monotonic()
    packages, *install = user.install.replace("/path/to/the/clone", str(installed.wheel)).splitlines()
    assert packages.startswith("sudo apt-get install ")  # it is there
    subprocess.run(
        ["bash", "-ec", "\n".join(install)], cwd=folder, env=environment, check=True, timeout=TWO_SERVERS_S
    )
    installed_s = time.monotonic() - began_s
    path = f"{folder}/.venv/bin:{environment['PATH']}"
    with user.running(environment | {"PATH": path}):
        driver.get(user.app_url)
        choose(driver, tmp_path / "holiday.mov")
        wait_until(lambda: "Uploaded" in shown(driver), "the page says that it is uploaded")
        machine_s = time.monotonic() - began_s
        user.kill("one")
        driver.get(user.app_url)
        choose(driver, tmp_path / "again.mov")
        wait_until(lambda: "Uploaded" in shown(driver), "the other server has taken one, too")
        driver.get("about:blank")
        stored = list(folder.glob("uploads/*"))
        assert [file.read_bytes() == content for file in stored] == [True, True]
    with capsys.disabled():
        taken_s = tell("two servers", installed_s, machine_s, user.blocks + 2)
    assert taken_s < TWO_SERVERS_S
