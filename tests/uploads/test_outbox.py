"""The outbox: every app hears what became of its uploads, whatever happens on the way."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from crc32c import crc32c

from incoming.core.errors import WrongState
from incoming.core.lifecycle import State
from incoming.core.news import HandedOver, NotHandedOver, WaitingForApp
from incoming.handover.answers import Answer, Done, FailureKind, Refused, WillFinish, classify, no_answer
from incoming.runtime.logs import JsonFormatter, TextFormatter
from incoming.uploads.service import Uploads
from tests.support.app import DONE, ScriptedApp
from tests.support.fakes import FakeApp
from tests.support.uploads import TIMES, House, arrived, new_claim

CONTENT = b"content"
HANDED_OVER = HandedOver(crc32c(CONTENT))
DOWN = no_answer(FailureKind.CONNECTION_REFUSED, "[Errno 111] Connection refused")
STILL_DOWN = WaitingForApp(DOWN.why)
NOT_FOUND = Refused("the app answered with status 404")

# --- what the app hears --------------------------------------------------------------------------


def test_the_app_hears_everything_about_an_arrival(tmp_path: Path) -> None:
    house, ticket_id = arrived(tmp_path, Done(), backendSecret="s3cret")
    assert house.app.forms == [
        {
            "id": ticket_id,
            "filename": str(tmp_path / "data" / ticket_id / ticket_id),
            "filenameFromBrowser": "holiday.mov",
            "secret": "s3cret",
            "backendSecret": "s3cret",
            "cancelled": "no",
            "cancelReason": "",
            "crc32c": f"{crc32c(CONTENT):08x}",
        }
    ]


def test_the_app_gets_the_digests_and_the_metadata_that_it_has_asked_for(tmp_path: Path) -> None:
    metadata = '{"album": "ü"}'
    house, _ = arrived(tmp_path, Done(), digest="sha256", metadata=metadata)
    [form] = house.app.forms
    assert form["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert (form["crc32c"], form["metadata"]) == (f"{crc32c(CONTENT):08x}", metadata)


def test_the_app_gets_what_a_client_of_tus_says_of_its_file_however_it_ends(tmp_path: Path) -> None:
    house = House(tmp_path)
    for end in (house.uploads.complete, lambda claim: house.uploads.cancel_by_client(claim, "enough")):
        claim = replace(new_claim(0), upload_metadata="filename YQ==,secret")
        end(house.uploads.claim(house.new_ticket(), claim, lambda _: None))
        house.runtime.settle()
        assert house.app.forms[-1]["uploadMetadata"] == "filename YQ==,secret"
    house.arrive(house.new_ticket())
    assert "uploadMetadata" not in house.app.forms[-1]


def test_a_checksum_has_eight_digits_that_of_nothing_too(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.arrive(house.new_ticket(), b"")
    assert house.app.forms[0]["crc32c"] == "00000000"


def test_an_upload_that_was_called_off_has_metadata_and_no_digests(tmp_path: Path) -> None:
    house = House(tmp_path)
    ticket_id = house.new_ticket(digest="sha256", metadata="{}")
    house.uploads.cancel_by_client(house.claim(ticket_id, 10).claim, "changed my mind")
    house.runtime.settle()
    [form] = house.app.forms
    assert form["metadata"] == "{}"
    assert not {"crc32c", "sha256"} & set(form)


def test_the_app_hears_everything_about_a_cancellation(tmp_path: Path) -> None:
    house = House(tmp_path)
    ticket_id = house.new_ticket()
    house.uploads.cancel_by_client(house.claim(ticket_id, 10, "a/b.txt").claim, "changed my mind")
    house.runtime.settle()
    assert house.app.forms == [
        {
            "id": ticket_id,
            "filename": "",
            "filenameFromBrowser": "b.txt",
            "secret": "",
            "backendSecret": "",
            "cancelled": "yes",
            "cancelReason": "changed my mind",
        }
    ]


def test_a_ticket_that_nobody_used_has_a_file_name_all_the_same(tmp_path: Path) -> None:
    house = House(tmp_path)
    ticket_id = house.new_ticket()
    house.uploads.expire(house.ticket(ticket_id), "idle for too long")
    house.runtime.settle()
    assert house.app.forms[0]["filenameFromBrowser"] == "upload"


def test_a_real_app_gets_a_real_call(tmp_path: Path, app: ScriptedApp) -> None:
    app.answers = [DONE]
    house = House(tmp_path)
    house.uploads = Uploads(house.context)  # it makes real calls
    ticket_id = house.new_ticket(signalFinishURL=app.url)
    house.arrive(ticket_id, CONTENT)
    [delivery] = app.deliveries
    assert (delivery.id, delivery.size_bytes) == (ticket_id, len(CONTENT))
    assert house.state(ticket_id) is State.FINISHED


# --- done, wait, finish --------------------------------------------------------------------------


def test_done_finishes_and_removes_the_file(tmp_path: Path) -> None:
    house, ticket_id = arrived(tmp_path, Done())
    assert house.state(ticket_id) is State.FINISHED
    assert not house.file(ticket_id).parent.exists()


def test_done_leaves_a_file_that_is_the_apps_own(tmp_path: Path) -> None:
    house, ticket_id = arrived(tmp_path, Done(), removeFileWhenFinished="false")
    assert house.file(ticket_id).read_bytes() == CONTENT


def test_only_an_empty_folder_is_left_of_a_moved_file_and_it_goes(tmp_path: Path) -> None:
    def move(form: dict[str, str]) -> Answer:
        shutil.move(form["filename"], tmp_path / "moved")
        return Done()

    house, ticket_id = arrived(tmp_path, move, removeFileWhenFinished="false")
    assert (tmp_path / "moved").read_bytes() == CONTENT
    assert not house.file(ticket_id).parent.exists()


def test_wait_keeps_the_file_until_the_app_finishes(tmp_path: Path) -> None:
    house, ticket_id = arrived(tmp_path, WillFinish())
    assert house.state(ticket_id) is State.WAITING
    assert house.file(ticket_id).read_bytes() == CONTENT
    house.uploads.finish(ticket_id, "")
    house.uploads.finish(ticket_id, "")  # its answer was lost
    assert house.state(ticket_id) is State.FINISHED
    assert not house.file(ticket_id).exists()


@pytest.mark.parametrize("answer", [WillFinish(), Done(), NOT_FOUND, DOWN])
def test_an_app_that_finishes_before_it_answers_has_finished(tmp_path: Path, answer: Answer) -> None:
    house = House(tmp_path)
    ticket_id = house.new_ticket()

    def finish_first(form: dict[str, str]) -> Answer:
        house.uploads.finish(form["id"], "")
        return answer

    house.app.answers = [finish_first]
    client = house.arrive(ticket_id, CONTENT)
    house.runtime.advance(1000)
    assert house.state(ticket_id) is State.FINISHED
    assert len(house.app.forms) == 1
    assert set(client.news) - {STILL_DOWN} == {HANDED_OVER}


def test_an_app_that_finishes_just_before_it_is_called_again_is_not_called(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house, ticket_id = arrived(tmp_path, DOWN)
    with house.runtime.held("write"):
        house.runtime.spawn(house.uploads.finish, ticket_id, "")
        house.runtime.advance(5)
    house.runtime.advance(100)
    assert house.state(ticket_id) is State.FINISHED
    assert len(house.app.forms) == 1
    assert "could not be notified" not in caplog.text


# --- trying again --------------------------------------------------------------------------------


def test_an_app_that_is_down_is_called_with_growing_delays(tmp_path: Path) -> None:
    called_at_s: list[float] = []
    house = House(tmp_path, **TIMES)

    def note(form: dict[str, str]) -> Answer:
        called_at_s.append(house.runtime.time_s)
        return Done() if len(called_at_s) == 7 else DOWN

    house.app.answers = [note]
    ticket_id = house.new_ticket()
    client = house.arrive(ticket_id, CONTENT)
    house.runtime.advance(60)
    delays = [later - earlier for earlier, later in pairwise(called_at_s)]
    assert delays == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert house.state(ticket_id) is State.FINISHED
    assert client.news == [STILL_DOWN] * 6 + [HANDED_OVER]


def test_an_app_that_is_down_for_too_long_fails_the_handover_and_the_file_stays(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(DOWN), **TIMES)
    ticket_id = house.new_ticket()
    client = house.arrive(ticket_id, CONTENT)
    house.runtime.advance(99)
    assert house.state(ticket_id) is State.HANDING_OVER
    house.runtime.advance(10)
    assert house.state(ticket_id) is State.FAILED
    calls = len(house.app.forms)
    house.runtime.advance(1000)
    assert len(house.app.forms) == calls
    assert [type(n) for n in client.news if n != STILL_DOWN] == [NotHandedOver]
    assert house.file(ticket_id).read_bytes() == CONTENT


@pytest.mark.parametrize(("asked_s", "calls_at_s"), [(5.0, [5.625, 11.25]), (1e9, [9.0, 18.0])])
def test_an_app_that_asks_for_a_delay_is_not_called_earlier_up_to_the_longest_delay(
    tmp_path: Path, asked_s: float, calls_at_s: list[float]
) -> None:
    house = House(tmp_path, **TIMES)
    called_at_s: list[float] = []

    def busy(form: dict[str, str]) -> Answer:
        called_at_s.append(house.runtime.time_s)
        return classify(503, b"busy", str(asked_s), asked_s)

    house.app.answers = [busy]
    house.arrive(house.new_ticket(), CONTENT)
    house.runtime.advance(20)
    assert [later - called_at_s[0] for later in called_at_s[1:3]] == calls_at_s


def test_why_an_app_gives_no_answer_is_known_for_as_long_as_it_is_asked_again(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(DOWN, DOWN, Done()), **TIMES)
    ticket_id = house.new_ticket()
    house.arrive(ticket_id, CONTENT)
    assert house.uploads.outbox.last_failure(ticket_id) == no_answer(DOWN.kind)
    house.runtime.advance(10)
    assert house.state(ticket_id) is State.FINISHED
    assert house.uploads.outbox.last_failure(ticket_id) is None
    assert house.context.counters.call_failures == {"connection_refused": 2}


def test_why_an_app_does_not_hear_of_a_cancellation_is_known_too(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(DOWN), **TIMES)
    ticket_id = house.new_ticket()
    house.uploads.expire(house.ticket(ticket_id), "idle for too long")
    house.runtime.settle()
    assert house.uploads.outbox.last_failure(ticket_id) == no_answer(DOWN.kind)


def test_the_log_says_what_was_wrong_and_in_detail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    arrived(tmp_path, DOWN)
    assert "it refuses connections ([Errno 111] Connection refused)" in caplog.text


def test_what_an_app_answered_is_logged_in_part_and_without_secrets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    def echo(form: dict[str, str]) -> Answer:
        return classify(200, f"{form['id']} {form['secret']} {form['metadata']} {'x' * 3000}".encode())

    house, ticket_id = arrived(tmp_path, echo, backendSecret="s3cret", metadata='{"a": 1}')
    [line] = [line for line in caplog.text.splitlines() if "neither done nor wait (" in line]
    assert f'(answer: "{ticket_id[:8]}... *** *** xxx' in line
    assert len(line) < 400
    assert ticket_id not in caplog.text
    assert "s3cret" not in caplog.text
    assert house.ticket(ticket_id).reason == "the app answered neither done nor wait"


@pytest.mark.parametrize("body", [b"a\nERROR forged", b"\x1b[31mred", b"\x00\xff", "\u202eabc".encode()])
def test_what_an_app_answered_cannot_write_lines_of_its_own_into_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    caplog.set_level("INFO")
    arrived(tmp_path, classify(200, body))
    [record] = [r for r in caplog.records if "neither done nor wait (" in r.getMessage()]
    line = TextFormatter().format(record)
    assert line.isprintable()
    assert len(JsonFormatter().format(record).splitlines()) == 1


def test_a_refusal_fails_at_once_and_is_told_in_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path, FakeApp(NOT_FOUND), **TIMES)
    ticket_id = house.new_ticket()
    client = house.arrive(ticket_id, CONTENT)
    [news] = client.news
    assert isinstance(news, NotHandedOver)
    assert "status 404" in str(news.error)
    assert house.state(ticket_id) is State.FAILED
    assert house.file(ticket_id).read_bytes() == CONTENT
    assert "retry_upload" in caplog.text
    assert ticket_id not in caplog.text
    assert house.context.counters.refusals == {("handover", "handover_failed"): 1}


def test_a_failed_handover_is_tried_again_when_the_app_asks(tmp_path: Path) -> None:
    house, ticket_id = arrived(tmp_path, NOT_FOUND, Done())
    house.uploads.retry(ticket_id, "")
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED
    with pytest.raises(WrongState):
        house.uploads.retry(ticket_id, "")


def test_a_cancellation_is_told_until_the_app_answers_whatever_it_says(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(DOWN, DOWN, NOT_FOUND), **TIMES)
    ticket_id = house.new_ticket()
    house.uploads.cancel_by_client(house.claim(ticket_id, 10).claim, "")
    house.runtime.advance(2)
    assert not house.ticket(ticket_id).app_told
    house.runtime.advance(100)
    assert house.ticket(ticket_id).app_told
    assert len(house.app.forms) == 3


def test_an_app_that_stays_away_need_not_hear_of_a_cancellation_for_ever(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(DOWN), **TIMES)
    ticket_id = house.new_ticket()
    house.uploads.cancel_by_client(house.claim(ticket_id, 10).claim, "")
    house.runtime.advance(120)
    assert house.ticket(ticket_id).may_be_forgotten


def test_only_one_call_is_under_way_for_a_ticket(tmp_path: Path) -> None:
    house = House(tmp_path, **TIMES)

    def answer_slowly(form: dict[str, str]) -> Answer:
        house.runtime.sleep(50)
        return Done()

    house.app.answers = [answer_slowly]
    ticket_id = house.new_ticket()
    house.arrive(ticket_id, CONTENT)
    for _ in range(3):
        house.uploads.outbox.start(ticket_id)
        house.runtime.advance(10)
    assert len(house.app.forms) == 1
    house.runtime.advance(50)
    assert house.state(ticket_id) is State.FINISHED


def test_a_disk_that_fails_at_the_answer_costs_a_second_call_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path, FakeApp(Done()), **TIMES)
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, len(CONTENT))
    house.uploads.write(client.claim, memoryview(CONTENT))
    house.uploads.complete(client.claim)
    with house.journal_broken():
        house.runtime.settle()
    assert house.state(ticket_id) is State.HANDING_OVER
    assert house.file(ticket_id).exists(), "nothing is removed before the answer is journaled"
    assert "could not be notified: The server could not store" in caplog.text
    assert "Traceback" not in caplog.text
    house.runtime.advance(10)
    assert house.state(ticket_id) is State.FINISHED
    assert len(house.app.forms) == 2


def test_a_stopped_outbox_calls_nobody(tmp_path: Path) -> None:
    house, ticket_id = arrived(tmp_path, DOWN)
    house.uploads.stop()
    house.runtime.advance(1000)
    assert len(house.app.forms) == 1
    assert house.state(ticket_id) is State.HANDING_OVER


def test_a_ticket_that_is_forgotten_meanwhile_is_not_a_defect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house, ticket_id = arrived(tmp_path, DOWN)
    house.context.registry.forget(ticket_id)
    house.runtime.advance(10)
    assert "could not be notified" not in caplog.text
