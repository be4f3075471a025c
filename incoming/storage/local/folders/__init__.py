"""Folders in a directory of this machine. Their files are below `DIRECTORY/ID/ID`, which is a folder.

- `storage` opens and reads folders, and `writer` divides a stream among the files of one (`files`).
- `layout` says where each file is, and `sums_log` what is noted of it. `disk` has folders without a writer.
- `completion` makes what the app gets, and `deletion` deletes it. `tree` and `sync` are the calls for both.
- `ownership`, `free_space` and `recovery` are what the same modules of `local` are for files.
"""
