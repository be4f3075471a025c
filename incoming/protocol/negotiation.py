"""Which version is spoken is known with the first message; from then on one of the two sessions speaks."""

from __future__ import annotations

from incoming.protocol.events import Actions, Event, Phase
from incoming.protocol.flow_control import Limits
from incoming.protocol.messages import MsgUploadReq
from incoming.protocol.v1 import Session
from incoming.protocol.v2 import VERSION, SessionV2


class Conversation:
    """One conversation, in the version that its client asks for."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._session: Session | SessionV2 = Session(limits)

    @property
    def phase(self) -> Phase:
        """Where the conversation is."""
        return self._session.phase

    @property
    def chunks_have_headers(self) -> bool:
        """Whether binary messages say where they belong (version 2), or are the bytes alone."""
        return isinstance(self._session, SessionV2)

    def handle(self, event: Event) -> Actions:
        """Returns what is to be done about `event`, in this order. Raises nothing."""
        opening = self._session.phase is Phase.OPENING
        if opening and isinstance(event, MsgUploadReq) and event.version >= VERSION:
            self._session = SessionV2(self._limits)
        return self._session.handle(event)
