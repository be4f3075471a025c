// The chunks of an upload: prepared, sent, acknowledged, and sent again.

import { crc_of_zeros } from './checksums.js';
import { now_ms } from './clock.js';
import { FOLDER_UNREADABLE } from './errors.js';
import { CHUNK_MIN_BYTES, WINDOW_FIRST_BYTES } from './pace.js';
import { StoredRanges } from './ranges.js';
import { Speed, Throttle } from './throttle.js';
import { HEADER_BYTES, write_header } from './wire.js';

/**
 * A chunk that is being prepared or in flight. `crc` is null until it is known. Then `buffer` has the bytes after space
 * for the header, or is null if the browser sends `blob`. `sent_ms` and `ahead_bytes` say since when it is
 * in flight, and how much was in flight then, including it. `opens`: it begins a file of a folder that continues after it.
 * @typedef {{from: number, bytes: number, opens: boolean, crc: number | null, buffer: ArrayBuffer | null, blob: Blob | null,
 *   sent_ms: number, ahead_bytes: number}} Chunk
 */
/** @typedef {import('./connection.js').Connection} Connection */
/** @typedef {import('./pace.js').Pace} Pace */
/** @typedef {import('./upload.js').Upload} Upload */

const PREPARED_CHUNKS = 3; // whose checksums are asked for while others are in flight

export class Sending {
  /** @param {Upload} upload */
  constructor(upload) {
    this.upload = upload;
    this.bytes_tx = 0;
    this.chunks_tx_now = this.chunks_acked_now = 0; // of this connection
    this.stored = new StoredRanges();
    this.bytes_asked = 0; // up to here checksums of chunks were asked for
    /** @type {Chunk[]} */
    this.ready = []; // to be sent, once their checksums are known
    /** @type {Chunk[]} */
    this.on_way = []; // sent and not acknowledged; kept after a lost connection: some may have arrived
    this.bytes_taken = 0; // the bytes that the server has received; its storage may still be working on the last of them
    this.left_out_to = 0; // the server was asked to leave out a file, which ends there
    this.first_window_bytes = WINDOW_FIRST_BYTES;
    this.throttle = new Throttle();
    /** @type {ReturnType<typeof setTimeout> | null} */
    this.throttle_timer = null;
    this.speed = new Speed(0);
  }

  /** Whether chunks may be sent now. */
  is_active() {
    const { state, connection } = this.upload;
    return state === 'running' && connection !== null && connection.agreed;
  }

  bytes_per_s() {
    return this.is_active() ? Math.round(this.speed.bytes_per_s) : 0;
  }

  seconds_left() {
    const bytes_per_s = this.bytes_per_s();
    return bytes_per_s ? Math.ceil((this.upload.bytes_total - this.upload.bytes_acked) / bytes_per_s) : null;
  }

  sample_speed() {
    if (this.is_active()) this.speed.sample(this.upload.bytes_acked);
  }

  // -- from connection to connection

  /** A connection has begun: the server has all before `offset`. @param {number} offset */
  begin_at(offset) {
    this.take_stored(offset);
    this.stored.reach(offset);
    this.on_way = [];
    this.bytes_taken = offset;
    this.left_out_to = 0;
    this.chunks_acked_now = 0;
    this.prepare_from(offset);
  }

  /**
   * Begins with the comparison that the server asks for. A file of which it has a part, and which the page leaves out, comes
   * first: only once the server counts it as zeros do both compare the same bytes.
   * @param {Connection} connection
   */
  prove(connection) {
    const { bytes_acked, folder } = this.upload;
    const hole = folder && folder.hole(bytes_acked);
    if (hole && hole.from < bytes_acked) this.leave_out(connection);
    else this.compare(connection.compare, []);
  }

  /**
   * Sends the checksums that the server asks for, which shows that it is the same file. Then chunks may follow.
   * @param {[number, number][]} ranges @param {number[]} found
   */
  compare(ranges, found) {
    const { upload } = this;
    if (upload.state !== 'running') return; // it is being cancelled
    if (ranges.length === 0) {
      upload.send_message('MsgAgree', { Crc32c: found });
      if (upload.connection) upload.connection.agreed = true;
      this.speed = new Speed(upload.bytes_acked);
      this.send_chunks();
      this.fill_gaps();
      return;
    }
    const [[from, to], ...others] = ranges;
    upload.reading.read_range(from, to, 0, (crc) => {
      if (from === 0 && to === this.stored.bytes) this.stored.know(crc); // no need to read it once more
      this.compare(others, found.concat(crc));
    });
  }

  /** Reads, while chunks are sent, what was stored over earlier connections, for its checksum. */
  fill_gaps() {
    const { connection, reading } = this.upload;
    const gap = this.stored.gap();
    if (!connection || connection.filling || !gap) {
      this.send_chunks(); // and perhaps complete
      return;
    }
    const filling = connection.filling = {};
    const from = gap.from + gap.known_bytes;
    const bytes = Math.min(reading.piece_bytes, gap.bytes - gap.known_bytes);
    reading.read(from, from + bytes, gap.crc, false, (crc) => {
      if (filling !== connection.filling) return;
      connection.filling = null;
      gap.known_bytes += bytes;
      gap.crc = crc;
      this.fill_gaps();
    });
  }

