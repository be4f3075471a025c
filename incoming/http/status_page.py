"""The status page as one document: its own style and script are in it, and it loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from incoming.wire.page_policy import page_headers

STYLE_HERE = "<!-- style -->"
SCRIPT_HERE = "<!-- script -->"
CAN_OPERATE = 'data-operate="no"'


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser gets."""

    html: str
    headers: dict[str, str]


def load(directory: Path, can_operate: bool = False) -> Page:
    """Returns the page that is in this directory in three pieces. Raises OSError.

    `can_operate`: whether it offers to cancel and retry uploads.
    """
    html, style, script = (
        (directory / name).read_text("utf-8") for name in ("status.html", "status.css", "status.js")
    )
    whole = html.replace(STYLE_HERE, f"<style>{style}</style>").replace(
        SCRIPT_HERE, f"<script>{script}</script>"
    )
    if can_operate:
        whole = whole.replace(CAN_OPERATE, 'data-operate="yes"')
    return Page(whole, page_headers(style, script))
