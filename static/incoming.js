/// <reference path="incoming.d.ts" />
/*!
 * incoming.js: sends a file of any size to an Incoming!! server, and goes on by itself after whatever happens.
 * MIT license. How to use it: docs/javascript.md. Types: incoming.d.ts. The only global is `incoming`.
 */
(function () {
  'use strict';

  // An upload is in one of eleven states. Everything that a page can see is derived from the state and from a
  // few counters (`PROPERTIES`, at the end), and `MOVES` is the only way from one state to another.
  //
  // Whether there is a connection is another matter: connections come and go, and an upload that is `running`
  // stays `running` without one. So a state says what is *wanted* (`online`: a connection), and `settle` makes
  // it so, after every event. What to say over a new connection follows from the state, too: an upload that is
  // cancelled while the network is down says so when it is back.
  //
  // Two endings need an answer from the server. A user's cancel can come too late: once all bytes have arrived
  // the app may have the file already, and that counts. And the server's own "cancelled" or "error" wants to be
  // answered before the connection is closed (protocol version 1), for which `called_off` and `failing` wait a
  // few seconds.

  /**
   * @typedef {'new' | 'held' | 'running' | 'paused' | 'arrived' | 'cancelling' | 'called_off' | 'failing'
   *   | 'finished' | 'cancelled' | 'failed'} State
   */
  /** @typedef {'start'|'pause'|'unpause'|'cancel'|'arrive'|'rewind'|'call_off'|'fail'|'finish'|'end'} Move */

  /** @type {Record<State, Partial<Record<Move, State>>>} */
  const MOVES = {
    new: { start: 'running', pause: 'held', cancel: 'cancelling' },
    held: { start: 'paused', unpause: 'new', cancel: 'cancelling' }, // paused before it was started
    paused: { unpause: 'running', cancel: 'cancelling' },
    running: {
      pause: 'paused', cancel: 'cancelling', arrive: 'arrived',
      call_off: 'called_off', fail: 'failing', finish: 'finished',
    },
    arrived: { rewind: 'running', call_off: 'called_off', fail: 'failing', finish: 'finished', end: 'cancelled' },
    cancelling: { arrive: 'arrived', call_off: 'called_off', fail: 'cancelled', finish: 'finished', end: 'cancelled' },
    called_off: { end: 'cancelled' },
    failing: { end: 'failed' },
    finished: {},
    cancelled: {},
    failed: {},
  };

  /**
   * What holds in a state: the sentence for users, whether a connection is wanted, and how long that one may
   * be silent (s) before it is given up.
   * @type {Record<State, {text: string, online: boolean, patience_s: number}>}
   */
  const STATES = {
    new: { text: 'Not started yet.', online: false, patience_s: 0 },
    held: { text: 'Paused.', online: false, patience_s: 0 },
    running: { text: 'Uploading.', online: true, patience_s: 30 },
    paused: { text: 'Paused.', online: false, patience_s: 0 },
    // Nothing is to be heard while the app takes the file, and a dead connection sounds the same: ask again.
    arrived: { text: 'All data has arrived. Waiting for the app to take the file.', online: true, patience_s: 120 },
    // Data that is queued before our MsgCancel has to get through first.
    cancelling: { text: 'Cancelling.', online: true, patience_s: 30 },
    called_off: { text: 'Cancelling.', online: true, patience_s: 5 },
    failing: { text: 'The upload failed.', online: true, patience_s: 5 },
    finished: { text: 'Finished.', online: false, patience_s: 0 },
    cancelled: { text: 'Cancelled.', online: false, patience_s: 0 },
    failed: { text: 'The upload failed.', online: false, patience_s: 0 },
  };

  /** @type {Partial<Record<State, 'onfinished'|'oncancelled'|'onerror'>>} */
  const ENDINGS = { finished: 'onfinished', cancelled: 'oncancelled', failed: 'onerror' };

  const UPLOAD_PATH = '/incoming/frontend/upload_ws';
  const TICK_S = 5;
  const CONNECT_PATIENCE_S = 15;
  const WOKEN_PATIENCE_S = 10; // after a sleep or a change of network a connection is probably dead
  const RETRY_FIRST_S = 1;
  const RETRY_MAX_S = 60;
  const RETRY_JITTER = 0.3; // or all clients of a restarted server come back in the same instant
  const TAKEN_OVER_FIRST_S = 10; // two windows with the same upload must not fight
  const UNREADABLE_TRIES = 3; // a drive that was unplugged, a network share that hiccups
  const PROBE_MAX_BYTES = 8 * 1024 * 1024;

  const CLOSE_NORMAL = 1000; // RFC 6455 section 7.4.1
  const CLOSE_RESTART = 1012; // and its registry
  const CLOSE_TRY_AGAIN_LATER = 1013;
  const CLOSE_TAKEN_OVER = 4001; // the server's own: a newer connection has the ticket

  const CANCELLED_CODE = 30; // of the server's errors, which are below 100
  // And these are found here.
  const FILE_UNREADABLE = { code: 100, msg: 'The file can no longer be read: it was changed, moved or deleted.' };
  const FILE_CHANGED = { code: 101, msg: 'The file has changed since it was chosen.' };
  const NOT_UNDERSTOOD = { code: 102, msg: 'The upload server gave an answer that makes no sense.' };
  const BAD_ADDRESS = { code: 103, msg: 'The address of the upload server cannot be used from this page.' };
  const NOT_TAKEN = { code: 104, msg: 'The app did not take the file.' };

  // ---- the wire, protocol version 1 --------------------------------------------------------------------

  /**
   * What a connection tells its upload: in the first two lines its own news, below the server's messages.
   * @typedef {{type: 'opened'} | {type: 'quiet', silent_s: number} | {type: 'lost', code: number, reason: string}
   *   | {type: 'unreadable'} | {type: 'bad_address'}
   *   | {type: 'confirmed', offset: number, chunk_bytes: number, send_ahead: number}
   *   | {type: 'acknowledged', bytes: number} | {type: 'cancel_acknowledged'} | {type: 'finished'}
   *   | {type: 'cancelled', reason: string} | {type: 'error', code: number, msg: string}
   *   | {type: 'ignored'} | {type: 'not_understood'}} News
   */

  /** @param {string} type @param {object} data */
  function message(type, data) {
    return JSON.stringify({ MsgType: type, MsgData: data });
  }

  /** All that is peculiar to version 1. A later version is another object of this shape, for `Connection.wire`. */
  const VERSION_1 = {
    /** @param {string} id @param {number} length_bytes @param {string} name */
    request: (id, length_bytes, name) => message('MsgUploadReq', { Id: id, LengthBytes: length_bytes, Name: name }),
    agree: () => message('MsgAck', { Ack: true }),
    /** @param {Blob} bytes @param {number} offset */
    chunk: (bytes, offset) => bytes, // bare: only their order says where they belong
    pause: () => message('MsgPause', { Pause: true }),
    /** @param {string} reason */
    cancel: (reason) => message('MsgCancel', { Reason: reason }),
    /** @param {number} code @param {string} msg */
    fail: (code, msg) => message('MsgError', { ErrorCode: code, Msg: msg }),

    /** @param {any} text @returns {News} */
    read(text) {
      try {
        const { MsgType, MsgData } = JSON.parse(text);
        const reader = Object.prototype.hasOwnProperty.call(READERS_1, MsgType) && READERS_1[MsgType];
        return reader ? reader(MsgData) : { type: 'ignored' }; // a newer server may say more
      } catch (error) {
        return { type: 'not_understood' };
      }
    },
  };

  /** @type {Record<string, (data: any) => News>} */
  const READERS_1 = {
    MsgUploadConf: (data) => ({
      type: 'confirmed', offset: data.FilePos, chunk_bytes: data.ChunkSizeKB * 1024, send_ahead: data.SendAhead,
    }),
    MsgChunkAck: (data) => ({ type: 'acknowledged', bytes: data.ChunkSize }),
    MsgCancel: (data) => ({ type: 'cancelled', reason: harmless(data.Reason) }),
    MsgCancelAck: () => ({ type: 'cancel_acknowledged' }),
    MsgAllDone: (data) => (data.Success ? { type: 'finished' } : { type: 'error', ...NOT_TAKEN }),
    MsgError: (data) => (data.ErrorCode === CANCELLED_CODE
      ? { type: 'cancelled', reason: harmless(data.Msg) } // the app did so while there was no connection
      : { type: 'error', code: Number(data.ErrorCode), msg: harmless(data.Msg) }),
  };

  /**
   * A text of the server without what means something in HTML: there are pages that use innerHTML.
   * @param {any} text
   */
  function harmless(text) {
    return String(text === undefined ? '' : text).replace(/</g, '(').replace(/>/g, ')').replace(/&/g, '+');
  }

  // ---- reading the file ----------------------------------------------------------------------------------

  // Chunks are sent as slices of the file: the browser reads and sends them without troubling the page's thread.
  // But when a slice can't be read the browser just drops the connection, with the same code as any
  // lost connection (1006, in Chromium and in Firefox). So a few bytes are read before each connection is made,
  // among them those that were on their way when the last one broke.

  /**
   * Resolves if the bytes `from` to `to` of the file, and its last one, can be read; else rejects.
   * @param {Blob} file @param {number} from @param {number} to @returns {Promise<void>}
   */
  function probe(file, from, to) {
    // Of an empty file only the whole shows whether it is still there; a slice of it always succeeds.
    if (file.size === 0) return read(file, 0);
    const end = Math.min(to, from + PROBE_MAX_BYTES);
    return read(file.slice(from, end), end - from).then(() => read(file.slice(file.size - 1), 1));
  }

  /** @param {Blob} blob @param {number} expected_bytes @returns {Promise<void>} */
  function read(blob, expected_bytes) {
    return new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => {
        const { byteLength } = /** @type {ArrayBuffer} */ (reader.result);
        // Firefox reads a truncated file without an error: it just gives less.
        if (byteLength === expected_bytes) resolve();
        else reject(new Error('the file has become shorter'));
      };
      reader.onerror = () => reject(reader.error);
      reader.readAsArrayBuffer(blob);
    });
  }

  // ---- one connection -----------------------------------------------------------------------------------

  /** One attempt to talk with the server, from looking at the file to the close. Tells its news to `hear`. */
  class Connection {
    /** @param {() => Promise<void>} prepare what to wait for before dialling @param {(news: News) => void} hear */
    constructor(prepare, hear) {
      this.hear = hear;
      this.wire = VERSION_1;
      /** @type {WebSocket | null} */
      this.socket = null;
      this.open = false;
      this.confirmed = false; // the server has agreed to the upload
      this.silent_s = 0;
      this.queued_bytes = 0;
      this.ticker = setInterval(() => this.tick(), TICK_S * 1000);
      prepare().then(() => this.dial(), () => this.hear({ type: 'unreadable' }));
    }

    dial() {
      if (this.hear === ignore) return; // dropped meanwhile
      let socket;
      try {
        socket = new WebSocket(server_url());
      } catch (error) {
        this.hear({ type: 'bad_address' });
        return;
      }
      socket.onopen = () => {
        this.open = true;
        this.hear({ type: 'opened' });
      };
      socket.onmessage = (event) => {
        this.silent_s = 0;
        this.hear(this.wire.read(event.data));
      };
      socket.onclose = (event) => this.hear({ type: 'lost', code: event.code, reason: harmless(event.reason) });
      this.socket = socket;
    }

    /** @param {string | Blob} data */
    send(data) {
      if (this.socket && this.open) this.socket.send(data);
    }

    /**
     * Counts the silence. In ticks, not by the clock: while a laptop sleeps or a tab is frozen no time passes
     * here, and what the server said meanwhile can still be heard.
     */
    tick() {
      const queued_bytes = this.socket ? this.socket.bufferedAmount : 0;
      this.silent_s = queued_bytes < this.queued_bytes ? 0 : this.silent_s + TICK_S;
      this.queued_bytes = queued_bytes;
      this.hear({ type: 'quiet', silent_s: this.silent_s });
    }

    /** Closes, and says nothing more. The browser sends what is queued first; nobody needs to wait for that. */
    drop() {
      clearInterval(this.ticker);
      this.hear = ignore;
      this.open = false;
      if (!this.socket) return;
      this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
      this.socket.close(CLOSE_NORMAL);
    }
  }

  function ignore() {}

  /** @type {string | null} */
  let server_hostname = null;

  function server_url() {
    const scheme = window.location.protocol === 'https:' ? 'wss' : 'ws';
    return scheme + '://' + (server_hostname || window.location.host) + UPLOAD_PATH;
  }

  // ---- the upload -----------------------------------------------------------------------------------------

  /** The uploads that want a connection. @type {Set<Upload>} */
  const online_uploads = new Set();

  /** The truth behind an `incoming.Uploader`. Each public call, each news and each timer ends with `settle`. */
  class Upload {
    /** @param {string} ticket_id @param {Blob} file @param {incoming.Uploader} uploader */
    constructor(ticket_id, file, uploader) {
      this.ticket_id = ticket_id;
      this.file = file;
      this.uploader = uploader;
      this.filename = /** @type {File} */ (file).name || 'upload';
      this.bytes_total = file.size;
      /** @type {State} */
      this.state = 'new';
      this.bytes_acked = this.bytes_tx = 0;
      this.chunks_acked_now = this.chunks_tx_now = 0;
      this.error_msg = this.cancel_msg = '';
      /** @type {number | null} */
      this.error_code = null;

      /** @type {Connection | null} */
      this.connection = null;
      this.known_to_server = false;
      this.chunk_bytes = this.send_ahead = 1;
      this.suspect_bytes = 1; // how much was on its way when the last connection broke
      /** @type {ReturnType<typeof setTimeout> | null} */
      this.retry_timer = null;
      this.retry_note = '';
      this.tries = this.takeovers = this.unreadable_tries = 0;
      this.telling = false;
      this.told = this.snapshot();
      this.ended = false;
    }

    // -- what a page asks for

    start() {
      this.move('start');
      this.settle();
    }

    /** @param {incoming.PauseRequest} what */
    pause(what) {
      const was_paused = PROPERTIES.paused(this);
      const wanted = what === 'toggle' ? (was_paused ? 'unpause' : 'pause') : what;
      if (this.move(wanted) && wanted === 'pause') this.say((wire) => wire.pause());
      this.settle();
    }

    /** @param {string} reason */
    cancel(reason) {
      if (this.move('cancel')) {
        this.cancel_msg = reason;
        this.stop_waiting();
        this.say((wire) => wire.cancel(reason));
      }
      this.settle();
    }

    /** The network or the window is back. */
    wake() {
      if (this.retry_timer !== null) this.tries = 0;
      this.stop_waiting();
      if (this.connection) {
        const left_s = this.patience_s() - WOKEN_PATIENCE_S;
        this.connection.silent_s = Math.max(this.connection.silent_s, left_s);
      }
      this.settle();
    }

    // -- news from the connection

    /** @param {News} news */
    hear(news) {
      switch (news.type) {
        case 'opened': this.on_opened(); break;
        case 'quiet': this.on_quiet(news.silent_s); break;
        case 'lost': this.on_lost(news.code, news.reason); break;
        case 'unreadable': this.on_unreadable(); break;
        case 'bad_address': this.fail(BAD_ADDRESS); break;
        case 'confirmed': this.on_confirmed(news.offset, news.chunk_bytes, news.send_ahead); break;
        case 'acknowledged': this.on_acknowledged(news.bytes); break;
        case 'finished': this.on_finished(); break;
        case 'cancel_acknowledged': this.move('end'); break;
        case 'cancelled': this.on_cancelled(news.reason); break;
        case 'error': this.on_error(news.code, news.msg); break;
        case 'not_understood': this.on_lost(0, ''); break; // somebody in between, perhaps
        case 'ignored': break;
      }
      this.settle();
    }

    on_opened() {
      this.say((wire) => wire.request(this.ticket_id, this.bytes_total, this.filename), true);
    }

    /** @param {number} offset @param {number} chunk_bytes @param {number} send_ahead */
    on_confirmed(offset, chunk_bytes, send_ahead) {
      const connection = this.connection;
      if (!connection || connection.confirmed) return;
      const sane = [offset, chunk_bytes, send_ahead].every(Number.isSafeInteger);
      if (!sane || offset < 0 || offset > this.bytes_total || chunk_bytes < 1 || send_ahead < 1) {
        this.fail(NOT_UNDERSTOOD);
        return;
      }
      connection.confirmed = this.known_to_server = true;
      if (offset > this.bytes_acked) this.has_progressed();
      this.bytes_acked = this.bytes_tx = offset;
      this.chunk_bytes = chunk_bytes;
      this.send_ahead = send_ahead;
      this.resume();
    }

    /** Says over a new connection what the state demands. */
    resume() {
      const complete = this.bytes_acked === this.bytes_total;
      if (this.state === 'failing') {
        this.say((wire) => wire.fail(Number(this.error_code), this.error_msg));
      } else if (this.state === 'cancelling' && !(complete && this.bytes_total > 0)) {
        this.say((wire) => wire.cancel(this.cancel_msg));
      } else {
        this.say((wire) => wire.agree());
        this.move(complete ? 'arrive' : 'rewind');
        this.send_chunks();
      }
    }

    send_chunks() {
      while (this.state === 'running' && this.bytes_tx < this.bytes_total
             && this.chunks_tx_now - this.chunks_acked_now < this.send_ahead) {
        const offset = this.bytes_tx;
        const end = Math.min(offset + this.chunk_bytes, this.bytes_total);
        this.say((wire) => wire.chunk(this.file.slice(offset, end), offset));
        this.bytes_tx = end;
        this.chunks_tx_now += 1;
      }
    }

    /** @param {number} bytes */
    on_acknowledged(bytes) {
      if (this.chunks_acked_now === this.chunks_tx_now) return;
      if (bytes !== Math.min(this.chunk_bytes, this.bytes_total - this.bytes_acked)) {
        if (this.state === 'running') this.fail(FILE_CHANGED); // the browser has sent less than it was told to
        return;
      }
      this.bytes_acked += bytes;
      this.chunks_acked_now += 1;
      this.has_progressed();
      if (this.bytes_acked === this.bytes_total) this.move('arrive'); // a cancel on its way came too late
      this.send_chunks();
    }

    on_finished() {
      if (this.move('finish')) this.bytes_acked = this.bytes_tx = this.bytes_total;
    }

    /** The server says that the upload is cancelled; one MsgCancel from here answers that. @param {string} reason */
    on_cancelled(reason) {
      const by_user = this.state === 'cancelling';
      const said = by_user && this.is_confirmed();
      if (!this.move('call_off')) return;
      if (!by_user) this.cancel_msg = reason;
      if (!said) this.say((wire) => wire.cancel(this.cancel_msg), true);
    }

    /** @param {number} code @param {string} msg */
    on_error(code, msg) {
      if (this.note_error(code, msg)) this.say((wire) => wire.cancel(msg), true);
    }

    /** @param {number} silent_s */
    on_quiet(silent_s) {
      const waits_for_app = this.state === 'arrived' && this.is_confirmed();
      if (waits_for_app) this.tries = 0; // no acknowledgement will come to do so
      if (silent_s <= this.patience_s()) return; // the first of the counted ticks was not a whole one
      if (waits_for_app) this.hang_up();
      else this.on_lost(0, '');
    }

    /** @param {number} code @param {string} reason */
    on_lost(code, reason) {
      if (this.state === 'called_off' || this.state === 'failing') {
        this.move('end'); // the last word was a courtesy
      } else if (code === CLOSE_TAKEN_OVER) {
        this.takeovers += 1;
        this.retry_later('The upload goes on in another window.', TAKEN_OVER_FIRST_S * 2 ** (this.takeovers - 1));
      } else if ((code === CLOSE_RESTART || code === CLOSE_TRY_AGAIN_LATER) && reason) {
        this.retry_later(reason);
      } else {
        this.retry_later(this.is_confirmed() ? 'The connection was lost.' : 'No connection to the server.');
      }
    }

    on_unreadable() {
      this.unreadable_tries += 1;
      if (this.unreadable_tries < UNREADABLE_TRIES) this.retry_later('The file cannot be read at the moment.');
      else this.fail(FILE_UNREADABLE);
    }

    /** Ends the upload because of something that was found here. @param {{code: number, msg: string}} error */
    fail(error) {
      if (!this.note_error(error.code, error.msg)) return;
      if (this.is_confirmed()) this.say((wire) => wire.fail(error.code, error.msg));
      else this.hang_up(); // and say it over a new connection, in which no step has been missed
      // A ticket that was never used is still good for another file.
      if (!this.known_to_server || error === BAD_ADDRESS) this.move('end');
    }

    /** Returns whether the error means anything now. @param {number} code @param {string} msg */
    note_error(code, msg) {
      if (!this.move('fail')) return false;
      if (this.state === 'failing') { // and not cancelled: there is no such upload any more, as the user wished
        this.error_code = code;
        this.error_msg = msg;
      }
      return true;
    }

    // -- the state, and what follows from it

    /** Goes to the next state. Returns false if there is none: then `what` has no meaning now. @param {Move} what */
    move(what) {
      const next = MOVES[this.state][what];
      if (next) this.state = next;
      return Boolean(next);
    }

    /** Makes true what the state wants, and tells the page. */
    settle() {
      const needs_file = this.state === 'running' && !this.connection;
      if (needs_file && this.file.size !== this.bytes_total) this.fail(FILE_CHANGED);
      if (STATES[this.state].online) {
        online_uploads.add(this);
        if (!this.connection && this.retry_timer === null) this.connect();
      } else {
        online_uploads.delete(this);
        this.stop_waiting();
        this.hang_up();
      }
      this.tell();
    }

    connect() {
      const needs_file = this.state === 'running';
      const from = this.bytes_acked;
      const to = Math.min(from + this.suspect_bytes, this.bytes_total);
      this.connection = new Connection(
        () => (needs_file ? probe(this.file, from, to) : Promise.resolve()),
        (news) => this.hear(news),
      );
    }

    hang_up() {
      if (this.connection) this.connection.drop();
      this.connection = null;
      this.suspect_bytes = Math.max(this.suspect_bytes, this.bytes_tx - this.bytes_acked);
      this.bytes_tx = this.bytes_acked;
      this.chunks_tx_now = this.chunks_acked_now = 0;
    }

    has_progressed() {
      this.tries = this.unreadable_tries = 0;
      this.suspect_bytes = 1;
    }

    /** @param {string} note why there is no connection, a sentence for users @param {number} [at_least_s] */
    retry_later(note, at_least_s = 0) {
      this.hang_up();
      const grown_s = is_offline() ? RETRY_MAX_S : RETRY_FIRST_S * 2 ** this.tries;
      const delay_s = Math.min(RETRY_MAX_S, Math.max(grown_s, at_least_s));
      const jitter = 1 + RETRY_JITTER * (2 * Math.random() - 1);
      this.tries += 1;
      this.retry_note = note;
      this.retry_timer = setTimeout(() => {
        this.retry_timer = null;
        this.settle();
      }, delay_s * jitter * 1000);
    }

    stop_waiting() {
      if (this.retry_timer !== null) clearTimeout(this.retry_timer);
      this.retry_timer = null;
    }

    is_confirmed() {
      return this.connection !== null && this.connection.confirmed;
    }

    patience_s() {
      return this.is_confirmed() ? STATES[this.state].patience_s : CONNECT_PATIENCE_S;
    }

    /**
     * Sends, if the server has agreed to the upload already. (If not, `resume` will say what is to be said.)
     * @param {(wire: typeof VERSION_1) => string | Blob} word @param {boolean} [at_once] before that, too
     */
    say(word, at_once) {
      if (this.connection && (at_once || this.connection.confirmed)) this.connection.send(word(this.connection.wire));
    }

    state_msg() {
      if (this.retry_timer !== null) {
        return is_offline() ? 'You are offline. This will go on by itself.' : this.retry_note + ' Trying again soon.';
      }
      const connecting = this.state === 'running' && !this.is_confirmed();
      return connecting ? 'Connecting.' : STATES[this.state].text;
    }

    // -- telling the page

    snapshot() {
      return JSON.stringify(NAMES.map((name) => PROPERTIES[name](this)));
    }

    /** Calls back until nothing has changed any more: a callback may pause or cancel, too. */
    tell() {
      if (this.telling) return; // by a callback: the loop below will see what it did
      this.telling = true;
      for (let now = this.snapshot(); now !== this.told; now = this.snapshot()) {
        this.told = now;
        this.call('onprogress');
      }
      this.telling = false;
      const ending = ENDINGS[this.state];
      if (ending && !this.ended) {
        this.ended = true;
        this.call(ending);
      }
    }

    /** @param {'onprogress'|'onfinished'|'oncancelled'|'onerror'} name */
    call(name) {
      const callback = this.uploader[name];
      if (typeof callback !== 'function') return;
      try {
        callback.call(this.uploader, this.uploader);
      } catch (error) {
        report(error);
      }
    }
  }

  function is_offline() {
    return navigator.onLine === false;
  }

  /** Shows the page's author what a callback threw, without letting it into the upload. @param {unknown} error */
  function report(error) {
    if (typeof reportError === 'function') reportError(error);
    else setTimeout(() => { throw error; });
  }

  // ---- what pages see ---------------------------------------------------------------------------------------

  /** @type {(...states: State[]) => (upload: Upload) => boolean} */
  const in_state = (...states) => (upload) => states.includes(upload.state);

  const arrived = in_state('arrived', 'finished');
  const cancelled = in_state('cancelling', 'called_off', 'cancelled');

  /** @type {{[Name in keyof incoming.UploaderProperties]: (upload: Upload) => incoming.UploaderProperties[Name]}} */
  const PROPERTIES = {
    filename: (upload) => upload.filename,
    bytes_total: (upload) => upload.bytes_total,
    bytes_tx: (upload) => upload.bytes_tx,
    bytes_acked: (upload) => upload.bytes_acked,
    bytes_ahead: (upload) => upload.bytes_tx - upload.bytes_acked,
    frac_complete: (upload) => (upload.bytes_total ? upload.bytes_acked / upload.bytes_total : Number(arrived(upload))),
    chunks_tx_now: (upload) => upload.chunks_tx_now,
    chunks_acked_now: (upload) => upload.chunks_acked_now,
    chunks_ahead: (upload) => upload.chunks_tx_now - upload.chunks_acked_now,
    state_msg: (upload) => upload.state_msg(),
    error_msg: (upload) => upload.error_msg,
    error_code: (upload) => upload.error_code,
    cancel_msg: (upload) => (cancelled(upload) ? upload.cancel_msg : ''), // a cancel can come too late
    connected: (upload) => upload.connection !== null && upload.connection.open,
    paused: in_state('held', 'paused'),
    can_pause: in_state('new', 'held', 'running', 'paused'),
    can_cancel: in_state('new', 'held', 'running', 'paused'),
    cancelling: in_state('cancelling', 'called_off'),
    cancelled: in_state('cancelled'),
    finished: in_state('finished'),
  };
  const NAMES = /** @type {(keyof incoming.UploaderProperties)[]} */ (Object.keys(PROPERTIES));

  /**
   * A plain function, so that it works with and without `new`.
   * @param {string} upload_id @param {Blob} file @returns {incoming.Uploader}
   */
  function Uploader(upload_id, file) {
    check(typeof upload_id === 'string' && upload_id !== '', 'upload_id has to be the id of a ticket, a string');
    check(is_blob(file), 'file has to be a File or a Blob');
    /** @type {incoming.Uploader} */
    const uploader = Object.create(Uploader.prototype);
    const upload = new Upload(upload_id, file, uploader);
    /** @type {Omit<incoming.Uploader, keyof incoming.UploaderProperties>} */
    const controls = {
      start() {
        upload.start();
        return uploader;
      },
      pause(what = 'pause') {
        check(['pause', 'unpause', 'toggle'].includes(what), 'pause takes "pause", "unpause" or "toggle"');
        upload.pause(what);
        return uploader;
      },
      cancel(reason) {
        // Not a string: `button.onclick = uploader.cancel` passes an event.
        upload.cancel(typeof reason === 'string' && reason ? reason : 'Cancelled by the user.');
        return uploader;
      },
      onprogress: null,
      onfinished: null,
      oncancelled: null,
      onerror: null,
    };
    Object.assign(uploader, controls);
    for (const name of NAMES) {
      Object.defineProperty(uploader, name, { get: () => PROPERTIES[name](upload), enumerable: true });
    }
    return uploader;
  }

  /** @param {string} hostname */
  function set_server_hostname(hostname) {
    const fits = typeof hostname === 'string' && /^[^\s/?#@\\]+$/.test(hostname);
    check(fits, 'the hostname of the server has to be "host" or "host:port"');
    server_hostname = hostname;
  }

  /** @param {boolean} condition @param {string} complaint */
  function check(condition, complaint) {
    if (!condition) throw new TypeError('incoming.js: ' + complaint);
  }

  /** By its tag: a file of another frame is no `instanceof Blob` here. @param {any} file */
  function is_blob(file) {
    return /^\[object (File|Blob)\]$/.test(Object.prototype.toString.call(file));
  }

  function wake_all() {
    online_uploads.forEach((upload) => upload.wake());
  }

  window.addEventListener('online', wake_all);
  window.addEventListener('offline', () => online_uploads.forEach((upload) => upload.settle())); // a new state_msg
  window.addEventListener('pageshow', wake_all);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') wake_all();
  });

  /** @type {typeof incoming} */
  const library = {
    Uploader: /** @type {incoming.UploaderConstructor} */ (/** @type {unknown} */ (Uploader)),
    set_server_hostname,
  };
  Object.assign(window, { incoming: library });
})();
