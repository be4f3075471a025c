/*! incoming.mjs 0.3.0: uploads to an Incoming!! server. MIT license. */
// Built by scripts/build-library.mjs: make changes in static/src, which has the comments, too.
// src/clock.js
function now_ms() {
  return performance.now();
}
var TICK_S = 1;

// src/texts.js
var NEW = "Not started yet.";
var PAUSED = "Paused.";
var RUNNING = "Uploading.";
var ARRIVED = "All data has arrived. Waiting for the app to accept the file.";
var CANCELLING = "Cancelling.";
var FINISHED = "Finished.";
var CANCELLED = "Cancelled.";
var FAILED = "The upload failed.";
var CONNECTING = "Connecting.";
var CHECKING = "Checking that it is the same file.";
var READ_IS_SLOW = "Reading the file is slow: its drive does not respond.";
var APP_IS_SILENT = "All data has arrived, but the app does not respond yet. The server is trying again.";
var APP_TROUBLE = (why) => `All data has arrived, but ${why}. The server is trying again.`;
var CANCELLED_BY_USER = "Cancelled by the user.";
var RETRY = " Trying again soon.";
var OFFLINE = "You are offline. The upload resumes when you are online again.";
var LOST = "The connection was lost.";
var NO_CONNECTION = "No connection to the server.";
var RESTARTED = "The server is being restarted.";
var TAKEN_OVER = "The upload continues in another window.";
var NOT_READABLE_NOW = "The file cannot be read at the moment.";
var NO_MEMORY = "The browser has too little memory at the moment.";
var WORKER_LOST = "The browser stopped the background worker of this page.";
var NO_WEBSOCKETS = "A proxy between you and the upload server blocks WebSockets.";
var TOO_MANY_CONNECTIONS = "Your network has too many connections to the upload server at the moment.";
var HTTP_STATUS = (status) => `The address of the upload server answered with HTTP status ${status}.`;
var NOT_A_SERVER = (host) => `The server at ${host} is not an upload server, or it is overloaded.`;
var NO_ANSWER = (host) => `No connection to the upload server at ${host}.`;
var FILE_UNREADABLE = "The file can no longer be read: it was changed, moved or deleted.";
var NEVER_READABLE = "The file cannot be read: it is a folder, or it was changed, moved or deleted.";
var FILE_CHANGED = "The file has changed since it was chosen.";
var NOT_UNDERSTOOD = "The upload server sent an invalid response.";
var BAD_ADDRESS = "The address of the upload server cannot be used from this page.";
var NOT_TAKEN = "The app did not accept the file.";
var TOO_OLD = "The upload server is older than the script of this page.";
var EXPECTED_FILE = (name, size, changed) => `The upload was started with "${name}" (${size}${changed && ", last changed " + changed}).`;
var UNITS = ["bytes", "kB", "MB", "GB", "TB"];
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
var FILE_UNREADABLE2 = { code: 100, msg: FILE_UNREADABLE };
var NEVER_READABLE2 = { code: 100, msg: NEVER_READABLE };
var FILE_CHANGED2 = { code: 101, msg: FILE_CHANGED };
var NOT_UNDERSTOOD2 = { code: 102, msg: NOT_UNDERSTOOD };
var BAD_ADDRESS2 = { code: 103, msg: BAD_ADDRESS };
var NOT_TAKEN2 = { code: 104, msg: NOT_TAKEN };
var TOO_OLD2 = { code: 105, msg: TOO_OLD };

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

