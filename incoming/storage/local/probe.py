"""Tries at each start, in a folder, what the server needs from its file system.

If something necessary fails, the server does not start, and says the path and a remedy. If something fails
that only makes a promise stronger, the server logs a warning. Otherwise it would start, and answer every
request for a ticket with 500.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from incoming.core.errors import BadSetting
from incoming.runtime.filesystem import (
    DISK_FULL,
    UNSUPPORTED,
    mount_id,
    mounted,
    mounts,
    set_folder_mode,
    set_mode,
)
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage.local.posix import NO_FOLLOW, fallocate, has_inodes

log = logging.getLogger(__name__)

PROBE_FOLDER: Final = ".probe"
TRIAL_FILE, _OTHER = "file", "other"
_CONTENT: Final = b"Incoming!! tries what this file system can do.\n" * 2048
"""Some blocks without zeros: a hole among them would be an error."""
NETWORK: Final = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "davfs", "fuse.")
"""Types of file systems that are usually on another machine. One that ends with a dot is a prefix."""
LOCAL_FUSE: Final = ("fuse.fuse-overlayfs", "fuse.bindfs", "fuse.mergerfs", "fuse.gocryptfs")

_REMEDIES: Final = {
    errno.EACCES: "Give the folder to the user that runs the server ({uid}): chown -R {uid} {path}",
    errno.EPERM: "Give the folder to the user that runs the server ({uid}): chown -R {uid} {path}",
    errno.EROFS: "Mount it writable.",
    errno.ENOENT: "Create the folder, or mount its file system.",
    errno.ENOTDIR: "Give the path of a folder.",
    errno.EEXIST: "Give the path of a folder. There is something else, or a link that leads nowhere.",
    errno.ENAMETOOLONG: "Give a shorter path.",
    errno.ENOSPC: "Free some space on it.",
    errno.EDQUOT: "Raise the quota of the user that runs the server ({uid}).",
    errno.EIO: "Check the disk (dmesg).",
}
_OTHER_REMEDY: Final = "Put it on a local disk; see 'Which file systems' in docs/reference/file-systems.md."

# What is weaker if something optional is missing.
NO_FOLDER_SYNC: Final = (
    "this file system can't sync folders. A power cut may remove the names of new files, and with them an "
    "upload or a ticket that was acknowledged. A killed process loses nothing."
)
OTHER_MODE: Final = (
    "the mode should be {wanted}, but it is {has}. {reason} Change it as the owner of the folder "
    "(chmod), or with the options of the mount (uid=, gid=, dmask=, fmask= or the like)."
)
NO_HOLES: Final = (
    "the file system does not report holes in files (SEEK_HOLE). If a power cut destroys bytes of an "
    "unfinished upload, the loss shows only at its end, and only with clients of protocol version 2."
)
NO_LOCKS: Final = (
    "locks have no effect on this file system (flock). Never start a second server on this folder: "
    "nothing prevents it."
)
NOT_THE_SAME: Final = (
    "a file in it that replaces another one gets a new inode number, so the server could not notice that "
    "its journal was moved or replaced"
)
NO_SIZE: Final = (
    "the file system does not report its free space. The server notices a full disk only when a write fails."
)
ON_NETWORK: Final = (
    "this is a network file system ({kind}). While its server is away, no upload starts or ends. What "
    "survives a power cut depends on that server; see 'Which file systems' in docs/reference/file-systems.md."
)

COPIES_ON_WRITE: Final = ("btrfs", "zfs", "bcachefs")
"""Types where freed space counts as free only after a commit: up to 30 s later (Btrfs), or after a sync.
Btrfs frees a reserved extent only as a whole: if some of it was written, a truncation of the rest frees
nothing, and the next writes take other space. So the server reserves nothing there."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a folder is for: the mode that it should have, and what it needs from its file system.

    Without one of `open_bits` in its mode, `if_closed` is true. With one of `closed_bits`, `if_open` is true.
    Those of `kept_bits` that the folder has stay. `renames`: files replace others. `stores`: it holds
    uploads. `syncs`: what is written has to survive a power cut.
    """

    mode: int
    closed_bits: int
    if_open: str
    kept_bits: int = 0
    open_bits: int = 0
    if_closed: str = ""
    renames: bool = False
    stores: bool = False
    syncs: bool = True


@dataclass(slots=True)
class Findings:
    """What a folder's file system can do: everything, unless a trial has shown otherwise."""

    directory: Path
    tells_holes: bool = True
    """Whether a hole (SEEK_HOLE) is where nothing was written, and nowhere else."""
    counts_inodes: bool = True
    """Whether it says truly how many inodes are free, or that it does not count them."""
    copies_on_write: bool = False
    """Whether it writes everything to a new place; see COPIES_ON_WRITE."""
    weaker: list[str] = field(default_factory=list)
    """What is weaker here, in one sentence each."""


