"""Version negotiation: the client's first message selects the version of the whole session."""

from __future__ import annotations

from incoming.protocol.events import Actions, Event, Phase
from incoming.protocol.flow_control import Limits
from incoming.protocol.messages import MsgUploadReq
from incoming.protocol.v1 import SessionV1
from incoming.protocol.v2 import VERSION, SessionV2


class NegotiatedSession:
    """One session, in the version that its client asks for."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._session: SessionV1 | SessionV2 = SessionV1(limits)

    @property
    def phase(self) -> Phase:
        """Where the session is."""
        return self._session.phase

    @property
    def is_v2(self) -> bool:
        """Whether the client speaks version 2. Its chunks have headers, and it understands MsgPong."""
        return isinstance(self._session, SessionV2)

    def handle(self, event: Event) -> Actions:
        """Returns the actions that follow from `event`, in order. Raises nothing."""
        opening = self._session.phase is Phase.OPENING
        if opening and isinstance(event, MsgUploadReq) and event.version >= VERSION:
            self._session = SessionV2(self._limits)
        return self._session.handle(event)
