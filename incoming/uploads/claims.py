"""The claims of this process's clients, and the open files of their uploads.

`lock(ticket_id)` guards the file and the claim of one upload. So a takeover waits for a write that is under
way, and the claim before writes nothing after it. A claim that was lost has the reason in `lost`. The
leases know which claim holds an upload, in any process. News reach it through the news channel.
"""

from __future__ import annotations

import contextlib
import math
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from incoming.core.errors import (
    ClaimForgotten,
    ClaimLapsed,
    IncomingError,
    Stopping,
    StorageFailed,
    StorageFull,
    TakenOver,
)
from incoming.core.lifecycle import Claim
from incoming.core.news import CalledOff, Durable, Interrupted, News
from incoming.core.parts import is_part_id
from incoming.core.rate_limit import Pace
from incoming.core.resume_check import Ranges
from incoming.core.ticket import Ticket
from incoming.registry import NewsListener
from incoming.runtime.base import Lock
from incoming.storage import Writer
from incoming.uploads.context import UploadContext

TOKEN_BYTES: Final = 16
RENEWALS_A_LEASE: Final = 20
"""How often the lease of an upload that moves is renewed in the time that a lease lasts."""
Ending = CalledOff | Interrupted
"""News with which a claim ends; its error is why."""


def new_token() -> str:
    """Returns a token for a claim. It is random: a counter could repeat after a failover of a registry."""
    return secrets.token_hex(TOKEN_BYTES)


@dataclass(slots=True, eq=False)
class ClaimedUpload:
    """One client's claim of an upload: what it found, and the listener for its news."""

    ticket: Ticket
    offset_bytes: int
    listener: NewsListener
    lost: IncomingError | None = None
    taken_bytes: int = 0
    """The next chunk goes here."""
    acknowledged_bytes: int = 0
    """How many bytes may be acknowledged: they survive a kill, and none of them waits for its checksum."""
    end_bytes: int = 0
    """Up to where bytes were let in: the length, or a part of the file while the length is unknown."""
    pace: Pace = field(default_factory=lambda: Pace(0))
    compare: Ranges = ()
    """What its client has to prove that it has."""
    unproved: Claim | None = None
    """What its client says of the file and the ticket does not know, until it counts: see `Proved`."""
    lease_s: float | None = None
    """How long the claim lasts beyond its last use; None: until it is released."""
    renewed_at_s: float = -math.inf
    """When its lease was last renewed."""
    is_sending: Callable[[], bool] = lambda: False
    """Returns whether a message of its client is on its way in. On a slow line the first chunk takes long."""
    right_bytes: int = 0
    """How many of the stored bytes are certainly intact. A power cut may have damaged others."""
    left_out: tuple[int, ...] = ()
    """Which files of a folder are left out, by their numbers in its list, in ascending order."""
    is_same: bool = False
    """Whether its client has proved that it has the same file."""
    left_out_from: int | None = None
    """Where the file of a folder begins that its client has left out before its proof."""
    window_bytes: int = 0
    """How much its client has to send ahead of the acknowledgements: see `Storage.window_bytes`."""
    stores_later: bool = False
    """Whether chunks are stored some time after they were taken: see `Storage.stores_later`."""
    wait_for_capacity: Callable[[], None] = lambda: None
    """See `Writer.wait_for_capacity`."""
    is_kept: Callable[[], bool] = lambda: True
    """Returns whether the claim survives a kill, and not only the bytes that were stored for it."""
    on_lost: Callable[[], object] = lambda: None
    """Called when another process has ended a claim with a lease, whose client may not be connected."""

    @property
    def token(self) -> str:
        """The token of the claim, see `Ticket.token`."""
        return self.ticket.token

    def hear(self, news: News) -> None:
        """Passes the news on to the client. A claim may have been lost in another process."""
        was_lost = self.lost
        match news:
            case CalledOff(error) | Interrupted(TakenOver() as error):
                self.lost = self.lost or error
        self.listener(news)
        if self.lost and not was_lost and self.lease_s is not None:
            self.on_lost()

    def update_offsets(self, writer: Writer) -> None:
        """Notes how many bytes its file has now, and how many of them may be acknowledged."""
        self.taken_bytes = writer.taken_bytes
        durable_bytes = writer.durable_offset if self.is_kept() else 0
        self.acknowledged_bytes = self.ticket.acknowledged_bytes(durable_bytes)

    def check(self) -> None:
        """Raises the reason when this claim was lost."""
        if self.lost:
            raise self.lost


def has_forgotten(ticket: Ticket, claim: ClaimedUpload) -> bool:
    """Returns whether a registry that has this ticket has lost the claim: it knows earlier ones only."""
    return ticket.epoch < claim.ticket.epoch


