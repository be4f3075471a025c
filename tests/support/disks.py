"""File systems of many kinds, each made and mounted for a test. A sentence says why one can't be."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.data import MIB

DISK_MIB: Final = 320
"""XFS is not made smaller than 300 MiB."""
SFTP_SERVERS: Final = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
)

Mounting = Callable[[Path, Path], list[str]]
"""Prepares an empty folder, and returns the command that mounts the file system at a place."""


class NotHere(Exception):
    """This kind of file system can't be made or mounted on this machine. The text says why."""


def _image(kind: str, *make: str) -> Mounting:
    """A file system in a file. `make`: the command that makes it there."""

    def prepare(folder: Path, place: Path) -> list[str]:
        image = folder / "image"
        with image.open("wb") as file:
            file.truncate(DISK_MIB * MIB)
        _run([*make, str(image)])
        return ["mount", "-t", kind, "-o", "loop", str(image), str(place)]

    return prepare


def _tmpfs(_: Path, place: Path) -> list[str]:
    return ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(place)]


def _overlay(folder: Path, place: Path) -> list[str]:
    """What containers run on."""
    for name in ("lower", "upper", "work"):
        (folder / name).mkdir()
    options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
    return ["mount", "-t", "overlay", "-o", options, "overlay", str(place)]


def _over(*command: str) -> Mounting:
    """A FUSE file system that shows another folder."""
    return lambda folder, place: [*command, str(folder), str(place)]


def _sshfs(folder: Path, place: Path) -> list[str]:
    """A network mount: the server for files answers over a pipe instead of over ssh."""
    server = next((path for path in SFTP_SERVERS if Path(path).exists()), None)
    if not server:
        raise NotHere("no sftp-server")
    ssh = folder.with_name(f"{folder.name}.ssh")
    ssh.write_text(f"#!/bin/sh\nexec {server}\n")
    ssh.chmod(0o700)
    return ["sshfs", "-o", f"ssh_command={ssh}", f"nas:{folder}", str(place)]


def _rclone(folder: Path, place: Path) -> list[str]:
    """An object store that is mounted as a folder, here with a folder instead of the store."""
    cache = folder.with_name(f"{folder.name}.cache")
    options = ["--vfs-cache-mode", "writes", "--cache-dir", str(cache), "--config", "/dev/null", "--daemon"]
    return ["rclone", "mount", f":local:{folder}", str(place), *options]


KINDS: Final[dict[str, Mounting]] = {
    "ext4": _image("ext4", "mkfs.ext4", "-q"),
    "ext4 without a journal": _image("ext4", "mkfs.ext4", "-q", "-O", "^has_journal"),
    "ext2": _image("ext2", "mkfs.ext2", "-q"),
    "xfs": _image("xfs", "mkfs.xfs", "-q"),
    "btrfs": _image("btrfs", "mkfs.btrfs", "-q"),
    "f2fs": _image("f2fs", "mkfs.f2fs", "-q"),
    "vfat": _image("vfat", "mkfs.vfat"),
    "exfat": _image("exfat", "mkfs.exfat"),
    "exfat (FUSE)": _image("exfat-fuse", "mkfs.exfat"),
    "ntfs3": _image("ntfs3", "mkfs.ntfs", "-F", "-Q", "-q"),
    "ntfs-3g (FUSE)": _image("ntfs-3g", "mkfs.ntfs", "-F", "-Q", "-q"),
    "tmpfs": _tmpfs,
    "overlay": _overlay,
    "mergerfs": _over("mergerfs"),
    "bindfs": _over("bindfs"),
    "sshfs": _sshfs,
    "rclone": _rclone,
}
"""All kinds, by name. What holds the bytes is a folder beside the place."""


@contextmanager
def mounted_disk(kind: str, place: Path) -> Iterator[Path]:
    """Gives the folder `place` with a new, empty file system of a kind. Raises NotHere."""
    folder = place.with_name(f"{place.name}.disk")
    folder.mkdir()
    place.mkdir()
    _run(KINDS[kind](folder, place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


def _run(command: list[str]) -> None:
    if not shutil.which(command[0]):
        raise NotHere(f"no {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise NotHere(" ".join(done.stderr.split()) or f"{command[0]} failed")
