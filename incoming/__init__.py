"""Incoming!!: large file uploads, taken off a web app's back."""

__version__ = "0.3.0"
