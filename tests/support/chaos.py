"""A network gone mad: a TCP proxy that cuts, freezes, delays, throttles and spoils connections at random.

All of it comes from a seed: the same seed brings the same troubles, as far as the times of two machines
agree. What the two ends say is listened to on the way (`tests/support/tap.py`), before it is spoiled.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests.support.tap import Books, Frames, Tap

BLOCK_BYTES: Final = 16 * 1024
BUFFER_BYTES: Final = 64 * 1024
"""Small, so that what a sender has got rid of is not far from what has arrived."""
TEXT_BYTES: Final = 1000
"""A block of this size is hardly a piece of a chunk."""


@dataclass(frozen=True)
class Climate:
    """How bad it gets. Times are means of exponential distributions, weights are relative."""

    bytes_per_s: int = 4_000_000
    """The speed of a connection in each direction while all is well."""
    calm_s: float = 0.5
    trouble_s: float = 0.7
    weights: dict[str, float] = field(
        default_factory=lambda: {
            "cut": 3, "freeze": 2, "freeze for ever": 1, "freeze one way": 1, "slow": 2, "lag": 2,
        }
    )  # fmt: skip
    """Which troubles there are, and how often."""
    refused: float = 0.1
    """The share of connections that are reset as soon as they are there."""
    flip_every_bytes: int = 0
    """One bit is changed in so many bytes, on the mean, wherever it may be; 0: never."""
    flip_texts: float = 0.0
    """The share of small blocks in which a bit is changed: text messages, mostly."""


@dataclass
class Wire:
    """One direction of a connection."""

    frames: Frames
    bytes_per_s: int
    delay_s: float = 0.0
    runs: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.runs.set()


class ChaosProxy:
    """Passes connections on to `target_port` of this machine, badly; a context manager.

    `happened` counts the troubles, `books` what was sent. `calm()` ends the bad weather for good; only what
    is frozen for ever stays so.
    """

    def __init__(self, target_port: int, climate: Climate, seed: int) -> None:
        self.target_port = target_port
        self.climate = climate
        self.port = 0
        self.happened: Counter[str] = Counter()
        self.books = Books()
        self._chance = random.Random(seed)
        self._bytes_to_flip = self._next_flip()
        self._calm = False
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()

    @property
    def host(self) -> str:
        """`name:port`, as the library wants it."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> ChaosProxy:
        threading.Thread(target=self._run, daemon=True).start()
        assert self._listening.wait(60), "the proxy listens"
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def calm(self) -> None:
        """No more troubles from now on."""
        self._calm = True

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._listening.set()
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)  # handed down to connections
        listener.bind(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        await asyncio.start_server(self._serve, sock=listener, limit=BLOCK_BYTES)

    # --- one connection ------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes one connection on until one side ends it, or the weather does."""
        if not self._calm and self._chance.random() < self.climate.refused:
            self.happened["refused"] += 1
            return _reset(writer)
        try:
            target = await asyncio.open_connection("127.0.0.1", self.target_port, limit=BLOCK_BYTES)
        except OSError:
            return _reset(writer)
        tap = Tap(self.books)
        speed = self.climate.bytes_per_s
        wires = Wire(tap.up, speed), Wire(tap.down, speed)
        pumps = (
            asyncio.create_task(self._pump(reader, target[1], wires[0])),
            asyncio.create_task(self._pump(target[0], writer, wires[1])),
        )
        weather = asyncio.create_task(self._weather(*wires))
        try:
            await asyncio.wait((*pumps, weather), return_when=asyncio.FIRST_COMPLETED)
            if not weather.done():  # one side has ended: let the last words of the other through
                await asyncio.wait(pumps, timeout=1.0)
        finally:
            for task in (*pumps, weather):
                task.cancel()
            _reset(writer)
            _reset(target[1])

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, wire: Wire) -> None:
        """Passes bytes on until the source ends, as fast and as true as the wire is at the moment."""
        sink.transport.set_write_buffer_limits(BUFFER_BYTES)
        with contextlib.suppress(OSError):
            while True:
                await wire.runs.wait()
                block = await source.read(BLOCK_BYTES)
                await wire.runs.wait()
                if not block:
                    return sink.close()
                wire.frames.feed(block)
                if wire.delay_s:
                    await asyncio.sleep(wire.delay_s)
                if not self._calm:
                    await asyncio.sleep(len(block) / wire.bytes_per_s)
                sink.write(self._spoil(block))
                await sink.drain()

    def _next_flip(self) -> float:
        every = self.climate.flip_every_bytes
        return self._chance.expovariate(1 / every) if every else float("inf")

    def _spoil(self, block: bytes) -> bytes:
        """Returns the block, now and then with one bit changed."""
        self._bytes_to_flip -= len(block)
        is_text = len(block) < TEXT_BYTES and self._chance.random() < self.climate.flip_texts
        if self._calm or (self._bytes_to_flip > 0 and not is_text):
            return block
        self._bytes_to_flip = self._next_flip()
        self.happened["flip in a text" if is_text else "flip"] += 1
        at = self._chance.randrange(len(block))
        return block[:at] + bytes([block[at] ^ 1 << self._chance.randrange(8)]) + block[at + 1 :]

    # --- the weather -----------------------------------------------------------------------------------

    async def _weather(self, up: Wire, down: Wire) -> None:
        """One trouble after the other; returns when the connection is to be cut."""
        names, weights = list(self.climate.weights), list(self.climate.weights.values())
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / self.climate.calm_s))
            if self._calm or not names:
                await asyncio.Event().wait()
            (name,) = self._chance.choices(names, weights)
            self.happened[name] += 1
            if name == "cut":
                return
            self._begin(name, up, down)
            if name == "freeze for ever":
                await asyncio.Event().wait()
            await asyncio.sleep(self._chance.expovariate(1 / self.climate.trouble_s))
            for wire in (up, down):
                wire.runs.set()
                wire.bytes_per_s, wire.delay_s = self.climate.bytes_per_s, 0.0

    def _begin(self, name: str, up: Wire, down: Wire) -> None:
        wires = [self._chance.choice([up, down])] if name == "freeze one way" else [up, down]
        for wire in wires:
            if name.startswith("freeze"):
                wire.runs.clear()
            elif name == "slow":
                wire.bytes_per_s = self._chance.randint(50_000, 500_000)
            else:
                wire.delay_s = self._chance.uniform(0.01, 0.2)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection as a dying network does: no close frame, no goodbye."""
    with contextlib.suppress(OSError):
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
