#!/usr/bin/env python3
"""Starts Incoming!! from the source tree: `python run.py --help` tells every option."""

from incoming.cli import main

if __name__ == "__main__":
    main()
