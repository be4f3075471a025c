// When to try again, and what the page says meanwhile.

import { CLOSE_RESTART, CLOSE_TAKEN_OVER, CLOSE_TRY_AGAIN_LATER } from './connection.js';
import { is_offline, server } from './server.js';
import * as TEXTS from './texts.js';
import { without_html } from './texts.js';
import { SUSPICIOUS_TRIES } from './transport.js';

/** @typedef {import('./connection.js').Connection} Connection */
/** @typedef {import('./upload.js').Upload} Upload */

const FIRST_S = 1;
const MAX_S = 60;
const JITTER = 0.3; // or all clients of a restarted server come back in the same instant
const TAKEN_OVER_FIRST_S = 10; // two windows with the same upload must not fight
const DOUBTFUL_TRIES = 3; // messages have no checksums: without https one may have been damaged on its way

/** The exponential backoff of one upload. */
export class Retry {
  /** @param {Upload} upload */
  constructor(upload) {
    this.upload = upload;
    /** @type {ReturnType<typeof setTimeout> | null} */
    this.timer = null;
    /** @type {number | null} */
    this.next_at = null; // ms since 1970
    this.note = ''; // why there is no connection
    this.is_asking = false; // plain HTTP: perhaps the next try is now
    this.tries = 0;
    this.takeovers = 0;
    this.doubtful_tries = 0;
  }

  get is_waiting() {
    return this.timer !== null;
  }

  /**
   * @param {string} note why there is no connection, a sentence for users
   * @param {number} [at_least_s] @param {number} [exactly_s] instead of the growing delay
   */
  later(note, at_least_s = 0, exactly_s = 0) {
    this.upload.hang_up();
    const grown_s = is_offline() ? MAX_S : FIRST_S * 2 ** this.tries;
    const jitter = 1 + JITTER * (2 * Math.random() - 1);
    const delay_s = exactly_s || jitter * Math.min(MAX_S, Math.max(grown_s, at_least_s));
    this.tries += 1;
    this.note = note;
    this.next_at = Math.round(Date.now() + delay_s * 1000);
    this.timer = setTimeout(() => {
      this.stop();
      this.upload.settle();
    }, delay_s * 1000);
  }

  stop() {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = this.next_at = null;
    this.is_asking = false;
  }

  /** The sentence that is shown while it waits. */
  text() {
    if (is_offline()) return TEXTS.OFFLINE;
    return this.is_asking ? TEXTS.CONNECTING : this.note + TEXTS.RETRY;
  }

  /** @param {number} code of the close frame @param {string} reason */
  on_lost(code, reason) {
    const { connection, transport } = this.upload;
    const { confirmed = false, open = false, retry_after_s = 0 } = connection || {};
    if (code === CLOSE_TAKEN_OVER) {
      this.takeovers += 1;
      this.later(TEXTS.TAKEN_OVER, TAKEN_OVER_FIRST_S * 2 ** (this.takeovers - 1));
    } else if (retry_after_s) {
      this.later(reason || TEXTS.RESTARTED, 0, retry_after_s * (0.5 + Math.random()));
    } else if ((code === CLOSE_RESTART || code === CLOSE_TRY_AGAIN_LATER) && reason) {
      this.later(reason);
    } else {
      this.later(confirmed ? TEXTS.LOST : TEXTS.NO_CONNECTION);
      const is_doubtful = connection && transport.on_lost(connection, this.tries);
      if (is_doubtful && !is_offline()) this.ask_why(open);
    }
  }

  /**
   * No WebSocket worked: tries HTTP where that does, or tells what it answers.
   * @param {boolean} opened but nothing came that an upload server would send
   */
  async ask_why(opened) {
    const { timer, tries, upload } = this;
    this.is_asking = tries < SUSPICIOUS_TRIES;
    const status = await server.status();
    if (timer !== this.timer) return; // the next try has begun already
    this.is_asking = false;
    if (upload.transport.on_status(status, tries)) {
      this.stop();
    } else if (!server.was_reached && tries >= SUSPICIOUS_TRIES) {
      const host = without_html(server.host());
      this.note = opened ? TEXTS.NOT_A_SERVER(host) : server.refusal(status) || TEXTS.NO_ANSWER(host);
      server.warn_of_address(this.note);
    }
    upload.settle();
  }

  /** Does not wait for a WebSocket that is slow to open, where plain HTTP gets through. @param {Connection} connection */
  async ask_early(connection) {
    const { upload } = this;
    connection.was_asked = true;
    const status = await server.status();
    if (connection !== upload.connection || connection.open || !upload.transport.on_status(status, 0)) return;
    upload.hang_up();
    upload.settle();
  }

  /**
   * A message may have been damaged on its way: an error is believed when it came three times.
   * @param {{code: number, msg: string}} error
   */
  on_doubtful(error) {
    this.doubtful_tries += 1;
    if (this.doubtful_tries < DOUBTFUL_TRIES) this.later(error.msg);
    else this.upload.fail(error);
  }

  /** @param {string} word @param {string} msg */
  on_passing_error(word, msg) {
    this.on_lost(word === 'taken_over' ? CLOSE_TAKEN_OVER : CLOSE_TRY_AGAIN_LATER, msg);
  }
}
