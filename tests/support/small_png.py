"""Pictures of pages as small PNG files: 256 colours at most, which is enough for a page without photos."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from typing import Any, Final

from tests.support.engines import Chromium

FEW_COLOURS: Final = """
    const [base64, done] = arguments;
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    createImageBitmap(new Blob([bytes], { type: 'image/png' })).then((bitmap) => {
      const { width, height } = bitmap;
      const context = new OffscreenCanvas(width, height).getContext('2d');
      context.drawImage(bitmap, 0, 0);
      const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
      const counts = new Map();
      for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) || 0) + 1);
      const parts = (colour) => [colour & 255, (colour >> 8) & 255, (colour >> 16) & 255];
      const kept = [];
      const nearest = (colour) => {
        const wanted = parts(colour);
        let best = -1, least = Infinity;
        kept.forEach((one, index) => {
          const far = one.reduce((sum, part, n) => sum + (part - wanted[n]) ** 2, 0);
          if (far < least) [best, least] = [index, far];
        });
        return [best, least];
      };
      const by_count = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || a - b);
      for (const colour of by_count) {
        const is_surface = counts.get(colour) > pixels.length / 1000;
        const [, far] = nearest(colour);
        if (kept.length < 256 && (is_surface ? far > 0 : far > 300)) kept.push(parts(colour));
      }
      const places = new Map(by_count.map((colour) => [colour, nearest(colour)[0]]));
      let indexes = '';
      for (const pixel of pixels) indexes += String.fromCharCode(places.get(pixel));
      done({ width, height, palette: kept.flat(), indexes: btoa(indexes) });
    });
"""
"""Run in the browser, which can read a PNG. Of colours that look alike, the most frequent one is kept.

Colours of surfaces stay what they are: the eye sees every difference there, and none at the edges of letters.
"""


def encoded(width: int, palette: bytes, indexes: bytes) -> bytes:
    """Returns a PNG. `palette` has three bytes for each colour, `indexes` has the colour of each pixel."""
    height = len(indexes) // width
    rows = b"".join(b"\0" + indexes[start : start + width] for start in range(0, len(indexes), width))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, chunks))


def _chunk(named: tuple[bytes, bytes]) -> bytes:
    name, content = named
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def take(driver: Chromium, path: Path, width_px: int, height_px: int, scale: float) -> None:
    """Writes a picture of the page's top left, with `scale` pixels for each pixel of the page."""
    clip = {"x": 0, "y": 0, "width": width_px, "height": height_px, "scale": scale}
    options = {"format": "png", "captureBeyondViewport": True, "clip": clip}
    shot: str = driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"]
    few: dict[str, Any] = driver.execute_async_script(FEW_COLOURS, shot)
    path.write_bytes(encoded(few["width"], bytes(few["palette"]), base64.b64decode(few["indexes"])))
