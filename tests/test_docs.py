"""The docs say all there is to say, point nowhere wrong, and their code works."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast

import pytest

from incoming.core import errors
from incoming.handover.answers import FailureKind
from incoming.http import library
from incoming.http.routes import make_app
from incoming.protocol.rules import PREFIXES
from incoming.settings import load
from incoming.settings.load import SETTINGS, Setting
from incoming.settings.table import Settings
from incoming.uploads.overview import Overview
from incoming.uploads.service import Uploads
from tests.support.server import ROOT
from tests.test_house import LAYERS

FOLDERS: Final = (".", "docs", "docs/*", "bench", "bench/notes")
PAGES: Final = sorted(page for folder in FOLDERS for page in ROOT.glob(f"{folder}/*.md"))
NAMES: Final = [str(page.relative_to(ROOT)) for page in PAGES]
every_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)

FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\[[^]\n]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")


def text_of(name: str) -> str:
    """Returns the text of a file of the tree."""
    return (ROOT / name).read_text("utf-8")


def code_blocks(page: Path, language: str) -> list[str]:
    """Returns the fenced blocks of a page that are in this language."""
    return [code for lang, code in FENCE.findall(page.read_text("utf-8")) if lang == language]


# --- nothing is missing --------------------------------------------------------------------------------


def shown(setting: Setting) -> str:
    """Returns a setting's default as a person writes it."""
    if isinstance(setting.default, bool):
        return "yes" if setting.default else "no"
    if isinstance(setting.default, float):
        return str(int(setting.default)) if setting.default.is_integer() else str(setting.default)
    if isinstance(setting.default, tuple):
        return ", ".join(setting.default) or "none"
    return str(setting.default) or "none"


def settings_table() -> str:
    """Returns the table that docs/reference/settings.md has to hold."""
    rows = [f"| `{s.name}` | {shown(s)} | {s.unit} | {s.help} |" for s in SETTINGS]
    return "\n".join(["| setting | default | unit | what it does |", "|---|---|---|---|", *rows])


def test_every_setting_is_documented_with_its_default_and_unit() -> None:
    assert settings_table() in text_of("docs/reference/settings.md"), f"it lacks\n\n{settings_table()}\n"


NAMES_A_SETTING: Final = re.compile(r"\bsettings? (`\w+`(?:(?:,| and| or|, and|, or) `\w+`)*)")


@every_page
def test_what_a_page_calls_a_setting_is_one(page: Path) -> None:
    lists = NAMES_A_SETTING.findall(" ".join(page.read_text("utf-8").split()))
    named = {name for names in lists for name in re.findall(r"`(\w+)`", names)}
    assert named <= {setting.name for setting in SETTINGS}


def test_the_table_for_people_of_the_original_has_settings_with_their_defaults() -> None:
    page = text_of("docs/how-to/from-the-original.md")
    table = page.partition("| there | here | default |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([^|]+) \| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE)
    assert len(rows) == len(table.splitlines()) - 2 > 10
    defaults = {setting.name: shown(setting) for setting in SETTINGS}
    assert {name: default for _, name, default, _ in rows}.items() <= defaults.items()
    words = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page))
    others = text_of("docs/reference/api.md") + text_of("docs/reference/javascript.md")
    assert {word for word in words if word not in others} <= defaults.keys()


PARAMETER: Final = re.compile(r"`([a-z]+(?:[A-Z][a-z]*)+)`")


def test_each_parameter_and_field_on_the_page_for_people_of_the_original_is_in_the_reference() -> None:
    names = set(PARAMETER.findall(text_of("docs/how-to/from-the-original.md")))
    reference = text_of("docs/reference/api.md")
    assert len(names) > 10
    assert names <= {name for name in names if f"| `{name}`" in reference or f"`{name}`," in reference}


ROUTE: Final = r"\b(GET|POST) ((?:backend|frontend)/[\w.]+|status(?:/\w+)?|metrics|healthz)\b"


