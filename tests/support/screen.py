"""A screen that nobody sees, for a browser that can't do without one, and the settings of its desktop."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Final

from tests.support.tools import program

THEMES: Final = {"light": "Adwaita", "dark": "Adwaita-dark"}


class Screen:
    """Xvfb at a display number of its own choice, and xsettingsd, which tells GTK programs how to look.

    A context manager. `display` is what DISPLAY has to be for programs that are to be shown there.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is for the file with the settings."""
        self.display = ""
        self._settings = folder / "xsettings"
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Screen:
        try:
            self._start_screen()
            self._write_settings("light")
            self._start(program("xsettingsd"), "-c", str(self._settings), env=self.environment())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        while self._processes:
            process = self._processes.pop()
            process.kill()
            process.wait()

    def environment(self) -> dict[str, str]:
        """Returns the environment of this process, with the screen."""
        return os.environ | {"DISPLAY": self.display, "GDK_BACKEND": "x11"}

    def wish_for(self, scheme: str) -> None:
        """Tells programs to be "light" or "dark" from now on. They change soon after, not at once."""
        self._write_settings(scheme)
        self._processes[-1].send_signal(signal.SIGHUP)

    def _write_settings(self, scheme: str) -> None:
        self._settings.write_text(f'Net/ThemeName "{THEMES[scheme]}"\n', "ascii")

    def _start_screen(self) -> None:
        """Returns when it can be drawn on: Xvfb chooses the number, and writes it down only then.

        Without a window manager the focus is where the pointer is, in the middle of the screen. On a small
        screen that is inside of every window, and windows may be larger than their screen.
        """
        reading_end, writing_end = os.pipe()
        options = ["-displayfd", str(writing_end), "-screen", "0", "480x480x24", "-nolisten", "tcp"]
        try:
            self._start(program("Xvfb"), *options, pass_fds=(writing_end,))
        finally:
            os.close(writing_end)
        with os.fdopen(reading_end) as numbers:
            number = numbers.readline().strip()
        assert number, "Xvfb ended at its start"
        self.display = f":{number}"

    def _start(
        self, *command: str, env: dict[str, str] | None = None, pass_fds: tuple[int, ...] = ()
    ) -> None:
        null = subprocess.DEVNULL
        process = subprocess.Popen(command, env=env, pass_fds=pass_fds, stdin=null, stdout=null, stderr=null)
        self._processes.append(process)
