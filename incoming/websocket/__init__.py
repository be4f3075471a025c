"""Bytes to messages and back: each transport drives sessions (or requests) of the service over a network."""
