"""The status page as one document: its own style and script are in it, and it loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from incoming.wire.page_policy import page_headers

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
