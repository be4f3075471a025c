"""The service: issue, claim, write, complete, hand over, cancel, expire and recover an upload.

Transports call it. It reaches tickets, bytes and apps only through the seams `registry`, `storage` and
`handover`. It knows neither HTTP nor WebSockets.
"""
