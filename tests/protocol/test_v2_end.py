"""How a conversation of version 2 ends: complete, cancelled, with an error, or for a while."""

from __future__ import annotations

import pytest

from incoming.core import errors, news
from incoming.core.news import HandedOver, Interrupted
from incoming.protocol import events, messages
from incoming.protocol.events import (
    Action,
    CancelUpload,
    ChunkReceived,
    Claimed,
    CloseConnection,
    CompleteUpload,
    Event,
    Failed,
    Phase,
    Send,
    Stored,
)
from incoming.protocol.flow_control import limits_of
from incoming.protocol.messages import MsgAgree, MsgCancel, MsgComplete, MsgNews
from incoming.settings.table import Settings
from tests.protocol.test_v2 import (
    COMPLETE,
    LENGTH_BYTES,
    MEANT,
    NORMAL,
    REFUSED,
    REQUEST,
    after,
    in_phase,
    receiving,
    refusal,
    stored_up_to,
)

CANCEL_ACK = Send(messages.MsgCancelAck(True))
HANDING_OVER = Send(MsgNews("handing_over", why="the app is being told"))
ALL_DONE = Send(messages.MsgAllDoneV2(True, 7))

# --- the end -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length_bytes", [0, LENGTH_BYTES])
def test_an_upload_is_complete_when_its_client_says_so_and_not_before(length_bytes: int) -> None:
    session = after(REQUEST, Claimed(length_bytes, length_bytes), MsgAgree(()))
    assert session.phase is Phase.RECEIVING, "all bytes are there, and one word is missing"
    assert session.handle(MsgComplete(7, 0)) == [CompleteUpload(7)]
    assert session.handle(events.Completed()) == [HANDING_OVER]
    assert session.handle(HandedOver(7)) == [ALL_DONE, NORMAL]


def test_the_last_chunk_alone_completes_nothing() -> None:
    session = receiving(4096)
    session.handle(ChunkReceived(904, 4096))
    assert session.handle(Stored(904)) == [stored_up_to(LENGTH_BYTES)]
    assert session.phase is Phase.RECEIVING


def test_an_end_while_bytes_are_missing_asks_for_them() -> None:
    session = receiving(1000)
    assert session.handle(MsgComplete(7, 0)) == [Send(messages.MsgResend(1000, 1))]
    assert session.handle(MsgComplete(7, 0)) == [], "that is of an earlier round"
    assert session.handle(MsgComplete(7, 1)) == [Send(messages.MsgResend(1000, 2))]


def test_an_end_of_a_later_round_is_one_and_gets_the_round_that_counts() -> None:
    """The word that asked for something again was spoiled on its way."""
    session = receiving(1000)
    assert session.handle(MsgComplete(7, 5)) == [Send(messages.MsgResend(1000, 1))]
    session = receiving(LENGTH_BYTES)
    assert session.handle(MsgComplete(7, 5)) == [CompleteUpload(7)]


def test_an_end_of_an_earlier_round_is_none_even_when_all_is_there() -> None:
    session = receiving(4096)
    session.handle(ChunkReceived(904, 4096, intact=False))
    session.handle(ChunkReceived(904, 4096, 1))
    session.handle(Stored(904))
    assert session.handle(MsgComplete(7, 0)) == []
    assert session.handle(MsgComplete(7, 1)) == [CompleteUpload(7)]


def test_a_file_that_does_not_agree_as_a_whole_is_told_and_can_be_mended() -> None:
    assert in_phase(Phase.COMPLETING).handle(Failed(errors.Damaged())) == refusal(errors.Damaged(), 1013)


def test_a_result_that_comes_before_the_completion_itself_is_told_after_it() -> None:
    session = in_phase(Phase.COMPLETING)
    assert session.handle(HandedOver(7)) == []
    assert session.handle(events.Completed()) == [ALL_DONE, NORMAL]


def test_a_client_is_told_that_the_app_can_not_be_reached() -> None:
    waiting = news.WaitingForApp("the app answered with status 500")
    told = MsgNews("waiting_for_app", why="the app answered with status 500")
    assert in_phase(Phase.ARRIVED).handle(waiting) == [Send(told)]


def test_a_client_that_comes_back_during_the_handover_waits_for_the_result() -> None:
    session = after(REQUEST, Claimed(LENGTH_BYTES, LENGTH_BYTES, arrived=True))
    assert session.handle(MsgAgree(())) == [HANDING_OVER]
    assert session.handle(HandedOver(7)) == [ALL_DONE, NORMAL]


WATCHING = Claimed(LENGTH_BYTES, LENGTH_BYTES, arrived=True)
FINISHED = Claimed(LENGTH_BYTES, LENGTH_BYTES, arrived=True, finished=HandedOver(7))


