"""The files of the JavaScript library: their encodings, tags and source maps."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any, Final
from wsgiref.util import setup_testing_defaults

import pytest

from incoming.handover.answers import WillFinish
from incoming.http import library
from incoming.runtime.static_files import STATIC_DIR
from tests.support.fakes import FakeApp
from tests.support.routes import Routes
from tests.support.server import ROOT
from tests.support.uploads import House

PATHS: Final = ("/incoming/frontend/incoming.js", "/incoming/0.1/frontend/incoming.mjs")
EACH: Final = [f"/incoming/frontend/{name}" for name in library.BUNDLES]
OFFERED: Final = {"identity": 0, "br": 0, "gzip": 0}


@pytest.fixture
def routes(tmp_path: Path) -> Routes:
    return Routes(House(tmp_path, FakeApp(WillFinish())))


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("GZIP", "gzip"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br; q=0, gzip;q=0", "identity"),
        ("gzip;q=0.5, identity", "identity"),
        ("*", "br"),
        ("*, br;q=0", "gzip"),
        ("*;q=0", "identity"),
        ("", "identity"),
        ("identity", "identity"),
        ("zstd", "identity"),
        ("gzip;q=many", "identity"),
        ("gzip;q=nan", "identity"),
        ("gzip;q=7", "identity"),
        (";;,=,;q", "identity"),
    ],
)
def test_the_client_gets_the_encoding_that_it_likes_most(accepted: str, chosen: str) -> None:
    assert library.choose(accepted, OFFERED) == chosen


@pytest.mark.parametrize("date", ["", "x", "Thu, 99 Jan 2015 00:00:00 GMT", "Fri, 01 Jan 99999 00:00:00 GMT"])
def test_an_invalid_date_is_ignored(routes: Routes, date: str) -> None:
    assert ask(routes, PATHS[0], if_modified_since=date)[0] == "200 OK"


def test_an_encoding_that_is_not_there_is_not_chosen() -> None:
    assert library.choose("gzip, br", {"identity": 0, "gzip": 0}) == "gzip"
    assert library.choose("gzip, br", {"identity": 0}) == "identity"


def lower(fields: list[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in fields}


def ask(routes: Routes, path: str, **headers: str) -> tuple[str, dict[str, str], bytes]:
    """Returns the status, the headers and the bytes of an answer. WebTest would decode them, or fail."""
    answer: list[tuple[str, dict[str, str]]] = []
    environ: dict[str, Any] = {"PATH_INFO": path, "REMOTE_ADDR": "127.0.0.1"}
    setup_testing_defaults(environ)
    environ.update({f"HTTP_{name.upper()}": value for name, value in headers.items()})
    body = b"".join(routes.app(environ, lambda status, fields, *_: answer.append((status, lower(fields)))))
    return *answer[0], body


@pytest.mark.parametrize("path", EACH)
def test_each_encoding_is_the_same_script_with_a_tag_of_its_own(routes: Routes, path: str) -> None:
    name = re.sub(r"\.(m?js)$", r".min.\1", path.removeprefix("/incoming/frontend/"))
    plain = (STATIC_DIR / name).read_bytes()
    tags = set()
    for encoding, suffix in (("identity", ""), ("gzip", ".gz"), ("br", ".br")):
        status, headers, body = ask(routes, path, accept_encoding=encoding)
        assert status == "200 OK"
        assert body == (STATIC_DIR / f"{name}{suffix}").read_bytes()
        assert headers.get("content-encoding", "identity") == encoding
        assert headers["vary"] == "Accept-Encoding"
        assert headers["content-type"] == "text/javascript; charset=utf-8"
        assert headers["content-length"] == str(len(body))
        assert re.fullmatch(r'"[0-9a-f]+"', headers["etag"])
        tags.add(headers["etag"])
        assert encoding != "gzip" or gzip.decompress(body) == plain
    assert len(tags) == 3


def test_a_tag_counts_only_for_its_encoding(routes: Routes) -> None:
    tag = ask(routes, PATHS[0], accept_encoding="gzip")[1]["etag"]
    status, headers, body = ask(routes, PATHS[0], accept_encoding="gzip", if_none_match=f"W/{tag}")
    assert (status, body) == ("304 Not Modified", b"")
    assert (headers["etag"], headers["vary"]) == (tag, "Accept-Encoding")
    assert ask(routes, PATHS[0], accept_encoding="br", if_none_match=tag)[0] == "200 OK"


def test_the_script_names_a_source_map_that_is_served_beside_it(routes: Routes) -> None:
    for path in (*EACH, *PATHS):
        _, _, name = routes.wsgi.get(path).text.rstrip().rpartition("//# sourceMappingURL=")
        answer = routes.wsgi.get(f"{path.rpartition('/')[0]}/{name}")
        assert answer.content_type == "application/json"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert json.loads(answer.body)["version"] == 3


def test_a_file_is_served_if_and_only_if_the_build_makes_it_and_the_docs_name_it(routes: Routes) -> None:
    script = (ROOT / "scripts" / "build-library.mjs").read_text("utf-8")
    table = script.partition("BUNDLES = {")[2].partition("\n};")[0]
    assert re.findall(r"^  '(.+?)':", table, re.MULTILINE) == list(library.BUNDLES)
    docs = (ROOT / "docs" / "reference" / "javascript.md").read_text("utf-8")
    table = docs.partition("### Files")[2].partition("\n#")[0]
    assert re.findall(r"^\| `frontend/(\S+?)` \|", table, re.MULTILINE) == list(library.BUNDLES)


@pytest.mark.parametrize("name", ["queue.min.mjs", "queue.d.mts", "package.json", "src/module.js"])
def test_nothing_else_of_the_folder_is_served(routes: Routes, name: str) -> None:
    assert ask(routes, f"/incoming/frontend/{name}")[0].startswith("404")
