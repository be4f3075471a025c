"""`incoming doctor` against the server itself, what its findings mean, and `frontend/probe` that it asks."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from incoming.commands.doctor import WAY_VERDICTS, report
from incoming.commands.proxy_findings import (
    REMEDIES,
    Finding,
    Grade,
    Topic,
    judge_body_limit,
    judge_buffering,
    judge_interim,
    judge_slow_body,
    judge_timeout,
)
from incoming.http_uploads.proxy_probe import MAX_AT_ONCE, MAX_AT_ONCE_PER_SOURCE, MAX_BODY_BYTES
from incoming.protocol.rules import PREFIXES, PROBE_MAX_HOLD_S, PROBE_ROUTE
from tests.conftest import StartServer
from tests.support.doctor import examine, run_doctor
from tests.support.ports import free_port
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

TIMEOUT_S = 30
HELD = {Topic.TIMEOUT, Topic.SLOW_BODY}
"""What is left out without --hold."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("doctor") / "storage") as running:
        yield running


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


# --- the command ---------------------------------------------------------------------------------------


def test_without_a_proxy_all_is_well_and_nothing_is_stored(server: RunningServer) -> None:
    before = files(server.storage_dir)
    code, found = examine(server.url, "--hold", "1")
    assert code == 0
    notes = {topic for topic, one in found.items() if one["grade"] != "ok"}
    assert notes == {Topic.TLS, Topic.BACKEND}, found
    assert set(found) == set(Topic)
    assert files(server.storage_dir) == before
    assert "Traceback" not in server.log_text()


def test_hold_0_leaves_out_the_tests_of_timeouts(server: RunningServer) -> None:
    found = examine(server.url, "--hold", "0")[1]
    assert set(found) == set(Topic) - HELD


def test_the_report_names_each_topic_and_ends_with_a_verdict(server: RunningServer) -> None:
    done = run_doctor(server.url, "--hold", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"The path to {server.url}\n")
    assert all(f"  {topic} " in done.stdout for topic in set(Topic) - HELD)
    assert done.stdout.endswith("Uploads work well on this path.\n")


def test_an_address_without_a_server_is_exit_code_1() -> None:
    done = run_doctor(f"http://127.0.0.1:{free_port()}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not answer" in done.stderr and "Traceback" not in done.stderr


def test_a_malformed_address_is_exit_code_1() -> None:
    done = run_doctor("ftp://example.org")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1


class Stranger(BaseHTTPRequestHandler):
    """A server that is not ours: it redirects below /moved/, and answers 200 elsewhere."""

    def do_GET(self) -> None:
        """Answers."""
        moved = self.path.startswith("/moved/")
        self.send_response(302 if moved else 200)
        self.send_header("Content-Length", "0")
        if moved:
            self.send_header("Location", "https://example.org/\x1b[31m")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def stranger() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "sentence"),
    [("", "not as this version of Incoming!! does"), ("/moved", "redirects to https://")],
)
def test_another_server_is_exit_code_1(stranger: str, path: str, sentence: str) -> None:
    done = run_doctor(stranger + path)
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr and "\x1b" not in done.stderr


# --- what findings mean --------------------------------------------------------------------------------


@pytest.mark.parametrize(("last_byte_s", "grade"), [(1.0, Grade.OK), (0.8, Grade.OK), (0.1, Grade.CHANGE)])
def test_a_body_is_buffered_if_its_pause_does_not_reach_the_server(last_byte_s: float, grade: Grade) -> None:
    assert judge_buffering(Topic.BUFFERING, 0.0, last_byte_s, 1.0).grade is grade


def test_a_limit_is_told_by_what_passes_and_what_does_not() -> None:
    assert judge_body_limit(1 << 40, None, "").grade is Grade.OK
    found = judge_body_limit(1 << 20, 1 << 21, "HTTP 413")
    assert (found.grade, found.sentence) == (
        Grade.CHANGE, "A body of 1 MiB passes. One of 2 MiB is refused: HTTP 413.",
    )  # fmt: skip
    assert judge_body_limit(0, 1 << 16, "HTTP 413").sentence == "A body of 64 KiB is refused: HTTP 413."


def test_a_timeout_is_told_with_its_time() -> None:
    assert judge_timeout(30, 30.1, "").grade is Grade.OK
    found = judge_timeout(30, 5.2, "HTTP 504")
    assert (found.grade, "HTTP 504 after 5 s" in found.sentence) == (Grade.CHANGE, True)


def test_a_slow_body_is_told_with_its_pauses() -> None:
    assert judge_slow_body(30, 15, "").grade is Grade.OK
    found = judge_slow_body(30, 15, "HTTP 408")
    assert (found.grade, "with pauses of 15 s, fails: HTTP 408" in found.sentence) == (Grade.CHANGE, True)


@pytest.mark.parametrize(
    ("arguments", "grade"),
    [
        ((True, [103, 104], [], [], False), Grade.OK),
        ((True, [], [103, 104], [], True), Grade.NOTE),
        ((False, [], [103, 104], [], True), Grade.NOTE),
        ((True, [], [], [103, 104], True), Grade.NOTE),
        ((True, [], [], [104], False), Grade.CHANGE),
    ],
    ids=["pass", "are dropped", "HTTP/1.0", "break, proxy is seen", "break, proxy is not seen"],
)
def test_interim_answers_have_to_change_only_where_the_server_would_send_them_to_harm(
    arguments: tuple[bool, list[int], list[int], list[int], bool], grade: Grade
) -> None:
    assert judge_interim(*arguments).grade is grade


