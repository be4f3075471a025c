"""The command, as a process: settings, start, stop. It patches its process, so it is never imported here."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from incoming import __version__
from incoming.registry import journal
from incoming.settings.load import SETTINGS
from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.server import ROOT, RunningServer, new_upload
from tests.support.waiting import wait_until

URL = "http://127.0.0.1:9/finished"
DEADLINE_S = 60.0


def command(*options: str) -> list[str]:
    return [sys.executable, str(ROOT / "run.py"), *options]


def environment(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("INCOMING_")}
    return {**inherited, **variables}


def run(*options: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        command(*options), cwd=cwd, env=environment(**variables), capture_output=True, text=True,
        timeout=DEADLINE_S, check=False,
    )  # fmt: skip


@contextmanager
def running(
    tmp_path: Path, *options: str, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Runs the command until the test is done; gives the process, and what it says when it is ready."""
    with (tmp_path / "log.txt").open("w") as log, subprocess.Popen(
        command("--host", "127.0.0.1", "--port", "0", *options), cwd=tmp_path, env=environment(**variables),
        stdout=subprocess.PIPE, stderr=log, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout
            lines: list[str] = []
            while not lines or "Ctrl-C" not in lines[-1]:
                lines.append(process.stdout.readline())
                assert lines[-1], (tmp_path / "log.txt").read_text()
            yield process, lines
        finally:
            process.kill()


def new_client(lines: list[str]) -> ClientV1:
    """Returns a client with a ticket of the server that has said these lines."""
    url = lines[0].split()[-1]
    answer = requests.post(f"{url}/incoming/backend/new_upload", params={"signalFinishURL": URL}, timeout=60)
    return ClientV1(url, answer.text, FileBytes(100_000))


def upload_in_progress(lines: list[str]) -> ClientV1:
    return new_client(lines).open()


# --- help and settings -----------------------------------------------------------------------------


def test_the_help_tells_every_setting_its_unit_and_its_default() -> None:
    help_text = " ".join(run("serve", "--help").stdout.split())
    for setting in SETTINGS:
        assert f"{setting.option} VALUE" in help_text
        assert setting.help in help_text
        assert f"[{setting.unit}; default: " in help_text
    for option in ("--config FILE", "--examples"):
        assert option in help_text


def test_the_help_tells_every_command() -> None:
    help_text = run("--help").stdout
    for name in ("serve", "config"):
        assert re.search(rf"^  {name} +\w", help_text, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "offered"),
    [("up", "uploads"), ("serve --stor", "--storage-dir"), ("uploads --state pau", "paused")],
)
def test_the_shell_completes_words(words: str, offered: str) -> None:
    script = "import sys; from incoming.cli import main; sys.argv = ['incoming']; main(prog_name='incoming')"
    typed = f"incoming {words}"
    variables = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        env=environment(_INCOMING_COMPLETE="bash_complete", **variables),
    )  # fmt: skip
    assert f"plain,{offered}" in done.stdout.split()


def test_an_unknown_command_or_option_is_refused_with_its_name() -> None:
    for word in ("sevre", "--prot"):
        done = run(word)
        assert done.returncode == 2
        assert word in done.stderr
        assert "Traceback" not in done.stderr


def test_log_lines_are_objects_when_asked_for_and_name_the_upload_by_a_part_of_its_id(
    tmp_path: Path,
) -> None:
    options = ("--storage-dir", str(tmp_path / "storage"), "--log-format", "json")
    with running(tmp_path, *options, INCOMING_COLOUR="x") as (_, started):
        client = upload_in_progress(started)
        client.cancel("never\n{} mind")
        log = tmp_path / "log.txt"
        wait_until(lambda: "never" in log.read_text(), "the end is logged")
    assert client.ticket_id not in log.read_text()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    about = [line for line in lines if line.get("ticket") == client.ticket_id[:8]]
    assert [line["message"].partition(": ")[2].split()[0] for line in about][:2] == ["ticket", "claimed"]
    assert "never\n{} mind" in [line["reason"] for line in about]
    assert "the environment variable INCOMING_COLOUR is not a setting" in [x["message"] for x in lines]


def test_the_package_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "incoming", "config", "--help"], cwd=ROOT, env=environment(),
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: incoming config ")


def test_the_version_is_told() -> None:
    assert __version__ in run("--version").stdout


