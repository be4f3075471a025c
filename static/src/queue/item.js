// One file of a queue. It waits for a place, runs, and ends. One that is paused gives its place to the next:
//
//     waiting -> running -> finished | failed | cancelled        waiting | running -> paused -> waiting

import incoming from '../../incoming.mjs';
import { text } from './texts.js';
import { wait_s } from './tickets.js';

/**
 * @typedef {import('../../queue.mjs').ItemState} ItemState
 * @typedef {import('../../queue.mjs').ItemSnapshot} ItemSnapshot
 * @typedef {import('./queue.js').Queue} Queue
 * @typedef {{path: string, begun?: incoming.UnfinishedUpload, handle?: any}} Origin
 */

/** @type {ItemState[]} */
const ENDED = ['finished', 'failed', 'cancelled', 'refused'];
/** Errors of the library after which the ticket is as good as before: docs/reference/javascript.md has a table. */
const TICKET_IS_GOOD = [20, 21, 100, 102, 103, 106, 107];

export class Item {
  /** @param {Queue} queue @param {number} id @param {File | incoming.Folder} file @param {Origin} origin */
  constructor(queue, id, file, { path, begun, handle = null }) {
    this.queue = queue;
    this.id = id;
    this.file = file;
    this.path = path;
    this.handle = handle;
    this.state = /** @type {ItemState} */ ('waiting');
    this.message = ''; // a sentence for users: why it ended, or what it waits for
    this.code = ''; // why, where no uploader tells
    this.bytes_acked = begun ? begun.bytes_acked : 0;
    this.upload_id = begun ? begun.upload_id : ''; // "" as long as it has no ticket
    this.uploader = /** @type {incoming.Uploader | null} */ (null);
    this.asking = /** @type {Promise<void> | null} */ (null);
    this.wanted = /** @type {AbortController | null} */ (null); // while it asks; aborted once the ticket is no longer needed
    this.try_now = /** @type {(() => void) | null} */ (null); // while it waits before it asks again
    this.seen = /** @type {ItemSnapshot | null} */ (null);
  }

  get ended() {
    return ENDED.includes(this.state);
  }

  get can_cancel() {
    return !this.ended && (!this.uploader || this.uploader.can_cancel);
  }

  get can_pause() {
    return this.can_cancel && this.state !== 'paused';
  }

  get can_resume() {
    return this.can_cancel && this.state === 'paused';
  }

  get can_retry() {
    return this.state === 'failed' || (this.state === 'running' && (this.try_now !== null || can_retry(this.uploader)));
  }

  /** A code in place of the sentence in `message`; "" where there is nothing to explain. */
  get reason() {
    const { reason = '' } = /** @type {{reason?: string}} */ (this.uploader || {});
    return this.code || reason;
  }

  pause() {
    if (!this.can_pause) return;
    this.become('paused');
    if (this.uploader) this.uploader.pause('pause');
    if (this.try_now) this.try_now();
  }

  resume() {
    if (this.can_resume) this.become('waiting');
  }

  cancel() {
    if (this.uploader) this.uploader.cancel(); // the event follows when the server knows
    else if (!this.ended) {
      if (this.wanted) this.wanted.abort();
      this.become('cancelled', { code: 'user' });
    }
  }

  /** Tries a failed item again, and retries at once if a retry is scheduled. */
  retry() {
    if (this.state === 'running') {
      if (this.try_now) this.try_now();
      else if (this.uploader && can_retry(this.uploader)) retry_now(this.uploader);
    } else if (this.state === 'failed') {
      const keeps = this.uploader && TICKET_IS_GOOD.includes(Number(this.uploader.error_code));
      this.uploader = null;
      this.become('waiting', keeps ? {} : { upload_id: '', bytes_acked: 0 });
    }
  }

  /** @returns {ItemSnapshot} the same object until something changes */
  snapshot() {
    if (!this.seen) this.seen = Object.freeze(this.look());
    return this.seen;
  }

  /** @returns {ItemSnapshot} */
  look() {
    const { id, file, path, handle, state, message, reason, bytes_acked, upload_id, uploader } = this;
    const frac_complete = state === 'finished' ? 1 : bytes_acked / (file.size || 1);
    const { ended, can_pause, can_resume, can_cancel, can_retry } = this;
    const upload = uploader && values_of(uploader);
    return {
      item: this, id, file, path, handle, state, message, reason, bytes_acked, frac_complete, upload_id,
      ended, can_pause, can_resume, can_cancel, can_retry, upload,
    };
  }

