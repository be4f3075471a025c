"""Incoming!! under gunicorn:  gunicorn --config deploy/gunicorn.conf.py incoming.wsgi:application

Install it with its needs into the environment of Incoming!!: pip install '/path/to/the/clone[gunicorn]'.
Settings come from the environment, and from the TOML file that INCOMING_CONFIG names.
"""

import sys

bind = "127.0.0.1:4000"
worker_class = "gevent"
# One process has the tickets. It serves thousands of uploads; each is one of these connections.
workers = 1
preload_app = False
worker_connections = 2000
# The longest header is Cookie: those of a single sign-on have 9 kB and more. gunicorn's own limit is 8190.
limit_request_field_size = 32768
# How long a stopping worker may take: clients are told at once to reconnect.
graceful_timeout = 10
# The worker that a reload (SIGHUP) starts waits until the previous one releases the storage directory.
raw_env = ["INCOMING_WAIT_FOR_STORAGE=yes"]


def on_starting(server):
    """Refuses what could only fail later."""
    if server.cfg.workers != 1:
        sys.exit(
            f"Incoming!! keeps its tickets in one process, but gunicorn runs {server.cfg.workers}. "
            "Set workers = 1: one process serves thousands of uploads."
        )
