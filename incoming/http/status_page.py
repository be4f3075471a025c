"""The status page as one document: its own style and script are in it, and it loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from incoming.wire.page_policy import page_headers

_PACKAGE: Final = Path(__file__).parent.parent
STATIC_DIR: Final = next(d for d in (_PACKAGE / "static", _PACKAGE.parent / "static") if d.is_dir())
"""Inside the package when it is installed, beside it in the source tree."""
STYLE_HERE = "<!-- style -->"
SCRIPT_HERE = "<!-- script -->"


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser gets."""

    html: str
    headers: dict[str, str]


def load(directory: Path) -> Page:
    """Returns the page that is in this directory in three pieces. Raises OSError."""
    html, style, script = (
        (directory / name).read_text("utf-8") for name in ("status.html", "status.css", "status.js")
    )
    whole = html.replace(STYLE_HERE, f"<style>{style}</style>").replace(
        SCRIPT_HERE, f"<script>{script}</script>"
    )
    return Page(whole, page_headers(style, script))