// src/server.js
var SOCKET_PATH = "upload_ws";
var UPLOADS_PATH = "uploads/";
var LEAST_BODY_BYTES = 8192;
var ENOUGH_BODIES = 20;
var REFUSALS = { 426: NO_WEBSOCKETS, 429: TOO_MANY_CONNECTIONS };
var { src: script_url } = (
  /** @type {HTMLScriptElement} */
  typeof document === "object" && document.currentScript || {}
);
var server = {
  hostname: "",
  // that the page has set
  /** Which way uploads take. @type {incoming.Transport} */
  transport: "auto",
  was_reached: false,
  // an upload server has answered
  sockets_work: false,
  // and it was over a WebSocket
  most_body_bytes: Infinity,
  // of a request that gets through
  stored_body_bytes: 0,
  // the largest that did
  has_lost_body: false,
  // a larger one was lost, and none has got through since
  good_bodies: 0,
  // of the most bytes, since that limit was only supposed
  enough_bodies: ENOUGH_BODIES,
  // of them to try larger ones
  has_tried_more: false,
  // than such a limit: if that fails, it is certain
  warned_of: "",
  // an address, in the console
  /** @param {string} hostname */
  set_hostname(hostname) {
    this.hostname = hostname.replace(/\/$/, "");
    this.was_reached = this.sockets_work = this.has_lost_body = false;
    this.most_body_bytes = Infinity;
    this.stored_body_bytes = 0;
    this.enough_bodies = ENOUGH_BODIES;
    this.has_tried_more = false;
  },
  /**
   * Returns "host:port", maybe with a path. The default is the page's host, below the same path as this script if the
   * script is from there: a proxy may have put both there.
   */
  host() {
    const { host } = window.location;
    const found = /^https?:\/\/([^/?#]+)([^?#]*)\/incoming\/(0\.1\/)?frontend\//.exec(script_url);
    return this.hostname || (found && found[1] === host ? host + found[2] : host);
  },
  url(scheme = "ws", path = SOCKET_PATH) {
    const is_secure = window.location.protocol === "https:";
    return scheme + (is_secure ? "s" : "") + "://" + this.host() + "/incoming/frontend/" + path;
  },
  /** The address of all uploads over HTTP. */
  uploads_url() {
    return this.url("http", UPLOADS_PATH);
  },
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
  },
  /** Says what a status means; empty: nothing is known. @param {number} status */
  refusal(status) {
    return status > 0 ? REFUSALS[status] || HTTP_STATUS(status) : "";
  },
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
  },
  /**
   * A chunk in a request did not get through. A proxy may have a limit. A page may not see the answers of a proxy of
   * another host, so it takes the second loss of what is larger than all before as one,
   * and tries larger ones once.
   * @param {number} bytes @param {boolean} is_certain
   */
  note_refused(bytes, is_certain) {
    if (is_certain || this.has_lost_body && bytes > this.stored_body_bytes) {
      const good_bytes = Math.max(LEAST_BODY_BYTES, this.stored_body_bytes < bytes ? this.stored_body_bytes : bytes / 4);
      const most_bytes = 2 ** Math.floor(Math.log2(good_bytes * bytes) / 2);
      this.most_body_bytes = Math.max(LEAST_BODY_BYTES, Math.min(most_bytes, bytes / 2));
      this.good_bodies = 0;
      this.enough_bodies = is_certain || this.has_tried_more ? Infinity : ENOUGH_BODIES;
    } else {
      this.has_lost_body = this.has_lost_body || bytes > this.stored_body_bytes;
    }
  },
  /** Tells the page's author, once for each address. @param {string} note */
  warn_of_address(note) {
    if (this.warned_of === this.url()) return;
    this.warned_of = this.url();
    console.warn("incoming.js: " + note + " Is " + this.warned_of + " right? incoming.set_server_hostname() sets it.");
  }
};
function is_offline() {
  return navigator.onLine === false;
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
  begin() {
    this.key = memory_prefix() + this.upload.ticket_id;
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
    const { ticket_id, filename, bytes_total, bytes_acked, file } = this.upload;
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
      live_ms
    };
    this.written_bytes = bytes_acked;
    this.written_ms = now_ms();
    with_storage((storage) => storage.setItem(this.key, JSON.stringify(entry)));
  }
  end() {
    this.written_bytes = -1;
    this.written_ms = -Infinity;
    with_storage((storage) => storage.removeItem(this.key || memory_prefix() + this.upload.ticket_id));
  }
};
function memory_prefix() {
  return "incoming:" + server.host() + ":";
}
function with_storage(use) {
  try {
    return use(localStorage);
  } catch (error) {
    return null;
  }
}
function entry_at(storage, key) {
  try {
    const entry = JSON.parse(String(storage.getItem(key)));
    return entry.seen_at_ms > Date.now() - KEEP_DAYS * 864e5 ? entry : null;
  } catch (error) {
    return null;
  }
}
function without_dates({ seen_at_ms, live_ms, ...begun }) {
  return begun;
}
function unfinished() {
  const prefix = memory_prefix();
  return with_storage((storage) => {
    const keys = Array.from({ length: storage.length }, (_, i) => String(storage.key(i)));
    const found = [];
    for (const key of keys.filter((name) => name.startsWith(prefix))) {
      const entry = entry_at(storage, key);
      if (!entry) storage.removeItem(key);
      else if (entry.live_ms > Date.now() - LIVE_MS) continue;
      else if (key === prefix + entry.upload_id) found.push(without_dates(entry));
    }
    return found.sort((a, b) => b.begun_at_ms - a.begun_at_ms);
  }) || [];
}
function matches(upload, file) {
  return upload.filename === name_of(file) && upload.bytes_total === file.size && upload.last_modified_ms === last_change_of(file);
}
function forget(upload_id) {
  with_storage((storage) => storage.removeItem(memory_prefix() + upload_id));
}

