"""For newcomers: the message at the start, the front page, and the example apps in the server's process."""

from __future__ import annotations

import html
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from incoming import __version__
from incoming.core.errors import BadSetting
from incoming.http import callers, status_page
from incoming.http.listeners import browser_url, reachable_host
from incoming.runtime.static_files import STATIC_DIR
from incoming.wire.page_policy import page_headers

_PACKAGE: Final = Path(__file__).parent.parent
EXAMPLES_DIR: Final = next(
    (d for d in (_PACKAGE / "examples", _PACKAGE.parent / "examples") if d.is_dir()), _PACKAGE / "examples"
)
"""Inside the package when it is installed, next to it in the source tree."""
INSTALLED_UPLOADS: Final = "incoming-examples"
"""The folder in the current one for uploads of installed examples. In the source tree, each has its own."""
EXAMPLES: Final = (
    ("1-simple", "Example 1, one file"),
    ("2-dynamic", "Example 2, many files, pausable"),
    ("3-dropzone", "Example 3, folders and many files"),
    ("5-uppy", "Example 5, Uppy's Dashboard"),
    ("6-folder", "Example 6, a folder as one upload"),
)

DOCS_DIR: Final = Path(__file__).parent.parent.parent / "docs"
"""In the source tree only; an installed server has no docs."""
DOCS: Final = (
    ("tutorial/first-upload.md", "Your first upload", "A small app of your own, in ten minutes."),
    ("reference/api.md", "The HTTP interface", "How your app and the server call each other."),
    ("reference/javascript.md", "The JavaScript library", "What a page can do with an upload."),
    ("tutorial/examples.md", "The examples, step by step", "Both halves of each, explained."),
    ("how-to/deployment.md", "Deployment", "As a service, under uWSGI or gunicorn, behind nginx."),
    ("reference/settings.md", "Settings", "All of them, with their defaults."),
    ("how-to/troubleshooting.md", "Troubleshooting", "What you see, what it means, what to do."),
)
DOCS_PATH: Final = "/docs/"


@dataclass(frozen=True, slots=True)
class Example:
    """An example app, which is created once its port is known, and the port that it should have."""

    title: str
    app_at: Callable[[int], Any]
    port: int


def welcome(host: str, port: int, storage_dir: str, *, examples: bool = False) -> str:
    """Returns the message that is printed when the server is ready."""
    url = browser_url(host, port)
    first = f"  Open {url} in a browser: that page leads to the examples.\n" if examples else ""
    return (
        f"Incoming!! {__version__} listens on {url}\n"
        f"{first}"
        f"  Uploads are stored in              {storage_dir}\n"
        f"  Your app asks for a ticket with    POST {url}/incoming/backend/new_upload?signalFinishURL=...\n"
        f"  Your page loads                    {url}/incoming/frontend/incoming.js\n"
        f"  The status page is at              {url}/incoming/status"
    )


Wsgi = Callable[[Any, Any], Iterable[bytes]]


class FrontPage:
    """A WSGI app with a page at `/` and the docs of the source tree. `app` gets all other requests."""

    def __init__(self, app: Wsgi) -> None:
        self._app = app
        self._examples: list[tuple[str, int]] = []
        self._html = (STATIC_DIR / "front.html").read_text("utf-8")
        self._style = (STATIC_DIR / "front.css").read_text("utf-8")
        self._docs = {DOCS_PATH + name: DOCS_DIR / name for name, *_ in DOCS if (DOCS_DIR / name).is_file()}

    def add_example(self, title: str, port: int) -> None:
        """Adds a link to an example that runs on this port."""
        self._examples.append((title, port))

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """See PEP 3333."""
        path, method = environ.get("PATH_INFO"), environ.get("REQUEST_METHOD")
        if method not in ("GET", "HEAD") or (path != "/" and path not in self._docs):
            return self._app(environ, start_response)
        if path == "/":
            body, headers = self._page(str(environ.get("HTTP_HOST", ""))), page_headers(self._style)
        else:
            body, headers = self._docs[path].read_text("utf-8"), {"Content-Type": "text/plain; charset=utf-8"}
        data = body.encode()
        closed = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        start_response("200 OK", [*{**closed, **headers, "Content-Length": str(len(data))}.items()])
        return [b"" if method == "HEAD" else data]

    def _page(self, host: str) -> str:
        name, port = callers.host_name(host)
        name = f"[{name}]" if ":" in name else name or "localhost"
        url = f"http://{name}" if port in ("", callers.HTTP_PORT) else f"http://{name}:{port}"
        running = [(f"http://{name}:{at}/", *_what_it_shows(title)) for title, at in self._examples]
        docs = [(DOCS_PATH + file, *rest) for file, *rest in DOCS if DOCS_PATH + file in self._docs]
        return (
            self._html.replace(status_page.STYLE_HERE, f"<style>{self._style}</style>")
            .replace("<!-- examples -->", _links("Try it", running))
            .replace("<!-- docs -->", _links("Read on", docs))
            .replace("$url", html.escape(url))
        )


def _what_it_shows(title: str) -> tuple[str, str]:
    """Returns what an example shows, and its number, of a title such as "Example 1, one file"."""
    number, what = title.split(", ", 1)
    return what[0].upper() + what[1:], number


def _links(heading: str, links: Sequence[tuple[str, ...]]) -> str:
    """Returns a section with links of (address, title, description); empty without links."""
    items = "".join(
        '<li><a href="{}">{}</a> <span>{}</span></li>\n'.format(*map(html.escape, (*link, "")[:3]))
        for link in links
    )
    return f"<h2>{heading}</h2>\n<ul>\n{items}</ul>" if links else ""


def examples(host: str, incoming_port: int, ports: str) -> Iterator[Example]:
    """Yields the example apps. Raises BadSetting if there are none, or for a wrong list of ports."""
    if not EXAMPLES_DIR.is_dir():
        raise BadSetting("examples", f"they are not where they were installed, in {EXAMPLES_DIR}")
    try:
        numbers = [int(port) for port in ports.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(EXAMPLES):
        raise BadSetting("examples_ports", f"must be {len(EXAMPLES)} ports, separated by commas")
    for (folder, title), port in zip(EXAMPLES, numbers, strict=True):
        module = _load(EXAMPLES_DIR / folder / "backend.py")
        yield Example(title, partial(_app_at, module, host, incoming_port, uploads_dir(folder)), port)


def uploads_dir(example: str) -> Path:
    """Returns where an example keeps its uploads: never in a folder of installed packages."""
    if EXAMPLES_DIR.parent == _PACKAGE:
        return Path.cwd() / INSTALLED_UPLOADS / example
    return EXAMPLES_DIR / example / "uploads"


def _app_at(module: Any, host: str, incoming_port: int, uploads: Path, port: int) -> Any:
    machine = reachable_host(host)
    return module.make_app(
        public_incoming_host="",  # the page's own host, with the port of the next line
        internal_incoming_host=f"{machine}:{incoming_port}",
        public_app_host=f"{machine}:{port}",
        internal_app_host=f"{machine}:{port}",
        uploads_dir=uploads,
    )


def _load(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{file.parent.name.replace('-', '_')}", file)
    if spec is None or spec.loader is None:
        raise BadSetting("examples", f"{file} can't be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