class Lease(NamedTuple):
    """A claim has the lease of its upload since a moment ago. `taken_from`: the token that had it before."""

    token: str
    taken_from: str | None


@dataclass(slots=True, eq=False)
class PendingClaim:
    """A claim that has begun, and does not hold its upload yet."""

    waits: bool = False
    """Whether it waits for something else first, and sends no bytes. A request that only looks leaves it."""
    is_overtaken: bool = False
    """Whether a claim that began later holds the upload, or has held it."""

    def check(self) -> None:
        """Raises TakenOver when this claim has been overtaken."""
        if self.is_overtaken:
            raise TakenOver


@dataclass(slots=True, eq=False)
class LiveUpload:
    """What is known of an upload while its lock is held, which it is within a with-block."""

    ticket_id: str
    file_lock: Lock
    all_live: dict[str, LiveUpload]
    users: int = 0
    holder: ClaimedUpload | None = None
    writer: Writer | None = None
    moved_at_s: float | None = None
    """When bytes were last stored."""

    def __enter__(self) -> Self:
        self.users += 1
        try:
            self.file_lock.__enter__()
        except BaseException:  # killed while it waited
            self._leave()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.file_lock.__exit__(*exc_info)
        self._leave()

    def _leave(self) -> None:
        self.users -= 1
        if not self.users and self.holder is None and self.writer is None:
            self.all_live.pop(self.ticket_id, None)

    def close(self) -> None:
        """Closes the file, if it is open. An error changes nothing about the stored bytes."""
        writer = self._take_writer()
        if writer:
            with contextlib.suppress(StorageFull, StorageFailed, TakenOver):
                writer.close()

    def require_writer(self) -> Writer:
        """Returns the writer of its open file. Raises StorageFailed if none is open.

        A claim of an upload that has arrived has none: it writes nothing.
        """
        if self.writer is None:
            raise StorageFailed
        return self.writer

    def abort(self) -> None:
        """Closes the file of an upload that was called off, or that another process has, if it is open."""
        writer = self._take_writer()
        if writer:
            with contextlib.suppress(StorageFull, StorageFailed):
                writer.abort()

    def _take_writer(self) -> Writer | None:
        writer, self.writer, self.moved_at_s = self.writer, None, None
        return writer


