"""An emulated link: packets between two TUN devices, with a rate, a delay, jitter, loss and a bounded queue.

Many kernels have no netem, so this process is the wire. Run as a program it makes two TUN devices, says their
names, and tells what it carries as a JSON line 20 times a second. Each line of its standard input is how the
link is to be from now on; where that ends the link does, too:

    echo '{"rate_bit_per_s": 2e6, "delay_s": 0.025}' | python -m tests.net.link

Each direction is a clock that runs ahead: a packet leaves when all before it have left and its own bits are
out, and arrives a delay later. Timing is therefore exact on average even when this process is late: packets
then come in a small burst, as they do behind real interfaces, and the rate stays what it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import heapq
import json
import os
import random
import select
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Final

SAMPLE_S: Final = 0.05
READS_A_ROUND: Final = 32
"""So that packets that are due are not kept waiting by a flood of new ones."""
MAX_PACKET_BYTES: Final = 65536
TUNSETIFF: Final = 0x400454CA  # linux/if_tun.h
IFF_TUN: Final = 0x0001
IFF_NO_PI: Final = 0x1000


@dataclass(frozen=True)
class LinkSettings:
    """A link is the same in both directions; a round trip takes twice `delay_s`, and the jitter.

    `jitter_s` is the most that is added to the delay. It is drawn anew every `jitter_s`, so that packets come
    in clumps as over radio, and they stay in order unless `reorder` is set: then each packet draws its own.
    `mtu_bytes` near 64 KiB keeps a fast link cheap; a slow one needs 1500, as a packet takes its time.
    """

    rate_bit_per_s: float
    delay_s: float
    jitter_s: float = 0.0
    loss: float = 0.0
    mtu_bytes: int = 1500
    reorder: bool = False
    seed: int = 1

    @property
    def rtt_s(self) -> float:
        """The round trip without any queue and without jitter."""
        return 2 * self.delay_s

    @property
    def bytes_per_s(self) -> float:
        """The rate in bytes, headers included."""
        return self.rate_bit_per_s / 8

    @property
    def payload_bytes_per_s(self) -> float:
        """What TCP can carry at most: 20 bytes of each packet are IP, 32 are TCP with its timestamps."""
        return self.bytes_per_s * (self.mtu_bytes - 52) / self.mtu_bytes

    @property
    def queue_bytes(self) -> float:
        """Room for packets that wait to leave: what the link carries in a round trip, but at least in 100 ms.

        One such product is what a loss-based sender needs to keep a link busy; deeper queues add delay only.
        """
        return max(self.bytes_per_s * max(self.rtt_s, 0.1), 10 * self.mtu_bytes)


UNTOUCHED: Final = LinkSettings(rate_bit_per_s=1e9, delay_s=0.0)
"""What a link is before it has been told."""


@dataclass
class Sample:
    """What one direction did since the last sample; `queued_bytes` is the most that waited at a time."""

    at_s: float = 0.0
    carried_bytes: int = 0
    queued_bytes: float = 0.0
    dropped: int = 0
    lost: int = 0


@dataclass
class Direction:
    """The packets on their way to one end. Pure: time is an argument (s, on any clock that only grows)."""

    link: LinkSettings
    seed: int = 0
    sample: Sample = field(default_factory=Sample)

    def __post_init__(self) -> None:
        self.become(self.link)
        self._random = random.Random(f"{self.link.seed}/{self.seed}")
        self._under_way: list[tuple[float, int, bytes]] = []
        self._serial = 0
        self._busy_until_s = 0.0
        self._last_arrival_s = 0.0
        self._extra_s = 0.0
        self._extra_until_s = 0.0

    @property
    def next_at_s(self) -> float | None:
        """When the next packet arrives, None while there is none."""
        return self._under_way[0][0] if self._under_way else None

    def become(self, link: LinkSettings) -> None:
        """Makes it another link for what comes from now on. What it has taken in keeps its times."""
        self.link = link
        self._bytes_per_s, self._queue_bytes = link.bytes_per_s, link.queue_bytes  # asked for by each packet

    def _waiting_bytes(self, now_s: float) -> float:
        return max(0.0, self._busy_until_s - now_s) * self._bytes_per_s

    def accept(self, packet: bytes, now_s: float) -> None:
        """Takes a packet in: queued, dropped because the queue is full, or lost on the way."""
        waiting_bytes = self._waiting_bytes(now_s)
        if waiting_bytes + len(packet) > self._queue_bytes:
            self.sample.dropped += 1
            return
        self.sample.queued_bytes = max(self.sample.queued_bytes, waiting_bytes + len(packet))
        self._busy_until_s = max(now_s, self._busy_until_s) + len(packet) / self._bytes_per_s
        if self.link.loss and self._random.random() < self.link.loss:
            self.sample.lost += 1  # its time on the link is used up
            return
        self._serial += 1
        heapq.heappush(self._under_way, (self._arrival_s(), self._serial, packet))

    def _arrival_s(self) -> float:
        arrival_s = self._busy_until_s + self.link.delay_s + self._jitter_s()
        if not self.link.reorder:
            arrival_s = max(arrival_s, self._last_arrival_s)
            self._last_arrival_s = arrival_s
        return arrival_s

    def _jitter_s(self) -> float:
        if self.link.reorder or self._busy_until_s >= self._extra_until_s:
            self._extra_s = self._random.uniform(0, self.link.jitter_s)
            self._extra_until_s = self._busy_until_s + self.link.jitter_s
        return self._extra_s

    def due(self, now_s: float) -> Iterator[bytes]:
        """Yields the packets that have arrived by now, and forgets them."""
        while self._under_way and self._under_way[0][0] <= now_s:
            packet = heapq.heappop(self._under_way)[2]
            self.sample.carried_bytes += len(packet)
            yield packet

    def take_sample(self, now_s: float) -> Sample:
        """Returns what happened since the last call."""
        taken, self.sample = self.sample, Sample()
        taken.at_s = now_s
        return taken


def open_tun() -> tuple[int, str]:
    """Makes a TUN device in the present network namespace; returns its descriptor and its name."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    answer = fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH14x", b"link%d", IFF_TUN | IFF_NO_PI))
    return fd, answer[:16].rstrip(b"\0").decode()


