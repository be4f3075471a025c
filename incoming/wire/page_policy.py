"""The headers of a page for people: it may run its own script, if it has one, and load nothing at all.

What may run and what may style is named by its hash (CSP 3 section 2.3.1). So a stranger's text that became
markup in spite of all could neither run anything nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Final

NOWHERE: Final = ("'none'",)


def page_headers(style: str, script: str = "", form_targets: Sequence[str] = ()) -> dict[str, str]:
    """Returns the headers of a page that has this style and this script in it.

    `form_targets`: where its forms may lead, as source expressions. Some browsers check redirects, too.
    """
    policy = [
        "default-src 'none'",
        f"style-src '{_hash(style)}'",
        *([f"script-src '{_hash(script)}'", "connect-src 'self'"] if script else []),
        "img-src data:",
        "base-uri 'none'",
        f"form-action {' '.join(form_targets or NOWHERE)}",
        "frame-ancestors 'none'",
    ]
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(policy),
        "Referrer-Policy": "no-referrer",
    }


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