  /** The connection ends. @param {Connection} connection */
  end({ confirmed, pace }) {
    this.stop_throttle();
    const nothing_came = this.chunks_tx_now > 0 && this.chunks_acked_now === 0; // a link may be too slow for these chunks
    const least_bytes = nothing_came ? 2 * CHUNK_MIN_BYTES : WINDOW_FIRST_BYTES;
    if (confirmed) this.first_window_bytes = Math.max(least_bytes, pace.window_bytes / 2);
    this.prepare_from(this.upload.bytes_acked);
    this.chunks_tx_now = this.chunks_acked_now = 0;
  }

  // -- acknowledgements

  /**
   * Returns false if that makes no sense.
   * @param {number} offset all before it is stored @param {number} taken all before it has arrived
   */
  acknowledge(offset, taken = 0) {
    const { upload } = this;
    const { connection } = upload;
    if (!connection || !(upload.bytes_acked <= offset && offset <= this.bytes_tx)) {
      upload.retry.on_lost(0, ''); // this message or an earlier one was damaged: a new connection clears it up
      return false;
    }
    this.note_taken(Math.min(Math.max(offset, taken), this.bytes_tx), connection);
    if (offset === upload.bytes_acked) return true;
    if (offset === this.bytes_tx) connection.waits = false;
    this.take_stored(offset);
    upload.bytes_acked = offset;
    upload.has_progressed();
    return true;
  }

  /** @param {number} offset all before it has arrived @param {Connection} connection */
  note_taken(offset, connection) {
    if (offset <= this.bytes_taken) return;
    const newest = this.on_way.filter(({ from, bytes }) => from + bytes > this.bytes_taken && from + bytes <= offset).pop();
    if (newest) connection.pace.taken(newest);
    this.bytes_taken = offset;
    connection.waits = offset < this.bytes_tx;
    connection.untaken_s = 0;
  }

  /** Moves the chunks that are stored to the stored ranges. @param {number} offset */
  take_stored(offset) {
    while (this.on_way.length && this.on_way[0].from + this.on_way[0].bytes <= offset) {
      const { bytes, crc, opens } = /** @type {Chunk} */ (this.on_way.shift());
      this.stored.add(bytes, bytes, Number(crc), opens);
      this.chunks_acked_now += 1;
    }
  }

  /** @param {{offset: number, taken?: number, max_chunk_bytes?: number, max_window_bytes?: number}} event */
  on_stored({ offset, taken = 0, max_chunk_bytes = 0, max_window_bytes = 0 }) {
    const { connection } = this.upload;
    if (!this.acknowledge(offset, taken)) return;
    if (connection) connection.pace.allow(max_chunk_bytes, max_window_bytes);
    if (connection && !connection.agreed && this.left_out_to && offset >= this.left_out_to) this.compare(connection.compare, []);
    this.send_chunks();
    this.arrive_if_complete();
  }

  /** The chunk at `offset` was damaged in transit. @param {number} offset @param {number} round */
  on_resend(offset, round) {
    const { connection } = this.upload;
    if (!connection || !this.acknowledge(offset)) return;
    this.stored.reach(offset);
    this.on_way = [];
    this.bytes_taken = offset;
    this.left_out_to = 0;
    this.chunks_tx_now = this.chunks_acked_now;
    connection.round = round;
    connection.waits = connection.completed = false;
    this.prepare_from(offset);
    this.send_chunks();
  }

  // -- chunks

  /** From here on, chunks are prepared again. @param {number} offset */
  prepare_from(offset) {
    this.ready = [];
    this.bytes_tx = this.bytes_asked = offset;
  }

  /** Prepares the next chunks again, because their size has changed. */
  prepare_again() {
    this.prepare_from(this.bytes_tx);
    this.send_chunks();
  }

  /** Sends what may be sent now, and prepares more. */
  send_chunks() {
    const { connection } = this.upload;
    if (!this.is_active() || !connection || this.left_out_to > this.upload.bytes_acked) return;
    this.read_ahead(connection);
    while (this.ready.length && this.ready[0].crc !== null && this.may_send(this.ready[0], connection.pace)) {
      this.send_chunk(/** @type {Chunk} */ (this.ready.shift()), connection);
      this.read_ahead(connection);
    }
    if (!this.leave_out(connection)) this.complete(connection);
  }

  /** @param {Chunk} chunk @param {Pace} pace */
  may_send(chunk, pace) {
    const ahead_bytes = this.bytes_tx - this.bytes_taken;
    if (!pace.admits(ahead_bytes, this.bytes_tx - this.upload.bytes_acked, chunk.bytes)) return false; // the server will tell
    const wait_ms = this.throttle.wait_ms(chunk.bytes);
    if (wait_ms > 0 && this.throttle_timer === null) {
      this.throttle_timer = setTimeout(() => {
        this.throttle_timer = null;
        this.send_chunks();
        this.upload.settle();
      }, Math.ceil(wait_ms));
    }
    return wait_ms === 0;
  }

