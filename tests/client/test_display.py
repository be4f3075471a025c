"""What is written to a terminal, and what to a log: in time that the test moves."""

from __future__ import annotations

import io
from unittest.mock import patch

from incoming.client.display import Display
from incoming.client.protocol.events import ConnectionOpened, File, Options, Tick, Unreachable
from incoming.client.protocol.session import Session


class Terminal(io.TextIOWrapper):
    """A terminal of 80 columns that remembers what was written."""

    def __init__(self, encoding: str = "utf-8", *, tty: bool = True) -> None:
        self.bytes = io.BytesIO()
        self._tty = tty
        super().__init__(self.bytes, encoding)

    def isatty(self) -> bool:
        return self._tty

    @property
    def text(self) -> str:
        return self.bytes.getvalue().decode(self.encoding)


def session() -> Session:
    return Session("t", File("a.mov", 100, 0), Options(), lambda: 0.5, 0.0)


def test_a_terminal_has_one_line_that_is_drawn_ten_times_a_second() -> None:
    with patch.dict("os.environ", TERM="xterm"):
        display = Display(terminal := Terminal())
    for hundredth in range(100):
        display.update(session(), File("a.mov", 1000, 0), hundredth / 100)
    display.print("The end.")
    assert "\n" not in terminal.text.removesuffix("\n")
    assert 9 <= terminal.text.count("\ra.mov") <= 11
    assert terminal.text.endswith("connecting\x1b[K\r\x1b[KThe end.\n")
    assert "░░░" in terminal.text


def test_a_terminal_without_unicode_gets_ascii_only() -> None:
    with patch.dict("os.environ", TERM="xterm"):
        display = Display(terminal := Terminal("ascii"))
    display.update(session(), File("a very long name of a film about a long journey.mov", 1000, 0), 0.0)
    display.print("写真")
    assert "~" in terminal.text
    assert "---" in terminal.text
    assert terminal.text.endswith("??\n")


def test_a_dumb_terminal_gets_no_progress_bar() -> None:
    with patch.dict("os.environ", TERM="dumb"):
        display = Display(terminal := Terminal())
    display.update(session(), File("a.mov", 1000, 0), 0.0)
    assert terminal.text == ""


def test_a_log_has_a_line_now_and_then_and_when_it_waits() -> None:
    display, upload = Display(log := Terminal(tty=False)), session()
    for tick in range(200):
        display.update(upload, File("a.mov", 1000, 0), tick / 10)
    assert log.text.splitlines() == ["a.mov: 0 % of 100 B, connecting"], "nothing new is no news"
    upload.handle(Unreachable("Nobody listens."), 20.0)
    for tick in range(200, 210):
        display.update(upload, File("a.mov", 1000, 0), tick / 10)
    assert log.text.splitlines()[1:] == ["a.mov: 0 % of 100 B, Nobody listens. Trying again in 1 s."]
    upload.handle(Tick(), 21.0)
    upload.handle(ConnectionOpened(), 21.0)
    for tick in range(210, 2000):
        display.update(upload, File("a.mov", 1000, 0), tick / 10)
    assert len(log.text.splitlines()) == 5, "once a minute, to show that it is alive"


def test_a_quiet_display_shows_important_lines_only() -> None:
    display = Display(log := Terminal(tty=False), quiet=True)
    for tick in range(100):
        display.update(session(), File("a.mov", 1000, 0), float(tick))
    display.print("By the way.")
    display.print("It went wrong:\x1b[2J", important=True)
    assert log.text == "It went wrong:?[2J\n"
