"""The outbox: calls apps about their uploads until each has answered.

The journal has the reason for a call first (HANDING_OVER, CANCELLED, EXPIRED). So after a kill at any moment
the next process makes the same call. An app may get a call twice, and it misses none. A ticket has one call
at a time, in all processes: the one that has the lease of its delivery makes it, and repeats it.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from incoming.core.errors import HandoverFailed, StorageFailed, StorageFull, UnknownTicket
from incoming.core.file_name import bare_file_name
from incoming.core.folder_arrival import FolderArrival
from incoming.core.lifecycle import CALLED_OFF, Confirm, Lapse, Post, Refuse, State, Told, Wait
from incoming.core.news import HandedOver, News, NotHandedOver, WaitingForApp
from incoming.core.object_address import ObjectAddress
from incoming.core.ticket import IllegalTransition, Ticket, short_id
from incoming.handover import answers, callbacks
from incoming.handover.http_client import HttpClient
from incoming.registry import DELIVERY_LEASE
from incoming.uploads.context import UploadContext
from incoming.uploads.deletion import Deletion
from incoming.uploads.power_cut_check import UnsyncedFiles
from incoming.uploads.refusals import Kind, Refusals
from incoming.uploads.remote_delivery_failures import RemoteDeliveryFailures
from incoming.uploads.work_leases import WorkLeases

log = logging.getLogger(__name__)

REFUSED_TEXT = "The app did not accept the file"
SPOILT_TEXT = "a power cut destroyed some of its bytes"
GONE_TEXT = "its files are gone"
SIGNATURE: Final = re.compile(
    r"([?&](?:X-Amz-)?(?:Signature|Credential|Security-Token)=)[^&\s]+", re.IGNORECASE
)
"""What makes the URL of an object a secret. An app may repeat the URL in its answer."""
LOGGED_CHARS: Final = 200
"""How much of an app's answer the log shows."""


