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
    TRIAL_FILE,
    disk_errors,
    mount_id,
    mounted,
    mounts,
    set_folder_mode,
    set_mode,
    sync_folder,
    sync_if_supported,
    try_to_write,
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
def test_a_sync_that_a_file_system_does_not_know_is_tolerated(
    folder_fd: int, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    monkeypatch.setattr(os, "fsync", failing(error))
    assert not sync_folder(folder_fd)
    assert not sync_if_supported(failing(error), folder_fd)


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_failed_sync_of_a_folder_is_raised(
    folder_fd: int, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    monkeypatch.setattr(os, "fsync", failing(error))
    with pytest.raises(OSError, match=os.strerror(error)):
        sync_folder(folder_fd)


@pytest.mark.parametrize("error", [errno.EPERM, errno.EACCES, errno.EOPNOTSUPP])
def test_a_mode_that_the_file_system_refuses_is_no_error(
    folder_fd: int, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    monkeypatch.setattr(os, "fchmod", failing(error))
    assert not set_mode(folder_fd, 0o2770)


def test_a_mode_that_failed_is_an_error_and_one_that_is_there_is_not_set_again(
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
    ("number", "expected"),
    [
        ("27", ("ext4", ["rw", "discard", "resuid=65534"])),
        ("28", ("xfs", ["rw", "attr2"])),
        ("30", ("nfs4", ["rw", "soft"])),
        ("2", ("", [])),
        ("", ("", [])),
    ],
)
def test_what_is_mounted_is_read_off_the_table(number: str, expected: tuple[str, list[str]]) -> None:
    assert mounted(MOUNTS, number) == expected


def test_a_folder_is_found_in_the_table_of_this_machine(tmp_path: Path) -> None:
    assert mounted(mounts(), mount_id(Path("/proc")))[0] == "proc"
    kind, options = mounted(mounts(), mount_id(tmp_path))
    assert kind
    assert options


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


def test_errors_that_are_not_of_the_disk_stay_unchanged() -> None:
    with pytest.raises(StorageInUse), disk_errors:
        raise StorageInUse("here")
    with pytest.raises(LookupError), disk_errors:
        raise LookupError


# --- trying to write --------------------------------------------------------------------------------


@pytest.fixture(params=["without a name", "with a name"])
def names(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are opened, on a file system with O_TMPFILE and on one without."""
    opened, real = [], os.open

    def opening(path: Path, flags: int, *mode: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            if request.param == "with a name":
                raise OSError(errno.EOPNOTSUPP, "")
        else:
            opened.append(path.name)
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", opening)
    return opened


def test_a_trial_write_leaves_no_file(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / TRIAL_FILE).write_text("left by a killed process")
    names_before = {TRIAL_FILE}
    try_to_write(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == (set() if names else names_before)
    assert names in ([], [TRIAL_FILE])


def test_a_trial_fails_where_nothing_can_be_written(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(FileNotFoundError):
        try_to_write(tmp_path / "missing")


@pytest.mark.parametrize("plant", [lambda place: place.symlink_to("/dev/null"), os.mkfifo])
def test_a_trial_writes_into_nothing_that_somebody_has_put_there(
    tmp_path: Path, names: list[str], plant: Callable[[Path], object]
) -> None:
    plant(tmp_path / TRIAL_FILE)
    try:
        try_to_write(tmp_path)
    except OSError as exc:
        assert exc.errno in (errno.ELOOP, errno.ENXIO)
    assert (tmp_path / TRIAL_FILE).lstat().st_size in (0, len("/dev/null"))
