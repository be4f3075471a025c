// One attempt to talk with the server: a socket, its timeouts, and what was agreed over it.

import { TICK_S } from './clock.js';
import { HttpSocket } from './http_socket.js';
import { Pace } from './pace.js';
import { without_html } from './texts.js';
import { HEADER_BYTES, read_message } from './wire.js';
import { WorkerSocket, worker } from './worker/host.js';

export { CLOSE_WORKER_LOST } from './worker/host.js';

/** @typedef {import('./wire.js').ConnectionEvent} ConnectionEvent */
/** @typedef {import('./server.js').Server} Server */
/** @typedef {import('./wire.js').Terms} Terms */

const CONNECT_TIMEOUT_S = 15;
const SLOW_OPEN_S = 4; // then plain HTTP is asked whether a proxy swallows WebSockets
export const WAKE_TIMEOUT_S = 3; // after a sleep or a change of network a connection is probably dead

// RFC 6455 section 7.4.1, its registry at IANA, and one of the server's own.
const CLOSE_NORMAL = 1000;
export const CLOSE_RESTART = 1012;
export const CLOSE_TRY_AGAIN_LATER = 1013;
export const CLOSE_TAKEN_OVER = 4001; // a newer connection has the ticket

export function noop() {}

export class Connection {
  /** @param {Server} server @param {boolean} is_http @param {(event: ConnectionEvent) => void} report */
  constructor(server, is_http, report) {
    this.server = server;
    this.is_http = is_http;
    this.report = report;
    /** @type {WebSocket | WorkerSocket | HttpSocket | null} */
    this.socket = null;
    this.may_send = false;
    this.open = false;
    this.was_asked = false; // plain HTTP, why this is slow to open
    this.confirmed = false; // the server has sent its terms
    /** @type {[number, number][]} */
    this.compare = []; // whose checksums the server wants to have
    this.agreed = false; // and it got the checksums that it asked for: chunks may follow
    this.completed = false; // and MsgComplete
    this.unanswered_s = 0; // since MsgComplete or MsgCancel was sent
    this.handed_over = false; // the handover has begun
    this.round = 0; // how often something was asked for again
    this.silent_s = 0;
    this.silence_s = this.idle_silence_s = this.timeout_s = CONNECT_TIMEOUT_S;
    this.waits = false; // chunks are in flight, or a file is to be left out
    this.untaken_s = 0; // and the server has taken none of that for so long
    this.pinged = false;
    this.retry_after_s = 0; // from a server that stops
    this.reading = 0; // reads of the file that are pending for this connection
    this.reading_s = 0; // since the last one ended
    /** @type {object | null} */
    this.filling = null; // one of these is for the checksum of stored bytes
    this.pace = new Pace(1, 1, 1, 1, 1); // until the terms are there
    this.ticked_at = Date.now();
    this.ticker = setInterval(() => this.tick(), TICK_S * 1000);
  }

  dial() {
    this.timeout_s = CONNECT_TIMEOUT_S;
    let socket;
    try {
      socket = this.open_socket();
    } catch (error) {
      this.report({ type: 'bad_address' });
      return;
    }
    if (socket instanceof WorkerSocket) socket.onrefused = () => this.report({ type: 'bad_address' });
    socket.onopen = () => {
      this.may_send = true;
      this.open = !this.is_http; // which is not known before the first answer
      this.report({ type: 'opened' });
    };
    socket.onmessage = (/** @type {{data: any}} */ { data }) => {
      const event = read_message(data);
      if (!['ignored', 'not_understood'].includes(event.type)) {
        const { server } = this;
        server.was_reached = this.open = true;
        server.sockets_work = server.sockets_work || !this.is_http;
      }
      if (event.type === 'pong' && !this.pinged) this.untaken_s = 0; // not asked for: its storage is at work
      this.silent_s = 0;
      this.pinged = false;
      this.timeout_s = this.silence_s;
      this.report(event);
    };
    socket.onclose = (/** @type {{code: number, reason: string}} */ { code, reason }) => (
      this.report({ type: 'lost', code, reason: without_html(reason) }));
    this.socket = socket;
  }

