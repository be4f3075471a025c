// A link between a page and a server that stores at once: so fast, so long, and with a queue before it.

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
    this.page.clock.at(Math.ceil(this.last_heard_ms), () => this.acknowledge(socket, from + bytes));
    return { from, end: from + bytes };
  }

  acknowledge(socket, offset) {
    this.stored_bytes = offset;
    if (socket.readyState === 1) socket.stores(offset, this.says);
  }

  /** How full the link was for so long, 0 to 1. */
  async share_of(seconds) {
    const before = this.stored_bytes;
    await this.page.pass(seconds);
    return (this.stored_bytes - before) / (this.bytes_per_s * seconds);
  }
}
