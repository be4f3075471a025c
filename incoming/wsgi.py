"""The server as a WSGI app, for uWSGI and gunicorn: `incoming.wsgi:application`.

Settings come from the environment, and from the TOML file that INCOMING_CONFIG names.
"""

from __future__ import annotations

import os
from typing import Final

from incoming import hosts
from incoming.commands.given import settings
from incoming.commands.serve import log_to_stderr
from incoming.transports.upgrade import WsgiApp

CONFIG_VARIABLE: Final = "INCOMING_CONFIG"


def _application() -> WsgiApp:
    in_force = settings(os.environ.get(CONFIG_VARIABLE), {})
    log_to_stderr(in_force)
    return hosts.start(in_force).wsgi()


application: Final = _application()