LIBRARY: Final = {("GET", f"frontend/{name}") for name in library.SOURCES}
"""Files of the JavaScript library: tests/http/test_library.py checks that the docs list them."""


def routes() -> set[tuple[str, str]]:
    """Returns the (method, address) pairs of the server."""
    app = make_app(Settings(), cast(Uploads, SimpleNamespace(refusals=None)), cast(Overview, None))
    return {(route.method, route.rule) for route in app.routes}


def test_every_route_is_documented_and_exists_under_both_prefixes() -> None:
    prefix, older_prefix = PREFIXES
    names = {(method, rule.removeprefix(prefix)) for method, rule in routes() if older_prefix not in rule}
    assert len(names - LIBRARY) == 13
    assert names > LIBRARY
    for method, name in names:
        assert (method, name) in LIBRARY or f"{method} {name}" in text_of("docs/reference/api.md")
        assert (method, older_prefix + name) in routes()


def test_no_route_is_documented_that_does_not_exist() -> None:
    documented = set(re.findall(ROUTE, text_of("docs/reference/api.md")))
    real = {(m, r.removeprefix(PREFIXES[0])) for m, r in routes() if PREFIXES[1] not in r}
    assert documented - LIBRARY == real - LIBRARY
    assert documented <= real


@pytest.mark.parametrize("error", list(errors.all_errors()), ids=lambda error: str(error.code))
def test_every_error_is_documented(error: type[errors.IncomingError]) -> None:
    again = "yes" if error.retryable else "no"
    row = f"| `{error.code}` | {error.number} | {error.http_status} | {again} |"
    assert row in text_of("docs/reference/api.md")


def test_no_error_is_documented_that_does_not_exist() -> None:
    documented = re.findall(r"^\| `(\w+)` \| \d+ \| \d{3} \|", text_of("docs/reference/api.md"), re.MULTILINE)
    assert documented == [error.code for error in sorted(errors.all_errors(), key=lambda e: e.number)]


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failed_call_is_documented(kind: FailureKind) -> None:
    page = text_of("docs/how-to/troubleshooting.md")
    rows = re.findall(r"^\| (`\w+`.*) \| .* \| (?:yes|no) \|$", page, re.MULTILINE)
    assert any(f"`{kind}`" in row for row in rows)


# --- what the docs quote, the server says --------------------------------------------------------------

Template = list[str | None]
"""A text of the server, character by character; None stands for a field that is filled in."""
FIELD: Final = re.compile(r"%\(\w+\)(?:\.\d)?[sdfr]|\$?\{[^{}]*\}")
OMITTED: Final = "\N{HORIZONTAL ELLIPSIS}"
CERTAIN_CHARS: Final = 10
"""So much of a quote has to be literally in the server's text, or all of it."""
SAMPLE: Final = re.compile(r"^ *\d{4}-\d\d-\d\d [\d:,]+ (?:DEBUG|INFO|WARNING|ERROR) +(.*)$", re.MULTILINE)
ANSWERED: Final = re.compile(r'"message": "(.*?)"')
"""A sentence of the log, or of an answer, in an example in JSON."""
PRINTED: Final = re.compile(r"^ {4}(?: +(?:ok|note|CHANGE) +\w+(?: \w+)* {2,})?([A-Z].*\.)$", re.MULTILINE)
"""A sentence that a command prints, perhaps after a grade and a topic."""
ANOTHER_PROGRAM: Final = {"Permission denied"}


def template(text: str) -> Template:
    """Returns the template of a format string."""
    literals = FIELD.split(text)
    return [c for literal in literals for c in (*literal, None)][:-1]


def texts_of_the_server() -> dict[str, Template]:
    """Returns the templates of all texts in the server's source and in the library's table of texts."""
    texts = set(re.findall(r"['`]([^'`\n]{8,})['`]", text_of("static/src/texts.js")))
    for path in (ROOT / "incoming").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Constant(value=str(text)):
                    texts.add(text)
                case ast.JoinedStr(values=values):
                    texts.add("".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in values))
    return {text: template(text) for text in texts}


