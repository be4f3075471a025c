"""The pages for people: each is one document that may run its own script, if it has one, and nothing else."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
    """Returns the page that is in this directory in three pieces. Raises OSError.

    What may run and what may style is named by its hash: a name of a file that became markup in spite of all
    could neither run anything nor load anything.
    """
    html, style, script = (
        (directory / name).read_text("utf-8") for name in ("status.html", "status.css", "status.js")
    )
    whole = html.replace(STYLE_HERE, f"<style>{style}</style>").replace(
        SCRIPT_HERE, f"<script>{script}</script>"
    )
    return Page(whole, headers(style, script))


def headers(style: str, script: str = "") -> dict[str, str]:
    """Returns the headers of a page that has this style and this script in it, and loads nothing."""
    policy = [
        "default-src 'none'",
        f"style-src '{_hash(style)}'",
        *([f"script-src '{_hash(script)}'", "connect-src 'self'"] if script else []),
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(policy),
        "Referrer-Policy": "no-referrer",
    }


def _hash(text: str) -> str:
    """Returns the source expression for an inline element of this content (CSP 3 section 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
