"""The servers that are measured: ours in its ways, those that a user could pick instead, and the floors."""
