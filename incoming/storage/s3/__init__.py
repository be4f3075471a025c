"""The storage of uploads in a bucket of S3, or of a store that speaks its protocol.

A file is sent in parts of fixed ranges while its bytes come in. A byte counts as stored when the store has
answered for it *and* the metadata says so.

- `storage` opens, reads and deletes files, and `writer` sends them. Folders share `stream_writer`.
- `folders` has the same for folders: an object for each file.
- `metadata` is what the server remembers of unfinished uploads, in a file of this machine or in Redis.
- `store` calls S3, repeats calls, and makes one object of the parts.
"""