@pytest.mark.parametrize(
    ("options", "variables", "toml", "expected"),
    [
        (["--port", "eighty"], {}, "", ["port (--port)", "'eighty' is not a whole number"]),
        (
            [],
            {"INCOMING_CHUNK_SIZE_KIB": "0"},
            "",
            ["chunk_size_kib (INCOMING_CHUNK_SIZE_KIB)", "must be from"],
        ),
        ([], {}, "idle_timeout_s = -1", ["idle_timeout_s (configuration file)", "more than 0"]),
        ([], {}, "\ufeffidle_timeout_s = -1", ["idle_timeout_s (configuration file)", "more than 0"]),
        ([], {}, "port = ", ["config", "is not TOML"]),
        (["--config", "nowhere.toml"], {}, "", ["config", "nowhere.toml can't be read"]),
        (["--storage-dir", "/dev/null/x"], {}, "", ["does not start", "/dev/null"]),
        (["--host", "203.0.113.1"], {}, "", ["port", "the server can't listen on 203.0.113.1:0"]),
        (["--examples", "--examples-ports", "1"], {}, "", ["examples_ports", "5 ports"]),
        (["--examples", "--workers", "2"], {}, "", ["workers: must be 1 with --examples"]),
    ],
    ids=[
        "option",
        "environment",
        "TOML",
        "TOML with a byte order mark",
        "no TOML",
        "no file",
        "storage",
        "address",
        "examples",
        "examples in several processes",
    ],
)
def test_a_wrong_setting_is_refused_with_its_name_and_why(
    tmp_path: Path, options: list[str], variables: dict[str, str], toml: str, expected: list[str]
) -> None:
    if toml:
        (tmp_path / "incoming.toml").write_text(toml)
        options = ["--config", "incoming.toml"]
    place = [] if "--storage-dir" in options else ["--storage-dir", "storage"]
    port = [] if "--port" in options else ["--port", "0"]
    done = run(*place, *port, *options, cwd=tmp_path, **variables)
    assert done.returncode not in (0, 2), done.stderr
    assert "Incoming!! does not start." in done.stderr
    assert "Traceback" not in done.stderr
    for words in expected:
        assert words in done.stderr


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "incoming.toml"
    config.write_text('storage_dir = "from-toml"\nchunk_size_kib = 64\nsend_ahead = 5\n')
    variables = {"INCOMING_CHUNK_SIZE_KIB": "32", "INCOMING_SEND_AHEAD": "2", "INCOMING_COLOUR": "green"}
    with running(tmp_path, "--config", str(config), "--send-ahead", "3", **variables) as (_, lines):
        assert lines[1].split()[-1] == str(tmp_path / "from-toml")
        client = new_client(lines)
        assert client.connect().request() == {"ChunkSizeKB": 32, "FilePos": 0, "SendAhead": 3}
        client.drop()
        assert "INCOMING_COLOUR is not a setting" in (tmp_path / "log.txt").read_text()


# --- starting ------------------------------------------------------------------------------------


def test_the_examples_run_beside_the_server_and_all_answer(tmp_path: Path) -> None:
    with running(tmp_path, "--examples", "--examples-ports", "0,0,0,0,0") as (_, lines):
        urls = [found[0] for line in (lines[0], *lines[6:10]) if (found := re.findall(r"http://\S+", line))]
        assert len(set(urls)) == 5, lines
        assert lines[1].split()[:2] == ["Open", urls[0]], "the address to click is the first one"
        assert requests.get(f"{urls[0]}/incoming/frontend/incoming.js", timeout=60).status_code == 200
        for url in urls[1:]:
            page = requests.get(url, timeout=60)
            assert page.status_code == 200
            assert urls[0].removeprefix("http://") in page.text, "the page knows its upload server"


def test_examples_on_free_ports_can_be_called_back(tmp_path: Path) -> None:
    with running(tmp_path, "--examples", "--examples-ports", "0,0,0,0,0") as (_, lines):
        requests.get(lines[6].split()[-1], timeout=60)  # asks for a ticket
        [ticket] = journal.read(tmp_path / "incoming-storage" / "journal")
        assert lines[6].rpartition(":")[2].strip() in ticket.signal_finish_url


def test_a_second_server_on_the_same_storage_is_refused(start_server: StartServer) -> None:
    first = start_server()
    done = run("--port", "0", "--storage-dir", str(first.storage_dir))
    assert done.returncode == 1
    assert f"Another Incoming!! process uses the storage directory {first.storage_dir}" in done.stderr
    assert done.stdout == ""


def test_a_server_that_waits_takes_the_storage_over(start_server: StartServer) -> None:
    first = start_server()
    ticket_id = new_upload(first, URL)
    second = RunningServer(first.storage_dir, wait_for_storage="yes")
    second.log_file = first.storage_dir.with_name("second.log")
    second.launch()
    try:
        wait_until(lambda: "waiting until another process" in second.log_text(), "the second server waits")
        first.kill()
        second.wait_ready()
        client = ClientV1(second.url, ticket_id, FileBytes(10))
        assert client.connect().request()["FilePos"] == 0
        client.drop()
    finally:
        second.kill()


def test_an_example_port_that_is_taken_is_said_with_its_example_and_what_to_do(
    start_server: StartServer, tmp_path: Path
) -> None:
    first = start_server()
    ports = ["--examples", "--examples-ports", f"0,{first.port},0,0,0"]
    done = run("--host", "127.0.0.1", "--port", "0", "--storage-dir", str(tmp_path / "other"), *ports)
    assert done.returncode == 1
    said = f"'Example 2, many files, pausable' can't listen on port {first.port}: Address already in use."
    assert f"does not start. examples_ports: {said} Choose other ports: --examples-ports 5001," in done.stderr


