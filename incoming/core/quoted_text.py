"""A word as another program may write it: after a byte order mark, or in the quotes of a JSON string. Pure.

Frameworks that return a string as JSON answer `"done"`, and what they got as JSON they pass on as it is. Some
editors and scripts begin what they write with a UTF-8 byte order mark. Neither is ever meant.
"""

from __future__ import annotations

import json
from typing import Final

BOM: Final = "\ufeff"


def unquoted(text: str) -> str:
    """Returns the text that is meant: without a BOM, and what a JSON string holds instead of the string."""
    text = text.removeprefix(BOM)
    if not text.lstrip().startswith('"'):
        return text
    try:
        word = json.loads(text)
        word.encode()  # half a character, as \ud800, is none
    except (ValueError, AttributeError):
        return text
    return str(word)
