// One upload: its state, what a page asks of it, what its connection reports, and what follows from both.

import { Connection, noop } from './connection.js';
import {
  BAD_ADDRESS, FILE_CHANGED, FOLDER_UNREADABLE, GAVE_UP, NOT_RETRIED, NOT_UNDERSTOOD, NOT_UNDERSTOOD_CODES, OTHER_KIND, UNKNOWN_TICKET_CODE,
} from './errors.js';
import { last_change_of, name_of } from './files.js';
import { open_folder } from './folder/folder.js';
import { FolderStream, no_folder } from './folder/stream.js';
import { Memory } from './memory.js';
import { Patience } from './patience.js';
import { PROPERTIES, snapshot, value_of } from './properties.js';
import { READ_TIMEOUT_S, Reading } from './reading.js';
import { Retry } from './retry.js';
import { Sending } from './sending.js';
import { settings } from './server.js';
import { Share } from './share.js';
import { followed_values } from './situation.js';
import { ENDINGS, STATES, TRANSITIONS } from './states.js';
import { Subscribers, report } from './subscribers.js';
import { text_of } from './texts.js';
import { Transport } from './transport.js';
import { guard_unload } from './unload.js';
import { are_valid } from './wire.js';

/** @typedef {import('./connection.js').ConnectionEvent} ConnectionEvent */
/** @typedef {import('./errors.js').UploadError} UploadError */
/** @typedef {import('./states.js').Event} TransitionEvent */
/** @typedef {import('./states.js').State} State */
/** @typedef {import('./wire.js').Terms} Terms */

const MAX_REASON_CHARS = 2000; // the server passes 1000 characters on, of up to two units each

/** The uploads that want a connection. @type {Set<Upload>} */
export const online_uploads = new Set();

/** The implementation of an `incoming.Uploader`. Each public call, each event and each timer ends with `settle`. */
export class Upload {
  /** @param {string} ticket_id @param {Blob | FolderStream} file @param {incoming.Uploader} uploader */
  constructor(ticket_id, file, uploader) {
    this.ticket_id = ticket_id;
    this.file = file instanceof FolderStream ? file.copy() : file;
    this.uploader = uploader;
    this.filename = name_of(file);
    this.bytes_total = file.size;
    this.listing = false; // a folder has no size yet
    this.files_listed = 0;
    this.leaves_out = false; // what can't be read of a folder
    this.bad_file = ''; // of a folder: its error is about this path
    /** @type {State} */
    this.state = 'new';
    this.bytes_acked = 0;
    this.error_msg = this.cancel_msg = '';
    /** @type {incoming.Reason} why it has failed or was cancelled */
    this.end_reason = '';
    /** @type {Partial<incoming.Texts>} of this upload alone */
    this.texts = {};
    /** @type {number | null} */
    this.error_code = null;
    /** @type {Connection | null} */
    this.connection = null;
    /** @type {import('./server.js').Server | null} */
    this.own_server = null;
    /** @type {incoming.UploaderOptions['should_retry']} */
    this.should_retry = undefined;
    this.stop_listening = noop; // to the page's AbortSignal
    this.retry = new Retry(this);
    this.patience = new Patience(this);
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
    /** @type {Event | null} */
    this.event = null; // that is being dispatched
    this.subscribers = new Subscribers();
    this.shown = snapshot(this);
    /** @type {Readonly<incoming.UploaderProperties> | null} */
    this.shown_object = null; // the same, for those who ask for it
    this.ended = false;
    this.is_disposed = false; // no callback may follow
    /** @type {(uploader: incoming.Uploader) => void} */
    this.resolve = noop;
    /** @type {(error: Error) => void} */
    this.reject = noop;
    this.done = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.done.catch(noop); // a page that does not use the promise has not missed an error
  }

  /** The file, if it is a folder. */
  get folder() {
    return this.file instanceof FolderStream ? this.file : null;
  }

  /** Where later connections lead. */
  get server() {
    return this.own_server || settings.server;
  }

