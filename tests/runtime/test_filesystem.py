"""Calls that may be refused: a refusal is borne, a failure never is."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from incoming.core.errors import StorageFailed, StorageFull, StorageInUse
from incoming.runtime.filesystem import (
    disk_errors,
    mounted,
    set_folder_mode,
    set_mode,
    sync_folder,
    sync_if_supported,
)

MOUNTS = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard,resuid=65534
28 27 254:16 / /srv/my\\040files rw,noatime shared:3 - xfs /dev/vdb rw,attr2
29 27 0:33 / /tmp rw
30 27 0:44 / /mnt rw - nfs4 nas:/export rw,soft
"""


def failing(error: int) -> Callable[..., None]:
    """Returns a system call that fails."""

    def call(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    return call


@pytest.fixture
def folder_fd(tmp_path: Path) -> int:
    """An open folder; its mode is 0755. The test process keeps it."""
    tmp_path.chmod(0o755)
    return os.open(tmp_path, os.O_RDONLY)


def test_a_folder_of_a_local_disk_is_synced_and_gets_its_mode(folder_fd: int) -> None:
    assert sync_folder(folder_fd)
    assert set_mode(folder_fd, 0o2770)
    assert stat.S_IMODE(os.fstat(folder_fd).st_mode) == 0o2770


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_sync_that_a_file_system_does_not_know_is_borne(
    folder_fd: int, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    monkeypatch.setattr(os, "fsync", failing(error))
    assert not sync_folder(folder_fd)
    assert not sync_if_supported(failing(error), folder_fd)


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_sync_that_failed_is_never_borne(
    folder_fd: int, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    monkeypatch.setattr(os, "fsync", failing(error))
    with pytest.raises(OSError, match=os.strerror(error)):
        sync_folder(folder_fd)


@pytest.mark.parametrize("error", [errno.EPERM, errno.EACCES, errno.EOPNOTSUPP])
def test_a_mode_that_is_refused_is_borne(folder_fd: int, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    monkeypatch.setattr(os, "fchmod", failing(error))
    assert not set_mode(folder_fd, 0o2770)


def test_a_mode_that_failed_is_not_borne_and_one_that_is_there_is_not_set_again(
    folder_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fchmod", failing(errno.EIO))
    assert set_mode(folder_fd, 0o755)
    with pytest.raises(OSError, match="error"):
        set_mode(folder_fd, 0o700)


def test_the_mode_of_a_folder_is_set_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert set_folder_mode(tmp_path / "link", 0o2770)
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o2770


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ((254, 0), ("ext4", ["rw", "discard", "resuid=65534"])),
        ((254, 16), ("xfs", ["rw", "attr2"])),
        ((0, 44), ("nfs4", ["rw", "soft"])),
        ((9, 9), ("", [])),
    ],
)
def test_what_is_mounted_is_read_off_the_table(
    device: tuple[int, int], expected: tuple[str, list[str]]
) -> None:
    assert mounted(MOUNTS, os.makedev(*device)) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EFBIG, StorageFull),
        (errno.EIO, StorageFailed),
        (errno.EROFS, StorageFailed),
        (errno.ENOENT, StorageFailed),
        (errno.EMFILE, StorageFailed),
    ],
)
def test_an_error_of_the_disk_becomes_one_that_a_client_may_be_told(
    error: int, expected: type[StorageFull | StorageFailed]
) -> None:
    with pytest.raises(expected) as told, disk_errors:
        failing(error)()
    assert isinstance(told.value.__cause__, OSError), "the log has the details"
    assert told.value.__cause__.errno == error


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(StorageInUse), disk_errors:
        raise StorageInUse("here")
    with pytest.raises(LookupError), disk_errors:
        raise LookupError
