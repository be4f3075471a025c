"""The welcome, and the example apps of the source tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bottle
import pytest
from webtest import TestApp, TestResponse

from incoming import __version__
from incoming.commands import demo
from incoming.core.errors import BadSetting
from incoming.http import listeners


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://localhost:4000"),
        ("::", "http://localhost:4000"),
        ("127.0.0.1", "http://127.0.0.1:4000"),
        ("::1", "http://[::1]:4000"),
        ("files.example.org", "http://files.example.org:4000"),
    ],
)
def test_the_address_is_one_that_a_browser_here_can_open(host: str, url: str) -> None:
    assert listeners.browser_url(host, 4000) == url


def test_the_welcome_says_where_it_listens_where_it_stores_and_what_comes_next() -> None:
    lines = demo.welcome("0.0.0.0", 4321, "/srv/uploads").splitlines()
    assert lines[0] == f"Incoming!! {__version__} listens on http://localhost:4321"
    assert lines[1].endswith(" /srv/uploads")
    assert "POST http://localhost:4321/incoming/backend/new_upload?signalFinishURL=" in lines[2]
    assert lines[3].endswith(" http://localhost:4321/incoming/frontend/incoming.js")
    assert lines[4].endswith(" http://localhost:4321/incoming/status")


def asked(path: str, front: demo.FrontPage, **environ: str) -> TestResponse:
    return TestApp(front).get(path, extra_environ={"HTTP_HOST": "localhost:4000", **environ}, status="*")


def nothing_here(environ: Any, start_response: Any) -> list[bytes]:
    """What is behind the front page."""
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"the routes"]


@pytest.fixture
def front() -> demo.FrontPage:
    return demo.FrontPage(nothing_here)


def test_the_front_page_leads_to_the_status_the_docs_and_the_examples_that_run(front: demo.FrontPage) -> None:
    assert "4001" not in asked("/", front).text
    front.add_example("Example 1, one file", 4001)
    page = asked("/", front, HTTP_HOST="[::1]:4000").html
    links = {link["href"]: link.text for link in page.find_all("a")}
    assert links["/incoming/status"] == "Status"
    assert links["http://[::1]:4001/"] == "One file"
    assert links["/docs/reference/api.md"] == "The HTTP interface"
    assert "http://[::1]:4000/incoming/backend/new_upload" in page.text
    for path in (path for path in links if path.startswith("/docs/")):
        answer = asked(path, front)
        assert (answer.status_int, answer.content_type) == (200, "text/plain")
        assert answer.text.startswith("# ")


@pytest.mark.parametrize("host", ["", "<script>", "a b", '"', "x" * 9000 + "/"])
def test_an_invalid_host_is_not_shown_on_the_front_page(front: demo.FrontPage, host: str) -> None:
    front.add_example("Example 1, one file", 4001)
    text = asked("/", front, HTTP_HOST=host).text
    assert 'href="http://localhost:4001/"' in text
    assert "<script>" not in text


def test_the_front_page_runs_loads_and_sends_nothing(front: demo.FrontPage) -> None:
    headers = asked("/", front).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
    assert asked("/", front, REQUEST_METHOD="HEAD").body == b""


@pytest.mark.parametrize(
    "path", ["/x", "/docs/", "/docs/../setup.py", "/docs/explanation/reliability.md", "/incoming/status"]
)
def test_whatever_else_is_asked_for_is_for_the_routes(front: demo.FrontPage, path: str) -> None:
    assert asked(path, front).text == "the routes"
    assert TestApp(front).post("/", status="*").text == "the routes"


def test_without_docs_the_front_page_names_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "DOCS_DIR", tmp_path)
    assert "/docs/" not in asked("/", demo.FrontPage(nothing_here)).text


def test_all_examples_of_the_source_tree_are_found_and_know_where_they_are() -> None:
    examples = list(demo.examples("0.0.0.0", 4000, "4001, 4002, 4003, 4005, 4006"))
    assert [example.port for example in examples] == [4001, 4002, 4003, 4005, 4006]
    assert all(example.title.startswith("Example ") for example in examples)
    assert all(isinstance(example.app_at(example.port), bottle.Bottle) for example in examples)


@pytest.mark.parametrize("ports", ["4001", "4001,4002", "1,2,3,4,5,6", "", "a,b", "4001;4002"])
def test_other_ports_than_needed_are_refused_by_their_name(ports: str) -> None:
    with pytest.raises(BadSetting, match="examples_ports: must be 5 ports"):
        list(demo.examples("0.0.0.0", 4000, ports))


def test_examples_of_the_source_tree_keep_their_uploads_and_installed_ones_are_given_a_folder_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert demo.uploads_dir("1-simple") == demo.EXAMPLES_DIR / "1-simple" / "uploads"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "EXAMPLES_DIR", Path(demo.__file__).parent.parent / "examples")
    assert demo.uploads_dir("1-simple") == tmp_path / "incoming-examples" / "1-simple"


def test_a_package_without_its_examples_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "EXAMPLES_DIR", tmp_path / "nothing")
    with pytest.raises(BadSetting, match="not where they were installed"):
        list(demo.examples("0.0.0.0", 4000, "0,0,0,0,0"))


def test_an_example_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "EXAMPLES_DIR", tmp_path)
    with pytest.raises((BadSetting, OSError), match=r"1-simple"):
        list(demo.examples("0.0.0.0", 4000, "0,0,0,0,0"))
