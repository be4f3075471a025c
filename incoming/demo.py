"""What a newcomer sees: the welcome, and the example apps of the source tree in the server's own process."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from incoming import __version__
from incoming.errors import BadSetting

EXAMPLES_DIR: Final = Path(__file__).parent.parent / "examples"
EXAMPLES: Final = (("1-simple", "Example 1, one file"), ("2-dynamic", "Example 2, many files, pausable"))


@dataclass(frozen=True, slots=True)
class Example:
    """An example app, and where it is to listen."""

    title: str
    app: Any
    port: int


def address(host: str, port: int) -> str:
    """Returns the URL under which a browser on this machine reaches the server."""
    reachable = "localhost" if host in ("0.0.0.0", "::", "") else host
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def welcome(host: str, port: int, storage_dir: str) -> str:
    """Returns what is printed when the server is ready."""
    url = address(host, port)
    return (
        f"Incoming!! {__version__} listens on {url}\n"
        f"  Uploads are stored in              {storage_dir}\n"
        f"  Your app asks for a ticket with    POST {url}/incoming/backend/new_upload?signalFinishURL=...\n"
        f"  Your page loads                    {url}/incoming/frontend/incoming.js"
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
    internal_incoming_host = f"localhost:{incoming_port}"
    for (folder, title), port in zip(EXAMPLES, numbers, strict=True):
        module = _load(EXAMPLES_DIR / folder / "backend.py")
        app = module.make_app(
            public_incoming_host="" if incoming_port == 4000 else address(host, incoming_port)[7:],
            internal_incoming_host=internal_incoming_host,
            public_app_host="",
            internal_app_host=f"localhost:{port}",
        )
        yield Example(title, app, port)


def _load(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{file.parent.name.replace('-', '_')}", file)
    if spec is None or spec.loader is None:
        raise BadSetting("examples", f"{file} can't be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