def certain_chars(quote: str, of: Template) -> int:
    """Returns how many characters of a quote are literally in a text that may contain it; -1 if none may."""
    best = dict.fromkeys(range(len(of) + 1), 0)  # {position: most characters} after each character
    for char in quote:
        after: dict[int, int] = {}
        if char == OMITTED:
            first = min(best)
            after = {
                at: max(n for start, n in best.items() if start <= at) for at in range(first, len(of) + 1)
            }
        for at, count in best.items() if char != OMITTED else ():
            for place in (at, at + 1) if at < len(of) and of[at] is None else (at,):
                if place < len(of) and of[place] is None:
                    after[place] = max(after.get(place, -1), count)
                elif place < len(of) and of[place] == char:
                    after[place + 1] = max(after.get(place + 1, -1), count + 1)
        if not after:
            return -1
        best = after
    return max(best.values())


def quotes() -> list[str]:
    """Returns what the docs quote of the log, of answers, of commands and of pages."""
    found = [quote for page in PAGES for quote in SAMPLE.findall(page.read_text("utf-8"))]
    found += [quote for page in PAGES for quote in ANSWERED.findall(page.read_text("utf-8"))]
    found += PRINTED.findall(text_of("docs/reference/cli.md"))
    table = text_of("docs/how-to/troubleshooting.md").partition("| what you see |")[2]
    for cell in re.findall(r"^\| (.*?) \|", table, re.MULTILINE):
        found += [quote for quote in re.findall(r"`([^`]*)`", cell) if " " in quote]
    return sorted({quote.replace("...", OMITTED) for quote in found} - ANOTHER_PROGRAM)


def test_every_quoted_message_is_one_that_the_server_or_the_library_has() -> None:
    templates = texts_of_the_server()
    unknown = []
    for quote in quotes():
        needed = min(CERTAIN_CHARS, len(quote.replace(OMITTED, "")))
        starts = [quote[i : i + 6] for i in range(len(quote) - 5)]
        shared = {text: sum(start in text for start in starts) for text in templates}
        likely = sorted((text for text in templates if shared[text]), key=shared.__getitem__, reverse=True)
        if all(certain_chars(quote, templates[text]) < needed for text in likely):
            unknown.append(quote.replace(OMITTED, "..."))
    assert not unknown
    assert len(quotes()) > 30


@pytest.mark.parametrize(
    ("quote", "chars"),
    [
        ("upload 0b8a: 12 bytes", 15), ("bytes lost", 10), ("12 bytes lost", 11), ("12 bytes found", 0),
        (f"upload {OMITTED} lost", 12), ("the upload", 0),
    ],
)  # fmt: skip
def test_a_quote_is_found_in_a_text_with_its_fields_filled_in(quote: str, chars: int) -> None:
    assert certain_chars(quote, template("upload %(ticket)s: %(n)d bytes lost")) == chars


@every_page
def test_a_page_that_imports_the_npm_package_says_how_to_get_it(page: Path) -> None:
    text = page.read_text("utf-8")
    if re.search(r"""(?:from|import|require\() ?["']incoming-uploads""", text):
        assert re.search(r"npm pack|#with-npm|importmap", text)


# --- what is there is right ----------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Returns the anchors that a page's headings make, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_link_inside_the_tree_points_to_something(page: Path) -> None:
    prose = FENCE.sub("", page.read_text("utf-8"))
    for link in (markdown or html for markdown, html in LINK.findall(prose)):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if target.suffix == ".png":
            assert not anchor or target.name.endswith(f"-{anchor.removeprefix('only-')}.png"), link
            continue
        assert not anchor or anchor in anchors(target), link


@every_page
def test_python_in_the_docs_compiles(page: Path) -> None:
    for code in code_blocks(page, "python"):
        compile(code, str(page), "exec")


