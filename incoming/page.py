"""The status page: one document, put together at the start, that may run its own script and nothing else."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

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
    policy = [
        "default-src 'none'",
        f"style-src '{_hash(style)}'",
        f"script-src '{_hash(script)}'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    whole = html.replace(STYLE_HERE, f"<style>{style}</style>").replace(
        SCRIPT_HERE, f"<script>{script}</script>"
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(policy),
        "Referrer-Policy": "no-referrer",
    }
    return Page(whole, headers)


def _hash(text: str) -> str:
    """Returns the source expression for an inline element of this content (CSP 3 section 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