def probe(directory: Path, need: Need) -> Findings:
    """Creates the folder if there is none, and tries it. Raises BadSetting if something necessary fails.

    A full disk does not prevent the start: it is logged, and what was not tried is assumed to work.
    """
    trial = _Trial(directory, need)
    try:
        with unusable(directory):
            trial.run()
    except BadSetting as exc:
        if not isinstance(exc.__cause__, OSError) or exc.__cause__.errno not in DISK_FULL:
            raise
        log.error("%(path)s: this disk is full, so no upload can start", {"path": directory})
    return trial.found


def warn(found: Sequence[Findings]) -> None:
    """Logs what is weaker: each sentence once, with all its folders."""
    for sentence in dict.fromkeys(sentence for findings in found for sentence in findings.weaker):
        places = [str(findings.directory) for findings in found if sentence in findings.weaker]
        log.warning("%(path)s: %(weaker)s", {"path": " and ".join(places), "weaker": sentence})


@contextlib.contextmanager
def unusable(path: Path, what: str = "", *, is_ours: bool = False) -> Iterator[None]:
    """Turns an OSError into a BadSetting of `storage_dir`, with a sentence and a remedy.

    `is_ours`: the server has just created something in the folder, so permissions are not the cause.
    """
    try:
        yield
    except OSError as exc:
        place = exc.filename if str(exc.filename).startswith("/") else path
        remedy = _REMEDIES.get(exc.errno or 0, _OTHER_REMEDY).format(uid=os.geteuid(), path=path)
        if is_ours and exc.errno in (errno.EPERM, errno.EACCES):
            remedy = _OTHER_REMEDY
        why = f"{what or 'the server cannot use it'}: {exc.strerror or exc}"
        raise BadSetting("storage_dir", f"{place}: {why}. {remedy}") from exc


