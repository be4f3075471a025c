"""Where the files are that browsers get: the library, and the pages for people."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parent.parent
STATIC_DIR: Final = next(d for d in (_PACKAGE / "static", _PACKAGE.parent / "static") if d.is_dir())
"""Inside the package when it is installed; next to it in the source tree."""
