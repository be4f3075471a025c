"""The servers that are measured: ours, others that a user could choose, and the floors."""
