/*! queue.mjs 0.3.0: a queue of uploads to an Incoming!! server. MIT license. */
// Built by scripts/build-library.mjs: make changes in static/src, which has the comments, too.
// src/queue/texts.js
import incoming from "./incoming.mjs";
var ENGLISH = {
  no_ticket: "The upload could not start yet. Trying again soon.",
  ticket_refused: "The app did not accept the file.",
  not_a_ticket: "The app sent an invalid response.",
  too_large: (most) => `This is too large. The limit is ${most}.`,
  too_small: (least) => `This is too small. It has to have at least ${least}.`,
  not_accepted: "Files of this type are not accepted.",
  too_many: (most) => most === 1 ? "Only one file is accepted." : `Only ${most} files are accepted.`,
  total_too_large: (most) => `All files together are too large. The limit is ${most}.`,
  unreadable: "The file cannot be read.",
  no_files: "There are no files in this folder.",
  duplicate: "This is already in the list.",
  units: ["B", "kB", "MB", "GB", "TB"],
  per_second: (size) => `${size}/s`,
  seconds: (s) => `${s} s`,
  minutes: (min) => `${min} min`,
  hours: (h, min) => `${h} h ${min} min`
};
function text(key) {
  const { texts = {} } = (
    /** @type {{texts?: any}} */
    incoming || {}
  );
  return key in texts ? texts[key] : ENGLISH[key];
}
function readable_size(bytes) {
  const power = bytes < 1e3 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return (power ? (bytes / 1e3 ** power).toFixed(1).replace(/\.0$/, "") : bytes) + " " + text("units")[power];
}

// src/queue/restrictions.js
var NOTHING = { files: 0, bytes_total: 0, has: () => false };
function refusal_of(file, restrictions, listed = NOTHING, path = path_of(file)) {
  const { max_bytes, min_bytes, accept, max_files, max_total_bytes, disallow_duplicates } = restrictions;
  const refuse = (code, message) => ({ code, message, file, path });
  if (disallow_duplicates && listed.has(file, path)) return refuse("duplicate", text("duplicate"));
  if (!("files_total" in file) && !is_accepted(file, accept)) return refuse("not_accepted", text("not_accepted"));
  if (is_above(file.size, max_bytes)) return refuse("too_large", text("too_large")(readable_size(max_bytes)));
  if (min_bytes && file.size < min_bytes) return refuse("too_small", text("too_small")(readable_size(min_bytes)));
  if (is_above(listed.files + 1, max_files)) return refuse("too_many", text("too_many")(max_files));
  if (is_above(listed.bytes_total + file.size, max_total_bytes)) {
    return refuse("total_too_large", text("total_too_large")(readable_size(max_total_bytes)));
  }
  return null;
}
function is_above(number, limit) {
  return typeof limit === "number" && number > limit;
}
function is_accepted(file, accept) {
  const wanted = (Array.isArray(accept) ? accept : String(accept || "").split(",")).map((one) => one.trim().toLowerCase()).filter((one) => one);
  if (!wanted.length) return true;
  const name = (file.name || "").toLowerCase();
  const type = (file.type || "").toLowerCase().split(";")[0].trim();
  return wanted.some((one) => {
    if (one[0] === ".") return name.endsWith(one);
    if (one === "*" || one === "*/*") return true;
    return one.endsWith("/*") ? type.startsWith(one.slice(0, -1)) : type === one;
  });
}
function path_of(file) {
  return (
    /** @type {any} */
    file.webkitRelativePath || file.name || ""
  );
}

