"""What axe finds wrong with a page for those who hear it, or see little of it.

https://github.com/dequelabs/axe-core
"""

from __future__ import annotations

from typing import Final

from tests.support.browser import PHONE
from tests.support.engines import WIDE, Chromium
from tests.support.server import ROOT

AXE: Final = ROOT / "node_modules" / "axe-core" / "axe.min.js"
GRAVE: Final = {"serious", "critical"}


def complaints(driver: Chromium) -> list[str]:
    """Returns what axe finds on the page as it is, each with the elements that it is about."""
    assert AXE.exists(), "axe is not installed: run `npm ci`, or `make test`"
    driver.execute_script(AXE.read_text("utf-8"))
    found = driver.execute_async_script("axe.run().then(arguments[0], (e) => arguments[0](String(e)))")
    assert isinstance(found, dict), found
    assert found["passes"], "it has looked at something"
    return [
        f"{rule['impact']}: {rule['help']}: {[node['html'] for node in rule['nodes']]}"
        for rule in found["violations"]
    ]


def grave(driver: Chromium) -> list[str]:
    """Returns what is serious or critical in light and in dark, on a wide page and on a phone."""
    found: list[str] = []
    for scheme, width_px in (("light", WIDE), ("dark", WIDE), ("light", PHONE)):
        driver.look_like(scheme, width_px)
        found += [text for text in complaints(driver) if text.split(":")[0] in GRAVE]
    driver.look_like("light", WIDE)
    return found
