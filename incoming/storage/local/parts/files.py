"""The files of uploads that come in parts. Every method blocks on the disk and raises OSError.

    DIRECTORY/ID/ID.parts      the file to be: each part of known length has its place in it
    DIRECTORY/ID/ID.part-N     the part N, if it was created without a length
    DIRECTORY/ID/ID.offsets    how much of each part is stored (`offsets`)
    DIRECTORY/ID/ID.assembly   a copy of the parts in another order, while it is made

`DIRECTORY/ID/ID` appears by a rename once all of it is there. So its length is the offset of an upload, as
for all other uploads, and a server of an older version never takes a file with gaps for the beginning of one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from incoming.core.checkpoints import START, Checkpoint, Checkpoints, up_to
from incoming.core.parts import Part
from incoming.core.ticket import short_id
from incoming.runtime.filesystem import UNSUPPORTED, set_mode, sync_folder
from incoming.runtime.gevent_runtime import close_descriptor, thread_lock
from incoming.storage.local.deletion import Deletion
from incoming.storage.local.directory import DIR_MODE, FILE_MODE, UploadDirectory
from incoming.storage.local.parts.offsets import EMPTY, OffsetsFile, Record, Slot, decode, decode_record
from incoming.storage.local.posix import GONE, NO_FOLLOW, folder, punch_hole
from incoming.storage.local.reading import EndOfFile, read_checksum

log = logging.getLogger(__name__)

_SUFFIXES: Final = re.compile(r"\.(parts|offsets|assembly|part-[0-9]{1,9})")


def regions_name(ticket_id: str) -> str:
    """Returns the name of the file in which parts have their places."""
    return f"{ticket_id}.parts"


def offsets_name(ticket_id: str) -> str:
    """Returns the name of the file with the offsets."""
    return f"{ticket_id}.offsets"


def assembly_name(ticket_id: str) -> str:
    """Returns the name of a copy that is being made."""
    return f"{ticket_id}.assembly"


def part_name(ticket_id: str, part: Part) -> str:
    """Returns the name of the file that has this part."""
    return regions_name(ticket_id) if part.start_bytes is not None else f"{ticket_id}.part-{part.number}"


def _is_of_parts(ticket_id: str, name: str) -> bool:
    """Returns whether a file in the folder of an upload has this name because the upload comes in parts."""
    return name.startswith(ticket_id) and bool(_SUFFIXES.fullmatch(name[len(ticket_id) :]))


class PartFiles:
    """The files of all parts in one directory."""

    def __init__(self, directory: UploadDirectory, mark: bytes, syncs: bool) -> None:
        """`mark`: of this start of the machine, see `offsets`. `syncs`: whether checkpoints are synced."""
        self.directory = directory
        self.mark = mark
        self._syncs = syncs
        self._verifying = thread_lock()
        """Held while a record of another start of the machine is replaced: several threads may look at it."""
        self._growing = thread_lock()
        """Held while a file is made longer. Another thread would make it shorter again."""

    # --- opening ----------------------------------------------------------------------------------------

    def create(self, ticket_id: str, part: Part) -> tuple[Path, int, OffsetsFile]:
        """Opens the files of a part to write them; creates those that are missing.

        Returns the place and the descriptor of the part's file, and the offsets.
        """
        self.directory.owner.check()
        self.directory.check_not_replaced()
        place = self.directory.file(ticket_id).parent
        with contextlib.suppress(FileExistsError):
            os.mkdir(place, 0o700)  # noqa: PTH102 - by `os`, like all calls here
        with folder(place) as folder_fd, contextlib.ExitStack() as undo:
            set_mode(folder_fd, DIR_MODE)
            self._take_back(ticket_id, folder_fd)
            fds = []
            for name in (part_name(ticket_id, part), offsets_name(ticket_id)):
                fds.append(os.open(name, os.O_RDWR | os.O_CREAT | NO_FOLLOW, FILE_MODE, dir_fd=folder_fd))
                undo.callback(close_descriptor, fds[-1])
                set_mode(fds[-1], FILE_MODE)
            self._grow(fds[0], part)
            undo.pop_all()
        return place / part_name(ticket_id, part), fds[0], OffsetsFile(fds[1])

    def _take_back(self, ticket_id: str, folder_fd: int) -> None:
        """Renames a file back to the file of the parts if a power cut has damaged it after the assembly.

        That can happen only where nothing is synced.
        """
        try:
            os.stat(regions_name(ticket_id), dir_fd=folder_fd, follow_symlinks=False)
        except FileNotFoundError:
            with contextlib.suppress(FileNotFoundError):
                names = ticket_id, regions_name(ticket_id)
                os.replace(*names, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)

    def _grow(self, fd: int, part: Part) -> None:
        """Extends a file to the end of this part's place: reserved space after its end can't be freed."""
        if part.start_bytes is None:
            return
        with self._growing:
            end = part.start_bytes + (part.length_bytes or 0)
            if os.fstat(fd).st_size < end:
                os.ftruncate(fd, end)

    def open(self, ticket_id: str, name: str, flags: int) -> int:
        """Returns a descriptor of a file in the folder of an upload. Raises FileNotFoundError."""
        with folder(self.directory.file(ticket_id).parent) as folder_fd:
            return os.open(name, flags | NO_FOLLOW, dir_fd=folder_fd)

    @contextlib.contextmanager
    def reading(self, ticket_id: str, part: Part) -> Iterator[int]:
        """Opens the file that has a part: after a kill during an assembly it may have its last name already.

        Yields its descriptor. Raises FileNotFoundError.
        """
        try:
            fd = self.open(ticket_id, part_name(ticket_id, part), os.O_RDONLY)
        except FileNotFoundError:
            if part.start_bytes is None:
                raise
            fd = self.open(ticket_id, ticket_id, os.O_RDONLY)
        try:
            yield fd
        finally:
            close_descriptor(fd)

    # --- how much is stored -------------------------------------------------------------------------------

    def stored(self, ticket_id: str, parts: Sequence[Part]) -> list[Checkpoint]:
        """Returns how much of each part is stored, with its checksum.

        Parts that a power cut may have taken bytes of are read first.
        """
        try:
            fd = self.open(ticket_id, offsets_name(ticket_id), os.O_RDWR)
        except GONE:
            self.directory.check_not_replaced()
            return [START] * len(parts)
        try:
            offsets = OffsetsFile(fd)
            slots = offsets.raw_slots([part.number for part in parts])
            return [
                self._stored(ticket_id, part, offsets, slot) for part, slot in zip(parts, slots, strict=True)
            ]
        finally:
            close_descriptor(fd)

    def _stored(self, ticket_id: str, part: Part, offsets: OffsetsFile, slot: bytes) -> Checkpoint:
        if not slot.strip(b"\0"):
            return START
        record = decode_record(part.number, slot)
        if record and record.mark == self.mark:
            return record.stored  # checkpoints do not matter
        return self._verified(ticket_id, part, offsets, decode(part.number, slot))[0]

    def verified(self, ticket_id: str, part: Part, offsets: OffsetsFile) -> tuple[Checkpoint, Checkpoints]:
        """Returns how much of a part is stored, and its checkpoints; see `stored`."""
        return self._verified(ticket_id, part, offsets, offsets.slot(part.number))

    def _verified(
        self, ticket_id: str, part: Part, offsets: OffsetsFile, slot: Slot
    ) -> tuple[Checkpoint, Checkpoints]:
        if slot == EMPTY:
            return START, ()
        if slot.record and slot.record.mark == self.mark:
            return slot.record.stored, slot.checkpoints
        right = self._agreeing(ticket_id, part, slot)
        with self._verifying:
            again = offsets.slot(part.number)
            if again.record and again.record.mark == self.mark:
                return again.record.stored, again.checkpoints
            checkpoints = up_to(slot.checkpoints, right.end_bytes)
            offsets.put_checkpoints(part.number, checkpoints)
            offsets.put_record(part.number, Record(right, self.mark))
        about = {"ticket": short_id(ticket_id), "part": part.number, "right_bytes": right.end_bytes}
        log.info("upload %(ticket)s: part %(part)d has %(right_bytes)d bytes after a reboot", about)
        return right, checkpoints

    def _agreeing(self, ticket_id: str, part: Part, slot: Slot) -> Checkpoint:
        """Returns the last one of what is known of a part that agrees with its file."""
        known = {*slot.checkpoints, *([slot.record.stored] if slot.record else [])}
        begin, right, crc = part.start_bytes or 0, START, 0
        with contextlib.suppress(FileNotFoundError, EndOfFile), self.reading(ticket_id, part) as fd:
            for one in sorted(known):
                crc = read_checksum(fd, begin + right.end_bytes, begin + one.end_bytes, crc)
                if crc != one.crc32c:
                    break
                right = one
        return right

    # --- checkpoints --------------------------------------------------------------------------------------

    def keep_checkpoints(
        self, ticket_id: str, part: Part, offsets: OffsetsFile, checkpoints: Checkpoints
    ) -> None:
        """Stores the checkpoints of a part so that they survive a power cut."""
        offsets.put_checkpoints(part.number, checkpoints)
        if self._syncs:
            os.fdatasync(offsets.fd)
            with folder(self.directory.file(ticket_id).parent) as folder_fd:
                sync_folder(folder_fd)
            with folder(self.directory.path) as folder_fd:
                sync_folder(folder_fd)

    # --- space --------------------------------------------------------------------------------------------

    def free_after(self, fd: int, part: Part, stored_bytes: int) -> None:
        """Frees the space that is reserved after the stored bytes of a part. `fd`: the file that has it."""
        self.directory.owner.check()  # another process may have stored more
        if part.start_bytes is None:
            os.ftruncate(fd, stored_bytes)
        elif part.length_bytes and part.length_bytes > stored_bytes:
            free_range(fd, part.start_bytes + stored_bytes, part.length_bytes - stored_bytes)

    def accounted_bytes(self, ticket_id: str, part: Part) -> int:
        """Frees what a killed writer of this part had reserved. Returns how much of the part takes space."""
        (stored,) = self.stored(ticket_id, [part])
        with contextlib.suppress(*GONE):
            fd = self.open(ticket_id, part_name(ticket_id, part), os.O_RDWR)
            try:
                self.free_after(fd, part, stored.end_bytes)
            finally:
                close_descriptor(fd)
        return stored.end_bytes

    # --- the end ------------------------------------------------------------------------------------------

    def delete(self, ticket_id: str, part: Part, deletion: Deletion) -> None:
        """Deletes the bytes of a part. Call `deletion.start` next."""
        self.directory.owner.check()
        self.directory.check_not_replaced()
        with contextlib.suppress(*GONE), folder(self.directory.file(ticket_id).parent) as folder_fd:
            name = part_name(ticket_id, part)
            if part.start_bytes is None:
                deletion.unlink(name, folder_fd)
                return
            fd = os.open(name, os.O_RDWR | NO_FOLLOW, dir_fd=folder_fd)
            try:
                self.free_after(fd, part, 0)
            finally:
                close_descriptor(fd)

    def delete_all(self, ticket_id: str, deletion: Deletion) -> None:
        """Deletes all files of parts. Call `deletion.start` next."""
        self.directory.owner.check()
        self.directory.check_not_replaced()
        with contextlib.suppress(*GONE), folder(self.directory.file(ticket_id).parent) as folder_fd:
            for name in os.listdir(folder_fd):  # noqa: PTH208 - a descriptor
                if _is_of_parts(ticket_id, name):
                    deletion.unlink(name, folder_fd)

    def close(self, fd: int, offsets: OffsetsFile) -> None:
        """Closes what `create` has opened."""
        close_descriptor(fd)
        close_descriptor(offsets.fd)


def free_range(fd: int, start_bytes: int, size_bytes: int) -> None:
    """Frees the space of a part of a file, which reads as zeros then, if the file system can do that."""
    error = punch_hole(fd, start_bytes, size_bytes)
    if error and error not in UNSUPPORTED:
        raise OSError(error, os.strerror(error))