// src/queue/files.js
function files_of(source, { folders = false } = {}) {
  const { items, files } = (
    /** @type {any} */
    source
  );
  if (items && !Array.isArray(items)) {
    const dropped = [...items].filter(({ kind = "file" }) => kind === "file").map(take);
    const some = dropped.filter(({ entry, file }) => entry || file);
    if (some.length || !files) return walk_dropped(some, folders);
  }
  return folders ? gather(walk_listed(files || source, true)) : walk_listed(files || source, false);
}
function take(item) {
  const entry = item.webkitGetAsEntry ? item.webkitGetAsEntry() : null;
  const handle = item.getAsFileSystemHandle ? Promise.resolve(item.getAsFileSystemHandle()).catch(() => null) : null;
  return { entry, handle, file: !entry && item.getAsFile ? item.getAsFile() : null };
}
async function* walk_listed(list, folders) {
  const all = list[Symbol.iterator] || list[Symbol.asyncIterator] ? list : [list];
  for await (const one of all) {
    const is_folder = one && one.values && one.kind === "directory";
    if (is_folder && folders) yield whole(one, one);
    else if (is_folder || one && one.getFile) yield* walk_handle(one, "");
    else if (one && "file" in one) yield { ...one, path: one.path || (one.file ? path_of(one.file) : "") };
    else if (one) yield { path: path_of(one), file: one };
  }
}
async function* gather(found) {
  const folders = (
    /** @type {Map<string, incoming.PlacedFile[]>} */
    /* @__PURE__ */ new Map()
  );
  for await (const one of found) {
    const { path, file } = one;
    const name = path.slice(0, path.indexOf("/") + 1).slice(0, -1);
    const inside = folders.get(name);
    if (!file || !name) yield one;
    else if (inside) inside.push({ path, file });
    else folders.set(name, [{ path, file }]);
  }
  for (const [path, folder] of folders) yield { path, file: null, folder };
}
function whole(folder, handle) {
  return { path: folder.name, file: null, folder, handle };
}
async function* walk_dropped(dropped, folders) {
  for (const { entry, handle: promise, file } of dropped) {
    const handle = promise && await promise;
    if (folders && entry && entry.isDirectory) yield whole(entry, handle);
    else if (handle) yield* walk_handle(handle, "", entry);
    else if (entry) yield* walk_entry(entry);
    else if (file) yield { path: path_of(file), file };
  }
}
async function* walk_handle(handle, folder, entry) {
  const path = folder + handle.name;
  try {
    if (handle.kind === "directory") {
      const inside = [];
      for await (const child of handle.values()) inside.push(child);
      for (const child of inside.sort(by_name)) yield* walk_handle(child, `${path}/`);
    } else {
      yield { path, file: await handle.getFile(), handle };
    }
  } catch (error) {
    if (entry) yield* walk_entry(entry);
    else yield { path, file: null };
  }
}
async function* walk_entry(entry) {
  const path = entry.fullPath.slice(1);
  try {
    if (!entry.isDirectory) yield { path, file: await promised(entry, "file") };
    else for (const child of await children(entry.createReader())) yield* walk_entry(child);
  } catch (error) {
    yield { path, file: null };
  }
}
async function children(reader) {
  const all = [];
  for (; ; ) {
    const batch = await promised(reader, "readEntries");
    if (!batch.length) return all.sort(by_name);
    all.push(...batch);
  }
}
var collator = new Intl.Collator(void 0, { numeric: true });
function by_name(a, b) {
  return collator.compare(a.name, b.name);
}
function promised(object, method) {
  return new Promise((resolve, reject) => object[method](resolve, reject));
}

// src/queue/folders.js
import incoming2 from "./incoming.mjs";
async function read_folder(source, accept, onprogress) {
  const folder = await incoming2.list_folder(source, { onprogress });
  const refused = (
    /** @type {Refusal[]} */
    []
  );
  if (!accept) return { folder, refused };
  const taken = files_in(folder).filter(({ path, file }) => {
    const refusal = refusal_of(file, { accept }, void 0, path);
    if (refusal) refused.push(refusal);
    return !refusal;
  });
  if (!refused.length) return { folder, refused };
  return { folder: taken.length ? await incoming2.list_folder(taken) : null, refused };
}
function files_in({ name, entries }) {
  return entries.filter(({ file }) => file).map(({ path, file }) => ({ path: `${name}/${path}`, file: (
    /** @type {File} */
    file
  ) }));
}

