// One upload: its state, what a page asks of it, what its connection reports, and what follows from both.

import { Connection, noop } from './connection.js';
import { BAD_ADDRESS, FILE_CHANGED, NOT_UNDERSTOOD, NOT_UNDERSTOOD_CODES, UNKNOWN_TICKET_CODE } from './errors.js';
import { last_change_of, name_of } from './files.js';
import { Memory } from './memory.js';
import { PROPERTIES, snapshot } from './properties.js';
import { READ_TIMEOUT_S, Reading, SLOW_READ_S } from './reading.js';
import { Retry } from './retry.js';
import { Sending } from './sending.js';
import { Share } from './share.js';
import { ENDINGS, STATES, TRANSITIONS } from './states.js';
import * as TEXTS from './texts.js';
import { Transport } from './transport.js';
import { guard_unload } from './unload.js';
import { are_valid } from './wire.js';

/** @typedef {import('./connection.js').ConnectionEvent} ConnectionEvent */
/** @typedef {import('./states.js').Event} TransitionEvent */
/** @typedef {import('./states.js').State} State */
/** @typedef {import('./wire.js').Terms} Terms */

/** The uploads that want a connection. @type {Set<Upload>} */
export const online_uploads = new Set();

/** What is behind an `incoming.Uploader`. Each public call, each event and each timer ends with `settle`. */
export class Upload {
  /** @param {string} ticket_id @param {Blob} file @param {incoming.Uploader} uploader */
  constructor(ticket_id, file, uploader) {
    this.ticket_id = ticket_id;
    this.file = file;
    this.uploader = uploader;
    this.filename = name_of(file);
    this.bytes_total = file.size;
    /** @type {State} */
    this.state = 'new';
    this.bytes_acked = 0;
    this.error_msg = this.cancel_msg = '';
    /** @type {number | null} */
    this.error_code = null;
    /** @type {Connection | null} */
    this.connection = null;
    this.retry = new Retry(this);
    this.transport = new Transport();
    this.reading = new Reading(this);
    this.sending = new Sending(this);
    this.memory = new Memory(this);
    this.share = new Share(this);
    /** The properties of the owner, while this one follows it. @type {Record<string, unknown> | null} */
    this.owner_values = null;
    this.app_is_silent = false;
    this.app_trouble = '';
    this.warns = false; // before the page is left
    this.notifying = false;
    this.shown = snapshot(this);
    this.ended = false;
    /** @type {(uploader: incoming.Uploader) => void} */
    this.resolve = noop;
    /** @type {(error: Error) => void} */
    this.reject = noop;
    this.done = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.done.catch(noop); // a page that does not use the promise has not missed an error
  }

  // -- what a page asks for

  start() {
    this.transition('start');
    this.settle();
  }

  /** @param {incoming.PauseRequest} what */
  pause(what) {
    const asked = what !== 'toggle' ? what : PROPERTIES.paused(this) ? 'unpause' : 'pause';
    if (this.transition(asked)) this.share.pass_on({ pause: asked });
    this.settle();
  }

  /** @param {string} reason */
  cancel(reason) {
    if (this.transition('cancel')) {
      this.cancel_msg = reason;
      this.retry.stop();
      this.send_message('MsgCancel', { Reason: reason });
      this.share.pass_on({ cancel: reason });
    }
    this.settle();
  }

  /** @param {number} bytes_per_s */
  limit(bytes_per_s) {
    this.sending.limit(bytes_per_s);
    this.settle();
  }

  /** The network or the window is back. */
  wake() {
    if (this.retry.is_waiting) this.retry.tries = 0;
    this.retry.stop();
    if (this.connection) this.connection.probe();
    else this.transport.forget();
    this.settle();
  }

  /** Shows the values of the tab that owns this upload. @param {State} state @param {Record<string, any>} values */
  follow(state, values) {
    if (state === 'failed') return; // this one may succeed, and has the ticket soon
    this.state = state;
    this.owner_values = values;
    this.cancel_msg = values.cancel_msg;
    this.bytes_acked = this.sending.bytes_tx = Math.min(values.bytes_acked, this.bytes_total);
    this.settle();
  }

  // -- events of the connection

