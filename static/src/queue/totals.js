// Sums over a queue, kept up to date with each change: nothing here looks at all items.

/**
 * @typedef {import('../../queue.mjs').ItemState} ItemState
 * @typedef {import('./item.js').Item} Item
 */

/** @type {ItemState[]} */
const STATES = ['waiting', 'running', 'paused', 'finished', 'failed', 'cancelled', 'refused'];

/** Not part of any sum. @type {ItemState[]} */
const LEFT_OUT = ['cancelled', 'refused'];

export class Sums {
  constructor() {
    this.count = /** @type {Record<ItemState, number>} */ ({});
    for (const state of STATES) this.count[state] = 0;
    this.bytes_total = 0;
    this.bytes_acked = 0;
    this.bytes_left = 0; // of those that run or wait
    this.files = 0;
  }

  /**
   * Adds what an item is at the moment, or takes it away.
   * @param {Item} item @param {1 | -1} sign
   */
  add({ state, file, bytes_acked }, sign) {
    this.count[state] += sign;
    if (LEFT_OUT.includes(state)) return;
    this.files += sign;
    this.bytes_total += sign * file.size;
    this.bytes_acked += sign * bytes_acked;
    if (state === 'running' || state === 'waiting') this.bytes_left += sign * (file.size - bytes_acked);
  }

  /** @param {number} bytes_per_s @returns {import('../../queue.mjs').Totals} */
  totals(bytes_per_s) {
    const { count, files, bytes_total, bytes_acked, bytes_left } = this;
    return Object.freeze({
      files,
      waiting: count.waiting,
      running: count.running,
      paused: count.paused,
      finished: count.finished,
      failed: count.failed,
      cancelled: count.cancelled,
      refused: count.refused,
      bytes_total,
      bytes_acked,
      frac_complete: bytes_total ? bytes_acked / bytes_total : count.finished / (files || 1),
      bytes_per_s,
      seconds_left: bytes_per_s ? bytes_left / bytes_per_s : null,
    });
  }
}
