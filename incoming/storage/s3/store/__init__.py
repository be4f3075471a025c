"""The calls to S3, and what needs several of them: repeating, comparing, completing, aborting, deleting."""
