"""Which storage has which upload, on a server that has one or several.

Its ticket says so. `Storages.of(ticket)` is the only way to the files of an upload: what a storage can do is
asked of the one that has the upload. Nothing here waits or stores.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from incoming.core.errors import BadParameter
from incoming.core.storage_kinds import KINDS, listed
from incoming.core.ticket import Ticket
from incoming.storage import FolderStorage, Storage


class Storages:
    """The storages of a server, by their names: see `core.storage_kinds`."""

    def __init__(self, default: Storage, *others: Storage, nameless: str = "") -> None:
        """`default`: the storage of an app that names none; at most one has each name.

        `nameless`: the name of the storage that has the uploads whose tickets name none, because a version
        has issued them that had one storage only. Empty: the default.
        """
        self._by_name = {one.name: one for one in (default, *others)}
        self.default = default
        self._nameless = nameless or default.name

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
        able = [name for name, one in self._by_name.items() if one.folders or not for_folder]
        only_objects = all(one.objects for one in self.all)
        if (only_objects and not asked) or (asked and asked not in self._by_name):
            raise BadParameter("storage", self._not_here(only_objects))
        name = asked or (able or self.names)[0]
        if name not in able:
            raise BadParameter("destType", "must be file: the storage of this upload takes no folders")
        return name

    def _not_here(self, only_objects: bool) -> str:
        where = " and ".join(KINDS[name].where for name in self._by_name)
        why = " only, so the app gets a URL and not the path of a file" if only_objects else ""
        return f"must be {listed(self.names)}: this server stores uploads {where}{why}"

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
        return self.folders_of(ticket) or self.named_by(ticket)

    def folders_of(self, ticket: Ticket) -> FolderStorage | None:
        """Returns the same storage for the upload of a folder; None for that of a file."""
        return self.named_by(ticket).folders if ticket.is_folder else None

    def named_by(self, ticket: Ticket) -> Storage:
        """Returns the storage that a ticket names, whose space its upload takes, be it a file or a folder."""
        return self._by_name.get(self.name_for(ticket), self.default)

    def sizes(self, tickets: Iterable[Ticket]) -> dict[str, int | None]:
        """Returns `Storage.size` of each of these uploads. Raises StorageFailed."""
        found: dict[str, int | None] = {}

        def storage(ticket: Ticket) -> tuple[str, bool]:
            return self.name_for(ticket), ticket.is_folder

        for _, group in groupby(sorted(tickets, key=storage), key=storage):
            same = list(group)
            found |= self.of(same[0]).sizes([ticket.id for ticket in same])
        return found
