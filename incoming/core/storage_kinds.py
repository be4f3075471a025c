"""The one table of the kinds of storages: what each is called, and what people are told of it.

Settings, tickets, apps and the note of where files are (`composition.storage_note`) use these names. Names
are stored, so they never change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class StorageKind:
    """What the whole server knows of one kind of storage."""

    where: str
    """Where it keeps files, as the end of a sentence for an app: "in S3"."""
    addresses: str = ""
    """What the setting `storage` may be for it, for people. Each address begins with `NAME://`.

    Empty for the one kind that needs no address, because its files are in `storage_dir`.
    """


LOCAL: Final = "local"
S3: Final = "s3"
KINDS: Final = {
    LOCAL: StorageKind("on its own disk"),
    S3: StorageKind("in S3", "s3://BUCKET or s3://BUCKET/PREFIX"),
}
"""By name."""


def remote_names() -> tuple[str, ...]:
    """Returns the names of the kinds that have an address."""
    return tuple(name for name in KINDS if name != LOCAL)


def name_in(address: str) -> str:
    """Returns the name of the storage with this address. It is `local` for what is no address of another."""
    scheme, separator, _ = address.partition("://")
    return scheme if separator else LOCAL


def choices() -> tuple[str, ...]:
    """Returns what the setting `storage_choice` may be: the directory and one other storage, in any order."""
    return tuple(text for name in remote_names() for text in (f"{LOCAL},{name}", f"{name},{LOCAL}"))


def listed(words: tuple[str, ...]) -> str:
    """Returns the words as a sentence lists them: `a, b or c`."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
