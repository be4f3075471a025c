"""Mixed uploads (`mixed_ways`) over several servers that share a Redis and a bucket.

A restart that a step asks for hits any part: a server, Redis or the S3 server is killed, or a server stands
still for a while. Others continue meanwhile, and so do the other uploads. Some servers that stand still have
a client with bytes of *another* file, which they read when they wake up. By then the upload has moved on.
"""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar, Final

from botocore.exceptions import BotoCoreError, ClientError

from tests.support.app import DONE
from tests.support.client_v2 import ClientV2, UploadRefused, checksum
from tests.support.cluster import Cluster, object_keys, unfinished_uploads
from tests.support.data import FileBytes
from tests.support.forked import show_greenlets
from tests.support.mixed_ways import (
    EVERY_LIFE,
    LOST,
    REFUSED,
    Canceller,
    Ending,
    ForgetfulApp,
    MixedUpload,
    Site,
    Told,
    Way,
)
from tests.support.redis_server import RedisServer
from tests.support.s3_server import S3Server
from tests.support.server import RunningServer, call_backend, retry_upload
from tests.support.waiting import wait_until

AFTERMATH_S: Final = 6.0
"""So long after a part is back, connections and calls may still fail because of its outage: a retry of a
writer waits up to 5 s."""
START_LIMIT_S: Final = 90.0
LEFT_LIMIT_S: Final = 60.0
KILL: Final = "kill -9 of a server"
TICKET_ID: Final = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
LOG_CHARS: Final = 60_000
"""So much of the log is shown of a server that hangs."""
KILLS: Final = {"server": 50, "freeze": 25, "Redis": 15, "S3": 10}
"""What a kill hits, and how often, in relation to the others."""


