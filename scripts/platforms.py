"""Asks the package index whether the server can be installed without a compiler.

It asks for each Python and platform, and installs nothing. `make platforms` runs it, and needs the network.
The exit code is 1 if something is missing.
"""

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "glibc, x86-64": ("manylinux2014_x86_64", "manylinux_2_28_x86_64"),
    "glibc, arm64": ("manylinux2014_aarch64", "manylinux_2_28_aarch64"),
    "musl, x86-64": ("musllinux_1_1_x86_64", "musllinux_1_2_x86_64"),
    "musl, arm64": ("musllinux_1_1_aarch64", "musllinux_1_2_aarch64"),
}
EXTRAS = ("redis", "botocore")
OPTIONAL_C = {"zope.interface", "zope-interface"}
"""Without a compiler, their C part is left out, and they work."""


def pip_report(*options: str) -> list[dict]:
    """Returns what pip would install. Raises RuntimeError with what it says."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    command += ["--report", "-", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout)["install"]


def packages() -> list[str]:
    """Returns all packages of an installation, pinned."""
    found = pip_report("--requirement", "requirements.txt", "--constraint", "requirements-test.txt", *EXTRAS)
    return [f"{one['metadata']['name']}=={one['metadata']['version']}" for one in found]


def without_wheel(pinned: list[str], python: str, tags: tuple[str, ...]) -> list[str]:
    """Returns the packages that have no wheel for this Python and platform. Raises RuntimeError."""
    with tempfile.TemporaryDirectory() as nothing:
        options = ["--no-deps", "--target", nothing, "--implementation", "cp", "--python-version", python]
        options += [word for tag in tags for word in ("--platform", tag)]
        found = pip_report(*options, *pinned)
    return [one["metadata"]["name"] for one in found if not one["download_info"]["url"].endswith(".whl")]


def main() -> None:
    """Prints a line for each Python and platform."""
    pinned, missing = packages(), False
    for (name, tags), python in itertools.product(PLATFORMS.items(), PYTHONS):
        try:
            built = without_wheel(pinned, python, tags)
        except RuntimeError as problem:
            missing, result = True, str(problem)
        else:
            missing = missing or not OPTIONAL_C.issuperset(built)
            result = f"{len(pinned) - len(built)} wheels"
            result += f"; from source, without a compiler: {', '.join(built)}" if built else ""
        print(f"{name:<15} Python {python:<6} {result}", flush=True)
    sys.exit(missing)


if __name__ == "__main__":
    main()
