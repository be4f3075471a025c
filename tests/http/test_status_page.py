"""The status page as one document: what its policy admits is what is in it."""

from __future__ import annotations

import base64
import hashlib
import re

from incoming.http import status_page
from incoming.runtime.static_files import STATIC_DIR

PAGE = status_page.load(STATIC_DIR)


def policy() -> dict[str, str]:
    """Returns the directives of the Content-Security-Policy."""
    directives = PAGE.headers["Content-Security-Policy"].split("; ")
    return dict(directive.split(" ", 1) for directive in directives)


def test_nothing_is_loaded_from_anywhere() -> None:
    assert not re.findall(r"(?:src|href)=\"(?!data:,)|https?:|@import|url\(", PAGE.html)


def test_only_its_own_script_and_style_are_admitted() -> None:
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", PAGE.html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy()[directive] == f"'sha256-{digest}'"
    assert policy()["default-src"] == policy()["frame-ancestors"] == "'none'"
    assert "unsafe" not in PAGE.headers["Content-Security-Policy"]
    assert not re.findall(r"\s(?:style|on\w+)=", PAGE.html.partition("<script>")[0])


def test_texts_never_become_markup() -> None:
    script = (STATIC_DIR / "status.js").read_text("utf-8")
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", script)
