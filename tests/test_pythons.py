"""The wheel on each Python that this machine has, as a user without rights: `make pythons`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.support.app import ScriptedApp
from tests.support.client_v2 import ClientV2
from tests.support.data import MIB, FileBytes
from tests.support.installed import Installed, run
from tests.support.server import ROOT
from tests.support.tools import program
from tests.support.waiting import wait_until

VERSIONS: Final = ("3.11", "3.12", "3.13", "3.14")
NOBODY: Final = 65534
DEADLINE_S: Final = 60.0
PYENV: Final = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"

pytestmark = pytest.mark.skipif(not os.environ.get("INCOMING_TEST_PYTHONS"), reason="make pythons runs it")


def interpreter(version: str) -> str:
    """Returns a Python of this version, from the PATH or from pyenv; an empty text if there is none."""
    candidates = [shutil.which(f"python{version}"), *sorted(PYENV.glob(f"{version}.*/bin/python"))]
    for candidate in filter(None, candidates):
        said = subprocess.run([str(candidate), "--version"], capture_output=True, text=True, check=False)
        if said.stdout.startswith(f"Python {version}."):
            return str(candidate)
    return ""


def as_nobody(python: str) -> list[str]:
    """Returns what has root start a command as a user that may write nowhere; nothing for anybody else."""
    if os.geteuid() != 0:
        return []
    words = [program("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    closed = [place for place in Path(python).resolve().parents if not place.stat().st_mode & 0o001]
    if closed:  # a Python in somebody's home: that user may enter it, and still write nowhere
        words += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return words


@contextmanager
def serving(command: Path, folder: Path, python: str) -> Iterator[str]:
    """Runs the command as a user that owns nothing but `folder`, and yields its address."""
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    log = folder.with_suffix(".log")
    words = [*as_nobody(python), str(command), "--host", "127.0.0.1", "--port", "0"]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("INCOMING_", "PYTHON"))}
    home = {"HOME": "/nonexistent"}
    with (
        log.open("wb") as output,
        subprocess.Popen(words, cwd=folder, env=inherited | home, stdout=output, stderr=output) as process,
    ):
        try:

            def address() -> str:
                assert process.poll() is None, log.read_text()
                ready = re.search(r"listens on (http://\S+)", log.read_text())
                return ready[1] if ready else ""

            yield wait_until(address, "it listens", DEADLINE_S)
            process.terminate()
            assert process.wait(DEADLINE_S) == 0, log.read_text()
            assert "Warning" not in log.read_text(), log.read_text()
        finally:
            process.kill()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_takes_an_upload_as_a_user_without_rights(
    version: str, installed: Installed, tmp_path: Path, app: ScriptedApp
) -> None:
    python = interpreter(version)
    if not python:
        pytest.skip(f"Python {version} is not here: make platforms says whether its wheels are")
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    venv = tmp_path / "venv"
    run(python, "-m", "venv", venv, cwd=tmp_path)
    pins = ("--constraint", ROOT / "requirements-test.txt")
    pip = (venv / "bin/python", "-m", "pip", "install", "-q")
    run(*pip, *pins, f"{installed.wheel}[redis,s3]", cwd=tmp_path)
    with serving(venv / "bin/incoming", tmp_path / "home", python) as url:
        answer = requests.post(
            f"{url}/incoming/backend/new_upload", {"signalFinishURL": app.url}, timeout=DEADLINE_S
        )
        client = ClientV2(url, answer.text, FileBytes(32 * MIB, 1))
        client.upload()
        assert app.about(client.ticket_id)[0].sha256 == client.data.sha256