def test_the_file_that_the_environment_names_is_read_by_every_command_and_an_option_wins(
    tmp_path: Path,
) -> None:
    for name, port in (("a.toml", 4101), ("b.toml", 4102)):
        (tmp_path / name).write_text(f"port = {port}\n")
    file, option = str(tmp_path / "a.toml"), ["--config", str(tmp_path / "b.toml")]
    assert f"4101                     {file}" in run("config", "--changed", INCOMING_CONFIG=file).stdout
    assert f"4102                     {option[1]}" in run("config", *option, INCOMING_CONFIG=file).stdout
    for words in (["sweep"], ["uploads", "--json"], ["cancel", "abcdef"], ["retry", "abcdef"], ["serve"]):
        done = run(*words, cwd=tmp_path, INCOMING_CONFIG="nowhere.toml")
        assert (done.returncode, "nowhere.toml can't be read" in done.stderr) == (1, True), words


def test_a_port_that_is_taken_is_named(start_server: StartServer, tmp_path: Path) -> None:
    first = start_server()
    done = run("--host", "127.0.0.1", "--port", str(first.port), "--storage-dir", str(tmp_path / "other"))
    assert done.returncode == 1
    assert f"port: the server can't listen on 127.0.0.1:{first.port}" in done.stderr


def test_the_server_expires_idle_uploads_and_forgets_old_results(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server(idle_timeout_s=0.2, result_retention_s=0.2)
    ticket_id = new_upload(server, app.url)
    [delivery] = app.wait_for(1)
    assert (delivery.id, delivery.fields["cancelled"]) == (ticket_id, "yes")
    wait_until(lambda: ticket_id not in server.journaled(), "the ticket is forgotten")


# --- stopping ------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_stops_the_server_cleanly(tmp_path: Path, signal_number: signal.Signals) -> None:
    with running(tmp_path) as (process, _):
        process.send_signal(signal_number)
        assert process.wait(DEADLINE_S) == 0
    assert (tmp_path / "incoming-storage" / "journal" / "clock").exists()
    assert "Traceback" not in (tmp_path / "log.txt").read_text()


def test_a_stop_tells_clients_to_come_back(tmp_path: Path) -> None:
    with running(tmp_path) as (process, lines):
        client = upload_in_progress(lines)
        process.terminate()
        assert client.receive_close().code == 1012
        assert process.wait(DEADLINE_S) == 0


def test_a_second_signal_ends_the_server_at_once(tmp_path: Path) -> None:
    with running(tmp_path, "--stop-timeout-s", "60") as (process, lines):
        client = upload_in_progress(lines)  # it never answers the close frame, so the stop waits for it
        process.terminate()
        wait_until(lambda: "stopping" in (tmp_path / "log.txt").read_text(), "the server begins to stop")
        process.terminate()
        assert process.wait(DEADLINE_S) == 1
        client.drop()


@pytest.mark.parametrize("url", ["http://a..b", f"http://{'a' * 64}.org"])
@pytest.mark.parametrize(
    "words",
    [("probe",), ("doctor",), ("uploads", "--server"), ("send", "LICENSE", "--ticket", "1", "--server")],
)
def test_an_address_whose_host_is_impossible_is_refused_in_a_sentence(
    words: tuple[str, ...], url: str
) -> None:
    done = run(*words, url)
    assert done.returncode in {1, 2}
    assert "address" in done.stderr and "Traceback" not in done.stderr


def test_a_probe_of_a_server_that_does_not_listen_says_so() -> None:
    done = run("probe", "http://127.0.0.1:9")
    assert (done.returncode, done.stderr) == (
        1,
        "http://127.0.0.1:9 does not answer: no server listens there.\n",
    )


INTERRUPT_AT_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


@pytest.fixture
def ctrl_c(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a new process does with SIGINT: a shell may have the tests, and so their children, ignore it."""
    before = signal.signal(signal.SIGINT, getattr(request, "param", signal.default_int_handler))
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("module", ["click", "incoming.commands.send"])
def test_ctrl_c_while_a_command_starts_is_quiet(tmp_path: Path, module: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT_AT_IMPORT)
    done = run("send", "LICENSE", PYTHONPATH=str(tmp_path), INTERRUPT_AT=module)
    assert done.returncode in {130, -signal.SIGINT}
    assert done.stderr == ""


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("ctrl_c", [signal.SIG_IGN], indirect=True)
@pytest.mark.parametrize("module", ["click", "incoming.commands.send"])
def test_a_command_whose_parent_has_it_ignore_ctrl_c_ignores_it(tmp_path: Path, module: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT_AT_IMPORT)
    done = run("send", "LICENSE", PYTHONPATH=str(tmp_path), INTERRUPT_AT=module)
    assert done.returncode == 2
    assert "Give either --ticket or --url" in done.stderr


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_a_list_that_is_watched_quietly(start_server: StartServer) -> None:
    server = start_server()
    with subprocess.Popen(
        command("uploads", "--watch", "--server", f"http://127.0.0.1:{server.port}"),
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        assert "no uploads" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, said) == (130, "")