class Machines:
    """The cluster, Redis and the S3 server, and which of them are away at the moment."""

    def __init__(self, cluster: Cluster, redis: RedisServer, s3: S3Server, prefix: str) -> None:
        self.cluster, self.redis, self.s3, self.prefix = cluster, redis, s3, prefix
        self.counts: Counter[str] = Counter()
        self.returned_bytes: list[int] = []
        """How many acknowledged bytes each zombie with other bytes has cost."""
        self._history: list[tuple[str, list[float]]] = []
        self._away: set[object] = set()
        self._changed = threading.Condition()
        self._downs_s: list[list[float]] = []

    @property
    def lives(self) -> int:
        """How often an outage has begun, or was over, so far."""
        with self._changed:
            return len(self._downs_s) + sum(up_s < float("inf") for _, up_s in self._downs_s)

    @property
    def history(self) -> str:
        """What was away, and when, for the report."""
        with self._changed:
            return "\n".join(f"{down_s:.3f} to {up_s:.3f}: {what}" for what, (down_s, up_s) in self._history)

    def was_down(self, from_s: float, to_s: float) -> bool:
        """Returns whether anything was away, or just back, at a moment between these two."""
        with self._changed:
            return any(down_s <= to_s and up_s + AFTERMATH_S >= from_s for down_s, up_s in self._downs_s)

    def is_away(self, part: object) -> bool:
        """Returns whether an outage of this part has begun, and is not over."""
        with self._changed:
            return part in self._away

    def up(self) -> list[RunningServer]:
        """Returns the servers that run; never none."""
        with self._changed:
            return [server for server in self.cluster.servers if server not in self._away]

    @contextmanager
    def outage(self, part: object, what: str) -> Iterator[None]:
        """Within it a part may be away. Waits until it is there, and another server too."""

        def is_possible() -> bool:
            up = [server for server in self.cluster.servers if server not in self._away]
            return part not in self._away and (part not in up or len(up) > 1)

        with self._changed:
            assert self._changed.wait_for(is_possible, START_LIMIT_S), "an outage does not end"
            self._away.add(part)
            down = [time.monotonic(), float("inf")]
            self._downs_s.append(down)
            name = part.settings["instance"] if isinstance(part, RunningServer) else ""
            self._history.append((f"{what} {name}", down))
            self.counts[what] += 1
        try:
            yield
        finally:
            with self._changed:
                self._away.discard(part)
                down[1] = time.monotonic()
                self._changed.notify_all()

    def hit(self, server: RunningServer, chance: random.Random) -> None:
        """Lets something be away for a while: most often this server."""
        [what] = chance.choices(list(KILLS), list(KILLS.values()))
        away_s = chance.random() * 2
        if what == "Redis":
            self._restart(self.redis, "kill -9 of Redis", away_s)
        elif what == "S3":
            self._restart(self.s3, "kill -9 of the S3 server", away_s)
        elif what == "freeze":
            with self.outage(server, "a server freezes"), self.frozen(server):
                time.sleep(away_s)
        else:
            self.restart(server, kill=True)

    def _restart(self, part: RedisServer | S3Server, what: str, away_s: float) -> None:
        with self.outage(part, what):
            part.kill()
            time.sleep(away_s)
            part.start()

    def restart(self, server: RunningServer, *, kill: bool) -> None:
        """Ends a server, and starts it again."""
        with self.outage(server, KILL if kill else "a clean stop of a server"):
            if kill:
                server.kill()
            else:
                server.terminate()
            self.start(server)

    def start(self, server: RunningServer) -> None:
        """Starts a server as a process manager does: again and again, until it runs."""
        began_s = time.monotonic()
        while not server.runs:
            try:
                server.start()
            except AssertionError:
                if time.monotonic() > began_s + START_LIMIT_S or not self._was_store_away(began_s):
                    raise

    def _was_store_away(self, since_s: float) -> bool:
        """Returns whether Redis or the S3 server may have been away: then a server may refuse to start."""
        with self._changed:
            is_away = bool(self._away & {self.redis, self.s3})
        return is_away or self.was_down(since_s, float("inf"))

    @contextmanager
    def frozen(self, server: RunningServer) -> Iterator[None]:
        """Within it a server stands still, and wakes up at its end."""
        os.killpg(server.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(server.pid, signal.SIGCONT)

    def left(self) -> list[str]:
        """Returns what nobody needs any more when all uploads have ended."""
        below = f"{self.prefix}/"
        return object_keys(self.s3, below) + unfinished_uploads(self.s3, below)


class ClusterSite(Site):
    """The cluster as one upload, or the app, sees it: one of the servers, chosen anew for each step."""

    end_limit_s = 120.0
    reads_in_order = False  # there are several servers

    def __init__(self, machines: Machines, chance: random.Random) -> None:
        super().__init__(chance.choice(machines.up()))
        self.machines = machines
        self._chance = chance

    @property
    def lives(self) -> int:
        """See Site."""
        return self.machines.lives

    @property
    def life_of_late_requests(self) -> int:
        """See Site. A life ends with each outage of any part, which the server may outlive."""
        return EVERY_LIFE

    @property
    def life_of_lost_requests(self) -> int | None:
        """See Site. The server may only have stood still, and reads the request when it wakes up."""
        return EVERY_LIFE

    @property
    def is_ending(self) -> bool:
        """See Site."""
        return self.machines.is_away(self.server)

    def restart(self, *, kill: bool) -> None:
        """See Site. A kill may hit another part."""
        if kill:
            self.machines.hit(self.server, self._chance)
        else:
            self.machines.restart(self.server, kill=False)

    def was_down(self, from_s: float, to_s: float = float("inf")) -> bool:
        """See Site."""
        return self.machines.was_down(from_s, to_s)

    def wait_until_up(self) -> None:
        """Chooses a server. Does not wait."""
        self.server = self._chance.choice(self.machines.up())

    def has_bytes(self, ticket_id: str) -> bool:
        """See Site."""
        s3, prefix = self.machines.s3, self.machines.prefix
        own = f"{prefix}/{ticket_id}"
        rests = f"{prefix}/rest/{ticket_id}/"
        try:
            return bool(object_keys(s3, own) + object_keys(s3, rests) + unfinished_uploads(s3, own))
        except (BotoCoreError, ClientError):
            return True  # it is away: they may be there

    def new_ticket(self, app: ForgetfulApp) -> str:
        """Returns the id of a new ticket. A backend asks again while a server or Redis is away."""
        while True:
            self.wait_until_up()
            began_s = time.monotonic()
            with suppress(OSError):
                params = {"signalFinishURL": app.url, "storage": "s3"}
                answer = call_backend(self.server, "new_upload", **params)
                if answer.status_code == 200:
                    return answer.text
                assert answer.status_code >= 500, answer.text
                assert self.was_down(began_s), answer.text
            time.sleep(0.05)


class ClusterUpload(MixedUpload):
    """One upload over a cluster. A step may begin with a zombie."""

    excused_codes: ClassVar = MixedUpload.excused_codes | {"storage_failed", "bytes_lost"}
    site: ClusterSite
    zombies = 0
    """How often a server with other bytes has woken up, and what that has cost is not known."""

    def saw_offset(self, offset_bytes: int, told: Told | None = None) -> int:
        """See MixedUpload. A zombie's bytes may have taken the place of acknowledged ones: once for each."""
        kept_bytes = min(self.told.acked_bytes, max(self.length_bytes - self.told.withheld_bytes, 0))
        if self.zombies and offset_bytes < kept_bytes:
            self.note(f"a zombie has cost {self.told.acked_bytes - offset_bytes} bytes")
            self.site.machines.returned_bytes.append(self.told.acked_bytes - offset_bytes)
            self.zombies -= 1
            self.told.acked_bytes, self.told.expected = offset_bytes, None
        return super().saw_offset(offset_bytes, told)

    def note(self, text: str) -> None:
        """See MixedUpload. Says which server it is."""
        super().note(f"{self.site.server.settings['instance']}: {text}")

    def saw_error(self, code: str, since_s: float, told: Told | None = None) -> None:
        """See MixedUpload."""
        assert code != "bytes_lost" or self.zombies, "bytes are lost without a zombie"
        super().saw_error(code, since_s, told)

    def do(self, act: Callable[[], None], what: str) -> None:
        """See MixedUpload."""
        with self._patient():
            super().do(act, what)

    def cancel(self, by: Canceller, *, kill: bool) -> None:
        """See MixedUpload."""
        with self._patient():
            super().cancel(by, kill=kill)

    @contextmanager
    def _patient(self) -> Iterator[None]:
        """Within it a request may take longer than its client waits, while a part is away or starts."""
        began_s, server = time.monotonic(), self.site.server
        try:
            yield
        except TimeoutError as exc:
            self.note("timed out")
            self.is_begun = True
            if not self.site.was_down(began_s):
                show_greenlets(server)
                exc.add_note(f"{server.settings['instance']} hangs:\n{server.log_text()[-LOG_CHARS:]}")
                raise

    def step(self, way: Way, to_bytes: int, ending: Ending) -> None:
        """See MixedUpload."""
        if self.told.acked_bytes < self.length_bytes and self.chance.random() < 0.1:
            self.do(self._wake_a_zombie, "a zombie")
            if self.outcome:
                return
        super().step(way, to_bytes, ending)

    def _wake_a_zombie(self) -> None:
        """A server stands still, reads other bytes when it wakes up, and another server has the upload."""
        machines, old = self.site.machines, self.site.server
        delay_s = self.chance.random() * 2
        with machines.outage(old, "a zombie with other bytes"):
            other = FileBytes(self.length_bytes, self.data.seed + 1)
            impostor = ClientV2(old.url, self.ticket_id, other)
            if not self._begin(impostor):
                return
            is_taken_over = False
            os.killpg(old.pid, signal.SIGSTOP)
            try:
                impostor.ws.socket.settimeout(0.2)
                with suppress(*LOST):
                    while impostor.sent_bytes < self.length_bytes:
                        impostor.send_chunk()
                self.note(f"a zombie will read up to {impostor.sent_bytes}")
                self.kept.append(impostor.ws.socket)
                self.site.wait_until_up()
                client = ClientV2(self.site.server.url, self.ticket_id, self.data)
                is_taken_over = self._begin(client)
                if is_taken_over:
                    self.zombies += 1
                    waking = threading.Timer(delay_s, os.killpg, (old.pid, signal.SIGCONT))
                    waking.start()
                    try:
                        self._send_some(client)
                    finally:
                        waking.join()  # or others would ask a server that stands still and counts as up
                    time.sleep(0.1)
            finally:
                if not is_taken_over:
                    old.kill()
                    machines.start(old)

    def _begin(self, client: ClientV2) -> bool:
        """Claims the upload; its client says that its bytes are the same. Returns whether that was so."""
        client.may_be_cut = True
        began_s = time.monotonic()
        try:
            client.connect().request()
        except UploadRefused as exc:
            self.saw_error(exc.code, began_s)
            return False
        self.saw_offset(client.resumed_at[-1])
        client.agree([checksum(self.data, start, end) for start, end in client.conf["Compare"]])
        return not client.conf["Arrived"]

    def _send_some(self, client: ClientV2) -> None:
        """Sends a part of the file, and drops the connection."""
        began_s = time.monotonic()
        to_bytes = self.chance.choice(
            [self.length_bytes, self.chance.randint(client.sent_bytes, self.length_bytes)]
        )
        try:
            client.send_until_stored(to_bytes)
        except UploadRefused as exc:
            self.saw_error(exc.code, began_s)
        finally:
            self.told.acked_bytes = max(self.told.acked_bytes, client.stored_bytes)
            self.told.sent_bytes = max(self.told.sent_bytes, client.sent_bytes, to_bytes)
            client.drop()


def take_refused(machines: Machines, app: ForgetfulApp) -> int:
    """Has the app take the files that it has refused. Returns how many.

    Until then their objects stay, and after a kill also what is beside them.
    """
    taken = 0
    for ticket_id, script in list(app.scripts.items()):
        if REFUSED in script:
            app.scripts[ticket_id] = [DONE]
            answer = retry_upload(machines.up()[0], ticket_id)
            assert answer.status_code in {200, 412}, answer.text  # others were cancelled
            taken += answer.status_code == 200
    return taken


def check_nothing_is_left(machines: Machines) -> None:
    """Objects, remainder objects and multipart uploads are removed.

    A server may store an object, or a remainder, right after another one has finished the upload and deleted
    its files. It deletes that itself some seconds later. If it is killed before, it goes when the ticket is
    forgotten: the servers are started again with a short `result_retention_s`.
    """
    with suppress(AssertionError):
        wait_until(lambda: not machines.left(), "nothing is left", LEFT_LIMIT_S)
    late, kills = machines.left(), machines.counts[KILL]
    assert len(late) <= kills, late
    of_uploads = rf"{re.escape(machines.prefix)}/({TICKET_ID}|rest/{TICKET_ID}/[0-9a-f]+-\d+)"
    assert all(re.fullmatch(of_uploads, key) for key in late), late
    if late:
        print(f"{late} were stored late by servers that were killed then")
        for server in machines.cluster.servers:
            server.settings["result_retention_s"] = 1
            server.restart()
        try:
            wait_until(lambda: not machines.left(), "nothing is left", LEFT_LIMIT_S)
        except AssertionError as exc:
            exc.add_note(str(machines.left()))
            raise
