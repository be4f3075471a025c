"""The log lines of the server that a block of a test causes."""

from __future__ import annotations

import logging
from typing import Self


class LogCapture(logging.Handler):
    """Collects the lines of level INFO and above: `INFO upload 0b8a0f0e: ticket issued`."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self._logger = logging.getLogger("incoming")
        self._level = self._logger.level

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self.lines.append(f"{record.levelname} {record.getMessage()}")

    def __enter__(self) -> Self:
        self._level = self._logger.level
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)
