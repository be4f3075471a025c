"""curl, as it comes: each command of docs/how-to/curl-and-forms.md, and what it tells its user."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from _pytest.mark.structures import ParameterSet

from tests.clients.conftest import DEADLINE_S, DiskFile, Issued, Stage, check, matrix
from tests.support.app import DONE, WAIT, Delivery, Reply, SlowApp
from tests.support.client_cases import EMPTY, LARGE, NOT_EARLY, REFUSAL, UPLOAD, case, of_client
from tests.support.server import ROOT, finish_upload
from tests.support.waiting import wait_until
from tests.test_docs import FENCE

pytestmark = of_client("curl")

MIB: Final = 1 << 20
BROKEN_OFF_BYTES: Final = 3 * MIB
"""So large that an upload over the slow line can be broken off."""
PAGE: Final = ROOT / "docs/how-to/curl-and-forms.md"
NAMES: Final = ("holiday.mov", "notes.txt")
"""What the commands call their files."""
FINISHED: Final = "The app has the file.\n"


def commands() -> dict[str, list[str]]:
    """Returns the shell commands of the page, by the heading that they are below."""
    sections = re.split(r"^#+ (.+)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    pairs = zip(sections[1::2], sections[2::2], strict=True)
    found = {
        title: [code for language, code in FENCE.findall(text) if language == "sh"] for title, text in pairs
    }
    return {title: codes for title, codes in found.items() if codes}


COMMANDS: Final = commands()
GET_TICKET, SEND, PIPE, RESUME, RETRY, POST, FORM, STATE, CANCEL = (
    "Upload with curl, or with a form",
    "Send a file",
    "Send what a program writes",
    "Resume",
    "Resume again and again",
    "Send a small file with one POST",
    "Send a form",
    "Ask for the state",
    "Cancel",
)


def in_matrix(value: object) -> ParameterSet:
    """Returns a parameter of a test for `make clients` alone."""
    return pytest.param(value, marks=matrix)


@pytest.fixture
def stage(patient_stage: Stage) -> Stage:
    """What curl meets: the server holds its requests so long that the app answers in time."""
    return patient_stage


class Curl:
    """A command of the page, run as a person runs it, in a folder with its file."""

    def __init__(self, heading: str, upload: Issued, file: DiskFile | None = None, *, which: int = 0) -> None:
        assert shutil.which("curl"), "the command needs curl"
        folder = file.path.parent if file else Path.cwd()
        for name in NAMES if file else ():
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(file.path if file else "")
        known = {"URL": upload.url, "SERVER": upload.server.url, "APP": upload.app.url}
        known["CURL_HOME"] = str(folder)  # nobody's own .curlrc counts
        self.process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", COMMANDS[heading][which]],
            cwd=folder,
            env={**os.environ, **known},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def end(self) -> tuple[int, str]:
        """Returns its exit status and what it has printed, once it has ended."""
        printed, _ = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, printed


def run(heading: str, upload: Issued, file: DiskFile | None = None, *, which: int = 0) -> tuple[int, str]:
    """Returns the exit status of a command of the page, and what it prints."""
    return Curl(heading, upload, file, which=which).end()


def test_every_command_of_the_page_is_run_here() -> None:
    assert set(COMMANDS) == {GET_TICKET, SEND, PIPE, RESUME, RETRY, POST, FORM, STATE, CANCEL}


def test_the_address_of_a_ticket_is_found_by_hand(stage: Stage) -> None:
    upload = stage.issue()
    (command,) = COMMANDS[GET_TICKET]
    known = {**os.environ, "SERVER": upload.server.url, "APP": upload.app.url}
    printed = subprocess.run(
        ["bash", "-c", command + 'curl -s "$URL"'], env=known, capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(printed)["state"] == "issued"


@case(UPLOAD)
@pytest.mark.parametrize("heading", [SEND, RESUME, RETRY, POST, FORM])
@pytest.mark.parametrize(
    "size_bytes", [1_000_000, pytest.param(0, marks=matrix), pytest.param(10 * MIB, marks=matrix)]
)
def test_a_file_arrives(stage: Stage, heading: str, size_bytes: int) -> None:
    file, upload = stage.file(size_bytes), stage.issue()
    assert run(heading, upload, file) == (0, FINISHED)
    check(upload, file)


@case(EMPTY)
def test_an_empty_file_arrives(stage: Stage) -> None:
    file, upload = stage.file(0), stage.issue()
    assert run(SEND, upload, file) == (0, FINISHED)
    check(upload, file)


@pytest.mark.parametrize(
    ("heading", "name"),
    [(SEND, "holiday.mov"), (FORM, "holiday.mov"), (POST, "notes.txt"), (RESUME, "holiday.mov")],
)
def test_the_app_gets_the_name_of_the_file(stage: Stage, heading: str, name: str) -> None:
    upload = stage.issue()
    assert run(heading, upload, stage.file(1000)) == (0, FINISHED)
    assert upload.delivery.fields["filenameFromBrowser"] == name


@case(UPLOAD)
def test_the_output_of_a_program_arrives_through_a_pipe(stage: Stage) -> None:
    file, upload = stage.file(1_000_000), stage.issue()
    photos = file.path.parent / "photos"
    photos.mkdir()
    file.path.rename(photos / "a.jpg")
    listed: list[list[str]] = []

    def unpack(delivery: Delivery) -> Reply:
        names = subprocess.run(["tar", "tzf", delivery.fields["filename"]], capture_output=True, check=True)
        listed.append(names.stdout.decode().split())
        return DONE

    stage.app.answers = [unpack]
    assert run(PIPE, upload, DiskFile(photos, "", 0)) == (0, FINISHED)
    assert upload.delivery.fields["filenameFromBrowser"] == "photos.tar.gz"
    assert listed == [["photos/", "photos/a.jpg"]]


# --- after a break -------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["cut", "kill"])
def test_an_upload_that_broke_off_resumes_by_the_documented_command(stage: Stage, trouble: str) -> None:
    file, upload = stage.file(BROKEN_OFF_BYTES), stage.issue(line_bytes=2 * MIB)
    client = Curl(SEND, upload, file)
    wait_until(lambda: upload.stored_bytes > MIB, "a third is stored")
    stage.break_off(trouble)
    assert client.end()[0] != 0
    (file.path.parent / ".curlrc").write_text('write-out = "%{size_upload}"')
    status, printed = run(RESUME, upload, file)
    assert (status, printed[: len(FINISHED)]) == (0, FINISHED)
    assert int(printed[len(FINISHED) :]) <= 2 * MIB
    check(upload, file)


@pytest.mark.parametrize("trouble", [in_matrix("cut"), "kill"])
def test_curl_repeats_the_whole_file_and_nothing_is_stored_twice(stage: Stage, trouble: str) -> None:
    file, upload = stage.file(BROKEN_OFF_BYTES), stage.issue(line_bytes=2 * MIB)
    client = Curl(RETRY, upload, file)
    wait_until(lambda: upload.stored_bytes > MIB, "a third is stored")
    stage.break_off(trouble)
    assert client.end() == (0, FINISHED)
    check(upload, file)


@pytest.mark.parametrize("trouble", ["cut", in_matrix("kill")])
def test_a_form_that_broke_off_is_sent_again(stage: Stage, trouble: str) -> None:
    file, upload = stage.file(BROKEN_OFF_BYTES), stage.issue(line_bytes=2 * MIB)
    client = Curl(FORM, upload, file)
    wait_until(lambda: f"upload {upload.ticket_id[:8]}: claimed" in stage.server.log_text(), "it has begun")
    stage.break_off(trouble)
    assert client.end()[0] != 0
    assert run(FORM, upload, file) == (0, FINISHED)
    check(upload, file)


def test_curl_that_is_to_find_out_by_itself_sends_the_whole_file_and_it_counts(stage: Stage) -> None:
    file, upload = stage.file(BROKEN_OFF_BYTES), stage.issue(line_bytes=2 * MIB)
    client = Curl(SEND, upload, file)
    wait_until(lambda: upload.stored_bytes > MIB, "a third is stored")
    stage.break_off("cut")
    assert client.end()[0] != 0
    command = ["curl", "-sS", "-C", "-", "-T", str(file.path), upload.url]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == FINISHED
    check(upload, file)


def test_a_wrong_offset_is_answered_with_the_command_that_resumes(stage: Stage) -> None:
    file, upload = stage.file(BROKEN_OFF_BYTES), stage.issue(line_bytes=2 * MIB)
    client = Curl(SEND, upload, file)
    wait_until(lambda: upload.stored_bytes > MIB, "a third is stored")
    stage.break_off("cut")
    assert client.end()[0] != 0
    wrong = subprocess.run(
        ["curl", "-sS", "-T", file.path, "-C", "1000", upload.url], capture_output=True, text=True, check=True
    ).stdout
    command = re.search(r"^Resume with: (curl .+)$", wrong, re.MULTILINE)
    assert command
    again = subprocess.run(
        ["bash", "-c", command[1].replace("FILE", str(file.path))], capture_output=True, text=True, check=True
    )
    assert again.stdout == FINISHED
    check(upload, file)


# --- the app -------------------------------------------------------------------------------------------


@case(NOT_EARLY)
@pytest.mark.parametrize("heading", [SEND, in_matrix(FORM), in_matrix(POST)])
def test_curl_ends_when_the_app_has_the_file_and_not_before(stage: Stage, heading: str) -> None:
    slow = SlowApp()
    stage.app.answers = [slow]
    upload = stage.issue()
    client = Curl(heading, upload, stage.file(300_000))
    wait_until(lambda: upload.app.about(upload.ticket_id), "the app is asked")
    assert client.process.poll() is None
    slow.go_ahead.set()
    assert client.end() == (0, FINISHED)


@case(NOT_EARLY)
def test_curl_says_that_the_app_has_not_answered_and_how_to_ask(hasty_stage: Stage) -> None:
    hasty_stage.app.answers = [WAIT]
    file, upload = hasty_stage.file(300_000), hasty_stage.issue()
    status, printed = run(SEND, upload, file)
    assert status == 0
    assert printed.startswith("The file has arrived, and the app has not accepted it yet.")
    wait_until(lambda: json.loads(run(STATE, upload)[1])["state"] == "waiting", "the app waits")
    held = Curl(STATE, upload, which=1)
    assert finish_upload(hasty_stage.server, upload.ticket_id).text == "ok"
    assert json.loads(held.end()[1])["state"] == "finished"
    assert run(SEND, upload, file) == (0, FINISHED)


@case(NOT_EARLY)
@pytest.mark.parametrize("heading", [SEND, in_matrix(FORM), in_matrix(POST)])
def test_success_waits_for_an_app_that_is_down_and_for_a_server_that_restarts(
    hasty_stage: Stage, heading: str
) -> None:
    file, upload = hasty_stage.file(300_000), hasty_stage.issue()
    hasty_stage.app.stop()
    for _ in range(2):
        status, printed = run(heading, upload, file)
        assert status == 0
        assert printed.startswith("The file has arrived, and the app has not accepted it yet: the app could")
        hasty_stage.server.restart()
    hasty_stage.app.start()
    wait_until(lambda: run(heading, upload, file) == (0, FINISHED), "the app has the file")
    check(upload, file)


@case(REFUSAL)
@pytest.mark.parametrize("heading", [SEND, in_matrix(FORM), in_matrix(RESUME)])
def test_a_refusal_by_the_app_is_an_error_with_a_sentence(stage: Stage, heading: str) -> None:
    stage.app.answers = [Reply(403, "no")]
    upload = stage.issue()
    status, printed = run(heading, upload, stage.file(300_000))
    assert status == 22
    assert "The app did not accept the file: the app answered with status 403." in printed


def test_a_refusal_is_not_repeated(stage: Stage) -> None:
    stage.app.answers = [Reply(403, "no")]
    upload = stage.issue()
    status, printed = run(RETRY, upload, stage.file(300_000))
    assert (status, "did not accept" in printed) == (0, True)
    assert len(upload.app.about(upload.ticket_id)) == 1


def test_an_upload_is_cancelled(stage: Stage) -> None:
    upload = stage.issue()
    assert run(CANCEL, upload)[0] == 0
    assert run(SEND, upload, stage.file(1000)) == (22, "This upload was cancelled.\n")


# --- large ---------------------------------------------------------------------------------------------


def finish(heading: str, upload: Issued, file: DiskFile) -> None:
    """Sends a large file, and waits until its app has read it, which takes longer than a request is held."""
    assert run(heading, upload, file)[0] == 0
    wait_until(lambda: "finished" in run(STATE, upload, which=1)[1], "the app has read it", DEADLINE_S)
    check(upload, file)


@case(LARGE)
@matrix
@pytest.mark.parametrize("heading", [SEND, FORM])
def test_a_file_of_5_gib_arrives(stage: Stage, heading: str) -> None:
    finish(heading, stage.issue(), stage.large_file())


@case(LARGE)
@matrix
def test_a_file_of_5_gib_resumes_beyond_4_gib(stage: Stage) -> None:
    file, upload = stage.large_file(), stage.issue()
    client = Curl(SEND, upload, file)
    wait_until(
        lambda: upload.stored_bytes > (4 << 30) + 1, "more than 32 bits can count is stored", DEADLINE_S
    )
    stage.server.restart()
    client.end()
    finish(RESUME, upload, file)
