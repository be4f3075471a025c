"""The site with the docs: no link is broken, it has a search, and it loads nothing from another host."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.server import ROOT

NEEDED: Final = ("docs", "scripts", "bench", "deploy", "examples")


def build(tree: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Builds the site of a tree, as `make docs` does."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=tree, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_of_the_docs_is_on_the_site(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs").with_suffix(".html")).is_file()


def test_the_search_finds_a_setting_and_a_section(site: Path) -> None:
    found = json.loads((site / "search/search_index.json").read_text("utf-8"))["docs"]
    assert any("handover_retry_for_s" in entry["text"] for entry in found)
    assert any(entry["title"] == "Troubleshooting" for entry in found)


def test_files_outside_of_the_docs_are_pages_of_the_site(site: Path) -> None:
    assert "proxy_http_version" in (site / "source/deploy/nginx.conf.html").read_text("utf-8")
    assert (site / "source/CONTRIBUTING.html").is_file()


def test_the_site_loads_nothing_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?:)?//', page.read_text("utf-8"))
        assert not loaded, page


BROKEN: Final = (
    "nothing.md", "#nothing", "reference/api.md#nothing", "../nothing.md", "../deploy/nothing.conf",
    "../examples/", "/deploy",
)  # fmt: skip


@pytest.fixture(scope="module")
def failed_build(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The build of a copy of the tree whose first page has broken links."""
    tree = tmp_path_factory.mktemp("broken")
    ignored = shutil.ignore_patterns("node_modules", ".venv", "__pycache__", "uploads")
    for name in NEEDED:
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for file in [*ROOT.glob("*.md"), ROOT / "mkdocs.yml", ROOT / "LICENSE"]:
        shutil.copy(file, tree)
    with (tree / "docs/index.md").open("a") as page:
        page.writelines(f"\n[a broken link]({link})\n" for link in BROKEN)
    return build(tree, tree / "site")


@pytest.mark.parametrize("link", BROKEN)
def test_a_link_that_leads_nowhere_fails_the_build(
    failed_build: subprocess.CompletedProcess[str], link: str
) -> None:
    assert failed_build.returncode != 0
    assert link in failed_build.stderr
