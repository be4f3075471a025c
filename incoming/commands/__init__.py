"""The subcommands of `incoming`, one module each. `incoming.cli` combines them."""

import logging

# A command prints its result. Only `serve` has a log, and gives it a place.
logging.getLogger("incoming").addHandler(logging.NullHandler())
