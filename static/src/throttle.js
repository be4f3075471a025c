// The limit that a page may set, and the speed that it may show.

import { now_ms } from './clock.js';

const BURST_S = 1.5; // timers of a hidden page fire once a second
const SPEED_SAMPLE_MS = 500;
const SPEED_OVER_MS = 5000;

/** A token bucket of bytes. It uses the clock and not timers, which come late: in hidden pages once a second. */
export class Throttle {
  constructor() {
    this.bytes_per_s = 0; // 0: no limit
    this.saved_bytes = 0; // that may be sent now
    this.at_ms = now_ms();
  }

  /** @param {number} bytes_per_s */
  limit(bytes_per_s) {
    this.save();
    this.saved_bytes = this.bytes_per_s ? Math.min(this.saved_bytes, bytes_per_s * BURST_S) : 0;
    this.bytes_per_s = bytes_per_s;
  }

  save() {
    const now = now_ms();
    const saved_bytes = this.saved_bytes + this.bytes_per_s * (now - this.at_ms) / 1000;
    this.saved_bytes = Math.min(saved_bytes, this.bytes_per_s * BURST_S);
    this.at_ms = now;
  }

  /** How long to wait before these may be sent. @param {number} bytes */
  wait_ms(bytes) {
    if (!this.bytes_per_s) return 0;
    this.save();
    const missing_bytes = Math.min(bytes, this.bytes_per_s * BURST_S) - this.saved_bytes;
    return Math.max(0, missing_bytes / this.bytes_per_s * 1000);
  }

  /** @param {number} bytes */
  take(bytes) {
    if (this.bytes_per_s) this.saved_bytes -= bytes;
  }
}

/** The speed that is shown: acknowledged bytes over the last seconds. */
export class Speed {
  /** @param {number} bytes */
  constructor(bytes) {
    this.samples = [{ at_ms: now_ms(), bytes }];
    this.bytes_per_s = 0;
  }

  /** @param {number} bytes */
  sample(bytes) {
    const { samples } = this;
    const at_ms = now_ms();
    if (at_ms - samples[samples.length - 1].at_ms < SPEED_SAMPLE_MS) return;
    samples.push({ at_ms, bytes });
    while (samples.length > 2 && samples[1].at_ms <= at_ms - SPEED_OVER_MS) samples.shift();
    this.bytes_per_s = (bytes - samples[0].bytes) / (at_ms - samples[0].at_ms) * 1000;
  }
}
