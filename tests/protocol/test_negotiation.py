"""Version negotiation: the client's first message decides, and version 1 is unaffected."""

from __future__ import annotations

import pytest

from incoming.core import errors, news
from incoming.protocol import events, messages
from incoming.protocol.events import Claimed, Event, Phase, Send
from incoming.protocol.flow_control import Limits
from incoming.protocol.messages import MsgAck, MsgAgree, MsgUploadReq
from incoming.protocol.negotiation import NegotiatedSession
from incoming.protocol.rules import AGREEING_TIMEOUT_S

LIMITS = Limits(2048, 4, max_chunk_bytes=8192)
IN_VERSION_1 = Send(messages.MsgUploadConf(2, 10, 4))
AGREEING_TIMER = events.StartTimer(Phase.AGREEING, AGREEING_TIMEOUT_S)
CLAIMED = Claimed(10, 5000)


def request(version: int) -> MsgUploadReq:
    return MsgUploadReq("the id", 5000, "a.bin", version)


def after(*story: Event) -> NegotiatedSession:
    conversation = NegotiatedSession(LIMITS)
    for event in (events.ConnectionOpened(), *story):
        conversation.handle(event)
    return conversation


@pytest.mark.parametrize("version", [2, 3, 2**40])
def test_a_request_for_version_2_or_later_is_answered_in_version_2(version: int) -> None:
    conversation = after()
    assert conversation.handle(request(version)) == [events.ClaimTicket(request(version))]
    assert conversation.is_v2
    answer, timer = conversation.handle(CLAIMED)
    assert isinstance(timer, events.StartTimer)
    assert isinstance(answer, Send) and isinstance(answer.message, messages.MsgUploadConfV2)
    assert (answer.message.version, answer.message.max_chunk_bytes) == (2, 8192)


@pytest.mark.parametrize("version", [1, 0, -2])
def test_any_other_request_is_answered_in_version_1(version: int) -> None:
    conversation = after()
    assert conversation.handle(request(version)) == [events.ClaimTicket(request(version))]
    assert not conversation.is_v2
    assert conversation.handle(CLAIMED) == [IN_VERSION_1, AGREEING_TIMER]


@pytest.mark.parametrize("version", [1, 2])
def test_a_session_stays_in_its_version(version: int) -> None:
    agreement = MsgAgree(()) if version == 2 else MsgAck(True)
    conversation = after(request(version), CLAIMED, agreement)
    conversation.handle(request(3 - version))
    assert conversation.is_v2 == (version == 2)
    assert conversation.phase is (Phase.CLOSED if version == 2 else Phase.REFUSED)


def test_the_phase_is_that_of_the_version_that_is_spoken() -> None:
    assert after().phase is Phase.OPENING
    assert after(request(2), CLAIMED).phase is Phase.AGREEING
    assert after(request(1), CLAIMED, MsgAck(True)).phase is Phase.RECEIVING


def test_a_claim_that_fails_is_told_in_the_version_that_was_asked_for() -> None:
    failed = events.Failed(errors.UnknownTicket())
    kinds = {}
    for version in (1, 2):
        actions = after(request(version)).handle(failed)
        kinds[version] = {type(action.message) for action in actions if isinstance(action, Send)}
    assert kinds == {1: {messages.MsgError}, 2: {messages.MsgErrorV2}}


def test_a_client_that_sends_no_request_is_closed() -> None:
    assert after().handle(events.TimedOut(Phase.OPENING)) == [events.CloseConnection(1008, "no answer")]


def test_the_time_for_the_request_is_of_no_interest_once_version_2_is_spoken() -> None:
    assert after(request(2)).handle(events.TimedOut(Phase.OPENING)) == []


# --- version 1 beside the words of version 2 -------------------------------------------------------


@pytest.mark.parametrize("message", [MsgAgree(()), messages.MsgComplete(0, 0), messages.MsgPing()])
@pytest.mark.parametrize("story", [(), (request(1), CLAIMED), (request(1), CLAIMED, MsgAck(True))])
def test_a_message_of_version_2_has_no_place_in_version_1(message: Event, story: tuple[Event, ...]) -> None:
    _, told, _ = after(*story).handle(message)
    words = f"{type(message).__name__} is not expected now."
    assert told == Send(messages.MsgError(errors.BadMessage.number, words))


def test_news_that_only_version_2_has_words_for_are_not_told_in_version_1() -> None:
    arrived = after(request(1), Claimed(5000, 5000, arrived=True), MsgAck(True))
    for heard in (news.WaitingForApp(), events.Completed(), events.ContentVerified()):
        assert arrived.handle(heard) == []
    assert arrived.handle(news.HandedOver(7)) == [
        Send(messages.MsgAllDone(True)),
        events.CloseConnection(1000),
    ]


def test_a_claim_with_something_to_compare_asks_version_1_for_nothing() -> None:
    assert after(request(1)).handle(Claimed(10, 5000, compare=((0, 10),))) == [
        IN_VERSION_1,
        AGREEING_TIMER,
    ]
