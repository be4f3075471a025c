"""Folders in a bucket: each file is an object of its own. `storage` opens, reads and deletes them."""
