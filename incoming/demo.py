"""What a newcomer sees: the welcome, and the example apps of the source tree in the server's own process."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from incoming import __version__
from incoming.errors import BadSetting

EXAMPLES_DIR: Final = Path(__file__).parent.parent / "examples"
EXAMPLES: Final = (
    ("1-simple", "Example 1, one file"),
    ("2-dynamic", "Example 2, many files, pausable"),
    ("3-dropzone", "Example 3, folders and many files"),
)

ANY_ADDRESS: Final = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Example:
    """An example app, made when it is known where it listens, and the port that it is to have."""

    title: str
    app_at: Callable[[int], Any]
    port: int


def address(host: str, port: int) -> str:
    """Returns the URL under which a browser on this machine reaches the server."""
    return f"http://{_reachable(host)}:{port}"


def _reachable(host: str) -> str:
    """Returns how a URL names the address that is listened on."""
    if host in ANY_ADDRESS:
        return "localhost"
    return f"[{host}]" if ":" in host else host


def welcome(host: str, port: int, storage_dir: str) -> str:
    """Returns what is printed when the server is ready."""
    url = address(host, port)
    return (
        f"Incoming!! {__version__} listens on {url}\n"
        f"  Uploads are stored in              {storage_dir}\n"
        f"  Your app asks for a ticket with    POST {url}/incoming/backend/new_upload?signalFinishURL=...\n"
        f"  Your page loads                    {url}/incoming/frontend/incoming.js\n"
        f"  You see what goes on at            {url}/incoming/status"
    )


def examples(host: str, incoming_port: int, ports: str) -> Iterator[Example]:
    """Yields the example apps. Raises BadSetting when there are none, or for other ports than needed."""
    if not EXAMPLES_DIR.is_dir():
        raise BadSetting("examples", "the examples come with the source tree only")
    try:
        numbers = [int(port) for port in ports.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(EXAMPLES):
        raise BadSetting("examples_ports", f"has to be {len(EXAMPLES)} ports, separated by commas")
    for (folder, title), port in zip(EXAMPLES, numbers, strict=True):
        module = _load(EXAMPLES_DIR / folder / "backend.py")
        yield Example(title, partial(_app_at, module, host, incoming_port), port)


def _app_at(module: Any, host: str, incoming_port: int, port: int) -> Any:
    machine = _reachable(host)
    return module.make_app(
        public_incoming_host="",  # the page's own host, with the port of the next line
        internal_incoming_host=f"{machine}:{incoming_port}",
        public_app_host=f"{machine}:{port}",
        internal_app_host=f"{machine}:{port}",
    )


def _load(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{file.parent.name.replace('-', '_')}", file)
    if spec is None or spec.loader is None:
        raise BadSetting("examples", f"{file} can't be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
