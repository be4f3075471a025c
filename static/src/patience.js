// How long an upload tries again before it gives up, if its page has set a limit.

import { now_ms } from './clock.js';
import { GAVE_UP } from './errors.js';

/** @typedef {import('./upload.js').Upload} Upload */

const STEP_S = 60; // timers of hidden pages come once a minute
const MAX_STEP_S = 90; // more has passed: the machine was asleep

/** Counts the time without a connection since a byte was stored. A paused upload, and one that has arrived, has time. */
export class Patience {
  /** @param {Upload} upload */
  constructor(upload) {
    this.upload = upload;
    this.limit_s = Infinity;
    this.spent_s = 0;
    this.since_ms = 0;
    /** @type {ReturnType<typeof setTimeout> | null} */
    this.timer = null;
  }

  /** Starts or stops counting, as the upload's state wants it. */
  update() {
    const { retry, state } = this.upload;
    if (state !== 'running') this.reset();
    else if (!retry.note) this.stop();
    else if (this.timer === null && this.limit_s < Infinity) this.start();
  }

  start() {
    this.since_ms = now_ms();
    this.timer = setTimeout(() => this.check(), Math.min(STEP_S, this.limit_s - this.spent_s) * 1000);
  }

  stop() {
    if (this.timer === null) return;
    clearTimeout(this.timer);
    this.timer = null;
    this.spent_s += Math.min(MAX_STEP_S, (now_ms() - this.since_ms) / 1000);
  }

  reset() {
    this.stop();
    this.spent_s = 0;
  }

  check() {
    this.stop();
    if (this.limit_s - this.spent_s < 0.001) this.upload.fail(GAVE_UP);
    this.upload.settle();
  }
}