// src/http_socket.js
var MOST_CHUNKS = 2;
var HELD_S = 25;
var MOST_HELD = 2;
var FIRST_POLL_MS = 250;
var MOST_POLL_MS = 8e3;
var MOST_REASON_CHARS = 4e3;
var CLOSE_LOST = 1006;
var CLOSE_RESTART = 1012;
var TOO_LARGE_STATUS = 413;
var LOST_CODES = ["checksum_mismatch", "incomplete_body", "offset_mismatch", "session_ended"];
var held = 0;
function checksum_header(crc) {
  return "crc32c " + btoa(String.fromCharCode(crc >>> 24, crc >>> 16 & 255, crc >>> 8 & 255, crc & 255));
}
function encoded(text) {
  return new URLSearchParams({ "": text }).toString().slice(1).replace(/\+/g, "%20");
}
function read_answer(text) {
  try {
    const message = JSON.parse(text);
    return message.MsgType && message.MsgData ? message : null;
  } catch (error) {
    return null;
  }
}
var HttpSocket = class {
  /** @param {string} url of all uploads */
  constructor(url) {
    this.onopen = null;
    this.onmessage = null;
    this.onclose = null;
    this.url = new URL(url).href;
    this.token = "";
    this.requests = /* @__PURE__ */ new Set();
    this.chunks = [];
    this.on_way = 0;
    this.has_agreed = false;
    this.offset = 0;
    this.compare = [];
    this.last_text = "";
    this.is_watching = false;
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
      this.chunks.push({ from: header.getUint32(0) * 2 ** 32 + header.getUint32(4), crc: header.getUint32(8), body });
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
        this.last_text = text;
        this.send_chunks();
        break;
      case "MsgCancel":
        this.cancel(MsgData.Reason);
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
      this.token = String(request.getResponseHeader("Upload-Session"));
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
    while (this.has_agreed && this.chunks.length && this.on_way < MOST_CHUNKS) {
      this.send_chunk(
        /** @type {ChunkToSend} */
        this.chunks.shift()
      );
    }
    if (this.has_agreed && this.last_text && !this.on_way) this.complete();
  }
  /** @param {ChunkToSend} chunk */
  send_chunk({ from, crc, body }) {
    this.on_way += 1;
    const headers = { "Upload-Offset": String(from), "Upload-Checksum": checksum_header(crc) };
    const on_stored = (message) => {
      this.on_way -= 1;
      server.note_stored(body.size);
      this.send_chunks();
      if (message.MsgData.Offset <= this.offset) return;
      this.offset = message.MsgData.Offset;
      this.deliver(message);
    };
    this.request("PATCH", "", body, headers, on_stored, (status) => {
      server.note_refused(body.size, status === TOO_LARGE_STATUS);
    });
  }
  complete() {
    const text = this.last_text;
    this.last_text = "";
    this.hold((wait_s) => this.request("POST", "/complete?wait=" + wait_s, text, {}, (message) => this.on_result(message)));
  }
  /** @param {string} reason */
  cancel(reason) {
    this.stop();
    let text = encoded(reason);
    for (let chars = reason.length; text.length > MOST_REASON_CHARS; ) {
      chars = Math.floor(chars * 0.9);
      text = encoded(reason.slice(0, chars));
    }
    this.request("DELETE", "?reason=" + text, null, {}, (message) => this.on_result(message));
  }
  // -- the end
  /** @param {Message} message news, the end, or the acknowledgement of a cancel */
  on_result(message) {
    this.deliver(message);
    if (message.MsgType === "MsgNews") this.watch();
  }
  /** Asks until the end. */
  watch() {
    if (this.is_watching || !this.onclose) return;
    this.is_watching = true;
    this.hold((wait_s) => {
      const since_ms = now_ms();
      return this.request("GET", "?wait=" + wait_s, null, {}, (message) => {
        this.is_watching = false;
        this.deliver(message);
        const again = () => this.watch();
        if (now_ms() - since_ms > FIRST_POLL_MS) again();
        else this.timer = setTimeout(again, this.poll_ms);
        this.poll_ms = Math.min(MOST_POLL_MS, this.poll_ms * 2);
      });
    });
  }
  /** Makes a request that the server may hold, unless too many are. @param {(wait_s: number) => XMLHttpRequest} make */
  hold(make) {
    const may_hold = held < MOST_HELD;
    const request = make(may_hold ? HELD_S : 0);
    if (!may_hold) return;
    held += 1;
    request.addEventListener("loadend", () => {
      held -= 1;
    });
  }
  // -- requests
  /**
   * @param {string} method @param {string} path behind the session's @param {string | Blob | null} body
   * @param {Record<string, string>} headers
   * @param {(message: Message, request: XMLHttpRequest) => void} then when it was answered as asked
   * @param {(status: number) => void} [on_refused] by another than an upload server; 0: there is no answer
   */
  request(method, path, body, headers, then, on_refused) {
    const request = new XMLHttpRequest();
    request.open(method, this.url + path);
    if (this.token && method !== "GET") request.setRequestHeader("Upload-Session", this.token);
    Object.keys(headers).forEach((name) => request.setRequestHeader(name, headers[name]));
    request.onload = request.onerror = () => {
      this.requests.delete(request);
      const { status } = request;
      const message = read_answer(request.responseText);
      if (status === 204 || message && message.MsgType !== "MsgError") {
        then(
          /** @type {Message} */
          message,
          request
        );
        return;
      }
      if (!message && on_refused) on_refused(status);
      if (message) this.on_error(message, Number(request.getResponseHeader("Retry-After")));
      this.lose(CLOSE_LOST, "");
    };
    this.requests.add(request);
    request.send(body);
    return request;
  }
  /** @param {Message} message @param {number} retry_after_s */
  on_error(message, retry_after_s) {
    const { Code, Msg } = message.MsgData;
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
    if (MsgData.MaxChunkBytes) MsgData.MaxChunkBytes = Math.min(MsgData.MaxChunkBytes, server.most_body_bytes);
    if (this.onmessage) this.onmessage({ data: JSON.stringify(message) });
  }
  /** @param {number} code @param {string} reason */
  lose(code, reason) {
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
    this.chunks = [];
    this.last_text = "";
    this.requests.forEach((request) => {
      request.onload = request.onerror = null;
      request.abort();
    });
    this.requests.clear();
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
   * A chunk may exceed our own window in part, which would never be full otherwise. It may not exceed the server's.
   * @param {number} ahead_bytes that are on their way @param {number} bytes
   */
  admits(ahead_bytes, bytes) {
    const own_bytes = Math.min(this.window_bytes, this.most_chunks * this.chunk_bytes);
    return ahead_bytes === 0 || ahead_bytes < own_bytes && ahead_bytes + bytes <= this.allowed.window_bytes;
  }
  /** @param {Chunk} chunk that is stored */
  stored(chunk) {
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

// src/wire.js
var HEADER_BYTES = 16;
var READERS = {
  MsgUploadConf: (data) => data.Version === 2 ? { type: "confirmed", terms: terms_of(data) } : { type: "error", ...TOO_OLD2 },
  MsgStored: (data) => ({
    type: "stored",
    offset: data.Offset,
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
  MsgCancelAck: () => ({ type: "cancel_acknowledged" }),
  MsgAllDone: (data) => data.Success ? { type: "finished" } : { type: "error", ...NOT_TAKEN2 },
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
    arrived: data.Arrived
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
  const other_file = ["wrong_file", "length_mismatch"].includes(data.Code) && data.FileName;
  return { type: "error", code: Number(data.ErrorCode), msg: other_file ? msg + " " + expected_file(data) : msg };
}
function expected_file({ FileName: name, FileLengthBytes: bytes, FileLastModifiedMs: changed_ms }) {
  const changed = changed_ms > 0 ? new Date(changed_ms).toLocaleString() : "";
  return without_html(EXPECTED_FILE(name, readable_size(bytes), changed));
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
var CLOSE_TRY_AGAIN_LATER = 1013;
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
    sockets.forEach((socket) => socket.on_event({ event: "close", code: CLOSE_TRY_AGAIN_LATER, reason: WORKER_LOST }));
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
var CLOSE_TRY_AGAIN_LATER2 = 1013;
var CLOSE_TAKEN_OVER = 4001;
function noop() {
}
var Connection = class {
  /** @param {boolean} is_http @param {(event: ConnectionEvent) => void} report */
  constructor(is_http, report2) {
    this.is_http = is_http;
    this.report = report2;
    this.socket = null;
    this.may_send = false;
    this.open = false;
    this.was_asked = false;
    this.confirmed = false;
    this.agreed = false;
    this.completed = false;
    this.unanswered_s = 0;
    this.handed_over = false;
    this.round = 0;
    this.silent_s = 0;
    this.silence_s = this.idle_silence_s = this.timeout_s = CONNECT_TIMEOUT_S;
    this.waits = false;
    this.unstored_s = 0;
    this.pinged = false;
    this.retry_after_s = 0;
    this.reading = 0;
    this.reading_s = 0;
    this.filling = false;
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
        server.was_reached = this.open = true;
        server.sockets_work = server.sockets_work || !this.is_http;
      }
      this.silent_s = 0;
      this.pinged = false;
      this.timeout_s = this.silence_s;
      this.report(event);
    };
    socket.onclose = ({ code, reason }) => this.report({ type: "lost", code, reason: without_html(reason) });
    this.socket = socket;
  }
  open_socket() {
    if (this.is_http) return new HttpSocket(server.uploads_url());
    return worker.is_proven ? new WorkerSocket(server.url()) : new WebSocket(server.url());
  }
  /** @param {Terms} terms @param {number} first_window_bytes */
  confirm(terms, first_window_bytes) {
    this.confirmed = true;
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
  /** @param {ArrayBuffer} message a header, and the bytes of the chunk behind it, unless `slice` has them @param {Blob} slice */
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
    this.unstored_s = this.waits ? this.unstored_s + seconds : 0;
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
  is_dead() {
    return Math.max(this.silent_s, this.unstored_s) >= this.timeout_s;
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
    this.pending = {};
    this.release = noop;
  }
  /** Becomes the owner, or follows the one that exists and asks it for what is wanted here. */
  join() {
    if (this.owns || this.channel) return;
    const { upload } = this;
    this.name = memory_prefix() + upload.ticket_id;
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
    navigator.locks.request(this.name, options, (lock) => {
      if (this.owns || channel !== this.channel) return null;
      if (!lock) {
        this.post(this.pending);
        return null;
      }
      this.set_owner(true);
      return new Promise((resolve) => {
        this.release = resolve;
      });
    }).catch(() => {
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
  /** @param {{pause?: incoming.PauseRequest, cancel?: string, state: State, values?: Record<string, unknown>}} message */
  on_message({ pause, cancel, state, values }) {
    if (values) {
      this.silent_ticks = 0;
      this.pending = {};
      if (!this.owns) this.upload.follow(state, values);
      return;
    }
    if (!this.owns) return;
    this.is_followed = true;
    if (pause) this.upload.pause(pause);
    if (cancel) this.upload.cancel(cancel);
    this.post_values();
  }
  post_values() {
    const { state, shown } = this.upload;
    if (this.owns && this.is_followed) this.post({ state, values: JSON.parse(shown) });
  }
  leave() {
    clearInterval(this.ticker);
    shares.delete(this);
    if (this.channel) this.channel.close();
    this.channel = null;
    this.release();
    this.upload.memory.write();
  }
};

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
  frac_complete: (upload) => upload.bytes_total ? upload.bytes_acked / upload.bytes_total : Number(arrived(upload)),
  bytes_per_s: ({ sending }) => sending.bytes_per_s(),
  seconds_left: ({ sending }) => sending.seconds_left(),
  chunks_tx_now: ({ sending }) => sending.chunks_tx_now,
  chunks_acked_now: ({ sending }) => sending.chunks_acked_now,
  chunks_ahead: ({ sending }) => sending.chunks_tx_now - sending.chunks_acked_now,
  state_msg: (upload) => upload.state_msg(),
  error_msg: (upload) => upload.error_msg,
  error_code: (upload) => upload.error_code,
  cancel_msg: (upload) => cancelled(upload) ? upload.cancel_msg : "",
  // a cancel can come too late
  connected: ({ connection }) => connection !== null && connection.open,
  retrying: ({ retry }) => retry.note !== "",
  next_retry_at: ({ retry }) => retry.next_at,
  paused: in_state("held", "paused"),
  can_pause: in_state("new", "held", "running", "paused"),
  can_cancel: in_state("new", "held", "running", "paused"),
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
   * Computes a checksum, which continues `seed`. Nothing is called if the connection is another one by then.
   * @param {Blob} blob @param {number} seed
   * @param {boolean} keep the bytes, for the next argument, where they can be sent as they are
   * @param {(crc: number, buffer: ArrayBuffer | null) => void} then
   */
  read(blob, seed, keep, then) {
    const { upload } = this;
    const { connection } = upload;
    if (!connection) return;
    connection.reading += 1;
    worker.read(blob, seed, keep && !connection.is_http, (crc, buffer) => {
      if (connection !== upload.connection) return;
      connection.reading -= 1;
      connection.reading_s = 0;
      if (crc === null) {
        this.on_unreadable();
      } else if (crc < 0) {
        this.on_no_memory(blob.size, keep);
      } else {
        this.was_read = true;
        then(crc, buffer);
      }
      upload.settle();
    });
  }
  /** @param {number} from @param {number} to @param {number} seed @param {(crc: number) => void} then */
  read_range(from, to, seed, then) {
    const end = Math.min(to, from + this.piece_bytes);
    this.read(this.upload.file.slice(from, end), seed, false, (crc) => {
      if (end === to) then(crc);
      else this.read_range(end, to, crc, then);
    });
  }
  get piece_bytes() {
    return Math.min(PIECE_BYTES2, this.most_bytes);
  }
  on_unreadable() {
    this.unreadable_tries += 1;
    const { file, state, retry } = this.upload;
    const gives_up = this.unreadable_tries >= UNREADABLE_TRIES && state !== "cancelling";
    if (gives_up) this.upload.fail(this.was_read || file.type ? FILE_UNREADABLE2 : NEVER_READABLE2);
    else retry.later(NOT_READABLE_NOW);
  }
  /** @param {number} bytes that were to be read at once @param {boolean} keep it was to be a chunk */
  on_no_memory(bytes, keep) {
    this.most_bytes = Math.max(CHUNK_MIN_BYTES, Math.min(this.most_bytes, Math.floor(bytes / 2)));
    if (keep && bytes > CHUNK_MIN_BYTES) this.upload.sending.prepare_again();
    else this.upload.retry.later(NO_MEMORY);
  }
};

// src/transport.js
var SUSPICIOUS_TRIES = 3;
var NEEDS_UPGRADE_STATUS = 426;
var TOO_MANY_STATUS = 429;
var Transport = class {
  constructor() {
    this.found_http = false;
  }
  get is_http() {
    return server.transport === "auto" ? this.found_http : server.transport === "http";
  }
  /** The network may be another one. */
  forget() {
    this.found_http = false;
  }
  /**
   * A connection was lost. Returns whether plain HTTP should be asked why.
   * @param {Connection} connection @param {number} tries
   */
  on_lost({ is_http, confirmed }, tries) {
    if (confirmed) return false;
    if (is_http) this.found_http = false;
    const is_suspicious = tries >= SUSPICIOUS_TRIES;
    const may_fall_back = server.transport === "auto" && (is_suspicious || !server.sockets_work);
    return !is_http && (may_fall_back || is_suspicious && !server.was_reached);
  }
  /**
   * No WebSocket opened, and this is what plain HTTP answered. Returns whether to try HTTP now; it may be next anyway.
   * @param {number} status 0: no answer; -1: one that the page may not see @param {number} tries
   */
  on_status(status, tries) {
    if (server.transport !== "auto") return false;
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
var Retry = class {
  /** @param {Upload} upload */
  constructor(upload) {
    this.upload = upload;
    this.timer = null;
    this.next_at = null;
    this.note = "";
    this.is_asking = false;
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
    this.next_at = Math.round(Date.now() + delay_s * 1e3);
    this.timer = setTimeout(() => {
      this.stop();
      this.upload.settle();
    }, delay_s * 1e3);
  }
  stop() {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = this.next_at = null;
    this.is_asking = false;
  }
  /** The sentence that is shown while it waits. */
  text() {
    if (is_offline()) return OFFLINE;
    return this.is_asking ? CONNECTING : this.note + RETRY;
  }
  /** @param {number} code of the close frame @param {string} reason */
  on_lost(code, reason) {
    const { connection, transport } = this.upload;
    const { confirmed = false, open = false, retry_after_s = 0 } = connection || {};
    if (code === CLOSE_TAKEN_OVER) {
      this.takeovers += 1;
      this.later(TAKEN_OVER, TAKEN_OVER_FIRST_S * 2 ** (this.takeovers - 1));
    } else if (retry_after_s) {
      this.later(reason || RESTARTED, 0, retry_after_s * (0.5 + Math.random()));
    } else if ((code === CLOSE_RESTART2 || code === CLOSE_TRY_AGAIN_LATER2) && reason) {
      this.later(reason);
    } else {
      this.later(confirmed ? LOST : NO_CONNECTION);
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
    if (timer !== this.timer) return;
    this.is_asking = false;
    if (upload.transport.on_status(status, tries)) {
      this.stop();
    } else if (!server.was_reached && tries >= SUSPICIOUS_TRIES) {
      const host = without_html(server.host());
      this.note = opened ? NOT_A_SERVER(host) : server.refusal(status) || NO_ANSWER(host);
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
    this.on_lost(word === "taken_over" ? CLOSE_TAKEN_OVER : CLOSE_TRY_AGAIN_LATER2, msg);
  }
};

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
  /** @param {number} bytes @param {number} known_bytes @param {number} crc */
  add(bytes, known_bytes, crc) {
    const last = this.list[this.list.length - 1];
    if (last && last.known_bytes === last.bytes && known_bytes === bytes) {
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
    this.chunks_acked_now = 0;
    this.prepare_from(offset);
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
    const { connection, file, reading } = this.upload;
    const gap = this.stored.gap();
    if (!connection || connection.filling || !gap) {
      this.send_chunks();
      return;
    }
    connection.filling = true;
    const from = gap.from + gap.known_bytes;
    const bytes = Math.min(reading.piece_bytes, gap.bytes - gap.known_bytes);
    reading.read(file.slice(from, from + bytes), gap.crc, false, (crc) => {
      connection.filling = false;
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
  /** Returns false if that makes no sense. @param {number} offset all before it is stored */
  acknowledge(offset) {
    const { upload } = this;
    const { connection } = upload;
    if (!connection || !(upload.bytes_acked <= offset && offset <= this.bytes_tx)) {
      upload.retry.on_lost(0, "");
      return false;
    }
    if (offset === upload.bytes_acked) return true;
    const newest = this.take_stored(offset);
    if (newest) connection.pace.stored(newest);
    connection.waits = offset < this.bytes_tx;
    connection.unstored_s = 0;
    upload.bytes_acked = offset;
    upload.has_progressed();
    return true;
  }
  /** Moves the chunks that have arrived to the stored ranges; returns the newest of them. @param {number} offset */
  take_stored(offset) {
    let newest = null;
    while (this.on_way.length && this.on_way[0].from + this.on_way[0].bytes <= offset) {
      newest = /** @type {Chunk} */
      this.on_way.shift();
      this.stored.add(newest.bytes, newest.bytes, Number(newest.crc));
      this.chunks_acked_now += 1;
    }
    return newest;
  }
  /** @param {{offset: number, max_chunk_bytes?: number, max_window_bytes?: number}} event */
  on_stored({ offset, max_chunk_bytes = 0, max_window_bytes = 0 }) {
    const { connection } = this.upload;
    if (!this.acknowledge(offset)) return;
    if (connection) connection.pace.allow(max_chunk_bytes, max_window_bytes);
    this.send_chunks();
    this.arrive_if_complete();
  }
  /** The chunk at `offset` was damaged on its way. @param {number} offset @param {number} round */
  on_resend(offset, round) {
    const { connection } = this.upload;
    if (!connection || !this.acknowledge(offset)) return;
    this.stored.reach(offset);
    this.on_way = [];
    this.chunks_tx_now = this.chunks_acked_now;
    connection.round = round;
    connection.waits = connection.completed = false;
    this.prepare_from(offset);
    this.send_chunks();
  }
  // -- chunks
  /** From here on chunks are prepared anew. @param {number} offset */
  prepare_from(offset) {
    this.ready = [];
    this.bytes_tx = this.bytes_asked = offset;
  }
  /** Prepares the next chunks anew, because their size has changed. */
  prepare_again() {
    this.prepare_from(this.bytes_tx);
    this.send_chunks();
  }
  /** Sends what may be sent now, and prepares more. */
  send_chunks() {
    const { connection } = this.upload;
    if (!this.is_active() || !connection) return;
    this.read_ahead(connection);
    while (this.ready.length && this.ready[0].crc !== null && this.may_send(this.ready[0], connection.pace)) {
      this.send_chunk(
        /** @type {Chunk} */
        this.ready.shift(),
        connection
      );
      this.read_ahead(connection);
    }
    this.complete(connection);
  }
  /** @param {Chunk} chunk @param {Pace} pace */
  may_send(chunk, pace) {
    const ahead_bytes = this.bytes_tx - this.upload.bytes_acked;
    if (!pace.admits(ahead_bytes, chunk.bytes)) return false;
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
    chunk.ahead_bytes = end - this.upload.bytes_acked;
    this.throttle.take(chunk.bytes);
    const message = chunk.buffer || new ArrayBuffer(HEADER_BYTES);
    write_header(message, chunk.from, Number(chunk.crc), connection.round);
    connection.send_chunk(message, this.upload.file.slice(chunk.from, end));
    chunk.buffer = null;
    connection.waits = true;
    this.on_way.push(chunk);
    this.bytes_tx = end;
    this.chunks_tx_now += 1;
  }
  /** @param {Connection} connection */
  read_ahead({ pace }) {
    const { upload } = this;
    while (upload.connection && this.ready.length < PREPARED_CHUNKS && this.bytes_asked < upload.bytes_total) {
      const from = this.bytes_asked;
      const bytes = Math.min(this.chunk_bytes(pace), upload.bytes_total - from);
      const chunk = { from, bytes, crc: null, buffer: null, sent_ms: 0, ahead_bytes: 0 };
      this.ready.push(chunk);
      this.bytes_asked += bytes;
      upload.reading.read(upload.file.slice(from, from + bytes), 0, true, (crc, buffer) => {
        chunk.crc = crc;
        chunk.buffer = buffer;
        this.send_chunks();
      });
    }
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

// src/states.js
var TRANSITIONS = {
  new: { start: "running", pause: "held", cancel: "cancelling" },
  held: { start: "paused", unpause: "new", cancel: "cancelling" },
  // paused before it was started
  paused: { unpause: "running", cancel: "cancelling" },
  running: {
    pause: "paused",
    cancel: "cancelling",
    arrive: "arrived",
    abort: "cancelled",
    fail: "failed",
    finish: "finished"
  },
  arrived: { rewind: "running", abort: "cancelled", fail: "failed", finish: "finished" },
  // An error that ends the upload ends it as the user wished.
  cancelling: { arrive: "arrived", abort: "cancelled", fail: "cancelled", finish: "finished" },
  finished: {},
  cancelled: {},
  failed: {}
};
var STATES = {
  new: { text: NEW, online: false },
  held: { text: PAUSED, online: false },
  running: { text: RUNNING, online: true },
  paused: { text: PAUSED, online: false },
  arrived: { text: ARRIVED, online: true },
  cancelling: { text: CANCELLING, online: true },
  finished: { text: FINISHED, online: false },
  cancelled: { text: CANCELLED, online: false },
  failed: { text: FAILED, online: false }
};
var ENDINGS = { finished: "finished", cancelled: "cancelled", failed: "error" };

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
var online_uploads = /* @__PURE__ */ new Set();
var Upload = class {
  /** @param {string} ticket_id @param {Blob} file @param {incoming.Uploader} uploader */
  constructor(ticket_id, file, uploader) {
    this.ticket_id = ticket_id;
    this.file = file;
    this.uploader = uploader;
    this.filename = name_of(file);
    this.bytes_total = file.size;
    this.state = "new";
    this.bytes_acked = 0;
    this.error_msg = this.cancel_msg = "";
    this.error_code = null;
    this.connection = null;
    this.retry = new Retry(this);
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
    this.shown = snapshot(this);
    this.ended = false;
    this.resolve = noop;
    this.reject = noop;
    this.done = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.done.catch(noop);
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
      this.send_message("MsgCancel", { Reason: reason });
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
    if (state === "failed") return;
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
        this.fail(BAD_ADDRESS2);
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
        this.transition("abort");
        break;
      case "cancelled":
        this.on_cancelled(event.reason);
        break;
      case "error":
        this.on_error(event);
        break;
      case "passing_error":
        this.retry.on_passing_error(event.word, event.msg);
        break;
      case "not_understood":
        this.retry.on_lost(0, "");
        break;
      // perhaps damaged on its way
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
      this.retry.on_doubtful(NOT_UNDERSTOOD2);
      return;
    }
    connection.confirm(terms, this.sending.first_window_bytes);
    this.retry.note = "";
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
      this.send_message("MsgAgree", { Crc32c: [] });
      this.transition("arrive");
    } else if (this.state === "cancelling") {
      this.send_message("MsgCancel", { Reason: this.cancel_msg });
    } else {
      this.transition("rewind");
      this.sending.compare(terms.compare, []);
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
    if (this.state !== "cancelling") this.cancel_msg = reason;
    this.transition("abort");
  }
  /** @param {{code: number, msg: string}} error */
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
    else if (connection.reading_s >= READ_TIMEOUT_S) this.retry.later(NOT_READABLE_NOW);
    else if (this.state === "arrived" && connection.confirmed) this.wait_for_app(connection);
  }
  /** @param {Connection} connection */
  wait_for_app(connection) {
    this.retry.tries = 0;
    const { completed, handed_over, unanswered_s, silence_s } = connection;
    if (completed && !handed_over && unanswered_s >= silence_s) this.sending.send_complete(connection);
  }
  has_progressed() {
    this.retry.tries = this.retry.doubtful_tries = this.reading.unreadable_tries = 0;
  }
  /** Ends the upload here: its ticket may still be usable. @param {{code: number, msg: string}} error */
  fail(error) {
    if (!this.transition("fail") || this.state !== "failed") return;
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
    const needs_file = this.state === "running" && !this.connection;
    if (needs_file && this.file.size !== this.bytes_total) this.fail(FILE_CHANGED2);
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
      this.retry.note = "";
    }
    this.sending.sample_speed();
    this.memory.update();
    guard_unload(this);
    this.notify();
  }
  /** Connects once the file has shown that it can be read: a ticket that was never used can be used for another file. */
  connect() {
    const connection = this.connection = new Connection(this.transport.is_http, (event) => this.on_event(event));
    const sample = this.bytes_total ? this.file.slice(this.bytes_total - 1) : this.file;
    if (this.state !== "running") connection.dial();
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
    if (state === "arrived" && this.app_is_silent) {
      return this.app_trouble ? APP_TROUBLE(this.app_trouble) : APP_IS_SILENT;
    }
    if (state !== "running") return STATES[state].text;
    if (connection && connection.reading_s >= SLOW_READ_S) return READ_IS_SLOW;
    if (!connection || !connection.confirmed) return CONNECTING;
    const checks = !connection.agreed || this.bytes_acked === this.bytes_total && this.bytes_total > 0;
    return checks ? CHECKING : STATES.running.text;
  }
  /** Calls back until nothing changes any more: a callback may pause or cancel, too. */
  notify() {
    if (this.notifying) return;
    this.notifying = true;
    for (let now = snapshot(this); now !== this.shown; now = snapshot(this)) {
      this.shown = now;
      this.share.post_values();
      this.call_back("progress");
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
    this.uploader.dispatchEvent(new Event(name));
  }
  settle_promise() {
    if (this.state === "finished") {
      this.resolve(this.uploader);
      return;
    }
    const reason = this.state === "cancelled" ? "cancelled" : "error";
    const msg = this.error_msg || this.cancel_msg;
    this.reject(Object.assign(new Error(msg), { code: this.error_code, reason, uploader: this.uploader }));
  }
};
function report(error) {
  if (typeof reportError === "function") reportError(error);
  else setTimeout(() => {
    throw error;
  });
}

// src/uploader.js
function check(condition, complaint) {
  if (!condition) throw new TypeError("incoming.js: " + complaint);
}
function members_of(upload, uploader) {
  const settings = {
    max_bytes_per_s: {
      get: () => upload.sending.throttle.bytes_per_s,
      set: (bytes_per_s) => {
        check(bytes_per_s >= 0 && Number.isFinite(bytes_per_s), "max_bytes_per_s has to be a number, 0 for no limit");
        upload.limit(bytes_per_s);
      }
    },
    warn_before_unload: {
      get: () => upload.warns,
      set: (warns) => {
        upload.warns = Boolean(warns);
        guard_unload(upload);
      }
    },
    done: { value: upload.done }
  };
  const controls = {
    start() {
      upload.start();
      return uploader;
    },
    pause(what = "pause") {
      check(["pause", "unpause", "toggle"].includes(what), 'pause takes "pause", "unpause" or "toggle"');
      upload.pause(what);
      return uploader;
    },
    cancel(reason) {
      upload.cancel(typeof reason === "string" && reason ? reason : CANCELLED_BY_USER);
      return uploader;
    },
    onprogress: null,
    onfinished: null,
    oncancelled: null,
    onerror: null
  };
  const members = { ...Object.getOwnPropertyDescriptors(controls), ...settings };
  for (const name of NAMES) members[name] = { get: () => value_of(upload, name), enumerable: true };
  return members;
}
var originals = /* @__PURE__ */ new WeakMap();
function Uploader(upload_id, file) {
  check(typeof upload_id === "string" && upload_id !== "", "upload_id has to be the id of a ticket, a string");
  check(is_blob(file), "file has to be a File or a Blob");
  const uploader = Reflect.construct(EventTarget, [], new.target || Uploader);
  const members = members_of(new Upload(upload_id, file, uploader), uploader);
  originals.set(uploader, Object.create(null, members));
  for (const name of Object.keys(members)) {
    if (!is_overridden(uploader, name)) Object.defineProperty(uploader, name, members[name]);
  }
  return uploader;
}
Uploader.prototype = Object.create(EventTarget.prototype, { constructor: { value: Uploader } });
Object.setPrototypeOf(Uploader, EventTarget);
for (const name of ["start", "pause", "cancel"]) {
  Uploader.prototype[name] = function(...args) {
    return originals.get(this)[name](...args);
  };
}
for (const name of [...NAMES, "done", "max_bytes_per_s", "warn_before_unload"]) {
  Object.defineProperty(Uploader.prototype, name, {
    get() {
      return originals.get(this)[name];
    },
    set(value) {
      originals.get(this)[name] = value;
    }
  });
}
function is_overridden(uploader, name) {
  const proto = Object.getPrototypeOf(uploader);
  return proto && proto !== Uploader.prototype && (proto.hasOwnProperty(name) || is_overridden(proto, name));
}

// src/library.js
function set_server_hostname(hostname) {
  const fits = typeof hostname === "string" && /^[^\s/?#@\\]+(\/[^\s/?#\\]+)*\/?$/.test(hostname);
  check(fits, 'the hostname of the server has to be "host", "host:port" or "host:port/prefix"');
  server.set_hostname(hostname);
}
function wake_all() {
  online_uploads.forEach((upload) => upload.wake());
}
function listen() {
  window.addEventListener("online", wake_all);
  window.addEventListener("offline", () => online_uploads.forEach((upload) => upload.settle()));
  window.addEventListener("pageshow", wake_all);
  window.addEventListener("pagehide", () => shares.forEach(({ owns, upload }) => owns && upload.memory.write(0)));
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") wake_all();
  });
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
    return server.transport;
  },
  set transport(transport) {
    check(["auto", "websocket", "http"].includes(transport), 'transport has to be "auto", "websocket" or "http"');
    server.transport = transport;
  },
  unfinished,
  matches,
  forget
};
function install() {
  if (typeof window === "undefined") return void 0;
  const { incoming: loaded } = (
    /** @type {any} */
    window
  );
  if (loaded && loaded.version && loaded.Uploader) return loaded;
  listen();
  Object.assign(window, { incoming: library });
  return library;
}

// src/module.js
var library2 = (
  /** @type {typeof incoming} */
  install()
);
var module_default = library2;
var { version, Uploader: Uploader2, set_server_hostname: set_server_hostname2, unfinished: unfinished2, matches: matches2, forget: forget2 } = library2 || {};
export {
  Uploader2 as Uploader,
  module_default as default,
  forget2 as forget,
  matches2 as matches,
  set_server_hostname2 as set_server_hostname,
  unfinished2 as unfinished,
  version
};
