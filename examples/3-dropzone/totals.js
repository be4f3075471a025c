/**
 * Sums over a queue, and how fast it goes: from all files together, as one that takes half a second tells little.
 */
const WINDOW_MS = 8000; // long enough to be steady over many small files
const FIRST_MS = 1000; // no speed is better than a wild one

export class Totals {
  /** @param {import("./queue.js").Queue} queue */
  constructor(queue) {
    this.queue = queue;
    this.marks = /** @type {{at_ms: number, moved_bytes: number}[]} */ ([]);
  }

  /**
   * All but what was cancelled; `seconds_left` is null when that can't be told. Ask about once a second.
   * @param {number} now_ms a clock that is never put back, performance.now()
   */
  at(now_ms) {
    const items = this.queue.items.filter(({ state }) => state !== "cancelled");
    const finished = items.filter(({ state }) => state === "finished").length;
    const bytes_total = items.reduce((sum, { file }) => sum + file.size, 0);
    const bytes_acked = items.reduce((sum, item) => sum + item.bytes_acked, 0);
    const bytes_left = this.queue.in_state("waiting", "running")
      .reduce((sum, item) => sum + item.file.size - item.bytes_acked, 0);
    const bytes_per_s = this.bytes_per_s(now_ms);
    return {
      files: items.length,
      finished,
      bytes_total,
      bytes_acked,
      frac_complete: bytes_total ? bytes_acked / bytes_total : finished / (items.length || 1),
      bytes_per_s,
      seconds_left: bytes_per_s ? bytes_left / bytes_per_s : null,
    };
  }

  /** @param {number} now_ms */
  bytes_per_s(now_ms) {
    const { moved_bytes } = this.queue;
    const runs = this.queue.in_state("running").some(({ uploader }) => !uploader || !uploader.retrying);
    this.marks = runs ? [...this.marks, { at_ms: now_ms, moved_bytes }] : []; // a pause, or no network, is not slowness
    if (!runs) return 0;
    while (this.marks.length > 2 && this.marks[1].at_ms <= now_ms - WINDOW_MS) this.marks.shift();
    const first = this.marks[0];
    const passed_ms = now_ms - first.at_ms;
    return passed_ms < FIRST_MS ? 0 : (moved_bytes - first.moved_bytes) * 1000 / passed_ms;
  }
}
