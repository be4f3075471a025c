"""Incoming!!: large file uploads, taken off a web app's back.

For an app that has it in its own process: `from incoming import Incoming` (docs/how-to/embedding.md).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from incoming.app import Refuse as Refuse
    from incoming.embedding import Incoming as Incoming
    from incoming.handover.callbacks import ArrivedUpload as ArrivedUpload

__version__ = "0.3.0"

_PUBLIC = {
    "Incoming": "incoming.embedding",
    "ArrivedUpload": "incoming.handover.callbacks",
    "Refuse": "incoming.app",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for when it is asked for: the command patches its process before that."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'incoming' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
