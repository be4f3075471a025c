"""What the server notes of uploads on their way to S3, since S3 can't tell it.

`manifest` (files) and `folder_notes` (folders) say what is noted, and have the interfaces of what keeps it.
The modules with `file_` keep it in a file of this machine, those with `redis_` in Redis, beside the tickets.
"""
