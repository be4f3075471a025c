"""`incoming send` from its start to its exit code, against the real server and a real app."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from pathlib import Path

import certifi
import pytest
from crc32c import crc32c

from tests.conftest import StartServer
from tests.support.app import DONE, WAIT, Delivery, Reply, ScriptedApp
from tests.support.chaos import ChaosProxy, Climate
from tests.support.data import MIB, FileBytes
from tests.support.relay import Relay
from tests.support.sending import COMMAND, IN_TERMINAL, PATCHED, Sending, wait_stored, write_file
from tests.support.server import ROOT, RunningServer, cancel_upload, finish_upload, new_upload
from tests.support.waiting import wait_until

QUICK = {"handover_retry_first_s": 0.05, "handover_retry_max_s": 0.2}
DATA = FileBytes(20 * MIB + 123, 5)
SLOW_BYTES_PER_S = 4 * MIB
"""An upload lasts so long that a busy machine interrupts it before its end, too."""


@pytest.fixture
def server(start_server: StartServer) -> RunningServer:
    return start_server(**QUICK)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_file(tmp_path / "my holiday.mov", DATA)


class OlderServer(RunningServer):
    """One whose messages lack the members that came later."""

    def _command(self) -> list[str]:
        python, _script, *options = super()._command()
        return [python, "-m", "tests.support.older_server", *options]


def slowly(server: RunningServer, ticket_id: str) -> list[str]:
    """Options for an upload that takes some seconds."""
    return [*to(server, ticket_id), "--max-bytes-per-s", str(SLOW_BYTES_PER_S)]


def to(server: RunningServer, ticket_id: str) -> list[str]:
    return ["--ticket", ticket_id, "--server", server.url]


def assert_arrived(app: ScriptedApp, ticket_id: str, data: FileBytes = DATA) -> None:
    (delivery,) = app.about(ticket_id)
    assert delivery.sha256 == data.sha256
    assert delivery.fields["filenameFromBrowser"] == "my holiday.mov"


@pytest.mark.parametrize("command", [None, PATCHED], ids=["by itself", "as a command of incoming"])
def test_a_file_is_sent_and_the_app_has_it(
    server: RunningServer, app: ScriptedApp, file: Path, command: list[str] | None
) -> None:
    ticket_id = new_upload(server, app.url)
    with Sending(file, *to(server, ticket_id), command=command) as sending:
        sending.ends()
    assert sending.exit_code == 0, sending.said
    assert_arrived(app, ticket_id)
    assert "The app has the file." in sending.said
    whole = crc32c(file.read_bytes())
    result = sending.result
    assert result.pop("seconds") > 0
    assert result == {
        "ending": "finished",
        "message": "The app has the file.",
        "resumable": False,
        "ticket": ticket_id,
        "bytes": DATA.length_bytes,
        "stored_bytes": DATA.length_bytes,
        "crc32c": f"{whole:08x}",
        "resumed": 0,
    }


@pytest.mark.parametrize("length_bytes", [0, 1, 4096])
def test_small_and_empty_files_are_sent_too(
    server: RunningServer, app: ScriptedApp, tmp_path: Path, length_bytes: int
) -> None:
    data = FileBytes(length_bytes, 8)
    ticket_id = new_upload(server, app.url)
    with Sending(write_file(tmp_path / "my holiday.mov", data), *to(server, ticket_id)) as sending:
        assert sending.ends().exit_code == 0, sending.said
    assert_arrived(app, ticket_id, data)


def test_a_server_without_the_later_members_of_messages_gets_the_file(
    tmp_path: Path, app: ScriptedApp, file: Path
) -> None:
    with OlderServer(tmp_path / "storage") as older:
        ticket_id = new_upload(older, app.url)
        with Sending(file, *to(older, ticket_id)) as sending:
            assert sending.ends().exit_code == 0, sending.said
    assert sending.result["resumed"] == 0
    assert_arrived(app, ticket_id)


def test_a_quiet_one_says_nothing_unless_something_is_wrong(
    server: RunningServer, app: ScriptedApp, file: Path
) -> None:
    with Sending(file, *to(server, new_upload(server, app.url)), "--quiet") as sending:
        assert (sending.ends().exit_code, sending.said) == (0, "")
    with Sending(file, *to(server, "nobody"), "--quiet") as sending:
        assert sending.ends().exit_code == 1
        assert "No upload has this id" in sending.said


# --- it goes on ----------------------------------------------------------------------------------------


def test_a_send_resumes_after_the_server_was_killed(
    server: RunningServer, app: ScriptedApp, file: Path
) -> None:
    ticket_id = new_upload(server, app.url)
    with Sending(file, *slowly(server, ticket_id)) as sending:
        for part_bytes in (2 * MIB, 6 * MIB):
            wait_stored(server.stored_file(ticket_id), part_bytes)
            server.restart()
        assert sending.ends().exit_code == 0, sending.said
    assert sending.result["resumed"] == 2
    assert_arrived(app, ticket_id)


def test_a_send_resumes_after_it_was_killed_itself(
    server: RunningServer, app: ScriptedApp, file: Path
) -> None:
    ticket_id = new_upload(server, app.url)
    stored = server.stored_file(ticket_id)
    with Relay(server.port) as relay:
        address = ["--ticket", ticket_id, "--server", f"http://{relay.host}"]
        with Sending(file, *address, "--max-bytes-per-s", str(SLOW_BYTES_PER_S)) as sending:
            wait_stored(stored, 4 * MIB)
        was_bytes = stored.stat().st_size
        with Sending(file, *address) as again:
            assert again.ends().exit_code == 0, again.said
    assert sending.exit_code == -1, "it was killed"
    assert was_bytes >= 4 * MIB
    assert again.result["resumed"] == 1
    assert again.result["crc32c"] == f"{crc32c(file.read_bytes()):08x}"
    assert_arrived(app, ticket_id)


def test_it_reconnects_each_time_that_the_connection_is_cut(
    server: RunningServer, app: ScriptedApp, file: Path
) -> None:
    ticket_id = new_upload(server, app.url)
    stored = server.stored_file(ticket_id)
    with (
        Relay(server.port, SLOW_BYTES_PER_S) as relay,
        Sending(file, "--ticket", ticket_id, "--server", f"http://{relay.host}") as sending,
    ):
        for part_bytes in (MIB, 3 * MIB, 6 * MIB):
            wait_stored(stored, part_bytes)
            relay.cut()
        assert sending.ends().exit_code == 0, sending.said
    assert sending.result["resumed"] == 3
    assert "The connection was lost. Trying again in" in sending.said
    assert_arrived(app, ticket_id)


def test_what_is_damaged_on_its_way_is_sent_again(
    server: RunningServer, app: ScriptedApp, file: Path
) -> None:
    climate = Climate(
        bytes_per_s=20_000_000, weights={}, refused=0, flip_every_bytes=3 * MIB, flip_texts=0.02
    )
    ticket_id = new_upload(server, app.url)
    with ChaosProxy(server.port, climate, seed=4) as proxy:
        with Sending(file, "--ticket", ticket_id, "--server", f"http://{proxy.host}") as sending:
            assert sending.ends().exit_code == 0, sending.said
        assert proxy.happened["flip"]
    assert_arrived(app, ticket_id)


def test_a_server_that_is_not_there_yet_is_waited_for(
    start_server: StartServer, app: ScriptedApp, file: Path
) -> None:
    server = start_server(**QUICK)
    ticket_id = new_upload(server, app.url)
    server.kill()
    with Sending(file, *to(server, ticket_id)) as sending:
        wait_until(lambda: "No server listens at" in sending.says(), "it has knocked")
        server.start()
        assert sending.ends().exit_code == 0, sending.said
    assert_arrived(app, ticket_id)


def test_it_gives_up_when_it_was_told_to(start_server: StartServer, app: ScriptedApp, file: Path) -> None:
    server = start_server(**QUICK)
    ticket_id = new_upload(server, app.url)
    server.kill()
    with Sending(file, *to(server, ticket_id), "--give-up-after", "0.5") as sending:
        assert sending.ends().exit_code == 3
    assert "Gave up: no progress for 0.5 s. No server listens at" in sending.said
    assert f"Resume with:  incoming send '{file}' --ticket {ticket_id} --server {server.url}" in sending.said
    assert sending.result["ending"] == "gave up"


# --- the app -------------------------------------------------------------------------------------------


def test_it_waits_for_an_app_that_takes_its_time(server: RunningServer, app: ScriptedApp, file: Path) -> None:
    app.answers = [WAIT]
    ticket_id = new_upload(server, app.url)
    with Sending(file, *to(server, ticket_id)) as sending:
        app.wait_for(1)
        assert sending.runs
        assert finish_upload(server, ticket_id).text == "ok"
        assert sending.ends().exit_code == 0, sending.said


def test_it_waits_for_an_app_that_is_down(server: RunningServer, app: ScriptedApp, file: Path) -> None:
    app.answers = [Reply(503, "later")] * 4 + [Reply()]
    with Sending(file, *to(server, new_upload(server, app.url))) as sending:
        assert sending.ends().exit_code == 0, sending.said
    assert len(app.deliveries) == 5


def test_an_app_that_refuses_the_file_ends_it(server: RunningServer, app: ScriptedApp, file: Path) -> None:
    app.answers = [Reply(404, "never heard of it")]
    with Sending(file, *to(server, new_upload(server, app.url))) as sending:
        assert sending.ends().exit_code == 1
    assert "did not accept the file" in sending.said
    assert sending.result["ending"] == "failed"
    assert not sending.result["resumable"]


def test_an_app_that_cancels_ends_it(server: RunningServer, app: ScriptedApp, file: Path) -> None:
    ticket_id = new_upload(server, app.url)
    with Sending(file, *slowly(server, ticket_id)) as sending:
        wait_stored(server.stored_file(ticket_id), 2 * MIB)
        assert cancel_upload(server, ticket_id).text == "ok"
        assert sending.ends().exit_code == 1
    assert "This upload was cancelled." in sending.said
    assert sending.result["ending"] == "cancelled"


def test_a_repeated_command_after_the_end_shows_the_result(
    server: RunningServer, app: ScriptedApp, file: Path
) -> None:
    ticket_id = new_upload(server, app.url)
    for _ in range(2):
        with Sending(file, *to(server, ticket_id)) as sending:
            assert sending.ends().exit_code == 0, sending.said
    assert_arrived(app, ticket_id)


def test_a_ticket_that_was_used_for_another_file_is_not_a_success(
    server: RunningServer, app: ScriptedApp, file: Path, tmp_path: Path
) -> None:
    ticket_id = new_upload(server, app.url)
    with Sending(file, *to(server, ticket_id)) as sending:
        assert sending.ends().exit_code == 0, sending.said
    other = write_file(tmp_path / "other.mov", FileBytes(DATA.length_bytes, 6))
    with Sending(other, *to(server, ticket_id)) as sending:
        assert sending.ends().exit_code == 1
    assert "The app has a file with different content" in sending.said


# --- the file ------------------------------------------------------------------------------------------


def begun(server: RunningServer, ticket_id: str, file: Path) -> None:
    """Leaves an upload behind that is not complete."""
    with Sending(file, *slowly(server, ticket_id)):
        wait_stored(server.stored_file(ticket_id), 4 * MIB)


@pytest.mark.parametrize("change", ["grown", "cut", "edited"])
def test_a_file_that_changes_while_it_is_sent_ends_it(
    server: RunningServer, app: ScriptedApp, file: Path, change: str
) -> None:
    ticket_id = new_upload(server, app.url)
    with Sending(file, *slowly(server, ticket_id)) as sending:
        wait_stored(server.stored_file(ticket_id), 2 * MIB)
        with file.open("r+b") as opened:
            if change == "cut":
                opened.truncate(10 * MIB)
            else:
                opened.seek(0, os.SEEK_END if change == "grown" else os.SEEK_SET)
                opened.write(b"more")
        assert sending.ends().exit_code == 1
    assert f"{file} has changed during the upload" in sending.said
    assert not app.deliveries


@pytest.mark.parametrize(
    ("length_bytes", "then_bytes"), [(0, 1), (1, 0), (1, 2), (1 << 20, 1 << 19), (1 << 20, (1 << 20) + 1)]
)
def test_a_file_that_changes_before_the_app_has_it_is_not_called_finished(
    server: RunningServer, app: ScriptedApp, tmp_path: Path, length_bytes: int, then_bytes: int
) -> None:
    """A script may delete it next, and with it what nobody has."""
    file = write_file(tmp_path / "my holiday.mov", FileBytes(length_bytes, 5))

    def change_it(_: Delivery) -> Reply:
        os.truncate(file, then_bytes)
        return DONE

    app.answers = [change_it]
    with Sending(file, *to(server, new_upload(server, app.url))) as sending:
        sending.ends()
    assert (sending.exit_code, sending.result["ending"]) == (1, "failed")
    assert "The app has the file as it was when it was read." in sending.said
    assert f"{file} has changed" in sending.said


@pytest.mark.parametrize("place", ["/proc/self/limits", "/sys/kernel/uevent_seqnum"])
def test_a_file_of_another_size_than_is_reported_is_an_error_before_a_ticket_is_asked_for(
    app: ScriptedApp, place: str
) -> None:
    if not Path(place).exists():
        pytest.skip("this system has no such file")
    with Sending(Path(place), "--url", app.url) as sending:
        sending.ends()
    assert (sending.exit_code, sending.result["ending"]) == (1, "failed")
    assert f"The size of {place} is reported as" in sending.said
    assert not app.deliveries


def test_another_file_is_detected_when_an_upload_is_resumed(
    server: RunningServer, app: ScriptedApp, file: Path, tmp_path: Path
) -> None:
    ticket_id = new_upload(server, app.url)
    begun(server, ticket_id, file)
    other = write_file(tmp_path / "other.mov", FileBytes(DATA.length_bytes, 6))
    longer = write_file(tmp_path / "longer.mov", FileBytes(DATA.length_bytes + 1, 5))
    for wrong, why in ((other, "its content differs"), (longer, "bytes, this one has")):
        with Sending(wrong, *to(server, ticket_id)) as sending:
            assert sending.ends().exit_code == 1
        assert why in sending.said
        begun_with = f'That file is "my holiday.mov" ({DATA.length_bytes:,} bytes, last changed'
        assert begun_with in sending.said
    with Sending(file, *to(server, ticket_id)) as sending:
        assert sending.ends().exit_code == 0, sending.said
    assert_arrived(app, ticket_id)


def test_a_file_that_was_only_touched_is_compared_and_continued(
    server: RunningServer, app: ScriptedApp, file: Path
) -> None:
    ticket_id = new_upload(server, app.url)
    begun(server, ticket_id, file)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    with Sending(file, *to(server, ticket_id)) as sending:
        assert sending.ends().exit_code == 0, sending.said
    assert sending.result["resumed"] == 1
    assert_arrived(app, ticket_id)


# --- ctrl-C --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "command"),
    [
        (signal.SIGINT, None),
        (signal.SIGTERM, None),
        (signal.SIGHUP, IN_TERMINAL),
        (signal.SIGINT, PATCHED),
    ],
)
def test_an_interrupted_command_shows_how_to_resume(
    server: RunningServer,
    app: ScriptedApp,
    file: Path,
    number: signal.Signals,
    command: list[str] | None,
) -> None:
    ticket_id = new_upload(server, app.url)
    with Sending(file, *slowly(server, ticket_id), command=command) as sending:
        wait_stored(server.stored_file(ticket_id), 2 * MIB)
        sending.interrupt(number)
        assert sending.ends().exit_code == 130
    assert f"Resume with:  incoming send '{file}' --ticket {ticket_id} --server {server.url}" in sending.said
    assert sending.result["ending"] == "interrupted"
    assert not app.deliveries
    with Sending(file, *to(server, ticket_id)) as again:
        assert again.ends().exit_code == 0, again.said
    assert_arrived(app, ticket_id)


def test_a_command_under_nohup_continues_without_its_terminal(
    server: RunningServer, app: ScriptedApp, file: Path
) -> None:
    ticket_id = new_upload(server, app.url)
    with Sending(file, *slowly(server, ticket_id), command=["nohup", *COMMAND]) as sending:
        wait_stored(server.stored_file(ticket_id), 2 * MIB)
        sending.interrupt(signal.SIGHUP)
        assert sending.ends().exit_code == 0, sending.said
    assert_arrived(app, ticket_id)


def test_an_interrupted_one_cancels_if_that_was_wished_for(
    server: RunningServer, app: ScriptedApp, file: Path
) -> None:
    ticket_id = new_upload(server, app.url)
    with Sending(file, *slowly(server, ticket_id), "--cancel-on-interrupt") as sending:
        wait_stored(server.stored_file(ticket_id), 2 * MIB)
        sending.interrupt()
        assert sending.ends().exit_code == 130
    assert "The upload is cancelled." in sending.said
    (delivery,) = app.wait_for(1)
    assert (delivery.fields["cancelled"], delivery.fields["cancelReason"]) == ("yes", "cancelled by the user")


# --- the command that resumes it -------------------------------------------------------------------------


def hint(sending: Sending) -> str:
    (line,) = [line for line in sending.said.splitlines() if line.startswith("Resume with:  ")]
    return line.removeprefix("Resume with:  ")


def test_the_command_that_resumes_it_has_every_option(
    server: RunningServer, app: ScriptedApp, file: Path
) -> None:
    ticket_id = new_upload(server, app.url)
    ca_file = str(file.with_name("ca.pem"))
    Path(ca_file).write_text(Path(certifi.where()).read_text())
    options = ["--give-up-after", "900.5", "--cancel-on-interrupt", "--quiet", "--ca-file", ca_file]
    with Sending(file, *slowly(server, ticket_id), *options) as sending:
        wait_stored(server.stored_file(ticket_id), 2 * MIB)
        sending.interrupt(signal.SIGTERM)
        assert sending.ends().exit_code == 130
    words = shlex.split(hint(sending))
    assert words[:3] == ["incoming", "send", str(file)]
    given = [*slowly(server, ticket_id), *options, "--json"]
    assert sorted(words[3:]) == sorted(given)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("-n it's a\n写真.mov", "utf-8"), ("写真.mov", "ascii"), ("\udcff\\'.mov", "utf-8"),
    ],
)  # fmt: skip
def test_the_command_that_resumes_it_works_as_pasted_into_a_shell(
    server: RunningServer, app: ScriptedApp, tmp_path: Path, name: str, encoding: str
) -> None:
    data = FileBytes(4 * MIB, 5)
    write_file(tmp_path / name, data)
    ticket_id = new_upload(server, app.url)
    options = [*to(server, ticket_id), "--max-bytes-per-s", str(MIB)]
    env = {"PYTHONPATH": str(ROOT)}
    with Sending(
        f"./{name}", *options, cwd=tmp_path, PYTHONPATH=str(ROOT), PYTHONIOENCODING=encoding
    ) as sending:
        wait_stored(server.stored_file(ticket_id), 1)
        sending.interrupt()
        assert sending.ends().exit_code == 130
    run = f'incoming() {{ shift; {shlex.join(COMMAND)} "$@"; }}; {hint(sending)}'
    again = subprocess.run(
        ["bash", "-c", run], cwd=tmp_path, env=os.environ | env, capture_output=True, check=False, timeout=60
    )
    assert again.returncode == 0, again.stderr.decode()
    assert app.about(ticket_id)[0].sha256 == data.sha256