  /** @param {ConnectionEvent} event */
  on_event(event) {
    switch (event.type) {
      case 'opened': this.on_opened(); break;
      case 'tick': this.on_tick(); break;
      case 'lost': this.retry.on_lost(event.code, event.reason); break;
      case 'bad_address': this.fail(BAD_ADDRESS); break;
      case 'confirmed': this.on_confirmed(event.terms); break;
      case 'stored': this.sending.on_stored(event); break;
      case 'resend': this.sending.on_resend(event.offset, event.round); break;
      case 'news': this.on_news(event.news, event.retry_after_s, event.why); break;
      case 'finished': this.on_finished(); break;
      case 'cancel_acknowledged': this.transition('abort'); break;
      case 'cancelled': this.on_cancelled(event.reason); break;
      case 'error': this.on_error(event); break;
      case 'passing_error': this.retry.on_passing_error(event.word, event.msg); break;
      case 'not_understood': this.retry.on_lost(0, ''); break; // perhaps damaged on its way
      case 'ignored': break;
    }
    this.settle();
  }

  on_opened() {
    if (!this.connection) return;
    this.connection.send_message('MsgUploadReq', {
      Version: 2, Id: this.ticket_id, LengthBytes: this.bytes_total, Name: this.filename,
      LastModifiedMs: last_change_of(this.file),
    });
  }

  /** @param {Terms} terms */
  on_confirmed(terms) {
    const { connection } = this;
    if (!connection || connection.confirmed) return;
    if (!are_valid(terms, this.bytes_total)) {
      this.retry.on_doubtful(NOT_UNDERSTOOD);
      return;
    }
    connection.confirm(terms, this.sending.first_window_bytes);
    this.retry.note = '';
    this.app_is_silent = false;
    if (terms.offset > this.bytes_acked) this.has_progressed();
    this.sending.begin_at(terms.offset);
    this.bytes_acked = terms.offset;
    this.memory.begin();
    this.resume(terms);
  }

  /** Sends what follows from the state over a new connection. @param {Terms} terms */
  resume(terms) {
    if (terms.arrived) {
      this.send_message('MsgAgree', { Crc32c: [] });
      this.transition('arrive');
    } else if (this.state === 'cancelling') {
      this.send_message('MsgCancel', { Reason: this.cancel_msg });
    } else {
      this.transition('rewind');
      this.sending.compare(terms.compare, []);
    }
  }

  /** @param {string} news @param {number} retry_after_s @param {string} why - what is wrong with the app */
  on_news(news, retry_after_s, why) {
    if (news === 'stopping' && this.connection) this.connection.retry_after_s = retry_after_s;
    if (news !== 'handing_over' && news !== 'waiting_for_app') return;
    if (this.connection) this.connection.use_idle_timeout();
    this.app_is_silent = news === 'waiting_for_app';
    this.app_trouble = why;
    this.sending.on_stored({ offset: this.bytes_total });
  }

  on_finished() {
    if (this.transition('finish')) this.bytes_acked = this.sending.bytes_tx = this.bytes_total;
  }

  /** Another party has cancelled, or it was us and the answer got lost. @param {string} reason */
  on_cancelled(reason) {
    if (this.state !== 'cancelling') this.cancel_msg = reason;
    this.transition('abort');
  }

  /** @param {{code: number, msg: string}} error */
  on_error(error) {
    const was_known = error.code === UNKNOWN_TICKET_CODE && this.memory.key !== '';
    if (was_known || NOT_UNDERSTOOD_CODES.includes(error.code)) this.retry.on_doubtful(error);
    else this.fail(error);
  }

  on_tick() {
    const { connection } = this;
    if (!connection) return;
    this.sending.sample_speed();
    if (connection.is_slow_to_open()) this.retry.ask_early(connection);
    if (connection.is_dead()) this.retry.on_lost(0, '');
    else if (connection.reading_s >= READ_TIMEOUT_S) this.retry.later(TEXTS.NOT_READABLE_NOW);
    else if (this.state === 'arrived' && connection.confirmed) this.wait_for_app(connection);
  }

  /** @param {Connection} connection */
  wait_for_app(connection) {
    this.retry.tries = 0; // no acknowledgement will come to do so
    const { completed, handed_over, unanswered_s, silence_s } = connection;
    // MsgComplete may have been damaged on its way.
    if (completed && !handed_over && unanswered_s >= silence_s) this.sending.send_complete(connection);
  }

  has_progressed() {
    this.retry.tries = this.retry.doubtful_tries = this.reading.unreadable_tries = 0;
  }