class Outbox:
    """Calls apps. `tell` passes an app's decision on to the client that waits for it."""

    def __init__(
        self,
        context: UploadContext,
        tell: Callable[[str, News], None],
        deletion: Deletion,
        unsynced: UnsyncedFiles,
        refusals: Refusals,
    ) -> None:
        self._callbacks = context.callbacks
        self._counters = context.counters
        self._deletion = deletion
        self._unsynced = unsynced
        self._refusals = refusals
        self._settings = context.settings
        self._runtime = context.runtime
        self._clock = context.clock
        self._registry = context.registry
        self._storages = context.storages
        self._tell = tell
        self._client = HttpClient(
            context.settings.handover_connect_timeout_s,
            context.settings.handover_answer_timeout_s,
            context.runtime,
            context.settings.handover_refused,
            context.settings.handover_ca_file,
        )
        self._leases = WorkLeases(context, DELIVERY_LEASE)
        self._under_way: set[str] = set()
        self._last_failures: dict[str, answers.NoAnswer] = {}
        self._remote_failures = RemoteDeliveryFailures(
            2 * self._settings.handover_retry_max_s + self._settings.handover_answer_timeout_s
        )
        context.news.listen_to_others(self._hear_others)
        self._put_off: set[str] = set()
        """The uploads whose calls have failed here, and are started again later."""
        self._stopped = False

    def start(self, ticket_id: str) -> None:
        """Calls the app about its ticket, in the background. Does nothing while that is under way."""
        if ticket_id not in self._under_way and not self._stopped:
            self._put_off.discard(ticket_id)
            self._under_way.add(ticket_id)
            self._runtime.spawn(self._deliver, ticket_id)

    def is_missing(self, ticket: Ticket) -> bool:
        """Returns whether an app is still to be told of this ticket, and nothing is about to tell it."""
        is_cared_for = ticket.id in self._under_way or ticket.id in self._put_off
        return ticket.is_undelivered and not is_cared_for and not self._stopped

    def stop(self) -> None:
        """Makes no more calls. The next process makes those that are left."""
        self._stopped = True

    def finish(self, ticket: Ticket) -> None:
        """Notes that the app has the file, tells the client, and deletes what is ours to delete."""
        finished = self._registry.change(ticket.id, Confirm(self._deletion.is_noted(ticket)))
        log.info("upload %(ticket)s: finished", finished.for_log())
        self._tell(ticket.id, HandedOver(finished.crc32c or 0))
        self._deletion.after_end(finished)

    def lapse(self, ticket: Ticket) -> None:
        """Acts when an app has said "wait" and has not called `finish_upload` in time.

        It finishes the upload if the app has moved the file. Otherwise it asks again, or lets it fail.

        Raises IllegalTransition when the ticket has changed.
        """
        if self._app_has_taken(ticket):
            self.finish(ticket)
            return
        final = ticket.asks + 1 >= self._settings.handover_wait_asks
        self._fail(ticket, Lapse("the app never called finish_upload", final), seen=ticket)
        self.start(ticket.id)

    def last_failure(self, ticket_id: str) -> answers.NoAnswer | None:
        """Returns why the last call of this process for this ticket had no answer, while it is repeated.

        It has no details.
        """
        return self._last_failures.get(ticket_id)

    def why_no_answer(self, ticket_id: str, state: State) -> str:
        """Returns why the last call had no answer, for people, whichever server called.

        `state` is that of the ticket. The text is empty if the app is not late.
        """
        if failure := self.last_failure(ticket_id):
            return failure.why
        if state is not State.HANDING_OVER:
            return ""
        return self._remote_failures.last_reason(ticket_id, self._runtime.now_s())

    def _hear_others(self, ticket_id: str, news: News) -> None:
        self._remote_failures.note(ticket_id, news, self._runtime.now_s())

    # --- one delivery --------------------------------------------------------------------------

    def _deliver(self, ticket_id: str) -> None:
        """Calls the app until there is nothing more to tell."""
        attempt = 0
        try:
            while self._may_deliver(ticket_id):
                with self._slot(self._registry.get(ticket_id).signal_finish_url) as call:
                    if self._fails_as_spoilt(self._registry.get(ticket_id)):
                        return
                    ticket = self._registry.get(ticket_id)  # the wait may have been a long one
                    if not ticket.is_undelivered or not self._may_deliver(ticket_id):
                        return
                    try:
                        answer = self._call(ticket, call)
                    except StorageFailed:
                        if self._ends_as_gone(ticket):
                            return
                        raise
                attempt += 1
                if answer and self._answered(ticket_id, answer):
                    return
                self._runtime.sleep(self._delay_s(attempt, answer))
        except UnknownTicket:
            return
        except Exception as exc:
            # The disk is full or failing, or we have a defect: the news stays, and is brought later.
            defect = None if isinstance(exc, StorageFull | StorageFailed) else exc
            about = {"ticket": short_id(ticket_id), "error": exc}
            log.error("upload %(ticket)s: the app could not be notified: %(error)s", about, exc_info=defect)
            self._put_off.add(ticket_id)
            self._runtime.spawn_later(self._settings.handover_retry_max_s, self.start, ticket_id)
        finally:
            self._under_way.discard(ticket_id)
            self._last_failures.pop(ticket_id, None)
            self._leases.release(ticket_id)

    def _may_deliver(self, ticket_id: str) -> bool:
        """Returns whether this process may call the app: it has the lease. Raises StorageFailed."""
        return not self._stopped and self._leases.acquire(ticket_id)

    @contextlib.contextmanager
    def _slot(self, url: str) -> Iterator[Callable[[Ticket], answers.Answer]]:
        """Waits for a free slot among the calls to the app. Returns a function that calls it."""
        if url.startswith(callbacks.SCHEME):
            with self._callbacks.slots:
                yield self._call_back
        else:
            with self._client.slot(url) as slot:
                yield lambda ticket: slot.post(self._form(ticket))

    def _call_back(self, ticket: Ticket) -> answers.Answer:
        folder = self._folder(ticket)
        return self._callbacks.call(ticket, self._location(ticket), self.object_address(ticket), folder)

    def _folder(self, ticket: Ticket) -> FolderArrival | None:
        """Returns what the app is told of a folder that has arrived; None if it is a file, or has not."""
        folders = self._storages.folders_of(ticket)
        if folders is None or ticket.state in CALLED_OFF:
            return None
        return folders.arrival(ticket.id, ticket.destination)

    def _location(self, ticket: Ticket) -> str:
        return self._storages.of(ticket).location(ticket.id, ticket.destination)

    def object_address(self, ticket: Ticket) -> ObjectAddress | None:
        """Returns where the object of a ticket that has arrived is; None where there are no objects."""
        objects = self._storages.of(ticket).objects
        if objects is None or ticket.state in CALLED_OFF:
            return None
        return objects.address(ticket.id, ticket.destination)

    def _delay_s(self, attempt: int, answer: answers.Answer | None) -> float:
        first_s, max_s = self._settings.handover_retry_first_s, self._settings.handover_retry_max_s
        asked_s = answer.retry_after_s if isinstance(answer, answers.NoAnswer) else 0.0
        return answers.retry_delay_s(attempt, first_s, max_s, self._runtime.jitter(), asked_s)

    def _call(self, ticket: Ticket, call: Callable[[Ticket], answers.Answer]) -> answers.Answer | None:
        """Returns what the app says; None when it has called us while that was being journaled."""
        if ticket.state is State.HANDING_OVER:
            try:
                self._registry.change(ticket.id, Post())
            except IllegalTransition:
                return None
        answer = call(ticket)
        self._counters.called(answer.result, _failure_kind(answer))
        about = ticket.for_log(
            result=answer.result, trouble=_failure_kind(answer), answer=_words(answer, ticket)
        )
        log.info("upload %(ticket)s: notified the app of %(state)s, answer: %(answer)s", about)
        return answer

    def _form(self, ticket: Ticket) -> dict[str, str]:
        """Returns the form fields of the call, as docs/reference/api.md lists them."""
        called_off = ticket.state in CALLED_OFF
        extras = {} if ticket.crc32c is None else {"crc32c": f"{ticket.crc32c:08x}"}
        if ticket.sha256:
            extras["sha256"] = ticket.sha256
        if ticket.metadata:
            extras["metadata"] = ticket.metadata
        if ticket.upload_metadata:
            extras["uploadMetadata"] = ticket.upload_metadata
        if address := self.object_address(ticket):
            extras |= {"url": address.url, "bucket": address.bucket, "key": address.key}
            if not ticket.is_folder:  # the URL is that of a list
                extras["size"] = str(ticket.length_bytes)
        if ticket.is_folder:
            extras["destType"] = ticket.dest_type
        if folder := self._folder(ticket):
            extras |= {"files": str(folder.files), "filesBytes": str(folder.files_bytes)}
            extras |= {"leftOut": str(folder.left_out), "manifest": folder.manifest}
        return extras | {
            "id": ticket.id,
            "filename": "" if called_off else self._location(ticket),
            "filenameFromBrowser": ticket.name or bare_file_name(""),
            "secret": ticket.secret,
            "backendSecret": ticket.secret,
            "cancelled": "yes" if called_off else "no",
            "cancelReason": ticket.reason if called_off else "",
        }

    def _answered(self, ticket_id: str, answer: answers.Answer) -> bool:
        """Does what the answer asks for. Returns whether no further call is needed."""
        ticket = self._registry.get(ticket_id)
        if ticket.state in CALLED_OFF:
            return self._cancellation_answered(ticket, answer)
        # finish_upload may have come while the app was answering, and then the answer is only late.
        with contextlib.suppress(IllegalTransition):
            return self._arrival_answered(ticket, answer)
        return True

    def _cancellation_answered(self, ticket: Ticket, answer: answers.Answer) -> bool:
        """Any answer to a cancellation will do, but there has to be one."""
        if isinstance(answer, answers.NoAnswer) and not self._too_long(ticket):
            self._last_failures[ticket.id] = replace(answer, detail="")
            return False
        self._registry.change(ticket.id, Told())
        return True

    def _arrival_answered(self, ticket: Ticket, answer: answers.Answer) -> bool:
        match answer:
            case answers.Done():
                self.finish(ticket)
            case answers.WillFinish():
                self._registry.change(ticket.id, Wait())
            case answers.Refused():
                self._refused(ticket, Refuse(answer.why))
            case answers.NoAnswer():
                if not self._too_long(ticket):
                    self._last_failures[ticket.id] = replace(answer, detail="")
                    self._tell(ticket.id, WaitingForApp(answer.why))
                    return False
                self._refused(ticket, Lapse(answer.why))
        return True

    def _refused(self, ticket: Ticket, event: Refuse | Lapse) -> None:
        # Existing apps forget an id once they have answered, and that answer may have been lost.
        if ticket.deliveries > 1 and self._app_has_taken(ticket):
            self.finish(ticket)
        else:
            self._fail(ticket, event)

    def _fail(self, ticket: Ticket, event: Refuse | Lapse, seen: Ticket | None = None) -> None:
        changed = self._registry.change(ticket.id, event, seen=seen)
        if changed.state is State.FAILED:
            error = failure(changed)
            self._refusals.count(Kind.HANDOVER, error)
            log.error(
                "upload %(ticket)s: the handover failed: %(reason)s. "
                "The server keeps the file for %(kept_s).0f s; retry_upload tries again.",
                changed.for_log(kept_s=self._settings.failed_retention_s, code=error.code),
            )
            self._tell(ticket.id, NotHandedOver(error))

    def _app_has_taken(self, ticket: Ticket) -> bool:
        """Returns whether the app has moved its file away, as it may."""
        return self._app_may_take(ticket) and self._is_gone(ticket)

    def _app_may_take(self, ticket: Ticket) -> bool:
        """Returns whether a missing file may have been moved by its app."""
        return not ticket.remove_file_when_finished and ticket.id not in self._unsynced

    def _is_gone(self, ticket: Ticket) -> bool:
        pickup = self._storages.of(ticket).pickup
        return pickup is not None and pickup.is_taken(ticket.id)

    def _fails_as_spoilt(self, ticket: Ticket) -> bool:
        """Ends a handover whose file lost bytes in a power cut. Its app may have moved a missing one."""
        if ticket.state is not State.HANDING_OVER or not self._unsynced.is_damaged(ticket):
            return False
        with contextlib.suppress(IllegalTransition):  # finish_upload may have come meanwhile
            self._fail(ticket, Lapse(SPOILT_TEXT))
        return True

    def _ends_as_gone(self, ticket: Ticket) -> bool:
        """Ends the handover of a folder that is missing with its list: there is nothing to tell the app.

        An app that was called before may have moved all of it. `ticket` is as it was before this call.
        """
        if ticket.state is not State.HANDING_OVER or not ticket.is_folder or not self._is_gone(ticket):
            return False
        with contextlib.suppress(IllegalTransition):  # finish_upload may have come meanwhile
            if ticket.deliveries and self._app_may_take(ticket):
                self.finish(ticket)
            else:
                self._fail(ticket, Lapse(SPOILT_TEXT if ticket.id in self._unsynced else GONE_TEXT))
        return True

    def _too_long(self, ticket: Ticket) -> bool:
        return self._clock.now_s() - ticket.changed_at_s > self._settings.handover_retry_for_s


def failure(ticket: Ticket) -> HandoverFailed:
    """Returns what the client of a FAILED ticket is told."""
    return HandoverFailed(f"{REFUSED_TEXT}: {ticket.reason}. The server keeps the file for a while.")


def _failure_kind(answer: answers.Answer) -> str:
    """Returns the kind of a failed call; an empty text if the app answered."""
    return answer.kind if isinstance(answer, answers.Refused | answers.NoAnswer) else ""


def _words(answer: answers.Answer, ticket: Ticket) -> str:
    """Returns what the log says of an answer. Nothing of the ticket that is secret is in it."""
    if not isinstance(answer, answers.Refused | answers.NoAnswer):
        return answer.result
    if not answer.detail:
        return answer.why
    detail = answer.detail.replace(ticket.id, f"{ticket.short_id}...")
    detail = SIGNATURE.sub(r"\1***", detail)
    for secret in filter(None, (ticket.secret, ticket.metadata, ticket.upload_metadata)):
        detail = detail.replace(secret, "***")
    if len(detail) > LOGGED_CHARS:
        detail = f"{detail[:LOGGED_CHARS]}..."
    return f"{answer.why} ({detail})"
