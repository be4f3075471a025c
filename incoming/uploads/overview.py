"""The state of the service, for pages and metrics: each upload, all of them together, and the process.

Most of it is computed on request, from the tickets and the open files. Other greenlets may run after every
200 tickets. `monitor` samples the speeds once a second, checks the disk every 5 s, and measures how late the
event loop is.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from incoming.core.backend_requests import Listing
from incoming.core.errors import IncomingError, StorageFailed, StorageFull
from incoming.core.lifecycle import ARRIVED, State
from incoming.core.stats import Lag, Speeds
from incoming.core.ticket import Ticket
from incoming.uploads.admission import MIB
from incoming.uploads.parts import part_ids
from incoming.uploads.service import Uploads

log = logging.getLogger(__name__)

PROBE_EVERY_S: Final = 0.1
IDLE_PROBE_EVERY_S: Final = 0.5
"""While no data arrives. Waking up ten times a second took 0.3 % of a core."""
SAMPLE_EVERY_S: Final = 1.0
CHECK_DISK_EVERY_S: Final = 5.0
DISK_HANGS_AFTER_S: Final = 30.0
"""A check of the disk that takes longer counts as failed."""
TROUBLES: Final = ("stopping", "storage", "storage_full", "journal", "journal_full")
"""Why new uploads are not possible, for `healthz`: stable words."""
STAT_WITHIN_S: Final = 2.0
TICKETS_AT_A_TIME: Final = 200
ORDER: Final = {
    state: place
    for place, state in enumerate(
        (State.UPLOADING, State.FAILED, State.HANDING_OVER, State.WAITING, State.PAUSED, State.ISSUED)
    )
}
"""What is listed first; ended uploads come last."""


@dataclass(slots=True)
class Totals:
    """All uploads together."""

    by_state: Counter[State] = field(default_factory=Counter)
    undelivered: int = 0
    """How many uploads have a notification that their app has not received yet."""
    oldest_undelivered_s: float = 0.0

    def add(self, ticket: Ticket, now_s: float) -> None:
        """Counts one upload."""
        self.by_state[ticket.state] += 1
        if ticket.is_undelivered:
            self.undelivered += 1
            self.oldest_undelivered_s = max(self.oldest_undelivered_s, now_s - ticket.changed_at_s)


class Overview:
    """Looks at the service, and changes nothing."""

    def __init__(self, uploads: Uploads) -> None:
        self.speeds = Speeds()
        self.lag = Lag()
        self.counters = uploads.context.counters
        self.free_bytes: int | None = None
        """The free space at the last check; None if the check failed."""
        self._uploads = uploads
        self._context = uploads.context
        self._runtime = uploads.context.runtime
        self._clock = uploads.context.clock
        self._found = {"storage": "", "journal": "", "room": ""}
        """The result of the last check of each: one of TROUBLES, or empty."""
        self._looking_at = "storage"
        self._disk_checked_at_s = self._sampled_at_s = self._clock.now_s()
        self._disk_is_checked = False

    # --- in the background ------------------------------------------------------------------------------

    def monitor(self) -> None:
        """Takes samples until the process ends."""
        self._look_at_disk()
        received_bytes = 0
        while True:
            every_s = PROBE_EVERY_S if self.counters.received_bytes > received_bytes else IDLE_PROBE_EVERY_S
            received_bytes = self.counters.received_bytes
            due_s = self._runtime.now_s() + every_s
            self._runtime.sleep(every_s)
            self.lag.add(max(self._runtime.now_s() - due_s, 0.0))
            try:
                self._look()
            except Exception:
                log.exception("a defect: the health check failed")

    def _look(self) -> None:
        now_s = self._clock.now_s()
        if now_s - self._sampled_at_s >= SAMPLE_EVERY_S - PROBE_EVERY_S / 2:
            self._sampled_at_s = now_s
            self.speeds.sample(now_s, self.counters.stored_bytes, self._uploads.claims.take_moved())
        if now_s - self._disk_checked_at_s >= CHECK_DISK_EVERY_S:
            self._look_at_disk()

    def _look_at_disk(self) -> None:
        """Starts a check of the disk in the background, unless one runs. It may hang."""
        if not self._disk_is_checked:
            self._disk_is_checked = True
            self._runtime.spawn(self._check_disk)

    def _check_disk(self) -> None:
        """Checks all that a new upload needs. A check may hang; `_looking_at` says which one."""
        self._try("storage", self._look_at_storage)
        self._try("journal", self._context.registry.check)
        self._looking_at = "storage"
        self._look_at_room()
        self._disk_checked_at_s = self._clock.now_s()
        self._disk_is_checked = False

    def _try(self, what: str, look: Callable[[], None]) -> None:
        self._looking_at = what
        found, why = "", ""
        try:
            look()
        except IncomingError as exc:
            found = f"{what}_full" if isinstance(exc, StorageFull) else what
            why = str(exc.__cause__ or exc)
        if found and not self._found[what]:
            log.error("the %(what)s can't be written: %(error)s", {"what": what, "error": why})
        elif self._found[what] and not found:
            log.info("the %(what)s can be written again", {"what": what})
        self._found[what] = found

    def _look_at_storage(self) -> None:
        room = self._context.storage.room
        self.free_bytes = self._runtime.in_pool(room.free_bytes) if room else None
        self._context.storage.check()

    def _look_at_room(self) -> None:
        """Checks for more free space than `min_free_mib`, unless unfinished uploads have reserved space."""
        min_free_mib = self._context.settings.min_free_mib
        is_full = self.free_bytes is not None and self.free_bytes <= min_free_mib * MIB
        found = "storage_full" if is_full and not self.reserved_bytes() else ""
        if found and not self._found["room"]:
            about = {"mib": min_free_mib}
            log.warning(
                "no upload can start: the disk has less than %(mib)d MiB (min_free_mib) of free space", about
            )
        self._found["room"] = found

    # --- on request --------------------------------------------------------------------------

    def disk_works(self) -> bool:
        """Returns whether the storage was writable at the last check. Never waits."""
        return not self._found["storage"] and self._hangs_on() != "storage"

    def journal_works(self) -> bool:
        """Returns whether the journal was writable at the last check. Never waits."""
        return not self._found["journal"] and self._hangs_on() != "journal"

    def trouble(self) -> str:
        """Returns why the process should get no requests: one of TROUBLES, or empty. Never waits."""
        if self._uploads.stopping:
            return "stopping"
        if self._uploads.lost:
            return "storage"
        return self._hangs_on() or next(filter(None, self._found.values()), "")

    def _hangs_on(self) -> str:
        is_old = self._clock.now_s() - self._disk_checked_at_s >= DISK_HANGS_AFTER_S
        return self._looking_at if is_old else ""

    def totals(self) -> Totals:
        """Returns the totals of all uploads."""
        totals, now_s = Totals(), self._clock.now_s()
        for ticket in self._tickets():
            totals.add(ticket, now_s)
        return totals

    def reserved_bytes(self) -> int:
        """Returns how much of the free disk space is reserved for unfinished uploads."""
        return self._uploads.admission.reserved_bytes()

    def page(self, asked: Listing) -> dict[str, Any]:
        """Returns a page of the list (docs/reference/api.md). Raises UnknownTicket, WrongSecret."""
        if asked.id:
            tickets = [self._uploads.with_secret(asked.id, asked.secret)]
            matching = 1
        else:
            matching, tickets = self._listed(asked)
        return {
            "uploads": self._rows(tickets),
            "matching": matching,
            "totals": self._totals_as_json(),
            "history": {"interval_s": SAMPLE_EVERY_S, "bytes_per_s": self.speeds.history(asked.history)},
        }

    def _tickets(self) -> Iterator[Ticket]:
        return self._yielding_to_others(self._context.registry.tickets())

    def _yielding_to_others(self, tickets: Iterable[Ticket]) -> Iterator[Ticket]:
        for number, ticket in enumerate(tickets, 1):
            if not number % TICKETS_AT_A_TIME:
                self._runtime.yield_if_due()
            yield ticket

    def _listed(self, asked: Listing) -> tuple[int, list[Ticket]]:
        """Returns the number of matching uploads, and those on the requested page.

        Sorts small runs and merges them, because sorting 10,000 at once blocks the process for 30 ms.
        """
        wanted = [ticket for ticket in self._tickets() if asked.state in ("", ticket.state)]
        runs = []
        for start in range(0, len(wanted), TICKETS_AT_A_TIME):
            runs.append(sorted(wanted[start : start + TICKETS_AT_A_TIME], key=_sort_key))
            self._runtime.yield_if_due()
        in_order = self._yielding_to_others(heapq.merge(*runs, key=_sort_key))
        return len(wanted), list(islice(in_order, asked.start, asked.start + asked.limit))

    def _totals_as_json(self) -> dict[str, Any]:
        totals = self.totals()
        return {
            "uploads": totals.by_state.total(),
            "by_state": {state.value: totals.by_state[state] for state in State},
            "undelivered": totals.undelivered,
            "oldest_undelivered_s": round(totals.oldest_undelivered_s, 1),
            "bytes_per_s": self.speeds.bytes_per_s,
            "stored_bytes": self.counters.stored_bytes,
            "connections": self.counters.connections,
            "free_bytes": self.free_bytes,
            "reserved_bytes": self.reserved_bytes(),
        }

    # --- one upload ----------------------------------------------------------------------------------

    def _rows(self, tickets: list[Ticket]) -> list[dict[str, Any]]:
        open_files = self._uploads.claims.offsets()
        whole = [ticket for ticket in tickets if not ticket.is_in_parts]
        paused = [t.id for t in whole if t.state is State.PAUSED and t.id not in open_files]
        offsets = self._lengths(paused) | open_files
        offsets |= self._lengths_in_parts([ticket for ticket in tickets if ticket.is_in_parts])
        now_s = self._clock.now_s()
        return [self._row(ticket, _offset(ticket, offsets), now_s) for ticket in tickets]

    def _lengths(self, ticket_ids: list[str]) -> dict[str, int | None]:
        """Returns the sizes of files on the disk; None for a size that is not known in time."""
        if not ticket_ids:
            return {}
        stored_bytes = self._context.storage.size
        try:
            with self._runtime.time_limit(STAT_WITHIN_S, StorageFailed()):
                return self._runtime.in_pool(_each, stored_bytes, ticket_ids)
        except StorageFailed:
            return dict.fromkeys(ticket_ids)

    def _lengths_in_parts(self, tickets: list[Ticket]) -> dict[str, int | None]:
        """Returns how much is stored of uploads that come in parts; see `_lengths`."""
        found: dict[str, int | None] = dict.fromkeys(ticket.id for ticket in tickets)
        with contextlib.suppress(StorageFailed), self._runtime.time_limit(STAT_WITHIN_S, StorageFailed()):
            for ticket in tickets:
                found[ticket.id] = self._uploads.parts.stored_bytes(ticket)
        return found

    def _row(self, ticket: Ticket, offset_bytes: int | None, now_s: float) -> dict[str, Any]:
        length_bytes, claims = ticket.expected_bytes, self._uploads.claims
        upload_ids = part_ids(ticket) if ticket.is_in_parts else [ticket.id]
        moved = {one: at_s for one in upload_ids if (at_s := claims.moved_at_s(one)) is not None}
        moved_at_s, speed = max(moved.values(), default=None), sum(map(self.speeds.of, moved))
        failure = self._uploads.outbox.last_failure(ticket.id)
        missing_bytes = (length_bytes or 0) - (offset_bytes or 0)
        seconds_left = round(missing_bytes / speed, 1) if speed and length_bytes is not None else None
        last_s = ticket.changed_at_s if moved_at_s is None else max(moved_at_s, ticket.changed_at_s)
        return {
            "id": ticket.short_id,
            "name": ticket.name,
            "app": ticket.app,
            "state": ticket.state.value,
            "reason": ticket.reason or (failure.why if failure else ""),
            "trouble": failure.kind.value if failure else "",
            "length_bytes": length_bytes,
            "offset_bytes": offset_bytes,
            "bytes_per_s": speed,
            "seconds_left": seconds_left,
            "age_s": round(now_s - ticket.issued_at_s, 1),
            "idle_s": round(max(now_s - last_s, 0.0), 1),
            "connected": any(map(claims.is_held, upload_ids)),
            "deliveries": ticket.deliveries,
            "max_bytes_per_s": ticket.max_bytes_per_s or None,
            "parts": len(ticket.parts.present) if ticket.parts and ticket.parts.present else None,
        }


def _sort_key(ticket: Ticket) -> tuple[int, float, str]:
    """Returns the sort key: uploads that need attention first, then the most recently changed."""
    return ORDER.get(ticket.state, len(ORDER)), -ticket.changed_at_s, ticket.id


def _offset(ticket: Ticket, offsets: dict[str, int | None]) -> int | None:
    """Returns how many bytes of an upload are stored and count, as far as that is known."""
    if ticket.state in ARRIVED:
        return ticket.length_bytes
    stored_bytes = offsets.get(ticket.id, 0)
    return None if stored_bytes is None else ticket.acknowledged_bytes(stored_bytes)


def _each(stored_bytes: Callable[[str], int | None], ticket_ids: list[str]) -> dict[str, int | None]:
    return {ticket_id: stored_bytes(ticket_id) or 0 for ticket_id in ticket_ids}
