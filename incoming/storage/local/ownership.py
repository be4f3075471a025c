"""Gives an arrived file to the user that its ticket names. That user can then read and move it, nothing else.

    storage_dir, data/     every user may pass (o+x), from the first such ticket on; none may list them
    data/ID                belongs to the user, who can take the file out of it
    data/ID/ID             belongs to the user

A ticket's id can't be guessed. A user who knows it finds a folder that only its owner and the group of
`data/` may enter. The server keeps its access through that group. A trial before the first ticket shows
whether the server can still delete what it has given away.

From then on the user may put anything into the folder under the file's name: a link, a FIFO, a second name of
another user's file. So the server opens nothing through a link, no open waits, and a file with a second name
is not given away. The name of the folder is in `data/`, which the user can't change.
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
from incoming.storage.local.posix import NO_FOLLOW, folder
from incoming.storage.local.probe import TRIAL_FILE, trial_folder

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
    """Gives files of the directory of uploads to other users. Every method blocks on the disk."""

    def __init__(self, directory: Path, above: Path | None, folder_mode: int) -> None:
        """`directory` has a folder of this mode for each upload. `above` is the server's own folder above it.

        Users that could pass before can pass again: something else may have reset the mode of `above`.
        """
        self._directory = directory
        self._passable = [directory, above] if above else [directory]
        self._folder_mode = folder_mode
        self._tried: set[int] = set()
        """Users for which the trial has succeeded."""
        self._passing: set[int] = {0, os.geteuid()}
        """Users that can pass, as far as the server can decide that."""
        if directory.stat().st_mode & PASS:
            self._let_pass()

    def can_give_to(self, owner_uid: int) -> bool:
        """Returns whether `give` works, and the server can still delete the file. One call at a time.

        Capabilities, user namespaces and file systems decide that, so only a trial tells. Raises OSError if
        the disk fails.
        """
        if owner_uid in self._tried:
            return True
        try:
            self._try(owner_uid)
        except OverflowError:
            return False
        except OSError as exc:
            if exc.errno not in REFUSED:
                raise
            return False
        self._tried.add(owner_uid)
        self.let_user_pass(owner_uid)
        return True

    def _try(self, owner_uid: int) -> None:
        with trial_folder(self._directory) as folder_fd:
            set_mode(folder_fd, self._folder_mode)
            os.fchown(folder_fd, owner_uid, -1)
            flags = os.O_RDWR | os.O_CREAT | NO_FOLLOW
            fd = os.open(TRIAL_FILE, flags, 0o660, dir_fd=folder_fd)
            try:
                set_mode(fd, 0o660)
                os.fchown(fd, owner_uid, -1)
            finally:
                close_descriptor(fd)
            close_descriptor(os.open(TRIAL_FILE, os.O_RDWR | NO_FOLLOW, dir_fd=folder_fd))

    def give(self, file: Path, owner_uid: int) -> None:
        """Makes the user the owner of the file and its folder. It survives a power cut. Raises OSError."""
        with folder(file.parent) as folder_fd:
            fd = os.open(file.name, os.O_RDONLY | NO_FOLLOW, dir_fd=folder_fd)
            try:
                give_file(fd, owner_uid)
                give_folder(folder_fd, owner_uid)
            finally:
                close_descriptor(fd)
        self.let_user_pass(owner_uid)

    def let_user_pass(self, owner_uid: int) -> None:
        """Lets the user reach its folders. Warns if that fails."""
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
        for place in self._passable:
            fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                status = os.fstat(fd)
                if status.st_uid == os.geteuid():  # else its owner decides
                    set_mode(fd, stat.S_IMODE(status.st_mode) | PASS)
            finally:
                close_descriptor(fd)

    def _path_from_above(self) -> list[Path]:
        return [*reversed(self._directory.parents), self._directory]


def give_file(fd: int, owner_uid: int, syncs: bool = True) -> None:
    """Makes the user the owner of a file. Raises OSError, also if another user may have the same file."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "It is not a regular file")
    if status.st_uid != owner_uid:
        if status.st_nlink > 1:
            raise OSError(errno.EMLINK, "It has a second name, so it may belong to another user")
        os.fchown(fd, owner_uid, -1)
        if syncs:
            os.fsync(fd)  # fdatasync does not store the owner


def give_folder(folder_fd: int, owner_uid: int) -> None:
    """Makes the user the owner of a folder. Raises OSError."""
    if os.fstat(folder_fd).st_uid != owner_uid:
        os.fchown(folder_fd, owner_uid, -1)
        sync_folder(folder_fd)


def _may_pass(place: Path, uid: int) -> bool:
    """Returns whether a user may pass through a folder, by its mode. With an ACL it returns True."""
    status = place.stat()
    if uid == status.st_uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid in _groups(uid):
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & PASS) or _has_acl(place)


def _groups(uid: int) -> list[int]:
    """Returns the groups of a user; none if the user has no name on this machine, as in containers."""
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
