// The page's side of the worker: starts it, gives it orders, and replaces it when it is lost.
//
// Chunks are sent as they were read. Firefox sends a slice of a file two to three times faster than bytes, for which it
// reads the slice once more (bench/notes/). Without a worker all browsers send slices, because the page's own
// thread reads only small pieces.

import { TICK_S, now_ms } from '../clock.js';
import { HEADER_BYTES } from '../wire.js';
import { free, read_at_once } from './blobs.js';
import { make_crc32c } from './crc32c.js';

/** @typedef {(crc: number | null, buffer: ArrayBuffer | null) => void} OnRead as `read` in reader.js; no buffer: not kept */

export const CLOSE_WORKER_LOST = 4999; // never sent
const PIECE_BYTES = 256 * 1024; // that the page's own thread reads at once: less than a millisecond
const TIMEOUT_TICKS = 5; // iOS ends the workers of hidden pages without an event
const START_TIMEOUT_TICKS = 10; // a busy machine starts one late
const MAX_LOSSES = 3; // in a row; then the page's thread takes over
const PROVEN_MS = 60000; // one that lived longer does not count as lost in a row

const sends_slices = () => / Firefox\//.test(navigator.userAgent);

/**
 * One worker for all uploads of the page. Where there is none, the page's own thread does its work.
 *
 * A browser does not report that it has ended a worker, and an extension may put something else in its place. So a
 * worker that has work is pinged each second. One that does not answer is replaced.
 */
export const worker = {
  /** @type {Worker | null | undefined} undefined: not tried yet */
  thread: undefined,
  is_proven: false, // it has answered: a policy that forbids it shows late
  started_ms: 0,
  losses: 0, // in a row
  silent_ticks: 0,
  ticked_ms: 0,
  /** @type {ReturnType<typeof make_crc32c> | null} of the page's own thread */
  crc32c: null,
  /** @type {Map<number, {blob: Blob, seed: number, keep: boolean, on_read: OnRead}>} */
  jobs: new Map(),
  /** @type {Map<number, WorkerSocket>} */
  sockets: new Map(),
  last_id: 0,

  /**
   * @param {Blob} blob @param {number} seed the checksum of what came before
   * @param {boolean} keep the bytes, where they can be sent as they are @param {OnRead} on_read
   */
  read(blob, seed, keep, on_read) {
    if (this.thread === undefined) this.start();
    if (!this.thread) {
      this.read_here(blob, seed, on_read);
      return;
    }
    const id = this.last_id += 1;
    this.jobs.set(id, { blob, seed, keep, on_read });
    this.order({ action: 'read', id, blob, seed, room: keep && !sends_slices() ? HEADER_BYTES : 0 });
  },

  /** @param {object} order @param {Transferable[]} [transfer] */
  order(order, transfer = []) {
    const { thread } = this;
    if (!thread) return;
    try {
      thread.postMessage(order, transfer);
    } catch (error) {
      setTimeout(() => this.lose(thread)); // later: the caller is not ready for its consequences
    }
  },

  start() {
    this.thread = null;
    this.is_proven = false;
    this.started_ms = now_ms();
    this.silent_ticks = 0;
    try {
      const source = new Blob([WORKER_SOURCE], { type: 'text/javascript' });
      const thread = this.thread = new Worker(URL.createObjectURL(source));
      thread.onmessage = ({ data }) => {
        if (thread === this.thread) this.on_message(data);
      };
      thread.onerror = thread.onmessageerror = (/** @type {Event} */ event) => {
        // A Content Security Policy without `worker-src blob:` is not an error of the page.
        if (!this.is_proven) event.preventDefault();
        this.lose(thread);
      };
    } catch (error) {
      this.thread = null; // some browsers refuse it here
    }
  },

  /** @param {any} data */
  on_message(data) {
    this.is_proven = true;
    this.silent_ticks = 0;
    const socket = this.sockets.get(data.id);
    if (socket) socket.on_event(data);
    const job = this.jobs.get(data.id);
    this.jobs.delete(data.id);
    if (job) job.on_read(data.crc, data.buffer);
  },

  /**
   * Each connection calls it once a second. It counts ticks and not the time, because a machine may sleep and timers of
   * hidden pages rest.
   */
  tick() {
    const { thread } = this;
    const is_new_second = now_ms() - this.ticked_ms >= TICK_S * 900;
    if (!thread || !is_new_second || !(this.jobs.size + this.sockets.size)) return;
    this.ticked_ms = now_ms();
    this.silent_ticks += 1;
    if (this.silent_ticks >= (this.is_proven ? TIMEOUT_TICKS : START_TIMEOUT_TICKS)) this.lose(thread);
    else this.order({ action: 'ping' });
  },

  /** Gives a worker up. One that has answered is replaced. @param {Worker} thread */
  lose(thread) {
    if (thread !== this.thread) return;
    const { jobs, sockets } = this;
    this.jobs = new Map();
    this.sockets = new Map();
    this.losses = now_ms() - this.started_ms > PROVEN_MS ? 1 : this.losses + 1;
    this.thread = null;
    if (thread.terminate) thread.terminate(); // an extension's object may lack it
    if (this.is_proven && this.losses < MAX_LOSSES) this.start();
    this.is_proven = false;
    sockets.forEach((socket) => socket.on_event({ event: 'close', code: CLOSE_WORKER_LOST, reason: '' }));
    jobs.forEach(({ blob, seed, keep, on_read }) => this.read(blob, seed, keep, on_read));
  },

  /**
   * Reads in the page's own thread, piece by piece, so that the page stays responsive.
   * @param {Blob} blob @param {number} seed @param {OnRead} on_read
   */
  async read_here(blob, seed, on_read) {
    /** @type {number | null} */
    let crc = seed;
    try {
      for (let at = 0; crc !== null && (at < blob.size || !at); at += PIECE_BYTES) {
        const buffer = await read_at_once(blob.size > PIECE_BYTES ? blob.slice(at, at + PIECE_BYTES) : blob);
        this.crc32c = this.crc32c || make_crc32c(null);
        crc = buffer && this.crc32c(buffer, 0, crc);
        if (buffer) free(buffer);
      }
    } catch (error) {
      crc = -1; // a RangeError: no memory
    }
    on_read(crc, null);
  },
};

/** As much of a WebSocket as is used here; the worker has the real one. */
export class WorkerSocket {
  /** @param {string} url */
  constructor(url) {
    /** @type {((event: any) => void) | null} */
    this.onopen = null;
    /** @type {((event: any) => void) | null} */
    this.onmessage = null;
    /** @type {((event: any) => void) | null} */
    this.onclose = null;
    /** @type {((event: any) => void) | null} */
    this.onrefused = null;
    this.id = worker.last_id += 1;
    worker.sockets.set(this.id, this);
    worker.order({ action: 'dial', id: this.id, url });
  }

  /** @param {string | Blob | ArrayBuffer} data */
  send(data) {
    worker.order({ action: 'send', id: this.id, data }, data instanceof ArrayBuffer ? [data] : []);
  }

  /** @param {number} code */
  close(code) {
    worker.sockets.delete(this.id);
    worker.order({ action: 'close', id: this.id, code });
  }

  /** @param {{event: 'open' | 'message' | 'close' | 'refused', code?: number, reason?: string}} event */
  on_event(event) {
    const listener = this[/** @type {'onopen'} */ ('on' + event.event)];
    if (listener) listener(event);
  }
}
