#!/usr/bin/env python3
"""Starts Incoming!! from the source tree: `python run.py --help` tells every option."""

import os

from incoming.cli import main

if __name__ == "__main__":
    # The file of an installed server, /etc/incoming.toml, is not for this one.
    os.environ.setdefault("INCOMING_CONFIG", os.devnull)
    main()
