"""Storage in a directory of this machine: the file of an upload is `DIRECTORY/ID/ID`.

- The offset of an upload is the length of its file. It is read from the disk and kept nowhere else. Space is
  reserved ahead of the writer with fallocate(2) and FALLOC_FL_KEEP_SIZE, which leaves the length unchanged.
- Folders have the mode 2770 (setgid) and files 0660, so that an app of the same group can move a file away.
  The server opens no link. See `ownership` for files that a ticket gives to another user.
- Everything that may wait for a disk runs in the pool, except a write to a fast disk (`write_path`).

POSIX is known only in this package: paths, user ids, holes, allocated blocks.
"""
