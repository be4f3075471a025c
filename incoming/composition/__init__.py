"""The composition root: builds the service of one process. `service` has the order in which that happens.

`directory` is a storage directory that this process owns. `tickets` chooses where tickets are kept, `files`
where the bytes of uploads are kept.
"""
