"""What the server remembers of uploads on their way to S3, since S3 can't tell it.

| | of files | of folders | of both |
|---|---|---|---|
| what is kept, and the interface of what keeps it | `manifest` | `folder_states` | `upload_metadata` |
| in an SQLite file of this machine | `sqlite_manifests` | `sqlite_folder_states` | `sqlite_metadata` |
| in Redis, next to the tickets | `redis_manifests` | `redis_folder_states` | `redis_metadata` |

`sqlite_file` is the file, and `redis_fence` a change that only the newest claim may make.
"""
