// How much to have in flight, and in which pieces.

import { now_ms } from './clock.js';

/** @typedef {import('./sending.js').Chunk} Chunk */

export const KIB = 1024;
export const CHUNK_MIN_BYTES = 8 * KIB;
export const CHUNK_MAX_BYTES = 4096 * KIB;
export const WINDOW_FIRST_BYTES = 64 * KIB; // a quarter of a second at 2 Mbit/s
const LIMITS_LAST_MS = 1000; // how long the limits of an acknowledgement hold
const QUEUE_S = 0.3; // of data beyond what the link holds: more is not faster, and delays a pause
const QUEUE_MAX_BYTES = 16 * 1024 * KIB; // four large chunks keep any link busy; all of it is in memory
const QUEUE_SEEN_MS = 100; // that a chunk takes longer than the fastest did
const RATE_OVER_MS = 1000;
const SAMPLE_MIN_MS = 20; // acknowledgements come in bursts: a shorter time means nothing

/**
 * The window of one connection. While a chunk travels, all that was ahead of it gets through: that is a sample of the
 * rate of the link. It ends when the server has taken the chunk. Its storage may need much longer. The window is what the link holds at that rate, plus a short queue. So it grows several times a
 * round trip until something queues; then the link is full, and the window follows the mean rate.
 */
export class Pace {
  /**
   * The first two are the server's limits. They hold unless an acknowledgement has just given others.
   * @param {number} max_chunk_bytes @param {number} max_window_bytes @param {number} first_window_bytes
   * @param {number} parts of the window, of which a chunk is one @param {number} most_chunks ahead
   */
  constructor(max_chunk_bytes, max_window_bytes, first_window_bytes, parts, most_chunks) {
    this.parts = parts;
    this.most_chunks = most_chunks;
    this.agreed = this.latest = { chunk_bytes: Math.min(max_chunk_bytes, CHUNK_MAX_BYTES), window_bytes: max_window_bytes };
    this.latest_ms = -Infinity;
    this.window_bytes = Math.min(first_window_bytes, max_window_bytes);
    // The shortest of this connection, not of the last seconds: with a full window there is always a queue before us.
    this.round_trip_ms = Infinity;
    this.rate = 0; // bytes/ms
    this.sampled_ms = now_ms();
    this.queued_ms = -Infinity; // when a queue was last seen, on the link or before it
  }

  /** A power of two, of 4 parts a quarter to an eighth of the window: smaller ones cost Chromium a third of its speed. */
  get chunk_bytes() {
    const wanted = 2 ** Math.floor(Math.log2(this.window_bytes / this.parts));
    return Math.min(Math.max(wanted, CHUNK_MIN_BYTES), this.allowed.chunk_bytes);
  }

  /** What the server takes now. */
  get allowed() {
    return now_ms() - this.latest_ms <= LIMITS_LAST_MS ? this.latest : this.agreed;
  }

  /**
   * The server has given limits for a while; 0 where it gave none.
   * @param {number} max_chunk_bytes @param {number} max_window_bytes
   */
  allow(max_chunk_bytes, max_window_bytes) {
    if (!(max_chunk_bytes >= 1)) return;
    const most_bytes = this.agreed.window_bytes;
    this.latest = {
      chunk_bytes: Math.min(Math.floor(max_chunk_bytes), CHUNK_MAX_BYTES),
      window_bytes: max_window_bytes >= 1 ? Math.min(max_window_bytes, most_bytes) : most_bytes,
    };
    this.latest_ms = now_ms();
  }

  /**
   * A chunk may exceed our own window in part, which would never be full otherwise. It may not exceed the server's,
   * which also counts what is taken and not stored.
   * @param {number} ahead_bytes that are in flight @param {number} unstored_bytes these too @param {number} bytes
   */
  admits(ahead_bytes, unstored_bytes, bytes) {
    const own_bytes = Math.min(this.window_bytes, this.most_chunks * this.chunk_bytes);
    return unstored_bytes === 0 || (ahead_bytes < own_bytes && unstored_bytes + bytes <= this.allowed.window_bytes);
  }

  /** @param {Chunk} chunk that the server has taken */
  taken(chunk) {
    const now = now_ms();
    const took_ms = Math.max(now - chunk.sent_ms, SAMPLE_MIN_MS);
    // With the smallest window nothing queues. A longer time then means a longer way: another network.
    const is_least = this.window_bytes <= 2 * CHUNK_MIN_BYTES;
    this.round_trip_ms = is_least ? took_ms : Math.min(this.round_trip_ms, took_ms);
    if (took_ms > this.round_trip_ms + QUEUE_SEEN_MS) this.queued_ms = now;
    this.note(chunk.ahead_bytes / took_ms, now);
    const wanted = this.rate * this.round_trip_ms + Math.min(this.rate * QUEUE_S * 1000, QUEUE_MAX_BYTES);
    this.window_bytes = Math.min(Math.max(wanted, 2 * CHUNK_MIN_BYTES), this.agreed.window_bytes);
  }

  /**
   * On a full link acknowledgements come in bursts (TCP has repaired a loss), so a single sample means little.
   * @param {number} rate @param {number} now
   */
  note(rate, now) {
    const is_full = now - this.queued_ms < RATE_OVER_MS;
    const weight = 1 - Math.exp((this.sampled_ms - now) / RATE_OVER_MS);
    this.rate = is_full ? this.rate + (rate - this.rate) * weight : Math.max(this.rate, rate);
    this.sampled_ms = now;
  }
}