// src/queue/format.js
var formats_in = (lang) => [0, 1].map((decimals) => new Intl.NumberFormat(lang, { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
function valid_formats(lang) {
  try {
    return formats_in(lang || void 0);
  } catch (error) {
    return formats_in();
  }
}
function formats(lang = "", texts = {}) {
  const [whole2, decimal] = valid_formats(lang);
  const say = (key) => texts[key] || text(key);
  const format = {
    /** Never rounded up: 100 % means that nothing is missing. @param {number} fraction */
    percent: (fraction) => `${format.count(Math.floor(100 * fraction + 1e-9))} %`,
    /** @param {number} files */
    count: (files) => whole2.format(files),
    /** @param {number} bytes */
    size(bytes) {
      const power = bytes < 1e3 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
      return `${(power ? decimal : whole2).format(bytes / 1e3 ** power)} ${say("units")[power]}`;
    },
    /** @param {number} bytes_per_s */
    speed: (bytes_per_s) => say("per_second")(format.size(bytes_per_s)),
    /** @param {number} seconds rounded up */
    time(seconds) {
      const s = Math.ceil(seconds);
      const min = Math.ceil(seconds / 60);
      if (s < 60) return say("seconds")(s);
      return min < 60 ? say("minutes")(min) : say("hours")(Math.floor(min / 60), min % 60);
    }
  };
  return format;
}

// src/queue/queue.js
import incoming4 from "./incoming.mjs";

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

// src/queue/item.js
import incoming3 from "./incoming.mjs";

// src/queue/tickets.js
var FIRST_WAIT_S = 1;
var MAX_WAIT_S = 30;
var ANSWER_S = 60;
var MAX_TEXT = 500;
var LATER = [408, 423, 425, 429];
function failure(message, more) {
  return Object.assign(new Error(message), more);
}
function wait_s(tries, { retry_after_s = 0 }, random) {
  const own_s = Math.min(FIRST_WAIT_S * 2 ** (tries - 1), MAX_WAIT_S) * (0.75 + random / 2);
  return Math.max(own_s, Number(retry_after_s) || 0);
}
function ticket_from(url, { headers = {}, fields = {}, credentials = "same-origin" } = {}) {
  return async (item, signal) => {
    const { file, path } = item;
    const folder = "files_total" in file ? { destType: "folder", files: String(file.files_total) } : {};
    const sent = { name: file.name || "upload", size: String(file.size), type: file.type || "", path, ...folder };
    const body = new URLSearchParams({ ...sent, ...of_item(fields, item) });
    const limit = new AbortController();
    const give_up = () => limit.abort();
    const timer = setTimeout(give_up, ANSWER_S * 1e3);
    signal.addEventListener("abort", give_up);
    try {
      const answer = await fetch(String(url), {
        method: "POST",
        body,
        headers: of_item(headers, item),
        credentials,
        signal: limit.signal
      });
      return ticket_in(answer.status, await answer.text(), Number(answer.headers.get("Retry-After")));
    } catch (error) {
      if (
        /** @type {any} */
        error.retry !== void 0
      ) throw error;
      throw failure(text("no_ticket"), { retry: !signal.aborted });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", give_up);
    }
  };
}
function of_item(value, item) {
  return typeof value === "function" ? value(item) : value;
}
function ticket_in(status, body, retry_after_s) {
  const answer = parsed(body);
  if (status >= 500 || LATER.includes(status)) {
    throw failure(text("no_ticket"), { retry: true, retry_after_s: retry_after_s || 0 });
  }
  if (status < 200 || status >= 300) throw failure(reason_in(answer) || text("ticket_refused"), { retry: false });
  const { id, url } = Object(answer);
  const ticket = typeof answer === "string" ? answer : id || String(url || "").replace(/[?#].*/, "").split("/").pop();
  if (typeof ticket !== "string" || !/^[\x21-\x7e]+$/.test(ticket) || ticket[0] === "<") {
    throw failure(text("not_a_ticket"), { retry: false });
  }
  return ticket;
}
function parsed(body) {
  try {
    const value = JSON.parse(body);
    return typeof value === "number" ? body.trim() : value;
  } catch (error) {
    return body.trim();
  }
}
function reason_in(answer) {
  const { message, error, detail } = Object(answer);
  const words = [answer, message, error && error.message, error, detail].find((one) => typeof one === "string" && one);
  return words && words[0] !== "<" ? words.slice(0, MAX_TEXT) : "";
}

// src/queue/item.js
var ENDED = ["finished", "failed", "cancelled", "refused"];
var TICKET_IS_GOOD = [20, 21, 100, 102, 103, 106, 107];
var Item = class {
  /** @param {Queue} queue @param {number} id @param {File | incoming.Folder} file @param {Origin} origin */
  constructor(queue, id, file, { path, begun, handle = null }) {
    this.queue = queue;
    this.id = id;
    this.file = file;
    this.path = path;
    this.handle = handle;
    this.state = /** @type {ItemState} */
    "waiting";
    this.message = "";
    this.code = "";
    this.bytes_acked = begun ? begun.bytes_acked : 0;
    this.upload_id = begun ? begun.upload_id : "";
    this.uploader = /** @type {incoming.Uploader | null} */
    null;
    this.asking = /** @type {Promise<void> | null} */
    null;
    this.wanted = /** @type {AbortController | null} */
    null;
    this.try_now = /** @type {(() => void) | null} */
    null;
    this.seen = /** @type {ItemSnapshot | null} */
    null;
  }
  get ended() {
    return ENDED.includes(this.state);
  }
  get can_cancel() {
    return !this.ended && (!this.uploader || this.uploader.can_cancel);
  }
  get can_pause() {
    return this.can_cancel && this.state !== "paused";
  }
  get can_resume() {
    return this.can_cancel && this.state === "paused";
  }
  get can_retry() {
    return this.state === "failed" || this.state === "running" && (this.try_now !== null || can_retry(this.uploader));
  }
  /** A code in place of the sentence in `message`; "" where there is nothing to explain. */
  get reason() {
    const { reason = "" } = (
      /** @type {{reason?: string}} */
      this.uploader || {}
    );
    return this.code || reason;
  }
  pause() {
    if (!this.can_pause) return;
    this.become("paused");
    if (this.uploader) this.uploader.pause("pause");
    if (this.try_now) this.try_now();
  }
  resume() {
    if (this.can_resume) this.become("waiting");
  }
  cancel() {
    if (this.uploader) this.uploader.cancel();
    else if (!this.ended) {
      if (this.wanted) this.wanted.abort();
      this.become("cancelled", { code: "user" });
    }
  }
  /** Tries a failed item again, and retries at once if a retry is scheduled. */
  retry() {
    if (this.state === "running") {
      if (this.try_now) this.try_now();
      else if (this.uploader && can_retry(this.uploader)) retry_now(this.uploader);
    } else if (this.state === "failed") {
      const keeps = this.uploader && TICKET_IS_GOOD.includes(Number(this.uploader.error_code));
      this.uploader = null;
      this.become("waiting", keeps ? {} : { upload_id: "", bytes_acked: 0 });
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
    const frac_complete = state === "finished" ? 1 : bytes_acked / (file.size || 1);
    const { ended, can_pause, can_resume, can_cancel, can_retry: can_retry2 } = this;
    const upload = uploader && values_of(uploader);
    return {
      item: this,
      id,
      file,
      path,
      handle,
      state,
      message,
      reason,
      bytes_acked,
      frac_complete,
      upload_id,
      ended,
      can_pause,
      can_resume,
      can_cancel,
      can_retry: can_retry2,
      upload
    };
  }
  /** Takes a place; for the queue to call. */
  async run() {
    this.become("running");
    if (this.uploader) {
      this.uploader.pause("unpause");
      return;
    }
    if (!this.upload_id) await this.ask();
    if (this.state === "running" && this.upload_id && !this.uploader) this.upload();
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
    const { signal } = this.wanted = new AbortController();
    for (let tries = 1; ; tries++) {
      try {
        const ticket = await this.queue.get_ticket(this, signal);
        if (this.ended) return;
        if (typeof ticket !== "string" || !ticket) throw new Error(text("not_a_ticket"));
        this.upload_id = ticket;
        this.note("", "");
        return;
      } catch (error) {
        if (this.state !== "running") return;
        const { message, retry, retry_after_s } = Object(error);
        if (!retry) {
          this.become("failed", { message: message || text("ticket_refused"), code: "ticket_refused" });
          return;
        }
        await this.wait(wait_s(tries, { retry_after_s }, Math.random()));
        if (this.state !== "running") return;
      }
    }
  }
  /** Waits, or until somebody has an idea that it could work now. @param {number} seconds */
  async wait(seconds) {
    await new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        if (typeof window !== "undefined") window.removeEventListener("online", done);
        this.try_now = null;
        resolve(void 0);
      };
      const timer = setTimeout(done, seconds * 1e3);
      if (typeof window !== "undefined") window.addEventListener("online", done);
      this.try_now = done;
      this.note(text("no_ticket"), "no_ticket");
    });
  }
  upload() {
    const uploader = this.new_uploader();
    if (!uploader) return;
    this.uploader = uploader;
    const own = (listener) => () => {
      if (this.uploader === uploader) listener();
    };
    uploader.addEventListener("progress", own(() => this.queue.progressed(this, uploader.bytes_acked)));
    uploader.addEventListener("finished", own(() => this.become("finished")));
    uploader.addEventListener("cancelled", own(() => this.become("cancelled", { message: uploader.cancel_msg })));
    uploader.addEventListener("error", own(() => this.become("failed", { message: uploader.error_msg })));
    uploader.start();
  }
  /** @returns {incoming.Uploader | null} */
  new_uploader() {
    const { Uploader = incoming3.Uploader, uploader_options } = this.queue;
    const options = typeof uploader_options === "function" ? uploader_options(this) : uploader_options;
    try {
      return new /** @type {any} */
      Uploader(this.upload_id, this.file, options);
    } catch (error) {
      this.become("failed", { message: (
        /** @type {Error} */
        error.message
      ), code: "error" });
      return null;
    }
  }
  /** @param {string} message @param {string} code of what it waits for */
  note(message, code) {
    if (message !== this.message || code !== this.code) this.become(this.state, { message, code });
  }
  /** @param {ItemState} state @param {{message?: string, code?: string, upload_id?: string, bytes_acked?: number}} [more] */
  become(state, more = {}) {
    this.queue.change(this, { state, message: "", code: "", ...more });
  }
  /** Leaves it as it is, for another page or a later visit. */
  dispose() {
    const uploader = (
      /** @type {any} */
      this.uploader
    );
    if (this.wanted) this.wanted.abort();
    if (this.try_now) this.try_now();
    this.uploader = null;
    if (uploader && uploader.dispose) uploader.dispose();
    else if (uploader) uploader.pause("pause");
  }
};
function can_retry(uploader) {
  const { can_retry: can = uploader && uploader.retrying } = (
    /** @type {any} */
    uploader || {}
  );
  return Boolean(can);
}
function retry_now(uploader) {
  if (uploader.retry_now) uploader.retry_now();
  else uploader.pause("pause").pause("unpause");
}
function values_of(uploader) {
  return uploader.snapshot ? uploader.snapshot() : Object.freeze(JSON.parse(JSON.stringify(uploader)));
}

// src/queue/speed.js
var WINDOW_MS = 8e3;
var FIRST_MS = 1e3;
var GRAIN_MS = 250;
var Speed = class {
  constructor() {
    this.moved_bytes = 0;
    this.marks = /** @type {{at_ms: number, moved_bytes: number}[]} */
    [];
  }
  /** @param {number} now_ms a clock that is never put back @param {number} bytes that have been acknowledged just now */
  move(now_ms, bytes) {
    this.look(now_ms);
    this.moved_bytes += bytes;
  }
  /** Forgets what was: a pause, or no network, is not slowness. */
  stop() {
    this.marks = [];
  }
  /** Bytes a second. @param {number} now_ms */
  at(now_ms) {
    this.look(now_ms);
    const [first] = this.marks;
    const passed_ms = now_ms - first.at_ms;
    return passed_ms < FIRST_MS ? 0 : (this.moved_bytes - first.moved_bytes) * 1e3 / passed_ms;
  }
  /** @param {number} now_ms */
  look(now_ms) {
    const { marks, moved_bytes } = this;
    if (!marks.length || marks[marks.length - 1].at_ms <= now_ms - GRAIN_MS) marks.push({ at_ms: now_ms, moved_bytes });
    while (marks.length > 2 && marks[1].at_ms <= now_ms - WINDOW_MS) marks.shift();
  }
};

// src/queue/totals.js
var STATES = ["waiting", "running", "paused", "finished", "failed", "cancelled", "refused"];
var LEFT_OUT = ["cancelled", "refused"];
var Sums = class {
  constructor() {
    this.count = /** @type {Record<ItemState, number>} */
    {};
    for (const state of STATES) this.count[state] = 0;
    this.bytes_total = 0;
    this.bytes_acked = 0;
    this.bytes_left = 0;
    this.files = 0;
  }
  /**
   * Adds what an item is at the moment, or takes it away.
   * @param {Item} item @param {1 | -1} sign
   */
  add({ state, file, bytes_acked }, sign) {
    this.count[state] += sign;
    if (LEFT_OUT.includes(state)) return;
    this.files += sign;
    this.bytes_total += sign * file.size;
    this.bytes_acked += sign * bytes_acked;
    if (state === "running" || state === "waiting") this.bytes_left += sign * (file.size - bytes_acked);
  }
  /** @param {number} bytes_per_s @returns {import('../../queue.mjs').Totals} */
  totals(bytes_per_s) {
    const { count, files, bytes_total, bytes_acked, bytes_left } = this;
    return Object.freeze({
      files,
      waiting: count.waiting,
      running: count.running,
      paused: count.paused,
      finished: count.finished,
      failed: count.failed,
      cancelled: count.cancelled,
      refused: count.refused,
      bytes_total,
      bytes_acked,
      frac_complete: bytes_total ? bytes_acked / bytes_total : count.finished / (files || 1),
      bytes_per_s,
      seconds_left: bytes_per_s ? bytes_left / bytes_per_s : null
    });
  }
};

// src/queue/queue.js
var AT_ONCE = 3;
var LOOK_AGAIN_MS = 1e3;
var BUSY_MS = 10;
function check(condition, complaint) {
  if (!condition) throw new TypeError("incoming-uploads/queue: " + complaint);
}
var Queue = class {
  /** @param {Options} options */
  constructor({ get_ticket, at_once = AT_ONCE, restrictions = {}, uploader_options, Uploader, resume_unfinished = false, onchange = null }) {
    check(typeof get_ticket === "function", "get_ticket has to be a function that returns the id of a ticket");
    this.get_ticket = get_ticket;
    this.restrictions = restrictions;
    this.uploader_options = uploader_options;
    this.Uploader = Uploader;
    this.resume_unfinished = resume_unfinished;
    this.onchange = onchange;
    this.items = /** @type {Item[]} */
    [];
    this.sums = new Sums();
    this.speed = new Speed();
    this.subscribers = new Subscribers();
    this.running = /** @type {Set<Item>} */
    /* @__PURE__ */ new Set();
    this.by_file = /** @type {Map<string, Item>} */
    /* @__PURE__ */ new Map();
    this.first_waiting = 0;
    this.last_id = 0;
    this.holds = 0;
    this.is_filling = false;
    this.is_disposed = false;
    this.ticking = /** @type {ReturnType<typeof setInterval> | undefined} */
    void 0;
    this.seen = /** @type {QueueSnapshot | null} */
    null;
    this.places = AT_ONCE;
    this.at_once = at_once;
  }
  get at_once() {
    return this.places;
  }
  set at_once(count) {
    check(Number.isInteger(count) && count > 0, "at_once has to be a whole number above 0");
    this.places = count;
    this.fill();
  }
  // ---- the list ----
  /** @param {Source} file @param {AddOptions} [options] */
  add(file, options = {}) {
    return this.add_checked(file, options, this.unfinished());
  }
  /**
   * Adds what `files_of` finds in it, without what is refused.
   * @param {import('../../queue.mjs').FileSource} source @param {AddAllOptions} [options]
   */
  async add_all(source, { folders = false, check: check_first, onlisting } = {}) {
    const found = files_of(source, { folders });
    const [added, refused] = [
      /** @type {Item[]} */
      [],
      /** @type {Refusal[]} */
      []
    ];
    const unfinished = this.unfinished();
    let began_ms = performance.now();
    for await (const { file, path, handle, folder } of found) {
      if (this.is_disposed) break;
      const listed = folder && await this.list(folder, path, onlisting);
      const one = listed ? listed.folder : file;
      if (listed) refused.push(...listed.refused);
      if (one) {
        const refusal = check_first && check_first(one, path) || this.refusal_of(one, path);
        if (refusal) refused.push(refusal);
        else added.push(this.add_checked(one, { path, handle }, unfinished));
      } else if (!listed) {
        refused.push(unreadable(path, "unreadable"));
      }
      if (performance.now() > began_ms + BUSY_MS) {
        await new Promise((resolve) => setTimeout(resolve));
        began_ms = performance.now();
      }
    }
    return { added, refused };
  }
  /**
   * Adds all files that are in it as one item: one upload of a folder.
   * @param {any} source @param {AddOptions & {onprogress?: (files: number) => void}} [options]
   */
  async add_folder(source, options = {}) {
    return this.add(await incoming4.list_folder(source, options), options);
  }
  /**
   * Lists a folder for `add_all`. @param {any} folder @param {string} path @param {AddAllOptions['onlisting']} tell
   * @returns {Promise<{folder: incoming.Folder | null, refused: Refusal[]}>} no folder: it has no files
   */
  async list(folder, path, tell = () => {
  }) {
    tell(path, 0);
    try {
      const read = await read_folder(folder, this.restrictions.accept, (files) => tell(path, files));
      if (read.refused.length || read.folder && read.folder.files_total) return read;
      return { folder: null, refused: [unreadable(path, "no_files")] };
    } finally {
      tell(path, null);
    }
  }
  /** @param {Source} file @param {AddOptions} options @param {incoming.UnfinishedUpload[]} unfinished */
  add_checked(file, { path = path_of(file), begun, handle }, unfinished) {
    check(!this.is_disposed, "the queue was disposed of");
    const refusal = this.refusal_of(file, path);
    const twin = this.find(file, path);
    if (!refusal && twin && twin.state !== "finished" && this.restrictions.disallow_duplicates) {
      this.remove(twin);
      unfinished.push(...this.unfinished().filter(({ upload_id }) => upload_id === twin.upload_id));
    }
    const resumed = refusal ? void 0 : begun || this.begun(file, unfinished);
    const item = new Item(this, ++this.last_id, file, { path, begun: resumed, handle });
    if (refusal) Object.assign(item, { state: "refused", message: refusal.message, code: refusal.code });
    else this.by_file.set(key_of(file, path), item);
    this.items.push(item);
    this.sums.add(item, 1);
    this.tell(item);
    this.fill();
    return item;
  }
  /** Why this file can't be added, or null. @param {Source} file @param {string} path */
  refusal_of(file, path) {
    return refusal_of(file, this.restrictions, listed_in(this), path);
  }
  /** The item of this file, the newest one if there are several. @param {Source} file @param {string} [path] */
  find(file, path = path_of(file)) {
    return this.by_file.get(key_of(file, path)) || null;
  }
  unfinished() {
    const { resume_unfinished } = this;
    if (!resume_unfinished || !incoming4) return [];
    const here = new Set(this.items.map(({ upload_id }) => upload_id));
    const all = typeof resume_unfinished === "function" ? resume_unfinished() : incoming4.unfinished();
    return all.filter(({ upload_id }) => !here.has(upload_id));
  }
  /** Takes the upload of this file off the list of unfinished ones. @param {Source} file @param {incoming.UnfinishedUpload[]} unfinished */
  begun(file, unfinished) {
    const at = unfinished.findIndex((upload) => incoming4.matches(upload, file));
    return at < 0 ? void 0 : unfinished.splice(at, 1)[0];
  }
  /** Takes an item that has ended off the list. @param {Item} item @returns {boolean} false if it has not ended */
  remove(item) {
    if (!item.ended || !this.items.includes(item)) return false;
    this.drop([item]);
    return true;
  }
  /** Takes those that have ended off the list: in these states, or in any. @param {...ItemState} states */
  clear(...states) {
    const wanted = ({ state, ended }) => ended && (!states.length || states.includes(state));
    const dropped = this.items.filter(wanted);
    if (dropped.length) this.drop(dropped);
    return dropped;
  }
  /** @param {Item[]} dropped */
  drop(dropped) {
    const gone = new Set(dropped);
    this.items = this.items.filter((item) => !gone.has(item));
    this.first_waiting = 0;
    for (const item of dropped) {
      const key = key_of(item.file, item.path);
      if (this.by_file.get(key) === item) this.by_file.delete(key);
      this.sums.add(item, -1);
    }
    this.tell(null);
  }
  /** Moves an item to another place in the list: those that wait start in its order. @param {Item} item @param {number} index */
  move(item, index) {
    const from = this.items.indexOf(item);
    if (from < 0) return;
    this.items = this.items.filter((other) => other !== item);
    this.items.splice(index, 0, item);
    this.first_waiting = 0;
    this.tell(null);
  }
  /** @param {...ItemState} states */
  in_state(...states) {
    return this.items.filter((item) => states.includes(item.state));
  }
  // ---- all of them ----
  pause() {
    this.all("pause");
  }
  resume() {
    this.all("resume");
  }
  cancel() {
    this.all("cancel");
  }
  retry() {
    this.all("retry");
  }
  /**
   * Places that become free are taken afterwards, or those that wait would start for a moment.
   * @param {'pause' | 'resume' | 'cancel' | 'retry'} action
   */
  all(action) {
    this.holds += 1;
    try {
      this.items.forEach((item) => item[action]());
    } finally {
      this.holds -= 1;
    }
    this.fill();
  }
  /** Stops here what has not ended, and takes it off the list: another page can continue it. */
  leave_unfinished() {
    const left = this.items.filter(({ ended }) => !ended);
    left.forEach((item) => this.running.delete(item));
    this.drop(left);
    this.keep_time();
    left.forEach((item) => {
      item.state = "cancelled";
      item.dispose();
    });
  }
  /** Stops here, and leaves all uploads as they are: another page can continue them. */
  dispose() {
    if (this.is_disposed) return;
    this.is_disposed = true;
    this.subscribers.clear();
    this.onchange = null;
    this.items.forEach((item) => item.dispose());
    clearInterval(this.ticking);
  }
  // ---- what it looks like ----
  totals() {
    const now_ms = performance.now();
    if (!this.is_moving()) this.speed.stop();
    return this.sums.totals(this.is_moving() ? this.speed.at(now_ms) : 0);
  }
  /** Whether an upload runs that has a connection, or is about to have one. */
  is_moving() {
    return [...this.running].some(({ uploader }) => !uploader || !uploader.retrying);
  }
  /** @returns {QueueSnapshot} the same object until something changes */
  snapshot() {
    if (!this.seen) {
      const items = Object.freeze(this.items.map((item) => item.snapshot()));
      this.seen = Object.freeze({ items, totals: this.totals() });
    }
    return this.seen;
  }
  /** @param {() => void} listener @param {{per_frame?: boolean}} [options] */
  subscribe(listener, { per_frame = false } = {}) {
    const end = this.subscribers.add(listener, per_frame);
    this.keep_time();
    return () => {
      end();
      this.keep_time();
    };
  }
  /** While somebody looks, and something moves, the totals change by themselves. */
  keep_time() {
    const wanted = this.running.size > 0 && this.subscribers.entries.size > 0 && !this.is_disposed;
    if (wanted && this.ticking === void 0) this.ticking = setInterval(() => this.tick(), LOOK_AGAIN_MS);
    if (wanted || this.ticking === void 0) return;
    clearInterval(this.ticking);
    this.ticking = void 0;
  }
  tick() {
    const { bytes_per_s } = this.totals();
    if (!this.seen || bytes_per_s !== this.seen.totals.bytes_per_s) this.tell(null);
  }
  // ---- for items ----
  /** @param {Item} item @param {Partial<Pick<Item, 'state' | 'message' | 'code' | 'upload_id' | 'bytes_acked'>>} values */
  change(item, values) {
    if (this.is_disposed) return;
    this.sums.add(item, -1);
    Object.assign(item, values);
    this.sums.add(item, 1);
    if (item.state === "running") this.running.add(item);
    else this.running.delete(item);
    if (item.state === "waiting") this.first_waiting = 0;
    if (!this.is_moving()) this.speed.stop();
    this.keep_time();
    this.tell(item);
    this.fill();
  }
  /** @param {Item} item @param {number} bytes_acked */
  progressed(item, bytes_acked) {
    const moved_bytes = Math.max(0, bytes_acked - item.bytes_acked);
    if (moved_bytes) {
      this.sums.add(item, -1);
      item.bytes_acked = bytes_acked;
      this.sums.add(item, 1);
      this.speed.move(performance.now(), moved_bytes);
    }
    if (!this.is_moving()) this.speed.stop();
    this.tell(item);
  }
  /** @param {Item | null} item null for the list, and for sums that change by themselves */
  tell(item) {
    if (item) item.seen = null;
    this.seen = null;
    try {
      if (this.onchange) this.onchange(item);
    } catch (error) {
      report(error);
    }
    this.subscribers.notify();
  }
  /** Gives free places to those that wait. */
  fill() {
    if (this.is_filling) return;
    this.is_filling = true;
    while (!this.holds && !this.is_disposed && this.running.size < this.places) {
      while (this.first_waiting < this.items.length && this.items[this.first_waiting].state !== "waiting") {
        this.first_waiting += 1;
      }
      if (this.first_waiting === this.items.length) break;
      this.items[this.first_waiting].run();
    }
    this.is_filling = false;
  }
};
function key_of({ size, lastModified }, path) {
  return `${size} ${lastModified} ${path}`;
}
function unreadable(path, why) {
  return { code: "unreadable", message: text(why), file: null, path };
}
function listed_in(queue) {
  const { files, bytes_total } = queue.totals();
  return {
    files,
    bytes_total,
    has(file, path) {
      const twin = queue.find(file, path);
      return twin !== null && !twin.ended;
    }
  };
}
function check_file(file, restrictions, queue) {
  return refusal_of(file, restrictions, queue && listed_in(queue));
}
export {
  Queue,
  check_file,
  files_in,
  files_of,
  formats,
  is_accepted,
  ticket_from
};
