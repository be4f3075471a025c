"""What options and arguments of commands may be, beyond what click has."""

from __future__ import annotations

from typing import Any, Final

import click


class _Filled(click.ParamType[str]):
    """A text that is not empty. An empty one comes from a variable of a script that was never set.

    It must not count as an option that is missing: the command would do something else than its user wants.
    """

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See click.ParamType."""
        text = str(value)
        if not text.strip():
            self.fail("It must not be empty.", param, ctx)
        return text


FILLED: Final = _Filled()
