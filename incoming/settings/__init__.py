"""The settings: one table, and how its values are read from a file, the environment and options.

What a setting does belongs where it is used.
"""