class _Trial:
    """The trial of one folder."""

    def __init__(self, directory: Path, need: Need) -> None:
        self._directory = directory
        self._need = need
        self.found = Findings(directory)

    def run(self) -> None:
        """Raises BadSetting, OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = self._directory / PROBE_FOLDER
        has_room = has_inodes(self._directory)
        with contextlib.ExitStack() as stack:
            with unusable(self._directory, "no folder can be made in it"):
                folder_fd = stack.enter_context(trial_folder(self._directory))
            with unusable(self._directory, "no file can be made in it"):
                fd = os.open(
                    TRIAL_FILE, os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o600, dir_fd=folder_fd
                )
            stack.callback(close_descriptor, fd)
            self.found.counts_inodes = has_room  # now there was one for a folder and one for a file
            self._set_modes(folder_fd)  # needs no space, so it comes first
            self._sync_folder(folder_fd)
            self._write(fd)
            self._sync(fd)
            self._check_folder(fd)
            if self._need.stores:
                self._check_storing(fd)
            if self._need.renames:
                self._rename(folder_fd, fd)
        if place.exists():
            raise BadSetting("storage_dir", f"{place}: it can't be removed. {_OTHER_REMEDY}")

    def _write(self, fd: int) -> None:
        """Writes at a position, reads it back and truncates it: the length is what counts as stored."""
        with unusable(self._directory, "no file in it can be written", is_ours=True):
            half = len(_CONTENT) // 2
            for position in (half, 0):
                part = _CONTENT[position : position + half]
                done = os.pwrite(fd, part, position)
                while done < len(part):
                    done += os.pwrite(fd, part[done:], position + done)
            sizes = [os.fstat(fd).st_size]
            same = os.pread(fd, half, half // 2) == _CONTENT[half // 2 : half // 2 + half]
            os.ftruncate(fd, half)
            sizes.append(os.fstat(fd).st_size)
        if sizes != [len(_CONTENT), half] or not same:
            why = "a file in it has another length or content than was just written"
            raise BadSetting("storage_dir", f"{self._directory}: {why}. {_OTHER_REMEDY}")

    def _sync(self, fd: int) -> None:
        try:
            with unusable(self._directory, "no file in it can be made to survive a power cut", is_ours=True):
                os.fdatasync(fd)
        except BadSetting as exc:
            if not isinstance(exc.__cause__, OSError) or exc.__cause__.errno not in UNSUPPORTED:
                raise
            if self._need.syncs:
                remedy = "Or set fsync = no: then a power cut may take what was acknowledged."
                raise BadSetting("storage_dir", f"{str(exc).partition(': ')[2]} {remedy}") from exc.__cause__

    def _sync_folder(self, folder_fd: int) -> None:
        try:
            os.fsync(folder_fd)
        except OSError as exc:
            if exc.errno not in UNSUPPORTED:
                raise
            if self._need.syncs:
                self.found.weaker.append(NO_FOLDER_SYNC)

    def _set_modes(self, folder_fd: int) -> None:
        """Sets the mode of the folder and of the trial's folder, and notes what is weaker without."""
        set_folder_mode(self._directory, self._need.mode, self._need.kept_bits)
        set_mode(folder_fd, self._need.mode)
        modes = [stat.S_IMODE(s.st_mode) for s in (self._directory.stat(), os.fstat(folder_fd))]
        need = self._need
        is_open = any(mode & need.closed_bits for mode in modes)
        if is_open or any(mode & need.open_bits != need.open_bits for mode in modes):
            has = ", ".join(f"{mode:04o}" for mode in dict.fromkeys(modes))
            reason = need.if_open if is_open else need.if_closed
            self.found.weaker.append(OTHER_MODE.format(wanted=f"{need.mode:04o}", has=has, reason=reason))

    def _check_folder(self, fd: int) -> None:
        if not _locks(self._directory / PROBE_FOLDER / TRIAL_FILE):
            self.found.weaker.append(NO_LOCKS)
        kind, _ = mounted(mounts(), mount_id(self._directory))
        self.found.copies_on_write = kind in COPIES_ON_WRITE
        if is_on_network(kind):
            self.found.weaker.append(ON_NETWORK.format(kind=kind))

    def _check_storing(self, fd: int) -> None:
        size_bytes = os.fstat(fd).st_size
        try:
            self.found.tells_holes = os.lseek(fd, 0, os.SEEK_HOLE) == size_bytes
        except OSError:
            self.found.tells_holes = False
        if not self.found.tells_holes:
            self.found.weaker.append(NO_HOLES)
        error = fallocate(fd, size_bytes, size_bytes)
        if error in UNSUPPORTED:
            log.info("%(path)s: this file system can't reserve space ahead", {"path": self._directory})
        if not os.statvfs(self._directory).f_blocks:
            self.found.weaker.append(NO_SIZE)

    def _rename(self, folder_fd: int, fd: int) -> None:
        with unusable(self._directory, "no file in it can take the place of another", is_ours=True):
            close_descriptor(os.open(_OTHER, os.O_WRONLY | os.O_CREAT | NO_FOLLOW, 0o600, dir_fd=folder_fd))
            os.replace(TRIAL_FILE, _OTHER, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
            same = os.path.samestat(os.fstat(fd), os.stat(_OTHER, dir_fd=folder_fd))
        if not same:
            raise BadSetting("storage_dir", f"{self._directory}: {NOT_THE_SAME}. {_OTHER_REMEDY}")


def is_on_network(kind: str) -> bool:
    """Returns whether a file system of this type is usually on another machine."""
    if kind in LOCAL_FUSE:
        return False
    return any(kind.startswith(name) if name.endswith(".") else kind == name for name in NETWORK)


@contextlib.contextmanager
def trial_folder(directory: Path) -> Iterator[int]:
    """Yields the descriptor of an empty folder in `directory`, for `TRIAL_FILE`. One at a time.

    It first removes what a killed process has left. Raises OSError.
    """
    place = directory / PROBE_FOLDER
    _remove(place)
    os.mkdir(place, 0o700)  # noqa: PTH102 - by `os`, like all calls here
    try:
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | NO_FOLLOW)
        try:
            yield fd
        finally:
            close_descriptor(fd)
    finally:
        _remove(place)


def _locks(file: Path) -> bool:
    """Returns whether a lock excludes a second one. Raises OSError."""
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            fd = os.open(file, os.O_RDWR | NO_FOLLOW)
            stack.callback(close_descriptor, fd)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True  # without any locks, DirLock.acquire fails
    return False


def _remove(place: Path) -> None:
    """Removes the trial's folder if it can. Raises nothing."""
    for name in (TRIAL_FILE, _OTHER):
        with contextlib.suppress(OSError):
            os.unlink(place / name)  # noqa: PTH108
    with contextlib.suppress(OSError):
        os.rmdir(place)  # noqa: PTH106
