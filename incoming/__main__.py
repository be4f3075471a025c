"""`python -m incoming` is the command `incoming`."""

from __future__ import annotations

from incoming.cli import main

if __name__ == "__main__":
    main(prog_name="incoming")