class Claims:
    """The uploads that clients of this process use or hold. Any other upload takes no memory here."""

    def __init__(self, context: UploadContext) -> None:
        self._runtime = context.runtime
        self._clock = context.clock
        self._leases = context.leases
        self._registry = context.registry
        self._news = context.news
        self._live: dict[str, LiveUpload] = {}
        self._moved: set[str] = set()
        self._pending: dict[str, list[PendingClaim]] = {}
        self._unreleased: set[tuple[str, str]] = set()
        """The leases that the shared store could not release, by ticket and token."""
        self.stopping = False
        """Whether `stop` was called."""

    @contextlib.contextmanager
    def pending_claim(self, ticket_id: str, waits: bool = False) -> Iterator[PendingClaim]:
        """Within it a claim is pending. Locks and look-ups may let a newer one pass: see `overtake`."""
        pending, all_pending = PendingClaim(waits), self._pending.setdefault(ticket_id, [])
        all_pending.append(pending)
        try:
            yield pending
        finally:
            all_pending.remove(pending)
            if not all_pending:
                del self._pending[ticket_id]

    def overtake(self, ticket_id: str, pending: PendingClaim) -> None:
        """This claim has taken the upload: no claim of this process that began before it may, from now on."""
        all_pending = self._pending[ticket_id]
        for older in all_pending[: all_pending.index(pending)]:
            older.is_overtaken = True

    def has_pending_claim(self, ticket_id: str) -> bool:
        """Returns whether a claim of this process is pending that does not wait for something else."""
        return any(not pending.waits for pending in self._pending.get(ticket_id, ()))

    def lock(self, ticket_id: str) -> LiveUpload:
        """Gives the upload to the caller alone: `with claims.lock(ticket_id) as live`."""
        live = self._live.get(ticket_id)
        if live is None:
            live = self._live[ticket_id] = LiveUpload(ticket_id, self._runtime.lock(), self._live)
        return live

    def take_lease(self, ticket_id: str, token: str, lease_s: float | None) -> Lease:
        """Gives the lease of an upload to a claim that is under way; `hand_to` follows, or `give_back`.

        So no other process ever sees the ticket with a token that has no lease: it would take the upload for
        abandoned. Raises StorageFailed.
        """
        return Lease(token, self._leases.take(ticket_id, token, self._until_s(lease_s)))

    def give_back(self, live: LiveUpload, lease: Lease) -> None:
        """A claim with the lease was refused. The claim before keeps the upload, if it is of this process.

        One of another process ends, and its client comes back: only that process could take its lease again.
        """
        ticket_id, holder = live.ticket_id, live.holder
        if holder and holder.token == lease.taken_from:
            with contextlib.suppress(StorageFailed):
                self._leases.take(ticket_id, holder.token, self._until_s(holder.lease_s))
            return
        self._release(ticket_id, lease.token)
        if lease.taken_from:
            self._news.tell(ticket_id, Interrupted(TakenOver()), lease.taken_from)

    def hand_to(
        self, live: LiveUpload, claim: ClaimedUpload | None, news: Ending | None = None,
        lease: Lease | None = None,
    ) -> None:  # fmt: skip
        """Makes `claim`, or none, the holder of an upload whose lock the caller has.

        With `news` any other claim loses the upload, in any process, and hears the news. Without `news` only
        a claim of this process loses it, and hears nothing: it has asked for that.

        `lease`: the lease that `claim` has taken. Without it, this takes the lease, and raises StorageFailed
        if that fails.
        """
        ticket_id, before, taken_from = live.ticket_id, live.holder, None
        if claim:
            lease = lease or self.take_lease(ticket_id, claim.token, claim.lease_s)
            taken_from = lease.taken_from
            self._news.listen(ticket_id, claim.token, claim.hear)
        elif news:
            with contextlib.suppress(StorageFailed):  # the fence does without
                taken_from = self._leases.holder(ticket_id)
        live.holder = claim
        lost = {before.token} if before else set()
        if taken_from:
            lost.add(taken_from)
        if before and news:
            before.lost = before.lost or news.error
        for token in lost - {claim.token if claim else ""}:
            if news:
                self._news.tell(ticket_id, news, token)
            self._news.ignore(ticket_id, token)
            if not claim:
                self._release(ticket_id, token)
        if isinstance(news, CalledOff):
            self._news.tell(ticket_id, news)  # others may watch the upload without a claim

    def _release(self, ticket_id: str, token: str) -> None:
        """Releases a lease, now or at the next `release_again`: one without a deadline would stay."""
        try:
            self._leases.release(ticket_id, token)
        except StorageFailed:
            self._unreleased.add((ticket_id, token))

    def release_again(self) -> None:
        """Releases the leases that could not be released before. Raises StorageFailed."""
        for ticket_id, token in list(self._unreleased):
            self._leases.release(ticket_id, token)
            self._unreleased.discard((ticket_id, token))

    def _until_s(self, lease_s: float | None) -> float | None:
        return None if lease_s is None else self._clock.now_s() + lease_s

    def durable(self, ticket_id: str, error: StorageFailed | TakenOver | None) -> None:
        """The storage has stored more of an upload by itself, or has given up. Tells its client."""
        live = self._live.get(ticket_id)
        if live is None or live.holder is None or live.writer is None:
            return
        claim = live.holder
        if error:
            if isinstance(error, StorageFailed):
                claim.lost = claim.lost or error  # what its client has sent since will not be stored
            self._runtime.spawn(self._tell_failure, claim, error)
            return
        self._moved.add(ticket_id)
        claim.update_offsets(live.writer)
        self._runtime.spawn(claim.hear, Durable(claim.acknowledged_bytes))

    def _tell_failure(self, claim: ClaimedUpload, error: StorageFailed | TakenOver) -> None:
        claim.hear(Interrupted(self._why_lost(claim, error) if isinstance(error, TakenOver) else error))

    @contextlib.contextmanager
    def explained(self, claim: ClaimedUpload) -> Iterator[None]:
        """Within it, TakenOver becomes ClaimForgotten if there is no newer claim: see `_why_lost`."""
        try:
            yield
        except TakenOver as exc:
            raise self._why_lost(claim, exc) from exc

    def _why_lost(self, claim: ClaimedUpload, error: TakenOver) -> TakenOver:
        """Returns why an upload has another token than this claim, which was told that it was taken over.

        A registry that has lost the claim itself in a failover still has the token of an earlier one.
        """
        try:
            ticket = self._registry.get(claim.ticket.id)
        except IncomingError:
            return error
        return ClaimForgotten() if has_forgotten(ticket, claim) else error

    def renew(self, claim: ClaimedUpload, lease_s: float) -> None:
        """Moves the deadline of a claim that is used.

        Raises TakenOver when it does not hold its upload, ClaimLapsed if nobody else has held it since.
        """
        ticket_id = claim.ticket.id
        if self._leases.renew(ticket_id, claim.token, self._clock.now_s() + lease_s):
            return
        claim.lost = claim.lost or (ClaimLapsed() if self._is_newest(claim) else TakenOver())
        raise claim.lost

    def _is_newest(self, claim: ClaimedUpload) -> bool:
        """Returns whether there is no claim after this one. Raises UnknownTicket, StorageFailed."""
        ticket_id = claim.ticket.id
        if is_part_id(ticket_id):
            return False
        ticket = self._registry.get(ticket_id)
        return has_forgotten(ticket, claim) or (ticket.token == claim.token and not self.is_held(ticket_id))

    def tell(self, ticket_id: str, news: News) -> None:
        """Passes the news on to the claims of the upload, in any process."""
        self._news.tell(ticket_id, news)

    def stop(self) -> None:
        """Tells every client of this process that holds an upload that the server stops."""
        self.stopping = True
        for claim in self.holders():
            self._runtime.spawn(claim.listener, Interrupted(Stopping()))

    def mark_ended(self, claim: ClaimedUpload, has_lapsed: bool = False) -> None:
        """Marks a released claim as lost, so that later requests of its client are refused.

        `has_lapsed`: it was not used for too long. Its client has not left, and may resume.
        """
        why = ClaimLapsed() if has_lapsed else TakenOver()
        claim.lost = claim.lost or (Stopping() if self.stopping else why)

    def end_all(self, news: Ending) -> None:
        """Ends every claim of this process, and tells its client the news."""
        for live in list(self._live.values()):
            if live.holder:
                self.hand_to(live, None, news)

    def is_held(self, ticket_id: str) -> bool:
        """Returns whether a claim of any process holds the upload."""
        return self._leases.holder(ticket_id) is not None

    def is_in_use(self, ticket_id: str) -> bool:
        """Returns whether a claim holds the upload, or is about to."""
        return self.is_held(ticket_id) or self.has_pending_claim(ticket_id)

    def use(self, claim: ClaimedUpload) -> None:
        """Renews the lease of a claim that is used, if it has a deadline. Raises why the claim was lost."""
        self._check(claim)
        if claim.lease_s is not None:
            self.renew(claim, claim.lease_s)
            claim.renewed_at_s = self._clock.now_s()

    def use_often(self, claim: ClaimedUpload) -> None:
        """Like `use`, for what happens with each chunk.

        Where chunks are stored later, and maybe on another machine, the lease is renewed only now and again:
        nothing of a claim that was lost becomes durable there, since each record names its token.
        """
        self._check(claim)
        if claim.lease_s is None:
            return
        age_s = self._clock.now_s() - claim.renewed_at_s
        if not claim.stores_later or age_s * RENEWALS_A_LEASE >= claim.lease_s:
            self.use(claim)

    def _check(self, claim: ClaimedUpload) -> None:
        """Raises why the claim was lost. One that has lapsed was taken over if another one came since."""
        if isinstance(claim.lost, ClaimLapsed) and not self._is_newest(claim):
            claim.lost = TakenOver()
        claim.check()

    def is_sending(self, ticket_id: str) -> bool:
        """Returns whether bytes of the client that holds the upload are coming into this process."""
        live = self._live.get(ticket_id)
        return live is not None and live.holder is not None and live.holder.is_sending()

    def moved(self, ticket_id: str, live: LiveUpload, now_s: float) -> None:
        """Bytes of this upload were stored."""
        live.moved_at_s = now_s
        self._moved.add(ticket_id)

    def take_moved(self) -> dict[str, int]:
        """Returns the offset of each upload that has moved since this was last asked, and is still open."""
        moved, self._moved = self._moved, set()
        live = ((ticket_id, self._live.get(ticket_id)) for ticket_id in moved)
        return {ticket_id: one.writer.durable_offset for ticket_id, one in live if one and one.writer}

    def offset(self, ticket: Ticket) -> int | None:
        """Returns how many bytes are stored of an upload whose file is open; None for any other one.

        The open file of a claim that is not the newest one says nothing: another process has the upload.
        """
        live = self._live.get(ticket.id)
        if live is None or live.writer is None or (live.holder and live.holder.token != ticket.token):
            return None
        return live.writer.durable_offset

    def offsets_of(self, ticket_ids: Iterable[str]) -> list[int | None]:
        """Returns `offset` for each of these uploads."""
        found = map(self._live.get, ticket_ids)
        return [live.writer.durable_offset if live and live.writer else None for live in found]

    def moved_at_s(self, ticket_id: str) -> float | None:
        """Returns when bytes of an open upload were last stored; None when none were yet."""
        live = self._live.get(ticket_id)
        return live.moved_at_s if live else None

    def offsets(self) -> dict[str, int]:
        """Returns how many bytes are stored of each upload whose file is open."""
        return {key: live.writer.durable_offset for key, live in self._live.items() if live.writer}

    def holders(self) -> list[ClaimedUpload]:
        """Returns the claims of this process that hold an upload."""
        return [live.holder for live in self._live.values() if live.holder]

    def count(self) -> int:
        """Returns how many uploads are held by a client of this process, or have an open file here."""
        return len(self._live)
