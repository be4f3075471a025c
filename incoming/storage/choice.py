"""Which storage has which upload, on a server that has one or several.

Its ticket says so. `Storages.of(ticket)` is the only way to the files of an upload: what a storage can do is
asked of the one that has the upload. Nothing here waits or stores.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from incoming.core.errors import BadParameter
from incoming.core.ticket import Ticket
from incoming.storage import FolderStorage, Storage

LOCAL: Final = "local"
S3: Final = "s3"
NAMES: Final = (LOCAL, S3)
"""What tickets, apps and settings call a storage: files of this machine, or objects."""
NOT_HERE: Final = {
    LOCAL: "must be s3: this server stores uploads in S3 only, so the app gets a URL and not the path of a "
    "file",
    S3: "must be local: this server stores uploads on its own disk",
}


class Storages:
    """The storages of a server, by their names."""

    def __init__(self, default: Storage, *others: Storage, nameless: str = "") -> None:
        """`default`: the storage of an app that names none; at most one has each name.

        `nameless`: the name of the storage that has the uploads whose tickets name none, because a version
        has issued them that had one storage only. Empty: the default.
        """
        self._by_name = {name_of(one): one for one in (default, *others)}
        self.default = default
        self._nameless = nameless or name_of(default)

    @property
    def all(self) -> tuple[Storage, ...]:
        """All storages, the default first."""
        return tuple(self._by_name.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all storages, the default first."""
        return tuple(self._by_name)

    def name(self, asked: str, for_folder: bool = False) -> str:
        """Returns the name of the storage for a new ticket, whose app has `asked` for one, or for none.

        Raises BadParameter for one that is not here, or takes no folder. Objects alone have to be asked for:
        an app that expects the path of a file could not use a URL.
        """
        only_objects = LOCAL not in self._by_name
        able = [name for name, one in self._by_name.items() if one.folders or not for_folder]
        name = asked or (LOCAL if only_objects else (able or self.names)[0])
        if name not in self._by_name:
            raise BadParameter("storage", NOT_HERE[name])
        if name not in able:
            raise BadParameter("destType", "must be file: the storage of this upload takes no folders")
        return name

    def named(self, name: str) -> Storage:
        """Returns the storage of this name. It is here."""
        return self._by_name[name]

    def name_for(self, ticket: Ticket) -> str:
        """Returns the name of the storage that has the upload of a ticket."""
        return ticket.storage or self._nameless

    def of(self, ticket: Ticket) -> Storage:
        """Returns the storage that has the upload of a ticket: for a folder, its storage of folders.

        Nothing is left of an upload whose storage is not here any more, so any other one will do.
        """
        return self.folders_of(ticket) or self.place_of(ticket)

    def folders_of(self, ticket: Ticket) -> FolderStorage | None:
        """Returns the same storage for the upload of a folder; None for that of a file."""
        return self.place_of(ticket).folders if ticket.is_folder else None

    def place_of(self, ticket: Ticket) -> Storage:
        """Returns the storage whose room the upload of a ticket takes, be it a file or a folder."""
        return self._by_name.get(self.name_for(ticket), self.default)

    def sizes(self, tickets: Iterable[Ticket]) -> dict[str, int | None]:
        """Returns `Storage.size` of each of these uploads. Raises StorageFailed."""
        found: dict[str, int | None] = {}

        def place(ticket: Ticket) -> tuple[str, bool]:
            return self.name_for(ticket), ticket.is_folder

        for _, group in groupby(sorted(tickets, key=place), key=place):
            same = list(group)
            found |= self.of(same[0]).sizes([ticket.id for ticket in same])
        return found


def name_of(storage: Storage) -> str:
    """Returns the name of a storage, by what apps get of it."""
    return S3 if storage.objects else LOCAL
