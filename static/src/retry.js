// When to try again, and what the page says meanwhile.

import { CLOSE_RESTART, CLOSE_TAKEN_OVER, CLOSE_TRY_AGAIN_LATER, CLOSE_WORKER_LOST } from './connection.js';
import { NOT_RETRIED } from './errors.js';
import { is_offline } from './server.js';
import { report } from './subscribers.js';
import { without_html } from './texts.js';
import { SUSPICIOUS_TRIES } from './transport.js';

/** @typedef {import('./connection.js').Connection} Connection */
/** @typedef {import('./errors.js').UploadError} UploadError */
/** @typedef {Sentence & {reason: incoming.Reason, code?: number}} Note why there is no connection */
/** @typedef {import('./texts.js').Sentence} Sentence */
/** @typedef {import('./upload.js').Upload} Upload */

const FIRST_S = 1;
const MAX_S = 60;
const JITTER = 0.3; // or all clients of a restarted server come back in the same instant
const TAKEN_OVER_FIRST_S = 10; // two windows with the same upload must not fight
const DOUBTFUL_TRIES = 3; // messages have no checksums: without https one may have been damaged in transit

/** What errors of the server would be as the end of a connection. @type {Record<string, number>} */
const CLOSE_CODES = { taken_over: CLOSE_TAKEN_OVER, stopping: CLOSE_RESTART };

/** The exponential backoff of one upload. */
export class Retry {
  /** @param {Upload} upload */
  constructor(upload) {
    this.upload = upload;
    /** @type {ReturnType<typeof setTimeout> | null} */
    this.timer = null;
    /** @type {number | null} */
    this.next_at = null; // ms since 1970
    /** @type {Note | null} */
    this.note = null;
    this.is_asking = false; // plain HTTP: perhaps the next try is now
    this.tries = 0;
    this.takeovers = 0;
    this.doubtful_tries = 0;
  }

  get is_waiting() {
    return this.timer !== null;
  }

  /**
   * @param {incoming.Reason} reason why there is no connection @param {Partial<Note>} [note] more about it
   * @param {number} [at_least_s] @param {number} [exactly_s] instead of the growing delay, which it does not make longer
   */
  later(reason, note = {}, at_least_s = 0, exactly_s = 0) {
    this.upload.hang_up();
    let delay_s = exactly_s;
    if (!delay_s) {
      const grown_s = is_offline() ? MAX_S : FIRST_S * 2 ** this.tries++;
      delay_s = Math.min(MAX_S, Math.max(grown_s, at_least_s)) * (1 + JITTER * (2 * Math.random() - 1));
    }
    this.next_at = Math.round(Date.now() + delay_s * 1000);
    this.timer = setTimeout(() => {
      this.stop();
      this.upload.settle();
    }, delay_s * 1000);
    this.explain({ reason, key: reason, ...note });
  }

  /** Says why it tries again, if the page does not forbid it. @param {Note} note */
  explain(note) {
    const { tries, upload } = this;
    this.note = note;
    if (!upload.should_retry || upload.state !== 'running') return;
    const { code = null, reason } = note;
    const message = upload.text(note.key, note.args, note.msg);
    let may_retry = true;
    try {
      may_retry = upload.should_retry({ code, reason, message, tries }) !== false;
    } catch (error) {
      report(error);
    }
    if (may_retry || upload.state !== 'running') return; // the page may have cancelled it
    this.stop();
    upload.fail(NOT_RETRIED);
  }

  stop() {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = this.next_at = null;
    this.is_asking = false;
  }

  /** The sentence that is shown while it waits. */
  text() {
    const { note, upload } = this;
    if (is_offline()) return upload.text('offline');
    if (this.is_asking || !note) return upload.text('connecting');
    return upload.text(note.key, note.args, note.msg) + ' ' + upload.text('trying_again');
  }

  /** @param {number} code of the close frame @param {string} reason */
  on_lost(code, reason) {
    const { connection, transport } = this.upload;
    const { confirmed = false, open = false, retry_after_s = 0 } = connection || {};
    if (code === CLOSE_TAKEN_OVER) {
      this.takeovers += 1;
      this.later('taken_over', {}, TAKEN_OVER_FIRST_S * 2 ** (this.takeovers - 1));
    } else if (retry_after_s) {
      this.later('server_restarting', { msg: reason }, 0, retry_after_s * (0.5 + Math.random()));
    } else if (code === CLOSE_WORKER_LOST) {
      this.later('worker_lost');
    } else if ((code === CLOSE_RESTART || code === CLOSE_TRY_AGAIN_LATER) && reason) {
      this.later(code === CLOSE_RESTART ? 'server_restarting' : 'server_busy', { msg: reason });
    } else {
      this.later(confirmed ? 'connection_lost' : 'no_connection');
      const is_doubtful = connection && transport.on_lost(connection, this.tries);
      if (is_doubtful && this.is_waiting && !is_offline()) this.ask_why(open);
    }
  }

  /**
   * No WebSocket worked: tries HTTP where that does, or tells what it answers.
   * @param {boolean} opened but nothing came that an upload server would send
   */
  async ask_why(opened) {
    const { timer, tries, upload } = this;
    const { server } = upload;
    this.is_asking = tries < SUSPICIOUS_TRIES;
    const status = await server.status();
    if (timer !== this.timer) return; // the next try has begun already
    this.is_asking = false;
    if (upload.transport.on_status(status, tries)) {
      this.stop();
    } else if (!server.was_reached && tries >= SUSPICIOUS_TRIES) {
      const note = diagnosis(server, opened, status);
      server.warn_of_address(upload.text(note.key, note.args));
      this.explain(note);
    }
    upload.settle();
  }

  /** Does not wait for a WebSocket that is slow to open, where plain HTTP gets through. @param {Connection} connection */
  async ask_early(connection) {
    const { upload } = this;
    connection.was_asked = true;
    const status = await connection.server.status();
    if (connection !== upload.connection || connection.open || !upload.transport.on_status(status, 0)) return;
    upload.hang_up();
    upload.settle();
  }

  /**
   * A message may have been damaged in transit: an error is accepted when it came three times.
   * @param {UploadError} error
   */
  on_doubtful(error) {
    this.doubtful_tries += 1;
    if (this.doubtful_tries < DOUBTFUL_TRIES) this.later('invalid_response', { code: error.code, msg: error.msg });
    else this.upload.fail(error);
  }

  /** @param {string} word @param {string} msg */
  on_passing_error(word, msg) {
    this.on_lost(CLOSE_CODES[word] || CLOSE_TRY_AGAIN_LATER, msg);
  }
}

/**
 * @param {import('./server.js').Server} server @param {boolean} opened but nothing came that an upload server would send
 * @param {number} status what plain HTTP has answered @returns {Note}
 */
function diagnosis(server, opened, status) {
  const args = [without_html(server.host())];
  if (opened) return { reason: 'not_an_upload_server', key: 'not_an_upload_server', args };
  if (status <= 0) return { reason: 'no_connection', key: 'no_answer', args };
  const reason = server.refusal(status);
  return { reason, key: reason, args: [status] };
}
