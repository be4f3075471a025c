"""The service and a model of it, driven through the same random events; after each, all to be seen agrees.

Clients of both versions come, send, prove, pause, give up and are taken over; the app answers this and that,
takes files away, calls back early and late; time passes; the process dies at rest or in the middle of
something. Journal, registry and files are the real ones, and so is Redis. INCOMING_TEST_MODEL_STEPS says how
many events (250 unless set, and 100 with Redis).
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
import random
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Final

import gevent
from crc32c import crc32c
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from incoming.core.errors import IncomingError
from incoming.core.lifecycle import CALLED_OFF, RECEIVING, State
from incoming.core.news import Durable
from incoming.core.ticket import Ticket
from incoming.handover.answers import Answer, Done, NoAnswer, Refused, WillFinish
from incoming.registry import journal
from incoming.uploads.housekeeping import recover, sweep
from tests.support.fakes import FakeApp, FakeRuntime
from tests.support.instances import Crash, Instance, RedisWorld, World
from tests.support.model import HUGE_BYTES, Model, MTicket
from tests.support.redis_server import RedisServer
from tests.support.tally import tally
from tests.support.uploads import TIMES, Client, House, new_claim

STEPS: Final = int(os.environ.get("INCOMING_TEST_MODEL_STEPS", "250"))
STEPS_WITH_REDIS: Final = int(os.environ.get("INCOMING_TEST_MODEL_STEPS", "100"))
STEPS_AN_EXAMPLE: Final = 50
CONTENTS: Final = (b"", b"a", *(random.Random(n).randbytes(20) for n in range(2)))
HABITS: Final = ("done", "wait", "refuse", "silent", "take", "take_silent", "finish_first", "finish_and_fail")
"""What an app may do when it is called: `take` moves the file away, `silent` gives no answer that counts."""
DURATIONS_S: Final = (0.5, 1.0, 3.0, 9.0, 31.0, 51.0, 101.0, 201.0)
ANSWERS: Final[dict[str, Answer]] = {
    "refuse": Refused("no"),
    "finish_and_fail": Refused("it is finished already"),
    "wait": WillFinish(),
    "finish_first": WillFinish(),
}
MAX_TICKETS: Final = 5
SECRETS: Final = ("", "right")


class MortalRuntime(FakeRuntime):
    """A world in which the process can die before or after any call that touches the disk."""

    calls_to_live: int | None = None
    after = False
    dead = False

    def in_pool(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """See Runtime."""
        if self.dead:
            raise Crash
        if self.calls_to_live is None:
            return super().in_pool(function, *args, **kwargs)
        self.calls_to_live -= 1
        if self.calls_to_live >= 0:
            return super().in_pool(function, *args, **kwargs)
        if self.after:
            super().in_pool(function, *args, **kwargs)
        self.dead = True
        raise Crash

    def bury(self) -> None:
        """Ends all greenlets of the dead process; none of them reaches the disk any more."""
        self.dead = True
        for _ in range(10):
            gevent.idle()
        self._failures.clear()


class Uploading(RuleBasedStateMachine):
    """The service, its clients and its app; `model` says what is to be seen of them."""

    steps: ClassVar[int] = 0
    crashes: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.ids: list[str] = []
        self.clients: dict[int, Client] = {}
        self.number = 0
        self.house: House
        self.calls: dict[str, int] = {}
        self.app = FakeApp(self._answer)
        config = TIMES | {"reserve_ahead_mib": 0, "reservation_idle_s": 40.0}
        self.house = House(Path(self._folder.name), self.app, MortalRuntime(1000.0), **config)
        self.model = Model(self.house.settings)

    def teardown(self) -> None:
        """See RuleBasedStateMachine."""
        self._runtime.bury()
        self._folder.cleanup()

    @property
    def _runtime(self) -> MortalRuntime:
        assert isinstance(self.house.runtime, MortalRuntime)
        return self.house.runtime

    # --- what the app does -----------------------------------------------------------------------------

    def _answer(self, form: dict[str, str]) -> Answer:
        ticket_id, habit = form["id"], self.model.app
        self.calls[ticket_id] = self.calls.get(ticket_id, 0) + 1
        content = self._content(ticket_id)
        if form["cancelled"] == "yes":
            assert form["filename"] == ""
            assert content is None or self.house.state(ticket_id) in (State.CANCELLED, State.EXPIRED)
            return NoAnswer("down") if "silent" in habit else Done()
        if content is not None:
            assert int(form["crc32c"], 16) == crc32c(content)
        if habit in ("take", "take_silent"):
            self._take(ticket_id)
        if habit in ("finish_first", "finish_and_fail"):
            self.house.uploads.finish(ticket_id, form["secret"])
        return NoAnswer("down") if "silent" in habit else ANSWERS.get(habit, Done())

    def _content(self, ticket_id: str) -> bytes | None:
        """Returns what is stored of an upload; None if there is no file."""
        file = self.house.file(ticket_id)
        return file.read_bytes() if file.exists() else None

    def _take(self, ticket_id: str) -> None:
        """The app takes the file away."""
        self.house.file(ticket_id).unlink(missing_ok=True)

    # --- both, and then compared -------------------------------------------------------------------------

    def _really(self, event: str, *args: Any) -> object:
        """Has the service do it, and returns what it tells the caller."""
        try:
            told: object = getattr(self, f"_do_{event}")(*args)
        except IncomingError as exc:
            told = next(kind for kind in type(exc).__mro__ if "code" in vars(kind))
        self._runtime.settle()
        return told

    def _both(self, event: str, *args: Any) -> object:
        """Lets the event happen to both. Returns what they tell."""
        type(self).steps += 1
        self._go_to_where(event, args)
        told = self._really(event, *args)
        expected = getattr(self.model, event)(*args)
        assert told == expected, f"{event}{args}: {told}, not {expected}"
        self._compare()
        return told

    def _compare(self) -> None:
        """All that can be seen from outside, and what is on the disk."""
        assert self.model.now_s == self.house.context.clock.now_s()
        tickets = {t.id: t for t in self.house.context.registry.tickets()}
        assert set(tickets) == set(self.model.tickets)
        self.kept = self._kept()
        assert set(self.kept) == set(tickets)
        for ticket in self.model.tickets.values():
            self._compare_one(ticket)
        for number, client in self.model.clients.items():
            heard = [one for one in self.clients[number].news if not isinstance(one, Durable)]
            news = [type(one).__name__ for one in heard]
            assert news == client.news, (number, news, client)
        self._compare_room()

    def _kept(self) -> dict[str, Ticket]:
        """Returns the tickets that would survive a kill."""
        return {ticket.id: ticket for ticket in journal.read(self.house.directory / "journal")}

    def _compare_room(self) -> None:
        assert self.house.uploads.admission.reserved_bytes() == self.model.reserved_bytes()

    def _compare_one(self, expected: MTicket) -> None:
        assert self._seen(expected.id) == _as_seen(expected), expected
        real = self.house.ticket(expected.id)
        kept = self.kept[real.id]
        assert kept == real.persisted() or kept.recovered(real.changed_at_s) == real.persisted()
        assert real.changed_at_s == expected.changed_at_s, (real, expected)
        assert real.deliveries == expected.deliveries
        assert self.calls.get(real.id, 0) == expected.calls, expected
        assert self.house.uploads.claims.is_held(real.id) == (expected.holder is not None)

    def _seen(self, ticket_id: str) -> tuple[object, ...]:
        """Returns what a ticket is, and what its file has."""
        real, content = self.house.ticket(ticket_id), self._content(ticket_id)
        if real.state in RECEIVING:
            content = content or b""
        elif content is None and real.state in ENDED:
            self._check_gone(ticket_id)
        told = real.app_told and real.state in (State.CANCELLED, State.EXPIRED)
        return real.state, real.length_bytes, content, real.needs_proof, real.asks, told

    def _check_gone(self, ticket_id: str) -> None:
        assert not self.house.file(ticket_id).parent.exists()

    # --- the app's backend -------------------------------------------------------------------------------

    @initialize()
    def first(self) -> None:
        """There is something to begin with."""
        self.issue("", True)

    @precondition(lambda self: len(self.model.tickets) < MAX_TICKETS)
    @rule(secret=st.sampled_from(SECRETS), remove=st.booleans())
    def issue(self, secret: str, remove: bool) -> None:
        """A new ticket."""
        params = {"removeFileWhenFinished": "true" if remove else "false"}
        ticket_id = self.house.new_ticket(**params, **({"backendSecret": secret} if secret else {}))
        self._runtime.settle()
        self.ids.append(ticket_id)
        self.model.issue(ticket_id, secret, remove)
        self._compare()

    @rule(which=st.integers(0, 9), secret=st.sampled_from([None, *SECRETS]),
          what=st.sampled_from(["finish", "cancel_by_app", "retry"]))  # fmt: skip
    def backend(self, which: int, secret: str | None, what: str) -> None:
        """The app calls one of its routes; mostly with the right secret."""
        self._both(what, *self._backend_args(which, secret))

    def _backend_args(self, which: int, secret: str | None) -> tuple[str, str]:
        ticket_id = self.ids[which % len(self.ids)]
        known = self.model.tickets.get(ticket_id)
        return ticket_id, known.secret if known and secret is None else secret or ""

    def _do_finish(self, ticket_id: str, secret: str) -> None:
        self.house.uploads.finish(ticket_id, secret)

    def _do_cancel_by_app(self, ticket_id: str, secret: str) -> None:
        self.house.uploads.cancel_by_app(ticket_id, secret)

    def _do_retry(self, ticket_id: str, secret: str) -> None:
        self.house.uploads.retry(ticket_id, secret)

    @rule(habit=st.sampled_from(HABITS))
    def app_changes(self, habit: str) -> None:
        """From now on the app answers like this."""
        self.model.app = habit

    # --- clients -----------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 9), content=st.sampled_from(CONTENTS), version=st.sampled_from([1, 2]),
          same=st.integers(0, 3), huge=st.integers(0, 20))  # fmt: skip
    def claim(self, which: int, content: bytes, version: int, same: int, huge: int) -> None:
        """A connection comes; mostly with a file of the right length."""
        self._both("claim", *self._claim_args(which, content, version, same, huge))

    def _claim_args(
        self, which: int, content: bytes, version: int, same: int, huge: int
    ) -> tuple[int, str, bytes, int, int]:
        ticket_id = self.ids[which % len(self.ids)]
        known = self.model.tickets.get(ticket_id)
        if same and known and known.length_bytes is not None:
            content = next((c for c in (content, *CONTENTS) if len(c) == known.length_bytes), content)
        self.number += 1
        return self.number, ticket_id, content, version, len(content) if huge else HUGE_BYTES

    def _do_claim(
        self, number: int, ticket_id: str, content: bytes, version: int, length_bytes: int
    ) -> object:
        client = self.clients[number] = Client()
        claimed = new_claim(length_bytes, "a.bin", proves=version > 1)
        claim = client.claim = self.house.uploads.claim(ticket_id, claimed, client.listener)
        return claim.offset_bytes, claim.compare, claim.ticket.state not in RECEIVING

    def _numbers(self, *, may_send: bool = False) -> list[int]:
        return [n for n, c in self.model.clients.items() if not may_send or self._may_send(n) or c.lost]

    def _may_send(self, number: int) -> bool:
        """What the session sees to: who may send, and that it is not more than is missing."""
        client = self.model.clients[number]
        ticket = self.model.tickets.get(client.ticket)
        return bool(ticket and ticket.state in RECEIVING and ticket.holder == number and client.proven)

    @precondition(lambda self: self._numbers())
    @rule(which=st.integers(0, 9), what=st.sampled_from(["prove", "release", "cancel_by_client", "complete"]))
    def client_does(self, which: int, what: str) -> None:
        """A client does something that is not sending."""
        number = self._numbers()[which % len(self._numbers())]
        if self._makes_sense(number, what):
            self._both(what, number)

    def _makes_sense(self, number: int, what: str) -> bool:
        client = self.model.clients[number]
        ticket = self.model.tickets.get(client.ticket)
        if client.lost or what in ("release", "cancel_by_client"):
            return what != "prove"
        if what == "prove":
            return bool(ticket and ticket.state in RECEIVING and not client.proven)
        return self._may_send(number) and ticket is not None and ticket.stored_bytes == ticket.length_bytes

    @precondition(lambda self: self._numbers(may_send=True))
    @rule(which=st.integers(0, 9), size_bytes=st.sampled_from([1, 7, 20]), then_complete=st.booleans())
    def send(self, which: int, size_bytes: int, then_complete: bool) -> None:
        """A client sends the next bytes of its file; having sent the last it mostly says so."""
        numbers = self._numbers(may_send=True)
        number = numbers[which % len(numbers)]
        client = self.model.clients[number]
        ticket = self.model.tickets.get(client.ticket)
        chunk = client.content[ticket.stored_bytes :][:size_bytes] if ticket else b"x"
        if chunk:
            self._both("write", number, chunk)
        if then_complete and self._makes_sense(number, "complete"):
            self._both("complete", number)

    def _do_write(self, number: int, chunk: bytes) -> None:
        self.house.uploads.write(self.clients[number].claim, memoryview(chunk))
        self.house.uploads.flush(self.clients[number].claim)

    def _do_prove(self, number: int) -> None:
        claim = self.clients[number].claim
        content = self.model.clients[number].content
        self.house.uploads.check_same(claim, tuple(crc32c(content[a:b]) for a, b in claim.compare))

    def _do_complete(self, number: int) -> None:
        client = self.model.clients[number]
        crc = crc32c(client.content) if client.version > 1 else None
        self.house.uploads.complete(self.clients[number].claim, crc)

    def _do_cancel_by_client(self, number: int) -> None:
        self.house.uploads.cancel_by_client(self.clients[number].claim, "changed my mind")

    def _do_release(self, number: int) -> None:
        self.house.uploads.release(self.clients[number].claim)

    # --- time, and the end of a process --------------------------------------------------------------------

    @rule(duration_s=st.sampled_from(DURATIONS_S), sweeps=st.integers(0, 3))
    def time_passes(self, duration_s: float, sweeps: int) -> None:
        """Apps are called again; and then, mostly, the house is swept."""
        type(self).steps += 1
        self._runtime.advance(duration_s)
        self.model.advance(duration_s)
        if sweeps:
            self._sweep()
            self.model.sweep()
        self._compare()

    def _sweep(self) -> None:
        sweep(self.house.uploads)
        self._runtime.settle()

    @rule()
    def crash(self) -> None:
        """kill -9, while nothing is under way."""
        type(self).steps += 1
        self._next_process()
        self.model.crash()
        self._compare()

    def _next_process(self) -> None:
        type(self).crashes += 1
        self._runtime.bury()
        self.house.journal.write_clock(self.house.context.clock.now_s())
        config = dataclasses.asdict(self.house.settings)
        self.house = House(self.house.directory, self.app, MortalRuntime(5.0), **config)
        self.clients.clear()
        recover(self.house.uploads)
        self._runtime.settle()
        # The first sweep runs beside the calls of the start, and may miss how they end. The next does not.
        self._sweep()

    @property
    def _mortal(self) -> MortalRuntime | Instance:
        """What can be told to die in the middle."""
        return self._runtime

    def _is_dead(self) -> bool:
        return self._runtime.dead

    def _go_to_where(self, event: str, args: tuple[Any, ...]) -> None:
        """Makes `house` the process that an event happens in."""

    @rule(data=st.data(), calls=st.integers(0, 6), after=st.booleans(),
          what=st.sampled_from(["finish", "cancel_by_app", "retry", "claim", "client_does"]))  # fmt: skip
    def crash_in_the_middle(self, data: st.DataObject, calls: int, after: bool, what: str) -> None:
        """kill -9 before or after one of the disk operations that an event leads to."""
        event, args = self._some_event(data, what)
        if not event:
            return
        type(self).steps += 1
        before, happened = copy.deepcopy(self.model), copy.deepcopy(self.model)
        getattr(happened, event)(*args)
        self._go_to_where(event, args)
        self._mortal.calls_to_live, self._mortal.after = calls, after
        with contextlib.suppress(Crash):
            self._really(event, *args)
        if not self._is_dead():
            before = happened  # it has not come so far
        self._next_process()
        before.crash()
        happened.crash()
        self._adopt(before, happened)
        self._compare()

    def _some_event(self, data: st.DataObject, what: str) -> tuple[str, tuple[Any, ...]]:
        which = data.draw(st.integers(0, 9))
        if what == "claim":
            content, version = data.draw(st.sampled_from(CONTENTS)), data.draw(st.sampled_from([1, 2]))
            return what, self._claim_args(which, content, version, 1, 1)
        if what != "client_does":
            return what, self._backend_args(which, None)
        numbers = self._numbers()
        number = numbers[which % len(numbers)] if numbers else 0
        for event in data.draw(st.permutations(["prove", "release", "cancel_by_client", "complete"])):
            if number and self._makes_sense(number, event):
                return event, (number,)
        return "", ()

    def _adopt(self, before: Model, happened: Model) -> None:
        """Each ticket is as if the event had happened, or had not; the app may be called once more."""
        assert set(before.tickets) == set(happened.tickets)
        for ticket_id, without in before.tickets.items():
            with_it = happened.tickets[ticket_id]
            seen = self._seen(ticket_id)
            assert seen in (_as_seen(without), _as_seen(with_it)), (seen, without, with_it)
            calls = self.calls.get(ticket_id, 0)
            assert self.model.tickets[ticket_id].calls <= calls <= max(with_it.calls, without.calls) + 1
            chosen = with_it if seen == _as_seen(with_it) else without
            real = self.house.ticket(ticket_id)
            chosen.calls, chosen.deliveries, chosen.changed_at_s = calls, real.deliveries, real.changed_at_s
            before.tickets[ticket_id] = chosen
        self.model.tickets = before.tickets
        self.model.clients.clear()
        self.model.now_s = before.now_s


ENDED: Final = (State.CANCELLED, State.EXPIRED, State.FINISHED)


def _as_seen(ticket: MTicket) -> tuple[object, ...]:
    """Returns what is to be seen of a ticket of the model."""
    file = (ticket.file or b"") if ticket.state in RECEIVING else ticket.file
    told = ticket.app_told and ticket.state in (State.CANCELLED, State.EXPIRED)
    return ticket.state, ticket.length_bytes, file, ticket.needs_proof, ticket.asks, told


# --- two instances -----------------------------------------------------------------------------------------


class SharedModel(Model):
    """The same with instances that share everything: what one leaves at its death the others take up.

    Their store takes what it gets, and apps can't take files out of it unseen.
    """

    orphaned: frozenset[str] = frozenset()
    """The tickets whose apps were called by the instance that has died."""

    def crash(self) -> None:
        """See Model. All clients lose their connections, since one proxy stands before the instances."""
        self.clients.clear()
        for ticket in self.tickets.values():
            ticket.holder = None
            if ticket.state is State.UPLOADING:
                self._move(ticket, State.PAUSED)
            if ticket.id in self.orphaned:
                ticket.attempt, ticket.calls_again_at_s = 0, None
        for ticket in self.tickets.values():
            if ticket.state is State.HANDING_OVER or ticket.state in CALLED_OFF:
                self._start_delivery(ticket)
        self.sweep()

    def _app_has_taken(self, ticket: MTicket) -> bool:
        return False


class TwoInstances(Uploading):
    """Two instances, whose clients and events go to one or the other. One dies now and then."""

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        self._folder = tempfile.TemporaryDirectory()
        self.ids, self.clients, self.number = [], {}, 0
        self.calls = {}
        self.app = FakeApp(self._answer)
        self.world = self._new_world(Path(self._folder.name), MortalRuntime(1000.0))
        self.instances = [Instance(self.world, self.app), Instance(self.world, self.app)]
        self.house = self.instances[0]
        self.kept_by_apps: set[str] = set()
        self.homes: dict[int, Instance] = {}
        """Where each client is connected."""
        self.model: SharedModel = SharedModel(self.world.settings)

    def _new_world(self, folder: Path, runtime: MortalRuntime) -> World:
        return World(folder, runtime=runtime)

    def _go_to_where(self, event: str, args: tuple[Any, ...]) -> None:
        if event in ("write", "prove", "complete", "cancel_by_client", "release"):
            self.house = self.homes[args[0]]
        else:
            self.house = self.instances[self.steps % 2]
        if event == "claim":
            self.homes[args[0]] = self.instances[self.steps % 2]
        if event == "prove":
            client = self.model.clients[args[0]]
            suspects = self.house.uploads._integrity.is_suspect
            self.model.tickets[client.ticket].suspect = suspects(client.ticket)

    def _claim_args(
        self, which: int, content: bytes, version: int, same: int, huge: int
    ) -> tuple[int, str, bytes, int, int]:
        return super()._claim_args(which, content, version, same, 1)  # the store has room for all

    def _content(self, ticket_id: str) -> bytes | None:
        return self.world.store.contents().get(ticket_id)

    def _check_gone(self, ticket_id: str) -> None:
        """There are no folders."""

    def _take(self, ticket_id: str) -> None:
        self.world.store.files.pop(ticket_id, None)

    def _compare_room(self) -> None:
        """There is room without limits. What an instance could not delete goes with its ticket."""
        ours = {ticket_id for ticket_id in self.world.store.files if ticket_id not in self.kept_by_apps}
        assert ours <= set(self.model.tickets)

    def _seen(self, ticket_id: str) -> tuple[object, ...]:
        seen, real = super()._seen(ticket_id), self.house.ticket(ticket_id)
        if real.state in ENDED and not real.file_is_ours:
            self.kept_by_apps.add(ticket_id)
        if real.state in ENDED and real.file_is_ours:
            return (*seen[:2], None, *seen[3:])
        return seen

    def _sweep(self) -> None:
        for instance in self.instances:
            sweep(instance.uploads)
            self._runtime.settle()

    @property
    def _mortal(self) -> Instance:
        assert isinstance(self.house, Instance)
        return self.house

    def _is_dead(self) -> bool:
        return self._mortal.is_dead

    def _next_process(self) -> None:
        """One instance dies, whatever it does, and another one comes in its place."""
        type(self).crashes += 1
        dead = self._mortal
        place = self.instances.index(dead)
        SharedModel.orphaned = frozenset(dead.uploads.outbox._under_way)
        dead.die()
        for number, client in self.clients.items():
            if self.homes[number] is not dead and hasattr(client, "claim"):
                self.homes[number].uploads.release(client.claim)
        self.clients.clear()
        self._runtime.settle()
        self.house = self.instances[place] = Instance(self.world, self.app)
        recover(self.house.uploads)
        self._runtime.settle()
        self._sweep()
        self._sweep()


class TwoInstancesOnRedis(TwoInstances):
    """The same with tickets and leases in a real Redis."""

    steps = crashes = 0
    redis: ClassVar[RedisServer]

    def _new_world(self, folder: Path, runtime: MortalRuntime) -> World:
        return RedisWorld(folder, self.redis, runtime=runtime)

    def _kept(self) -> dict[str, Ticket]:
        """See Uploading: Redis has all of them."""
        return {ticket.id: ticket.persisted() for ticket in self.world.registry.tickets()}

    def teardown(self) -> None:
        """See RuleBasedStateMachine."""
        assert isinstance(self.world, RedisWorld)
        self.world.close()
        super().teardown()


def test_two_instances_do_what_the_model_does() -> None:
    _run(TwoInstances)
    print(f"\n{TwoInstances.steps} events, {TwoInstances.crashes} of them deaths of an instance")


def test_two_instances_with_one_redis_do_what_the_model_does(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", "appendonly no") as TwoInstancesOnRedis.redis:
        _run(TwoInstancesOnRedis, STEPS_WITH_REDIS)
    machine = TwoInstancesOnRedis
    print(f"\n{machine.steps} events, {machine.crashes} of them deaths of an instance")
    what = "Random events of clients, app and clock at two servers with one Redis, and deaths of one of them"
    tally("fault", what, machine.steps, "the servers and their model agreed on everything")


def test_the_service_does_what_its_model_does() -> None:
    _run(Uploading)
    print(f"\n{Uploading.steps} events, {Uploading.crashes} of them crashes")
    what = "Random events of clients, app and clock, and crashes"
    tally("fault", what, Uploading.steps, "the server and its model agreed on everything")


def _run(machine: type[Uploading], steps: int = STEPS) -> None:
    config = settings(
        max_examples=max(steps // 40, 1),
        stateful_step_count=STEPS_AN_EXAMPLE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        # To shrink a failure takes minutes, so the time limit of the run would hide what failed.
        phases=[Phase.generate],
    )
    while machine.steps < steps:
        run_state_machine_as_test(machine, settings=config)
