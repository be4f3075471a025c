"""Damaged chunks (docs/reference/protocol.md): never stored, and requested again in a new round."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.integration.v2.conftest import CHUNK, MAX_DAMAGED, NewClient, flip
from tests.support.app import ScriptedApp
from tests.support.client_v2 import CHUNK_HEADER, ClientV2
from tests.support.server import RunningServer

Damage = Callable[[bytes], bytes]
DAMAGE: dict[str, Damage] = {
    "first byte of the file's": lambda message: flip(message, 16),
    "last byte of the file's": lambda message: flip(message, len(message) - 1),
    "a byte in the middle": lambda message: flip(message, len(message) // 2),
    "the checksum": lambda message: flip(message, 8),
    "an offset far ahead": lambda message: flip(message, 0),
    "an offset a little ahead": lambda message: flip(message, 7),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_chunk_is_asked_for_again_and_not_stored(
    server: RunningServer, new_client: NewClient, app: ScriptedApp, damage: Damage
) -> None:
    client = new_client(6 * CHUNK).open()
    client.send_until_stored(2 * CHUNK)
    client.send_instead(damage(client.chunk(2 * CHUNK, CHUNK)))
    assert client.receive_next().data == {"Offset": 2 * CHUNK, "Round": 1}
    assert server.stored_file(client.ticket_id).stat().st_size == 2 * CHUNK
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_what_was_under_way_behind_a_damaged_chunk_is_dropped(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(8 * CHUNK).open()
    client.send_chunk()
    client.send_instead(flip(client.chunk(CHUNK, CHUNK), 100))
    for _ in range(4):
        client.send_chunk()
    client.send_message("MsgPing")
    said = [client.receive_next()]
    while said[-1].type != "MsgPong":
        said.append(client.receive_next())
    assert [m.type for m in said] == ["MsgStored", "MsgResend", "MsgPong"]
    assert server.stored_file(client.ticket_id).stat().st_size == CHUNK
    client.finish()
    assert client.resent_at == [CHUNK]
    assert app.deliveries[0].sha256 == client.data.sha256


def test_sound_chunks_of_an_old_round_are_dropped_even_where_the_server_stands(new_client: NewClient) -> None:
    client = new_client(8 * CHUNK).open()
    stale = client.chunk(0, CHUNK)
    client.send_instead(flip(stale, 100))
    client.receive_next()
    client.ws.send_binary(stale)
    client.ping()
    assert client.stored_bytes == 0
    client.send_chunk(1000)
    assert client.expect("MsgStored")["Offset"] == 1000


def test_after_a_damaged_chunk_the_client_continues_with_other_sizes(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(8 * CHUNK).open()
    client.send_instead(flip(client.chunk(0, CHUNK), 500))
    client.send_chunk()
    client.receive_next()
    for size in (1, 1000, CHUNK - 1001, CHUNK):
        client.send_chunk(size)
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_a_chunk_that_was_stored_already_is_acknowledged_again_and_not_stored_again(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(6 * CHUNK).open()
    client.send_until_stored(3 * CHUNK)
    for message in (client.chunk(0, CHUNK), client.chunk(2 * CHUNK, CHUNK), client.chunk(3 * CHUNK - 1, 9)):
        client.ws.send_binary(message)
        assert client.expect("MsgStored")["Offset"] == 3 * CHUNK
    with server.stored_file(client.ticket_id).open("rb") as file:
        assert file.read() == client.data.read(0, 3 * CHUNK)
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_a_chunk_of_other_bytes_at_a_stored_place_changes_nothing(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(4 * CHUNK).open()
    client.send_until_stored(2 * CHUNK)
    client.ws.send_binary(new_client(4 * CHUNK).chunk(0, CHUNK))
    assert client.expect("MsgStored")["Offset"] == 2 * CHUNK
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_a_gap_counts_as_damage(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(6 * CHUNK).open()
    client.send_until_stored(CHUNK)
    client.ws.send_binary(client.chunk(3 * CHUNK, CHUNK))
    assert client.receive_next().data == {"Offset": CHUNK, "Round": 1}
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_after_eight_damaged_chunks_another_connection_may_do_better(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(4 * CHUNK).open()
    client.send_until_stored(CHUNK)
    for round_ in range(1, MAX_DAMAGED):
        client.send_instead(flip(client.chunk(CHUNK, CHUNK), 77))
        assert client.receive_next().data == {"Offset": CHUNK, "Round": round_}
    client.send_instead(flip(client.chunk(CHUNK, CHUNK), 77))
    refused = client.refusal()
    assert (refused.code, refused.retryable) == ("damaged", True)
    client.open()
    assert client.resumed_at[-1] == CHUNK
    client.send_instead(flip(client.chunk(CHUNK, CHUNK), 77))
    assert client.receive_next().data == {"Offset": CHUNK, "Round": 1}, "a new connection counts anew"
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_a_stored_chunk_between_damaged_ones_begins_the_count_anew(
    new_client: NewClient, app: ScriptedApp
) -> None:
    client = new_client(6 * CHUNK).open()
    for turn in range(4):
        for _ in range(MAX_DAMAGED - 1):
            client.send_instead(flip(client.chunk(turn * CHUNK, CHUNK), 77))
            client.receive_next()
        client.send_chunk()
        client.receive_until_stored()
    client.finish()
    assert len(client.resent_at) == 4 * (MAX_DAMAGED - 1)
    assert app.deliveries[0].sha256 == client.data.sha256


def test_dropped_chunks_do_not_count_as_damaged(new_client: NewClient) -> None:
    client = new_client(40 * CHUNK).open()
    client.send_instead(flip(client.chunk(0, CHUNK), 77))
    for _ in range(30):
        client.send_chunk()
    client.receive_next()
    client.finish()
    assert client.resent_at == [0]


@pytest.mark.parametrize("damaged_at", [4, 12, 15, 100])
def test_a_resent_chunk_that_is_damaged_again_is_asked_for_again(
    new_client: NewClient, app: ScriptedApp, damaged_at: int
) -> None:
    """At 12 to 15 its round is damaged: then the chunk behind it tells."""
    client = new_client(9 * CHUNK).open()
    for _ in range(3):
        client.send_instead(flip(client.chunk(0, CHUNK), damaged_at))
        for _ in range(3):
            client.send_chunk()
        client.receive_next()
    client.finish()
    assert client.resent_at == [0, 0, 0]
    assert app.deliveries[0].sha256 == client.data.sha256


# --- MsgComplete ---------------------------------------------------------------------------------------


def test_an_end_while_bytes_are_missing_asks_for_them(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(4 * CHUNK).open()
    client.send_until_stored(2 * CHUNK)
    client.complete()
    assert client.receive_next().data == {"Offset": 2 * CHUNK, "Round": 1}
    assert not app.deliveries
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


def test_an_end_of_an_old_round_is_ignored(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(4 * CHUNK).open()
    client.send_instead(flip(client.chunk(0, CHUNK), 77))
    client.complete(crc=0)  # it was on its way when the chunk was found to be damaged
    client.receive_next()
    client.ping()
    client.send_until_stored()
    client.send_message("MsgComplete", Crc32c=0, Round=0)
    client.ping()
    assert (client.resent_at, app.deliveries) == ([0], [])
    client.finish()
    assert app.deliveries[0].sha256 == client.data.sha256


@pytest.mark.parametrize("damaged_at", [15, 16])
def test_a_last_chunk_that_is_damaged_is_asked_for_again(
    new_client: NewClient, app: ScriptedApp, damaged_at: int
) -> None:
    """With a damaged round nothing behind it tells but the end."""
    client = new_client(CHUNK + 1).open()
    client.send_chunk()
    client.send_instead(flip(client.chunk(CHUNK, 1), damaged_at))
    client.complete()
    client.finish()
    assert client.resent_at == [CHUNK]
    assert app.deliveries[0].sha256 == client.data.sha256


def test_an_upload_whose_chunks_are_damaged_at_random_arrives_byte_for_byte(
    new_client: NewClient, app: ScriptedApp
) -> None:
    chance = random.Random(11)
    client = new_client(150 * CHUNK + 5).open()
    while client.stored_bytes < client.data.length_bytes:
        if client.sent_bytes < min(client.data.length_bytes, client.stored_bytes + 9 * CHUNK):
            _send_maybe_damaged(client, chance)
            if client.sent_bytes == client.data.length_bytes:
                client.complete()
        else:
            client.receive_next()
    client.finish()
    assert len(client.resent_at) > 5
    assert app.deliveries[0].sha256 == client.data.sha256


def _send_maybe_damaged(client: ClientV2, chance: random.Random) -> None:
    message = client.chunk(client.sent_bytes, CHUNK)
    if chance.random() < 0.1:
        at = chance.choice([chance.randrange(12), chance.randrange(CHUNK_HEADER.size, len(message))])
        message = flip(message, at)
    client.send_instead(message)
