"""Uploads in parts, as a client of the service makes them; and processes that die at a call to the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import gevent
import pytest

from incoming.core.lifecycle import PlanAssembly
from incoming.core.parts import part_id
from tests.support.uploads import Client, House, new_claim

CALLS: Final = (
    *("pwrite", "ftruncate", "fdatasync", "fsync", "replace", "unlink", "mkdir", "open", "rmdir"),
    "copy_file_range",
)


class Killed(gevent.GreenletExit):  # type: ignore[misc]  # gevent has no types
    """The process is dead. A greenlet that it ends says nothing."""


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, number: int, when: str) -> Iterator[list[str]]:
    """Within it, this call to the disk is the last one of the process. Yields the calls so far.

    `when`: before or after it. No later call of the process reaches the disk. Syncs do nothing: the machine
    goes on.
    """
    calls: list[str] = []

    def point(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            if len(calls) > number or (len(calls) == number and when == "before"):
                raise Killed
            result = call(*args, **kwargs)
            if len(calls) == number:
                raise Killed
            return result

        return called

    with monkeypatch.context() as patched:
        for name in CALLS:
            is_sync = name in ("fsync", "fdatasync")
            patched.setattr(os, name, point(name, _nothing if is_sync else getattr(os, name)))
        yield calls


def _nothing(_: int) -> None:
    """Stands for a sync."""


def new_part(house: House, ticket_id: str, length_bytes: int | None, source: str = "") -> str:
    """Returns the id of a new part."""
    return house.uploads.parts.create(ticket_id, length_bytes, "", source)


def claim_part(
    house: House,
    upload_id: str,
    source: str = "",
    lease_s: float | None = None,
    length_bytes: int | None = None,
) -> Client:
    """Returns a client that holds a part."""
    client = Client()
    claim = new_claim(length_bytes)
    client.claim = house.uploads.parts.claim(upload_id, claim, client.listener, source, lease_s)
    return client


def write_part(house: House, client: Client, content: bytes) -> None:
    """Appends to a part that a client holds."""
    house.uploads.parts.write(client.claim, memoryview(content))


def send_part(house: House, ticket_id: str, content: bytes, length_bytes: int | None = None) -> str:
    """Creates a part, sends its content, and leaves. Returns its id."""
    upload_id = new_part(house, ticket_id, len(content) if length_bytes is None else length_bytes)
    resume_part(house, upload_id, content)
    return upload_id


def resume_part(house: House, upload_id: str, content: bytes) -> None:
    """Sends what is missing of the content of a part, and leaves."""
    client = claim_part(house, upload_id)
    if rest := content[client.claim.offset_bytes :]:
        write_part(house, client, rest)
    house.uploads.release(client.claim)


def plan(house: House, ticket_id: str, *numbers: int, name: str = "holiday.mov") -> bool:
    """Says which parts make the file. Returns whether they are complete, when all is done that follows."""
    event = PlanAssembly(numbers, f"/uploads/{ticket_id}/parts/", name, "filename aA==")
    is_complete = house.uploads.assemblies.plan(ticket_id, event)
    house.runtime.settle()
    return is_complete


def files(house: House, ticket_id: str) -> set[str]:
    """Returns the names of the files of an upload, without its id."""
    folder = Path(house.context.storages.default.location(ticket_id)).parent
    return {file.name.removeprefix(ticket_id) for file in folder.iterdir()} if folder.exists() else set()


def ids(ticket_id: str, *numbers: int) -> list[str]:
    """Returns the ids of parts."""
    return [part_id(ticket_id, number) for number in numbers]
