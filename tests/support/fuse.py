"""A file system that refuses what it is told to refuse, as NAS, FUSE and network mounts do.

    python -m tests.support.fuse BACKING PLACE '{"fsyncdir": "EINVAL", "chmod": "EPERM"}' [TYPE]

It passes everything on to the folder BACKING and is mounted at PLACE: real system calls come through the real
kernel. It speaks FUSE's protocol (fuse(4), linux/fuse.h, version 7.31) over /dev/fuse itself: no library for
that is installed everywhere. Only root may mount it. It serves one request at a time, until it is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import signal
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.support.server import ROOT
from tests.support.waiting import wait_until

IN: Final = struct.Struct("<IIQQIIIHH")
OUT: Final = struct.Struct("<IiQ")
ATTR: Final = struct.Struct("<QQQQQQIIIIIIIIII")
SETATTR: Final = struct.Struct("<IIQQQQQQIIIIIIII")
MAX_WRITE: Final = 128 * 1024
ROOT_ID: Final = 1
FATTR_MODE, FATTR_UID, FATTR_GID, FATTR_SIZE, FATTR_FH = 1, 2, 4, 8, 64
POSIX_LOCKS, FLOCK_LOCKS = 1 << 1, 1 << 10

Answer = bytes | None
"""What is answered; None where FUSE wants no answer."""


class Passthrough:
    """The file system. A method a request, by its name in the plan."""

    def __init__(self, backing: str, refused: Mapping[str, str]) -> None:
        self._modes = int(refused.get("modes", "0"), 8)
        self._refused = {name: getattr(errno, error) for name, error in refused.items() if name != "modes"}
        self._paths = {ROOT_ID: backing}
        self._ids = {backing: ROOT_ID}
        self._requests: dict[int, tuple[str, Callable[[int, bytes], Answer]]] = {
            1: ("lookup", self._lookup), 3: ("getattr", self._getattr), 4: ("setattr", self._setattr),
            9: ("mkdir", self._mkdir), 10: ("unlink", self._unlink), 11: ("rmdir", self._rmdir),
            12: ("rename", self._rename), 45: ("rename", self._rename2), 14: ("open", self._open),
            15: ("read", self._read), 16: ("write", self._write), 17: ("statfs", self._statfs),
            18: ("release", self._release), 20: ("fsync", self._fsync), 25: ("flush", self._nothing),
            26: ("init", self._init), 27: ("opendir", self._opendir), 28: ("readdir", self._readdir),
            29: ("releasedir", self._release), 30: ("fsyncdir", self._fsync), 32: ("setlk", self._flock),
            33: ("setlkw", self._flock), 35: ("create", self._create), 43: ("fallocate", self._fallocate),
            46: ("lseek", self._lseek),
        }  # fmt: skip

    def answer(self, opcode: int, node: int, body: bytes) -> Answer:
        """Returns the body of the answer. Raises OSError."""
        if opcode in (2, 36, 42):  # FORGET, INTERRUPT, BATCH_FORGET
            return None
        if opcode not in self._requests:
            raise OSError(errno.ENOSYS, "")
        name, request = self._requests[opcode]
        if name in self._refused:
            raise OSError(self._refused[name], "")
        return request(node, body)

    def _child(self, node: int, name: bytes) -> str:
        return f"{self._paths[node]}/{name.rstrip(bytes(1)).decode()}"

    def _entry(self, path: str) -> bytes:
        status = os.lstat(path)
        node = self._ids.setdefault(path, len(self._ids) + len(self._paths) + 1)
        self._paths[node] = path
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + self._attributes(status, node)

    def _attributes(self, s: os.stat_result, node: int) -> bytes:
        inode = node if "identity" in self._refused else s.st_ino
        times = [(ns // 10**9, ns % 10**9) for ns in (s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns)]
        seconds, parts = zip(*times, strict=True)
        mode = stat.S_IFMT(s.st_mode) | self._modes if self._modes else s.st_mode
        owner = mode, s.st_nlink, s.st_uid, s.st_gid
        return ATTR.pack(inode, s.st_size, s.st_blocks, *seconds, *parts, *owner, 0, 4096, 0)

    def _init(self, _: int, body: bytes) -> bytes:
        flags = struct.unpack_from("<IIII", body)[3]
        keep = flags & (POSIX_LOCKS | FLOCK_LOCKS) if "flock" in self._refused else 0
        return struct.pack("<IIIIHHIIHHI28x", 7, 31, 65536, keep, 12, 10, MAX_WRITE, 1, 0, 0, 0)

    def _lookup(self, node: int, body: bytes) -> bytes:
        return self._entry(self._child(node, body))

    def _getattr(self, node: int, body: bytes) -> bytes:
        flags, _, handle = struct.unpack_from("<IIQ", body)
        status = os.fstat(handle) if flags & 1 else os.lstat(self._paths[node])
        return bytes(16) + self._attributes(status, node)

    def _setattr(self, node: int, body: bytes) -> bytes:
        valid, _, handle, size, _, _, _, _, _, _, _, mode, _, uid, gid, _ = SETATTR.unpack_from(body)
        for bits, name in ((FATTR_MODE, "chmod"), (FATTR_UID | FATTR_GID, "chown"), (FATTR_SIZE, "truncate")):
            if valid & bits and name in self._refused:
                raise OSError(self._refused[name], "")
        place = handle if valid & FATTR_FH else self._paths[node]
        if valid & FATTR_MODE:
            os.chmod(place, stat.S_IMODE(mode))  # noqa: PTH101
        if valid & (FATTR_UID | FATTR_GID):
            os.chown(place, uid if valid & FATTR_UID else -1, gid if valid & FATTR_GID else -1)
        if valid & FATTR_SIZE:
            os.truncate(place, size)
        return bytes(16) + self._attributes(os.stat(place), node)  # noqa: PTH116

    def _mkdir(self, node: int, body: bytes) -> bytes:
        path = self._child(node, body[8:])
        os.mkdir(path, struct.unpack_from("<I", body)[0])  # noqa: PTH102
        return self._entry(path)

    def _create(self, node: int, body: bytes) -> bytes:
        flags, mode = struct.unpack_from("<II", body)
        path = self._child(node, body[16:])
        handle = os.open(path, flags | os.O_CREAT, mode)
        return self._entry(path) + struct.pack("<QII", handle, 1, 0)

    def _unlink(self, node: int, body: bytes) -> bytes:
        Path(self._child(node, body)).unlink()
        return b""

    def _rmdir(self, node: int, body: bytes) -> bytes:
        Path(self._child(node, body)).rmdir()
        return b""

    def _rename(self, node: int, body: bytes) -> bytes:
        return self._move(node, struct.unpack_from("<Q", body)[0], body[8:])

    def _rename2(self, node: int, body: bytes) -> bytes:
        return self._move(node, struct.unpack_from("<Q", body)[0], body[16:])

    def _move(self, node: int, new_node: int, names: bytes) -> bytes:
        old_name, new_name = names.split(b"\0")[:2]
        old, new = self._child(node, old_name), self._child(new_node, new_name)
        os.replace(old, new)  # noqa: PTH105
        moved = self._ids.pop(old, None)
        if moved is not None:
            self._ids[new] = moved
            self._paths[moved] = new
        if "identity" in self._refused:
            self._ids.pop(new, None)
        return b""

    def _open(self, node: int, body: bytes) -> bytes:
        flags = struct.unpack_from("<I", body)[0] & ~(os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
        return struct.pack("<QII", os.open(self._paths[node], flags), 1, 0)

    def _opendir(self, node: int, body: bytes) -> bytes:
        return struct.pack("<QII", os.open(self._paths[node], os.O_RDONLY | os.O_DIRECTORY), 0, 0)

    def _read(self, _: int, body: bytes) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(handle, size, offset)

    def _write(self, _: int, body: bytes) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", body)
        return struct.pack("<II", os.pwrite(handle, body[40 : 40 + size], offset), 0)

    def _statfs(self, node: int, body: bytes) -> bytes:
        s = os.statvfs(self._paths[ROOT_ID])
        sizes = (s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree)
        if "statfs_size" in self._refused:
            sizes = (0, 0, 0, 0, 0)
        if "statfs_inodes" in self._refused:
            sizes = (*sizes[:3], 10**9, 0)
        return struct.pack("<QQQQQIIII24x", *sizes, s.f_bsize, s.f_namemax, s.f_frsize, 0)

    def _release(self, _: int, body: bytes) -> bytes:
        os.close(struct.unpack_from("<Q", body)[0])
        return b""

    def _fsync(self, _: int, body: bytes) -> bytes:
        os.fsync(struct.unpack_from("<Q", body)[0])
        return b""

    def _nothing(self, *_: object) -> bytes:
        return b""

    def _flock(self, *_: object) -> bytes:
        raise OSError(self._refused["flock"], "")

    def _readdir(self, node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        listed = b""
        names = [".", "..", *sorted(os.listdir(self._paths[node]))]  # noqa: PTH208
        for number, name in enumerate(names[offset:], offset + 1):
            entry = struct.pack("<QQII", number, number, len(name), 0) + name.encode()
            entry += bytes(-len(entry) % 8)
            if len(listed) + len(entry) > size:
                break
            listed += entry
        return listed

    def _fallocate(self, _: int, body: bytes) -> bytes:
        handle, offset, size, mode = struct.unpack_from("<QQQI", body)
        where = ctypes.c_int64(offset), ctypes.c_int64(size)
        if ctypes.CDLL(None, use_errno=True).fallocate(int(handle), mode, *where):
            raise OSError(ctypes.get_errno(), "")
        return b""

    def _lseek(self, _: int, body: bytes) -> bytes:
        handle, offset, whence = struct.unpack_from("<QQI", body)
        return struct.pack("<Q", os.lseek(handle, offset, whence))


def serve(backing: str, place: str, refused: Mapping[str, str], kind: str) -> None:
    """Mounts the file system, and serves it until nobody has it mounted any more."""
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tests", place.encode(), kind.encode(), 0, options.encode()):
        sys.exit(os.strerror(ctypes.get_errno()))
    os.umask(0)
    files = Passthrough(backing, refused)
    while True:
        try:
            request = os.read(fd, MAX_WRITE + 4096)
        except OSError as exc:
            if exc.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                continue
            return  # ENODEV: unmounted
        length, opcode, unique, node, *_ = IN.unpack_from(request)
        error, body = 0, b""
        try:
            answer = files.answer(opcode, node, request[IN.size : length])
        except OSError as exc:
            error = -(exc.errno or errno.EIO)
        except KeyError:
            error = -errno.ESTALE
        else:
            if answer is None:
                continue
            body = answer
        with contextlib.suppress(OSError):  # whoever asked is gone
            os.write(fd, OUT.pack(OUT.size + len(body), error, unique) + body)


@contextlib.contextmanager
def mounted(backing: Path, place: Path, kind: str = "fuse", **refused: str) -> Iterator[Path]:
    """Gives a folder whose file system refuses these requests: `fsyncdir="EINVAL"`.

    Further names: `chmod`, `chown` and `truncate`, which are all `setattr`; `flock`; `statfs_size`, which
    answers zeros; `statfs_inodes`, which says that none are left; `identity`: a file that was renamed gets
    another inode number. `modes="0777"`: the mode of everything, as on vfat. `kind`: what the mount says
    that it is, such as `fuse.sshfs`. Raises PermissionError where nothing may be mounted.
    """
    backing.mkdir(exist_ok=True)
    place.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.support.fuse", str(backing), str(place)]
    with subprocess.Popen(
        [*command, json.dumps(refused), kind], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until(lambda: process.poll() is not None or place.is_mount(), "it is mounted")
            if process.poll() is not None:
                assert process.stderr
                raise PermissionError(process.stderr.read())
            yield place
        finally:
            process.send_signal(signal.SIGKILL)
            subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4])
