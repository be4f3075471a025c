"""The subcommands of `incoming`, one module each. `incoming.cli` combines them."""
