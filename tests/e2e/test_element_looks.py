"""How <incoming-upload> looks in every state: pictures in tests/artifacts, and nothing that does not fit."""

from __future__ import annotations

from typing import Final

import pytest

from tests.e2e.element_gallery import WIDTHS_PX, Gallery
from tests.support.engines import WIDE, WebKit

GROUPS: Final = {
    "empty": ("empty", "empty, one file", "empty, folders and camera"),
    "trouble": ("over", "disabled", "no server", "refused"),
    "moving": ("connecting", "checking", "uploading", "uploading, slow", "uploading, slow drive"),
    "waiting": ("retrying", "retrying, blocked", "paused", "elsewhere"),
    "app": ("waiting for the app", "app in trouble", "cancelling"),
    "ended": ("finished", "cancelled", "failed"),
    "many": ("many, moving", "many, paused"),
    "many-ended": ("many, finished", "many, failed"),
    "several": ("several", "several, in trouble", "several, failed and refused"),
    "asking": ("cancel all?", "continue"),
    "folders": ("folders", "folder, failed"),
    "long": ("continue, all", "thousand"),
}
"""So many at a time fit on a screen: WebKit's driver takes no picture of more."""


def test_every_state_fits_at_each_width_and_has_a_picture(gallery: Gallery) -> None:
    gallery.open()
    assert sorted(gallery.names()) == sorted(name for names in GROUPS.values() for name in names)
    is_narrow = not isinstance(gallery.driver, WebKit)  # whose window can't be narrower
    for width_px in (*WIDTHS_PX, 320) if is_narrow else WIDTHS_PX:
        gallery.driver.look_like("light", width_px)
        assert gallery.overflows() == []
        assert gallery.crooked() == []
    if is_narrow:
        gallery.pictures("all")
        return
    for name, scenes in GROUPS.items():
        gallery.open(*scenes)
        gallery.pictures(name)


def test_german_fits_too(gallery: Gallery) -> None:
    gallery.open(lang="de")
    for width_px in reversed(WIDTHS_PX):
        gallery.driver.look_like("light", width_px)
        assert gallery.overflows() == []
        gallery.picture(f"german-{width_px}")


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_it_is_mirrored_in_a_page_that_is_read_from_the_right(gallery: Gallery, width_px: int) -> None:
    gallery.driver.look_like("light", width_px)
    gallery.open("uploading", "retrying", "many, moving", "continue", direction="rtl")
    gallery.picture(f"rtl-{width_px}")
    assert gallery.overflows() == []
    script = """
        const { shadowRoot } = document.querySelector('main > div');
        const place = (what) => {
          const { left, right } = shadowRoot.querySelector(what).getBoundingClientRect();
          return [left, right];
        };
        const parts = ['.row .fill', '.row .bar', '.cut', '.icon', '[data-action=cancel]'];
        const [fill, bar, name, icon, stop] = parts.map(place);
        const begins_at = (what, where) => {
          const text = document.createRange();
          const all = [...document.querySelectorAll('main > div')].flatMap(({ shadowRoot: shown }) => (
            [...shown.querySelectorAll(where + ':not([hidden]) ' + what)]));
          text.selectNodeContents(all.find((each) => each.textContent));
          return text.getBoundingClientRect().right;
        };
        const right = (each) => each.getBoundingClientRect().right;
        const zone = shadowRoot.querySelector('.dropzone .text');
        return [
          Math.abs(fill[1] - bar[1]) < 1, fill[0] > bar[0] + 20,
          name[1] < icon[0], stop[1] <= name[0], icon[0] - name[1] < 20,
          Math.abs(begins_at('.title', '.dropzone') - right(zone)) < 1,
          Math.abs(begins_at('.inside', '.row') - name[1]) < 1,
        ];
    """
    assert gallery.driver.execute_script(script) == [True] * 7, "bar, words and buttons begin at the right"
    gallery.driver.look_like("light", WIDE)
