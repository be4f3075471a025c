"""Gives an arrived file to the user that its ticket names: that user can read and move it, and nothing else.

    storage_dir, data/     everybody may pass (o+x), from the first such ticket on; nobody else may list them
    data/ID                belongs to the user, so that it can take the file out
    data/ID/ID             belongs to the user

A ticket's id can't be guessed. Who knows it all the same finds a folder that only its owner and the group of
`data/` may enter. The server goes on by that group: whether it can still remove what it has given away is
tried before the first ticket is issued.

From then on the user may put anything into its folder under the file's name: a link, a FIFO, another name of
somebody else's file. So nothing is opened through a link, no open waits, and a file that has another name is
not given away. Its folder's own name is in `data/`, which the user can't change.
"""

from __future__ import annotations

import errno
import logging
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from incoming.runtime.base import Runtime
from incoming.runtime.filesystem import REFUSED, disk_errors, set_mode, sync_folder
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage.local.posix import NO_LINK, folder
from incoming.storage.local.probe import FILE, trial_folder

log = logging.getLogger(__name__)

PASS: Final = stat.S_IXOTH
_ACL: Final = "system.posix_acl_access"


class LocalOwnership:
    """See storage.Ownership."""

    def __init__(self, giver: FileGiver, file_of: Callable[[str], Path], runtime: Runtime) -> None:
        """`file_of` returns where the file of a ticket is."""
        self._giver = giver
        self._file_of = file_of
        self._runtime = runtime
        self._lock = runtime.lock()

    def can_give_to(self, owner_uid: int) -> bool:
        """See storage.Ownership."""
        with disk_errors, self._lock:
            return self._runtime.in_pool(self._giver.can_give_to, owner_uid)

    def give_to(self, ticket_id: str, owner_uid: int) -> None:
        """See storage.Ownership."""
        with disk_errors:
            self._runtime.in_pool(self._giver.give, self._file_of(ticket_id), owner_uid)


class FileGiver:
    """Gives away files of one directory of uploads. Every method blocks on the disk."""

    def __init__(self, directory: Path, above: Path | None, folder_mode: int) -> None:
        """`directory` has a folder of this mode for each upload; `above` is the server's own one around it.

        Where users could pass before, they can again: something else may have reset the mode of `above`.
        """
        self._directory = directory
        self._way = [directory, above] if above else [directory]
        self._folder_mode = folder_mode
        self._known: set[int] = set()
        """Users that have been given something in a trial."""
        self._passing: set[int] = {0, os.geteuid()}
        """Users that can pass, as far as that is up to the server."""
        if directory.stat().st_mode & PASS:
            self._let_pass()

    def can_give_to(self, owner_uid: int) -> bool:
        """Returns whether `give` works, and the server can still remove the file. One call at a time.

        Capabilities, user namespaces, file systems: only trying tells. Raises OSError where the disk fails.
        """
        if owner_uid in self._known:
            return True
        try:
            self._try(owner_uid)
        except OverflowError:
            return False
        except OSError as exc:
            if exc.errno not in REFUSED:
                raise
            return False
        self._known.add(owner_uid)
        self._make_way(owner_uid)
        return True

    def _try(self, owner_uid: int) -> None:
        with trial_folder(self._directory) as folder_fd:
            set_mode(folder_fd, self._folder_mode)
            os.fchown(folder_fd, owner_uid, -1)
            flags = os.O_RDWR | os.O_CREAT | NO_LINK
            fd = os.open(FILE, flags, 0o660, dir_fd=folder_fd)
            try:
                set_mode(fd, 0o660)
                os.fchown(fd, owner_uid, -1)
            finally:
                close_descriptor(fd)
            close_descriptor(os.open(FILE, os.O_RDWR | NO_LINK, dir_fd=folder_fd))

    def give(self, file: Path, owner_uid: int) -> None:
        """Makes the file and its folder the user's, which survives a power cut. Raises OSError."""
        with folder(file.parent) as folder_fd:
            fd = os.open(file.name, os.O_RDONLY | NO_LINK, dir_fd=folder_fd)
            try:
                _give(fd, owner_uid, folder_fd)
            finally:
                close_descriptor(fd)
        self._make_way(owner_uid)

    def _make_way(self, owner_uid: int) -> None:
        if owner_uid in self._passing:
            return
        self._let_pass()
        self._passing.add(owner_uid)
        blocked = next((p for p in self._path_from_above() if not _may_pass(p, owner_uid)), None)
        if blocked:
            log.warning(
                "the user %(uid)d of fileOwnerUid can't enter %(path)s, so it can't reach its files. "
                "Give it the permission: chmod o+x %(path)s, or setfacl -m u:%(uid)d:x %(path)s",
                {"uid": owner_uid, "path": blocked},
            )

    def _let_pass(self) -> None:
        for place in self._way:
            fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                status = os.fstat(fd)
                if status.st_uid == os.geteuid():  # else it is for its owner to say
                    set_mode(fd, stat.S_IMODE(status.st_mode) | PASS)
            finally:
                close_descriptor(fd)

    def _path_from_above(self) -> list[Path]:
        return [*reversed(self._directory.parents), self._directory]


def _give(fd: int, owner_uid: int, folder_fd: int) -> None:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "It is not a regular file")
    if status.st_uid != owner_uid:
        if status.st_nlink > 1:
            raise OSError(errno.EMLINK, "It has a second name, so it may belong to another user")
        os.fchown(fd, owner_uid, -1)
        os.fsync(fd)  # fdatasync does not keep owners
    if os.fstat(folder_fd).st_uid != owner_uid:
        os.fchown(folder_fd, owner_uid, -1)
        sync_folder(folder_fd)


def _may_pass(place: Path, uid: int) -> bool:
    """Returns whether a user may go through a folder, as far as its mode says; with an ACL, True."""
    status = place.stat()
    if uid == status.st_uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid in _groups(uid):
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & PASS) or _has_acl(place)


def _groups(uid: int) -> list[int]:
    """Returns the groups of a user; none for one that this machine has no name for, as in containers."""
    try:
        user = pwd.getpwuid(uid)
        return os.getgrouplist(user.pw_name, user.pw_gid)
    except (KeyError, OSError, OverflowError):
        return []


def _has_acl(place: Path) -> bool:
    try:
        return bool(os.getxattr(place, _ACL))
    except OSError:
        return False
