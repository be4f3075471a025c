"""Calls to apps. `http_client` makes one call over HTTP, `callbacks` one within the process. `answers` says
what an answer means and when to call again. `uploads.outbox` decides what a ticket needs.
"""