  /** @param {Chunk} chunk @param {Connection} connection */
  send_chunk(chunk, connection) {
    const end = chunk.from + chunk.bytes;
    chunk.sent_ms = now_ms();
    chunk.ahead_bytes = end - this.bytes_taken;
    this.throttle.take(chunk.bytes);
    const message = chunk.buffer || new ArrayBuffer(HEADER_BYTES);
    write_header(message, chunk.from, Number(chunk.crc), connection.round);
    connection.send_chunk(message, /** @type {Blob} */ (chunk.blob));
    chunk.buffer = chunk.blob = null;
    connection.waits = true;
    this.on_way.push(chunk);
    this.bytes_tx = end;
    this.chunks_tx_now += 1;
  }

  /** @param {Connection} connection */
  read_ahead({ pace }) {
    const { upload } = this;
    while (upload.connection && this.ready.length < PREPARED_CHUNKS && this.bytes_asked < upload.bytes_total) {
      const { bytes_asked: from } = this;
      const { to, opens } = this.cut(from, this.chunk_bytes(pace));
      if (to === from) return; // a file that is left out is next
      /** @type {Chunk} */
      const chunk = { from, bytes: to - from, opens, crc: null, buffer: null, blob: null, sent_ms: 0, ahead_bytes: 0 };
      this.ready.push(chunk);
      this.bytes_asked = to;
      upload.reading.read(from, to, 0, true, (crc, buffer, blob) => {
        Object.assign(chunk, { crc, buffer, blob });
        this.send_chunks();
      });
    }
  }

  /** Where a chunk ends. @param {number} from @param {number} bytes at most */
  cut(from, bytes) {
    const { bytes_total, folder } = this.upload;
    return folder ? folder.cut(from, bytes) : { to: Math.min(bytes_total, from + bytes), opens: false };
  }

  /**
   * Asks the server to leave out the file that is next, if it can't be read. It has to have stored all before it. What comes
   * next waits for its answer.
   * @param {Connection} connection
   */
  leave_out(connection) {
    const { bytes_acked, folder } = this.upload;
    const hole = folder && folder.hole(this.bytes_tx);
    if (!hole) return false;
    if (bytes_acked < this.bytes_tx) return true;
    const { from, index, to } = hole;
    if (connection.is_http) { // which does not have this
      this.upload.fail({ ...FOLDER_UNREADABLE, index });
      return true;
    }
    this.stored.cut(from);
    /** @type {Chunk} */
    const zeros = {
      from, bytes: to - from, opens: false, crc: crc_of_zeros(to - from), buffer: null, blob: null, sent_ms: 0, ahead_bytes: 0,
    };
    this.on_way.push(zeros);
    this.left_out_to = this.bytes_tx = this.bytes_asked = this.bytes_taken = to;
    this.chunks_tx_now += 1;
    connection.waits = true;
    this.upload.send_message('MsgLeaveOut', { Index: index });
    return true;
  }

  /** @param {Pace} pace */
  chunk_bytes(pace) {
    const { bytes_per_s } = this.throttle;
    const most_bytes = Math.min(pace.chunk_bytes, this.upload.reading.most_bytes);
    if (!bytes_per_s) return most_bytes;
    return Math.min(most_bytes, Math.max(CHUNK_MIN_BYTES, Math.floor(bytes_per_s / 4)));
  }

  // -- the end

  /** Sends MsgComplete after all chunks, once the checksum of the whole file is known. @param {Connection} connection */
  complete(connection) {
    if (connection.completed || this.bytes_tx < this.upload.bytes_total || this.stored.gap()) return;
    connection.completed = true;
    this.send_complete(connection);
    this.arrive_if_complete();
  }

  /** @param {Connection} connection */
  send_complete(connection) {
    connection.unanswered_s = 0;
    this.upload.send_message('MsgComplete', { Crc32c: this.stored.crc(this.on_way), Round: connection.round });
  }

  /** From then on the app may have the file, and a cancel comes too late. */
  arrive_if_complete() {
    const { connection, bytes_acked, bytes_total } = this.upload;
    if (connection && connection.completed && bytes_acked === bytes_total) this.upload.transition('arrive');
  }

  // -- the page's limit

  /** @param {number} bytes_per_s */
  limit(bytes_per_s) {
    this.throttle.limit(bytes_per_s);
    this.stop_throttle();
    const { connection } = this.upload;
    const is_large = (/** @type {Chunk} */ chunk) => connection && chunk.bytes > 2 * this.chunk_bytes(connection.pace);
    // Only then: a slider changes the limit faster than chunks are read.
    if (this.ready.some(is_large)) this.prepare_from(this.bytes_tx);
    this.send_chunks();
  }

  stop_throttle() {
    if (this.throttle_timer !== null) clearTimeout(this.throttle_timer);
    this.throttle_timer = null;
  }
}
