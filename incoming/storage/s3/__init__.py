"""The storage of uploads in a bucket of S3, or of a store that speaks its protocol.

A file is sent in parts of fixed ranges while its bytes come in. A byte counts as stored when the store has
answered for it *and* the manifest says so. `writer` describes how, `manifest` what is remembered.
"""
