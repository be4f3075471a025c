"""Builds the site with the docs. Each version has a folder, and a menu on each page leads to the others.

    docs_site.py SITE               the docs of this tree, into SITE/VERSION
    docs_site.py SITE --committed   those of the last commit, and of each tag such as v1.2.0 that SITE lacks
    docs_site.py SITE --index       builds nothing

Each ends with SITE/versions.json, which the menu reads, and SITE/index.html, which leads to the newest
version. Both follow from the folders that are there. So the folders of other versions stay.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from packaging.version import InvalidVersion, Version

ROOT: Final = Path(__file__).resolve().parent.parent
VERSION: Final = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
TAG: Final = re.compile(r"v?(\d+\.\d+\.\d+)")
INDEX: Final = """<!doctype html>
<meta charset="utf-8">
<title>Incoming!!</title>
<meta http-equiv="refresh" content="0; url={version}/index.html">
<a href="{version}/index.html">The docs of Incoming!! {version}</a>
"""


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("site", type=Path)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--committed", action="store_true")
    what.add_argument("--index", action="store_true")
    options = parser.parse_args()
    site: Path = options.site.resolve()
    if options.committed:
        build_committed(site)
    elif not options.index:
        build(ROOT, site, strict=True)
    print("docs of " + ", ".join(write_index(site)))


def build_committed(site: Path) -> None:
    """Builds the docs of the last commit, and of each release that the site lacks.

    A broken link in those of a release can't be mended any more, so it is no error there.
    """
    build_commit("HEAD", site, strict=True)
    for tag in _git("tag", "--list").split():
        if (found := TAG.fullmatch(tag)) and not (site / found[1]).exists():
            build_commit(tag, site, strict=False)


def build_commit(revision: str, site: Path, strict: bool) -> None:
    """Builds the docs of a commit, in a folder that is removed then."""
    with tempfile.TemporaryDirectory() as tree:
        archive = subprocess.run(["git", "archive", revision], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", tree], input=archive.stdout, check=True)
        build(Path(tree), site, strict)


def build(tree: Path, site: Path, strict: bool) -> None:
    """Builds the docs of a tree into the folder of its version. Ends the program if that fails."""
    (version,) = VERSION.findall((tree / "incoming/__init__.py").read_text("utf-8"))
    # Not with --quiet: MkDocs would then count no warning, and a broken link would not fail the build.
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site / version)]
    command.append("--strict" if strict else "--no-strict")
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if not line.startswith("INFO")]
        sys.exit("\n".join([*said, f"The docs of {version} could not be built."]))


def write_index(site: Path) -> list[str]:
    """Writes versions.json and index.html. Returns the versions that the site has, the newest first."""
    versions = sorted(filter(None, map(_version, site.iterdir())), reverse=True)
    released = [version for version in versions if not version.is_prerelease]
    newest = (released or versions)[0]
    entries = [
        {"version": str(version), "title": str(version), "aliases": ["latest"] if version == newest else []}
        for version in versions
    ]
    (site / "versions.json").write_text(json.dumps(entries, indent=1) + "\n", "utf-8")
    (site / "index.html").write_text(INDEX.format(version=newest), "utf-8")
    return [str(version) for version in versions]


def _version(folder: Path) -> Version | None:
    try:
        return Version(folder.name) if (folder / "index.html").is_file() else None
    except InvalidVersion:
        return None


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
