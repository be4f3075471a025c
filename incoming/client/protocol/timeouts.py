"""How long to wait for the server: for its next word, an acknowledgement, for anything to go on."""

from __future__ import annotations

from typing import Final

CONNECT_PATIENCE_S: Final = 15.0
"""How long the first answer may take."""


class Patience:
    """All times are in seconds of the caller's clock."""

    def __init__(self, give_up_after_s: float, now_s: float) -> None:
        """`give_up_after_s`: how long nothing at all may go on; 0: for ever."""
        self._give_up_after_s = give_up_after_s
        self._progressed_s = now_s
        self.begin(now_s)

    def begin(self, now_s: float) -> None:
        """A connection stands; what it is to keep to is not known yet."""
        self.agree(CONNECT_PATIENCE_S)
        self.hear(now_s)

    def agree(self, silence_s: float, idle_silence_s: float = 0.0) -> None:
        """So long may be silent who is waited for, and who is not (docs/protocol.md, section Silence)."""
        self.silence_s = silence_s
        self._idle_silence_s = max(silence_s, idle_silence_s)

    def be_idle(self) -> None:
        """Nothing of this connection's server is waited for, until the next one."""
        self.silence_s = self._idle_silence_s

    def hear(self, now_s: float) -> None:
        """Something came from the server."""
        self._heard_s, self._pinged = now_s, False

    def progress(self, now_s: float) -> None:
        """Something goes on."""
        self._progressed_s = now_s

    def has_ended(self, now_s: float) -> bool:
        """Returns whether the user wants it to be given up."""
        return bool(self._give_up_after_s) and now_s - self._progressed_s >= self._give_up_after_s

    def is_dead(self, now_s: float, waiting_since_s: float | None) -> bool:
        """Returns whether the connection is; `waiting_since_s`: for the acknowledgement of chunks."""
        waited_s = 0.0 if waiting_since_s is None else now_s - waiting_since_s
        return max(now_s - self._heard_s, waited_s) >= self.silence_s

    def wants_ping(self, now_s: float) -> bool:
        """Returns whether it is time to ask if the server is there: once in each silence."""
        if self._pinged or now_s - self._heard_s < self.silence_s / 2:
            return False
        self._pinged = True
        return True
