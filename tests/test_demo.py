"""The welcome, and the example apps of the source tree."""

from __future__ import annotations

from pathlib import Path

import bottle
import pytest

from incoming import __version__, demo
from incoming.errors import BadSetting


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
    assert demo.address(host, 4000) == url


def test_the_welcome_says_where_it_listens_where_it_stores_and_what_comes_next() -> None:
    lines = demo.welcome("0.0.0.0", 4321, "/srv/uploads").splitlines()
    assert lines[0] == f"Incoming!! {__version__} listens on http://localhost:4321"
    assert lines[1].endswith(" /srv/uploads")
    assert "POST http://localhost:4321/incoming/backend/new_upload?signalFinishURL=" in lines[2]
    assert lines[3].endswith(" http://localhost:4321/incoming/frontend/incoming.js")
    assert lines[4].endswith(" http://localhost:4321/incoming/status")


def test_all_examples_of_the_source_tree_are_found_and_know_where_they_are() -> None:
    examples = list(demo.examples("0.0.0.0", 4000, "4001, 4002, 4003"))
    assert [example.port for example in examples] == [4001, 4002, 4003]
    assert all(example.title.startswith("Example ") for example in examples)
    assert all(isinstance(example.app_at(example.port), bottle.Bottle) for example in examples)


@pytest.mark.parametrize("ports", ["4001", "4001,4002", "4001,4002,4003,4004", "", "a,b", "4001;4002"])
def test_other_ports_than_needed_are_refused_by_their_name(ports: str) -> None:
    with pytest.raises(BadSetting, match="examples_ports: has to be 3 ports"):
        list(demo.examples("0.0.0.0", 4000, ports))


def test_an_installed_server_says_that_it_has_no_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "EXAMPLES_DIR", tmp_path / "nothing")
    with pytest.raises(BadSetting, match="source tree only"):
        list(demo.examples("0.0.0.0", 4000, "0,0,0"))


def test_an_example_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "EXAMPLES_DIR", tmp_path)
    with pytest.raises((BadSetting, OSError), match=r"1-simple"):
        list(demo.examples("0.0.0.0", 4000, "0,0,0"))
