"""The trial of a folder at the start, on real file systems that lack something."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from incoming.composition.files import DATA_NEEDS
from incoming.composition.tickets import JOURNAL_NEEDS
from incoming.core.errors import BadSetting
from incoming.runtime.filesystem import mount_id
from incoming.storage.local import probe as probe_module
from incoming.storage.local.probe import (
    NO_FOLDER_SYNC,
    NO_HOLES,
    NO_LOCKS,
    NO_SIZE,
    PROBE_FOLDER,
    Need,
    is_on_network,
    probe,
    warn,
)
from tests.storage.local.conftest import Mount
from tests.support.disks import NotHere, mounted_disk
from tests.support.fuse import mounted

Refusing = Callable[..., Path]
LOOSE = Need(0o700, 0o077, "Nothing.", syncs=False)
"""A folder of which nothing has to survive a power cut."""


@pytest.fixture
def refusing(tmp_path: Path) -> Iterator[Refusing]:
    """Mounts a file system that refuses something; only root may."""
    with ExitStack() as stack:

        def mount(**refused: str) -> Path:
            if os.geteuid():
                pytest.skip("only root may mount a file system")
            try:
                return stack.enter_context(mounted(tmp_path / "backing", tmp_path / "place", **refused))
            except (OSError, AssertionError) as exc:
                pytest.skip(f"no FUSE file system may be mounted here: {exc}")

        yield mount


@pytest.mark.parametrize("need", [JOURNAL_NEEDS, DATA_NEEDS, LOOSE])
def test_a_local_disk_lacks_nothing_and_keeps_nothing_of_the_trial(tmp_path: Path, need: Need) -> None:
    found = probe(tmp_path / "storage" / "folder", need)
    assert (found.tells_holes, found.weaker) == (True, [])
    assert list((tmp_path / "storage" / "folder").iterdir()) == []
    assert stat.S_IMODE((tmp_path / "storage" / "folder").stat().st_mode) == need.mode


def test_a_tmpfs_has_all_that_is_needed(mount: Mount) -> None:
    assert probe(mount("tmpfs", "size=1m"), DATA_NEEDS).weaker == []


def test_what_a_killed_trial_has_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / PROBE_FOLDER).mkdir()
    (tmp_path / PROBE_FOLDER / "file").write_text("half")
    probe(tmp_path, JOURNAL_NEEDS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("refused", "weaker"),
    [
        ({"fsyncdir": "EINVAL"}, NO_FOLDER_SYNC),
        ({"fsyncdir": "EOPNOTSUPP"}, NO_FOLDER_SYNC),
        ({"lseek": "EINVAL"}, NO_HOLES),
        ({"statfs_size": "EIO"}, NO_SIZE),
    ],
    ids=str,
)
def test_what_is_worth_having_is_missed_and_does_not_refuse_the_start(
    refusing: Refusing, refused: dict[str, str], weaker: str
) -> None:
    found = probe(refusing(**refused), DATA_NEEDS)
    assert found.weaker == [weaker]
    assert found.tells_holes is (weaker != NO_HOLES)


def test_a_sentence_that_holds_for_both_folders_is_logged_once(
    refusing: Refusing, caplog: pytest.LogCaptureFixture
) -> None:
    place = refusing(fsyncdir="EINVAL")
    warn([probe(place / "data", DATA_NEEDS), probe(place / "journal", JOURNAL_NEEDS)])
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{place}/data and {place}/journal: {NO_FOLDER_SYNC}"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize("error", ["EPERM", "EACCES", "EOPNOTSUPP"])
@pytest.mark.parametrize(
    ("need", "modes", "words"),
    [
        (JOURNAL_NEEDS, "0755", "should be 0700, but it is 0755. Other users of this machine"),
        (DATA_NEEDS, "0777", "should be 2770, but it is 0777. Other users of this machine may read"),
        (DATA_NEEDS, "0750", "should be 2770, but it is 0750. An app of another user"),
    ],
)
def test_modes_that_can_not_be_set_are_weaker_with_what_it_means(
    refusing: Refusing, error: str, need: Need, modes: str, words: str
) -> None:
    [weaker] = probe(refusing(chmod=error, modes=modes), need).weaker
    assert words in weaker
    assert "mount" in weaker


def test_a_mode_of_somebody_else_that_is_wide_enough_causes_no_warning(refusing: Refusing) -> None:
    assert probe(refusing(chmod="EPERM", modes="2771"), DATA_NEEDS).weaker == []


def test_a_file_system_without_reserved_space_is_fine(refusing: Refusing) -> None:
    assert probe(refusing(fallocate="EOPNOTSUPP"), DATA_NEEDS).weaker == []


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ({"mkdir": "EACCES"}, "no folder can be made in it: Permission denied. Give the folder to the user"),
        ({"create": "EPERM"}, "no file can be made in it: Operation not permitted. Give the folder"),
        ({"create": "EROFS"}, "no file can be made in it: Read-only file system. Mount it writable."),
        ({"write": "EIO"}, "no file in it can be written: Input/output error. Check the disk"),
        ({"write": "EPERM"}, "no file in it can be written: Operation not permitted. Put it on a local disk"),
        ({"truncate": "EPERM"}, "can be written: Operation not permitted. Put it on a local disk"),
        ({"fsync": "EINVAL"}, "can be made to survive a power cut: Invalid argument. Put it on a local disk"),
        ({"fsync": "EIO"}, "can be made to survive a power cut: Input/output error. Check the disk"),
        ({"fsyncdir": "EIO"}, "Input/output error. Check the disk"),
        ({"rename": "EPERM"}, "the place of another: Operation not permitted. Put it on a local disk"),
        ({"unlink": "EPERM"}, "it can't be removed. Put it on a local disk"),
        ({"identity": "EIO"}, "gets a new inode number, so the server could not notice that its journal was"),
    ],
    ids=str,
)
def test_what_is_necessary_refuses_the_start_with_path_and_remedy(
    refusing: Refusing, refused: dict[str, str], words: str
) -> None:
    place = refusing(**refused)
    with pytest.raises(BadSetting) as refusal:
        probe(place, JOURNAL_NEEDS)
    assert str(refusal.value).startswith(f"storage_dir: {place}")
    assert words in str(refusal.value)


@pytest.mark.parametrize("refused", [{"rename": "EPERM"}, {"identity": "EIO"}], ids=str)
def test_only_the_journal_needs_files_to_take_the_place_of_others(
    refusing: Refusing, refused: dict[str, str]
) -> None:
    assert probe(refusing(**refused), DATA_NEEDS).weaker == []


def test_free_inodes_are_not_believed_where_files_can_be_made_without_any(
    refusing: Refusing, mount: Mount
) -> None:
    assert not probe(refusing(statfs_inodes="EIO"), DATA_NEEDS).counts_inodes
    assert probe(mount("tmpfs", "size=1m,nr_inodes=9"), DATA_NEEDS).counts_inodes


def test_without_fsync_nothing_has_to_be_synced(refusing: Refusing) -> None:
    place = refusing(fsync="EINVAL", fsyncdir="EINVAL")
    with pytest.raises(BadSetting, match="fsync = no"):
        probe(place, DATA_NEEDS)
    assert probe(place, LOOSE).weaker == []


def test_a_full_disk_does_not_keep_the_server_from_its_start(
    mount: Mount, caplog: pytest.LogCaptureFixture
) -> None:
    place = mount("tmpfs", "size=64k")
    (place / "filler").write_bytes(bytes(64 * 1024))
    assert probe(place, JOURNAL_NEEDS).weaker == []
    assert "disk is full" in caplog.text
    assert [file.name for file in place.iterdir()] == ["filler"]


def test_a_network_file_system_is_weaker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = f"{mount_id(tmp_path)} 1 0:44 / / rw - nfs4 nas:/export rw,soft\n"
    monkeypatch.setattr(probe_module, "mounts", lambda: table)
    [weaker] = probe(tmp_path, JOURNAL_NEEDS).weaker
    assert "network file system (nfs4)" in weaker


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("nfs", True), ("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("9p", True),
     ("ext4", False), ("xfs", False), ("tmpfs", False), ("fuseblk", False), ("nfsd", False),
     ("fuse.mergerfs", False), ("", False)],
)  # fmt: skip
def test_kinds_of_file_systems_on_the_network(kind: str, expected: bool) -> None:
    assert is_on_network(kind) is expected


@pytest.mark.parametrize(("kind", "expected"), [("btrfs", True), ("xfs", False), ("tmpfs", False)])
def test_file_systems_that_copy_on_write_are_known(tmp_path: Path, kind: str, expected: bool) -> None:
    if os.geteuid():
        pytest.skip("only root may mount a file system")
    try:
        with mounted_disk(kind, tmp_path / "disk") as disk:
            assert probe(disk, DATA_NEEDS).copies_on_write is expected
    except NotHere as exc:
        pytest.skip(f"no {kind} here: {exc}")


def test_locks_that_exclude_nobody_are_weaker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    assert probe(tmp_path, JOURNAL_NEEDS).weaker == [NO_LOCKS]


def test_holes_where_bytes_were_written_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "lseek", lambda *_: 0)
    assert not probe(tmp_path, DATA_NEEDS).tells_holes


def test_a_length_that_is_not_what_was_written_refuses_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, part, at: real(fd, part, 0))
    with pytest.raises(BadSetting, match="another length or content"):
        probe(tmp_path, DATA_NEEDS)


@pytest.mark.parametrize("error", [errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EIO, errno.ESTALE])
def test_every_refusal_has_a_remedy(tmp_path: Path, error: int) -> None:
    with pytest.raises(BadSetting) as refusal, probe_module.unusable(tmp_path):
        raise OSError(error, os.strerror(error))
    assert re.fullmatch(rf"storage_dir: {tmp_path}: .*: {os.strerror(error)}\. [A-Z].+", str(refusal.value))


@pytest.mark.parametrize("is_link", [True, False], ids=["a link that leads nowhere", "a file"])
def test_what_is_not_a_folder_is_told_as_that(tmp_path: Path, is_link: bool) -> None:
    place = tmp_path / "place"
    if is_link:
        place.symlink_to(tmp_path / "nothing")
    else:
        place.touch()
    with pytest.raises(BadSetting, match="Give the path of a folder"), probe_module.unusable(place):
        place.mkdir()
