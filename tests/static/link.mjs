// A link between a page and a server: so fast, so long, and with a queue before it. The server stores at once, unless it
// has a storage that keeps parts, so long after their last byte has come.

import assert from 'node:assert/strict';

const HEADER_BYTES = 16;

export class Link {
  /** `now(seconds)` may change `bytes_per_s` and `round_trip_s` later; jitter delays acknowledgements, in their order. */
  constructor(page, { bytes_per_s, round_trip_s, jitter_s = 0 }) {
    Object.assign(this, { page, bytes_per_s, round_trip_s, jitter_s });
    this.free_at_ms = 0; // when all that is queued has gone out
    this.last_heard_ms = 0;
    this.stored_bytes = 0;
    this.most_queued_s = 0;
    this.chunk_sizes = [];
    this.says = {}; // with each acknowledgement
    this.storage = null; // or {part_bytes, after_s}
    this.taken_bytes = 0;
    this.most_on_way_bytes = 0;
    this.least_unstored_bytes = Infinity;
    page.on_chunk = (socket, message) => this.carry(socket, message);
  }

  carry(socket, message) {
    const header = new DataView(message);
    const from = header.getUint32(0) * 2 ** 32 + header.getUint32(4);
    const bytes = message.byteLength - HEADER_BYTES;
    assert.equal(from, this.sent_bytes ?? 0, 'in order');
    this.sent_bytes = from + bytes;
    this.chunk_sizes.push(bytes);
    const now_ms = this.page.clock.now_ms;
    const start_ms = Math.max(this.free_at_ms, now_ms);
    this.free_at_ms = start_ms + (message.byteLength / this.bytes_per_s) * 1000;
    this.most_queued_s = Math.max(this.most_queued_s, (this.free_at_ms - now_ms) / 1000);
    const jitter_ms = this.jitter_s * 1000 * this.page.chance();
    this.last_heard_ms = Math.max(this.last_heard_ms, this.free_at_ms + this.round_trip_s * 1000 + jitter_ms);
    this.most_on_way_bytes = Math.max(this.most_on_way_bytes, this.sent_bytes - this.taken_bytes);
    this.page.clock.at(Math.ceil(this.last_heard_ms), () => this.take(socket, from + bytes));
    return { from, end: from + bytes };
  }

  take(socket, offset) {
    this.taken_bytes = offset;
    if (!this.storage) {
      this.acknowledge(socket, offset);
      return;
    }
    const { part_bytes, after_s } = this.storage;
    this.page.clock.at(Math.ceil(this.page.clock.now_ms + after_s * 1000), () => (
      this.acknowledge(socket, Math.floor(offset / part_bytes) * part_bytes)));
    this.acknowledge(socket, this.stored_bytes);
  }

  acknowledge(socket, offset) {
    this.stored_bytes = offset;
    const taken = this.taken_bytes > offset ? { Taken: this.taken_bytes } : {};
    if (socket.readyState === 1) socket.stores(offset, { ...this.says, ...taken });
    this.least_unstored_bytes = Math.min(this.least_unstored_bytes, this.sent_bytes - offset);
  }

  /** How full the link was for so long, 0 to 1. */
  async share_of(seconds) {
    const before = this.stored_bytes;
    await this.page.pass(seconds);
    return (this.stored_bytes - before) / (this.bytes_per_s * seconds);
  }
}
