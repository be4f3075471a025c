"""Files that come in parts, several at a time, each written into its place.

`storage` opens and reads them, and `writer` writes one part. `files` has their files, and `offsets` tells how
much of each part is stored. `assembly` makes one file of the parts of several uploads.
"""
