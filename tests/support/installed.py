"""The package as users get it, built and installed once for all tests that want it.

Files of tests run in processes of their own (`pytest -n`). The first one that asks builds, the others wait.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tests.support.server import ROOT

NOT_SOURCE: Final = shutil.ignore_patterns(
    *(".*", "node_modules", "__pycache__", "build", "dist", "*.egg-info", "incoming-storage"),
    "artifacts",
)
BUILT_AT_S: Final = 1_700_000_000
"""SOURCE_DATE_EPOCH of the builds, so that a second one can be compared with the first."""
EXTRAS: Final = "gunicorn,uwsgi"
TIMEOUT_S: Final = 300


def run(*command: object, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command. Raises AssertionError with what it said when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, **options
    )
    assert not done.returncode, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done


def build(source: Path, folder: Path) -> tuple[Path, Path]:
    """Builds a source distribution of a tree into a folder, and the wheel from that. Returns both files."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(BUILT_AT_S)}
    command = "import sys; from setuptools import build_meta; build_meta.{}(sys.argv[1])"  # what pip calls
    run(sys.executable, "-c", command.format("build_sdist"), folder, cwd=source, env=environment)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive, tempfile.TemporaryDirectory() as unpacked:
        archive.extractall(unpacked, filter="data")
        (tree,) = Path(unpacked).iterdir()
        run(sys.executable, "-c", command.format("build_wheel"), folder, cwd=tree, env=environment)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


@dataclass(frozen=True, slots=True)
class Installed:
    """What was built, and where it is installed."""

    source: Path
    """A copy of the tree: building leaves things behind, and somebody may be editing the tree meanwhile."""
    sdist: Path
    wheel: Path
    bin: Path
    """`bin` of an environment with nothing in it but the wheel, with the extras for web servers."""

    @classmethod
    def shared(cls, folder: Path) -> Self:
        """Returns what `folder` has, which processes share. Builds and installs it first, if nobody has."""
        folder.mkdir(exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done, dist = folder / "done", folder / "dist"
            if not done.exists():
                cls._make(folder, dist)
                done.touch()
        (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
        return cls(folder / "source", sdist, wheel, folder / "venv" / "bin")

    @staticmethod
    def _make(folder: Path, dist: Path) -> None:
        source = Path(shutil.copytree(ROOT, folder / "source", ignore=NOT_SOURCE))
        dist.mkdir()
        _, wheel = build(source, dist)
        run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
        pip = (sys.executable, "-m", "pip", "--python", folder / "venv" / "bin" / "python")
        pins = ("--constraint", ROOT / "requirements.txt", "--constraint", ROOT / "requirements-test.txt")
        run(*pip, "install", "--no-compile", *pins, f"{wheel}[{EXTRAS}]", cwd=folder)
        # What a server imports is compiled here once, and not against the deadline of the first test.
        compiling = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        imports = "import incoming.cli, incoming.commands.serve"
        run(folder / "venv" / "bin" / "python", "-c", imports, cwd=folder, env=compiling)
