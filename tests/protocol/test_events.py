"""Every event in every phase of a session, as one table; and the codes with which a connection closes."""

from __future__ import annotations

from typing import Final

import pytest

from incoming.core import errors, news
from incoming.core.news import Durable
from incoming.protocol import events, messages
from incoming.protocol.events import Action, CloseConnection, Event, Phase, ReleaseTicket, Send, StartTimer
from incoming.protocol.messages import MsgAck, MsgCancel, MsgError, MsgPause, ToClient
from tests.protocol.test_v1 import LASTING, LENGTH_BYTES, REQUEST, in_phase

EVENTS: Final[dict[str, Event]] = {
    "ConnectionOpened": events.ConnectionOpened(),
    "MsgUploadReq": REQUEST,
    "MsgAck": MsgAck(True),
    "MsgPause": MsgPause(True),
    "MsgCancel": MsgCancel("no"),
    "MsgError": MsgError(1, "no"),
    "MalformedMessage": events.MalformedMessage(errors.BadMessage("A message is not JSON.")),
    "ChunkReceived": events.ChunkReceived(1),
    "Claimed": events.Claimed(0, LENGTH_BYTES),
    "Stored": events.Stored(1),
    "Durable": Durable(1),
    "Failed": events.Failed(LASTING),
    "CancelAccepted": events.CancelAccepted(),
    "CancelTooLate": events.CancelTooLate(),
    "CalledOff": news.CalledOff(errors.UploadExpired()),
    "HandedOver": news.HandedOver(),
    "NotHandedOver": news.NotHandedOver(LASTING),
    "Interrupted": news.Interrupted(errors.Stopping()),
    "TimedOut": events.TimedOut(Phase.OPENING),
}
# -  nothing       E  MsgError, then wait for MsgCancel       A  MsgCancelAck, then close
# X  close         D  MsgAllDone, then close                  *  something of its own: see test_v1
TABLE: Final = """
                 OPENING AGREEING RECEIVING ARRIVED CANCELLING REFUSED PAUSED CLOSED
ConnectionOpened    *       -         -        -        -         -      -      -
MsgUploadReq        *       E         E        E        -         -      -      -
MsgAck              E       *         E        -        -         -      -      -
MsgPause            E       *         *        -        -         -      -      -
MsgCancel           A       *         *        -        A         A      -      -
MsgError            E       *         *        -        -         -      -      -
MalformedMessage    E       E         E        E        -         -      -      -
ChunkReceived       E       E         *        E        -         -      -      -
Claimed             *       -         -        -        -         -      -      -
Stored              -       -         *        -        -         -      -      -
Durable             -       -         -        -        -         -      -      -
Failed              E       E         E        E        -         -      -      -
CancelAccepted      -       X         X        -        X         -      -      -
CancelTooLate       -       *         *        -        -         -      -      -
CalledOff           E       E         *        E        -         -      -      -
HandedOver          -       -         D        D        -         -      -      -
NotHandedOver       E       E         E        E        -         -      -      -
Interrupted         X       X         X        X        X         X      X      -
TimedOut            X       X         -        -        E         X      X      -
"""
PHASES, *ROWS = [line.split() for line in TABLE.strip().splitlines()]
CELLS = [(Phase[phase], name, cell) for name, *row in ROWS for phase, cell in zip(PHASES, row, strict=True)]
REACTIONS: Final[dict[str, tuple[list[type[Action | ToClient]], Phase | None]]] = {
    "-": ([], None),
    "E": ([ReleaseTicket, MsgError, StartTimer], Phase.REFUSED),
    "A": ([messages.MsgCancelAck, CloseConnection], Phase.CLOSED),
    "D": ([messages.MsgAllDone, CloseConnection], Phase.CLOSED),
    "X": ([CloseConnection], Phase.CLOSED),
}


@pytest.mark.parametrize(("phase", "name", "cell"), [cell for cell in CELLS if cell[2] != "*"])
def test_every_event_in_every_phase_does_what_the_table_says(phase: Phase, name: str, cell: str) -> None:
    session = in_phase(phase)
    actions = session.handle(events.TimedOut(phase) if name == "TimedOut" else EVENTS[name])
    kinds, next_phase = REACTIONS[cell]
    assert [type(a.message) if isinstance(a, Send) else type(a) for a in actions] == kinds
    assert session.phase is (next_phase or phase)


def test_the_table_has_every_phase_and_every_event() -> None:
    assert {phase.name for phase in Phase} - {"COMPLETING"} == set(PHASES)  # which is of version 2
    assert {row[0] for row in ROWS} == set(EVENTS)


@pytest.mark.parametrize("phase", [Phase.RECEIVING, Phase.CANCELLING, Phase.REFUSED])
def test_the_timer_of_an_earlier_phase_means_nothing(phase: Phase) -> None:
    session = in_phase(phase)
    assert session.handle(events.TimedOut(Phase.OPENING)) == []
    assert session.phase is phase


# --- what can be mended: the connection closes without a message -----------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.TakenOver(), 4001),
        (errors.Stopping(), 1012),
        (errors.StorageFull(), 1013),
        (errors.StorageFailed(), 1013),
        (errors.InternalError(), 1013),
    ],
)
@pytest.mark.parametrize("phase", [Phase.OPENING, Phase.AGREEING, Phase.RECEIVING, Phase.ARRIVED])
def test_a_retryable_error_closes_without_a_message(
    phase: Phase, error: errors.IncomingError, code: int
) -> None:
    assert in_phase(phase).handle(events.Failed(error)) == [CloseConnection(code, str(error))]


@pytest.mark.parametrize(("error", "code"), [(errors.TakenOver(), 4001), (errors.Stopping(), 1012)])
def test_news_of_an_interruption_close_with_their_own_code(
    error: errors.TakenOver | errors.Stopping, code: int
) -> None:
    assert in_phase(Phase.RECEIVING).handle(news.Interrupted(error)) == [CloseConnection(code, str(error))]


def test_a_connection_that_names_no_ticket_is_closed() -> None:
    told = in_phase(Phase.OPENING).handle(events.TimedOut(Phase.OPENING))
    assert told == [CloseConnection(1008, "no answer")]
