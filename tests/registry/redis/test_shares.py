"""What the uploads of one address lack is counted over all processes, and ends with a process that dies."""

from __future__ import annotations

from typing import Final

import pytest

from incoming.registry.redis import scripts
from incoming.registry.redis.instances import LIFE_S
from incoming.registry.redis.shares import MAX_SHARES, RedisShares
from tests.registry.redis.conftest import NewProcess, Process
from tests.support.redis_server import RedisServer

SOURCE: Final = "203.0.113.5"
LIMIT: Final = 100
KEPT_FOR_S: Final = 60.0


class Shared:
    """A process, and what it counts."""

    def __init__(self, process: Process, name: str) -> None:
        self.process = process
        self.shares = RedisShares(process.connection, name, KEPT_FOR_S)

    def admit(self, upload_id: str, missing_bytes: int, source: str = SOURCE) -> bool:
        """See registry.Shares."""
        return self.shares.admit(source, upload_id, missing_bytes, LIMIT)


@pytest.fixture
def first(new_process: NewProcess) -> Shared:
    return Shared(new_process("first"), "first")


@pytest.fixture
def second(new_process: NewProcess) -> Shared:
    return Shared(new_process("second"), "second")


def test_uploads_of_one_address_share_a_limit_in_all_processes(first: Shared, second: Shared) -> None:
    assert first.admit("a", 60)
    assert not second.admit("b", 41)
    assert second.admit("b", 40)
    assert not first.admit("c", 1)
    assert first.admit("c", 100, source="2001:db8::/64")


def test_an_upload_that_another_process_takes_over_counts_once(first: Shared, second: Shared) -> None:
    assert first.admit("a", 90)
    assert second.admit("a", 90)
    assert first.admit("b", 10)
    first.shares.keep({"b": (SOURCE, 10)})
    assert not first.admit("c", 1), "the first process can't end what the second one counts"
    second.shares.keep({})
    assert first.admit("c", 90)


def test_what_has_come_in_counts_no_more(first: Shared, second: Shared) -> None:
    assert first.admit("a", 90)
    first.shares.keep({"a": (SOURCE, 30)})
    assert not second.admit("b", 71)
    assert second.admit("b", 70)
    first.shares.keep({})
    assert second.admit("c", 30)


def test_an_upload_counts_for_the_address_from_which_it_was_claimed_last(first: Shared) -> None:
    assert first.admit("a", 90)
    assert first.admit("a", 90, source="198.51.100.7")
    assert first.admit("b", 100)


def test_what_a_dead_process_has_counted_is_over(
    first: Shared, second: Shared, redis_server: RedisServer
) -> None:
    assert first.admit("a", 100)
    redis_server.client().hincrby(scripts.CLOCK, "ran_us", round((LIFE_S - 1) * 1_000_000))
    second.process.instances.beat()
    assert not second.admit("b", 1)
    redis_server.client().hincrby(scripts.CLOCK, "ran_us", 1_000_000)
    assert second.admit("b", 100)
    assert set(redis_server.client().hkeys(scripts.SHARE + SOURCE)) == {"b"}


def test_a_process_counts_its_own_uploads_also_while_it_passes_for_dead(
    first: Shared, redis_server: RedisServer
) -> None:
    redis_server.client().hincrby(scripts.CLOCK, "ran_us", round(2 * LIFE_S * 1_000_000))
    assert first.admit("a", 60)
    assert not first.admit("b", 41)


def test_many_uploads_are_kept_up_to_date(first: Shared, second: Shared) -> None:
    ids = [f"{number}" for number in range(2 * MAX_SHARES + 1)]
    for one in ids:
        assert first.shares.admit(SOURCE, one, 1, len(ids))
    assert not second.shares.admit(SOURCE, "another", 1, len(ids))
    first.shares.keep(dict.fromkeys(ids, (SOURCE, 0)))
    assert second.shares.admit(SOURCE, "another", len(ids), len(ids))


def test_nothing_stays_of_an_address_that_does_not_come_back(
    first: Shared, redis_server: RedisServer
) -> None:
    first.admit("a", 1)
    assert 0 < redis_server.client().ttl(scripts.SHARE + SOURCE) <= KEPT_FOR_S
