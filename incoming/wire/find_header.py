"""How a header of a request is asked for, whatever the server keeps its requests in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

FindHeader = Callable[[str], str | None]
"""Returns the value of a header, without blanks around it; None when it is missing. Case does not matter."""


def announces(find: FindHeader, header: str) -> bool:
    """Returns whether a request says that this header follows its body, as a trailer."""
    return header.lower() in {one.strip().lower() for one in (find("Trailer") or "").split(",")}


def find_in(trailers: Mapping[str, str]) -> FindHeader:
    """Returns what finds one of the trailers {name in lower case: value} of a request."""

    def find(header: str) -> str | None:
        value = trailers.get(header.lower())
        return None if value is None else value.strip(" \t")

    return find