  /** Takes a place; for the queue to call. */
  async run() {
    this.become('running');
    if (this.uploader) {
      this.uploader.pause('unpause');
      return;
    }
    if (!this.upload_id) await this.ask();
    if (this.state === 'running' && this.upload_id && !this.uploader) this.upload(); // it may be paused by now
  }

  /** Gets a ticket: once, however often it is paused and resumed. */
  ask() {
    if (!this.asking) {
      this.asking = this.ask_until_there().then(() => {
        this.asking = null;
      });
    }
    return this.asking;
  }

  async ask_until_there() {
    const { signal } = (this.wanted = new AbortController());
    for (let tries = 1; ; tries++) {
      try {
        const ticket = await this.queue.get_ticket(this, signal);
        if (this.ended) return;
        if (typeof ticket !== 'string' || !ticket) throw new Error(text('not_a_ticket'));
        this.upload_id = ticket;
        this.note('', '');
        return;
      } catch (error) {
        if (this.state !== 'running') return; // it asks again when it is resumed
        const { message, retry, retry_after_s } = Object(error);
        if (!retry) {
          this.become('failed', { message: message || text('ticket_refused'), code: 'ticket_refused' });
          return;
        }
        await this.wait(wait_s(tries, { retry_after_s }, Math.random()));
        if (this.state !== 'running') return;
      }
    }
  }

  /** Waits, or until somebody has an idea that it could work now. @param {number} seconds */
  async wait(seconds) {
    await new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        if (typeof window !== 'undefined') window.removeEventListener('online', done);
        this.try_now = null;
        resolve(undefined);
      };
      const timer = setTimeout(done, seconds * 1000);
      if (typeof window !== 'undefined') window.addEventListener('online', done);
      this.try_now = done;
      this.note(text('no_ticket'), 'no_ticket');
    });
  }

  upload() {
    const uploader = this.new_uploader();
    if (!uploader) return;
    this.uploader = uploader;
    const own = (/** @type {() => void} */ listener) => () => {
      if (this.uploader === uploader) listener();
    };
    uploader.addEventListener('progress', own(() => this.queue.progressed(this, uploader.bytes_acked)));
    uploader.addEventListener('finished', own(() => this.become('finished')));
    uploader.addEventListener('cancelled', own(() => this.become('cancelled', { message: uploader.cancel_msg })));
    uploader.addEventListener('error', own(() => this.become('failed', { message: uploader.error_msg })));
    uploader.start();
  }

  /** @returns {incoming.Uploader | null} */
  new_uploader() {
    const { Uploader = incoming.Uploader, uploader_options } = this.queue;
    const options = typeof uploader_options === 'function' ? uploader_options(this) : uploader_options;
    try {
      return new /** @type {any} */ (Uploader)(this.upload_id, this.file, options);
    } catch (error) {
      this.become('failed', { message: /** @type {Error} */ (error).message, code: 'error' });
      return null;
    }
  }

  /** @param {string} message @param {string} code of what it waits for */
  note(message, code) {
    if (message !== this.message || code !== this.code) this.become(this.state, { message, code });
  }

  /** @param {ItemState} state @param {{message?: string, code?: string, upload_id?: string, bytes_acked?: number}} [more] */
  become(state, more = {}) {
    this.queue.change(this, { state, message: '', code: '', ...more });
  }

  /** Leaves it as it is, for another page or a later visit. */
  dispose() {
    const uploader = /** @type {any} */ (this.uploader);
    if (this.wanted) this.wanted.abort();
    if (this.try_now) this.try_now();
    this.uploader = null;
    if (uploader && uploader.dispose) uploader.dispose();
    else if (uploader) uploader.pause('pause');
  }
}

/** @param {incoming.Uploader | null} uploader @returns {boolean} */
function can_retry(uploader) {
  const { can_retry: can = uploader && uploader.retrying } = /** @type {any} */ (uploader || {});
  return Boolean(can);
}

/** @param {any} uploader of this library, or of an older one that was in the page before */
function retry_now(uploader) {
  if (uploader.retry_now) uploader.retry_now();
  else uploader.pause('pause').pause('unpause');
}

/** @param {any} uploader */
function values_of(uploader) {
  return uploader.snapshot ? uploader.snapshot() : Object.freeze(JSON.parse(JSON.stringify(uploader)));
}