UNAWARE = Claimed(LENGTH_BYTES, LENGTH_BYTES)


@pytest.mark.parametrize(
    "news",
    [[FINISHED], [HandedOver(7), WATCHING], [WATCHING, HandedOver(7)], [UNAWARE, HandedOver(7)]],
)
def test_a_finish_before_the_agreement_is_told_after_it(news: list[Event]) -> None:
    session = after(REQUEST)
    assert ALL_DONE not in [action for event in news for action in session.handle(event)]
    assert session.handle(MsgAgree(())) == [ALL_DONE, NORMAL]


# --- cancelling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.AGREEING, Phase.RECEIVING])
def test_a_cancellation_is_acknowledged_once_it_counts_and_then_the_connection_closes(phase: Phase) -> None:
    session = in_phase(phase)
    assert session.handle(MsgCancel("no more")) == [CancelUpload("no more")]
    assert session.handle(events.CancelAccepted()) == [CANCEL_ACK, NORMAL]


@pytest.mark.parametrize(("claim", "actions"), [(WATCHING, [HANDING_OVER]), (FINISHED, [ALL_DONE, NORMAL])])
def test_a_cancellation_that_comes_too_late_gets_the_result(claim: Claimed, actions: list[Action]) -> None:
    session = after(REQUEST, claim, MsgCancel("no more"))
    assert session.handle(events.CancelTooLate()) == actions


@pytest.mark.parametrize(
    ("said", "reason"), [("", "cancelled by the user"), ("x" * 2000, "x" * 1000), ("<&>", "<&>")]
)
def test_a_reason_is_never_empty_and_never_long(said: str, reason: str) -> None:
    assert receiving().handle(MsgCancel(said)) == [CancelUpload(reason)]


# --- errors, and what is none ----------------------------------------------------------------------------


def test_a_stopping_server_says_when_to_come_back() -> None:
    stopping = errors.Stopping()
    actions = receiving().handle(Interrupted(stopping))
    assert actions == [Send(MsgNews("stopping", 2.0, str(stopping))), CloseConnection(1012, str(stopping))]


def test_where_servers_share_uploads_clients_of_a_stopping_one_reconnect_sooner() -> None:
    own, shared = (Settings(registry=registry, storage="s3://b/p") for registry in ("", "redis://localhost"))
    assert (limits_of(own).retry_after_s, limits_of(shared).retry_after_s) == (2.0, 0.3)


def test_a_newer_connection_is_an_error_of_its_own() -> None:
    assert receiving().handle(Interrupted(errors.TakenOver())) == refusal(errors.TakenOver(), 4001)


@pytest.mark.parametrize("phase", [Phase.OPENING, Phase.AGREEING, Phase.RECEIVING, Phase.COMPLETING])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UnknownTicket(), 1000),
        (errors.LengthMismatch(MEANT, 2), 1000),
        (errors.UploadTooLarge(2, 1), 1000),
        (errors.UploadCancelled(), 1000),
        (errors.UploadExpired(), 1000),
        (REFUSED, 1000),
        (errors.TakenOver(), 4001),
        (errors.Stopping(), 1012),
        (errors.StorageFull(), 1013),
        (errors.StorageFailed(), 1013),
        (errors.InternalError(), 1013),
    ],
    ids=lambda value: getattr(value, "code", None),
)
def test_an_error_is_told_and_the_close_says_whether_to_come_back(
    phase: Phase, error: errors.IncomingError, code: int
) -> None:
    assert in_phase(phase).handle(Failed(error)) == refusal(error, code)


@pytest.mark.parametrize("phase", [Phase.AGREEING, Phase.RECEIVING, Phase.COMPLETING, Phase.ARRIVED])
def test_a_text_that_can_not_be_read_was_damaged_on_its_way(phase: Phase) -> None:
    unreadable = events.MalformedMessage(errors.BadMessage("A message is not JSON."))
    actions = in_phase(phase).handle(unreadable)
    told = [action.message for action in actions if isinstance(action, Send)]
    assert [(m.code, m.retryable) for m in told if isinstance(m, messages.MsgErrorV2)] == [("damaged", True)]
    assert isinstance(actions[-1], CloseConnection) and actions[-1].code == 1013


@pytest.mark.parametrize(
    ("event", "what"),
    [(ChunkReceived(1), "A chunk"), (COMPLETE, "MsgComplete"), (messages.MsgAck(True), "MsgAck")],
)
def test_what_has_no_place_is_named_in_the_error(event: Event, what: str) -> None:
    expected = refusal(errors.BadMessage(f"{what} is not expected now."))
    assert in_phase(Phase.AGREEING).handle(event) == expected
