"""The composition root: builds the service of one process. `service` has the order in which that happens.

`stores` opens what keeps tickets (`tickets`, `redis_tickets`) and files (`files`, `s3_files`). `storage_note`
remembers which files belong to which tickets. `directory` is a storage directory that this process owns.
"""