  /** Finds out of what a folder consists. @param {import('./folder/listing.js').Task[]} tasks */
  async list(tasks) {
    this.listing = true;
    try {
      this.file = await open_folder(tasks, (files) => {
        this.files_listed = files;
        this.settle();
      });
    } catch (error) { // no memory
      this.file = no_folder();
    }
    this.listing = false;
    this.files_listed = 0;
    this.filename = name_of(this.file);
    this.bytes_total = this.file.size;
    this.settle();
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
      this.send_cancel();
      this.share.pass_on({ cancel: reason });
    }
    this.settle();
  }

  send_cancel() {
    if (this.connection) this.connection.unanswered_s = 0;
    this.send_message('MsgCancel', { Reason: this.cancel_msg.slice(0, MAX_REASON_CHARS) });
  }

  /** Cancels when the page's signal says so. @param {AbortSignal} signal */
  obey(signal) {
    const abort = () => this.cancel(abort_text(signal) || this.text('cancelled_by_user'));
    signal.addEventListener('abort', abort);
    this.stop_listening = () => signal.removeEventListener('abort', abort);
    if (signal.aborted) Promise.resolve().then(abort); // the page has no callbacks yet
  }

  /** @param {number} bytes_per_s */
  limit(bytes_per_s) {
    this.sending.limit(bytes_per_s);
    this.settle();
  }

  /** Does not wait any longer for the next try. */
  retry_now() {
    if (!value_of(this, 'can_retry')) return;
    if (this.share.owns) this.retry.stop();
    else this.share.post({ retry: true });
    this.settle();
  }

  /** Leaves the upload as it is: somebody else may continue it at once. Nothing is called after that. */
  dispose() {
    this.is_disposed = true;
    if (this.transition('dispose')) this.owner_values = null;
    this.subscribers.clear();
    if (this.event) this.event.stopImmediatePropagation();
    this.settle();
  }

  /** @param {() => void} listener @param {boolean} per_frame */
  subscribe(listener, per_frame) {
    return this.is_disposed ? noop : this.subscribers.add(listener, per_frame);
  }

  /** All properties, frozen; the same object until one of them changes. */
  snapshot() {
    this.shown_object = this.shown_object || Object.freeze(JSON.parse(this.shown));
    return /** @type {Readonly<incoming.UploaderProperties>} */ (this.shown_object);
  }

  /** The network or the window is back. */
  wake() {
    if (this.retry.is_waiting) this.retry.tries = 0;
    this.retry.stop();
    if (this.connection) this.connection.probe();
    else this.transport.forget();
    this.settle();
  }

  /** The user leaves the page. It may come back as it is, but without a connection, a lock or a channel: `wake` makes new ones. */
  suspend() {
    this.retry.stop();
    this.hang_up();
    this.share.suspend();
  }

  /** Shows the values of the tab that owns this upload. @param {State} state @param {Record<string, any>} values */
  follow(state, values) {
    if (state === 'failed' || !STATES[state]) return; // this one may succeed, and has the ticket soon
    this.owner_values = followed_values(state, values, this.state === 'cancelling');
    this.state = state;
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
      case 'cancel_acknowledged': this.abort('user'); break;
      case 'cancelled': this.on_cancelled(event.reason); break;
      case 'error': this.on_error(event.error); break;
      case 'passing_error': this.retry.on_passing_error(event.word, event.msg); break;
      case 'not_understood': this.retry.on_lost(0, ''); break; // perhaps damaged in transit
      case 'pong':
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
    const { folder } = this;
    if (terms.is_folder !== Boolean(folder) && this.state === 'running') {
      this.fail(OTHER_KIND);
      return;
    }
    // Once its app has the folder, the server does not list too many files that are left out.
    if (folder && (!terms.arrived || terms.left_out.length)) folder.agree(terms.left_out, terms.offset);
    connection.confirm(terms, this.sending.first_window_bytes);
    this.retry.note = null;
    this.app_is_silent = false;
    if (terms.offset > this.bytes_acked) this.has_progressed();
    this.sending.begin_at(terms.offset);
    this.bytes_acked = terms.offset;
    this.memory.begin();
    this.resume(terms, connection);
  }

  /** Sends what follows from the state over a new connection. @param {Terms} terms @param {Connection} connection */
  resume(terms, connection) {
    if (terms.arrived) {
      this.send_message('MsgAgree', { Crc32c: [] });
      this.transition('arrive');
    } else if (this.state === 'cancelling') {
      this.send_cancel();
    } else {
      this.transition('rewind');
      this.sending.prove(connection);
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
    const by_user = this.state === 'cancelling';
    if (!by_user) this.cancel_msg = reason;
    this.abort(by_user ? 'user' : 'app');
  }

  /** @param {'user' | 'app'} by */
  abort(by) {
    if (this.transition('abort')) this.end_reason = by;
  }

  /** @param {UploadError} error */
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
    else if (connection.reading_s >= READ_TIMEOUT_S) this.retry.later('file_unreadable', { key: 'file_unreadable_now' });
    else if (this.state === 'arrived' && connection.confirmed) this.wait_for_app(connection);
    else if (this.state === 'cancelling' && connection.is_unanswered()) this.send_cancel();
  }

  /** @param {Connection} connection */
  wait_for_app(connection) {
    this.retry.tries = 0; // no acknowledgement will come to do so
    const { completed, handed_over } = connection;
    if (completed && !handed_over && connection.is_unanswered()) this.sending.send_complete(connection);
  }

  has_progressed() {
    this.retry.tries = this.retry.doubtful_tries = this.reading.unreadable_tries = 0;
    this.patience.reset();
  }

  /** Ends the upload here: its ticket may still be usable. @param {UploadError} error */
  fail(error) {
    if (!this.transition('fail')) return;
    this.end_reason = 'user';
    if (this.state !== 'failed') return;
    const { code, reason, key = reason, msg, expected, index = -1 } = error;
    const entry = this.folder && this.folder.entries[index];
    if (entry) this.bad_file = entry.path;
    this.error_code = code;
    this.end_reason = reason;
    const { note } = this.retry;
    const last = (error === GAVE_UP || error === NOT_RETRIED) && note;
    this.error_msg = (last ? this.text(last.key, last.args, last.msg) + ' ' : '') + this.text(key, [], msg)
      + (expected ? ' ' + this.text('expected_file', expected) : '');
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
    const needs_file = this.state === 'running' && !this.connection && !this.listing;
    if (needs_file) this.check_file();
    const { online } = STATES[this.state];
    if (online) {
      online_uploads.add(this);
      this.share.join();
    } else {
      online_uploads.delete(this);
    }
    if (online && this.share.owns) {
      if (!this.connection && !this.retry.is_waiting && !this.listing) this.connect();
    } else {
      this.retry.stop();
      this.hang_up();
      this.retry.note = null;
    }
    this.sending.sample_speed();
    this.memory.update();
    this.patience.update();
    guard_unload(this);
    this.notify();
  }

  check_file() {
    const { bytes_total, file, folder } = this;
    if (file.size !== bytes_total) this.fail(FILE_CHANGED);
    if (!folder || (folder.size && (!folder.unreadable.length || this.leaves_out))) return;
    [this.bad_file = ''] = folder.unreadable;
    this.fail(FOLDER_UNREADABLE);
  }

  /** Connects once the file has shown that it can be read: a ticket that was never used can be used for another file. */
  connect() {
    const connection = this.connection = new Connection(this.server, this.transport.is_http, (event) => this.on_event(event));
    const to = this.folder ? 1 : this.bytes_total; // a file of a folder is read before it is sent
    if (this.state !== 'running') connection.dial();
    else this.reading.read(Math.max(0, to - 1), to, 0, false, () => connection.dial());
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

  /** @param {string} key @param {(string | number)[]} [args] @param {string} [msg] what the server has said */
  text(key, args, msg) {
    return text_of({ key, args, msg }, this.texts);
  }

  /** Calls back until nothing changes: a callback may also pause or cancel. */
  notify() {
    if (this.notifying && !this.is_disposed) return; // by a callback: the loop below will see what it did
    this.notifying = true;
    for (let now = snapshot(this); now !== this.shown; now = snapshot(this)) {
      this.shown = now;
      this.shown_object = null;
      if (!this.is_disposed) this.share.post_values();
      this.call_back('progress');
      this.subscribers.notify();
    }
    this.notifying = false;
    const ending = ENDINGS[this.state];
    if ((ending || this.is_disposed) && !this.ended) {
      this.ended = true;
      this.share.leave();
      this.stop_listening();
      if (ending) this.call_back(ending);
      this.settle_promise();
    }
  }

  /** @param {'progress'|'finished'|'cancelled'|'error'} name */
  call_back(name) {
    if (this.is_disposed) return;
    const callback = this.uploader[/** @type {'onprogress'} */ ('on' + name)];
    if (typeof callback === 'function') {
      try {
        callback.call(this.uploader, this.uploader);
      } catch (error) {
        report(error);
      }
    }
    if (this.is_disposed) return; // by the callback
    this.event = new Event(name);
    this.uploader.dispatchEvent(this.event); // which reports what listeners throw
  }

  settle_promise() {
    if (this.state === 'finished') {
      this.resolve(this.uploader);
      return;
    }
    const reason = this.state === 'failed' ? 'error' : this.state;
    const msg = this.error_msg || (this.state === 'disposed' ? this.text('disposed') : this.cancel_msg);
    this.reject(Object.assign(new Error(msg), { code: this.error_code, reason, uploader: this.uploader }));
  }
}

/** What the page has said by its signal; empty: nothing of its own. @param {AbortSignal} signal @returns {string} */
function abort_text({ reason }) {
  if (typeof reason === 'string') return reason;
  return reason && reason.name !== 'AbortError' && typeof reason.message === 'string' ? reason.message : '';
}