  /** Ends the upload here: its ticket may still be usable. @param {{code: number, msg: string}} error */
  fail(error) {
    if (!this.transition('fail') || this.state !== 'failed') return;
    this.error_code = error.code;
    this.error_msg = error.msg;
  }

  // -- the state, and what follows from it

  /** Changes the state. Returns false if the event has no meaning now. @param {TransitionEvent} event */
  transition(event) {
    const next = TRANSITIONS[this.state][event];
    if (next) this.state = next;
    return Boolean(next);
  }

  /** Opens or closes the connection as the state wants it, and notifies the page. */
  settle() {
    const needs_file = this.state === 'running' && !this.connection;
    if (needs_file && this.file.size !== this.bytes_total) this.fail(FILE_CHANGED);
    const { online } = STATES[this.state];
    if (online) {
      online_uploads.add(this);
      this.share.join();
    } else {
      online_uploads.delete(this);
    }
    if (online && this.share.owns) {
      if (!this.connection && !this.retry.is_waiting) this.connect();
    } else {
      this.retry.stop();
      this.hang_up();
      this.retry.note = '';
    }
    this.sending.sample_speed();
    this.memory.update();
    guard_unload(this);
    this.notify();
  }

  /** Connects once the file has shown that it can be read: a ticket that was never used can be used for another file. */
  connect() {
    const connection = this.connection = new Connection(this.transport.is_http, (event) => this.on_event(event));
    // Of an empty file only the whole shows whether it still exists; a slice of it can always be read.
    const sample = this.bytes_total ? this.file.slice(this.bytes_total - 1) : this.file;
    if (this.state !== 'running') connection.dial();
    else this.reading.read(sample, 0, false, () => connection.dial());
  }

  hang_up() {
    const { connection } = this;
    if (!connection) {
      this.sending.stop_throttle();
      return;
    }
    connection.drop();
    this.connection = null;
    this.sending.end(connection);
  }

  /**
   * Sends, if the server has sent its terms already. (If not, `resume` will send what is needed.)
   * @param {string} type @param {object} data
   */
  send_message(type, data) {
    if (this.connection && this.connection.confirmed) this.connection.send_message(type, data);
  }

  // -- what the page sees

  state_msg() {
    const { state, connection } = this;
    if (this.retry.is_waiting) return this.retry.text();
    if (state === 'arrived' && this.app_is_silent) {
      return this.app_trouble ? TEXTS.APP_TROUBLE(this.app_trouble) : TEXTS.APP_IS_SILENT;
    }
    if (state !== 'running') return STATES[state].text;
    if (connection && connection.reading_s >= SLOW_READ_S) return TEXTS.READ_IS_SLOW;
    if (!connection || !connection.confirmed) return TEXTS.CONNECTING;
    const checks = !connection.agreed || (this.bytes_acked === this.bytes_total && this.bytes_total > 0);
    return checks ? TEXTS.CHECKING : STATES.running.text;
  }

  /** Calls back until nothing changes any more: a callback may pause or cancel, too. */
  notify() {
    if (this.notifying) return; // by a callback: the loop below will see what it did
    this.notifying = true;
    for (let now = snapshot(this); now !== this.shown; now = snapshot(this)) {
      this.shown = now;
      this.share.post_values();
      this.call_back('progress');
    }
    this.notifying = false;
    const ending = ENDINGS[this.state];
    if (ending && !this.ended) {
      this.ended = true;
      this.share.leave();
      this.call_back(ending);
      this.settle_promise();
    }
  }

  /** @param {'progress'|'finished'|'cancelled'|'error'} name */
  call_back(name) {
    const callback = this.uploader[/** @type {'onprogress'} */ ('on' + name)];
    if (typeof callback === 'function') {
      try {
        callback.call(this.uploader, this.uploader);
      } catch (error) {
        report(error);
      }
    }
    this.uploader.dispatchEvent(new Event(name)); // which reports what listeners throw
  }

  settle_promise() {
    if (this.state === 'finished') {
      this.resolve(this.uploader);
      return;
    }
    const reason = this.state === 'cancelled' ? 'cancelled' : 'error';
    const msg = this.error_msg || this.cancel_msg;
    this.reject(Object.assign(new Error(msg), { code: this.error_code, reason, uploader: this.uploader }));
  }
}

/** Shows the page's author what a callback threw, and keeps it out of the upload. @param {unknown} error */
function report(error) {
  if (typeof reportError === 'function') reportError(error);
  else setTimeout(() => { throw error; });
}
