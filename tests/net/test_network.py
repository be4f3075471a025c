"""The emulated link itself: what the other tests of this folder are measured on."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time

import pytest

from tests.net.bare import bare_tcp
from tests.net.link import LinkSettings
from tests.net.network import SERVER_ADDRESS, Network
from tests.support.waiting import wait_until

DATAGRAMS = 3000


def connect_s(network: Network) -> float:
    """Returns how long a connection from the client to the server takes: one round trip."""
    with network.server.inside():
        listener = socket.create_server((SERVER_ADDRESS, 0))
    with listener, network.client.inside():
        began_s = time.monotonic()
        with socket.create_connection(listener.getsockname(), timeout=10):
            return time.monotonic() - began_s


def test_a_round_trip_takes_twice_the_delay(network: Network) -> None:
    network.become(LinkSettings(rate_bit_per_s=1e8, delay_s=0.05))
    took_s = [connect_s(network) for _ in range(5)]

    def one_was_not_held_up() -> bool:
        took_s.append(connect_s(network))
        return min(took_s) < 0.11

    wait_until(one_was_not_held_up, "a round trip without a delay by the machine")
    assert min(took_s) >= 0.1


@pytest.mark.parametrize(("rate_bit_per_s", "mtu_bytes"), [(2e6, 1500), (2e8, 65535)])
def test_bare_tcp_gets_what_the_link_carries(network: Network, rate_bit_per_s: float, mtu_bytes: int) -> None:
    network.become(LinkSettings(rate_bit_per_s=rate_bit_per_s, delay_s=0.01, mtu_bytes=mtu_bytes))
    transfer, payload = bare_tcp(network, 3.0), network.link.payload_bytes_per_s
    assert transfer.bytes_per_s(0.0, 3.0) <= payload
    best = max(transfer.bytes_per_s(tenth / 10, tenth / 10 + 1.0) for tenth in range(10, 21))
    assert best > 0.9 * payload, "in a second in which the machine is not busy with something else"


def test_datagrams_are_lost_one_in_fifty_and_stay_in_order_in_spite_of_jitter(network: Network) -> None:
    network.become(LinkSettings(rate_bit_per_s=1e9, delay_s=0.01, jitter_s=0.01, loss=0.02))
    with network.server.inside():
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind((SERVER_ADDRESS, 0))
        receiver.settimeout(0.5)
    with network.client.inside():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    came: list[int] = []
    with receiver, sender, contextlib.suppress(TimeoutError):
        for first in range(0, DATAGRAMS, 100):
            for number in range(first, first + 100):
                sender.sendto(number.to_bytes(4, "big"), receiver.getsockname())
            while not came or came[-1] < first + 90:  # as many as buffers hold
                came.append(int.from_bytes(receiver.recv(100), "big"))
        while True:
            came.append(int.from_bytes(receiver.recv(100), "big"))
    assert all(earlier < later for earlier, later in itertools.pairwise(came))
    assert 0.007 < 1 - len(came) / DATAGRAMS < 0.033, "five standard deviations"


def test_nothing_but_the_link_is_reached_from_inside(network: Network) -> None:
    with network.client.inside(), pytest.raises(OSError, match="unreachable"):
        socket.create_connection(("192.0.2.1", 80), timeout=5)