@every_page
def test_json_in_the_docs_is_json(page: Path) -> None:
    for text in code_blocks(page, "json"):
        assert json.loads(text)


@every_page
def test_toml_in_the_docs_is_made_of_settings(page: Path) -> None:
    for text in code_blocks(page, "toml"):
        assert load.resolve(tomllib.loads(text), {}, {})


@every_page
def test_every_code_block_is_closed(page: Path) -> None:
    assert len(re.findall(r"^```", page.read_text("utf-8"), re.MULTILINE)) % 2 == 0


@every_page
def test_make_targets_in_the_docs_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", text_of("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^    |`)make ([a-z]+)", page.read_text("utf-8"), re.MULTILINE))
    assert {"run", "test"} <= targets
    assert named <= targets


PICTURES: Final = sorted((ROOT / "docs/assets/gallery").iterdir())
MAX_PICTURE_BYTES: Final = 40_000


def test_the_gallery_shows_each_picture_of_its_folder_once_and_no_other() -> None:
    shown = re.findall(r"^!\[.{20,}\]\(assets/gallery/([^)#]+)", text_of("docs/gallery.md"), re.MULTILINE)
    assert sorted(shown) == [path.name for path in PICTURES]
    assert len(shown) > 20


def test_the_gallery_has_a_dark_picture_for_each_light_one_that_dark_pages_leave_out() -> None:
    names = re.findall(r"gallery/(.+)-(light|dark)\.png#only-(light|dark)\)", text_of("docs/gallery.md"))
    assert all(scheme == only for _, scheme, only in names)
    kinds = {only: {name for name, _, shown_in in names if shown_in == only} for only in ("light", "dark")}
    assert kinds["light"] == kinds["dark"]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_a_picture_of_the_gallery_is_small(picture: Path) -> None:
    assert picture.stat().st_size <= MAX_PICTURE_BYTES


# --- the architecture is the one that there is ---------------------------------------------------------

ARCHITECTURE: Final = ("docs/explanation/architecture.md", "docs/explanation/durability.md")


def test_the_picture_of_the_packages_is_the_list_that_the_imports_are_checked_with() -> None:
    picture = next(code for code in code_blocks(ROOT / ARCHITECTURE[0], "text") if "composition" in code)
    shown = [re.split(r" {2,}", line)[0] for line in picture.splitlines()]
    assert shown == [line.strip() for line in LAYERS.splitlines()]


def named_paths(page: str) -> set[str]:
    """Returns the files that a page names as code: `uploads/outbox`, `incoming/core/errors.py`."""
    words = re.findall(r"`([a-z0-9_]+(?:/[a-z0-9_.]+)+)`", text_of(page))
    return {word for word in words if word.split("/")[0] in {*LAYERS.split(), "incoming", "tests"}}


@pytest.mark.parametrize("page", [*ARCHITECTURE, "docs/reference/versions.md"])
def test_every_file_that_the_architecture_or_a_promise_names_is_there(page: str) -> None:
    assert len(named_paths(page)) >= 5
    for path in named_paths(page):
        places = [ROOT / path, ROOT / "incoming" / path, ROOT / "incoming" / f"{path}.py"]
        assert any(place.exists() for place in places), path


def test_every_package_is_in_the_table_of_what_it_holds() -> None:
    packages = {path.parent.name for path in (ROOT / "incoming").glob("*/__init__.py")}
    rows = set(re.findall(r"^\| `(\w+)` \|", text_of(ARCHITECTURE[0]), re.MULTILINE))
    assert rows == packages - {"commands"}


def test_the_changelog_begins_with_this_version() -> None:
    version = re.search(r'^__version__ = "(.+)"$', text_of("incoming/__init__.py"), re.MULTILINE)
    newest = re.search(r"^## (\S+)", text_of("CHANGELOG.md"), re.MULTILINE)
    assert version and newest
    assert newest[1] == version[1]
