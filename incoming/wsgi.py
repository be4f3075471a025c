"""The server as a WSGI app, for uWSGI and gunicorn: `incoming.wsgi:application`.

Settings come from the environment, and from the TOML file that INCOMING_CONFIG names, or /etc/incoming.toml.
"""

from __future__ import annotations

import os
from typing import Final

from incoming import wsgi_servers
from incoming.commands.serve import log_to_stderr, warn_of_ignored
from incoming.commands.setting_options import config_path, given
from incoming.settings import load
from incoming.websocket.upgrade import WsgiApp


def _application() -> WsgiApp:
    os.environ.update(wsgi_servers.late_variables())
    found = given(config_path(os.environ.get(load.CONFIG_VARIABLE)), {})
    in_force = load.combined(found)
    log_to_stderr(in_force)
    warn_of_ignored(found, "the web server that runs it does")
    return wsgi_servers.start(in_force).wsgi()


application: Final = _application()