class Wire:
    """Two devices and what flows between them."""

    def __init__(self, link: LinkSettings, a_fd: int, b_fd: int) -> None:
        """`a_fd` and `b_fd` are TUN devices; the samples of `up` are about what goes from b to a."""
        self.ends = (a_fd, b_fd)
        self.up, self.down = Direction(link, seed=0), Direction(link, seed=1)
        self._roads = ((b_fd, a_fd, self.up), (a_fd, b_fd, self.down))
        self._sample_at_s = 0.0

    def forward(self, control_fd: int) -> None:
        """Forwards packets until there is nothing more to come from `control_fd`."""
        watched = [*self.ends, control_fd]
        while True:
            ready, _, _ = select.select(watched, [], [], self._rest_s())
            if control_fd in ready and not self._obey(os.read(control_fd, MAX_PACKET_BYTES)):
                return
            for source_fd, sink_fd, direction in self._roads:
                if source_fd in ready:
                    read_packets(source_fd, direction)
                deliver(direction, sink_fd)
            self._tell()

    def _obey(self, lines: bytes) -> bool:
        """Becomes the link of the last line; returns False if there is none."""
        for line in lines.splitlines()[-1:]:
            for direction in (self.up, self.down):
                direction.become(LinkSettings(**json.loads(line)))
            say({"changed_at_s": time.monotonic()})
        return bool(lines)

    def _rest_s(self) -> float:
        """How long there is nothing to do. select takes microseconds; epoll rounds up to milliseconds."""
        times = [self._sample_at_s, *(at for _, _, d in self._roads if (at := d.next_at_s) is not None)]
        return max(0.0, min(times) - time.monotonic())

    def _tell(self) -> None:
        now_s = time.monotonic()
        if now_s < self._sample_at_s:
            return
        self._sample_at_s = now_s + SAMPLE_S
        samples = {"up": asdict(self.up.take_sample(now_s)), "down": asdict(self.down.take_sample(now_s))}
        say(samples)


def read_packets(source_fd: int, direction: Direction) -> None:
    """Takes in what waits at a device."""
    with contextlib.suppress(BlockingIOError):
        for _ in range(READS_A_ROUND):
            packet = os.read(source_fd, MAX_PACKET_BYTES)
            direction.accept(packet, time.monotonic())


def deliver(direction: Direction, sink_fd: int) -> None:
    """Hands over what has arrived."""
    packets = direction.due(time.monotonic())
    with contextlib.suppress(OSError):  # the device is down: a network loses such packets
        for packet in packets:
            os.write(sink_fd, packet)


def say(what: object) -> None:
    """Writes a JSON line that is not to be kept in a buffer."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Makes the devices and is the wire between them."""
    gc.disable()  # nothing here makes cycles, and a collection is a hiccup
    with contextlib.suppress(OSError):  # a wire does not get slower because the machine is busy
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    (a_fd, a_name), (b_fd, b_name) = open_tun(), open_tun()
    say({"devices": [a_name, b_name]})
    Wire(UNTOUCHED, a_fd, b_fd).forward(sys.stdin.fileno())


if __name__ == "__main__":
    main()
