"""How `make` installs packages: it shows their names alone, and what the installer said if it has failed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.support.server import ROOT

METADATA: Final = "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
WHEEL: Final = "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
MISSING: Final = "no-such-package-is-here"


def tiny_wheel(folder: Path) -> Path:
    """Makes the wheel of a package without dependencies in a folder."""
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny.py", "IS_HERE = True\n")
        wheel.writestr("tiny-1.0.dist-info/METADATA", METADATA)
        wheel.writestr("tiny-1.0.dist-info/WHEEL", WHEEL)
        wheel.writestr("tiny-1.0.dist-info/RECORD", "tiny.py,,\n")
    return path


class Maker:
    """Makes one environment in a folder that may be empty, with some lines of requirements."""

    def __init__(self, folder: Path) -> None:
        self.venv, self._requirements = folder / "venv", folder / "requirements.txt"
        self._scripts = folder / "scripts"
        self._scripts.mkdir()
        for name in ("make-venv.sh", "packages.sh"):
            text = (ROOT / "scripts" / name).read_text("utf-8").replace("in /etc ", f"in {folder}/etc ")
            (self._scripts / name).write_text(text, "utf-8")

    def run(self, requirements: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Runs the script with these variables, and none that pip or Python would know besides."""
        self._requirements.write_text(requirements + "\n", "utf-8")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))}
        return subprocess.run(
            ["bash", self._scripts / "make-venv.sh", self.venv, self._requirements],
            env=kept | {"PYTHON": sys.executable} | environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def has(self, module: str) -> bool:
        """Tells whether the environment has a module."""
        return (
            subprocess.run([self.venv / "bin/python", "-c", f"import {module}"], check=False).returncode == 0
        )


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    """One whose environment is in the test's folder."""
    return Maker(tmp_path)


def test_an_installer_is_heard_only_if_it_fails_and_the_next_run_begins_anew(
    maker: Maker, tmp_path: Path
) -> None:
    folder = tiny_wheel(tmp_path).parent
    no_index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"{folder} {tmp_path / 'nothing'}"}
    failed = maker.run(f"tiny==1.0\n{MISSING}", no_index)
    assert failed.returncode != 0
    assert f"No matching distribution found for {MISSING}" in failed.stderr
    assert "could not be installed: see above" in failed.stderr
    left = maker.venv / "left-by-the-failed-run"
    left.touch()
    done = maker.run("tiny==1.0", no_index)
    assert (done.returncode, done.stderr) == (0, "")
    first, *names, last = done.stdout.splitlines()
    assert (first[:10], names[:1], names[1:], last[:9]) == (
        "Installing", ["  tiny==1.0"], ["  unpacking ..."], "Installed",
    )  # fmt: skip
    assert maker.has("tiny")
    assert not left.exists()
    assert (
        subprocess.run([maker.venv / "bin/pip", "--version"], capture_output=True, check=False).returncode
        == 0
    )


def test_uv_installs_the_packages_if_it_is_there_and_pip_is_not_configured(
    maker: Maker, tmp_path: Path
) -> None:
    stub = tmp_path / "bin" / "uv"
    stub.parent.mkdir()
    stub.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\necho " + tiny==1.0"\n', "utf-8")
    stub.chmod(0o755)
    empty = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path)}
    with_uv = empty | {"PATH": f"{stub.parent}:{os.environ['PATH']}"}
    done = maker.run("tiny==1.0", with_uv)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  tiny==1.0\n" in done.stdout
    calls = (tmp_path / "calls").read_text("utf-8")
    assert calls.startswith(f"pip install --python {maker.venv}/bin/python -r ")
    folder = tiny_wheel(tmp_path).parent
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip/pip.conf").write_text(f"[global]\nno-index = true\nfind-links = {folder}\n", "utf-8")
    assert maker.run("tiny", with_uv).returncode == 0
    assert (tmp_path / "calls").read_text("utf-8") == calls
    assert maker.has("tiny")