  open_socket() {
    const { server } = this;
    if (this.is_http) return new HttpSocket(server);
    return worker.is_proven ? new WorkerSocket(server.url()) : new WebSocket(server.url());
  }

  /** @param {Terms} terms @param {number} first_window_bytes */
  confirm(terms, first_window_bytes) {
    this.confirmed = true;
    this.compare = terms.compare;
    this.silence_s = this.timeout_s = terms.silence_s;
    this.idle_silence_s = Math.max(terms.silence_s, terms.idle_silence_s);
    // Over HTTP two chunks are in flight, and a third one is ready.
    const [parts, most_chunks] = this.is_http ? [2, 3] : [4, Infinity];
    this.pace = new Pace(terms.max_chunk_bytes, terms.max_window_bytes, first_window_bytes, parts, most_chunks);
  }

  /** @param {string | Blob | ArrayBuffer} data */
  send(data) {
    if (this.socket && this.may_send) this.socket.send(/** @type {string} */ (data));
  }

  /** @param {ArrayBuffer} message a header, and the bytes of the chunk after it, unless `slice` has them @param {Blob} slice */
  send_chunk(message, slice) {
    const is_whole = message.byteLength > HEADER_BYTES;
    if (this.socket instanceof HttpSocket) this.socket.send(message, slice);
    else this.send(is_whole ? message : new Blob([message, slice]));
  }

  /** @param {string} type @param {object} data */
  send_message(type, data) {
    this.send(JSON.stringify({ MsgType: type, MsgData: data }));
  }

  /**
   * Counts the silence. It counts little of the time that a laptop sleeps or the timers of a hidden page rest:
   * messages of that time can still arrive.
   */
  tick() {
    const gap_s = (Date.now() - this.ticked_at) / 1000;
    this.ticked_at = Date.now();
    const seconds = Math.min(Math.max(gap_s, TICK_S), WAKE_TIMEOUT_S);
    this.silent_s += this.socket ? seconds : 0; // before that the file is waited for
    this.reading_s = this.reading ? this.reading_s + seconds : 0;
    this.untaken_s = this.waits ? this.untaken_s + seconds : 0;
    this.unanswered_s += seconds;
    worker.tick();
    if (gap_s > WAKE_TIMEOUT_S) this.probe();
    else if (this.silent_s >= this.silence_s / 2 && !this.pinged) this.ping();
    this.report({ type: 'tick' });
  }

  /** The server waits for the app, and so do we: thousands of clients must not ping it all the time. */
  use_idle_timeout() {
    this.handed_over = true;
    this.silence_s = this.timeout_s = this.idle_silence_s;
  }

  ping() {
    if (!this.confirmed) return;
    this.pinged = true;
    this.send_message('MsgPing', {});
  }

  /** The connection is probably dead: it gets a short time to answer. */
  probe() {
    this.timeout_s = Math.min(this.timeout_s, this.silent_s + WAKE_TIMEOUT_S);
    this.ping();
  }

  is_slow_to_open() {
    const waits = !this.is_http && !this.open && !this.was_asked;
    return waits && this.silent_s >= SLOW_OPEN_S && worker.silent_ticks < 2; // else the worker has ended
  }

  /** What was sent last may have been damaged in transit. */
  is_unanswered() {
    return this.confirmed && this.unanswered_s >= this.silence_s;
  }

  is_dead() {
    return Math.max(this.silent_s, this.untaken_s) >= this.timeout_s;
  }

  /** Closes, and reports nothing more. The browser sends what is queued first; nobody needs to wait for that. */
  drop() {
    clearInterval(this.ticker);
    this.report = noop;
    this.open = this.may_send = false;
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close(CLOSE_NORMAL);
  }
}
