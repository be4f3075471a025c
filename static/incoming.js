/*! incoming.js 0.3.0: uploads to an Incoming!! server. MIT license. */
// Built by scripts/build-library.mjs: make changes in static/src, which has the comments, too.
"use strict";
(() => {
  // src/clock.js
  function now_ms() {
    return performance.now();
  }
  var TICK_S = 1;

  // src/http_socket.js
  var HELD_S = 25;
  var MAX_HELD = 2;
  var FIRST_POLL_MS = 250;
  var MAX_POLL_MS = 8e3;
  var CLOSE_LOST = 1006;
  var CLOSE_RESTART = 1012;
  var TOO_LARGE_STATUS = 413;
  var LOST_CODES = ["checksum_mismatch", "incomplete_body", "offset_mismatch", "session_ended"];
  var held = 0;
  function checksum_header(crc) {
    return "crc32c " + btoa(String.fromCharCode(crc >>> 24, crc >>> 16 & 255, crc >>> 8 & 255, crc & 255));
  }
  function encoded(text) {
    return String(new URLSearchParams({ "": text })).slice(1).replace(/\+/g, "%20");
  }
  function read_answer(text) {
    try {
      const message = JSON.parse(text);
      return message.MsgData ? message : null;
    } catch (error) {
      return null;
    }
  }
  var HttpSocket = class {
    /** @param {Server} server */
    constructor(server) {
      this.server = server;
      this.onopen = null;
      this.onmessage = null;
      this.onclose = null;
      this.url = new URL(server.uploads_url()).href;
      this.session_token = "";
      this.open_requests = /* @__PURE__ */ new Set();
      this.next_chunks = [];
      this.on_way = 0;
      this.has_agreed = false;
      this.offset = 0;
      this.compare = [];
      this.last_text = "";
      this.held_request = new XMLHttpRequest();
      this.timer = void 0;
      this.poll_ms = FIRST_POLL_MS;
      Promise.resolve().then(() => this.onopen && this.onopen({}));
    }
    /** @param {string | ArrayBuffer} data a message, or the header of a chunk @param {Blob} [body] the chunk */
    send(data, body) {
      if (typeof data === "string") {
        this.send_message(data, JSON.parse(data));
      } else if (body) {
        const header = new DataView(data);
        this.next_chunks.push({ from: header.getUint32(0) * 2 ** 32 + header.getUint32(4), crc: header.getUint32(8), body });
        this.send_chunks();
      }
    }
    /** @param {string} text @param {Message} message the same */
    send_message(text, { MsgType, MsgData }) {
      switch (MsgType) {
        case "MsgUploadReq":
          this.begin(text, MsgData.Id);
          break;
        case "MsgAgree":
          this.agree(MsgData.Crc32c);
          break;
        case "MsgComplete":
          if (this.last_text) this.lose();
          this.last_text = text;
          this.send_chunks();
          break;
        case "MsgCancel":
          this.stop();
          this.request("POST", "/cancel", text);
          break;
        case "MsgPing":
          this.request("GET", "", null, {}, (message) => this.deliver(message));
          break;
      }
    }
    /** @param {string} text @param {string} ticket_id */
    begin(text, ticket_id) {
      this.url += encoded(ticket_id) + "/session";
      this.request("POST", "", text, {}, (message, request) => {
        const { Offset, Compare, Arrived } = message.MsgData;
        this.session_token = String(request.getResponseHeader("Upload-Session"));
        this.offset = Offset;
        this.compare = Compare;
        this.has_agreed = Arrived;
        this.deliver(message);
        if (Arrived) this.watch();
      });
    }
    /** @param {number[]} crcs */
    agree(crcs) {
      if (this.has_agreed) return;
      const agreed = () => {
        this.has_agreed = true;
        this.send_chunks();
      };
      const members = { Crc32c: crcs, Compare: this.compare };
      if (!crcs.length) agreed();
      else this.request("PUT", "", JSON.stringify({ MsgType: "MsgAgree", MsgData: members }), {}, agreed);
    }
    send_chunks() {
      while (this.has_agreed && this.next_chunks.length && this.on_way < this.server.most_chunks) {
        this.send_chunk(
          /** @type {ChunkToSend} */
          this.next_chunks.shift()
        );
      }
      if (this.has_agreed && this.last_text && !this.on_way) this.complete();
    }
    /** @param {ChunkToSend} chunk */
    send_chunk({ from, crc, body }) {
      this.on_way += 1;
      const headers = { "Upload-Offset": String(from), "Upload-Checksum": checksum_header(crc) };
      const on_stored = (message) => {
        const { Offset } = message.MsgData;
        if (!(Offset >= from + body.size)) {
          this.lose();
          return;
        }
        this.on_way -= 1;
        this.server.note_stored(body.size);
        this.send_chunks();
        if (Offset <= this.offset) return;
        this.offset = Offset;
        this.deliver(message);
      };
      this.request("PATCH", "", body, headers, on_stored, (status) => {
        this.server.note_refused(body.size, status === TOO_LARGE_STATUS);
      });
    }
    complete() {
      const text = this.last_text;
      this.last_text = "";
      this.hold((wait_s) => this.request("POST", "/complete?wait=" + wait_s, text));
    }
    // -- the end
    /** @param {Message} message news, the end, or the acknowledgement of a cancel */
    on_result(message) {
      this.deliver(message);
      if (message.MsgType === "MsgNews") this.watch();
    }
    /** Asks until the end. */
    watch() {
      if (!this.onclose) return;
      this.hold((wait_s) => {
        const since_ms = now_ms();
        return this.request("GET", "?wait=" + wait_s, null, {}, (message) => {
          this.deliver(message);
          this.timer = setTimeout(() => this.watch(), now_ms() - since_ms > FIRST_POLL_MS ? 0 : this.poll_ms);
          this.poll_ms = Math.min(MAX_POLL_MS, this.poll_ms * 2);
        });
      });
    }
    /** Makes a request that the server may hold, unless too many are. @param {(wait_s: number) => XMLHttpRequest} make */
    hold(make) {
      this.give_up(this.held_request);
      const holds = Number(held < MAX_HELD);
      held += holds;
      const request = this.held_request = make(holds * HELD_S);
      request.addEventListener("loadend", () => {
        held -= holds;
      });
    }
    // -- requests
    /**
     * @param {string} method @param {string} path below the session's @param {string | Blob | null} body
     * @param {Record<string, string>} [headers]
     * @param {(message: Message, request: XMLHttpRequest) => void} [then] when it was answered as asked
     * @param {(status: number) => void} [on_refused] by another than an upload server; 0: there is no answer
     */
    request(method, path, body, headers = {}, then = (message) => this.on_result(message), on_refused) {
      const request = new XMLHttpRequest();
      request.open(method, this.url + path);
      if (this.session_token && method !== "GET") request.setRequestHeader("Upload-Session", this.session_token);
      Object.keys(headers).forEach((name) => request.setRequestHeader(name, headers[name]));
      request.onloadend = () => {
        this.open_requests.delete(request);
        const { status } = request;
        const message = read_answer(request.responseText);
        if (message ? message.MsgType !== "MsgError" : status === 204 && method === "PUT") {
          then(
            /** @type {Message} */
            message,
            request
          );
          return;
        }
        if (!message && on_refused) on_refused(status);
        if (message) this.on_error(message, Number(request.getResponseHeader("Retry-After")));
        this.lose();
      };
      this.open_requests.add(request);
      request.send(body);
      return request;
    }
    /** @param {Message} message @param {number} retry_after_s */
    on_error(message, retry_after_s) {
      const { Code, Msg } = message.MsgData;
      if (Code === "offset_mismatch") this.server.most_chunks = 1;
      if (Code === "stopping") {
        this.deliver({ MsgType: "MsgNews", MsgData: { News: Code, RetryAfterS: retry_after_s } });
        this.lose(CLOSE_RESTART, Msg);
      } else if (!LOST_CODES.includes(Code)) {
        this.deliver(message);
      }
    }
    /** @param {Message} message */
    deliver(message) {
      const { MsgData } = message;
      if (MsgData.MaxChunkBytes) MsgData.MaxChunkBytes = Math.min(MsgData.MaxChunkBytes, this.server.most_body_bytes);
      if (this.onmessage) this.onmessage({ data: JSON.stringify(message) });
    }
    lose(code = CLOSE_LOST, reason = "") {
      const { onclose } = this;
      this.close();
      if (onclose) onclose({ code, reason });
    }
    close() {
      this.onopen = this.onmessage = this.onclose = null;
      this.stop();
    }
    /** Gives all requests up. */
    stop() {
      clearTimeout(this.timer);
      this.next_chunks = [];
      this.last_text = "";
      this.open_requests.forEach((request) => this.give_up(request));
    }
    /** @param {XMLHttpRequest} request */
    give_up(request) {
      this.open_requests.delete(request);
      request.onloadend = null;
      request.abort();
    }
  };

  // src/pace.js
  var KIB = 1024;
  var CHUNK_MIN_BYTES = 8 * KIB;
  var CHUNK_MAX_BYTES = 4096 * KIB;
  var WINDOW_FIRST_BYTES = 64 * KIB;
  var LIMITS_LAST_MS = 1e3;
  var QUEUE_S = 0.3;
  var QUEUE_MAX_BYTES = 16 * 1024 * KIB;
  var QUEUE_SEEN_MS = 100;
  var RATE_OVER_MS = 1e3;
  var SAMPLE_MIN_MS = 20;
  var Pace = class {
    /**
     * The first two are the server's limits. They hold unless an acknowledgement has just given others.
     * @param {number} max_chunk_bytes @param {number} max_window_bytes @param {number} first_window_bytes
     * @param {number} parts of the window, of which a chunk is one @param {number} most_chunks ahead
     */
    constructor(max_chunk_bytes, max_window_bytes, first_window_bytes, parts, most_chunks) {
      this.parts = parts;
      this.most_chunks = most_chunks;
      this.agreed = this.latest = { chunk_bytes: Math.min(max_chunk_bytes, CHUNK_MAX_BYTES), window_bytes: max_window_bytes };
      this.latest_ms = -Infinity;
      this.window_bytes = Math.min(first_window_bytes, max_window_bytes);
      this.round_trip_ms = Infinity;
      this.rate = 0;
      this.sampled_ms = now_ms();
      this.queued_ms = -Infinity;
    }
    /** A power of two, of 4 parts a quarter to an eighth of the window: smaller ones cost Chromium a third of its speed. */
    get chunk_bytes() {
      const wanted = 2 ** Math.floor(Math.log2(this.window_bytes / this.parts));
      return Math.min(Math.max(wanted, CHUNK_MIN_BYTES), this.allowed.chunk_bytes);
    }
    /** What the server takes now. */
    get allowed() {
      return now_ms() - this.latest_ms <= LIMITS_LAST_MS ? this.latest : this.agreed;
    }
    /**
     * The server has given limits for a while; 0 where it gave none.
     * @param {number} max_chunk_bytes @param {number} max_window_bytes
     */
    allow(max_chunk_bytes, max_window_bytes) {
      if (!(max_chunk_bytes >= 1)) return;
      const most_bytes = this.agreed.window_bytes;
      this.latest = {
        chunk_bytes: Math.min(Math.floor(max_chunk_bytes), CHUNK_MAX_BYTES),
        window_bytes: max_window_bytes >= 1 ? Math.min(max_window_bytes, most_bytes) : most_bytes
      };
      this.latest_ms = now_ms();
    }
    /**
     * A chunk may exceed our own window in part, which would never be full otherwise. It may not exceed the server's,
     * which also counts what is taken and not stored.
     * @param {number} ahead_bytes that are in flight @param {number} unstored_bytes these too @param {number} bytes
     */
    admits(ahead_bytes, unstored_bytes, bytes) {
      const own_bytes = Math.min(this.window_bytes, this.most_chunks * this.chunk_bytes);
      return unstored_bytes === 0 || ahead_bytes < own_bytes && unstored_bytes + bytes <= this.allowed.window_bytes;
    }
    /** @param {Chunk} chunk that the server has taken */
    taken(chunk) {
      const now = now_ms();
      const took_ms = Math.max(now - chunk.sent_ms, SAMPLE_MIN_MS);
      const is_least = this.window_bytes <= 2 * CHUNK_MIN_BYTES;
      this.round_trip_ms = is_least ? took_ms : Math.min(this.round_trip_ms, took_ms);
      if (took_ms > this.round_trip_ms + QUEUE_SEEN_MS) this.queued_ms = now;
      this.note(chunk.ahead_bytes / took_ms, now);
      const wanted = this.rate * this.round_trip_ms + Math.min(this.rate * QUEUE_S * 1e3, QUEUE_MAX_BYTES);
      this.window_bytes = Math.min(Math.max(wanted, 2 * CHUNK_MIN_BYTES), this.agreed.window_bytes);
    }
    /**
     * On a full link acknowledgements come in bursts (TCP has repaired a loss), so a single sample means little.
     * @param {number} rate @param {number} now
     */
    note(rate, now) {
      const is_full = now - this.queued_ms < RATE_OVER_MS;
      const weight = 1 - Math.exp((this.sampled_ms - now) / RATE_OVER_MS);
      this.rate = is_full ? this.rate + (rate - this.rate) * weight : Math.max(this.rate, rate);
      this.sampled_ms = now;
    }
  };

  // src/texts.js
  var ENGLISH = {
    // One for each state; `retrying` has that of its reason, and `elsewhere` that of the other window.
    new: "Not started yet.",
    connecting: "Connecting.",
    checking: "Checking that it is the same file.",
    uploading: "Uploading.",
    paused: "Paused.",
    waiting_for_app: "All data has arrived. Waiting for the app to accept the file.",
    cancelling: "Cancelling.",
    finished: "Finished.",
    cancelled: "Cancelled.",
    failed: "The upload failed.",
    disposed: "This page no longer uploads the file.",
    // In place of the sentence of a state.
    listing: (files) => `Reading the folder: ${files.toLocaleString()} files so far.`,
    slow_read: "Reading the file is slow: its drive does not respond.",
    app_silent: "All data has arrived, but the app does not respond yet. The server is trying again.",
    app_trouble: (why) => `All data has arrived, but ${why}. The server is trying again.`,
    cancelled_by_user: "Cancelled by the user.",
    offline: "You are offline. The upload resumes when you are online again.",
    // Why there is no connection, and what follows each of these.
    connection_lost: "The connection was lost.",
    no_connection: "No connection to the server.",
    no_answer: (host) => `No connection to the upload server at ${host}.`,
    server_restarting: "The server is being restarted.",
    server_busy: "The server cannot accept data at the moment.",
    taken_over: "The upload continues in another window.",
    file_unreadable_now: "The file cannot be read at the moment.",
    no_memory: "The browser has too little memory at the moment.",
    worker_lost: "The browser stopped the background worker of this page.",
    websockets_blocked: "A proxy between you and the upload server blocks WebSockets.",
    too_many_connections: "Your network has too many connections to the upload server at the moment.",
    http_status: (status) => `The address of the upload server answered with HTTP status ${status}.`,
    not_an_upload_server: (host) => `The server at ${host} is not an upload server, or it is overloaded.`,
    trying_again: "Trying again soon.",
    // Errors that the library finds. The server sends its own sentences.
    file_unreadable: "The file can no longer be read: it was changed, moved or deleted.",
    file_never_readable: "The file cannot be read: it is a folder, or it was changed, moved or deleted.",
    folder_unreadable: "A file of the folder can no longer be read: it was changed, moved or deleted.",
    file_changed: "The file has changed since it was chosen.",
    invalid_response: "The upload server sent an invalid response.",
    bad_address: "The address of the upload server cannot be used from this page.",
    not_taken: "The app did not accept the file.",
    server_too_old: "The upload server is older than the script of this page.",
    gave_up: "The upload gave up after trying for too long.",
    // it follows the reason of the last try
    not_retried: "It was not tried again.",
    wrong_dest_type: "This page expects a file and not a folder, or the other way round.",
    // Which file an upload was started with, after an error of the server.
    expected_file: (name, size, changed) => `The upload was started with "${name}" (${size}${changed && ", last changed " + changed}).`
  };
  var texts = { table: Object.freeze(ENGLISH) };
  function set_texts(entries) {
    texts.table = Object.freeze({ ...texts.table, ...entries });
  }
  function text_of({ key, args = [], msg = "" }, own) {
    const name = (
      /** @type {'new'} */
      key
    );
    const entry = (
      /** @type {string | ((...args: (string | number)[]) => string) | undefined} */
      own[name] || texts.table[name]
    );
    if (!entry || msg && entry === ENGLISH[name]) return msg;
    return typeof entry === "function" ? entry(...args) : entry;
  }
  var UNITS = ["B", "kB", "MB", "GB", "TB"];
  function without_html(text) {
    return String(text === void 0 ? "" : text).replace(/</g, "(").replace(/>/g, ")").replace(/&/g, "+");
  }
  function readable_size(bytes) {
    const power = bytes < 1e3 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
    return (power ? (bytes / 1e3 ** power).toFixed(1) : bytes) + " " + UNITS[power];
  }

  // src/errors.js
  var CANCELLED_CODE = 30;
  var UNKNOWN_TICKET_CODE = 11;
  var NOT_UNDERSTOOD_CODES = [20, 21];
  var TICKET_ENDED_CODES = [11, 23, 31, 32, 104];
  var SERVER_REASONS = {
    11: "unknown_ticket",
    20: "bad_message",
    21: "bad_chunk",
    22: "length_mismatch",
    23: "upload_too_large",
    24: "wrong_file",
    31: "expired",
    32: "handover_failed",
    92: "bad_folder"
  };
  function reason_of_code(code) {
    return SERVER_REASONS[code] || "refused";
  }
  var FILE_UNREADABLE = { code: 100, reason: "file_unreadable" };
  var NEVER_READABLE = { code: 100, reason: "file_unreadable", key: "file_never_readable" };
  var FOLDER_UNREADABLE = { code: 100, reason: "file_unreadable", key: "folder_unreadable" };
  var FILE_CHANGED = { code: 101, reason: "file_changed" };
  var NOT_UNDERSTOOD = { code: 102, reason: "invalid_response" };
  var BAD_ADDRESS = { code: 103, reason: "bad_address" };
  var NOT_TAKEN = { code: 104, reason: "not_taken" };
  var TOO_OLD = { code: 105, reason: "server_too_old" };
  var GAVE_UP = { code: 106, reason: "gave_up" };
  var NOT_RETRIED = { code: 107, reason: "not_retried" };
  var OTHER_KIND = { code: 108, reason: "wrong_dest_type" };

  // src/wire.js
  var HEADER_BYTES = 16;
  var READERS = {
    MsgUploadConf: (data) => data.Version === 2 ? { type: "confirmed", terms: terms_of(data) } : { type: "error", error: TOO_OLD },
    MsgStored: (data) => ({
      type: "stored",
      offset: data.Offset,
      taken: Number(data.Taken) || 0,
      max_chunk_bytes: Number(data.MaxChunkBytes) || 0,
      max_window_bytes: Number(data.MaxWindowBytes) || 0
    }),
    MsgResend: (data) => ({ type: "resend", offset: data.Offset, round: data.Round }),
    MsgNews: (data) => ({
      type: "news",
      news: data.News,
      retry_after_s: Number(data.RetryAfterS) || 0,
      why: String(data.Why || "")
    }),
    MsgPong: () => ({ type: "pong" }),
    MsgCancelAck: () => ({ type: "cancel_acknowledged" }),
    MsgAllDone: (data) => data.Success ? { type: "finished" } : { type: "error", error: NOT_TAKEN },
    MsgError: read_error
  };
  function read_message(text) {
    try {
      const { MsgType, MsgData } = JSON.parse(text);
      const reader = Object.prototype.hasOwnProperty.call(READERS, MsgType) && READERS[MsgType];
      return reader ? reader(MsgData) : { type: "ignored" };
    } catch (error) {
      return { type: "not_understood" };
    }
  }
  function terms_of(data) {
    return {
      offset: data.Offset,
      max_chunk_bytes: data.MaxChunkBytes,
      max_window_bytes: data.MaxWindowBytes,
      silence_s: data.SilenceS,
      idle_silence_s: Number(data.IdleSilenceS) || 0,
      // older servers do not send it
      compare: data.Compare,
      arrived: data.Arrived,
      is_folder: data.DestType === "folder",
      left_out: data.LeftOut || []
    };
  }
  function are_valid(terms, bytes_total) {
    const { offset, max_chunk_bytes, max_window_bytes, silence_s, compare } = terms;
    const whole = [offset, max_chunk_bytes, max_window_bytes].every(Number.isSafeInteger);
    const fits = offset >= 0 && offset <= bytes_total && max_chunk_bytes > 0 && max_window_bytes > 0 && silence_s > 0;
    const in_file = ([from, to]) => from >= 0 && from <= to && to <= bytes_total;
    return whole && fits && Array.isArray(compare) && compare.every(in_file);
  }
  function read_error(data) {
    const msg = without_html(data.Msg);
    if (data.Retryable === true) return { type: "passing_error", word: String(data.Code), msg };
    if (data.ErrorCode === CANCELLED_CODE) return { type: "cancelled", reason: msg };
    const other_file = ["wrong_file", "length_mismatch"].includes(data.Code) && data.FileLengthBytes;
    const code = Number(data.ErrorCode);
    return { type: "error", error: { code, reason: reason_of_code(code), msg, expected: other_file ? expected_file(data) : null, index: data.Index } };
  }
  function expected_file({ FileName: name, FileLengthBytes: bytes, FileLastModifiedMs: changed_ms }) {
    const changed = changed_ms > 0 ? new Date(changed_ms).toLocaleString() : "";
    return [`⁨${without_html(name)}⁩`, readable_size(bytes), changed];
  }
  function write_header(buffer, offset, crc, round) {
    const header = new DataView(buffer);
    header.setUint32(0, Math.floor(offset / 2 ** 32));
    header.setUint32(4, offset % 2 ** 32);
    header.setUint32(8, crc);
    header.setUint32(12, round);
  }

  // src/worker/blobs.js
  function read_at_once(blob) {
    return new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => {
        const buffer = (
          /** @type {ArrayBuffer} */
          reader.result
        );
        resolve(buffer.byteLength === blob.size ? buffer : null);
      };
      reader.onerror = () => resolve(null);
      reader.readAsArrayBuffer(blob);
    });
  }
  function free(buffer) {
    if (buffer.transfer) buffer.transfer(0);
  }

  // src/worker/crc32c.js
  var NEAR = 5275 - 4508;
  var MIDDLE = 5275 - 2751;
  var FAR = 5275;
  var PAGE_BYTES = 65536;
  var FOLD_WORDS = 8192;
  var POLYNOMIAL = 2197175160;
  function make_crc32c(module) {
    const folded = new Int32Array(module ? module.memory.buffer : new ArrayBuffer(PAGE_BYTES), 0, FAR + FOLD_WORDS);
    const [far, middle, near, now] = [FAR, MIDDLE, NEAR, 0].map((words) => folded.subarray(FAR - words));
    const added = module && new Int32Array(module.memory.buffer, PAGE_BYTES);
    const table = new Int32Array(256);
    for (let byte = 0; byte < 256; byte++) {
      let crc = byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >>> 1 ^ POLYNOMIAL : crc >>> 1;
      table[byte] = crc;
    }
    function fold(words) {
      const f = far, m = middle, n = near, to = now;
      for (let i = 0; i < words.length; i++) to[i] = words[i] ^ f[i] ^ m[i] ^ n[i];
    }
    return function crc32c(buffer, from, seed) {
      const words = new Int32Array(buffer, from, buffer.byteLength - from >>> 2);
      const rest = new Uint8Array(buffer, from + words.byteLength);
      const last = Math.max(0, words.length - FAR);
      folded.fill(0, 0, FAR);
      folded[0] = ~seed;
      for (let at = 0; at < last; at += FOLD_WORDS) {
        const count = Math.min(FOLD_WORDS, last - at);
        if (module && added) {
          added.set(words.subarray(at, at + count));
          module.fold(0, 4 * count);
        } else {
          fold(words.subarray(at, at + count));
        }
        folded.copyWithin(0, count, count + FAR);
      }
      now.fill(0);
      let crc = words.length ? 0 : ~seed;
      for (let i = 0; last + i < words.length; i++) {
        crc ^= words[last + i] ^ far[i] ^ middle[i] ^ near[i];
        for (let byte = 0; byte < 4; byte++) crc = crc >>> 8 ^ table[crc & 255];
      }
      for (let i = 0; i < rest.length; i++) crc = crc >>> 8 ^ table[(crc ^ rest[i]) & 255];
      return ~crc >>> 0;
    };
  }

  // src/worker/host.js
  var CLOSE_WORKER_LOST = 4999;
  var PIECE_BYTES = 256 * 1024;
  var TIMEOUT_TICKS = 5;
  var START_TIMEOUT_TICKS = 10;
  var MAX_LOSSES = 3;
  var PROVEN_MS = 6e4;
  var sends_slices = () => / Firefox\//.test(navigator.userAgent);
  var worker = {
    /** @type {Worker | null | undefined} undefined: not tried yet */
    thread: void 0,
    is_proven: false,
    // it has answered: a policy that forbids it shows late
    started_ms: 0,
    losses: 0,
    // in a row
    silent_ticks: 0,
    ticked_ms: 0,
    /** @type {ReturnType<typeof make_crc32c> | null} of the page's own thread */
    crc32c: null,
    /** @type {Map<number, {blob: Blob, seed: number, keep: boolean, on_read: OnRead}>} */
    jobs: /* @__PURE__ */ new Map(),
    /** @type {Map<number, WorkerSocket>} */
    sockets: /* @__PURE__ */ new Map(),
    last_id: 0,
    /**
     * @param {Blob} blob @param {number} seed the checksum of what came before
     * @param {boolean} keep the bytes, where they can be sent as they are @param {OnRead} on_read
     */
    read(blob, seed, keep, on_read) {
      if (this.thread === void 0) this.start();
      if (!this.thread) {
        this.read_here(blob, seed, on_read);
        return;
      }
      const id = this.last_id += 1;
      this.jobs.set(id, { blob, seed, keep, on_read });
      this.order({ action: "read", id, blob, seed, room: keep && !sends_slices() ? HEADER_BYTES : 0 });
    },
    /** @param {object} order @param {Transferable[]} [transfer] */
    order(order, transfer = []) {
      const { thread } = this;
      if (!thread) return;
      try {
        thread.postMessage(order, transfer);
      } catch (error) {
        setTimeout(() => this.lose(thread));
      }
    },
    start() {
      this.thread = null;
      this.is_proven = false;
      this.started_ms = now_ms();
      this.silent_ticks = 0;
      try {
        const source = new Blob([`"use strict";
(() => {
  // src/worker/blobs.js
  function read_at_once(blob) {
    return new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => {
        const buffer = (
          /** @type {ArrayBuffer} */
          reader.result
        );
        resolve(buffer.byteLength === blob.size ? buffer : null);
      };
      reader.onerror = () => resolve(null);
      reader.readAsArrayBuffer(blob);
    });
  }
  function free(buffer) {
    if (buffer.transfer) buffer.transfer(0);
  }

  // src/worker/crc32c.js
  var NEAR = 5275 - 4508;
  var MIDDLE = 5275 - 2751;
  var FAR = 5275;
  var PAGE_BYTES = 65536;
  var FOLD_WORDS = 8192;
  var POLYNOMIAL = 2197175160;
  function make_crc32c(module) {
    const folded = new Int32Array(module ? module.memory.buffer : new ArrayBuffer(PAGE_BYTES), 0, FAR + FOLD_WORDS);
    const [far, middle, near, now] = [FAR, MIDDLE, NEAR, 0].map((words) => folded.subarray(FAR - words));
    const added = module && new Int32Array(module.memory.buffer, PAGE_BYTES);
    const table = new Int32Array(256);
    for (let byte = 0; byte < 256; byte++) {
      let crc = byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >>> 1 ^ POLYNOMIAL : crc >>> 1;
      table[byte] = crc;
    }
    function fold(words) {
      const f = far, m = middle, n = near, to = now;
      for (let i = 0; i < words.length; i++) to[i] = words[i] ^ f[i] ^ m[i] ^ n[i];
    }
    return function crc32c2(buffer, from, seed) {
      const words = new Int32Array(buffer, from, buffer.byteLength - from >>> 2);
      const rest = new Uint8Array(buffer, from + words.byteLength);
      const last = Math.max(0, words.length - FAR);
      folded.fill(0, 0, FAR);
      folded[0] = ~seed;
      for (let at = 0; at < last; at += FOLD_WORDS) {
        const count = Math.min(FOLD_WORDS, last - at);
        if (module && added) {
          added.set(words.subarray(at, at + count));
          module.fold(0, 4 * count);
        } else {
          fold(words.subarray(at, at + count));
        }
        folded.copyWithin(0, count, count + FAR);
      }
      now.fill(0);
      let crc = words.length ? 0 : ~seed;
      for (let i = 0; last + i < words.length; i++) {
        crc ^= words[last + i] ^ far[i] ^ middle[i] ^ near[i];
        for (let byte = 0; byte < 4; byte++) crc = crc >>> 8 ^ table[crc & 255];
      }
      for (let i = 0; i < rest.length; i++) crc = crc >>> 8 ^ table[(crc ^ rest[i]) & 255];
      return ~crc >>> 0;
    };
  }

  // src/worker/fold_module.js
  var number = (n) => n < 128 ? [n] : [n & 127 | 128, ...number(n >>> 7)];
  var sized = (...body) => [...number(body.length), ...body];
  function make_fold_module() {
    if (/ Firefox\\//.test(navigator.userAgent)) return null;
    const load = (bytes2) => [32, 0, 253, 0, 0, ...number(bytes2)];
    const xor = [253, 81];
    const code = [
      3,
      64,
      32,
      0,
      // loop; from (for the store)
      ...load(PAGE_BYTES),
      ...load(0),
      ...xor,
      ...load(4 * (FAR - MIDDLE)),
      ...xor,
      ...load(4 * (FAR - NEAR)),
      ...xor,
      253,
      11,
      0,
      ...number(4 * FAR),
      // v128.store
      32,
      0,
      65,
      16,
      106,
      34,
      0,
      32,
      1,
      73,
      13,
      0,
      11
      // from += 16; again, if from < to_bytes; end
    ];
    const bytes = [
      0,
      97,
      115,
      109,
      1,
      0,
      0,
      0,
      // "\\0asm", version 1
      1,
      ...sized(1, 96, 2, 127, 127, 0),
      3,
      ...sized(1, 0),
      // types: a function of two i32; functions: one of that
      5,
      ...sized(1, 0, 2),
      7,
      ...sized(2, 1, 102, 0, 0, 1, 109, 2, 0),
      // memories: two pages; exports: "f" and "m"
      10,
      ...sized(1, ...sized(0, ...code, 11))
      // code: no more locals; end
    ];
    try {
      const { f, m } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes))).exports;
      return { fold: (
        /** @type {() => void} */
        f
      ), memory: (
        /** @type {WebAssembly.Memory} */
        m
      ) };
    } catch (error) {
      return null;
    }
  }

  // src/worker/reader.js
  var SHORT_BYTES = 256 * 1024;
  var SPARE_BUFFERS = 4;
  var crc32c = make_crc32c(make_fold_module());
  var streams = /* @__PURE__ */ new Set();
  var spare = [];
  async function fill(stream, buffer, from) {
    for (let at = from; at < buffer.byteLength; ) {
      const view = new Uint8Array(buffer, at);
      const { done, value } = await stream.read(view, { min: view.length });
      if (done || !value) return null;
      at += value.byteLength;
      buffer = /** @type {ArrayBuffer} */
      value.buffer;
    }
    stream.cancel();
    return buffer;
  }
  function open_stream(blob) {
    try {
      return blob.stream().getReader({ mode: "byob" });
    } catch (error) {
      return null;
    }
  }
  function buffer_of(bytes) {
    const at = spare.findIndex((buffer) => buffer.byteLength === bytes);
    return at < 0 ? new ArrayBuffer(bytes) : spare.splice(at, 1)[0];
  }
  async function fetch_bytes(blob, from) {
    const stream = from || blob.size > SHORT_BYTES ? open_stream(blob) : null;
    if (stream) {
      streams.add(stream);
      const buffer2 = await fill(stream, buffer_of(from + blob.size), from).catch(() => null);
      streams.delete(stream);
      return buffer2;
    }
    const buffer = await read_at_once(blob);
    if (!buffer || !from) return buffer;
    const behind_room = buffer_of(from + buffer.byteLength);
    new Uint8Array(behind_room, from).set(new Uint8Array(buffer));
    free(buffer);
    return behind_room;
  }
  function recycle(buffer) {
    spare.push(buffer);
    if (spare.length > SPARE_BUFFERS) free(spare.shift());
  }
  async function read(blob, seed, room) {
    try {
      const buffer = await fetch_bytes(blob, room);
      if (!buffer) return { crc: null, buffer };
      const crc = crc32c(buffer, room, seed);
      if (!room) recycle(buffer);
      return { crc, buffer: room ? buffer : null };
    } catch (error) {
      spare.length = 0;
      return { crc: -1, buffer: null };
    }
  }

  // src/worker/main.js
  var scope = (
    /** @type {Worker} */
    /** @type {unknown} */
    self
  );
  var sockets = /* @__PURE__ */ new Map();
  var actions = {
    async read({ id, blob, seed, room }) {
      const { crc, buffer } = await read(blob, seed, room);
      scope.postMessage({ id, crc, buffer }, buffer ? [buffer] : []);
    },
    dial({ id, url }) {
      try {
        const socket = new WebSocket(url);
        socket.onopen = () => scope.postMessage({ id, event: "open" });
        socket.onmessage = ({ data }) => scope.postMessage({ id, event: "message", data });
        socket.onclose = ({ code, reason }) => scope.postMessage({ id, event: "close", code, reason });
        sockets.set(id, socket);
      } catch (error) {
        scope.postMessage({ id, event: "refused" });
      }
    },
    send({ id, data }) {
      const socket = sockets.get(id);
      if (socket) socket.send(data);
      if (data instanceof ArrayBuffer) recycle(data);
    },
    close({ id, code }) {
      const socket = sockets.get(id);
      sockets.delete(id);
      if (!socket) return;
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(code);
    },
    ping() {
      scope.postMessage({});
    }
  };
  scope.onmessage = ({ data }) => actions[data.action](data);
})();
`], { type: "text/javascript" });
        const thread = this.thread = new Worker(URL.createObjectURL(source));
        thread.onmessage = ({ data }) => {
          if (thread === this.thread) this.on_message(data);
        };
        thread.onerror = thread.onmessageerror = (event) => {
          if (!this.is_proven) event.preventDefault();
          this.lose(thread);
        };
      } catch (error) {
        this.thread = null;
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
      else this.order({ action: "ping" });
    },
    /** Gives a worker up. One that has answered is replaced. @param {Worker} thread */
    lose(thread) {
      if (thread !== this.thread) return;
      const { jobs, sockets } = this;
      this.jobs = /* @__PURE__ */ new Map();
      this.sockets = /* @__PURE__ */ new Map();
      this.losses = now_ms() - this.started_ms > PROVEN_MS ? 1 : this.losses + 1;
      this.thread = null;
      if (thread.terminate) thread.terminate();
      if (this.is_proven && this.losses < MAX_LOSSES) this.start();
      this.is_proven = false;
      sockets.forEach((socket) => socket.on_event({ event: "close", code: CLOSE_WORKER_LOST, reason: "" }));
      jobs.forEach(({ blob, seed, keep, on_read }) => this.read(blob, seed, keep, on_read));
    },
    /**
     * Reads in the page's own thread, piece by piece, so that the page stays responsive.
     * @param {Blob} blob @param {number} seed @param {OnRead} on_read
     */
    async read_here(blob, seed, on_read) {
      let crc = seed;
      try {
        for (let at = 0; crc !== null && (at < blob.size || !at); at += PIECE_BYTES) {
          const buffer = await read_at_once(blob.size > PIECE_BYTES ? blob.slice(at, at + PIECE_BYTES) : blob);
          this.crc32c = this.crc32c || make_crc32c(null);
          crc = buffer && this.crc32c(buffer, 0, crc);
          if (buffer) free(buffer);
        }
      } catch (error) {
        crc = -1;
      }
      on_read(crc, null);
    }
  };
  var WorkerSocket = class {
    /** @param {string} url */
    constructor(url) {
      this.onopen = null;
      this.onmessage = null;
      this.onclose = null;
      this.onrefused = null;
      this.id = worker.last_id += 1;
      worker.sockets.set(this.id, this);
      worker.order({ action: "dial", id: this.id, url });
    }
    /** @param {string | Blob | ArrayBuffer} data */
    send(data) {
      worker.order({ action: "send", id: this.id, data }, data instanceof ArrayBuffer ? [data] : []);
    }
    /** @param {number} code */
    close(code) {
      worker.sockets.delete(this.id);
      worker.order({ action: "close", id: this.id, code });
    }
    /** @param {{event: 'open' | 'message' | 'close' | 'refused', code?: number, reason?: string}} event */
    on_event(event) {
      const listener = this[
        /** @type {'onopen'} */
        "on" + event.event
      ];
      if (listener) listener(event);
    }
  };

  // src/connection.js
  var CONNECT_TIMEOUT_S = 15;
  var SLOW_OPEN_S = 4;
  var WAKE_TIMEOUT_S = 3;
  var CLOSE_NORMAL = 1e3;
  var CLOSE_RESTART2 = 1012;
  var CLOSE_TRY_AGAIN_LATER = 1013;
  var CLOSE_TAKEN_OVER = 4001;
  function noop() {
  }
  var Connection = class {
    /** @param {Server} server @param {boolean} is_http @param {(event: ConnectionEvent) => void} report */
    constructor(server, is_http, report2) {
      this.server = server;
      this.is_http = is_http;
      this.report = report2;
      this.socket = null;
      this.may_send = false;
      this.open = false;
      this.was_asked = false;
      this.confirmed = false;
      this.compare = [];
      this.agreed = false;
      this.completed = false;
      this.unanswered_s = 0;
      this.handed_over = false;
      this.round = 0;
      this.silent_s = 0;
      this.silence_s = this.idle_silence_s = this.timeout_s = CONNECT_TIMEOUT_S;
      this.waits = false;
      this.untaken_s = 0;
      this.pinged = false;
      this.retry_after_s = 0;
      this.reading = 0;
      this.reading_s = 0;
      this.filling = null;
      this.pace = new Pace(1, 1, 1, 1, 1);
      this.ticked_at = Date.now();
      this.ticker = setInterval(() => this.tick(), TICK_S * 1e3);
    }
    dial() {
      this.timeout_s = CONNECT_TIMEOUT_S;
      let socket;
      try {
        socket = this.open_socket();
      } catch (error) {
        this.report({ type: "bad_address" });
        return;
      }
      if (socket instanceof WorkerSocket) socket.onrefused = () => this.report({ type: "bad_address" });
      socket.onopen = () => {
        this.may_send = true;
        this.open = !this.is_http;
        this.report({ type: "opened" });
      };
      socket.onmessage = ({ data }) => {
        const event = read_message(data);
        if (!["ignored", "not_understood"].includes(event.type)) {
          const { server } = this;
          server.was_reached = this.open = true;
          server.sockets_work = server.sockets_work || !this.is_http;
        }
        if (event.type === "pong" && !this.pinged) this.untaken_s = 0;
        this.silent_s = 0;
        this.pinged = false;
        this.timeout_s = this.silence_s;
        this.report(event);
      };
      socket.onclose = ({ code, reason }) => this.report({ type: "lost", code, reason: without_html(reason) });
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
      const [parts, most_chunks] = this.is_http ? [2, 3] : [4, Infinity];
      this.pace = new Pace(terms.max_chunk_bytes, terms.max_window_bytes, first_window_bytes, parts, most_chunks);
    }
    /** @param {string | Blob | ArrayBuffer} data */
    send(data) {
      if (this.socket && this.may_send) this.socket.send(
        /** @type {string} */
        data
      );
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
      const gap_s = (Date.now() - this.ticked_at) / 1e3;
      this.ticked_at = Date.now();
      const seconds = Math.min(Math.max(gap_s, TICK_S), WAKE_TIMEOUT_S);
      this.silent_s += this.socket ? seconds : 0;
      this.reading_s = this.reading ? this.reading_s + seconds : 0;
      this.untaken_s = this.waits ? this.untaken_s + seconds : 0;
      this.unanswered_s += seconds;
      worker.tick();
      if (gap_s > WAKE_TIMEOUT_S) this.probe();
      else if (this.silent_s >= this.silence_s / 2 && !this.pinged) this.ping();
      this.report({ type: "tick" });
    }
    /** The server waits for the app, and so do we: thousands of clients must not ping it all the time. */
    use_idle_timeout() {
      this.handed_over = true;
      this.silence_s = this.timeout_s = this.idle_silence_s;
    }
    ping() {
      if (!this.confirmed) return;
      this.pinged = true;
      this.send_message("MsgPing", {});
    }
    /** The connection is probably dead: it gets a short time to answer. */
    probe() {
      this.timeout_s = Math.min(this.timeout_s, this.silent_s + WAKE_TIMEOUT_S);
      this.ping();
    }
    is_slow_to_open() {
      const waits = !this.is_http && !this.open && !this.was_asked;
      return waits && this.silent_s >= SLOW_OPEN_S && worker.silent_ticks < 2;
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
  };

  // src/files.js
  function name_of(file) {
    return (
      /** @type {File} */
      file.name || "upload"
    );
  }
  function last_change_of(file) {
    return Math.max(0, Math.floor(
      /** @type {File} */
      file.lastModified
    ) || 0);
  }
  function is_blob(file) {
    return /^\[object (File|Blob)\]$/.test(Object.prototype.toString.call(file));
  }

  // src/folder/listing.js
  var TURN_MS = 8;
  var AT_ONCE = 64;
  var RUN = 1024;
  function make_rest() {
    let since_ms = performance.now();
    return () => performance.now() - since_ms < TURN_MS ? void 0 : next_turn().then(() => {
      since_ms = performance.now();
    });
  }
  function next_turn() {
    return new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(0);
    });
  }
  function take(files) {
    const { items, kind, isFile, isDirectory, file } = files;
    const is_one = kind === "directory" || isFile || isDirectory || file;
    const list2 = items && items.length ? items : files.files || files;
    const all = is_one ? [files] : list2[Symbol.iterator] ? [...list2] : [];
    return all.filter((one) => one && one.kind !== "string").map((one) => ({ one: one.webkitGetAsEntry ? one.webkitGetAsEntry() || one.getAsFile() : one })).filter(({ one }) => one);
  }
  function path_of(one) {
    return one.file && one.path || (one.fullPath || "").slice(1) || one.webkitRelativePath || one.name || "upload";
  }
  async function list(tasks, tell, rest) {
    const entries = [];
    const unreadable = [];
    const todo = tasks;
    const look = async ({ one, path = path_of(one) }) => {
      try {
        if (one.isDirectory || one.kind === "directory") {
          const inside = await children(one);
          if (!inside.length) entries.push({ path: path + "/", file: null, size: 0, modified: 0 });
          for (const child of inside) todo.push({ path: path + "/" + child.name, one: child });
        } else {
          const file = await file_of(one);
          entries.push({ path, file, size: file.size, modified: last_change_of(file) });
        }
      } catch (error) {
        unreadable.push(path);
      }
    };
    while (todo.length) {
      await Promise.all(todo.splice(-AT_ONCE).map(look));
      tell(entries.length);
      await rest();
    }
    const sorted = await sort(entries, rest);
    await rest();
    const name = common_folder(sorted);
    if (name) sorted.forEach((entry) => {
      entry.path = entry.path.slice(name.length + 1);
    });
    return { name, entries: sorted.filter(({ path }) => path), unreadable };
  }
  function file_of(one) {
    if (one.getFile) return one.getFile();
    if (typeof one.file === "function") return new Promise((resolve, reject) => one.file(resolve, reject));
    return one.file ? file_of(one.file) : one;
  }
  async function children(folder) {
    const all = [];
    if (folder.values) {
      for await (const child of folder.values()) all.push(child);
      return all;
    }
    const reader = folder.createReader();
    for (; ; ) {
      const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!batch.length) return all;
      all.push(...batch);
    }
  }
  var by_path = (a, b) => a.path < b.path ? -1 : Number(a.path > b.path);
  async function sort(entries, rest) {
    let runs = [];
    for (let at = 0; at < entries.length; at += RUN) {
      runs.push(entries.slice(at, at + RUN).sort(by_path));
      await rest();
    }
    while (runs.length > 1) {
      const merged = [];
      for (let i = 0; i < runs.length; i += 2) merged.push(await merge(runs[i], runs[i + 1] || [], rest));
      runs = merged;
    }
    return runs[0] || [];
  }
  async function merge(a, b, rest) {
    const all = [];
    for (let i = 0, j = 0; i < a.length || j < b.length; ) {
      all.push(j === b.length || i < a.length && by_path(a[i], b[j]) <= 0 ? a[i++] : b[j++]);
      if (all.length % RUN === 0) await rest();
    }
    return all;
  }
  function common_folder(entries) {
    if (!entries.length) return "";
    const [first, last] = [entries[0].path, entries[entries.length - 1].path];
    const folder = first.slice(0, first.indexOf("/") + 1);
    return folder && last.startsWith(folder) ? folder.slice(0, -1) : "";
  }

  // src/folder/manifest.js
  var MAGIC = [73, 110, 99, 70, 111, 108, 100, 49];
  var HEADER_BYTES2 = 32;
  var CHECKED_BYTES = 28;
  var LINES_AT_ONCE = 500;
  function line_of({ path, file, size, modified }) {
    if (!file) return JSON.stringify({ path }) + "\n";
    return JSON.stringify(modified ? { path, size, "modified_ms": modified } : { path, size }) + "\n";
  }
  async function make_head(entries, checksum2, rest) {
    const parts = [];
    for (let at = 0; at < entries.length; at += LINES_AT_ONCE) {
      parts.push(new Blob([entries.slice(at, at + LINES_AT_ONCE).map(line_of).join("")]));
      await rest();
    }
    const manifest = new Blob(parts);
    const header = new DataView(new ArrayBuffer(HEADER_BYTES2));
    MAGIC.forEach((byte, at) => header.setUint8(at, byte));
    header.setUint32(8, Math.floor(manifest.size / 2 ** 32));
    header.setUint32(12, manifest.size % 2 ** 32);
    header.setUint32(16, entries.length);
    header.setUint32(20, await checksum2(manifest));
    header.setUint32(CHECKED_BYTES, await checksum2(new Blob([header.buffer.slice(0, CHECKED_BYTES)])));
    return new Blob([header, manifest]);
  }

  // src/folder/stream.js
  var NEIGHBOURS = 4;
  var FILES_AT_ONCE = 32;
  function zeros(bytes) {
    return new Blob([new ArrayBuffer(bytes)]);
  }
  var FolderStream = class {
    /**
     * @param {string} name of the folder @param {Blob} head @param {Entry[]} entries in the order of the head
     * @param {string[]} unreadable paths of what could not be listed
     */
    constructor(name, head, entries, unreadable) {
      this.name = name;
      this.type = "";
      this.head = head;
      this.entries = entries;
      this.unreadable = unreadable;
      this.files_total = 0;
      this.lastModified = 0;
      this.gone = /* @__PURE__ */ new Set();
      this.starts = new Float64Array(entries.length + 1);
      this.counts = new Uint32Array(entries.length + 1);
      let size = head.size;
      entries.forEach((entry, index) => {
        this.starts[index] = size;
        this.counts[index] = this.files_total;
        size += entry.size;
        this.files_total += entry.file ? 1 : 0;
        this.lastModified = Math.max(this.lastModified, entry.modified);
      });
      this.starts[entries.length] = this.size = size;
      this.counts[entries.length] = this.files_total;
    }
    /** For an upload of its own, which may leave out other files. @returns {FolderStream} */
    copy() {
      return Object.assign(Object.create(this), { gone: /* @__PURE__ */ new Set() });
    }
    /** The index of the entry that has the byte at `offset`; -1 within the head, and the number of entries at the end. @param {number} offset */
    index(offset) {
      let low = -1, high = this.entries.length;
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        if (this.starts[middle] <= offset) low = middle;
        else high = middle - 1;
      }
      return low;
    }
    /** How many files are stored if all bytes before `offset` are. @param {number} offset */
    count(offset) {
      const index = this.index(offset);
      if (index < 0) return 0;
      return this.counts[index] - [...this.gone].filter((gone) => gone < index).length;
    }
    /** The path of the file at `offset`; "" where there is none. @param {number} offset */
    path(offset) {
      const entry = this.entries[this.index(offset)];
      return entry ? entry.path : "";
    }
    /** What a range consists of. @param {number} from @param {number} to @returns {Part[]} */
    parts(from, to) {
      const parts = [];
      for (let index = this.index(from), at = from; at < to; index++) {
        const end = Math.min(to, this.starts[index + 1]);
        if (end > at) parts.push({ index, from: at, to: end });
        at = Math.max(at, end);
      }
      return parts;
    }
    /** @param {number} from @param {number} [to] @returns {Blob} */
    slice(from, to = this.size) {
      return new Blob(this.parts(from, to).map((part) => this.piece(part)));
    }
    /** A few files next to a range. @param {Part[]} parts of it @returns {Part[]} */
    neighbours(parts) {
      const first = Math.max(0, parts[0].index - NEIGHBOURS);
      const last = Math.min(this.entries.length - 1, parts[parts.length - 1].index + NEIGHBOURS);
      const around = this.parts(this.starts[first], this.starts[last + 1]);
      return around.filter(({ index }) => index >= 0 && !this.gone.has(index) && parts.every((part) => part.index !== index));
    }
    /** @param {Part} part @returns {Blob} */
    piece({ index, from, to }) {
      if (index < 0) return this.head.slice(from, to);
      const start = this.starts[index];
      const { file, size } = this.entries[index];
      if (this.gone.has(index)) return zeros(to - from);
      const blob = (
        /** @type {Blob} */
        file
      );
      return to - from === size && blob.size === size ? blob : blob.slice(from - start, to - start);
    }
    /**
     * Where a chunk ends that begins at `from` and has about this many bytes. Small files are complete in their chunk: what can't be
     * read can be left out then, before a byte of it was sent. A file that is left out ends a chunk, or leaves nothing of it.
     * @param {number} from @param {number} bytes @returns {{to: number, opens: boolean}} opens: it begins a file that it does not end
     */
    cut(from, bytes) {
      const index = this.index(from);
      const end = this.starts[index + 1];
      if (this.gone.has(index)) return { to: from, opens: false };
      if (index < 0) return { to: Math.min(this.head.size, from + bytes), opens: false };
      if (end - from > bytes) return { to: from + bytes, opens: from === this.starts[index] };
      let last = index;
      for (let files = 1; files < FILES_AT_ONCE && last + 1 < this.entries.length; last++) {
        if (this.starts[last + 2] - from > bytes || this.gone.has(last + 1)) break;
        if (this.entries[last + 1].size) files++;
      }
      return { to: this.starts[last + 1], opens: false };
    }
    /** The file at `offset`, if it was left out: where it begins and ends, and its index. @param {number} offset */
    hole(offset) {
      const index = this.index(offset);
      return this.gone.has(index) ? { index, from: this.starts[index], to: this.starts[index + 1] } : null;
    }
    /** What the server says is left out: everything before `offset` is as it says. @param {number[]} indices @param {number} offset */
    agree(indices, offset) {
      const later = [...this.gone].filter((index) => this.starts[index + 1] > offset);
      this.gone = new Set(indices.concat(later).filter((index) => this.entries[index]));
    }
    /** The paths of what is missing. */
    missing() {
      return this.unreadable.concat([...this.gone].sort((a, b) => a - b).map((index) => this.entries[index].path));
    }
  };
  var no_folder = () => new FolderStream("", new Blob(), [], []);

  // src/folder/folder.js
  function checksum(blob) {
    return new Promise((resolve, reject) => worker.read(blob, 0, false, (crc) => crc === null || crc < 0 ? reject(new RangeError()) : resolve(crc)));
  }
  async function open_folder(tasks, tell) {
    const rest = make_rest();
    const { name, entries, unreadable } = await list(tasks, tell, rest);
    const head = await make_head(entries, checksum, rest);
    return new FolderStream(name || "upload", head, entries, unreadable);
  }

  // src/storage.js
  function with_storage(use) {
    try {
      return use(localStorage);
    } catch (error) {
      return null;
    }
  }

  // src/memory.js
  var WRITE_INTERVAL_MS = 1e3;
  var KEEP_DAYS = 30;
  var LIVE_MS = 5e3;
  var Memory = class {
    /** @param {Upload} upload */
    constructor(upload) {
      this.upload = upload;
      this.key = "";
      this.begun_at_ms = 0;
      this.written_bytes = -1;
      this.written_ms = -Infinity;
      this.has_ended = false;
    }
    new_key() {
      return memory_prefix(this.upload.server) + this.upload.ticket_id;
    }
    begin() {
      this.key = this.new_key();
      const entry = with_storage((storage) => entry_at(storage, this.key));
      this.begun_at_ms = entry ? entry.begun_at_ms : Date.now();
    }
    update() {
      const { state, error_code, bytes_acked, connection } = this.upload;
      const has_arrived = ["arrived", "finished", "cancelled"].includes(state);
      const had_ended = this.has_ended;
      this.has_ended = has_arrived || TICKET_ENDED_CODES.includes(Number(error_code));
      const is_due = now_ms() - this.written_ms >= WRITE_INTERVAL_MS || !connection;
      if (this.has_ended && !had_ended) this.end();
      if (is_due && bytes_acked !== this.written_bytes) this.write();
    }
    write(live_ms = this.upload.share.channel ? Date.now() : 0) {
      if (!this.key || this.has_ended) return;
      const { ticket_id, filename, bytes_total, bytes_acked, file, folder } = this.upload;
      const frac_complete = bytes_total ? bytes_acked / bytes_total : 0;
      const entry = {
        upload_id: ticket_id,
        filename,
        bytes_total,
        bytes_acked,
        frac_complete,
        last_modified_ms: last_change_of(file),
        begun_at_ms: this.begun_at_ms,
        seen_at_ms: Date.now(),
        live_ms,
        ...folder && { files_total: folder.files_total }
      };
      this.written_bytes = bytes_acked;
      this.written_ms = now_ms();
      with_storage((storage) => storage.setItem(this.key, JSON.stringify(entry)));
    }
    end() {
      this.written_bytes = -1;
      this.written_ms = -Infinity;
      drop(this.upload.ticket_id, this.key || this.new_key());
    }
  };
  function memory_prefix(server) {
    return "incoming:" + server.host() + ":";
  }
  function entry_at(storage, key) {
    try {
      const entry = JSON.parse(String(storage.getItem(key)));
      return entry.seen_at_ms > Date.now() - KEEP_DAYS * 864e5 ? entry : null;
    } catch (error) {
      return null;
    }
  }
  function without_dates({ seen_at_ms, live_ms, ...begun }, more) {
    return { ...begun, ...more };
  }
  function unfinished(server, live) {
    return with_storage((storage) => {
      const prefix = memory_prefix(server);
      const keys = Array.from({ length: storage.length }, (_, i) => String(storage.key(i)));
      const found = [];
      for (const key of keys.filter((name) => name.startsWith(prefix))) {
        const entry = entry_at(storage, key);
        if (!entry) storage.removeItem(key);
        else if (key !== prefix + entry.upload_id) continue;
        else if (entry.live_ms <= Date.now() - LIVE_MS) found.push(without_dates(entry, live && { live: false }));
        else if (live && !live.includes(entry.upload_id)) found.push(without_dates(entry, { live: true }));
      }
      return found.sort((a, b) => b.begun_at_ms - a.begun_at_ms);
    }) || [];
  }
  function matches(upload, file) {
    return upload.filename === name_of(file) && upload.bytes_total === file.size && upload.last_modified_ms === last_change_of(file);
  }
  function drop(upload_id, key) {
    with_storage((storage) => storage.removeItem(key));
    window.dispatchEvent(new CustomEvent("incoming:ended", { detail: upload_id }));
  }
  function forget(upload_id, server) {
    drop(upload_id, memory_prefix(server) + upload_id);
  }

  // src/server.js
  var SOCKET_PATH = "upload_ws";
  var UPLOADS_PATH = "uploads/";
  var MIN_BODY_BYTES = 8192;
  var ENOUGH_BODIES = 20;
  var REFUSALS = { 426: "websockets_blocked", 429: "too_many_connections" };
  var { src: script_url } = (
    /** @type {HTMLScriptElement} */
    typeof document === "object" && document.currentScript || {}
  );
  var ADDRESS = /^(?:(https?):\/\/)?([^\s/?#@\\]+(?:\/[^\s/?#\\]+)*)\/?$/;
  function is_address(address) {
    return typeof address === "string" && ADDRESS.test(address);
  }
  var warned_of = /* @__PURE__ */ new Set();
  var Server = class {
    /** @param {string} address one that `is_address`; empty: the default */
    constructor(address) {
      const [, scheme = "", hostname = ""] = ADDRESS.exec(address) || [];
      this.scheme = scheme;
      this.hostname = hostname;
      this.was_reached = false;
      this.sockets_work = false;
      this.most_chunks = 2;
      this.most_body_bytes = Infinity;
      this.stored_body_bytes = 0;
      this.has_lost_body = false;
      this.good_bodies = 0;
      this.enough_bodies = ENOUGH_BODIES;
      this.has_tried_more = false;
    }
    /**
     * Returns "host:port", maybe with a path. The default is the page's host, below the same path as this script if the
     * script is from there: a proxy may have put both there.
     */
    host() {
      const { host } = window.location;
      const found = /^https?:\/\/([^/?#]+)([^?#]*)\/incoming\/(0\.1\/)?frontend\//.exec(script_url);
      return this.hostname || (found && found[1] === host ? host + found[2] : host);
    }
    url(scheme = "ws", path = SOCKET_PATH) {
      const is_secure = (this.scheme || window.location.protocol).startsWith("https");
      return scheme + (is_secure ? "s" : "") + "://" + this.host() + "/incoming/frontend/" + path;
    }
    /** The address of all uploads over HTTP. */
    uploads_url() {
      return this.url("http", UPLOADS_PATH);
    }
    /**
     * Asks over plain HTTP why no WebSocket opens, because no browser tells.
     * @returns {Promise<number>} the status; 0: there is no answer; -1: there is one that the page may not see
     */
    async status() {
      const url = this.url("http");
      const options = { credentials: "omit", cache: "no-store" };
      try {
        return (await fetch(url, options)).status;
      } catch (error) {
        return fetch(url, { ...options, mode: "no-cors" }).then(() => -1, () => 0);
      }
    }
    /** Names what a status means. @param {number} status */
    refusal(status) {
      return REFUSALS[status] || "http_status";
    }
    /** A chunk in a request was stored. @param {number} bytes */
    note_stored(bytes) {
      if (bytes > this.stored_body_bytes) this.has_lost_body = false;
      this.stored_body_bytes = Math.max(this.stored_body_bytes, bytes);
      if (bytes < this.most_body_bytes) return;
      this.good_bodies += 1;
      if (this.good_bodies < this.enough_bodies) return;
      this.most_body_bytes *= 2;
      this.has_tried_more = true;
      this.good_bodies = 0;
    }
    /**
     * A chunk in a request did not get through. A proxy may have a limit. A page may not see the answers of a proxy of
     * another host, so it takes the second loss of what is larger than all before as one,
     * and tries larger ones once.
     * @param {number} bytes @param {boolean} is_certain
     */
    note_refused(bytes, is_certain) {
      if (is_certain || this.has_lost_body && bytes > this.stored_body_bytes) {
        const good_bytes = Math.max(MIN_BODY_BYTES, this.stored_body_bytes < bytes ? this.stored_body_bytes : bytes / 4);
        const most_bytes = 2 ** Math.floor(Math.log2(good_bytes * bytes) / 2);
        this.most_body_bytes = Math.max(MIN_BODY_BYTES, Math.min(most_bytes, bytes / 2));
        this.good_bodies = 0;
        this.enough_bodies = is_certain || this.has_tried_more ? Infinity : ENOUGH_BODIES;
      } else {
        this.has_lost_body = this.has_lost_body || bytes > this.stored_body_bytes;
      }
    }
    /** Tells the page's author, once for each address. @param {string} note */
    warn_of_address(note) {
      const url = this.url();
      if (warned_of.has(url)) return;
      warned_of.add(url);
      console.warn("incoming.js: " + note + " Is " + url + " right? incoming.set_server_hostname() sets it.");
    }
  };
  var settings = {
    server: new Server(""),
    /** Which way uploads take. @type {incoming.Transport} */
    transport: "auto"
  };
  var servers = /* @__PURE__ */ new Map();
  function server_at(address) {
    if (!address) return settings.server;
    const server = servers.get(address) || new Server(address);
    servers.set(address, server);
    return server;
  }
  function is_offline() {
    return navigator.onLine === false;
  }

  // src/share.js
  var OWNER_TIMEOUT_TICKS = 10;
  var shares = /* @__PURE__ */ new Set();
  var Share = class {
    /** @param {Upload} upload */
    constructor(upload) {
      this.upload = upload;
      this.owns = !navigator.locks;
      this.channel = null;
      this.name = "";
      this.ticker = 0;
      this.silent_ticks = 0;
      this.is_followed = false;
      this.has_lock = false;
      this.pending = {};
      this.release = noop;
    }
    /** Becomes the owner, or follows the one that exists and asks it for what is wanted here. */
    join() {
      if (this.owns || this.channel) return;
      const { upload } = this;
      this.name = upload.memory.new_key();
      try {
        this.channel = new BroadcastChannel(this.name);
        this.channel.onmessage = ({ data }) => this.on_message(data);
        this.ticker = setInterval(() => this.tick(), TICK_S * 1e3);
        shares.add(this);
        this.pending = upload.state === "cancelling" ? { cancel: upload.cancel_msg } : { pause: "unpause" };
        this.request_lock({ ifAvailable: true });
      } catch (error) {
        this.owns = true;
      }
    }
    /** @param {LockOptions} options */
    request_lock(options) {
      const { channel } = this;
      let has_lock = false;
      navigator.locks.request(this.name, options, (lock) => {
        if (this.owns || channel !== this.channel) return null;
        if (!lock) {
          this.post(this.pending);
          return null;
        }
        this.has_lock = has_lock = true;
        this.set_owner(true);
        return new Promise((resolve) => {
          this.release = resolve;
        });
      }).then(() => {
        if (has_lock && channel) say_goodbye(channel);
      }, () => {
        this.has_lock = false;
        if (channel === this.channel) this.set_owner(!this.owns);
      });
    }
    /** @param {boolean} owns */
    set_owner(owns) {
      this.owns = owns;
      this.silent_ticks = 0;
      this.pending = {};
      this.upload.owner_values = null;
      this.upload.settle();
    }
    /** A silent owner is frozen, or the lock is stuck. */
    tick() {
      if (this.owns) {
        this.upload.memory.write();
        return;
      }
      this.silent_ticks += 1;
      if (this.silent_ticks >= 2 * OWNER_TIMEOUT_TICKS) this.set_owner(true);
      else this.request_lock(this.silent_ticks === OWNER_TIMEOUT_TICKS ? { steal: true } : { ifAvailable: true });
    }
    /** @param {object} message a request to the owner, or the owner's values */
    post(message) {
      if (this.channel) this.channel.postMessage(message);
    }
    /** Passes a user's request on to the owner. @param {{pause?: Event, cancel?: string}} request that was granted here */
    pass_on(request) {
      if (this.owns) return;
      this.upload.owner_values = null;
      this.pending = request;
      this.post(request);
    }
    /** @param {{pause?: incoming.PauseRequest, cancel?: string, retry?: boolean, left?: boolean, state: State, values?: Record<string, unknown>}} message */
    on_message({ pause, cancel, retry, left, state, values }) {
      if (!this.channel) return;
      if (values) {
        this.silent_ticks = 0;
        this.pending = {};
        if (!this.owns) this.upload.follow(state, values);
        return;
      }
      if (left && !this.owns) this.request_lock({ ifAvailable: true });
      if (!this.owns || left) return;
      this.is_followed = true;
      if (pause) this.upload.pause(pause);
      if (cancel) this.upload.cancel(cancel);
      if (retry) this.upload.retry_now();
      this.post_values();
    }
    post_values() {
      const { state, shown } = this.upload;
      if (this.owns && this.is_followed) this.post({ state, values: JSON.parse(shown) });
    }
    suspend() {
      this.leave();
      this.owns = !navigator.locks;
    }
    leave() {
      clearInterval(this.ticker);
      shares.delete(this);
      if (this.channel && !this.has_lock) this.channel.close();
      this.channel = null;
      this.release();
      this.upload.memory.write();
    }
  };
  function say_goodbye(channel) {
    channel.postMessage({ left: true });
    channel.close();
  }

  // src/patience.js
  var STEP_S = 60;
  var MAX_STEP_S = 90;
  var Patience = class {
    /** @param {Upload} upload */
    constructor(upload) {
      this.upload = upload;
      this.limit_s = Infinity;
      this.spent_s = 0;
      this.since_ms = 0;
      this.timer = null;
    }
    /** Starts or stops counting, as the upload's state wants it. */
    update() {
      const { retry, state } = this.upload;
      if (state !== "running") this.reset();
      else if (!retry.note) this.stop();
      else if (this.timer === null && this.limit_s < Infinity) this.start();
    }
    start() {
      this.since_ms = now_ms();
      this.timer = setTimeout(() => this.check(), Math.min(STEP_S, this.limit_s - this.spent_s) * 1e3);
    }
    stop() {
      if (this.timer === null) return;
      clearTimeout(this.timer);
      this.timer = null;
      this.spent_s += Math.min(MAX_STEP_S, (now_ms() - this.since_ms) / 1e3);
    }
    reset() {
      this.stop();
      this.spent_s = 0;
    }
    check() {
      this.stop();
      if (this.limit_s - this.spent_s < 1e-3) this.upload.fail(GAVE_UP);
      this.upload.settle();
    }
  };

  // src/reading.js
  var SLOW_READ_S = 8;
  var READ_TIMEOUT_S = 30;
  var UNREADABLE_TRIES = 3;
  var PIECE_BYTES2 = 4096 * KIB;
  var Reading = class {
    /** @param {Upload} upload */
    constructor(upload) {
      this.upload = upload;
      this.was_read = false;
      this.unreadable_tries = 0;
      this.most_bytes = CHUNK_MAX_BYTES;
    }
    /**
     * Computes the checksum of a range, which continues `seed`. Nothing is called if the connection is another one by then.
     * @param {number} from @param {number} to @param {number} seed
     * @param {boolean} keep the bytes, for the next argument, where they can be sent as they are
     * @param {(crc: number, buffer: ArrayBuffer | null, blob: Blob) => void} then
     */
    read(from, to, seed, keep, then) {
      const { upload } = this;
      const { bytes_total, connection, file } = upload;
      if (!connection) return;
      const blob = bytes_total ? file.slice(from, to) : (
        /** @type {Blob} */
        file
      );
      connection.reading += 1;
      worker.read(blob, seed, keep && !connection.is_http, (crc, buffer) => {
        if (connection !== upload.connection) return;
        connection.reading -= 1;
        connection.reading_s = 0;
        if (crc === null || blob.size !== to - from) {
          this.on_unreadable(from, to);
        } else if (crc < 0) {
          this.on_no_memory(blob.size, keep);
        } else {
          this.was_read = true;
          then(crc, buffer, blob);
        }
        upload.settle();
      });
    }
    /** @param {number} from @param {number} to @param {number} seed @param {(crc: number) => void} then */
    read_range(from, to, seed, then) {
      const end = Math.min(to, from + this.piece_bytes);
      this.read(from, end, seed, false, (crc) => {
        if (end === to) then(crc);
        else this.read_range(end, to, crc, then);
      });
    }
    get piece_bytes() {
      return Math.min(PIECE_BYTES2, this.most_bytes);
    }
    /** @param {number} from @param {number} to */
    on_unreadable(from, to) {
      const { connection, folder } = this.upload;
      if (!folder || !connection) {
        this.try_again(this.was_read || this.upload.file.type ? FILE_UNREADABLE : NEVER_READABLE);
        return;
      }
      const all = folder.parts(from, to);
      const parts = all.filter(({ index }) => index >= 0 && !folder.gone.has(index));
      if (!parts.length && all.some(({ index }) => index >= 0)) return;
      connection.reading += 1;
      this.look_at(folder, parts).then((found) => {
        if (connection !== this.upload.connection) return;
        connection.reading -= 1;
        this.on_looked(folder, found);
        this.upload.settle();
      });
    }
    /**
     * Which files can't be read.
     * @param {FolderStream} folder @param {Part[]} parts
     */
    async look_at(folder, parts) {
      const bad = [];
      for (const part of parts) if (!await can_read(folder, part)) bad.push(part.index);
      let others = bad.length < parts.length;
      for (const part of bad.length ? folder.neighbours(parts) : []) others = others || await can_read(folder, part);
      return { bad, others };
    }
    /** @param {FolderStream} folder @param {{bad: number[], others: boolean}} found */
    on_looked(folder, found) {
      const { bytes_acked, connection, leaves_out, sending } = this.upload;
      const { others } = found;
      const bad = found.bad.filter((index) => !folder.gone.has(index));
      if (found.bad.length && !bad.length) return;
      const may_go = (index) => folder.starts[index + 1] > bytes_acked;
      if (leaves_out && others && connection && !connection.is_http && bad.every(may_go)) {
        bad.forEach((index) => folder.gone.add(index));
        connection.filling = null;
        if (connection.agreed) {
          sending.prepare_again();
          sending.fill_gaps();
        } else {
          sending.leave_out(connection);
        }
      } else {
        this.try_again({ ...FOLDER_UNREADABLE, index: bad[0] });
      }
    }
    /** @param {UploadError} error when it was tried often enough */
    try_again(error) {
      this.unreadable_tries += 1;
      const { state, retry } = this.upload;
      if (this.unreadable_tries >= UNREADABLE_TRIES && state !== "cancelling") this.upload.fail(error);
      else retry.later("file_unreadable", { key: "file_unreadable_now" });
    }
    /** @param {number} bytes that were to be read at once @param {boolean} keep it was to be a chunk */
    on_no_memory(bytes, keep) {
      this.most_bytes = Math.max(CHUNK_MIN_BYTES, Math.min(this.most_bytes, Math.floor(bytes / 2)));
      if (keep && bytes > CHUNK_MIN_BYTES) this.upload.sending.prepare_again();
      else this.upload.retry.later("no_memory");
    }
  };
  function can_read(folder, part) {
    const blob = folder.piece(part);
    return new Promise((resolve) => worker.read(blob, 0, false, (crc) => resolve(crc !== null && blob.size === part.to - part.from)));
  }

  // src/states.js
  var TRANSITIONS = {
    new: { start: "running", pause: "held", cancel: "cancelling", dispose: "disposed" },
    held: { start: "paused", unpause: "new", cancel: "cancelling", dispose: "disposed" },
    // paused before it was started
    paused: { unpause: "running", cancel: "cancelling", dispose: "disposed" },
    running: {
      pause: "paused",
      cancel: "cancelling",
      arrive: "arrived",
      abort: "cancelled",
      fail: "failed",
      finish: "finished",
      dispose: "disposed"
    },
    arrived: { rewind: "running", abort: "cancelled", fail: "failed", finish: "finished", dispose: "disposed" },
    // An error that ends the upload ends it as the user wished.
    cancelling: { arrive: "arrived", abort: "cancelled", fail: "cancelled", finish: "finished", dispose: "disposed" },
    finished: {},
    cancelled: {},
    failed: {},
    disposed: {}
  };
  var STATES = {
    new: { shown: "new", online: false },
    held: { shown: "paused", online: false },
    running: { shown: "uploading", online: true },
    paused: { shown: "paused", online: false },
    arrived: { shown: "waiting_for_app", online: true },
    cancelling: { shown: "cancelling", online: true },
    finished: { shown: "finished", online: false },
    cancelled: { shown: "cancelled", online: false },
    failed: { shown: "failed", online: false },
    disposed: { shown: "disposed", online: false }
  };
  var ENDINGS = { finished: "finished", cancelled: "cancelled", failed: "error" };

  // src/situation.js
  var ACTIVE = ["connecting", "checking", "uploading"];
  function phase_of({ bytes_acked, bytes_total, connection }) {
    if (!connection || !connection.confirmed) return "connecting";
    return !connection.agreed || bytes_acked === bytes_total && bytes_total > 0 ? "checking" : "uploading";
  }
  function reads_slowly({ state, connection }) {
    return state === "running" && connection !== null && connection.reading_s >= SLOW_READ_S;
  }
  function is_listing({ listing, state }) {
    return listing && state === "running";
  }
  function state_of(upload) {
    const { retry, state } = upload;
    if (retry.note && state !== "cancelling") return "retrying";
    return state === "running" ? phase_of(upload) : STATES[state].shown;
  }
  function reason_of(upload) {
    const { app_is_silent, app_trouble, retry, state } = upload;
    if (retry.is_waiting && is_offline()) return "offline";
    if (is_listing(upload)) return "listing";
    if (!retry.is_waiting && reads_slowly(upload)) return "slow_read";
    if (retry.note) return retry.note.reason;
    if (state === "arrived" && app_is_silent) return app_trouble ? "app_trouble" : "app_silent";
    return state === "failed" || state === "cancelled" ? upload.end_reason : "";
  }
  function sentence_of(upload) {
    const { app_is_silent, app_trouble, retry, state } = upload;
    if (retry.is_waiting) return retry.text();
    if (state === "arrived" && app_is_silent) {
      return app_trouble ? upload.text("app_trouble", [app_trouble]) : upload.text("app_silent");
    }
    if (is_listing(upload)) return upload.text("listing", [upload.files_listed]);
    if (reads_slowly(upload)) return upload.text("slow_read");
    return upload.text(state === "running" ? phase_of(upload) : STATES[state].shown);
  }
  function followed_values(state, values, was_cancelling) {
    const { retrying } = values;
    const shown = retrying && state !== "cancelling" ? "retrying" : STATES[state].shown;
    const by = was_cancelling ? "user" : "app";
    const derived = { state: shown, reason: retrying ? "connection_lost" : state === "cancelled" ? by : "", can_retry: false };
    const all = { ...derived, ...values };
    return ACTIVE.includes(all.state) ? { ...all, state: "elsewhere" } : all;
  }

  // src/properties.js
  var in_state = (...states) => (upload) => states.includes(upload.state);
  var arrived = in_state("arrived", "finished");
  var cancelled = in_state("cancelling", "cancelled");
  var PROPERTIES = {
    filename: (upload) => upload.filename,
    bytes_total: (upload) => upload.bytes_total,
    bytes_tx: ({ sending }) => sending.bytes_tx,
    bytes_acked: (upload) => upload.bytes_acked,
    bytes_ahead: (upload) => upload.sending.bytes_tx - upload.bytes_acked,
    files_total: ({ file, files_listed, folder }) => folder ? files_listed || folder.files_total : 1,
    files_acked: (upload) => upload.folder ? upload.folder.count(upload.bytes_acked) : Number(arrived(upload)),
    current_file: ({ bad_file, bytes_acked, filename, folder }) => bad_file || (folder ? folder.path(bytes_acked) : filename),
    left_out: ({ folder }) => folder ? folder.missing() : [],
    frac_complete: (upload) => upload.bytes_total ? upload.bytes_acked / upload.bytes_total : Number(arrived(upload)),
    bytes_per_s: ({ sending }) => sending.bytes_per_s(),
    seconds_left: ({ sending }) => sending.seconds_left(),
    chunks_tx_now: ({ sending }) => sending.chunks_tx_now,
    chunks_acked_now: ({ sending }) => sending.chunks_acked_now,
    chunks_ahead: ({ sending }) => sending.chunks_tx_now - sending.chunks_acked_now,
    state: state_of,
    reason: reason_of,
    state_msg: sentence_of,
    error_msg: (upload) => upload.error_msg,
    error_code: (upload) => upload.error_code,
    cancel_msg: (upload) => cancelled(upload) ? upload.cancel_msg : "",
    // a cancel can come too late
    connected: ({ connection }) => connection !== null && connection.open,
    retrying: ({ retry }) => retry.note !== null,
    next_retry_at: ({ retry }) => retry.next_at,
    paused: in_state("held", "paused"),
    can_pause: in_state("new", "held", "running", "paused"),
    can_cancel: in_state("new", "held", "running", "paused"),
    can_retry: ({ retry }) => retry.is_waiting,
    cancelling: in_state("cancelling"),
    cancelled: in_state("cancelled"),
    finished: in_state("finished")
  };
  var NAMES = (
    /** @type {(keyof incoming.UploaderProperties)[]} */
    Object.keys(PROPERTIES)
  );
  function value_of(upload, name) {
    const { owner_values } = upload;
    return owner_values && name in owner_values ? owner_values[name] : PROPERTIES[name](upload);
  }
  function snapshot(upload) {
    const values = {};
    for (const name of NAMES) values[name] = value_of(upload, name);
    return JSON.stringify(values);
  }

  // src/subscribers.js
  var HIDDEN_FRAME_MS = 100;
  function report(error) {
    if (typeof reportError === "function") reportError(error);
    else setTimeout(() => {
      throw error;
    });
  }
  var Subscribers = class {
    constructor() {
      this.entries = /* @__PURE__ */ new Set();
    }
    /** @param {() => void} listener @param {boolean} per_frame @returns {() => void} ends the subscription */
    add(listener, per_frame) {
      const call = () => {
        try {
          listener();
        } catch (error) {
          report(error);
        }
      };
      const entry = per_frame ? once_a_frame(call) : { notify: call, stop() {
      } };
      this.entries.add(entry);
      return () => {
        this.entries.delete(entry);
        entry.stop();
      };
    }
    notify() {
      [...this.entries].forEach((entry) => this.entries.has(entry) && entry.notify());
    }
    clear() {
      this.entries.forEach((entry) => entry.stop());
      this.entries.clear();
    }
  };
  function once_a_frame(call) {
    let frame = 0;
    let timer = null;
    const stop = () => {
      if (timer === null) return;
      clearTimeout(timer);
      cancelAnimationFrame(frame);
      timer = null;
    };
    const run = () => {
      stop();
      call();
    };
    const notify = () => {
      if (timer !== null) return;
      timer = setTimeout(run, HIDDEN_FRAME_MS);
      frame = requestAnimationFrame(run);
    };
    return { notify, stop };
  }

  // src/transport.js
  var SUSPICIOUS_TRIES = 3;
  var NEEDS_UPGRADE_STATUS = 426;
  var TOO_MANY_STATUS = 429;
  var Transport = class {
    constructor() {
      this.found_http = false;
    }
    get is_http() {
      return settings.transport === "auto" ? this.found_http : settings.transport === "http";
    }
    /** The network may be another one. */
    forget() {
      this.found_http = false;
    }
    /**
     * A connection was lost. Returns whether plain HTTP should be asked why.
     * @param {Connection} connection @param {number} tries
     */
    on_lost({ is_http, confirmed, server }, tries) {
      if (confirmed) return false;
      if (is_http) this.found_http = false;
      const is_suspicious = tries >= SUSPICIOUS_TRIES;
      const may_fall_back = settings.transport === "auto" && (is_suspicious || !server.sockets_work);
      return !is_http && (may_fall_back || is_suspicious && !server.was_reached);
    }
    /**
     * No WebSocket opened, and this is what plain HTTP answered. Returns whether to try HTTP now; it may be next anyway.
     * @param {number} status 0: no answer; -1: one that the page may not see @param {number} tries
     */
    on_status(status, tries) {
      if (settings.transport !== "auto") return false;
      const is_blocked = status === NEEDS_UPGRADE_STATUS;
      this.found_http = is_blocked || tries > 1 && status !== 0 && status !== TOO_MANY_STATUS;
      return is_blocked;
    }
  };

  // src/retry.js
  var FIRST_S = 1;
  var MAX_S = 60;
  var JITTER = 0.3;
  var TAKEN_OVER_FIRST_S = 10;
  var DOUBTFUL_TRIES = 3;
  var CLOSE_CODES = { taken_over: CLOSE_TAKEN_OVER, stopping: CLOSE_RESTART2 };
  var Retry = class {
    /** @param {Upload} upload */
    constructor(upload) {
      this.upload = upload;
      this.timer = null;
      this.next_at = null;
      this.note = null;
      this.is_asking = false;
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
      this.next_at = Math.round(Date.now() + delay_s * 1e3);
      this.timer = setTimeout(() => {
        this.stop();
        this.upload.settle();
      }, delay_s * 1e3);
      this.explain({ reason, key: reason, ...note });
    }
    /** Says why it tries again, if the page does not forbid it. @param {Note} note */
    explain(note) {
      const { tries, upload } = this;
      this.note = note;
      if (!upload.should_retry || upload.state !== "running") return;
      const { code = null, reason } = note;
      const message = upload.text(note.key, note.args, note.msg);
      let may_retry = true;
      try {
        may_retry = upload.should_retry({ code, reason, message, tries }) !== false;
      } catch (error) {
        report(error);
      }
      if (may_retry || upload.state !== "running") return;
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
      if (is_offline()) return upload.text("offline");
      if (this.is_asking || !note) return upload.text("connecting");
      return upload.text(note.key, note.args, note.msg) + " " + upload.text("trying_again");
    }
    /** @param {number} code of the close frame @param {string} reason */
    on_lost(code, reason) {
      const { connection, transport } = this.upload;
      const { confirmed = false, open = false, retry_after_s = 0 } = connection || {};
      if (code === CLOSE_TAKEN_OVER) {
        this.takeovers += 1;
        this.later("taken_over", {}, TAKEN_OVER_FIRST_S * 2 ** (this.takeovers - 1));
      } else if (retry_after_s) {
        this.later("server_restarting", { msg: reason }, 0, retry_after_s * (0.5 + Math.random()));
      } else if (code === CLOSE_WORKER_LOST) {
        this.later("worker_lost");
      } else if ((code === CLOSE_RESTART2 || code === CLOSE_TRY_AGAIN_LATER) && reason) {
        this.later(code === CLOSE_RESTART2 ? "server_restarting" : "server_busy", { msg: reason });
      } else {
        this.later(confirmed ? "connection_lost" : "no_connection");
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
      if (timer !== this.timer) return;
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
      if (this.doubtful_tries < DOUBTFUL_TRIES) this.later("invalid_response", { code: error.code, msg: error.msg });
      else this.upload.fail(error);
    }
    /** @param {string} word @param {string} msg */
    on_passing_error(word, msg) {
      this.on_lost(CLOSE_CODES[word] || CLOSE_TRY_AGAIN_LATER, msg);
    }
  };
  function diagnosis(server, opened, status) {
    const args = [without_html(server.host())];
    if (opened) return { reason: "not_an_upload_server", key: "not_an_upload_server", args };
    if (status <= 0) return { reason: "no_connection", key: "no_answer", args };
    const reason = server.refusal(status);
    return { reason, key: reason, args: [status] };
  }

  // src/checksums.js
  var ONE = 1 << 31;
  var POLYNOMIAL2 = 2197175160;
  function multiply(a, b) {
    let product = 0;
    for (let bit = ONE; bit; bit >>>= 1) {
      if (a & bit) product ^= b;
      b = b & 1 ? b >>> 1 ^ POLYNOMIAL2 : b >>> 1;
    }
    return product;
  }
  var SHIFTS = [1 << 23];
  while (SHIFTS.length < 53) SHIFTS.push(multiply(SHIFTS[SHIFTS.length - 1], SHIFTS[SHIFTS.length - 1]));
  function crc_of_zeros(bytes) {
    return combine(-1, -1, bytes);
  }
  function combine(crc_a, crc_b, bytes_b) {
    let shifted = crc_a;
    for (let i = 0, left = bytes_b; left > 0; i++, left = Math.floor(left / 2)) {
      if (left % 2) shifted = multiply(shifted, SHIFTS[i]);
    }
    return (shifted ^ crc_b) >>> 0;
  }

  // src/ranges.js
  var StoredRanges = class {
    constructor() {
      this.list = [];
      this.bytes = 0;
    }
    /** @param {number} bytes @param {number} known_bytes @param {number} crc @param {boolean} [opens] a range that may be cut off again */
    add(bytes, known_bytes, crc, opens = false) {
      const last = this.list[this.list.length - 1];
      if (!opens && last && last.known_bytes === last.bytes && known_bytes === bytes) {
        last.crc = combine(last.crc, crc, bytes);
        last.bytes = last.known_bytes += bytes;
      } else if (bytes) {
        this.list.push({ from: this.bytes, bytes, known_bytes, crc });
      }
      this.bytes += bytes;
    }
    /** The server has this many bytes. @param {number} bytes */
    reach(bytes) {
      if (bytes < this.bytes) {
        this.list = [];
        this.bytes = 0;
      }
      this.add(bytes - this.bytes, 0, 0);
    }
    /** Drops everything after `bytes`. If this cuts a range, what was read of it has to be read again. @param {number} bytes */
    cut(bytes) {
      this.list = this.list.filter((range) => range.from + range.bytes <= bytes);
      const last = this.list[this.list.length - 1];
      this.bytes = last ? last.from + last.bytes : 0;
      this.reach(bytes);
    }
    /** The checksum of all of it is known now. @param {number} crc */
    know(crc) {
      const { bytes } = this;
      this.reach(0);
      this.add(bytes, bytes, crc);
    }
    /** Returns the first range that has to be read. */
    gap() {
      return this.list.find((range) => range.known_bytes < range.bytes);
    }
    /** Returns the checksum of all ranges and of the chunks after them. @param {{bytes: number, crc: number | null}[]} chunks */
    crc(chunks) {
      const sum = (crc, range) => combine(crc, Number(range.crc), range.bytes);
      return chunks.reduce(sum, this.list.reduce(sum, 0));
    }
  };

  // src/throttle.js
  var BURST_S = 1.5;
  var SPEED_SAMPLE_MS = 500;
  var SPEED_OVER_MS = 5e3;
  var Throttle = class {
    constructor() {
      this.bytes_per_s = 0;
      this.saved_bytes = 0;
      this.at_ms = now_ms();
    }
    /** @param {number} bytes_per_s */
    limit(bytes_per_s) {
      this.save();
      this.saved_bytes = this.bytes_per_s ? Math.min(this.saved_bytes, bytes_per_s * BURST_S) : 0;
      this.bytes_per_s = bytes_per_s;
    }
    save() {
      const now = now_ms();
      const saved_bytes = this.saved_bytes + this.bytes_per_s * (now - this.at_ms) / 1e3;
      this.saved_bytes = Math.min(saved_bytes, this.bytes_per_s * BURST_S);
      this.at_ms = now;
    }
    /** How long to wait before these may be sent. @param {number} bytes */
    wait_ms(bytes) {
      if (!this.bytes_per_s) return 0;
      this.save();
      const missing_bytes = Math.min(bytes, this.bytes_per_s * BURST_S) - this.saved_bytes;
      return Math.max(0, missing_bytes / this.bytes_per_s * 1e3);
    }
    /** @param {number} bytes */
    take(bytes) {
      if (this.bytes_per_s) this.saved_bytes -= bytes;
    }
  };
  var Speed = class {
    /** @param {number} bytes */
    constructor(bytes) {
      this.samples = [{ at_ms: now_ms(), bytes }];
      this.bytes_per_s = 0;
    }
    /** @param {number} bytes */
    sample(bytes) {
      const { samples } = this;
      const at_ms = now_ms();
      if (at_ms - samples[samples.length - 1].at_ms < SPEED_SAMPLE_MS) return;
      samples.push({ at_ms, bytes });
      while (samples.length > 2 && samples[1].at_ms <= at_ms - SPEED_OVER_MS) samples.shift();
      this.bytes_per_s = (bytes - samples[0].bytes) / (at_ms - samples[0].at_ms) * 1e3;
    }
  };

  // src/sending.js
  var PREPARED_CHUNKS = 3;
  var Sending = class {
    /** @param {Upload} upload */
    constructor(upload) {
      this.upload = upload;
      this.bytes_tx = 0;
      this.chunks_tx_now = this.chunks_acked_now = 0;
      this.stored = new StoredRanges();
      this.bytes_asked = 0;
      this.ready = [];
      this.on_way = [];
      this.bytes_taken = 0;
      this.left_out_to = 0;
      this.first_window_bytes = WINDOW_FIRST_BYTES;
      this.throttle = new Throttle();
      this.throttle_timer = null;
      this.speed = new Speed(0);
    }
    /** Whether chunks may be sent now. */
    is_active() {
      const { state, connection } = this.upload;
      return state === "running" && connection !== null && connection.agreed;
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
      if (upload.state !== "running") return;
      if (ranges.length === 0) {
        upload.send_message("MsgAgree", { Crc32c: found });
        if (upload.connection) upload.connection.agreed = true;
        this.speed = new Speed(upload.bytes_acked);
        this.send_chunks();
        this.fill_gaps();
        return;
      }
      const [[from, to], ...others] = ranges;
      upload.reading.read_range(from, to, 0, (crc) => {
        if (from === 0 && to === this.stored.bytes) this.stored.know(crc);
        this.compare(others, found.concat(crc));
      });
    }
    /** Reads, while chunks are sent, what was stored over earlier connections, for its checksum. */
    fill_gaps() {
      const { connection, reading } = this.upload;
      const gap = this.stored.gap();
      if (!connection || connection.filling || !gap) {
        this.send_chunks();
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
      const nothing_came = this.chunks_tx_now > 0 && this.chunks_acked_now === 0;
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
        upload.retry.on_lost(0, "");
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
        const { bytes, crc, opens } = (
          /** @type {Chunk} */
          this.on_way.shift()
        );
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
        this.send_chunk(
          /** @type {Chunk} */
          this.ready.shift(),
          connection
        );
        this.read_ahead(connection);
      }
      if (!this.leave_out(connection)) this.complete(connection);
    }
    /** @param {Chunk} chunk @param {Pace} pace */
    may_send(chunk, pace) {
      const ahead_bytes = this.bytes_tx - this.bytes_taken;
      if (!pace.admits(ahead_bytes, this.bytes_tx - this.upload.bytes_acked, chunk.bytes)) return false;
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
      connection.send_chunk(
        message,
        /** @type {Blob} */
        chunk.blob
      );
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
        if (to === from) return;
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
      if (connection.is_http) {
        this.upload.fail({ ...FOLDER_UNREADABLE, index });
        return true;
      }
      this.stored.cut(from);
      const zeros2 = {
        from,
        bytes: to - from,
        opens: false,
        crc: crc_of_zeros(to - from),
        buffer: null,
        blob: null,
        sent_ms: 0,
        ahead_bytes: 0
      };
      this.on_way.push(zeros2);
      this.left_out_to = this.bytes_tx = this.bytes_asked = this.bytes_taken = to;
      this.chunks_tx_now += 1;
      connection.waits = true;
      this.upload.send_message("MsgLeaveOut", { Index: index });
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
      this.upload.send_message("MsgComplete", { Crc32c: this.stored.crc(this.on_way), Round: connection.round });
    }
    /** From then on the app may have the file, and a cancel comes too late. */
    arrive_if_complete() {
      const { connection, bytes_acked, bytes_total } = this.upload;
      if (connection && connection.completed && bytes_acked === bytes_total) this.upload.transition("arrive");
    }
    // -- the page's limit
    /** @param {number} bytes_per_s */
    limit(bytes_per_s) {
      this.throttle.limit(bytes_per_s);
      this.stop_throttle();
      const { connection } = this.upload;
      const is_large = (chunk) => connection && chunk.bytes > 2 * this.chunk_bytes(connection.pace);
      if (this.ready.some(is_large)) this.prepare_from(this.bytes_tx);
      this.send_chunks();
    }
    stop_throttle() {
      if (this.throttle_timer !== null) clearTimeout(this.throttle_timer);
      this.throttle_timer = null;
    }
  };

  // src/unload.js
  var guarded_uploads = /* @__PURE__ */ new Set();
  function guard_unload(upload) {
    const would_stop = upload.share.owns && ["running", "paused", "cancelling"].includes(upload.state);
    if (upload.warns && would_stop) guarded_uploads.add(upload);
    else guarded_uploads.delete(upload);
    if (guarded_uploads.size) window.addEventListener("beforeunload", ask_user);
    else window.removeEventListener("beforeunload", ask_user);
  }
  function ask_user(event) {
    event.preventDefault();
    event.returnValue = "";
  }

  // src/upload.js
  var MAX_REASON_CHARS = 2e3;
  var online_uploads = /* @__PURE__ */ new Set();
  var Upload = class {
    /** @param {string} ticket_id @param {Blob | FolderStream} file @param {incoming.Uploader} uploader */
    constructor(ticket_id, file, uploader) {
      this.ticket_id = ticket_id;
      this.file = file instanceof FolderStream ? file.copy() : file;
      this.uploader = uploader;
      this.filename = name_of(file);
      this.bytes_total = file.size;
      this.listing = false;
      this.files_listed = 0;
      this.leaves_out = false;
      this.bad_file = "";
      this.state = "new";
      this.bytes_acked = 0;
      this.error_msg = this.cancel_msg = "";
      this.end_reason = "";
      this.texts = {};
      this.error_code = null;
      this.connection = null;
      this.own_server = null;
      this.should_retry = void 0;
      this.stop_listening = noop;
      this.retry = new Retry(this);
      this.patience = new Patience(this);
      this.transport = new Transport();
      this.reading = new Reading(this);
      this.sending = new Sending(this);
      this.memory = new Memory(this);
      this.share = new Share(this);
      this.owner_values = null;
      this.app_is_silent = false;
      this.app_trouble = "";
      this.warns = false;
      this.notifying = false;
      this.event = null;
      this.subscribers = new Subscribers();
      this.shown = snapshot(this);
      this.shown_object = null;
      this.ended = false;
      this.is_disposed = false;
      this.resolve = noop;
      this.reject = noop;
      this.done = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
      this.done.catch(noop);
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
      } catch (error) {
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
      this.transition("start");
      this.settle();
    }
    /** @param {incoming.PauseRequest} what */
    pause(what) {
      const asked = what !== "toggle" ? what : PROPERTIES.paused(this) ? "unpause" : "pause";
      if (this.transition(asked)) this.share.pass_on({ pause: asked });
      this.settle();
    }
    /** @param {string} reason */
    cancel(reason) {
      if (this.transition("cancel")) {
        this.cancel_msg = reason;
        this.retry.stop();
        this.send_cancel();
        this.share.pass_on({ cancel: reason });
      }
      this.settle();
    }
    send_cancel() {
      if (this.connection) this.connection.unanswered_s = 0;
      this.send_message("MsgCancel", { Reason: this.cancel_msg.slice(0, MAX_REASON_CHARS) });
    }
    /** Cancels when the page's signal says so. @param {AbortSignal} signal */
    obey(signal) {
      const abort = () => this.cancel(abort_text(signal) || this.text("cancelled_by_user"));
      signal.addEventListener("abort", abort);
      this.stop_listening = () => signal.removeEventListener("abort", abort);
      if (signal.aborted) Promise.resolve().then(abort);
    }
    /** @param {number} bytes_per_s */
    limit(bytes_per_s) {
      this.sending.limit(bytes_per_s);
      this.settle();
    }
    /** Does not wait any longer for the next try. */
    retry_now() {
      if (!value_of(this, "can_retry")) return;
      if (this.share.owns) this.retry.stop();
      else this.share.post({ retry: true });
      this.settle();
    }
    /** Leaves the upload as it is: somebody else may continue it at once. Nothing is called after that. */
    dispose() {
      this.is_disposed = true;
      if (this.transition("dispose")) this.owner_values = null;
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
      return (
        /** @type {Readonly<incoming.UploaderProperties>} */
        this.shown_object
      );
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
      if (state === "failed" || !STATES[state]) return;
      this.owner_values = followed_values(state, values, this.state === "cancelling");
      this.state = state;
      this.cancel_msg = values.cancel_msg;
      this.bytes_acked = this.sending.bytes_tx = Math.min(values.bytes_acked, this.bytes_total);
      this.settle();
    }
    // -- events of the connection
    /** @param {ConnectionEvent} event */
    on_event(event) {
      switch (event.type) {
        case "opened":
          this.on_opened();
          break;
        case "tick":
          this.on_tick();
          break;
        case "lost":
          this.retry.on_lost(event.code, event.reason);
          break;
        case "bad_address":
          this.fail(BAD_ADDRESS);
          break;
        case "confirmed":
          this.on_confirmed(event.terms);
          break;
        case "stored":
          this.sending.on_stored(event);
          break;
        case "resend":
          this.sending.on_resend(event.offset, event.round);
          break;
        case "news":
          this.on_news(event.news, event.retry_after_s, event.why);
          break;
        case "finished":
          this.on_finished();
          break;
        case "cancel_acknowledged":
          this.abort("user");
          break;
        case "cancelled":
          this.on_cancelled(event.reason);
          break;
        case "error":
          this.on_error(event.error);
          break;
        case "passing_error":
          this.retry.on_passing_error(event.word, event.msg);
          break;
        case "not_understood":
          this.retry.on_lost(0, "");
          break;
        // perhaps damaged in transit
        case "pong":
        case "ignored":
          break;
      }
      this.settle();
    }
    on_opened() {
      if (!this.connection) return;
      this.connection.send_message("MsgUploadReq", {
        Version: 2,
        Id: this.ticket_id,
        LengthBytes: this.bytes_total,
        Name: this.filename,
        LastModifiedMs: last_change_of(this.file)
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
      if (terms.is_folder !== Boolean(folder) && this.state === "running") {
        this.fail(OTHER_KIND);
        return;
      }
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
        this.send_message("MsgAgree", { Crc32c: [] });
        this.transition("arrive");
      } else if (this.state === "cancelling") {
        this.send_cancel();
      } else {
        this.transition("rewind");
        this.sending.prove(connection);
      }
    }
    /** @param {string} news @param {number} retry_after_s @param {string} why - what is wrong with the app */
    on_news(news, retry_after_s, why) {
      if (news === "stopping" && this.connection) this.connection.retry_after_s = retry_after_s;
      if (news !== "handing_over" && news !== "waiting_for_app") return;
      if (this.connection) this.connection.use_idle_timeout();
      this.app_is_silent = news === "waiting_for_app";
      this.app_trouble = why;
      this.sending.on_stored({ offset: this.bytes_total });
    }
    on_finished() {
      if (this.transition("finish")) this.bytes_acked = this.sending.bytes_tx = this.bytes_total;
    }
    /** Another party has cancelled, or it was us and the answer got lost. @param {string} reason */
    on_cancelled(reason) {
      const by_user = this.state === "cancelling";
      if (!by_user) this.cancel_msg = reason;
      this.abort(by_user ? "user" : "app");
    }
    /** @param {'user' | 'app'} by */
    abort(by) {
      if (this.transition("abort")) this.end_reason = by;
    }
    /** @param {UploadError} error */
    on_error(error) {
      const was_known = error.code === UNKNOWN_TICKET_CODE && this.memory.key !== "";
      if (was_known || NOT_UNDERSTOOD_CODES.includes(error.code)) this.retry.on_doubtful(error);
      else this.fail(error);
    }
    on_tick() {
      const { connection } = this;
      if (!connection) return;
      this.sending.sample_speed();
      if (connection.is_slow_to_open()) this.retry.ask_early(connection);
      if (connection.is_dead()) this.retry.on_lost(0, "");
      else if (connection.reading_s >= READ_TIMEOUT_S) this.retry.later("file_unreadable", { key: "file_unreadable_now" });
      else if (this.state === "arrived" && connection.confirmed) this.wait_for_app(connection);
      else if (this.state === "cancelling" && connection.is_unanswered()) this.send_cancel();
    }
    /** @param {Connection} connection */
    wait_for_app(connection) {
      this.retry.tries = 0;
      const { completed, handed_over } = connection;
      if (completed && !handed_over && connection.is_unanswered()) this.sending.send_complete(connection);
    }
    has_progressed() {
      this.retry.tries = this.retry.doubtful_tries = this.reading.unreadable_tries = 0;
      this.patience.reset();
    }
    /** Ends the upload here: its ticket may still be usable. @param {UploadError} error */
    fail(error) {
      if (!this.transition("fail")) return;
      this.end_reason = "user";
      if (this.state !== "failed") return;
      const { code, reason, key = reason, msg, expected, index = -1 } = error;
      const entry = this.folder && this.folder.entries[index];
      if (entry) this.bad_file = entry.path;
      this.error_code = code;
      this.end_reason = reason;
      const { note } = this.retry;
      const last = (error === GAVE_UP || error === NOT_RETRIED) && note;
      this.error_msg = (last ? this.text(last.key, last.args, last.msg) + " " : "") + this.text(key, [], msg) + (expected ? " " + this.text("expected_file", expected) : "");
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
      const needs_file = this.state === "running" && !this.connection && !this.listing;
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
      if (!folder || folder.size && (!folder.unreadable.length || this.leaves_out)) return;
      [this.bad_file = ""] = folder.unreadable;
      this.fail(FOLDER_UNREADABLE);
    }
    /** Connects once the file has shown that it can be read: a ticket that was never used can be used for another file. */
    connect() {
      const connection = this.connection = new Connection(this.server, this.transport.is_http, (event) => this.on_event(event));
      const to = this.folder ? 1 : this.bytes_total;
      if (this.state !== "running") connection.dial();
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
      if (this.notifying && !this.is_disposed) return;
      this.notifying = true;
      for (let now = snapshot(this); now !== this.shown; now = snapshot(this)) {
        this.shown = now;
        this.shown_object = null;
        if (!this.is_disposed) this.share.post_values();
        this.call_back("progress");
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
      const callback = this.uploader[
        /** @type {'onprogress'} */
        "on" + name
      ];
      if (typeof callback === "function") {
        try {
          callback.call(this.uploader, this.uploader);
        } catch (error) {
          report(error);
        }
      }
      if (this.is_disposed) return;
      this.event = new Event(name);
      this.uploader.dispatchEvent(this.event);
    }
    settle_promise() {
      if (this.state === "finished") {
        this.resolve(this.uploader);
        return;
      }
      const reason = this.state === "failed" ? "error" : this.state;
      const msg = this.error_msg || (this.state === "disposed" ? this.text("disposed") : this.cancel_msg);
      this.reject(Object.assign(new Error(msg), { code: this.error_code, reason, uploader: this.uploader }));
    }
  };
  function abort_text({ reason }) {
    if (typeof reason === "string") return reason;
    return reason && reason.name !== "AbortError" && typeof reason.message === "string" ? reason.message : "";
  }

  // src/uploader.js
  function check(condition, complaint) {
    if (!condition) throw new TypeError("incoming.js: " + complaint);
  }
  var UPLOAD = /* @__PURE__ */ Symbol("upload");
  var properties = {
    max_bytes_per_s: {
      get() {
        return this[UPLOAD].sending.throttle.bytes_per_s;
      },
      set(bytes_per_s) {
        check_limit(bytes_per_s);
        this[UPLOAD].limit(bytes_per_s);
      }
    },
    warn_before_unload: {
      get() {
        return this[UPLOAD].warns;
      },
      set(warns) {
        this[UPLOAD].warns = Boolean(warns);
        guard_unload(this[UPLOAD]);
      }
    },
    done: {
      get() {
        return this[UPLOAD].done;
      }
    }
  };
  for (const name of NAMES) {
    properties[name] = {
      /** @this {{ [UPLOAD]: Upload }} */
      get() {
        return value_of(this[UPLOAD], name);
      },
      enumerable: true
    };
  }
  var methods = {
    start() {
      this[UPLOAD].start();
      return this;
    },
    pause(what = "pause") {
      check(["pause", "unpause", "toggle"].includes(what), 'pause takes "pause", "unpause" or "toggle"');
      this[UPLOAD].pause(what);
      return this;
    },
    cancel(reason) {
      const upload = this[UPLOAD];
      upload.cancel(typeof reason === "string" && reason ? reason : upload.text("cancelled_by_user"));
      return this;
    },
    retry_now() {
      this[UPLOAD].retry_now();
      return this;
    },
    dispose() {
      this[UPLOAD].dispose();
    },
    snapshot() {
      return this[UPLOAD].snapshot();
    },
    subscribe(listener, { per_frame = false } = {}) {
      check(typeof listener === "function", "subscribe takes a function");
      return this[UPLOAD].subscribe(listener, per_frame);
    }
  };
  function members_of(uploader) {
    const members = { onprogress: null, onfinished: null, oncancelled: null, onerror: null };
    for (const [name, method] of Object.entries(methods)) members[name] = method.bind(uploader);
    return { ...Object.getOwnPropertyDescriptors(members), ...properties };
  }
  function check_address(address) {
    check(is_address(address), 'the server has to be "host", "host:port" or "host:port/prefix", with or without http:// or https://');
  }
  function configure(upload, options) {
    check(typeof options === "object", "the options have to be an object");
    const { give_up_after_s = Infinity, max_bytes_per_s = 0, server, should_retry, signal, texts: texts2 = {}, when_unreadable = "stop" } = options;
    if (server) check_address(server);
    check(give_up_after_s > 0, "give_up_after_s has to be a number of seconds above 0");
    check(!should_retry || typeof should_retry === "function", "should_retry has to be a function");
    check(!signal || typeof signal.addEventListener === "function", "signal has to be an AbortSignal");
    check(texts2 && typeof texts2 === "object", "texts has to be an object");
    check(["stop", "leave_out"].includes(when_unreadable), 'when_unreadable has to be "stop" or "leave_out"');
    check_limit(max_bytes_per_s);
    upload.leaves_out = when_unreadable === "leave_out";
    upload.own_server = server ? server_at(server) : null;
    upload.patience.limit_s = give_up_after_s;
    upload.should_retry = should_retry;
    upload.texts = texts2;
    upload.warns = Boolean(options.warn_before_unload);
    if (max_bytes_per_s) upload.limit(max_bytes_per_s);
    if (signal) upload.obey(signal);
  }
  function check_limit(bytes_per_s) {
    check(bytes_per_s >= 0 && Number.isFinite(bytes_per_s), "max_bytes_per_s has to be a number, 0 for no limit");
  }
  function Uploader(upload_id, file, options) {
    check(typeof upload_id === "string" && upload_id !== "", "upload_id has to be the id of a ticket, a string");
    const is_listed = is_blob(file) || file instanceof FolderStream;
    const tasks = is_listed ? [] : tasks_of(file);
    const uploader = Reflect.construct(EventTarget, [], new.target || Uploader);
    const upload = new Upload(upload_id, is_listed ? file : no_folder(), uploader);
    Object.defineProperty(uploader, UPLOAD, { value: upload });
    const members = members_of(uploader);
    for (const name of Object.keys(members)) {
      if (!is_overridden(uploader, name)) Object.defineProperty(uploader, name, members[name]);
    }
    configure(upload, options || {});
    if (!is_listed) upload.list(tasks);
    return uploader;
  }
  function tasks_of(files) {
    const tasks = Object(files) === files ? take(files) : [];
    check(tasks.length > 0, "file has to be a File, a Blob, or a list of at least one file");
    return tasks;
  }
  Uploader.prototype = Object.assign(Object.create(EventTarget.prototype, { ...properties, constructor: { value: Uploader } }), methods);
  Object.setPrototypeOf(Uploader, EventTarget);
  function is_overridden(uploader, name) {
    const proto = Object.getPrototypeOf(uploader);
    return proto && proto !== Uploader.prototype && (proto.hasOwnProperty(name) || is_overridden(proto, name));
  }

  // src/library.js
  function set_server_hostname(hostname) {
    check_address(hostname);
    settings.server = new Server(hostname);
  }
  function wake_all() {
    online_uploads.forEach((upload) => upload.wake());
  }
  function listen() {
    window.addEventListener("online", wake_all);
    window.addEventListener("offline", () => online_uploads.forEach((upload) => upload.settle()));
    window.addEventListener("pageshow", wake_all);
    window.addEventListener("pagehide", () => {
      online_uploads.forEach((upload) => upload.suspend());
      shares.forEach((share) => share.suspend());
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") wake_all();
    });
  }
  function list_unfinished({ live, server = "" } = {}) {
    if (server) check_address(server);
    return unfinished(server_at(server), live ? [...shares].map(({ upload }) => upload.ticket_id) : void 0);
  }
  var library = {
    version: "0.3.0",
    Uploader: (
      /** @type {incoming.UploaderConstructor} */
      /** @type {unknown} */
      Uploader
    ),
    set_server_hostname,
    get transport() {
      return settings.transport;
    },
    set transport(transport) {
      check(["auto", "websocket", "http"].includes(transport), 'transport has to be "auto", "websocket" or "http"');
      settings.transport = transport;
    },
    get texts() {
      return texts.table;
    },
    set_texts(entries) {
      check(typeof entries === "object" && entries !== null, "set_texts takes an object");
      set_texts(entries);
      online_uploads.forEach((upload) => upload.settle());
    },
    async list_folder(files, { onprogress } = {}) {
      return open_folder(tasks_of(files), onprogress || noop);
    },
    unfinished: list_unfinished,
    matches,
    forget(upload_id, { server = "" } = {}) {
      if (server) check_address(server);
      forget(upload_id, server_at(server));
    }
  };
  function install() {
    if (typeof window !== "object") return library;
    const page = (
      /** @type {any} */
      window
    );
    const { incoming: loaded } = page;
    if (loaded && loaded.version && loaded.Uploader) return loaded;
    listen();
    page.incoming = library;
    return library;
  }

  // src/script.js
  install();
})();
