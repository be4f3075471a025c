// How fast all files together go. One that takes half a second tells little.

const WINDOW_MS = 8000; // long enough to be steady over many small files
const FIRST_MS = 1000; // no speed is better than a wild one
const GRAIN_MS = 250; // news come hundreds of times a second

export class Speed {
  constructor() {
    this.moved_bytes = 0;
    this.marks = /** @type {{at_ms: number, moved_bytes: number}[]} */ ([]);
  }

  /** @param {number} now_ms a clock that is never put back @param {number} bytes that have been acknowledged just now */
  move(now_ms, bytes) {
    this.look(now_ms);
    this.moved_bytes += bytes;
  }

  /** Forgets what was: a pause, or no network, is not slowness. */
  stop() {
    this.marks = [];
  }

  /** Bytes a second. @param {number} now_ms */
  at(now_ms) {
    this.look(now_ms);
    const [first] = this.marks;
    const passed_ms = now_ms - first.at_ms;
    return passed_ms < FIRST_MS ? 0 : ((this.moved_bytes - first.moved_bytes) * 1000) / passed_ms;
  }

  /** @param {number} now_ms */
  look(now_ms) {
    const { marks, moved_bytes } = this;
    if (!marks.length || marks[marks.length - 1].at_ms <= now_ms - GRAIN_MS) marks.push({ at_ms: now_ms, moved_bytes });
    while (marks.length > 2 && marks[1].at_ms <= now_ms - WINDOW_MS) marks.shift();
  }
}
