"""Applies gevent's patches, with one search for plug-ins instead of one at each step."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from gevent import events, monkey


def patch_all() -> None:
    """Has everything that blocks yield to other greenlets. Call it before anything imports `socket`.

    gevent calls plug-ins, which are entry points of installed packages, at each of its 25 events (its module
    `events`). It would read the files of all packages each time. With a hundred packages, that is half of the
    start of the command. So they are read once.
    """
    plugins = metadata.entry_points()

    def tell(event: Any) -> None:
        events.notify(event)
        for plugin in plugins.select(group=event.ENTRY_POINT_NAME):
            plugin.load()(event)

    events.notify_and_call_entry_points = tell
    monkey.patch_all()
