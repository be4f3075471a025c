"""What the headers of a page allow."""

from __future__ import annotations

import base64
import hashlib

from incoming.wire.page_policy import page_headers


def policy(headers: dict[str, str]) -> dict[str, str]:
    """Returns the directives of the Content-Security-Policy."""
    return dict(directive.split(" ", 1) for directive in headers["Content-Security-Policy"].split("; "))


def digest(text: str) -> str:
    """Returns how a policy names this content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_a_page_without_a_script_may_style_itself_and_nothing_else() -> None:
    headers = page_headers("p { color: red }")
    assert policy(headers) == {
        "default-src": "'none'",
        "style-src": digest("p { color: red }"),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_page_with_a_script_may_run_that_one_and_ask_its_own_server() -> None:
    directives = policy(page_headers("", "x = 1"))
    assert directives["script-src"] == digest("x = 1")
    assert directives["connect-src"] == "'self'"


def test_forms_lead_where_the_page_says_only() -> None:
    directives = policy(page_headers("", form_targets=["'self'", "https://app.example"]))
    assert directives["form-action"] == "'self' https://app.example"
