"""Starting again: with many tickets, with a damaged journal, and after a polite stop."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from incoming.core.ticket import Ticket
from incoming.registry.entries import encode, ticket_entry
from incoming.registry.records import encode_record
from tests.conftest import StartServer
from tests.support.app import DONE, Delivery, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.data import MIB, FileBytes
from tests.support.server import RunningServer, cancel_upload, cpu_s, multiply_tickets, new_upload
from tests.support.tally import tally
from tests.support.websocket import ConnectionClosed

TICKETS = int(os.environ.get("INCOMING_TEST_TICKETS", "10000"))
CPU_FACTOR = 6
"""A start takes less than so many times the CPU time that json.loads takes for all tickets in the same run. A
busy machine makes both slower."""
EMPTY_START_CPU_S = 2.0
"""What a start without tickets takes at most."""
START_LIMIT_S = 10.0 + TICKETS * 200e-6
STOP_LIMIT_S = 25.0
LONG_S = 120
"""Who waited for a timeout would be noticed, on a busy machine too."""
SERVICE_RESTART = 1012
UNKNOWN_TICKET = 11


def begun(server: RunningServer, app: ScriptedApp, seed: int, length_bytes: int = 20 * MIB) -> ClientV1:
    """Returns a client in the middle of its file."""
    client = ClientV1(server.url, new_upload(server, app.url), FileBytes(length_bytes, seed)).open()
    client.send_until_acked(length_bytes // 2)
    return client


def cpu_s_of_parsing(texts: list[bytes]) -> float:
    """Returns how much CPU time json.loads takes for all of these."""
    began_s = time.process_time()
    for text in texts:
        json.loads(text)
    return time.process_time() - began_s


# --- many tickets ------------------------------------------------------------------------------------


def test_a_start_with_many_tickets_takes_seconds(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(log_level="warning", chunk_size_kib=16, send_ahead=1)
    # Small ones: what they declare is counted against the disk, and there will be thousands.
    clients = [begun(server, app, seed, length_bytes=100_000) for seed in range(3)]
    finished = begun(server, app, 3, length_bytes=100_000)
    finished.upload()
    server.kill()
    multiply_tickets(server, [client.ticket_id for client in (*clients, finished)], TICKETS)
    parsing_s = cpu_s_of_parsing([encode(ticket) for ticket in server.journaled().values()])
    began_s = time.monotonic()
    server.start()
    took_s = time.monotonic() - began_s
    had_s, waited_s = cpu_s(server.pid)
    print(
        f"\na start with {TICKETS} tickets took {took_s:.2f} s, of which it waited {waited_s:.2f} s for a CPU"
    )
    print(f"it took {had_s:.2f} s of CPU time, and json.loads {parsing_s:.2f} s")
    assert had_s < EMPTY_START_CPU_S + CPU_FACTOR * parsing_s
    assert took_s - waited_s < START_LIMIT_S
    assert "damaged" not in server.log_text()
    for client in clients:
        client.upload()
        assert client.resumed_at[1] > 0
    finished.upload()  # hears the result again
    assert {d.sha256 for d in app.deliveries} == {c.data.sha256 for c in (*clients, finished)}
    assert len(server.journaled()) == TICKETS
    tally("fault", f"killed, and started with {TICKETS:,} tickets", 1, "all known again within seconds")


# --- a damaged journal -------------------------------------------------------------------------------


DAMAGE = {
    "zeros": bytes,
    "blank": lambda size: b" " * size,
    "garbage": lambda size: b"\xff\xfe\x00" * (size // 3) + b"\n",
    "another bit": None,
    "what stands elsewhere": lambda size: encode_record(
        0, ticket_entry(Ticket(str(UUID(int=5)), "http://localhost/"))
    ),
}


def spoil(server: RunningServer, ticket_id: str, damage: Callable[[int], bytes] | None) -> bytes:
    """Damages all lines of a ticket in the log; returns what is there then."""
    log = server.storage_dir / "journal" / "log"
    text = bytearray(log.read_bytes())
    for line in re.findall(rb"[0-9a-f]{8} \d+ %s .*\n" % ticket_id.encode(), bytes(text)):
        start = text.index(line)
        if damage:
            text[start : start + len(line)] = damage(len(line)).ljust(len(line))
        else:
            text[start + 100] ^= 4
    log.write_bytes(text)
    return bytes(text)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_in_the_journal_is_set_aside_and_reported_and_stops_nobody_else(
    start_server: StartServer, app: ScriptedApp, damage: Callable[[int], bytes] | None
) -> None:
    server = start_server()
    damaged, healthy = begun(server, app, 1), begun(server, app, 2)
    server.kill()
    spoilt = spoil(server, damaged.ticket_id, damage)
    server.start()
    healthy.upload()
    with pytest.raises(UploadEnded) as ended:
        damaged.connect().request()
    assert ended.value.code == UNKNOWN_TICKET
    set_aside = [file.read_bytes() for file in (server.storage_dir / "journal").glob("damaged/*")]
    assert set_aside == [spoilt]
    assert "damaged" in server.log_text()
    assert damaged.ticket_id not in server.log_text(), "a whole id is a secret"
    assert server.stored_file(damaged.ticket_id).exists(), "its bytes are not ours to throw away"
    tally("fault", "damage in the journal", 1, "set aside and reported; the other uploads resumed")


def test_a_line_that_a_kill_left_half_written_is_reported_and_costs_nothing(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server()
    client = begun(server, app, 1)
    server.kill()
    log = server.storage_dir / "journal" / "log"
    with log.open("ab") as file:
        file.write(log.read_bytes()[:40])
    log.with_name("log.new").write_bytes(log.read_bytes()[:40])
    server.start()
    assert "the journal is damaged" not in server.log_text()
    assert "the last line of the journal is incomplete" in server.log_text()
    client.upload()
    tally("fault", "a journal entry that a kill left half written", 1, "the one before it counted")


def test_a_journal_of_one_file_a_ticket_is_taken_up(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server()
    clients = [begun(server, app, seed) for seed in range(3)]
    server.kill()
    journal = server.storage_dir / "journal"
    for ticket in server.journaled().values():
        (journal / f"{ticket.id}.json").write_bytes(encode(ticket))
    (journal / "log").unlink()
    server.start()
    for client in clients:
        client.upload()
        assert client.resumed_at[1] > 0
    assert not list(journal.glob("*.json"))


def test_files_of_others_in_the_storage_are_not_touched(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server()
    client = begun(server, app, 1)
    foreign = [
        server.storage_dir / "data" / client.ticket_id / "notes.txt",
        server.storage_dir / "data" / "lost+found" / "x",
        server.storage_dir / "journal" / "README",
        server.storage_dir / "x.json",
    ]
    for file in foreign:
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
    server.restart()
    cancel_upload(server, client.ticket_id)
    begun(server, app, 2).upload()
    server.restart()
    assert [file.read_text() for file in foreign] == ["mine"] * len(foreign)


def test_a_link_in_place_of_a_stored_file_is_not_followed(
    start_server: StartServer, app: ScriptedApp, tmp_path: Path
) -> None:
    server = start_server()
    client = begun(server, app, 1)
    server.kill()
    victim = tmp_path / "victim"
    victim.write_bytes(b"not yours")
    stored = server.stored_file(client.ticket_id)
    stored.unlink()
    stored.symlink_to(victim)
    server.start()
    with pytest.raises((ConnectionClosed, UploadEnded, AssertionError)):
        client.open().send_until_acked()
    assert victim.read_bytes() == b"not yours"
    tally("attack", "a link planted in place of a stored file", 1, "not followed")


def test_a_second_server_is_refused_the_storage_of_the_first(start_server: StartServer) -> None:
    first = start_server()
    second = RunningServer(first.storage_dir)
    with pytest.raises(AssertionError, match="Another"):
        second.start()
    tally("fault", "a second server on the same storage", 1, "refused")


# --- a polite stop -----------------------------------------------------------------------------------


def test_a_stop_closes_clients_without_a_message_and_they_continue_after_the_restart(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(stop_timeout_s=LONG_S, connection_timeout_s=LONG_S)
    clients = [begun(server, app, seed) for seed in range(3)]
    for client in clients:
        client.receive_acks()
    closes: list[ConnectionClosed] = []
    threads = [threading.Thread(target=lambda c=c: closes.append(c.receive_close())) for c in clients]
    for thread in threads:
        thread.start()
    began_s = time.monotonic()
    assert server.terminate() == 0
    assert time.monotonic() - began_s < STOP_LIMIT_S
    for thread in threads:
        thread.join()
    assert [closed.code for closed in closes] == [SERVICE_RESTART] * 3
    server.start()
    for client in clients:
        acked_bytes = client.acked_bytes
        client.upload()
        assert client.resumed_at[1] == acked_bytes > 0
    assert {d.sha256 for d in app.deliveries} == {c.data.sha256 for c in clients}
    tally("fault", "stopped during uploads", len(clients), "resumed after the last acknowledged byte")


def test_a_stop_does_not_wait_for_clients_that_say_nothing(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(stop_timeout_s=1, connection_timeout_s=LONG_S)
    silent = begun(server, app, 1)
    began_s = time.monotonic()
    assert server.terminate() == 0
    assert time.monotonic() - began_s < STOP_LIMIT_S
    assert silent.ws.has_input


def test_a_stop_during_a_handover_leads_to_another_call(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(stop_timeout_s=0.5)
    let_go = threading.Event()

    def hang(_: Delivery) -> Reply:
        assert let_go.wait(60)
        return DONE

    app.answers = [hang, DONE]
    client = begun(server, app, 1)
    client.send_until_acked()
    app.wait_for(1)
    assert server.terminate() == 0
    let_go.set()
    server.start()
    client.upload()
    assert len(app.deliveries) == 2
    tally("fault", "stopped during a handover", 1, "handed over after the start")
