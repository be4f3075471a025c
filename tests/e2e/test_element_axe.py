"""<incoming-upload> for those who hear it, see little of it, or want no motion."""

from __future__ import annotations

import re
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.element_gallery import Gallery
from tests.e2e.element_page import ElementPage
from tests.e2e.stage import CRAWL_BYTES_PER_S, Stage
from tests.support.axe import complaints
from tests.support.browser import press
from tests.support.data import MIB
from tests.support.engines import WIDE, Chromium

ENGINES = ("chromium",)

SPOKEN = ("button", "group", "list", "progressbar", "alert")
HEAR = """
    window.said = [];
    const news = root.querySelector('[role=status]');
    new MutationObserver(() => said.push(news.textContent)).observe(news, { childList: true });
"""


def accessible(driver: Chromium) -> list[str]:
    """Returns what a screen reader finds, from top to bottom: roles with names and values, and texts."""
    nodes = {
        node["nodeId"]: node for node in driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    }
    found: list[str] = []

    def read(node: dict[str, Any]) -> None:
        role = node["role"]["value"]
        name = node.get("name", {}).get("value", "").replace("\u00a0", " ")
        if not node["ignored"] and role == "StaticText":
            found.append(name)
        elif not node["ignored"] and role in SPOKEN:
            found.append(
                f"{role} {name} {node['value']['value']}" if role == "progressbar" else f"{role} {name}"
            )
        if role != "button":
            for child in node.get("childIds", []):
                read(nodes[child])

    read(next(node for node in nodes.values() if "parentId" not in node))
    return found


def test_axe_finds_nothing_in_any_state(clean_driver: Chromium, gallery: Gallery) -> None:
    for scheme, width_px in (("light", WIDE), ("dark", 375)):
        clean_driver.look_like(scheme, width_px)
        gallery.open()
        assert complaints(clean_driver) == []


def test_a_screen_reader_tells_a_whole_upload(clean_driver: Chromium, dropzone: Stage) -> None:
    file, _ = dropzone.file("interview.mp3", 4 * MIB, 1)
    page = ElementPage(clean_driver, dropzone, "multiple")
    page.js(HEAR)
    assert accessible(clean_driver)[:5] == [
        "Deliver your files", "group ", page.text("title"), page.text("hint"), "button Choose files",
    ]  # fmt: skip

    dropzone.network.bytes_per_s = CRAWL_BYTES_PER_S
    page.choose(file)
    page.wait_for_bytes("interview.mp3")
    page.wait_until(lambda: page.news() == "1 file added.", "it is said")
    tree = accessible(clean_driver)
    name, facts, *buttons, bar = tree[tree.index("list Uploads") + 1 :][:5]
    assert (name, buttons) == (
        "interview.mp3",
        ["button Pause: interview.mp3", "button Cancel: interview.mp3"],
    )
    percent = re.fullmatch(r"progressbar Progress of interview.mp3 (\d+)", bar)
    assert percent and facts.startswith(f"{percent[1]} %")

    page.js("Math.random = () => 30")  # pauses of a quarter of a minute and more
    dropzone.network.stop()
    page.wait_for("interview.mp3", "Trying again in")
    page.wait_until(lambda: "uploads resume without your help" in page.news(), "it is said")
    dropzone.network.start()
    dropzone.let_go()
    page.js("root.querySelector('[data-action=retry_now]')?.click()")  # it may have tried by itself already
    page.wait_for("interview.mp3", "Uploaded")
    page.wait_until(lambda: "The upload has finished." in page.news(), "it is said")
    assert "Uploaded · 4.2 MB" in accessible(clean_driver)
    said = page.js("return said")
    assert 3 <= len(said) <= 5, f"few sentences: {said}"


@pytest.mark.parametrize(
    ("attributes", "before"),
    [
        ("id=house", "<label for=house>Pictures of the house</label>"),
        ('aria-label="Pictures of the house"', ""),
        ("aria-labelledby=what", "<h2 id=what>Pictures of the house</h2>"),
    ],
)
def test_the_field_has_the_name_that_its_label_gives_it(
    clean_driver: Chromium, dropzone: Stage, attributes: str, before: str
) -> None:
    ElementPage(clean_driver, dropzone, attributes, before)
    tree = accessible(clean_driver)
    assert "button Choose a file" in tree[tree.index("group Pictures of the house") :]
    assert complaints(clean_driver) == []


def test_no_motion_and_forced_colours(clean_driver: Chromium, gallery: Gallery) -> None:
    features = [
        {"name": "prefers-reduced-motion", "value": "reduce"},
        {"name": "forced-colors", "value": "active"},
    ]
    clean_driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        gallery.open("checking", "uploading", "many, moving")
        moving = """
            const hosts = [...document.querySelectorAll('main > div')];
            const parts = hosts.flatMap((each) => [...each.shadowRoot.querySelectorAll('*')]);
            const { transitionDuration } = getComputedStyle(parts.find((each) => each.matches('.fill')));
            return [parts.length, parts.flatMap((each) => each.getAnimations()).length, transitionDuration];
        """
        count, animations, duration = clean_driver.execute_script(moving)
        assert count > 100 and (animations, duration) == (0, "0s")
        gallery.picture("forced-colours")
    finally:
        clean_driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_each_control_can_be_reached_by_tab_in_the_order_of_sight(
    clean_driver: Chromium, gallery: Gallery
) -> None:
    gallery.open("continue", "many, moving")
    clean_driver.execute_script("document.body.tabIndex = -1; document.body.focus()")
    name = """
        let { activeElement: each } = document;
        while (each.shadowRoot) each = each.shadowRoot.activeElement;
        return each.ariaLabel || each.textContent;
    """
    seen = []
    for _ in range(12):
        press(clean_driver, Keys.TAB)
        seen.append(clean_driver.execute_script(name))
    assert seen[:7] == [
        "Continue: raw footage, camera A.mov", "Forget this upload: raw footage, camera A.mov",
        "Choose the file: backup.tar.gz", "Forget this upload: backup.tar.gz",
        "Choose the folder: Holiday at the lake", "Forget this upload: Holiday at the lake", "Choose files",
    ]  # fmt: skip
    assert seen[7:] == ["Choose files", "1 failed", "Retry failed", "Pause all", "Cancel all"]