def test_each_proxy_has_a_line_for_each_topic_that_it_can_spoil() -> None:
    harmless = {(Topic.VERSION, "HAProxy")}
    for topic, lines in REMEDIES.items():
        can_spoil = {name for name in ("nginx", "HAProxy", "Apache") if (topic, name) not in harmless}
        assert set(lines) in (can_spoil, {"Incoming!!"}), topic


def test_the_report_has_lines_to_copy_that_are_not_broken() -> None:
    finding = judge_body_limit(1 << 20, 1 << 21, "HTTP 413")
    lines = list(report("The path to example.org:443", [finding], WAY_VERDICTS, 40))
    assert any(line.endswith("nginx:   client_max_body_size 0;") for line in lines)
    assert any(line.endswith("Apache:  LimitRequestBody 0") for line in lines)
    assert any(line.endswith("         </IfModule>") for line in lines)
    assert lines[-1].startswith("One thing has to change.")
    assert Finding(Topic.INTERIM, Grade.NOTE, "").remedies == {}


# --- the route -----------------------------------------------------------------------------------------


def address(server: RunningServer, query: str = "", prefix: str = PREFIXES[0]) -> str:
    return f"{server.url}{prefix}{PROBE_ROUTE}{query}"


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_probe_tells_what_reached_the_server(server: RunningServer, prefix: str) -> None:
    answer = requests.post(address(server, prefix=prefix), data=b"x" * 1000, timeout=TIMEOUT_S)
    seen = answer.json()
    assert (seen["http_version"], seen["method"], seen["coding"]) == ("HTTP/1.1", "POST", "length")
    assert (seen["received_bytes"], seen["shows_proxy"]) == (1000, False)
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_probe_repeats_nothing_that_it_was_sent(server: RunningServer) -> None:
    secret = "c0ffee-secret"
    headers = {"X-Forwarded-For": secret, "Cookie": secret, "X-Secret": secret}
    answer = requests.post(address(server, f"?x={secret}"), data=secret, headers=headers, timeout=TIMEOUT_S)
    assert answer.json()["shows_proxy"]
    assert secret not in answer.text + str(answer.headers) + server.log_text()


@pytest.mark.parametrize(
    "query",
    ["?hold=x", "?hold=-1", f"?hold={PROBE_MAX_HOLD_S + 1}", "?hold=1e9", "?hold=%00", "?interim=200"],
)
def test_a_malformed_query_is_refused(server: RunningServer, query: str) -> None:
    answer = requests.get(address(server, query), headers={"Accept": "application/json"}, timeout=TIMEOUT_S)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_parameter")


def test_an_unknown_method_is_refused(server: RunningServer) -> None:
    answer = requests.request("BREW", address(server), timeout=TIMEOUT_S)
    assert (answer.status_code, answer.headers["Incoming-Error"]) == (405, "method_not_allowed")


def test_an_endless_body_is_answered_and_not_read_to_its_end(server: RunningServer) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(3 * MAX_BODY_BYTES // 65536):
            yield bytes(65536)

    seen = requests.post(address(server), data=endless(), timeout=TIMEOUT_S).json()
    assert seen["coding"] == "chunked"
    assert seen["received_bytes"] <= MAX_BODY_BYTES + 65536


def test_more_requests_than_it_may_answer_at_once_are_refused(server: RunningServer) -> None:
    head = f"GET {PREFIXES[0]}{PROBE_ROUTE}?hold=3 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    refused: list[requests.Response] = []

    def is_refused() -> bool:
        answer = requests.get(address(server), timeout=TIMEOUT_S)
        refused.extend([answer] if answer.status_code != 200 else [])
        return bool(refused)

    with ExitStack() as stack:
        for _ in range(MAX_AT_ONCE):
            held = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S))
            held.sendall(head)
        wait_until(is_refused, "the probe is busy")
    assert (refused[0].status_code, refused[0].headers["Incoming-Error"]) == (503, "too_many")
    wait_until(lambda: requests.get(address(server), timeout=TIMEOUT_S).ok, "it answers again")


def test_one_address_leaves_requests_of_the_probe_to_others(start_server: StartServer) -> None:
    server = start_server(trusted_proxies="127.0.0.1")
    request_line = f"GET {PREFIXES[0]}{PROBE_ROUTE}?hold=60 HTTP/1.1"
    head = "\r\n".join((request_line, "Host: x", "X-Forwarded-For: 192.0.2.1", "", "")).encode()

    def status(source: str) -> int:
        headers = {"X-Forwarded-For": source}
        return requests.get(address(server), headers=headers, timeout=TIMEOUT_S).status_code

    with ExitStack() as stack:
        for _ in range(MAX_AT_ONCE_PER_SOURCE):
            held = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S))
            held.sendall(head)
        wait_until(lambda: status("192.0.2.1") == 503, "the address has its share")
        assert "too_many" in server.log_text()
        assert [status(source) for source in ("192.0.2.2", "2001:db8::1", "")] == [200, 200, 200]


def test_a_held_answer_does_not_delay_the_stop_of_the_server(start_server: StartServer) -> None:
    server = start_server()
    head = f"GET {PREFIXES[0]}{PROBE_ROUTE}?hold={PROBE_MAX_HOLD_S} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as held:
        held.sendall(head)
        wait_until(lambda: requests.get(address(server), timeout=TIMEOUT_S).ok, "the server has read it")
        server.ask_to_stop()
        assert held.recv(100).startswith(b"HTTP/1.1 503 ")
        server.wait_for_end()
