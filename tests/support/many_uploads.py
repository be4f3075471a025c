"""A page that uploads many files, some at a time, and writes down how long each of them had to wait."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np

from tests.support.engines import Browser

HTML: Final = """<!doctype html><meta charset="utf-8"><title>Many uploads</title>
<script src="{server}/incoming/frontend/incoming.js"></script>
<script>
  incoming.set_server_hostname("{server}".replace("http://", ""));
  window.finished = [];
  window.errors = [];
  window.losses = [];
  window.steps = [];
  window.lost_steps = [];
  window.answers = [];
  window.left = [];
  window.acked = 0;
  function file_of(number, length_bytes) {{
    const words = new Uint32Array(length_bytes / 4);
    for (let i = 0; i < words.length; i++) words[i] = number * 1000003 + i;
    return new File([words], `film ${{number}}.bin`);
  }}
  function watch(uploader) {{
    let [acked, tx, stored_at, lost_at, was_lost, waits_since] = [0, 0, performance.now(), 0, false, 0];
    return () => {{
      const now = performance.now();
      const has_stored = uploader.bytes_acked > acked || uploader.finished;
      if (lost_at && (has_stored || (uploader.connected && uploader.bytes_tx > tx))) {{
        losses.push(now - lost_at);
        lost_at = 0;
      }}
      if (waits_since && uploader.finished) answers.push(now - waits_since);
      if (has_stored) {{
        (was_lost ? lost_steps : steps).push(now - stored_at);
        window.acked += uploader.bytes_acked - acked;
        [acked, stored_at, was_lost] = [uploader.bytes_acked, now, false];
      }}
      tx = uploader.bytes_tx;
      if (uploader.retrying) {{
        if (acked === uploader.bytes_total) waits_since = waits_since || now;
        else if (!was_lost) [lost_at, was_lost] = [now, true];
      }}
    }};
  }}
  function upload(number, ticket, settings, length_bytes) {{
    const uploader = Object.assign(incoming.Uploader(ticket, file_of(number, length_bytes)), settings);
    uploader.onprogress = watch(uploader);
    return new Promise((resolve) => {{
      uploader.onfinished = () => {{ finished.push(ticket); resolve(); }};
      uploader.onerror = () => {{ errors.push(uploader.error_msg); resolve(); }};
      uploader.oncancelled = () => {{ errors.push(uploader.cancel_msg); resolve(); }};
      uploader.start();
    }});
  }}
  function upload_all(tickets, at_a_time, settings, length_bytes) {{
    window.left = tickets.map((ticket, number) => [number, ticket]);
    const next = async () => {{ while (left.length) await upload(...left.shift(), settings, length_bytes); }};
    for (let i = 0; i < at_a_time; i++) next();
  }}
</script>"""


def page_of(server_url: str) -> str:
    """Returns the page, for a server or what is in front of it."""
    return HTML.format(server=server_url)


def sha256_of(number: int, length_bytes: int) -> str:
    """Returns the digest of the file that the page makes."""
    words = np.arange(length_bytes // 4, dtype=np.uint64) + number * 1_000_003
    return hashlib.sha256(words.astype("<u4").tobytes()).hexdigest()


class ManyUploads:
    """The page, which the browser shows already."""

    def __init__(self, driver: Browser, tickets: Sequence[str], length_bytes: int) -> None:
        self._driver = driver
        self.tickets = list(tickets)
        self.length_bytes = length_bytes

    def begin(self, at_a_time: int, **settings: object) -> None:
        """Starts the uploads. `settings` are properties of each uploader, such as `max_bytes_per_s`."""
        call = "upload_all(...arguments)"
        self._driver.execute_script(call, self.tickets, at_a_time, settings, self.length_bytes)

    def begin_no_more(self) -> None:
        """Only the uploads that have begun are still of interest."""
        left: int = self._driver.execute_script("return left.splice(0).length")
        self.tickets = self.tickets[: len(self.tickets) - left]

    @property
    def acked_bytes(self) -> int:
        """Acknowledged bytes of all uploads."""
        count: int = self._driver.execute_script("return acked")
        return count

    @property
    def have_ended(self) -> bool:
        """Whether no upload runs any more."""
        count: int = self._driver.execute_script("return finished.length + errors.length")
        return count == len(self.tickets)

    @property
    def finished(self) -> list[str]:
        """The tickets of which the page has heard that the app has the file."""
        found: list[str] = self._driver.execute_script("return finished")
        return found

    @property
    def errors(self) -> list[str]:
        """What the page would have shown its user."""
        found: list[str] = self._driver.execute_script("return errors")
        return found

    @property
    def losses_s(self) -> list[float]:
        """How long each lost connection has kept its upload from sending and from being stored."""
        return self._seconds("losses")

    @property
    def steps_s(self) -> list[float]:
        """How long each upload took from one acknowledgement to the next, where no connection was lost."""
        return self._seconds("steps")

    @property
    def lost_steps_s(self) -> list[float]:
        """The same where a connection was lost in between."""
        return self._seconds("lost_steps")

    @property
    def answers_s(self) -> list[float]:
        """How long each upload that lost its connection while its app was called took to hear of the end."""
        return self._seconds("answers")

    def _seconds(self, name: str) -> list[float]:
        found: list[float] = self._driver.execute_script(f"return {name}")
        return [duration_ms / 1000 for duration_ms in found]

    def digests(self) -> dict[str, str]:
        """Returns the SHA-256 of each file, by its ticket."""
        return {ticket: sha256_of(number, self.length_bytes) for number, ticket in enumerate(self.tickets)}
