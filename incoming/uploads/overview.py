"""The state of the service, for pages and metrics: each upload, all of them together, and the process.

Most of it is computed on request, from the tickets and the open files. `monitor` samples the speeds once a
second, checks the disk every 5 s, and measures how late the event loop is.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from incoming.core.backend_requests import Listing
from incoming.core.errors import IncomingError, RegistryFailed, StorageFailed, StorageFull
from incoming.core.instance import Instance
from incoming.core.lifecycle import ARRIVED, State
from incoming.core.stats import Lag, Recent, Speeds, SpeedsElsewhere, StoreFigures
from incoming.core.ticket import Ticket
from incoming.core.units import MIB
from incoming.runtime.base import ServiceClock
from incoming.uploads.cluster import Cluster, SingleProcess
from incoming.uploads.listing import Totals, look
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
TROUBLES: Final = (
    "stopping", "storage", "storage_full", "journal", "journal_full", "registry", "registry_full",
)  # fmt: skip
"""Why new uploads are not possible, for `healthz`: stable words."""
REMOTE: Final = "registry"
"""The word for what keeps the tickets if it is another program."""
STAT_WITHIN_S: Final = 2.0
WITH_BYTES: Final = (State.PAUSED, State.UPLOADING)
"""Bytes of an upload in this state are in the storage, unless this process has its file open."""


class Overview:
    """Looks at the service, and changes nothing."""

    def __init__(self, uploads: Uploads, cluster: Cluster | None = None) -> None:
        """Without `cluster`, this is the only process."""
        self.cluster: Cluster = cluster or SingleProcess(uploads.context.leases)
        self.speeds = Speeds()
        self.lag = Lag()
        self.counters = uploads.context.counters
        self.free_bytes: int | None = None
        """The free space at the last check; None if the check failed."""
        self._uploads = uploads
        self._context = uploads.context
        self._runtime = uploads.context.runtime
        self._clock = uploads.context.clock
        self._elsewhere = SpeedsElsewhere()
        self._recent: dict[str, Recent] = {}
        self._registry = self.cluster.registry_word
        self._found = {"storage": "", self._registry: "", "room": ""}
        """The result of the last check of each: one of TROUBLES, or empty."""
        self._looking_at = "storage"
        self._running = ServiceClock(self._runtime.now_s)
        """How long this process has run: while Redis is away, the service's clock stops."""
        self._disk_checked_at_s = self._sampled_at_s = self._running.now_s()
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
            self._running.tick()
            self._runtime.sleep(every_s)
            self.lag.add(max(self._runtime.now_s() - due_s, 0.0))
            try:
                self._look()
            except Exception:
                log.exception("a defect: the health check failed")

    def _look(self) -> None:
        now_s = self._running.now_s()
        if now_s - self._sampled_at_s >= SAMPLE_EVERY_S - PROBE_EVERY_S / 2:
            self._sampled_at_s = now_s
            others_bytes_per_s = self._others_bytes_per_s()
            moved = self._uploads.claims.take_moved()
            self.speeds.sample(now_s, self.counters.stored_bytes, moved, others_bytes_per_s)
            self.cluster.report(self.speeds.bytes_per_s, self.counters.connections)
            for figures in self.cluster.stores():
                self._recent.setdefault(figures.name, Recent()).look(figures, now_s)
        if now_s - self._disk_checked_at_s >= CHECK_DISK_EVERY_S:
            self._look_at_disk()

    def _others_bytes_per_s(self) -> int:
        own_id = self.cluster.own_id
        return sum(one.bytes_per_s for one in self.cluster.instances() if one.id != own_id)

    def _look_at_disk(self) -> None:
        """Starts a check of the disk in the background, unless one runs. It may hang."""
        if not self._disk_is_checked:
            self._disk_is_checked = True
            self._runtime.spawn(self._check_disk)

    def _check_disk(self) -> None:
        """Checks all that a new upload needs. A check may hang; `_looking_at` says which one."""
        self._try("storage", self._look_at_storage)
        self._try(self._registry, self._context.registry.check)
        self._looking_at = "storage"
        self._look_at_room()
        self._disk_checked_at_s = self._running.now_s()
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
        spaces = [storage.free_space for storage in self._context.storages.all if storage.free_space]
        self.free_bytes = sum(self._runtime.in_pool(space.free_bytes) for space in spaces) if spaces else None
        for storage in self._context.storages.all:
            storage.check()

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

    def registry_works(self) -> bool:
        """Returns whether a ticket could be stored at the last check. Never waits."""
        return not self._found[self._registry] and self._hangs_on() != self._registry

    def trouble(self) -> str:
        """Returns why the process should get no requests: one of TROUBLES, or empty. Never waits."""
        if self._uploads.stopping:
            return "stopping"
        if self._uploads.lost:
            return "storage"
        return self._hangs_on() or next(filter(None, self._found.values()), "")

    def _hangs_on(self) -> str:
        is_old = self._running.now_s() - self._disk_checked_at_s >= DISK_HANGS_AFTER_S
        return self._looking_at if is_old else ""

    def _check_registry(self) -> None:
        """Raises RegistryFailed if the last check had no answer from a Redis: nobody waits for that again."""
        if self._registry == REMOTE and REMOTE in (self._found[REMOTE], self._hangs_on()):
            raise RegistryFailed

    def totals(self) -> Totals:
        """Returns the totals of all uploads. Raises StorageFailed where the tickets are far away."""
        self._check_registry()
        return look(self._context.registry, self._runtime).totals(self._clock.now_s())

    def reserved_bytes(self) -> int:
        """Returns how much of the free disk space is reserved for unfinished uploads."""
        return self._uploads.admission.reserved_bytes()

    def page(self, asked: Listing) -> dict[str, Any]:
        """Returns a page of the list (docs/reference/api.md). Raises UnknownTicket, WrongSecret."""
        self._check_registry()
        found = look(self._context.registry, self._runtime)
        if asked.id:
            tickets = [self._uploads.with_secret(asked.id, asked.secret)]
            matching = 1
        else:
            with_clients = found.with_clients() if asked.search else []
            matching, tickets = found.page(asked, self._more_words(with_clients))
        return {
            "uploads": self._rows(tickets),
            "matching": matching,
            "totals": self._totals_as_json(found.totals(self._clock.now_s())),
            "history": {"interval_s": SAMPLE_EVERY_S, "bytes_per_s": self.speeds.history(asked.history)},
            "storages": [*self._context.storages.names],
            "instances": [_instance(one) for one in self.cluster.instances()],
            "stores": [self._store(figures) for figures in self.cluster.stores()],
        }

    def _more_words(self, with_clients: list[Ticket]) -> Callable[[Ticket], str]:
        """Returns what gives the words that a ticket does not have: its server and its client's address."""
        holders = self.cluster.holders([ticket.id for ticket in with_clients])
        source_of = self._uploads.admission.source_of
        return lambda ticket: f"{holders.get(ticket.id, '')}\n{source_of(ticket)}"

    def _store(self, figures: StoreFigures) -> dict[str, Any]:
        recent, sending = self._recent.get(figures.name) or Recent(), figures.transfers
        mean_s = recent.mean_s
        return {
            "name": figures.name,
            "away": figures.is_away,
            "mean_call_s": None if mean_s is None else round(mean_s, 6),
            "failures": recent.failures,
            "parts_in_flight": sending.parts_in_flight if sending else None,
        }

    def _totals_as_json(self, totals: Totals) -> dict[str, Any]:
        return {
            "uploads": totals.by_state.total(),
            "by_state": {state.value: totals.by_state[state] for state in State},
            "undelivered": totals.undelivered,
            "oldest_undelivered_s": round(totals.oldest_undelivered_s, 1),
            "bytes_per_s": self.speeds.bytes_per_s + self._others_bytes_per_s(),
            "stored_bytes": self.counters.stored_bytes,
            "connections": self.counters.connections,
            "free_bytes": self.free_bytes,
            "reserved_bytes": self.reserved_bytes(),
        }

    # --- one upload ----------------------------------------------------------------------------------

    def _rows(self, tickets: list[Ticket]) -> list[dict[str, Any]]:
        opened = {ticket.id: self._uploads.claims.offset(ticket) for ticket in tickets}
        open_files = {ticket_id: offset for ticket_id, offset in opened.items() if offset is not None}
        whole = [ticket for ticket in tickets if not ticket.is_in_parts]
        closed = self._lengths([t for t in whole if t.state in WITH_BYTES and t.id not in open_files])
        now_s = self._clock.now_s()
        self._elsewhere.look({one: size for one, size in closed.items() if size is not None}, now_s)
        offsets = closed | open_files
        offsets |= self._lengths_in_parts([ticket for ticket in tickets if ticket.is_in_parts])
        pieces = {t.id: part_ids(t) if t.is_in_parts else [t.id] for t in tickets}
        holders = self.cluster.holders([one for ids in pieces.values() for one in ids])
        return [
            self._row(ticket, _offset(ticket, offsets), now_s, pieces[ticket.id], holders)
            for ticket in tickets
        ]

    def _lengths(self, tickets: list[Ticket]) -> dict[str, int | None]:
        """Returns the sizes of stored files; None for a size that is not known in time."""
        if not tickets:
            return {}
        try:
            with self._runtime.time_limit(STAT_WITHIN_S, StorageFailed()):
                sizes = self._context.storages.sizes(tickets)
        except StorageFailed:
            return dict.fromkeys(ticket.id for ticket in tickets)
        return {ticket_id: size_bytes or 0 for ticket_id, size_bytes in sizes.items()}

    def _lengths_in_parts(self, tickets: list[Ticket]) -> dict[str, int | None]:
        """Returns how much is stored of uploads that come in parts; see `_lengths`."""
        found: dict[str, int | None] = dict.fromkeys(ticket.id for ticket in tickets)
        with contextlib.suppress(StorageFailed), self._runtime.time_limit(STAT_WITHIN_S, StorageFailed()):
            for ticket in tickets:
                found[ticket.id] = self._uploads.parts.stored_bytes(ticket)
        return found

    def _moved_at_s(self, upload_id: str) -> float | None:
        own = self._uploads.claims.moved_at_s(upload_id)
        return self._elsewhere.moved_at_s(upload_id) if own is None else own

    def _row(
        self, ticket: Ticket, offset_bytes: int | None, now_s: float, upload_ids: Iterable[str],
        holders: Mapping[str, str],
    ) -> dict[str, Any]:  # fmt: skip
        length_bytes = ticket.expected_bytes
        moved = {one: at_s for one in upload_ids if (at_s := self._moved_at_s(one)) is not None}
        moved_at_s = max(moved.values(), default=None)
        speed = sum(self.speeds.of(one) or self._elsewhere.of(one) for one in moved)
        held_by = {holders[one] for one in upload_ids if one in holders}
        failure = self._uploads.outbox.last_failure(ticket.id)
        missing_bytes = (length_bytes or 0) - (offset_bytes or 0)
        seconds_left = round(missing_bytes / speed, 1) if speed and length_bytes is not None else None
        last_s = ticket.changed_at_s if moved_at_s is None else max(moved_at_s, ticket.changed_at_s)
        return {
            "id": ticket.short_id,
            "name": ticket.name,
            "dest_type": ticket.dest_type,
            "app": ticket.app,
            "state": ticket.state.value,
            "storage": self._context.storages.name_for(ticket),
            "reason": ticket.reason or self._uploads.outbox.why_no_answer(ticket.id, ticket.state),
            "trouble": failure.kind.value if failure else "",
            "length_bytes": length_bytes,
            "offset_bytes": offset_bytes,
            "bytes_per_s": speed,
            "seconds_left": seconds_left,
            "issued_unix_s": ticket.issued_unix_s or None,
            "age_s": round(now_s - ticket.issued_at_s, 1),
            "idle_s": round(max(now_s - last_s, 0.0), 1),
            "connected": bool(held_by),
            "instance": min(held_by, default="") or None,
            "source": self._uploads.admission.source_of(ticket),
            "deliveries": ticket.deliveries,
            "max_bytes_per_s": ticket.max_bytes_per_s or None,
            "parts": len(ticket.parts.present) if ticket.parts and ticket.parts.present else None,
        }


def _instance(one: Instance) -> dict[str, Any]:
    return {
        "name": one.name,
        "hostname": one.hostname,
        "pid": one.pid,
        "since_s": round(one.since_s, 1),
        "bytes_per_s": one.bytes_per_s,
        "connections": one.connections,
    }


def _offset(ticket: Ticket, offsets: dict[str, int | None]) -> int | None:
    """Returns how many bytes of an upload are stored and count, as far as that is known."""
    if ticket.state in ARRIVED:
        return ticket.length_bytes
    stored_bytes = offsets.get(ticket.id, 0)
    return None if stored_bytes is None else ticket.acknowledged_bytes(stored_bytes)
