"""The site with the docs: no link is broken, nothing comes from another host, search and versions work."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from incoming import __version__
from tests.support.engines import Browser
from tests.support.server import ROOT
from tests.support.site import serve_folder
from tests.support.waiting import wait_until

NEEDED: Final = ("docs", "scripts", "bench", "deploy", "examples", "incoming")
OLDER: Final = "0.0.9"


def docs_site(tree: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs scripts/docs_site.py of a tree, as `make docs` does."""
    return subprocess.run(
        [sys.executable, tree / "scripts/docs_site.py", *arguments],
        cwd=tree, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site with all versions: this one, and an older one that lacks a page."""
    folder = tmp_path_factory.mktemp("versions")
    built = docs_site(ROOT, folder)
    assert built.returncode == 0, built.stderr
    shutil.copytree(folder / __version__, folder / OLDER)
    sitemap = folder / OLDER / "sitemap.xml"
    listed = re.sub(r"<url><loc>[^<]*/gallery.html</loc></url>", "", sitemap.read_text("utf-8"))
    sitemap.write_text(listed, "utf-8")
    (folder / OLDER / "gallery.html").unlink()
    assert docs_site(ROOT, folder, "--index").stdout == f"docs of {__version__}, {OLDER}\n"
    return folder


@pytest.fixture(scope="module")
def site(versions: Path) -> Path:
    """The folder with the docs of this version."""
    return versions / __version__


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


@pytest.fixture(scope="module")
def address(versions: Path) -> Iterator[str]:
    """Where a web server has the site."""
    with serve_folder(versions) as url:
        yield url


def choose_version(driver: Browser, version: str) -> None:
    """Chooses a version in the menu at the top of a page, and waits for the page of it."""
    links = "[...document.querySelectorAll('.md-version__link')]"
    entry = f"{links}.find((link) => link.textContent.trim() === '{version}')"
    wait_until(lambda: driver.execute_script(f"return !!{entry}"), "the menu has the version")
    driver.execute_script(f"{entry}.click()")
    wait_until(lambda: f"/{version}/" in driver.current_url, "the browser is in the folder of that version")


def says_that_it_is_old(driver: Browser) -> bool:
    """Tells whether the page says so. It decides when it has read the list of versions, as the menu does."""
    menu = "return document.querySelector('.md-version__current')?.innerText ?? ''"
    wait_until(lambda: driver.execute_script(menu), "the menu is there")
    shown = "const b = document.querySelector('[data-md-component=outdated]'); return !!b && !b.hidden"
    return bool(driver.execute_script(shown))


def test_the_menu_of_versions_leads_to_the_same_page_of_another_version(
    driver: Browser, address: str
) -> None:
    driver.get(f"{address}{__version__}/reference/settings.html")
    assert not says_that_it_is_old(driver)
    choose_version(driver, OLDER)
    assert driver.current_url == f"{address}{OLDER}/reference/settings.html"
    wait_until(lambda: says_that_it_is_old(driver), "the older page says that it is older")
    choose_version(driver, __version__)
    assert driver.current_url == f"{address}{__version__}/reference/settings.html"


def test_a_page_that_the_other_version_lacks_leads_to_its_first_page(driver: Browser, address: str) -> None:
    driver.get(f"{address}{__version__}/gallery.html")
    choose_version(driver, OLDER)
    assert driver.current_url == f"{address}{OLDER}/"


def test_the_search_of_an_older_version_finds_its_own_pages(driver: Browser, address: str) -> None:
    driver.get(f"{address}{OLDER}/index.html?q=handover_retry_for_s")
    links = "return [...document.querySelectorAll('.md-search-result__link')].map((link) => link.href)"
    page = f"{address}{OLDER}/reference/settings.html"

    def found() -> list[str]:
        listed: list[str] = driver.execute_script(links)
        return listed if any(link.startswith(page) for link in listed) else []

    assert all(link.startswith(f"{address}{OLDER}/") for link in wait_until(found, "the search finds it"))


def test_the_address_of_the_site_leads_to_its_newest_release(driver: Browser, address: str) -> None:
    driver.get(address)
    wait_until(lambda: driver.current_url == f"{address}{__version__}/index.html", "it is at the newest one")


def test_a_version_that_is_no_release_yet_is_on_the_menu_and_not_the_newest(tmp_path: Path) -> None:
    for name in ("0.9.0", "0.10.0", "0.11.0rc1", "not-a-version"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").touch()
    assert docs_site(ROOT, tmp_path, "--index").stdout == "docs of 0.11.0rc1, 0.10.0, 0.9.0\n"
    listed = json.loads((tmp_path / "versions.json").read_text("utf-8"))
    assert [entry["version"] for entry in listed if "latest" in entry["aliases"]] == ["0.10.0"]
    assert "url=0.10.0/index.html" in (tmp_path / "index.html").read_text("utf-8")


def test_the_docs_of_a_release_come_from_its_tag_also_if_one_of_its_links_is_broken_by_now(
    tmp_path: Path,
) -> None:
    def git(*arguments: str) -> None:
        identity = {
            f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        subprocess.run(
            ["git", *arguments], cwd=tree, env=os.environ | identity, capture_output=True, check=True
        )

    def commit(version: str, page: str) -> None:
        (tree / "incoming/__init__.py").write_text(f'__version__ = "{version}"\n', "utf-8")
        (tree / "docs/index.md").write_text(page, "utf-8")
        git("add", ".")
        git("commit", "-m", version)

    tree = tmp_path / "tree"
    for name in ("docs", "incoming"):
        (tree / name).mkdir(parents=True)
    shutil.copytree(ROOT / "scripts", tree / "scripts")
    config = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[0]
    (tree / "mkdocs.yml").write_text(config, "utf-8")
    git("init")
    commit("0.4.0", "# The older one\n\n[gone](gone.md)\n")
    git("tag", "v0.4.0")
    git("tag", "not-a-release")
    commit("0.5.0", "# The newer one\n")
    (tree / "docs/index.md").write_text("# Not committed\n", "utf-8")
    built = docs_site(tree, tmp_path / "site", "--committed")
    assert built.stdout == "docs of 0.5.0, 0.4.0\n", built.stderr
    for version, title in (("0.4.0", "The older one"), ("0.5.0", "The newer one")):
        assert title in (tmp_path / "site" / version / "index.html").read_text("utf-8")


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
    return docs_site(tree, tree / "site")


@pytest.mark.parametrize("link", BROKEN)
def test_a_link_that_leads_nowhere_fails_the_build(
    failed_build: subprocess.CompletedProcess[str], link: str
) -> None:
    assert failed_build.returncode != 0
    assert link in failed_build.stderr
