"""Every event in every phase of a conversation of version 2, as one table."""

from __future__ import annotations

from typing import Final

import pytest

from incoming.core import errors, news
from incoming.core.news import Durable, HandedOver, Interrupted
from incoming.protocol import events, messages
from incoming.protocol.events import (
    Action,
    ChunkReceived,
    Claimed,
    CloseConnection,
    ContentVerified,
    Event,
    Failed,
    Phase,
    ReleaseTicket,
    Send,
    Stored,
)
from incoming.protocol.messages import MsgAgree, MsgCancel, MsgErrorV2, MsgNews, MsgStored, ToClient
from tests.protocol.test_v2 import COMPLETE, LENGTH_BYTES, REFUSED, REQUEST, in_phase

EVENTS: Final[dict[str, Event]] = {
    "ConnectionOpened": events.ConnectionOpened(),
    "MsgUploadReq": REQUEST,
    "MsgAck": messages.MsgAck(True),
    "MsgPause": messages.MsgPause(True),
    "MsgError": messages.MsgError(1, "no"),
    "MsgCancel": MsgCancel("no"),
    "MsgAgree": MsgAgree((1,)),
    "MsgComplete": COMPLETE,
    "MsgLeaveOut": messages.MsgLeaveOut(0),
    "MsgPing": messages.MsgPing(),
    "MalformedMessage": events.MalformedMessage(errors.BadMessage("A message is not JSON.")),
    "ChunkReceived": ChunkReceived(1),
    "Claimed": Claimed(0, LENGTH_BYTES),
    "ContentVerified": ContentVerified(),
    "Stored": Stored(1),
    "LeftOut": events.LeftOut(1),
    "Durable": Durable(1),
    "Failed": Failed(REFUSED),
    "Completed": events.Completed(),
    "CancelAccepted": events.CancelAccepted(),
    "CancelTooLate": events.CancelTooLate(),
    "CalledOff": news.CalledOff(errors.UploadExpired()),
    "HandedOver": HandedOver(7),
    "WaitingForApp": news.WaitingForApp(),
    "NotHandedOver": news.NotHandedOver(REFUSED),
    "Interrupted": Interrupted(errors.Stopping()),
    "TimedOut": events.TimedOut(Phase.OPENING),
}
# -  nothing             E  MsgError, then close    A  MsgCancelAck, then close    D  MsgAllDone, then close
# X  MsgNews, then close   P  MsgPong   S  MsgStored   N  MsgNews   W  MsgNews, now waiting for the result
# *  something of its own: see test_v2 and test_v2_end
TABLE: Final = """
                 OPENING AGREEING RECEIVING COMPLETING ARRIVED CLOSED
ConnectionOpened    -       -         -         -         -      -
MsgUploadReq        *       E         E         E         E      -
MsgAck              E       E         E         E         E      -
MsgPause            E       E         E         E         E      -
MsgError            E       E         E         E         E      -
MsgCancel           -       *         *         -         N      -
MsgAgree            E       *         E         E         E      -
MsgComplete         E       E         *         -         -      -
MsgLeaveOut         E       E         E         E         E      -
MsgPing             P       P         P         P         P      -
MalformedMessage    E       E         E         E         E      -
ChunkReceived       E       E         *         S         S      -
Claimed             *       -         -         -         -      -
ContentVerified     -       *         -         -         -      -
Stored              -       -         *         -         -      -
LeftOut             -       S         S         -         -      -
Durable             -       -         *         -         -      -
Failed              E       E         E         E         E      -
Completed           -       -         -         W         -      -
CancelAccepted      -       A         A         -         -      -
CancelTooLate       -       W         W         -         -      -
CalledOff           E       E         E         E         E      -
HandedOver          -       -         D         -         D      -
WaitingForApp       -       -         -         -         N      -
NotHandedOver       E       E         E         E         E      -
Interrupted         X       X         X         X         X      -
TimedOut            -       -         -         -         -      -
"""
PHASES, *ROWS = [line.split() for line in TABLE.strip().splitlines()]
CELLS = [(Phase[phase], name, cell) for name, *row in ROWS for phase, cell in zip(PHASES, row, strict=True)]
REACTIONS: Final[dict[str, tuple[list[type[Action | ToClient]], Phase | None]]] = {
    "-": ([], None),
    "E": ([ReleaseTicket, MsgErrorV2, CloseConnection], Phase.CLOSED),
    "A": ([messages.MsgCancelAck, CloseConnection], Phase.CLOSED),
    "D": ([messages.MsgAllDoneV2, CloseConnection], Phase.CLOSED),
    "X": ([MsgNews, CloseConnection], Phase.CLOSED),
    "P": ([messages.MsgPong], None),
    "S": ([MsgStored], None),
    "N": ([MsgNews], None),
    "W": ([MsgNews], Phase.ARRIVED),
}


@pytest.mark.parametrize(("phase", "name", "cell"), [cell for cell in CELLS if cell[2] != "*"])
def test_every_event_in_every_phase_does_what_the_table_says(phase: Phase, name: str, cell: str) -> None:
    session = in_phase(phase)
    actions = session.handle(EVENTS[name])
    kinds, next_phase = REACTIONS[cell]
    assert [type(a.message) if isinstance(a, Send) else type(a) for a in actions] == kinds
    assert session.phase is (next_phase or phase)


def test_the_table_has_every_event_and_every_phase_but_those_of_last_words() -> None:
    assert {row[0] for row in ROWS} == {kind.__name__ for kind in Event.__args__}
    assert {phase.name for phase in Phase} - {"CANCELLING", "REFUSED", "PAUSED"} == set(PHASES)
