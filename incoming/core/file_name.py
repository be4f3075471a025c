"""The name of a file as a browser tells it: data, never a path."""

from __future__ import annotations


def bare_file_name(name_from_browser: str) -> str:
    r"""Returns the last component of a browser's file name, without control characters.

    Apps join it to a folder of theirs: it never holds `/` or `\`, and it is never empty, `.` or `..`.
    """
    last = name_from_browser.replace("\\", "/").rpartition("/")[2]
    bare = "".join(c for c in last if not (ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0))
    return "upload" if bare in ("", ".", "..") else bare
