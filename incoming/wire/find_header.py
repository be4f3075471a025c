"""How a header of a request is asked for, whatever the server keeps its requests in."""

from __future__ import annotations

from collections.abc import Callable

FindHeader = Callable[[str], str | None]
"""Returns the value of a header, without blanks around it; None when it is missing. Case does not matter."""
