/*! incoming-upload.js 0.3.0: a field that uploads files to an Incoming!! server. MIT license. */
// Built by scripts/build-library.mjs: make changes in static/src, which has the comments, too.
"use strict";
(() => {
  // global:incoming.mjs
  var incoming_default = window.incoming;

  // src/queue/texts.js
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
    hours: (h2, min) => `${h2} h ${min} min`
  };
  function text(key) {
    const { texts = {} } = (
      /** @type {{texts?: any}} */
      incoming_default || {}
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
  function is_above(number, limit2) {
    return typeof limit2 === "number" && number > limit2;
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
  async function read_folder(source, accept, onprogress) {
    const folder = await incoming_default.list_folder(source, { onprogress });
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
    return { folder: taken.length ? await incoming_default.list_folder(taken) : null, refused };
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
      const limit2 = new AbortController();
      const give_up = () => limit2.abort();
      const timer = setTimeout(give_up, ANSWER_S * 1e3);
      signal.addEventListener("abort", give_up);
      try {
        const answer = await fetch(String(url), {
          method: "POST",
          body,
          headers: of_item(headers, item),
          credentials,
          signal: limit2.signal
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
      const own2 = (listener) => () => {
        if (this.uploader === uploader) listener();
      };
      uploader.addEventListener("progress", own2(() => this.queue.progressed(this, uploader.bytes_acked)));
      uploader.addEventListener("finished", own2(() => this.become("finished")));
      uploader.addEventListener("cancelled", own2(() => this.become("cancelled", { message: uploader.cancel_msg })));
      uploader.addEventListener("error", own2(() => this.become("failed", { message: uploader.error_msg })));
      uploader.start();
    }
    /** @returns {incoming.Uploader | null} */
    new_uploader() {
      const { Uploader = incoming_default.Uploader, uploader_options } = this.queue;
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
      const unfinished2 = this.unfinished();
      let began_ms = performance.now();
      for await (const { file, path, handle, folder } of found) {
        if (this.is_disposed) break;
        const listed = folder && await this.list(folder, path, onlisting);
        const one = listed ? listed.folder : file;
        if (listed) refused.push(...listed.refused);
        if (one) {
          const refusal = check_first && check_first(one, path) || this.refusal_of(one, path);
          if (refusal) refused.push(refusal);
          else added.push(this.add_checked(one, { path, handle }, unfinished2));
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
      return this.add(await incoming_default.list_folder(source, options), options);
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
    add_checked(file, { path = path_of(file), begun, handle }, unfinished2) {
      check(!this.is_disposed, "the queue was disposed of");
      const refusal = this.refusal_of(file, path);
      const twin = this.find(file, path);
      if (!refusal && twin && twin.state !== "finished" && this.restrictions.disallow_duplicates) {
        this.remove(twin);
        unfinished2.push(...this.unfinished().filter(({ upload_id }) => upload_id === twin.upload_id));
      }
      const resumed = refusal ? void 0 : begun || this.begun(file, unfinished2);
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
      if (!resume_unfinished || !incoming_default) return [];
      const here = new Set(this.items.map(({ upload_id }) => upload_id));
      const all = typeof resume_unfinished === "function" ? resume_unfinished() : incoming_default.unfinished();
      return all.filter(({ upload_id }) => !here.has(upload_id));
    }
    /** Takes the upload of this file off the list of unfinished ones. @param {Source} file @param {incoming.UnfinishedUpload[]} unfinished */
    begun(file, unfinished2) {
      const at = unfinished2.findIndex((upload) => incoming_default.matches(upload, file));
      return at < 0 ? void 0 : unfinished2.splice(at, 1)[0];
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

  // src/resume/database.js
  var NAME = "incoming";
  var STORE = "handles";
  var OPEN_TIMEOUT_MS = 3e3;
  async function with_rows(mode, act) {
    let database = null;
    try {
      database = await opened();
      const transaction = database.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      await completed(transaction);
      return request.result;
    } catch (error) {
      return null;
    } finally {
      if (database) database.close();
    }
  }
  function opened() {
    return new Promise((resolve, reject) => {
      const request = indexedDB.open(NAME, 1);
      let is_late = false;
      const timer = setTimeout(() => {
        is_late = true;
        reject(new Error("timeout"));
      }, OPEN_TIMEOUT_MS);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "upload_id" });
      request.onerror = (event) => {
        event.preventDefault();
        clearTimeout(timer);
        reject(request.error);
      };
      request.onsuccess = () => {
        clearTimeout(timer);
        if (is_late) request.result.close();
        resolve(request.result);
      };
    });
  }
  function completed(transaction) {
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = transaction.onerror = (event) => {
        event.preventDefault();
        reject(transaction.error);
      };
    });
  }

  // src/resume/core.js
  var KEY_PREFIX = "incoming:";
  function library() {
    return (
      /** @type {any} */
      window.incoming
    );
  }

  // src/storage.js
  function with_storage(use) {
    try {
      return use(localStorage);
    } catch (error) {
      return null;
    }
  }

  // src/resume/owners.js
  var PREFIX = "incoming-upload:";
  var KEEP_DAYS = 30;
  function own(upload_id, owner) {
    with_storage((storage) => storage.setItem(PREFIX + upload_id, JSON.stringify({ owner, at_ms: Date.now() })));
  }
  function disown(upload_id) {
    with_storage((storage) => storage.removeItem(PREFIX + upload_id));
  }
  function owned_by(owner) {
    const ids = /* @__PURE__ */ new Set();
    with_storage((storage) => {
      for (const key of Object.keys(storage).filter((name) => name.startsWith(PREFIX))) {
        const entry = parsed2(storage.getItem(key));
        if (!(entry.at_ms > Date.now() - KEEP_DAYS * 864e5)) storage.removeItem(key);
        else if (entry.owner === owner) ids.add(key.slice(PREFIX.length));
      }
    });
    return ids;
  }
  function parsed2(text2) {
    try {
      return Object(JSON.parse(String(text2)));
    } catch (error) {
      return {};
    }
  }

  // src/resume/handles.js
  var UNLISTED_DAYS = 1;
  var changes = Promise.resolve();
  function change(act) {
    const changed = changes.then(() => with_rows("readwrite", act)).then(() => void 0);
    changes = changed;
    return changed;
  }
  async function remember(upload_id, handle, owner) {
    if (owner) own(upload_id, owner);
    if (handle) await change((rows) => rows.put({ upload_id, handle, kept_at_ms: Date.now() }));
  }
  function drop(upload_id) {
    disown(upload_id);
    return change((rows) => rows.delete(upload_id));
  }
  async function all_handles() {
    await changes;
    const rows = await with_rows("readonly", (store) => store.getAll()) || [];
    const listed = listed_ids();
    const oldest_ms = Date.now() - UNLISTED_DAYS * 864e5;
    const is_kept = (row) => listed.has(row.upload_id) || row.kept_at_ms > oldest_ms;
    rows.filter((row) => !is_kept(row)).forEach(({ upload_id }) => drop(upload_id));
    return new Map(rows.filter(is_kept).map(({ upload_id, handle }) => [upload_id, handle]));
  }
  function listed_ids() {
    const ids = /* @__PURE__ */ new Set();
    try {
      for (const key of Object.keys(localStorage)) {
        if (key.startsWith(KEY_PREFIX)) ids.add(JSON.parse(String(localStorage.getItem(key))).upload_id);
      }
    } catch (error) {
    }
    return ids;
  }
  async function reopen(handle) {
    try {
      const permission = handle.requestPermission ? await handle.requestPermission({ mode: "read" }) : "granted";
      if (permission !== "granted") return null;
      return handle.getFile ? await handle.getFile() : handle;
    } catch (error) {
      return null;
    }
  }
  function listen() {
    window.addEventListener("incoming:ended", (event) => drop(
      /** @type {CustomEvent<string>} */
      event.detail
    ));
  }
  function forget(upload_id, options) {
    library().forget(upload_id, options);
    return drop(upload_id);
  }

  // src/resume/awake.js
  var RETRY_MS = 6e4;
  function keep_awake(sender) {
    const { wakeLock } = (
      /** @type {{wakeLock: WakeLock}} */
      navigator
    );
    if (!wakeLock) return () => {
    };
    let sentinel = null;
    let is_asking = false;
    let is_refused = false;
    let is_over = false;
    let retrying_since_ms = 0;
    let timer = 0;
    function wants() {
      if (is_over || document.visibilityState !== "visible") return false;
      const busy = uploaders_of(sender).filter(is_busy);
      if (busy.some(({ retrying }) => !retrying)) {
        retrying_since_ms = 0;
        return true;
      }
      if (!busy.length) return false;
      retrying_since_ms = retrying_since_ms || Date.now();
      const left_ms = retrying_since_ms + RETRY_MS - Date.now();
      clearTimeout(timer);
      if (left_ms > 0) timer = setTimeout(check2, left_ms);
      return left_ms > 0;
    }
    async function check2() {
      if (!wants()) {
        is_refused = false;
        if (sentinel) sentinel.release();
        sentinel = null;
      } else if (!sentinel && !is_asking && !is_refused) {
        is_asking = true;
        try {
          sentinel = await wakeLock.request("screen");
          sentinel.onrelease = () => {
            sentinel = null;
          };
        } catch (error) {
          is_refused = true;
        }
        is_asking = false;
        if (sentinel && !wants()) check2();
      }
    }
    function end() {
      is_over = true;
      clearTimeout(timer);
      stops.forEach((stop) => stop());
      check2();
    }
    const stops = [listen2(document, "visibilitychange", check2)];
    if ("items" in sender) {
      stops.push(sender.subscribe(check2));
    } else {
      stops.push(listen2(sender, "progress", check2));
      for (const ending of ["finished", "cancelled", "error"]) stops.push(listen2(sender, ending, end));
    }
    check2();
    return end;
  }
  function uploaders_of(sender) {
    if (!("items" in sender)) return [sender];
    return (
      /** @type {incoming.Uploader[]} */
      sender.items.map(({ uploader }) => uploader).filter(Boolean)
    );
  }
  function is_busy({ connected, retrying, paused, frac_complete }) {
    return (connected || retrying) && !paused && frac_complete < 1;
  }
  function listen2(target, name, listener) {
    target.addEventListener(name, listener);
    return () => target.removeEventListener(name, listener);
  }

  // src/resume/list.js
  var LIVE_INTERVAL_MS = 1e3;
  var CHANGE_DELAY_MS = 50;
  async function unfinished({ server: server2, owner } = {}) {
    const owned = owner ? owned_by(owner) : null;
    const uploads = library().unfinished({ server: server2, live: true }).filter(({ upload_id }) => !owned || owned.has(upload_id));
    const [held, handles] = await Promise.all([held_locks(), all_handles()]);
    return uploads.map((upload) => ({
      ...upload,
      handle: handles.get(upload.upload_id) || null,
      live: Boolean(upload.live) && (!held || held.some((name) => name.endsWith(":" + upload.upload_id)))
    }));
  }
  async function held_locks() {
    try {
      const { held } = await navigator.locks.query();
      return (held || []).map(({ name }) => String(name)).filter((name) => name.startsWith(KEY_PREFIX));
    } catch (error) {
      return null;
    }
  }
  function watch_unfinished(listener, options) {
    let shown = "";
    let timer = 0;
    let is_over = false;
    async function look() {
      timer = 0;
      const uploads = await unfinished(options);
      if (is_over) return;
      const now = JSON.stringify(uploads);
      if (now !== shown) listener(uploads);
      shown = now;
      if (uploads.some(({ live }) => live)) look_in(LIVE_INTERVAL_MS);
    }
    function look_in(ms) {
      if (is_over) return;
      clearTimeout(timer);
      timer = setTimeout(look, ms);
    }
    function on_event(event) {
      const { key } = (
        /** @type {StorageEvent} */
        event
      );
      if (!key || key.startsWith(KEY_PREFIX)) look_in(CHANGE_DELAY_MS);
    }
    const events = ["storage", "pageshow", "incoming:ended"];
    events.forEach((name) => window.addEventListener(name, on_event));
    look();
    return () => {
      is_over = true;
      clearTimeout(timer);
      events.forEach((name) => window.removeEventListener(name, on_event));
    };
  }

  // src/resume/pick.js
  async function pick_with_handles({ multiple = false, accept = "" }) {
    const { showOpenFilePicker } = (
      /** @type {any} */
      window
    );
    try {
      const handles = await showOpenFilePicker.call(window, { multiple, ...types_of(accept) });
      return await Promise.all(handles.map(async (handle) => {
        const file = await handle.getFile();
        return { path: file.name, file, handle };
      }));
    } catch (error) {
      return (
        /** @type {Error} */
        error.name === "AbortError" ? [] : null
      );
    }
  }
  function types_of(accept) {
    const types = {};
    for (const wish of accept.split(",").map((part) => part.trim().toLowerCase()).filter(Boolean)) {
      if (wish.startsWith(".")) (types["*/*"] = types["*/*"] || []).push(wish);
      else types[wish] = types[wish] || [];
    }
    return Object.keys(types).length ? { types: [{ accept: types }] } : {};
  }

  // src/resume/module.js
  if (typeof window !== "undefined") listen();

  // src/element/dom.js
  function h(what, attributes = {}, ...children2) {
    const [tag, name] = what.split(".");
    const made = (
      /** @type {HTMLElement} */
      document.createElementNS(`http://www.w3.org/${/svg|path/.test(tag) ? "2000/svg" : "1999/xhtml"}`, tag)
    );
    const all = (
      /** @type {Record<string, string>} */
      { ...name && { class: name, part: name }, ...attributes }
    );
    for (const key in all) set(made, key, all[key]);
    made.append(...children2);
    return made;
  }
  function set(where, name, value) {
    if (where.getAttribute(name) === value) return;
    if (value === null) where.removeAttribute(name);
    else where.setAttribute(name, value);
  }
  function put(where, text2) {
    if (where.textContent !== text2) where.textContent = text2;
  }
  function show(where, visible) {
    set(where, "hidden", visible ? null : "");
  }
  function style({ style: all }, name, value) {
    if (all[name] !== value) all[name] = value;
  }

  // src/element/now.js
  function file_now(item) {
    const { id, file, state, can_pause, can_resume, can_retry: can_retry2, upload } = item;
    const { type, size, files_total } = (
      /** @type {incoming.Folder} */
      file
    );
    const now = { ...item, key: String(id), type, size, files_total, upload: upload || {} };
    if (state !== "running") return now;
    if (!upload) return { ...now, state: can_retry2 ? "retrying" : "asking" };
    return { ...now, state: upload.state, message: upload.state_msg, can_pause: can_pause || can_resume };
  }
  function reading_now(path, message) {
    return { key: `/${path}`, path, state: "reading", message, size: 0, files_total: 1, bytes_acked: 0, can_cancel: true, upload: {} };
  }
  function begun_now({ upload_id, filename, bytes_total, files_total, bytes_acked, handle, live }) {
    const state = live ? "elsewhere" : handle ? "begun" : "missing";
    return { key: upload_id, path: filename, state, message: "", size: bytes_total, files_total, bytes_acked, upload: {} };
  }

  // src/element/icons.js
  var SHEET = "M6 3h8l5 5v13H6zM14 3v5h5";
  var PATHS = {
    // Kinds of files.
    file: SHEET,
    text: SHEET + "M9 13h6M9 16h4",
    image: "M3 5h18v14H3zM3 18l6-6 4 4 3-3 5 5M15 9h.01",
    video: "M3 6h12v12H3zM15 11l6-4v10l-6-4",
    audio: "M4 10v4h4l5 4V6l-5 4zM17 9q2 3 0 6M19 6q5 6 0 12",
    archive: "M4 9v11h16V9M3 4h18v5H3zM10 13h4",
    folder: "M3 5h6l3 3h9v11H3z",
    // What a button does.
    pause: "M9 6v12M15 6v12",
    resume: "M8 6v12l10-6z",
    cancel: "M7 7l10 10M17 7L7 17",
    // How an upload has ended, and where files go.
    good: "M5 12l5 5L19 7",
    bad: "M12 4v9M12 20v.01",
    warn: "M12 4v8l5 4",
    upload: "M12 16V5M8 9l4-4 4 4M4 16v4h16v-4"
  };
  PATHS.dismiss = PATHS.forget = PATHS.cancel;
  function icon(name, what = "svg") {
    const svg = h(what, { viewBox: "0 0 24 24", "aria-hidden": "true" }, h("path"));
    set_icon(svg, name);
    return svg;
  }
  function set_icon(svg, name) {
    const path = PATHS[name] || "";
    set(
      /** @type {Element} */
      svg.firstElementChild,
      "d",
      path
    );
    show(svg, path);
  }

  // src/element/row.js
  var TAIL = /(?<=.{4}|$)[ -~]{0,9}$/s;
  var is_in_words = (action) => /^(retry|continue|find)/.test(action);
  function make_row(key) {
    const picture = icon("file");
    const mark = icon("", "svg.badge");
    const stem = h("span.stem");
    const tail = h("span.tail");
    const whole2 = h("span.heard");
    const name = h("div.name", {}, h("span.cut", { dir: "auto", "aria-hidden": "true" }, stem, tail), whole2);
    const words = h("bdi.words");
    const inside = h("bdi.inside");
    const bar = make_bar();
    const go = make_button("");
    const stop = make_button("");
    const root = h(
      "li.row",
      { tabindex: "-1", "data-key": key },
      h("span.icon", {}, picture, mark),
      h("div.text", {}, name, h("div.facts", {}, words, inside)),
      go,
      stop,
      bar.root
    );
    function draw2(row, texts) {
      const { path } = row;
      const file = path.replace(/.*\//s, "");
      const cut = file.search(TAIL);
      put(stem, file.slice(0, cut));
      put(tail, file.slice(cut));
      put(whole2, path);
      set(name, "title", path);
      set_icon(picture, row.kind);
      set_icon(mark, row.tone);
      put_facts(words, row.facts);
      put_facts(inside, row.inside);
      set(inside, "class", row.lacks ? "inside lacks" : "inside");
      set(root, "data-tone", row.tone);
      set(root, "class", `row${row.bar ? " moving" : ""}${row.waits ? " waits" : ""}${is_in_words(row.go) ? " worded" : ""}`);
      bar.draw(row.bar, row.fraction, texts.progress_of(file));
      set_button(go, row.go, file, texts);
      set_button(stop, row.stop, file, texts);
    }
    return { key, root, go, picture, draw: draw2 };
  }
  function put_facts(where, facts) {
    const text2 = facts.join(" · ");
    put(where, text2);
    set(where, "title", text2);
  }
  function make_bar() {
    const fill = h("div.fill");
    const root = h("div.bar", { role: "progressbar" }, fill);
    function draw2(visible, fraction, label) {
      show(root, visible);
      set(root, "aria-label", label);
      set(root, "aria-valuenow", String(Math.floor(100 * fraction)));
      style(fill, "transform", `scaleX(${fraction.toFixed(4)})`);
    }
    return { root, draw: draw2 };
  }
  function make_button(action, look = "square", ...children2) {
    return h("button.button", { type: "button", class: look, "data-action": action }, ...children2);
  }
  function set_button(where, action, name, texts) {
    show(where, action);
    const label = String(
      /** @type {any} */
      texts[action]
    );
    const aria_label = `${label}: ${name}`;
    if (!action || where.ariaLabel === aria_label) return;
    const in_words = is_in_words(action);
    where.ariaLabel = aria_label;
    where.title = in_words ? "" : label;
    where.className = in_words ? `${action === "continue" ? "main" : "quiet"} small` : "square";
    set(where, "data-action", action);
    where.replaceChildren(in_words ? label : icon(action));
  }

  // src/element/rows.js
  function make_rows(list, on_new) {
    let all = (
      /** @type {Map<string, Row>} */
      /* @__PURE__ */ new Map()
    );
    return {
      /** @param {string} key */
      get: (key) => all.get(key),
      /**
       * @param {number[]} indices of those that exist @param {(index: number) => import('./view.js').Row} row_at
       * @param {import('./texts.js').Texts} texts
       */
      draw(indices, row_at, texts) {
        const before = all;
        all = /* @__PURE__ */ new Map();
        for (const index of indices) {
          const view2 = row_at(index);
          const row = before.get(view2.key) || make_row(view2.key);
          if (!before.delete(view2.key)) on_new(row);
          all.set(view2.key, row);
          row.draw(view2, texts);
        }
        before.forEach(({ root }) => root.remove());
        let next = list.firstElementChild;
        for (const { root } of all.values()) {
          if (root === next) next = next.nextElementSibling;
          else list.insertBefore(root, next);
        }
      }
    };
  }

  // src/element/panel.js
  var MANY = 60;
  var ROWS_OUT_OF_SIGHT = 8;
  var MAX_ROWS_IN_SIGHT = 40;
  var FEW = 6;
  var TOTAL_ACTIONS = ["retry_all", "pause_all", "resume_all", "cancel_all", "clear", "keep", "cancel_really"];
  var worded = (action, look, key = action) => h("button.button", { type: "button", class: look, "data-action": action, "data-text": key });
  function make_panel(shadow, on, on_new_row) {
    let view2 = (
      /** @type {View | null} */
      null
    );
    let texts = (
      /** @type {Texts | null} */
      null
    );
    let row_px = 0;
    let follows = true;
    let is_over = false;
    let parked = (
      /** @type {Element | null | undefined} */
      null
    );
    const trouble_text = h("span", { dir: "auto" });
    const trouble = h("div.trouble", { role: "alert", hidden: "" }, icon("bad", "svg.badge"), trouble_text);
    const continue_all = worded("continue_all", "quiet small");
    const begun_list = h("ul.list", { role: "list" });
    const begun = h(
      "div.begun",
      { class: "card", role: "group" },
      h("div.head", {}, h("strong", { "data-text": "continue_title" }), continue_all),
      begun_list
    );
    const title = h("bdi.title");
    const hint = h("bdi.hint");
    const choose = make_button("choose", "main");
    const folder = worded("choose_folder", "quiet");
    const camera = worded("take_photo", "quiet");
    const zone = h(
      "div.dropzone",
      {},
      h("span.sign", {}, icon("upload")),
      h("span.text", {}, title, hint),
      h("span.buttons", {}, choose, folder, camera)
    );
    const refused_title = h("strong");
    const refused_list = h("ul");
    const close = make_button("close", "square", icon("cancel"));
    const refused = h("div.refused", {}, icon("bad", "svg.badge"), h("div.text", {}, refused_title, refused_list), close);
    const headline = h("bdi.headline");
    const failed = h("bdi");
    const show_failed = make_button("show_failed", "link", failed);
    const numbers = h("bdi");
    const total_bar = make_bar();
    const buttons = TOTAL_ACTIONS.map((name) => name === "cancel_really" ? worded(name, "danger small", "cancel_all") : worded(name, "quiet small"));
    const total = h(
      "div.total",
      { tabindex: "-1", role: "group" },
      h("div.sums", {}, headline, show_failed, h("div.facts", {}, numbers), h("strong.question", { "data-text": "cancel_really" })),
      h("div.buttons", {}, ...buttons),
      total_bar.root
    );
    const list = h("ul.list", { role: "list" });
    const scroller = h("div.scroller", {}, list);
    const card = h("div.files", { class: "card" }, total, scroller);
    const news = h("p.heard", { role: "status" });
    const curtain = h("div.curtain", { class: "curtain dropzone large", hidden: "" }, icon("upload"), h("strong", { "data-text": "drop_now" }));
    const root = h("div.root", {}, trouble, begun, zone, refused, card, news, curtain);
    shadow.append(root);
    const begun_rows = make_rows(begun_list, () => {
    });
    const rows = make_rows(list, on_new_row);
    root.addEventListener("click", ({ target }) => {
      const pressed = (
        /** @type {HTMLElement | null} */
        /** @type {Element} */
        target.closest("[data-action]")
      );
      if (pressed) on(String(pressed.dataset.action), key_of2(pressed));
    });
    scroller.addEventListener("scroll", draw_rows);
    for (const type of ["wheel", "keydown", "pointerdown"]) {
      scroller.addEventListener(type, () => {
        follows = false;
      }, { passive: true });
    }
    function draw2(now, table) {
      const restore_focus = remember_focus();
      if (texts !== table) draw_labels(table);
      view2 = now;
      texts = table;
      put(trouble_text, now.trouble);
      show(trouble, now.trouble);
      show(begun, now.begun.length);
      show(continue_all, now.continue_all);
      begun_rows.draw([...now.begun.keys()], (index) => now.begun[index], table);
      set(zone, "class", `dropzone ${now.zone}`);
      show(zone, now.zone);
      put(title, now.title);
      put(hint, now.hint);
      put(choose, now.choose);
      set(choose, "class", now.zone === "large" ? "main" : "quiet");
      show(folder, now.directory);
      show(camera, now.camera);
      show(refused, now.refused.length);
      put(refused_title, now.refused_title);
      if (refused_list.textContent !== now.refused.join("")) {
        refused_list.replaceChildren(...now.refused.map((line) => h("li", { dir: "auto" }, line)));
      }
      show(card, now.count);
      show(total, now.total);
      if (now.total) draw_total(now.total, table);
      draw_rows();
      follow(now);
      root.querySelectorAll("button").forEach((each) => {
        each.disabled = now.disabled;
      });
      draw_class();
      restore_focus();
    }
    function draw_labels(table) {
      root.querySelectorAll("[data-text]").forEach((each) => put(
        each,
        /** @type {any} */
        table[String(
          /** @type {HTMLElement} */
          each.dataset.text
        )]
      ));
      list.ariaLabel = table.uploads;
      begun.ariaLabel = begun_list.ariaLabel = table.continue_title;
      total.ariaLabel = table.all_progress;
      close.ariaLabel = close.title = table.close;
    }
    function draw_total(sums, table) {
      put(headline, sums.headline);
      put(failed, sums.failed);
      show(show_failed, sums.failed);
      put(numbers, sums.facts.join(" · "));
      set(total, "class", `total${sums.asks ? " asks" : ""}`);
      set(total, "data-tone", sums.tone);
      TOTAL_ACTIONS.forEach((name, index) => show(buttons[index], sums.actions.includes(name)));
      total_bar.draw(true, sums.fraction, table.all_progress);
    }
    function draw_rows() {
      if (!view2 || !texts) return;
      const { count, row_at } = view2;
      const is_many = count > MANY;
      set(list, "class", `list${is_many ? " many" : ""}`);
      const first = is_many ? scroller.scrollTop / (row_px || 64) - ROWS_OUT_OF_SIGHT : 0;
      const focused = view2.index_of(key_of2(shadow.activeElement));
      const indices = [...Array(count).keys()].filter((index) => index === focused || index >= first && index < first + (is_many ? MAX_ROWS_IN_SIGHT : MANY));
      rows.draw(indices, row_at, texts);
      if (is_many && !row_px) row_px = /** @type {HTMLElement} */
      list.firstElementChild.offsetHeight;
      style(list, "height", is_many ? `${row_px * count}px` : "");
      for (const index of indices) {
        const { root: row } = (
          /** @type {Row} */
          rows.get(row_at(index).key)
        );
        style(row, "top", is_many ? `${index * row_px}px` : "");
        set(row, "aria-setsize", is_many ? String(count) : null);
        set(row, "aria-posinset", is_many ? String(index + 1) : null);
      }
    }
    function follow({ count, index_of_open, row_at }) {
      const index = index_of_open();
      if (!follows || count < FEW || index < 0) return;
      const row = rows.get(row_at(index).key);
      const top = count > MANY || !row ? index * row_px : row.root.offsetTop;
      if (top > scroller.scrollTop + scroller.clientHeight - 32) scroll_to(top);
    }
    function scroll_to(top) {
      scroller.scrollTop = top;
      draw_rows();
    }
    function go_to_failed() {
      const index = view2 ? view2.index_of_failed() : -1;
      if (!view2 || index < 0) return;
      if (view2.count > MANY) scroll_to(index * row_px);
      rows.get(view2.row_at(index).key)?.go.focus();
    }
    function show_drag(over, anywhere) {
      show(curtain, over && anywhere);
      is_over = over && !anywhere;
      draw_class();
    }
    function draw_class() {
      set(root, "class", `root${view2?.disabled ? " disabled" : ""}${is_over ? " over" : ""}`);
    }
    function remember_focus() {
      const { activeElement: element } = shadow;
      const row = element?.closest("[data-key]");
      const previous = row?.previousElementSibling;
      const next = row?.nextElementSibling;
      const is_there = (each) => each?.getClientRects().length;
      return () => {
        if (!element || is_there(element) && shadow.activeElement === element && element !== parked) return;
        const near = [row, next, previous, ...buttons, total, choose, list.firstElementChild].find(is_there);
        const inside = near && [...near.querySelectorAll("button")].find(is_there);
        const target = (
          /** @type {HTMLElement | undefined} */
          inside || near
        );
        target?.focus({ preventScroll: true });
        parked = inside ? null : target;
      };
    }
    return {
      draw: draw2,
      show_drag,
      go_to_failed,
      /** Where screen readers look for news. */
      news,
      /** What the browser points at when the form can't be submitted. */
      anchor: () => zone.hidden ? card : choose
    };
  }
  function key_of2(inside) {
    return (
      /** @type {HTMLElement | null | undefined} */
      inside?.closest("[data-key]")?.dataset.key || ""
    );
  }

  // src/element/pictures.js
  var SIDE_PX = 80;
  var KEPT = 200;
  var MAX_BYTES = 5e7;
  var kept = /* @__PURE__ */ new Map();
  var last = (
    /** @type {Promise<unknown>} */
    Promise.resolve()
  );
  async function picture_of(file) {
    if (!file.type.startsWith("image/") || file.size > MAX_BYTES) return null;
    let made = kept.get(file);
    if (!made) {
      made = last.then(() => draw(file)).catch(() => null);
      last = made;
      kept.set(file, made);
      if (kept.size > KEPT) kept.delete(
        /** @type {Blob} */
        kept.keys().next().value
      );
    }
    return made;
  }
  async function draw(file) {
    const bitmap = await createImageBitmap(file, { resizeWidth: 2 * SIDE_PX, resizeQuality: "medium" });
    const canvas = (
      /** @type {HTMLCanvasElement} */
      h("canvas")
    );
    canvas.width = canvas.height = SIDE_PX;
    const context = (
      /** @type {CanvasRenderingContext2D} */
      canvas.getContext("2d")
    );
    const part = Math.min(bitmap.width, bitmap.height);
    context.drawImage(bitmap, (bitmap.width - part) / 2, (bitmap.height - part) / 2, part, part, 0, 0, SIDE_PX, SIDE_PX);
    bitmap.close();
    return canvas;
  }

  // src/element/sources.js
  function listen_to_page(element) {
    const on = (event) => {
      const { type, clipboardData, dataTransfer = clipboardData } = event;
      const path = event.composedPath();
      const has_files = dataTransfer && dataTransfer.types.includes("Files");
      const is_free = has_files && !event.defaultPrevented && !path[0].matches?.(":read-write");
      const is_drag = type.startsWith("drag");
      const anywhere = element.drop_anywhere;
      const is_near = path.some((node) => node.localName === element.localName) ? path.includes(element) : anywhere || !is_drag && type !== "drop";
      const is_here = is_free && is_near && element.takes_files;
      if (is_here) event.preventDefault();
      if (is_here && !is_drag) element.take(dataTransfer, null);
      if (type === "dragleave" && event.relatedTarget) return;
      if (type !== "paste") element.panel.show_drag(is_here && is_drag && type !== "dragleave", anywhere);
    };
    const guard = (event) => {
      if (event.defaultPrevented || !event.dataTransfer.types.includes("Files") || event.composedPath()[0].type === "file") return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "none";
    };
    const page = new AbortController();
    for (const type of ["dragenter", "dragover", "dragleave", "drop", "paste"]) document.addEventListener(type, on, page);
    for (const type of ["dragover", "drop"]) window.addEventListener(type, guard, page);
    return () => page.abort();
  }
  function make_inputs(shadow, element) {
    const [files, folder, camera] = ["input", "folder-input", "camera-input"].map((part) => {
      const input = (
        /** @type {HTMLInputElement} */
        h("input", { type: "file", part, hidden: "" })
      );
      input.addEventListener("change", () => {
        const chosen = [...input.files || []];
        input.value = "";
        if (chosen.length) element.add(chosen);
      });
      shadow.append(input);
      return input;
    });
    folder.webkitdirectory = true;
    camera.accept = "image/*";
    function update() {
      files.accept = element.accept;
      files.multiple = element.is_multiple;
      set(camera, "capture", element.capture);
    }
    return { files, folder, camera, update };
  }

  // src/element/speech.js
  var GATHER_MS = 300;
  var QUIET_MS = 5e3;
  var MANY2 = 3;
  function sentence({ added = [], finished = [], failed = [], cancelled = [], left_out = [], connection = [] }, totals, texts) {
    const lost = connection.at(-1);
    return [
      added.length && texts.said_added(added.reduce((sum, files) => sum + files)),
      lost && texts.said_retrying(lost),
      lost === "" && totals.waiting + totals.running + totals.paused && texts.said_running,
      ...failed.slice(0, MANY2).map(([name, why]) => texts.said_failed(name, why)),
      failed.length > MANY2 && texts.files_failed(failed.length),
      ...left_out.slice(0, MANY2).map(([name, paths]) => `${name}: ${texts.left_out(String(paths.length), paths.slice(0, MANY2).join(", "))}.`),
      ...cancelled.slice(0, 1).map(([name]) => texts.said_cancelled(name)),
      finished.length && (totals.files === totals.finished ? texts.said_all_finished(totals.finished) : finished.length > 1 ? texts.said_finished_many(finished.length) : texts.said_finished(finished[0][0]))
    ].filter(Boolean).join(" ");
  }
  function make_speech(compose, place) {
    let news = (
      /** @type {any} */
      {}
    );
    let timer = 0;
    let said_ms = -QUIET_MS;
    function say() {
      const text2 = compose(news);
      stop();
      if (!text2) return;
      said_ms = performance.now();
      put(place, text2);
    }
    function stop() {
      clearTimeout(timer);
      timer = 0;
      news = {};
    }
    return {
      stop,
      /** @param {{added?: number, connection?: string, [state: string]: any}} more something new */
      hear(more) {
        for (const name in more) (news[name] ||= []).push(more[name]);
        timer ||= setTimeout(say, Math.max(GATHER_MS, said_ms + QUIET_MS - performance.now()));
      }
    };
  }

  // src/element/style.css
  var style_default = ':host{--_t:var(--incoming-accent,light-dark(#2b5fd9,#8db4ff));--_e:var(--incoming-on-accent,light-dark(#fff,#0c1a36));--_s:var(--incoming-ink,light-dark(#1a1f2b,#e9ecf3));--_i:var(--incoming-soft,light-dark(#5a6374,#a2abbc));--_n:var(--incoming-line,light-dark(#dfe3ea,#343b49));--_r:var(--incoming-surface,light-dark(#fff,#191d25));--_h:var(--incoming-tint,light-dark(#f4f6f9,#222732));--_o:var(--incoming-good,light-dark(#14774a,#64d19d));--_l:var(--incoming-bad,light-dark(#bd2c22,#ff9287));--_a:var(--incoming-warn,light-dark(#8a5a08,#e5b765));--_c:var(--incoming-radius,12px);display:block;color:var(--_s);font-family:var(--incoming-font,inherit);line-height:1.4;text-align:start}:host([hidden]),[hidden]{display:none!important}*{box-sizing:border-box}.root{container-type:inline-size;display:grid;grid-template-columns:minmax(0,1fr);gap:12px}ul,p{margin:0;padding:0;list-style:none}svg{flex:none;width:20px;fill:none;stroke:currentcolor;stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round}.heard{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}strong,.title,.headline,.name{font-size:.9375em;font-weight:600}.text{flex:1;min-width:0}.dropzone,.head,.total,.row{position:relative;display:flex;align-items:center;gap:12px;padding:12px}.sign,.icon,button{flex:none;display:inline-grid;place-items:center}.sign,.icon{position:relative;width:40px;height:40px;border-radius:8px;background:var(--_h);color:var(--_i)}.title,.hint,.inside,.many .words{display:block;text-align:match-parent;text-align:-webkit-match-parent}.dropzone{border:1.5px dashed color-mix(in srgb,var(--_i),var(--_n));border-radius:var(--_c);background:var(--_h)}.disabled .dropzone{--_t:var(--_i);color:var(--_i)}.sign{border-radius:50%;background:color-mix(in srgb,var(--_t) 10%,transparent);color:var(--_t)}.hint{color:var(--_i);font-size:.875em;text-wrap:balance}.buttons{display:flex;flex-wrap:wrap;gap:8px}.compact .hint{display:none}.large{flex-direction:column;padding:36px 20px;text-align:center}.large .sign{margin:6px;scale:1.3}.large .title{font-size:1.0625em}.large .text{flex:none}.large .buttons{justify-content:center;margin-top:6px}.over .dropzone{border-color:var(--_t);border-style:solid;background:color-mix(in srgb,var(--_t) 10%,var(--_r))}.curtain{position:fixed;z-index:99;inset:12px;justify-content:center;border-color:var(--_t);background:var(--_r);opacity:.92;color:var(--_t);font-size:1.375em;pointer-events:none}button{min-height:40px;padding:0 16px;border:1px solid transparent;border-radius:calc(var(--_c) * .67);background:none;color:inherit;font:inherit;font-size:.875em;font-weight:550;white-space:nowrap;cursor:pointer}button:not(.link):hover{box-shadow:inset 0 0 0 3em color-mix(in srgb,var(--_s) 10%,transparent)}.main{background:var(--_t);color:var(--_e)}.quiet{border-color:var(--_n);background:var(--_r)}.danger{background:var(--_l);color:var(--_r)}.small{min-height:34px;padding:0 12px;font-size:.8125em}.square{width:36px;min-height:36px;margin-inline-end:-4px;color:var(--_i)}.square,.link{padding:0;border:0}.square+.square{margin-inline-start:-8px}.link{min-height:24px;margin-inline-start:8px;color:var(--_l);text-decoration:underline}button:disabled{opacity:.5;pointer-events:none}:focus-visible{outline:2px solid var(--_t);outline-offset:2px}.row:focus-visible,.total:focus-visible{outline-offset:-2px}.card{border:1px solid var(--_n);border-radius:var(--_c);background:var(--_r);overflow:clip}.head,.total{flex-wrap:wrap;gap:8px 12px;padding-block:6px;border-bottom:1px solid var(--_n)}.head{min-height:46px}.head strong{flex:1}.scroller{scrollbar-width:thin;scrollbar-color:var(--_i) transparent;max-height:var(--incoming-list-height,30em);overflow:auto}.list{position:relative}.row{min-height:64px}.bar,.row+.row:before{position:absolute;inset-inline:64px 12px}.row+.row:before{content:"";top:0;border-top:1px solid var(--_n)}canvas{width:100%;height:100%;border-radius:inherit}.badge{position:absolute;bottom:-5px;inset-inline-end:-5px;width:18px;padding:2px;border:2px solid var(--_r);border-radius:50%;background:var(--_d);color:var(--_r);stroke-width:4}.row .text{transition:transform .2s}.moving .text{transform:translateY(-5px)}.name{font-weight:500}.cut{display:inline-flex;max-width:100%;vertical-align:top;white-space:pre}.stem,.inside,.many .words{overflow:hidden;text-overflow:ellipsis}.stem:not(:empty){min-width:1em}.tail{flex:none}.facts{color:var(--_i);font-size:.8125em;overflow-wrap:anywhere}.facts,.headline{font-variant-numeric:tabular-nums}[data-tone=soft]{--_d:var(--_i)}[data-tone=good]{--_d:var(--_o)}[data-tone=bad]{--_d:var(--_l)}[data-tone=warn]{--_d:var(--_a)}.row:is([data-tone=bad],[data-tone=warn]) .facts{color:var(--_d)}.bar{bottom:9px;height:3px;border-radius:2px;background:var(--_n);overflow:hidden}.fill{height:100%;border-radius:inherit;background:var(--_d,var(--_t));transform-origin:0;transition:.2s linear}.fill:dir(rtl){transform-origin:100%}.waits .fill{animation:wait 2s infinite alternate}@keyframes wait{to{opacity:.4}}.many .row{position:absolute;inset-inline:0;height:64px;padding-block:0}.inside,.many .words{white-space:nowrap}.many .inside{display:none}.lacks{color:var(--_a);white-space:normal}.total{min-height:64px;padding-block:10px 14px}.sums{flex:1;min-width:12em}.total .buttons{min-width:14em;justify-content:end}.total:not(.asks) .question,.asks .sums>:not(.question){display:none}.total .bar{inset:auto 0 0;height:4px;border-radius:0}.trouble,.refused{display:flex;align-items:start;gap:10px;padding:12px 16px;border-radius:var(--_c);background:color-mix(in srgb,var(--_l) 10%,var(--_r));overflow-wrap:anywhere}.trouble{color:var(--_l)}.trouble,.refused li{font-size:.875em}.trouble .badge,.refused .badge{position:static;--_d:var(--_l);border:0}.refused li{color:var(--_i)}.refused .square{margin-block:-7px}@container (max-width: 30em){.compact{flex-wrap:wrap}.compact .sign{display:none}.compact .text{flex:99 auto}.compact .buttons{flex:auto}.compact button,.total button{flex:auto;padding:0 8px}.large{padding:28px 16px}.total .buttons{width:100%}.worded{display:grid;grid-template-columns:40px 1fr auto;row-gap:8px}.worded .small{grid-area:2 / 2;justify-self:start}.worded.moving{padding-bottom:22px}.worded.moving .text{transform:none}}@media(pointer:coarse){button,.small,.square{min-width:44px;min-height:44px}.row button{margin-block:-2px}}@media(prefers-reduced-motion:reduce){*{transition:none!important;animation:none!important}}@media(forced-colors:active){.bar{height:6px;border:1px solid}.fill{forced-color-adjust:none;background:Highlight}}';

  // src/element/styles.js
  var sheet;
  function add_style(shadow, css) {
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(css);
    }
    shadow.adoptedStyleSheets = [sheet];
  }

  // src/element/texts.js
  var TEXTS = {
    // Adding files.
    drop_files: "Drop files here",
    drop_file: "Drop a file here",
    drop_folders: "Drop files or folders here",
    drop_now: "Drop to upload",
    add_files: "Add files",
    add_file: "Add a file",
    paste_files: "or paste them. Uploads resume after a lost connection.",
    paste_file: "or paste it. Uploads resume after a lost connection.",
    resumes: "Uploads resume after a lost connection.",
    choose_files: "Choose files",
    choose_file: "Choose a file",
    choose_folder: "Choose a folder",
    take_photo: "Take a photo",
    limit: (size) => `Up to ${size} for each file`,
    limit_folders: (size) => `Up to ${size} for each file or folder`,
    no_server: "The upload server does not respond. Please try again later.",
    no_tickets: "This page does not say where its upload tickets come from.",
    not_added: (count) => count === 1 ? "1 file was not added" : `${count} files were not added`,
    and_more: (count) => `and ${count} more`,
    not_the_same: (name) => `This is not the same ${name}. Choose it as it was when the upload was started.`,
    // States of a file.
    waiting: "Waiting",
    asking: "Connecting",
    elsewhere: "Uploading in another window",
    paused: "Paused",
    finished: "Uploaded",
    cancelled: "Cancelled",
    retry_in: (time) => `Trying again in ${time}.`,
    left: (time) => `${time} left`,
    part_of: (part, all) => `${part} of ${all}`,
    files: (count, digits) => count === 1 ? "1 file" : `${digits} files`,
    left_out: (count, names) => `${count} left out: ${names}`,
    // Actions.
    pause: "Pause",
    resume: "Resume",
    retry_now: "Try now",
    retry: "Try again",
    cancel: "Cancel",
    dismiss: "Remove from the list",
    pause_all: "Pause all",
    resume_all: "Resume all",
    retry_all: "Retry failed",
    cancel_all: "Cancel all",
    cancel_really: "Cancel all uploads?",
    keep: "Keep uploading",
    clear: "Clear",
    continue: "Continue",
    continue_all: "Continue all",
    find_file: "Choose the file",
    find_folder: "Choose the folder",
    forget: "Forget this upload",
    close: "Close",
    // Everything together.
    uploads: "Uploads",
    continue_title: "Continue where you stopped",
    progress_of: (name) => `Progress of ${name}`,
    all_progress: "Progress of all files",
    files_done: (done, all) => `${done} of ${all} files uploaded`,
    files_failed: (count) => `${count} failed`,
    // For the form.
    missing: "Please upload a file.",
    busy: "Please wait until the uploads have finished.",
    // Said aloud.
    said_added: (count) => count === 1 ? "1 file added." : `${count} files added.`,
    said_finished: (name) => `${name} is uploaded.`,
    said_finished_many: (count) => `${count} uploads have finished.`,
    said_all_finished: (count) => count === 1 ? "The upload has finished." : `All ${count} uploads have finished.`,
    said_failed: (name, why) => `${name} failed. ${why}`,
    said_retrying: (why) => `${why} The uploads resume without your help.`,
    said_running: "The connection is back.",
    said_cancelled: (name) => `${name} is cancelled.`
  };

  // src/element/kinds.js
  var KINDS = [
    ["image", /^image|\.(jpe?g|png|gif|webp|hei[cf]|tiff?|svg|raw|psd)$/],
    ["video", /^video|\.(mp4|mov|mkv|avi|webm)$/],
    ["audio", /^audio|\.(mp3|wav|flac|ogg|m4a)$/],
    ["archive", /zip\||\.(zip|tar|t?gz|xz|7z|rar|zst|iso|dmg)$/],
    ["text", /^text|\.(pdf|docx?|od[st]|txt|csv|md|rtf|pptx?|xlsx?|json|xml)$/]
  ];
  function kind_of(path, type = "", files_total = 0) {
    if (files_total) return "folder";
    const both = `${type}|${path}`.toLowerCase();
    return KINDS.find(([, pattern]) => pattern.test(both))?.[0] || "file";
  }

  // src/element/view.js
  var STILL = { tone: "soft", is_still: true };
  var WAITS = { waits: true };
  var STATES2 = {
    waiting: STILL,
    asking: { ...STILL, ...WAITS },
    reading: STILL,
    begun: { ...STILL, go: "continue" },
    missing: { ...STILL, go: "find_file" },
    connecting: WAITS,
    checking: WAITS,
    retrying: { tone: "warn", go: "retry_now" },
    elsewhere: { tone: "soft" },
    paused: { ...STILL, go: "resume" },
    waiting_for_app: WAITS,
    cancelling: WAITS,
    finished: { tone: "good", has_ended: true },
    cancelled: { tone: "soft", has_ended: true },
    failed: { tone: "bad", has_ended: true, go: "retry" },
    refused: { tone: "bad", has_ended: true }
  };
  var NAMES_SHOWN = 3;
  var about = ({ state }) => STATES2[state] || {};
  function view(now, texts, lang) {
    const format = formats(lang, texts);
    const { begun, files, refused, multiple } = now;
    const count = files.length;
    return {
      ...now,
      zone: now.trouble ? "" : multiple || !count ? count + begun.length ? "compact" : "large" : "",
      // a single file takes its place
      disabled: now.disabled || now.trouble !== "",
      title: title_of(now, texts),
      hint: now.max_bytes ? (now.directory ? texts.limit_folders : texts.limit)(format.size(now.max_bytes)) : now.touch ? texts.resumes : multiple ? texts.paste_files : texts.paste_file,
      choose: multiple ? texts.choose_files : texts.choose_file,
      refused: refused.length > 3 ? [...refused.slice(0, 3), texts.and_more(refused.length - 3)] : refused,
      refused_title: refused.length ? texts.not_added(refused.length) : "",
      begun: begun.map((upload) => row_of(upload, now, texts, format)),
      continue_all: begun.filter(({ state }) => state === "begun").length > 1,
      total: count > 1 ? total_of(now, texts, format) : null,
      count,
      /** Rows are made when they are needed: a list of thousands shows a few. @param {number} index */
      row_at: (index) => row_of(files[index], now, texts, format),
      /** @param {string} key */
      index_of: (key) => files.findIndex((file) => file.key === key),
      /** The first one that has not ended, or -1. */
      index_of_open: () => files.findIndex((file) => !about(file).has_ended),
      index_of_failed: () => files.findIndex(({ state }) => state === "failed")
    };
  }
  function title_of({ multiple, directory, touch }, texts) {
    if (touch) return multiple ? texts.add_files : texts.add_file;
    if (directory) return texts.drop_folders;
    return multiple ? texts.drop_files : texts.drop_file;
  }
  function row_of(file, now, texts, format) {
    const { state, bytes_acked, size } = file;
    const { tone = "", has_ended, is_still, waits } = about(file);
    const fraction = state === "finished" ? 1 : size ? bytes_acked / size : 0;
    return {
      key: file.key,
      path: file.path,
      kind: kind_of(file.path, file.type, file.files_total),
      tone,
      facts: facts_of(file, fraction, now, texts, format),
      inside: inside_of(file, texts, format),
      lacks: file.upload.left_out?.length,
      fraction,
      bar: !has_ended && (bytes_acked > 0 || !is_still),
      waits,
      go: go_of(file),
      stop: stop_of(file)
    };
  }
  function go_of(file) {
    const { go, has_ended } = about(file);
    if (go === "find_file" && file.files_total) return "find_folder";
    if (go && (go !== "retry_now" || file.can_retry)) return go;
    return file.can_pause && !has_ended ? "pause" : "";
  }
  function stop_of(file) {
    const { go = "", has_ended } = about(file);
    if (has_ended) return "dismiss";
    if (go === "continue" || go === "find_file") return "forget";
    return file.can_cancel ? "cancel" : "";
  }
  function facts_of(file, fraction, now, texts, format) {
    const { state, reason, message, size, bytes_acked, upload } = file;
    const percent = format.percent(fraction);
    const amount = bytes_acked ? texts.part_of(percent, format.size(size)) : format.size(size);
    const what = message.replace(/^([^.]*)\.$/, "$1") || /** @type {any} */
    texts[state];
    const pace = pace_of(upload, texts, format);
    switch (state) {
      case "finished":
        return [texts.finished, format.size(size)];
      case "retrying": {
        const wait_s2 = (Number(upload.next_retry_at) - now.now_ms) / 1e3;
        return [wait_s2 > 0 ? message.replace(texts.trying_again, texts.retry_in(format.time(wait_s2))) : message];
      }
      case "uploading":
        if (reason) return [percent, what];
        return pace.length ? [percent, ...pace] : [amount];
      case "elsewhere":
        return [texts.elsewhere, percent, ...pace.slice(1)];
      case "begun":
      case "missing":
        return [amount];
      case "waiting":
      case "asking":
      case "connecting":
      case "checking":
      case "paused":
        return [what, amount];
      default:
        return [what];
    }
  }
  function pace_of({ bytes_per_s, seconds_left }, texts, format) {
    if (!bytes_per_s) return [];
    return [format.speed(bytes_per_s), ...seconds_left == null ? [] : [texts.left(format.time(seconds_left))]];
  }
  function inside_of({ state, files_total, upload: { files_acked, current_file = "", left_out = [] } }, texts, format) {
    if (!files_total || state === "reading") return [];
    const all = texts.files(files_total, format.count(files_total));
    const count = left_out.length;
    const names = left_out.slice(0, NAMES_SHOWN).join(", ") + (count > NAMES_SHOWN ? " " + texts.and_more(count - NAMES_SHOWN) : "");
    return [
      files_acked && files_acked < files_total ? texts.part_of(format.count(files_acked), all) : all,
      count ? texts.left_out(format.count(count), names) : "",
      state === "finished" || state === "cancelled" ? "" : current_file
    ].filter(Boolean);
  }
  function total_of({ files, total, asking_to_cancel }, texts, format) {
    const open = files.filter((file) => !about(file).has_ended);
    const fraction = total.frac_complete;
    const listed = files.filter(({ state }) => state !== "cancelled" && state !== "refused");
    const sum = (number_of) => format.count(listed.reduce((all, file) => all + number_of(file), 0));
    const can_pause = open.some((file) => file.can_pause && file.state !== "paused");
    const can_cancel = open.some((file) => file.can_cancel);
    const asks = asking_to_cancel && can_cancel;
    return {
      headline: texts.files_done(
        sum(({ state, files_total, upload }) => files_total ? upload.files_acked || 0 : Number(state === "finished")),
        sum(({ files_total }) => files_total || 1)
      ),
      failed: total.failed ? texts.files_failed(total.failed) : "",
      facts: open.length ? [texts.part_of(format.percent(fraction), format.size(total.bytes_total)), ...pace_of(total, texts, format)] : [format.size(total.bytes_acked)],
      fraction,
      tone: (
        /** @type {Tone} */
        open.length ? "" : total.failed ? "bad" : "good"
      ),
      /** Whether it asks if everything is to be cancelled. */
      asks,
      actions: asks ? ["keep", "cancel_really"] : [
        total.failed && "retry_all",
        can_pause ? "pause_all" : open.some(({ state }) => state === "paused") && "resume_all",
        can_cancel && "cancel_all",
        !open.length && "clear"
      ].filter(Boolean)
    };
  }

  // src/element/incoming_upload.js
  var DRAW_MS = 200;
  var COUNTDOWN_MS = 500;
  var VALUES = ["tickets", "server", "name", "accept", "max-bytes", "max-files", "at-once", "capture"];
  var FLAGS = ["multiple", "directory", "disabled", "required", "drop-anywhere", "keep-awake", "warn-before-unload"];
  var Base = (
    /** @type {any} */
    globalThis.HTMLElement || class {
    }
  );
  var IncomingUpload = class extends Base {
    static formAssociated = true;
    static observedAttributes = [...VALUES, ...FLAGS, "lang"];
    own_texts = (
      /** @type {Partial<Texts>} */
      {}
    );
    all_texts = (
      /** @type {Texts} */
      { ...TEXTS }
    );
    shared_texts = (
      /** @type {object | null} */
      null
    );
    own_get_ticket = (
      /** @type {GetTicket | null} */
      null
    );
    own_queue = (
      /** @type {Queue | null} */
      null
    );
    page_queue = (
      /** @type {Queue | null} */
      null
    );
    begun = (
      /** @type {Unfinished[]} */
      []
    );
    wanted = (
      /** @type {Unfinished | null} */
      null
    );
    // the one whose file or folder is being chosen
    /** How many files of a folder are listed so far. @type {Map<string, number>} */
    reading = /* @__PURE__ */ new Map();
    is_apart = false;
    // the app takes files only: each one of a folder is an upload
    refused = (
      /** @type {string[]} */
      []
    );
    seen = (
      /** @type {Map<number, ItemSnapshot>} */
      /* @__PURE__ */ new Map()
    );
    tickets_now = "";
    name_now = "";
    // the name that the form has for them
    is_disabled = false;
    asks = false;
    // whether everything is to be cancelled
    is_reset = false;
    // what is being cancelled leaves the list
    is_lost = false;
    was_all_finished = false;
    stops = (
      /** @type {(() => void)[]} */
      []
    );
    timer = 0;
    internals = this.attachInternals();
    shadow = this.attachShadow({ mode: "open", delegatesFocus: true });
    panel = make_panel(this.shadow, (action, key) => this.act(action, key), async ({ key, picture }) => {
      const item = this.item(key);
      const canvas = item && await picture_of(
        /** @type {File} */
        item.file
      );
      if (canvas) picture.replaceWith(canvas);
    });
    inputs = make_inputs(this.shadow, this);
    speech = make_speech((news) => sentence(news, this.queue.totals(), this.all_texts), this.panel.news);
    constructor() {
      super();
      this.internals.role = "group";
      add_style(this.shadow, style_default);
    }
    // ---- in the page ----
    connectedCallback() {
      for (const name of ["queue", "get_ticket", "texts"]) {
        if (!Object.hasOwn(this, name)) continue;
        const own2 = (
          /** @type {any} */
          this
        );
        const value = own2[name];
        delete own2[name];
        own2[name] = value;
      }
      this.connect();
    }
    /** An element that is moved is taken out and put in again: only one that stays away is left. */
    disconnectedCallback() {
      setTimeout(() => {
        if (this.isConnected) return;
        this.leave();
        this.speech.stop();
        this.stop_reading();
        this.own_queue?.leave_unfinished();
      });
    }
    attributeChangedCallback() {
      this.connect();
    }
    /** Listens to what it is about, and applies its attributes. */
    connect() {
      if (!this.isConnected) return;
      this.leave();
      const { queue } = this;
      if (queue === this.own_queue) {
        queue.at_once = limit(this.at_once) || 3;
        queue.restrictions = {
          accept: this.accept,
          max_bytes: limit(this.max_bytes),
          max_files: this.is_multiple ? limit(this.max_files) : 1,
          disallow_duplicates: true
        };
      }
      this.inputs.update();
      this.stops = [listen_to_page(this), queue.subscribe(() => this.draw_in(DRAW_MS))];
      if (incoming_default) this.stops.push(watch_unfinished((uploads) => this.offer(uploads), { ...this.server_options, owner: this.owner }));
      if (this.keep_awake) this.stops.push(keep_awake(
        /** @type {any} */
        queue
      ));
      this.draw();
    }
    leave() {
      this.stops.splice(0).forEach((stop) => stop());
      clearTimeout(this.timer);
      this.timer = 0;
    }
    /** @param {boolean} disabled by its attribute or by a fieldset */
    formDisabledCallback(disabled) {
      this.is_disabled = disabled;
      this.draw();
    }
    /** The form is reset: the list is emptied. Running uploads are cancelled, since nobody would see them. */
    formResetCallback() {
      this.stop_reading();
      this.queue.cancel();
      this.is_reset = true;
      this.refused = [];
      this.draw();
    }
    // ---- the queue ----
    /** The queue of its uploads: its own, unless the page has set one. @returns {Queue} */
    get queue() {
      return this.page_queue || (this.own_queue ||= new Queue({
        get_ticket: (item, signal) => this.ticket_of(item, signal),
        resume_unfinished: () => this.begun.filter(({ live }) => !live),
        uploader_options: () => ({
          ...this.server_options,
          when_unreadable: "leave_out",
          // the other files of a folder are worth having, and the row names those that are missing
          warn_before_unload: this.warn_before_unload
        })
      }));
    }
    /** @param {Queue | null} queue */
    set queue(queue) {
      this.own_queue?.dispose();
      this.own_queue = null;
      this.stop_reading();
      this.seen.clear();
      this.page_queue = queue;
      this.connect();
    }
    get is_multiple() {
      return this.multiple || this.directory;
    }
    get takes_folders() {
      return this.directory && !this.is_apart && "list_folder" in incoming_default;
    }
    get takes_files() {
      return !this.is_disabled && !this.trouble;
    }
    /** Why nothing can be uploaded at all, in a sentence; else "". */
    get trouble() {
      if (!incoming_default) return this.all_texts.no_server;
      return this.page_queue || this.own_get_ticket || this.tickets ? "" : this.all_texts.no_tickets;
    }
    /** Where the server is, if the page has said so for this element. */
    get server_options() {
      return { server: this.server || void 0 };
    }
    /** What an upload of this element is known by after a reload. */
    get owner() {
      return `${location.pathname} ${this.id || this.name}`;
    }
    /** @param {string} key */
    item(key) {
      return this.queue.items.find(({ id }) => String(id) === key);
    }
    /** @param {Item} item @param {AbortSignal} signal */
    async ticket_of(item, signal) {
      const get_ticket = this.own_get_ticket || ticket_from(new URL(this.tickets, document.baseURI));
      const ticket = await get_ticket(item, signal);
      remember(ticket, item.handle, this.owner);
      return ticket;
    }
    // ---- adding files ----
    /** @param {import('../../queue.mjs').FileSource} source what was dropped, pasted or chosen */
    add(source) {
      const { wanted } = this;
      this.wanted = null;
      return this.take(source, wanted);
    }
    /** @param {import('../../queue.mjs').FileSource} source @param {Unfinished | null} wanted the upload that it has to be of */
    async take(source, wanted) {
      const { queue, reading } = this;
      this.is_reset = false;
      const { refused } = await queue.add_all(source, {
        folders: this.takes_folders || Boolean(wanted?.files_total),
        onlisting: (path, files) => {
          if (files === null) reading.delete(path);
          else reading.set(path, files);
          this.draw_in(DRAW_MS);
        },
        check: (file, path) => {
          const message = wanted && !incoming_default.matches(wanted, file) ? this.all_texts.not_the_same(wanted.filename) : "";
          if (message || reading !== this.reading) return { code: "not_accepted", message, file, path };
          if (!this.is_multiple) queue.clear();
          return null;
        }
      });
      if (reading !== this.reading) return;
      this.refused = refused.map(({ path, message }) => `⁨${path}⁩: ${message}`);
      if (refused.length) this.tell("upload-refused", { refused });
      this.draw();
    }
    /** Its ticket is for a file, so the app takes no folders: each of its files becomes an upload. @param {Item} item */
    take_apart(item) {
      this.is_apart = true;
      this.queue.remove(item);
      forget(item.upload_id, this.server_options);
      this.take(files_in(
        /** @type {incoming.Folder} */
        item.file
      ), null);
    }
    /** Adds nothing more of what is being read. */
    stop_reading() {
      this.reading = /* @__PURE__ */ new Map();
    }
    /** @param {Unfinished[]} uploads of earlier visits that were begun with it */
    offer(uploads) {
      this.begun = uploads;
      this.draw();
    }
    /** @param {Unfinished} begun */
    async reopen(begun) {
      const { handle, upload_id } = begun;
      if (handle && await reopen(handle)) await this.take([handle], begun);
      this.begun = this.begun.map((upload) => upload.upload_id === upload_id ? { ...upload, handle: null } : upload);
      this.draw();
    }
    // ---- what the user does ----
    /** @param {string} action @param {string} key of its row, or "" */
    act(action, key) {
      const { queue, inputs, panel } = this;
      const item = this.item(key);
      const begun = (
        /** @type {Unfinished} */
        this.begun.find(({ upload_id }) => upload_id === key)
      );
      this.asks = action === "cancel_all";
      const actions = {
        choose: () => this.choose(null),
        choose_folder: () => inputs.folder.click(),
        take_photo: () => inputs.camera.click(),
        close: () => {
          this.refused = [];
        },
        pause_all: () => queue.pause(),
        resume_all: () => queue.resume(),
        retry_all: () => queue.retry(),
        cancel_really: () => {
          queue.cancel();
          this.stop_reading();
        },
        clear: () => queue.clear(),
        continue_all: () => this.begun.forEach((upload) => upload.handle && !upload.live && this.reopen(upload)),
        continue: () => this.reopen(begun),
        find_file: () => this.choose(begun),
        find_folder: () => this.choose(begun),
        forget: () => {
          this.begun = this.begun.filter((upload) => upload !== begun);
          forget(key, this.server_options);
        },
        pause: () => item?.pause(),
        // Another window may have paused it.
        resume: () => item?.can_resume ? item.resume() : item?.uploader?.pause("unpause"),
        retry: () => item?.retry(),
        retry_now: () => item?.retry(),
        cancel: () => item ? item.cancel() : this.stop_reading(),
        dismiss: () => item && queue.remove(item)
      };
      actions[action]?.();
      this.draw();
      if (action === "show_failed") panel.go_to_failed();
    }
    /** Opens the dialog for files. @param {Unfinished | null} wanted the upload whose file or folder is to be chosen */
    async choose(wanted) {
      this.wanted = wanted;
      const { files, folder } = this.inputs;
      if (wanted?.files_total) return folder.click();
      const picked = await pick_with_handles({ accept: files.accept, multiple: this.is_multiple && !wanted });
      if (!picked) files.click();
      else if (picked.length) this.add(picked);
    }
    // ---- what is shown ----
    /** @param {number} ms */
    draw_in(ms) {
      this.timer ||= setTimeout(() => this.draw(), ms);
    }
    draw() {
      clearTimeout(this.timer);
      this.timer = 0;
      if (!this.isConnected) return;
      const { queue } = this;
      if (this.is_reset) queue.clear();
      const { items, totals } = queue.snapshot();
      this.is_reset = this.is_reset && items.length > 0;
      const texts = (
        /** @type {Partial<incoming.Texts>} */
        incoming_default?.texts || TEXTS
      );
      if (this.shared_texts !== texts) this.all_texts = /** @type {Texts} */
      { ...texts, ...TEXTS, ...texts.element, ...this.own_texts };
      this.shared_texts = texts;
      const { all_texts } = this;
      const files = items.map(file_now).concat([...this.reading].map(([path, count]) => reading_now(path, all_texts.listing(count))));
      const here = new Set(items.map(({ upload_id }) => upload_id));
      const has_coarse_pointer = matchMedia("(pointer: coarse)").matches;
      this.compare(items);
      this.panel.draw(view({
        files,
        begun: this.begun.filter(({ upload_id }) => !here.has(upload_id)).map(begun_now),
        total: totals,
        refused: this.refused,
        trouble: this.trouble,
        now_ms: Date.now(),
        disabled: this.is_disabled,
        multiple: this.is_multiple,
        directory: this.directory,
        camera: has_coarse_pointer && this.hasAttribute("capture"),
        touch: has_coarse_pointer && matchMedia("(hover: none)").matches,
        max_bytes: limit(this.max_bytes) || 0,
        asking_to_cancel: this.asks
      }, all_texts, this.closest("[lang]")?.getAttribute("lang") || ""), all_texts);
      this.update_form(items);
      const lost = files.find(({ state }) => state === "retrying");
      if (!lost === this.is_lost) this.speech.hear({ connection: lost ? lost.message : "" });
      this.is_lost = !!lost;
      if (files.some(({ upload }) => upload.next_retry_at)) this.draw_in(COUNTDOWN_MS);
    }
    get texts() {
      return this.own_texts;
    }
    /** @param {Partial<Texts>} texts entries in place of those for all elements */
    set texts(texts) {
      this.own_texts = texts;
      this.shared_texts = null;
      this.draw();
    }
    get get_ticket() {
      return this.own_get_ticket;
    }
    /** @param {GetTicket | null} get_ticket */
    set get_ticket(get_ticket) {
      this.own_get_ticket = get_ticket;
      this.draw();
    }
    // ---- what others hear ----
    /** Tells of what has changed since it was drawn last. @param {readonly ItemSnapshot[]} items */
    compare(items) {
      const before = this.seen;
      this.seen = new Map(items.map((item) => [item.id, item]));
      for (const { id, item, file, state, path, upload_id, upload, message, reason } of items) {
        const old = before.get(id);
        if (!old) this.speech.hear({ added: (
          /** @type {incoming.Folder} */
          file.files_total || 1
        ) });
        if (!old || old.state === state) continue;
        if (reason === "wrong_dest_type") {
          this.take_apart(item);
          continue;
        }
        const detail = { item, upload_id, message, reason };
        const left_out = upload?.left_out;
        if (left_out?.length && state === "finished") this.speech.hear({ left_out: [path, left_out] });
        if (state === "cancelled" && upload_id) forget(upload_id, this.server_options);
        if (state === "finished") this.tell("upload-finished", detail);
        if (state === "failed") this.tell("upload-failed", detail);
        this.speech.hear({ [state]: [path, message] });
      }
      const value = tickets_of(items);
      const all_finished = value.length > 0 && !this.reading.size && items.every(({ state }) => state === "finished" || state === "cancelled");
      if (all_finished && !this.was_all_finished) this.tell("all-finished", { value });
      this.was_all_finished = all_finished;
    }
    /** @param {string} name @param {object} [detail] */
    tell(name, detail) {
      this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, detail }));
    }
    // ---- the form ----
    /** The tickets of the files that the app has. */
    get value() {
      return tickets_of(this.queue.snapshot().items);
    }
    /** @param {readonly ItemSnapshot[]} items */
    update_form(items) {
      const { all_texts: texts, internals } = this;
      const value = tickets_of(items);
      const is_busy2 = this.reading.size > 0 || items.some(({ ended }) => !ended);
      const is_missing = this.required && !value.length;
      internals.setValidity(
        { customError: is_busy2, valueMissing: is_missing },
        is_busy2 ? texts.busy : is_missing ? texts.missing : "",
        this.panel.anchor()
      );
      const { name, tickets_now } = this;
      this.tickets_now = String(value);
      const is_changed = this.tickets_now !== tickets_now;
      if (!is_changed && this.name_now === name) return;
      this.name_now = name;
      const data = new FormData();
      value.forEach((ticket) => data.append(name, ticket));
      internals.setFormValue(name ? data : null);
      if (is_changed) this.tell("change");
    }
  };
  function limit(value) {
    return Math.max(0, Math.floor(Number(value))) || null;
  }
  function tickets_of(items) {
    return items.filter(({ state }) => state === "finished").map(({ upload_id }) => upload_id);
  }
  var { prototype } = IncomingUpload;
  var property = (name, get, set2) => Object.defineProperty(prototype, name, { configurable: true, get, set: set2 });
  for (const name of [...VALUES, ...FLAGS]) {
    const is_flag = FLAGS.includes(name);
    property(name.replace(/-/g, "_"), function() {
      return is_flag ? this.hasAttribute(name) : this.getAttribute(name) || "";
    }, function(value) {
      set(this, name, is_flag ? value ? "" : null : value == null ? null : String(value));
    });
  }
  for (const name of ["form", "labels", "validity", "validationMessage", "willValidate", "checkValidity", "reportValidity"]) {
    property(name, function() {
      const value = (
        /** @type {any} */
        this.internals[name]
      );
      return value?.bind?.(this.internals) || value;
    });
  }
  function define() {
    const { customElements: all } = globalThis;
    if (all && !all.get("incoming-upload")) all.define("incoming-upload", IncomingUpload);
  }

  // src/element/server.js
  function server_of(url) {
    const match = /^https?:\/\/([^?#]+?)\/incoming\/(?:[\d.]+\/)?frontend\/[\w.-]+\.m?js(?:[?#]|$)/.exec(url);
    return match ? match[1] : "";
  }

  // src/element/script.js
  var { src = "" } = (
    /** @type {HTMLScriptElement} */
    document.currentScript || {}
  );
  var server = server_of(src);
  if (incoming_default && server && new URL(src).host !== location.host) incoming_default.set_server_hostname(server);
  define();
})();
