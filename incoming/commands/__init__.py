"""What the command `incoming` can do, a module each; `incoming.cli` puts them together."""
