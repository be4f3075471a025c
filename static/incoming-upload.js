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
    too_large: (most) => `The file is too large. The limit is ${most}.`,
    too_small: (least) => `The file is too small. It has to have at least ${least}.`,
    not_accepted: "Files of this type are not accepted.",
    too_many: (most) => most === 1 ? "Only one file is accepted." : `Only ${most} files are accepted.`,
    total_too_large: (most) => `All files together are too large. The limit is ${most}.`,
    unreadable: "The file cannot be read.",
    duplicate: "This file is already in the list.",
    units: ["bytes", "kB", "MB", "GB", "TB"]
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
  function files_of(source) {
    const { items, files } = (
      /** @type {any} */
      source
    );
    if (items && !Array.isArray(items)) {
      const dropped = [...items].filter(({ kind = "file" }) => kind === "file").map(take);
      const some = dropped.filter(({ entry, file }) => entry || file);
      if (some.length || !files) return walk_dropped(some);
    }
    return walk_listed(files || source);
  }
  function take(item) {
    const entry = item.webkitGetAsEntry ? item.webkitGetAsEntry() : null;
    const handle = item.getAsFileSystemHandle ? Promise.resolve(item.getAsFileSystemHandle()).catch(() => null) : null;
    return { entry, handle, file: !entry && item.getAsFile ? item.getAsFile() : null };
  }
  async function* walk_listed(list) {
    const all = list[Symbol.iterator] || list[Symbol.asyncIterator] ? list : [list];
    for await (const one of all) {
      if (one && one.getFile) yield* walk_handle(one, "");
      else if (one && one.values && one.kind === "directory") yield* walk_handle(one, "");
      else if (one && "file" in one) yield { ...one, path: one.path || (one.file ? path_of(one.file) : "") };
      else if (one) yield { path: path_of(one), file: one };
    }
  }
  async function* walk_dropped(dropped) {
    for (const { entry, handle: promise, file } of dropped) {
      const handle = promise && await promise;
      if (handle && handle.kind === "file") yield* walk_handle(handle, "", entry);
      else if (entry) yield* walk_entry(entry, handle && handle.kind === "directory" ? handle : null);
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
      if (entry) yield* walk_entry(entry, null);
      else yield { path, file: null };
    }
  }
  async function* walk_entry(entry, folder_handle) {
    const path = entry.fullPath.slice(1);
    try {
      if (!entry.isDirectory) {
        yield { path, file: await promised(entry, "file") };
        return;
      }
      for (const child of await children(entry.createReader())) {
        const handle = await handle_in(folder_handle, child);
        if (child.isDirectory) {
          yield* walk_entry(child, handle);
        } else {
          for await (const found of walk_entry(child, null)) yield handle ? { ...found, handle } : found;
        }
      }
    } catch (error) {
      yield { path, file: null };
    }
  }
  async function handle_in(folder, { name, isDirectory }) {
    try {
      return folder && await (isDirectory ? folder.getDirectoryHandle(name) : folder.getFileHandle(name));
    } catch (error) {
      return null;
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
    /** Tries again: what has failed, and at once what would do so by itself later. */
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
     * @param {import('../../queue.mjs').FileSource} source
     */
    async add_all(source) {
      const found = files_of(source);
      const [added, refused] = [
        /** @type {Item[]} */
        [],
        /** @type {Refusal[]} */
        []
      ];
      const unfinished2 = this.unfinished();
      let began_ms = performance.now();
      for await (const { file, path, handle } of found) {
        if (this.is_disposed) break;
        const refusal = file ? this.refusal_of(file, path) : unreadable(path);
        if (refusal) refused.push(refusal);
        else if (file) added.push(this.add_checked(file, { path, handle }, unfinished2));
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
      if (!this.resume_unfinished || !incoming_default) return [];
      const here = new Set(this.items.map(({ upload_id }) => upload_id));
      return incoming_default.unfinished().filter(({ upload_id }) => !here.has(upload_id));
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
      this.at_the_same_time(() => this.items.forEach((item) => item.pause()));
    }
    resume() {
      this.at_the_same_time(() => this.items.forEach((item) => item.resume()));
    }
    cancel() {
      this.at_the_same_time(() => this.items.forEach((item) => item.cancel()));
    }
    retry() {
      this.at_the_same_time(() => this.items.forEach((item) => item.retry()));
    }
    /** Places that become free are taken afterwards, or those that wait would start for a moment. @param {() => void} action */
    at_the_same_time(action) {
      this.holds += 1;
      try {
        action();
      } finally {
        this.holds -= 1;
      }
      this.fill();
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
  function unreadable(path) {
    return { code: "unreadable", message: text("unreadable"), file: null, path };
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

  // src/resume/handles.js
  var UNLISTED_DAYS = 1;
  var changes = Promise.resolve();
  function change(act) {
    const changed = changes.then(() => with_rows("readwrite", act)).then(() => void 0);
    changes = changed;
    return changed;
  }
  function remember(upload_id, handle) {
    return change((rows) => rows.put({ upload_id, handle, kept_at_ms: Date.now() }));
  }
  function drop(upload_id) {
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
      const asks = (
        /** @type {{requestPermission?: (wish: {mode: 'read'}) => Promise<PermissionState>}} */
        handle
      );
      const permission = asks.requestPermission ? await asks.requestPermission({ mode: "read" }) : "granted";
      return permission === "granted" ? await handle.getFile() : null;
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
  async function unfinished(options = {}) {
    const uploads = library().unfinished({ ...options, live: true });
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
  async function pick_files({ multiple = false, accept = "" } = {}) {
    const { showOpenFilePicker } = (
      /** @type {any} */
      window
    );
    if (typeof showOpenFilePicker === "function") {
      try {
        const handles = await showOpenFilePicker.call(window, { multiple, ...types_of(accept) });
        return await Promise.all(handles.map(async (handle) => {
          const file = await handle.getFile();
          return { path: file.name, file, handle };
        }));
      } catch (error) {
        if (
          /** @type {Error} */
          error.name === "AbortError"
        ) return [];
      }
    }
    return pick_with_input(multiple, accept);
  }
  function types_of(accept) {
    const types = {};
    for (const wish of accept.split(",").map((part) => part.trim().toLowerCase()).filter(Boolean)) {
      if (wish.startsWith(".")) (types["*/*"] = types["*/*"] || []).push(wish);
      else types[wish] = types[wish] || [];
    }
    return Object.keys(types).length ? { types: [{ accept: types }] } : {};
  }
  function pick_with_input(multiple, accept) {
    return new Promise((resolve) => {
      const input = Object.assign(document.createElement("input"), { type: "file", multiple, accept });
      const chosen = () => {
        input.remove();
        resolve(Array.from(input.files || [], (file) => ({ path: file.name, file, handle: null })));
      };
      input.hidden = true;
      input.addEventListener("change", chosen);
      input.addEventListener("cancel", chosen);
      document.body.append(input);
      input.click();
    });
  }

  // src/resume/module.js
  if (typeof window !== "undefined") listen();

  // src/element/dom.js
  function h(what, attributes = {}, ...children2) {
    const [tag, name] = what.split(".");
    const made = document.createElement(tag);
    if (name) Object.assign(made, { className: name }).setAttribute("part", name);
    for (const key in attributes) set(made, key, attributes[key]);
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
  function style(where, name, value) {
    if (where.style.getPropertyValue(name) !== value) where.style.setProperty(name, value);
  }

  // src/element/now.js
  function file_now({ id, file, path, state, message, reason, bytes_acked, can_pause, can_resume, can_cancel, can_retry: can_retry2, upload }) {
    const common = { key: String(id), path, type: file.type, size: file.size, reason, bytes_acked, can_pause, can_cancel, can_retry: can_retry2 };
    const idle = { bytes_per_s: 0, seconds_left: null, next_retry_at: null };
    if (state !== "running") return { ...common, ...idle, state, message };
    if (!upload) return { ...common, ...idle, state: can_retry2 ? "retrying" : "asking", message };
    const { bytes_per_s, seconds_left, next_retry_at, state_msg } = upload;
    return { ...common, bytes_per_s, seconds_left, next_retry_at, state: upload.state, message: state_msg, can_pause: can_pause || can_resume };
  }

  // src/storage.js
  function with_storage(use) {
    try {
      return use(localStorage);
    } catch (error) {
      return null;
    }
  }

  // src/element/owner.js
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

  // src/element/icons.js
  var SHEET = "M6 3h8l5 5v13H6zM14 3v5h5";
  var PATHS = {
    // Kinds of files.
    file: SHEET,
    text: SHEET + "M9.5 13h6M9.5 16.5h4",
    image: "M3 5h18v14H3zM3.5 17.5 9 12l4 4 2.5-2.5 5 5M15.5 9.5h.01",
    video: "M3 6h12v12H3zM15 11l6-3.5v9L15 13",
    audio: "M9 17.5V6l10-2v11.5M9 17.5a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0zM19 15.5a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z",
    archive: "M4 8.5V20h16V8.5M3 4h18v4.5H3zM10 12.5h4",
    table: "M4 4h16v16H4zM4 9.5h16M4 14.5h16M10 9.5V20",
    // What a button does.
    pause: "M9 6v12M15 6v12",
    resume: "M8 5.5v13L18.5 12z",
    cancel: "M7 7l10 10M17 7 7 17",
    // How an upload has ended, and where files go.
    good: "M5 12.5 10 17.5 19 7",
    bad: "M12 4v9M12 20v.01",
    warn: "M12 4v8l5 4",
    upload: "M12 15.5v-11M7.5 9 12 4.5 16.5 9M4 15.5V20h16v-4.5"
  };
  PATHS.dismiss = PATHS.forget = PATHS.cancel;
  var SVG = "http://www.w3.org/2000/svg";
  function icon(name, look) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    if (look) svg.setAttribute("class", look);
    if (look) svg.setAttribute("part", look);
    svg.append(document.createElementNS(SVG, "path"));
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
    show(svg, path !== "");
  }

  // src/element/row.js
  var TAIL = 9;
  var IN_WORDS = ["retry_now", "retry", "continue", "find_file"];
  var Row = class {
    /** @param {string} key */
    constructor(key) {
      this.key = key;
      this.icon = icon("file");
      this.mark = icon("", "badge");
      this.picture = h("span.icon", {}, this.icon, this.mark);
      this.stem = h("span.stem");
      this.tail = h("span.tail");
      this.whole = h("span.heard");
      this.name = h("div.name", {}, h("span.cut", { dir: "auto", "aria-hidden": "true" }, this.stem, this.tail), this.whole);
      this.facts = h("bdi.words");
      this.bar = new Bar();
      this.go = button("");
      this.stop = button("");
      this.root = h(
        "li.row",
        { tabindex: "-1", "data-key": key },
        this.picture,
        h("div.text", {}, this.name, h("div.facts", {}, this.facts)),
        this.go,
        this.stop,
        this.bar.root
      );
    }
    /** @param {RowView} row @param {Texts} texts */
    draw(row, texts) {
      const name = row.path.slice(row.path.lastIndexOf("/") + 1);
      const letters = [...name];
      put(this.stem, letters.slice(0, -TAIL).join(""));
      put(this.tail, letters.slice(-TAIL).join(""));
      put(this.whole, row.path);
      set(this.name, "title", row.path);
      set_icon(this.icon, row.kind);
      const facts = row.facts.join(" · ");
      set_icon(this.mark, row.tone);
      put(this.facts, facts);
      set(this.facts, "title", facts);
      set(this.root, "data-tone", row.tone);
      set(this.root, "class", `row${row.bar ? " moving" : ""}${row.waits ? " waits" : ""}${IN_WORDS.includes(row.go) ? " worded" : ""}`);
      this.bar.draw(row.bar, row.fraction, texts.progress_of(name));
      set_button(this.go, row.go, name, texts);
      set_button(this.stop, row.stop, name, texts);
    }
  };
  var Bar = class {
    constructor() {
      this.fill = h("div.fill");
      this.root = h("div.bar", { role: "progressbar" }, this.fill);
    }
    /** @param {boolean} visible @param {number} fraction @param {string} label */
    draw(visible, fraction, label2) {
      show(this.root, visible);
      set(this.root, "aria-label", label2);
      set(this.root, "aria-valuenow", String(Math.floor(100 * fraction)));
      style(this.fill, "transform", `scaleX(${fraction.toFixed(4)})`);
    }
  };
  function button(action, look = "square", ...children2) {
    return h("button.button", { type: "button", class: look, "data-action": action }, ...children2);
  }
  function set_button(where, action, name, texts) {
    show(where, action !== "");
    const label2 = String(
      /** @type {any} */
      texts[action]
    );
    const aria_label = `${label2}: ${name}`;
    if (!action || where.ariaLabel === aria_label) return;
    const in_words = IN_WORDS.includes(action);
    where.ariaLabel = aria_label;
    where.title = in_words ? "" : label2;
    where.className = in_words ? `${action === "continue" ? "main" : "quiet"} small` : "square";
    set(where, "data-action", action);
    where.replaceChildren(in_words ? label2 : icon(action));
  }

  // src/element/panel.js
  var MANY = 60;
  var ROWS_OUT_OF_SIGHT = 8;
  var MAX_ROWS_IN_SIGHT = 40;
  var FEW = 6;
  var TOTAL_ACTIONS = ["retry_all", "pause_all", "resume_all", "cancel_all", "clear", "keep", "cancel_really"];
  var label = (what, key, more) => h(what, { "data-text": key, ...more });
  var worded = (action, look, key = action) => {
    const made = button(action, look);
    if (key) set(made, "data-text", key);
    return made;
  };
  var Panel = class {
    /**
     * @param {ShadowRoot} shadow
     * @param {(action: string, key: string) => void} on a button was pressed; `key` is that of its row, or ""
     * @param {(row: Row) => void} on_new_row for its picture
     */
    constructor(shadow, on, on_new_row) {
      this.shadow = shadow;
      this.view = /** @type {View | null} */
      null;
      this.texts = /** @type {Texts | null} */
      null;
      this.row_px = 0;
      this.follows = true;
      this.is_over = false;
      this.parked = /** @type {Element | null | undefined} */
      null;
      this.trouble_text = h("span", { dir: "auto" });
      this.trouble = h("div.trouble", { role: "alert", hidden: "" }, icon("bad", "badge"), this.trouble_text);
      this.continue_all = worded("continue_all", "quiet small");
      this.begun_list = h("ul.list", { role: "list" });
      this.begun = h(
        "div.begun",
        { class: "card", role: "group", "aria-labelledby": "begun" },
        h("div.head", {}, label("strong", "continue_title", { id: "begun" }), this.continue_all),
        this.begun_list
      );
      this.title = h("bdi.title");
      this.hint = h("bdi.hint");
      this.choose = button("choose", "main");
      this.folder = worded("choose_folder", "quiet");
      this.camera = worded("take_photo", "quiet");
      this.zone = h(
        "div.dropzone",
        {},
        h("span.sign", {}, icon("upload")),
        h("span.text", {}, this.title, this.hint),
        h("span.buttons", {}, this.choose, this.folder, this.camera)
      );
      this.refused_title = h("strong");
      this.refused_list = h("ul");
      this.close = button("close", "square", icon("cancel"));
      this.refused = h("div.refused", {}, icon("bad", "badge"), h("div.text", {}, this.refused_title, this.refused_list), this.close);
      this.headline = h("bdi.headline");
      this.failed = h("bdi");
      this.show_failed = button("show_failed", "link", this.failed);
      this.numbers = h("bdi");
      this.total_bar = new Bar();
      this.question = label("strong.question", "cancel_really");
      this.buttons = {};
      for (const name of TOTAL_ACTIONS) {
        const is_last = name === "cancel_really";
        this.buttons[name] = worded(name, is_last ? "danger small" : "quiet small", is_last ? "cancel_all" : name);
      }
      this.total = h(
        "div.total",
        { tabindex: "-1", role: "group" },
        h("div.sums", {}, this.headline, this.show_failed, h("div.facts", {}, this.numbers), this.question),
        h("div.buttons", {}, ...Object.values(this.buttons)),
        this.total_bar.root
      );
      this.list = h("ul.list", { role: "list" });
      this.scroller = h("div.scroller", {}, this.list);
      this.card = h("div.files", { class: "card" }, this.total, this.scroller);
      this.news = h("p.heard", { role: "status" });
      this.curtain = h("div.curtain", { hidden: "" }, icon("upload"), label("strong", "drop_now"));
      this.root = h("div.root", {}, this.trouble, this.begun, this.zone, this.refused, this.card, this.news, this.curtain);
      shadow.append(this.root);
      this.begun_rows = new Rows(this.begun_list, () => {
      });
      this.rows = new Rows(this.list, on_new_row);
      this.root.addEventListener("click", ({ target }) => {
        const pressed = (
          /** @type {Element} */
          target.closest("[data-action]")
        );
        if (pressed) on(String(pressed.getAttribute("data-action")), key_of2(pressed));
      });
      this.scroller.addEventListener("scroll", () => this.draw_rows());
      for (const type of ["wheel", "touchmove", "keydown", "pointerdown"]) {
        this.scroller.addEventListener(type, () => {
          this.follows = false;
        }, { passive: true });
      }
    }
    /** @param {View} view @param {Texts} texts */
    draw(view2, texts) {
      const restore_focus = focus_of(this);
      if (this.texts !== texts) this.draw_labels(texts);
      this.view = view2;
      this.texts = texts;
      put(this.trouble_text, view2.trouble);
      show(this.trouble, view2.trouble !== "");
      show(this.begun, view2.begun.length > 0);
      show(this.continue_all, view2.continue_all);
      this.begun_rows.draw(view2.begun.map((_, index) => index), (index) => view2.begun[index], texts);
      set(this.zone, "class", `dropzone ${view2.zone}`);
      show(this.zone, view2.zone !== "");
      put(this.title, view2.title);
      put(this.hint, view2.hint);
      put(this.choose, view2.choose);
      set(this.choose, "class", view2.zone === "large" ? "main" : "quiet");
      show(this.folder, view2.directory);
      show(this.camera, view2.camera);
      show(this.refused, view2.refused.length > 0);
      put(this.refused_title, view2.refused_title);
      if (this.refused_list.textContent !== view2.refused.join("")) {
        this.refused_list.replaceChildren(...view2.refused.map((line) => h("li", { dir: "auto" }, line)));
      }
      show(this.card, view2.count > 0);
      show(this.total, view2.total !== null);
      if (view2.total) this.draw_total(view2.total, texts);
      this.draw_rows();
      this.follow(view2);
      this.root.querySelectorAll("button").forEach((each) => {
        each.disabled = view2.disabled;
      });
      this.draw_class();
      restore_focus();
    }
    /** @param {Texts} texts */
    draw_labels(texts) {
      const table = (
        /** @type {any} */
        texts
      );
      this.root.querySelectorAll("[data-text]").forEach((each) => put(each, table[String(each.getAttribute("data-text"))]));
      this.list.ariaLabel = texts.uploads;
      this.begun_list.ariaLabel = texts.continue_title;
      this.total.ariaLabel = texts.all_progress;
      this.close.ariaLabel = this.close.title = texts.close;
    }
    /** @param {NonNullable<View['total']>} total @param {Texts} texts */
    draw_total({ headline, failed, facts, tone, actions, asks, fraction }, texts) {
      put(this.headline, headline);
      put(this.failed, failed);
      show(this.show_failed, failed !== "");
      put(this.numbers, facts.join(" · "));
      set(this.total, "class", `total${asks ? " asks" : ""}`);
      set(this.total, "data-tone", tone);
      for (const name of TOTAL_ACTIONS) show(this.buttons[name], actions.includes(name));
      this.total_bar.draw(true, fraction, texts.all_progress);
    }
    draw_rows() {
      const { view: view2, texts } = this;
      if (!view2 || !texts) return;
      const { count, row_at } = view2;
      const is_many = count > MANY;
      set(this.list, "class", `list${is_many ? " many" : ""}`);
      const first = is_many ? Math.max(0, Math.floor(this.scroller.scrollTop / (this.row_px || 64)) - ROWS_OUT_OF_SIGHT) : 0;
      const length = Math.min(count - first, is_many ? MAX_ROWS_IN_SIGHT : MANY);
      const indices = Array.from({ length }, (_, index) => first + index);
      const focused = view2.index_of(key_of2(this.shadow.activeElement));
      if (focused >= 0 && focused < first) indices.unshift(focused);
      if (focused >= first + length) indices.push(focused);
      this.rows.draw(indices, row_at, texts);
      if (is_many && !this.row_px) this.row_px = /** @type {HTMLElement} */
      this.list.firstElementChild.offsetHeight;
      style(this.list, "height", is_many ? `${this.row_px * count}px` : "");
      for (const index of indices) {
        const { root } = (
          /** @type {Row} */
          this.rows.all.get(row_at(index).key)
        );
        style(root, "top", is_many ? `${index * this.row_px}px` : "");
        set(root, "aria-setsize", is_many ? String(count) : null);
        set(root, "aria-posinset", is_many ? String(index + 1) : null);
      }
    }
    /** Turns to the first open upload once it is out of sight below: once for several files, since that is calmer. @param {View} view */
    follow({ count, index_of_open, row_at }) {
      const index = index_of_open();
      if (!this.follows || count < FEW || index < 0) return;
      const row = this.rows.all.get(row_at(index).key);
      const top = count > MANY || !row ? index * this.row_px : row.root.offsetTop;
      if (top > this.scroller.scrollTop + this.scroller.clientHeight - 32) this.scroll_to(top);
    }
    /** @param {number} top */
    scroll_to(top) {
      this.scroller.scrollTop = top;
      this.draw_rows();
    }
    /** Brings a row into sight, and gives it the focus. @param {number} index */
    go_to(index) {
      const { view: view2 } = this;
      if (!view2 || index < 0) return;
      if (view2.count > MANY) this.scroll_to(index * this.row_px);
      const row = this.rows.all.get(view2.row_at(index).key);
      if (row) row.go.focus();
    }
    /** @param {boolean} is_over files hang over the element, or over the page @param {boolean} anywhere */
    show_drag(is_over, anywhere) {
      show(this.curtain, is_over && anywhere);
      this.is_over = is_over && !anywhere;
      this.draw_class();
    }
    draw_class() {
      set(this.root, "class", `root${this.view && this.view.disabled ? " disabled" : ""}${this.is_over ? " over" : ""}`);
    }
    /** What the browser points at when the form can't be submitted. */
    anchor() {
      return this.zone.hidden ? this.card : this.choose;
    }
  };
  var Rows = class {
    /** @param {HTMLElement} list @param {(row: Row) => void} on_new */
    constructor(list, on_new) {
      this.list = list;
      this.on_new = on_new;
      this.all = /** @type {Map<string, Row>} */
      /* @__PURE__ */ new Map();
    }
    /** @param {number[]} indices of those that exist @param {(index: number) => RowView} row_at @param {Texts} texts */
    draw(indices, row_at, texts) {
      const before = this.all;
      this.all = /* @__PURE__ */ new Map();
      for (const index of indices) {
        const view2 = row_at(index);
        const row = before.get(view2.key) || new Row(view2.key);
        if (!before.delete(view2.key)) this.on_new(row);
        this.all.set(view2.key, row);
        row.draw(view2, texts);
      }
      before.forEach(({ root }) => root.remove());
      let next = this.list.firstElementChild;
      for (const { root } of this.all.values()) {
        if (root === next) next = next.nextElementSibling;
        else this.list.insertBefore(root, next);
      }
    }
  };
  function key_of2(inside) {
    const row = inside && inside.closest("[data-key]");
    return row ? String(row.getAttribute("data-key")) : "";
  }
  function focus_of(panel) {
    const { shadow, buttons, total, list, choose } = panel;
    const { activeElement: element } = shadow;
    const row = element && element.closest("[data-key]");
    const rows = row && row.parentElement ? row.parentElement.children : [];
    const index = [...rows].indexOf(
      /** @type {Element} */
      row
    );
    const is_there = (each) => Boolean(each && each.getClientRects().length);
    return () => {
      if (!element || is_there(element) && shadow.activeElement === element && element !== panel.parked) return;
      const near = [row, rows[index], rows[index - 1], ...Object.values(buttons), total, choose, list.firstElementChild].find(is_there);
      const inside = near && [...near.querySelectorAll("button")].find(is_there);
      const target = (
        /** @type {HTMLElement | undefined} */
        inside || near
      );
      if (target) target.focus({ preventScroll: true });
      panel.parked = inside ? null : target;
    };
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
    if (!file.type.startsWith("image/") || file.size > MAX_BYTES || typeof createImageBitmap !== "function") return null;
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
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIDE_PX;
    const context = canvas.getContext("2d");
    if (!context) return null;
    const part = Math.min(bitmap.width, bitmap.height);
    context.drawImage(bitmap, (bitmap.width - part) / 2, (bitmap.height - part) / 2, part, part, 0, 0, SIDE_PX, SIDE_PX);
    bitmap.close();
    return canvas;
  }

  // src/element/sources.js
  var EDITABLE = "input, textarea, [contenteditable]:not([contenteditable=false])";
  function listen_to_page(element) {
    const on = (event) => {
      const { type, clipboardData, dataTransfer = clipboardData } = event;
      const path = event.composedPath();
      const has_files = dataTransfer && [...dataTransfer.types].includes("Files");
      const is_free = has_files && !event.defaultPrevented && !(path[0].closest && path[0].closest(EDITABLE));
      const is_drag = type.startsWith("drag");
      const anywhere = element.hasAttribute("drop-anywhere");
      const is_near = path.some((node) => node.localName === element.localName) ? path.includes(element) : anywhere || !is_drag && type !== "drop";
      const is_here = is_free && is_near && element.takes_files;
      if (is_here) event.preventDefault();
      if (is_here && !is_drag) element.add(dataTransfer);
      if (type === "dragleave" && event.relatedTarget) return;
      if (type !== "paste") element.panel.show_drag(is_here && is_drag && type !== "dragleave", anywhere);
    };
    const guard = (event) => {
      if (event.defaultPrevented || ![...event.dataTransfer.types].includes("Files") || event.composedPath()[0].type === "file") return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "none";
    };
    const all = (change2) => {
      for (const type of ["dragenter", "dragover", "dragleave", "drop", "paste"]) document[change2](type, on);
      for (const type of ["dragover", "drop"]) window[change2](type, guard);
    };
    all("addEventListener");
    return () => all("removeEventListener");
  }
  var Inputs = class {
    /** @param {ShadowRoot} shadow @param {IncomingUpload} element */
    constructor(shadow, element) {
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
      this.files = files;
      this.folder = folder;
      this.camera = camera;
    }
    /** Chooses by the present attributes of the element. @param {IncomingUpload} element */
    update(element) {
      set(this.files, "accept", element.getAttribute("accept"));
      this.files.multiple = element.is_multiple;
      set(this.camera, "capture", element.getAttribute("capture"));
    }
  };

  // src/element/speech.js
  var GATHER_MS = 300;
  var QUIET_MS = 5e3;
  var MANY2 = 3;
  var no_news = () => ({ added: 0, finished: [], failed: [], cancelled: [], connection: null });
  function sentence({ added, finished, failed, cancelled, connection }, list, texts) {
    const all_finished = !list.open && list.files === list.finished;
    return [
      added && texts.said_added(added),
      connection && texts.said_retrying(connection),
      connection === "" && list.open && texts.said_running,
      ...failed.slice(0, MANY2).map(([name, why]) => texts.said_failed(name, why)),
      failed.length > MANY2 && texts.files_failed(failed.length),
      ...cancelled.slice(0, 1).map(([name]) => texts.said_cancelled(name)),
      finished.length && (all_finished ? texts.said_all_finished(list.finished) : finished.length > 1 ? texts.said_finished_many(finished.length) : texts.said_finished(finished[0][0]))
    ].filter(Boolean).join(" ");
  }
  var Speech = class {
    /** @param {(news: News) => string} compose @param {Element} place where screen readers look for news */
    constructor(compose, place) {
      this.compose = compose;
      this.place = place;
      this.news = no_news();
      this.timer = 0;
      this.said_ms = -QUIET_MS;
    }
    /** @param {{added?: number, connection?: string, [state: string]: any}} more something new; it ignores other states */
    hear(more) {
      const { news } = this;
      for (const name of Object.keys(more)) {
        const known = (
          /** @type {any} */
          news[name]
        );
        if (Array.isArray(known)) known.push(more[name]);
      }
      news.added += more.added || 0;
      if (more.connection !== void 0) news.connection = more.connection;
      this.timer = this.timer || setTimeout(() => this.say(), Math.max(GATHER_MS, this.said_ms + QUIET_MS - performance.now()));
    }
    say() {
      const text2 = this.compose(this.news);
      this.stop();
      if (!text2) return;
      this.said_ms = performance.now();
      put(this.place, text2);
    }
    stop() {
      clearTimeout(this.timer);
      this.timer = 0;
      this.news = no_news();
    }
  };

  // src/element/style.css
  var style_default = ':host{--_accent: var(--incoming-accent, light-dark(#2b5fd9, #8db4ff));--_on-accent: var(--incoming-on-accent, light-dark(#fff, #0c1a36));--_ink: var(--incoming-ink, light-dark(#1a1f2b, #e9ecf3));--_soft: var(--incoming-soft, light-dark(#5a6374, #a2abbc));--_line: var(--incoming-line, light-dark(#dfe3ea, #343b49));--_surface: var(--incoming-surface, light-dark(#fff, #191d25));--_tint: var(--incoming-tint, light-dark(#f4f6f9, #222732));--_good: var(--incoming-good, light-dark(#14774a, #64d19d));--_bad: var(--incoming-bad, light-dark(#bd2c22, #ff9287));--_warn: var(--incoming-warn, light-dark(#8a5a08, #e5b765));--_radius: var(--incoming-radius, 12px);display:block;color:var(--_ink);font-family:var(--incoming-font, inherit);line-height:1.4;text-align:start}:host([hidden]),[hidden]{display:none!important}*{box-sizing:border-box}.root{container-type:inline-size;display:grid;grid-template-columns:minmax(0,1fr);gap:12px}ul,p{margin:0;padding:0;list-style:none}svg{flex:none;width:20px;height:20px;fill:none;stroke:currentcolor;stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round}.heard{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}strong,.title,.headline{font-size:.9375em;font-weight:600}.text{flex:1;min-width:0}.dropzone{display:flex;align-items:center;gap:12px;padding:10px 12px;border:1.5px dashed color-mix(in srgb,var(--_soft) 45%,var(--_line));border-radius:var(--_radius);background:var(--_tint)}.sign{display:grid;flex:none;place-items:center;width:40px;height:40px;border-radius:50%;background:color-mix(in srgb,var(--_accent) 12%,transparent);color:var(--_accent)}.title,.hint{display:block;text-align:match-parent}.hint{color:var(--_soft);font-size:.875em;text-wrap:balance}.compact .hint{display:none}.buttons{display:flex;flex-wrap:wrap;gap:8px}.large{flex-direction:column;padding:36px 20px;text-align:center}.large .sign{margin:6px;scale:1.3}.large .title{font-size:1.0625em}.large .text{flex:none}.large .buttons{justify-content:center;margin-top:6px}.over .dropzone{border-color:var(--_accent);border-style:solid;background:color-mix(in srgb,var(--_accent) 10%,var(--_surface))}.curtain{position:fixed;z-index:9999;inset:12px;display:grid;place-content:center;place-items:center;gap:12px;border:2px dashed var(--_accent);border-radius:16px;background:color-mix(in srgb,var(--_surface) 90%,transparent);color:var(--_accent);font-size:1.375em;pointer-events:none}button{flex:none;display:inline-flex;align-items:center;justify-content:center;min-height:40px;margin:0;padding:0 16px;border:1px solid transparent;border-radius:calc(var(--_radius) * .67);background:none;color:inherit;font:inherit;font-size:.875em;font-weight:550;line-height:1.2;white-space:nowrap;cursor:pointer}button:hover{background:color-mix(in srgb,var(--_ink) 7%,var(--_surface))}.main,.main:hover{background:var(--_accent);color:var(--_on-accent)}.main:hover,.danger:hover{filter:brightness(.92)}.quiet{border-color:var(--_line)}.quiet:not(:hover){background:var(--_surface)}.danger,.danger:hover{background:var(--_bad);color:var(--_surface)}.small{min-height:34px;padding:0 12px;font-size:.8125em}.square{width:36px;min-height:36px;margin-inline-end:-4px;padding:0}.square,.link{border:0}.square:not(:hover){color:var(--_soft)}.square+.square{margin-inline-start:-8px}.link,.link:hover{min-height:24px;margin-inline-start:8px;padding:0;background:none;color:var(--_bad);text-decoration:underline;text-underline-offset:3px}button:disabled{opacity:.5;pointer-events:none}:focus-visible{outline:2px solid var(--_accent);outline-offset:2px}.row:focus-visible,.total:focus-visible{outline-offset:-2px}.card{border:1px solid var(--_line);border-radius:var(--_radius);background:var(--_surface);overflow:clip}.head,.total{position:relative;display:flex;flex-wrap:wrap;align-items:center;gap:8px 12px;min-height:46px;padding:6px 12px 6px 16px;border-bottom:1px solid var(--_line)}.head strong{flex:1}.scroller{scrollbar-width:thin;max-height:var(--incoming-list-height, 30em);overflow:auto}.list{position:relative}.row{position:relative;display:flex;align-items:center;gap:12px;min-height:64px;padding:10px 12px}.row+.row:before{content:"";position:absolute;inset-block-start:0;inset-inline:64px 12px;border-top:1px solid var(--_line)}.icon{display:grid;flex:none;place-items:center;width:40px;height:40px;position:relative;border-radius:8px;background:var(--_tint);color:var(--_soft)}canvas{width:100%;height:100%;border-radius:inherit}.badge{position:absolute;inset-block-end:-5px;inset-inline-end:-5px;width:18px;height:18px;padding:2px;border:2px solid var(--_surface);border-radius:50%;background:var(--_tone);color:var(--_surface);stroke-width:4}.row .text{transition:transform .2s}.moving .text{transform:translateY(-5px)}.name{font-size:.9375em;font-weight:500}.cut{display:inline-flex;max-width:100%;vertical-align:top;white-space:pre}.stem{overflow:hidden;text-overflow:ellipsis}.stem:not(:empty){min-width:1em}.tail{flex:none}.facts{color:var(--_soft);font-size:.8125em;overflow-wrap:anywhere}.facts,.headline{font-variant-numeric:tabular-nums}[data-tone=soft]{--_tone: var(--_soft)}[data-tone=good]{--_tone: var(--_good)}[data-tone=bad]{--_tone: var(--_bad)}[data-tone=warn]{--_tone: var(--_warn)}.row:is([data-tone=bad],[data-tone=warn]) .facts{color:var(--_tone)}.bar{position:absolute;bottom:9px;inset-inline:64px 12px;height:3px;border-radius:2px;background:color-mix(in srgb,var(--_ink) 10%,transparent);overflow:hidden}.fill{height:100%;border-radius:inherit;background:var(--_tone, var(--_accent));transform-origin:0;transition:transform .25s linear,background-color .2s}.fill:dir(rtl){transform-origin:100%}.waits .fill{animation:wait 2s ease-in-out infinite alternate}@keyframes wait{to{opacity:.45}}.many .row{position:absolute;inset-inline:0;height:64px;padding-block:0}.many .facts{overflow:hidden;white-space:nowrap;text-overflow:ellipsis}.total{min-height:64px;padding-block:10px 14px}.sums{flex:1;min-width:12em}.total .buttons{min-width:14em;justify-content:end}.total:not(.asks) .question,.asks .sums>:not(.question){display:none}.total .bar{inset:auto 0 0;height:4px;border-radius:0}.trouble,.refused{display:flex;gap:10px;padding:12px 16px;border-radius:var(--_radius);background:color-mix(in srgb,var(--_bad) 8%,var(--_surface));font-size:.875em;overflow-wrap:anywhere}.trouble{color:var(--_bad)}.trouble .badge,.refused .badge{position:static;--_tone: var(--_bad);border:0}.refused li{color:var(--_soft)}.refused .square{margin-block:-7px}@container (max-width: 30em){.compact .sign{display:none}.large{padding:28px 16px}.total .buttons{width:100%}.total .buttons button{flex:auto;padding:0 8px}.row{min-height:72px}.worded{display:grid;grid-template-columns:40px 1fr auto;row-gap:8px}.worded .small{grid-area:2 / 2;justify-self:start}.worded.moving{padding-bottom:22px}.worded.moving .text{transform:none}}@media(pointer:coarse){button,.small,.square{min-width:44px;min-height:44px}}@media(prefers-reduced-motion:reduce){*{transition:none!important;animation:none!important}}@media(forced-colors:active){.bar{height:6px;border:1px solid}.fill{forced-color-adjust:none;background:Highlight}}';

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
    no_server: "The upload server does not respond. Please try again later.",
    no_tickets: "This page does not say where its upload tickets come from.",
    unreadable: "The file cannot be read.",
    not_added: (count) => count === 1 ? "1 file was not added" : `${count} files were not added`,
    and_more: (count) => `and ${count} more`,
    wrong_file: (name) => `This is not the same ${name}. Choose the file that the upload was started with.`,
    // States of a file.
    waiting: "Waiting",
    connecting: "Connecting",
    checking: "Checking the file",
    elsewhere: "Uploading in another window",
    paused: "Paused",
    waiting_for_app: "Arrived, waiting for the app to accept it",
    cancelling: "Cancelling",
    finished: "Uploaded",
    cancelled: "Cancelled",
    failed: "The upload failed.",
    retry_in: (time) => `Trying again in ${time}.`,
    left: (time) => `${time} left`,
    part_of: (percent, size) => `${percent} of ${size}`,
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
    said_finished_many: (count) => `${count} files are uploaded.`,
    said_all_finished: (count) => count === 1 ? "The upload has finished." : `All ${count} files are uploaded.`,
    said_failed: (name, why) => `${name} failed. ${why}`,
    said_retrying: (why) => `${why} The uploads resume without your help.`,
    said_running: "The connection is back.",
    said_cancelled: (name) => `${name} is cancelled.`,
    units: ["bytes", "kB", "MB", "GB", "TB"],
    per_second: (size) => `${size}/s`,
    seconds: (s) => `${s} s`,
    minutes: (min) => `${min} min`,
    hours: (h2, min) => `${h2} h ${min} min`
  };

  // src/element/format.js
  var formats = {};
  function decimal(number, decimals, lang) {
    const key = lang + decimals;
    const options = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    try {
      formats[key] = formats[key] || new Intl.NumberFormat(lang || void 0, options);
    } catch (error) {
      formats[key] = new Intl.NumberFormat(void 0, options);
    }
    return formats[key].format(number);
  }
  function formats_for(texts, lang) {
    const format = {
      /** Never rounded up: 100 % means that nothing is missing. @param {number} fraction */
      percent: (fraction) => `${decimal(Math.floor(100 * fraction + 1e-9), 0, lang)} %`,
      /** @param {number} bytes */
      size(bytes) {
        const power = bytes < 1e3 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
        return `${decimal(bytes / 1e3 ** power, power ? 1 : 0, lang)} ${texts.units[power]}`;
      },
      /** @param {number} bytes_per_s */
      speed: (bytes_per_s) => texts.per_second(format.size(bytes_per_s)),
      /** @param {number} seconds rounded up */
      time(seconds) {
        const s = Math.ceil(seconds);
        const min = Math.ceil(seconds / 60);
        if (s < 60) return texts.seconds(s);
        return min < 60 ? texts.minutes(min) : texts.hours(Math.floor(min / 60), min % 60);
      }
    };
    return format;
  }

  // src/element/kinds.js
  var KINDS = [
    ["image", /^image|\.(jpe?g|png|gif|webp|avif|hei[cf]|tiff?|svg|raw|dng|psd)$/],
    ["video", /^video|\.(mp4|mov|mkv|avi|webm|m4v|mpe?g)$/],
    ["audio", /^audio|\.(mp3|wav|flac|ogg|m4a|aac|aiff?|opus)$/],
    ["archive", /zip$|\.(tar|t?gz|bz2|xz|7z|rar|zst|iso|dmg)$/],
    ["table", /csv$|\.(tsv|xlsx?|ods)$/],
    ["text", /^text|\.(pdf|docx?|odt|txt|md|rtf|pptx?|json|xml)$/]
  ];
  function kind_of(path, type) {
    const name = path.toLowerCase();
    const found = KINDS.find(([, pattern]) => pattern.test(type) || pattern.test(name));
    return found ? found[0] : "file";
  }

  // src/element/view.js
  var ENDED2 = ["finished", "failed", "cancelled", "refused"];
  var STILL = ["waiting", "asking", "paused", "cancelled", "new"];
  var WAITS = ["asking", "connecting", "checking", "waiting_for_app", "cancelling"];
  var has_ended = ({ state }) => ENDED2.includes(state);
  function view(now, texts, lang) {
    const format = formats_for(texts, lang);
    const { begun, files, refused, multiple } = now;
    const is_empty = files.length + begun.length === 0;
    return {
      trouble: now.trouble,
      zone: now.trouble ? "" : multiple || !files.length ? is_empty ? "large" : "compact" : "",
      // a single file takes its place
      disabled: now.disabled || now.trouble !== "",
      title: title_of(now, texts),
      hint: now.max_bytes ? texts.limit(format.size(now.max_bytes)) : now.touch ? texts.resumes : multiple ? texts.paste_files : texts.paste_file,
      choose: multiple ? texts.choose_files : texts.choose_file,
      directory: now.directory,
      camera: now.camera,
      refused: refused.length > 3 ? [...refused.slice(0, 3), texts.and_more(refused.length - 3)] : refused,
      refused_title: refused.length ? texts.not_added(refused.length) : "",
      begun: begun.map((upload) => begun_row(upload, texts, format)),
      continue_all: begun.filter((upload) => upload.has_handle && !upload.live).length > 1,
      total: files.length > 1 ? total_of(now, texts, format) : null,
      count: files.length,
      /** Rows are made when they are needed: a list of thousands shows a few. @param {number} index */
      row_at: (index) => row_of(files[index], now, texts, format),
      /** @param {string} key */
      index_of: (key) => files.findIndex((file) => file.key === key),
      /** The first one that has not ended, or -1. */
      index_of_open: () => files.findIndex((file) => !has_ended(file)),
      index_of_failed: () => files.findIndex(({ state }) => state === "failed")
    };
  }
  function title_of({ multiple, touch }, texts) {
    if (touch) return multiple ? texts.add_files : texts.add_file;
    return multiple ? texts.drop_files : texts.drop_file;
  }
  function row_of(file, now, texts, format) {
    const { state, bytes_acked, size } = file;
    const fraction = state === "finished" ? 1 : size ? bytes_acked / size : 0;
    return {
      key: file.key,
      path: file.path,
      kind: kind_of(file.path, file.type),
      tone: tone_of(state),
      facts: facts_of(file, fraction, now, texts, format),
      fraction,
      bar: !has_ended(file) && (bytes_acked > 0 || !STILL.includes(state)),
      waits: WAITS.includes(state),
      go: go_of(file),
      stop: has_ended(file) ? "dismiss" : file.can_cancel ? "cancel" : ""
    };
  }
  function tone_of(state) {
    if (state === "finished") return "good";
    if (state === "failed" || state === "refused") return "bad";
    if (state === "retrying") return "warn";
    return STILL.includes(state) || state === "elsewhere" ? "soft" : "";
  }
  function go_of({ state, can_pause, can_retry: can_retry2 }) {
    if (state === "failed") return "retry";
    if (state === "paused") return "resume";
    if (state === "retrying" && can_retry2) return "retry_now";
    return can_pause && !ENDED2.includes(state) ? "pause" : "";
  }
  function facts_of(file, fraction, now, texts, format) {
    const { state, reason, message, size, bytes_acked, bytes_per_s, seconds_left, next_retry_at } = file;
    const amount = bytes_acked ? texts.part_of(format.percent(fraction), format.size(size)) : format.size(size);
    const table = (
      /** @type {Record<string, any>} */
      texts
    );
    switch (state) {
      case "finished":
        return [texts.finished, format.size(size)];
      case "failed":
      case "refused":
        return [message || texts.failed];
      case "cancelled":
        return [message || texts.cancelled];
      case "cancelling":
        return [texts.cancelling];
      case "waiting_for_app":
        return [reason ? message : texts.waiting_for_app];
      case "retrying": {
        const wait_s2 = next_retry_at === null ? 0 : (next_retry_at - now.now_ms) / 1e3;
        const says_soon = now.trying_again !== "" && message.endsWith(now.trying_again);
        if (!says_soon || wait_s2 <= 0) return [message];
        return [message.slice(0, -now.trying_again.length) + texts.retry_in(format.time(wait_s2))];
      }
      case "uploading":
      case "elsewhere": {
        const speed = bytes_per_s ? [format.speed(bytes_per_s)] : [];
        const left = seconds_left === null || !bytes_per_s ? [] : [texts.left(format.time(seconds_left))];
        if (state === "elsewhere") return [texts.elsewhere, format.percent(fraction), ...left];
        if (reason) return [format.percent(fraction), message];
        return speed.length ? [format.percent(fraction), ...speed, ...left] : [amount];
      }
      case "asking":
        return [texts.connecting, amount];
      default:
        return [table[state] || texts.waiting, amount];
    }
  }
  function begun_row({ key, name, size, bytes_acked, has_handle, live }, texts, format) {
    const fraction = size ? bytes_acked / size : 0;
    return {
      key,
      path: name,
      kind: kind_of(name, ""),
      tone: "soft",
      facts: live ? [texts.elsewhere, format.percent(fraction)] : [texts.part_of(format.percent(fraction), format.size(size))],
      fraction,
      bar: true,
      waits: false,
      go: live ? "" : has_handle ? "continue" : "find_file",
      stop: live ? "" : "forget"
    };
  }
  function total_of({ files, total, asking_to_cancel }, texts, format) {
    const open = files.filter((file) => !has_ended(file));
    const fraction = total.bytes_total ? total.bytes_acked / total.bytes_total : total.finished / (total.files || 1);
    const speed = total.bytes_per_s ? [format.speed(total.bytes_per_s)] : [];
    const left = total.bytes_per_s && total.seconds_left !== null ? [texts.left(format.time(total.seconds_left))] : [];
    const can_pause = open.some((file) => file.can_pause && file.state !== "paused");
    const can_cancel = open.some((file) => file.can_cancel);
    const asks = asking_to_cancel && can_cancel;
    const possible = {
      retry_all: total.failed > 0,
      pause_all: can_pause,
      resume_all: !can_pause && open.some(({ state }) => state === "paused"),
      cancel_all: can_cancel,
      clear: !open.length
    };
    return {
      headline: texts.files_done(total.finished, total.files),
      failed: total.failed ? texts.files_failed(total.failed) : "",
      facts: open.length ? [texts.part_of(format.percent(fraction), format.size(total.bytes_total)), ...speed, ...left] : [format.size(total.bytes_acked)],
      fraction,
      tone: (
        /** @type {Tone} */
        open.length ? "" : total.failed ? "bad" : "good"
      ),
      /** Whether it asks if everything is to be cancelled. */
      asks,
      actions: asks ? ["keep", "cancel_really"] : Object.keys(possible).filter((name) => possible[name])
    };
  }

  // src/element/incoming_upload.js
  var DRAW_MS = 200;
  var COUNTDOWN_MS = 500;
  var BUSY_MS2 = 10;
  var VALUES = ["tickets", "server", "name", "accept", "max-bytes", "max-files", "at-once", "capture"];
  var FLAGS = ["multiple", "directory", "disabled", "required", "drop-anywhere", "keep-awake", "warn-before-unload"];
  var Base = typeof HTMLElement === "undefined" ? (
    /** @type {typeof HTMLElement} */
    /** @type {unknown} */
    class {
    }
  ) : HTMLElement;
  var IncomingUpload = class extends Base {
    static get formAssociated() {
      return true;
    }
    static get observedAttributes() {
      return [...VALUES, ...FLAGS, "lang"];
    }
    constructor() {
      super();
      const shadow = this.attachShadow({ mode: "open", delegatesFocus: true });
      add_style(shadow, style_default);
      this.internals = this.attachInternals();
      this.panel = new Panel(shadow, (action, key) => this.act(action, key), async ({ key, icon: icon2 }) => {
        const item = this.item(key);
        const canvas = item && await picture_of(
          /** @type {File} */
          item.file
        );
        if (canvas) icon2.replaceWith(canvas);
      });
      this.inputs = new Inputs(shadow, this);
      this.own_texts = /** @type {Partial<Texts>} */
      {};
      this.all_texts = /** @type {Texts} */
      TEXTS;
      this.shared_texts = /** @type {object | undefined} */
      void 0;
      this.own_get_ticket = /** @type {GetTicket | null} */
      null;
      this.own_queue = /** @type {Queue | null} */
      null;
      this.page_queue = /** @type {Queue | null} */
      null;
      this.begun = /** @type {Unfinished[]} */
      [];
      this.wanted = /** @type {Unfinished | null} */
      null;
      this.refused = /** @type {string[]} */
      [];
      this.seen = /** @type {Map<number, ItemSnapshot>} */
      /* @__PURE__ */ new Map();
      this.tickets_now = /** @type {string[]} */
      [];
      this.is_disabled = false;
      this.asks = false;
      this.is_reset = false;
      this.is_lost = false;
      this.was_all_finished = false;
      this.stops = /** @type {(() => void)[]} */
      [];
      this.timer = 0;
      this.speech = new Speech((news) => {
        const { files, finished, waiting, running, paused } = this.queue.totals();
        return sentence(news, { files, finished, open: waiting + running + paused }, this.all_texts);
      }, this.panel.news);
    }
    // ---- in the page ----
    connectedCallback() {
      for (const name of ["queue", "get_ticket", "texts"]) {
        const values = Object.getOwnPropertyDescriptor(this, name);
        if (!values) continue;
        delete /** @type {any} */
        this[name];
        this[name] = values.value;
      }
      this.connect();
    }
    /** An element that is moved is taken out and put in again: only one that stays away is left. */
    disconnectedCallback() {
      setTimeout(() => {
        if (this.isConnected) return;
        this.leave();
        this.speech.stop();
        this.leave_queue();
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
        queue.at_once = this.number("at-once") || 3;
        queue.restrictions = {
          accept: this.getAttribute("accept"),
          max_bytes: this.number("max-bytes"),
          max_files: this.is_multiple ? this.number("max-files") : 1,
          disallow_duplicates: true
        };
      }
      this.inputs.update(this);
      this.stops = [listen_to_page(this), queue.subscribe(() => this.draw_in(DRAW_MS))];
      if (incoming_default) this.stops.push(watch_unfinished((uploads) => this.offer(uploads), this.server_options));
      if (this.hasAttribute("keep-awake")) this.stops.push(keep_awake(
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
    /** Stops the uploads of its own queue without cancelling them: they can be continued. */
    leave_queue() {
      if (this.own_queue) this.own_queue.dispose();
      this.own_queue = null;
      this.seen.clear();
    }
    /** @param {boolean} disabled by its attribute or by a fieldset */
    formDisabledCallback(disabled) {
      this.is_disabled = disabled;
      this.draw();
    }
    /** The form is reset: the list is emptied. What runs is cancelled, since nobody would see it any more. */
    formResetCallback() {
      this.queue.cancel();
      this.is_reset = true;
      this.refused = [];
      this.draw();
    }
    // ---- the queue ----
    /** The queue of its uploads: its own, unless the page has set one. @returns {Queue} */
    get queue() {
      if (this.page_queue) return this.page_queue;
      if (!this.own_queue) {
        this.own_queue = new Queue({
          get_ticket: (item, signal) => this.ticket_of(item, signal),
          uploader_options: () => ({
            ...this.server_options,
            warn_before_unload: this.hasAttribute("warn-before-unload")
          })
        });
      }
      return this.own_queue;
    }
    /** @param {Queue | null} queue */
    set queue(queue) {
      this.leave_queue();
      this.page_queue = queue;
      this.connect();
    }
    /** @param {string} name @returns {number | null} a whole number above 0 */
    number(name) {
      return Math.max(0, Math.floor(Number(this.getAttribute(name)))) || null;
    }
    get is_multiple() {
      return this.hasAttribute("multiple") || this.hasAttribute("directory");
    }
    get takes_files() {
      return !this.is_disabled && !this.trouble;
    }
    /** Why nothing can be uploaded at all, in a sentence; else "". */
    get trouble() {
      if (!incoming_default) return this.all_texts.no_server;
      return this.page_queue || this.own_get_ticket || this.getAttribute("tickets") ? "" : this.all_texts.no_tickets;
    }
    /** Where the server is, if the page has said so for this element. */
    get server_options() {
      const server2 = this.getAttribute("server");
      return server2 ? { server: server2 } : {};
    }
    /** What an upload of this element is known by after a reload. */
    get owner() {
      return `${location.pathname} ${this.id || this.getAttribute("name") || ""}`;
    }
    /** @param {string} key */
    item(key) {
      return this.queue.items.find(({ id }) => String(id) === key);
    }
    /** @param {Item} item @param {AbortSignal} signal */
    async ticket_of(item, signal) {
      const begun = this.begun.find((upload) => !upload.live && incoming_default.matches(upload, item.file));
      const get_ticket = this.own_get_ticket || ticket_from(new URL(String(this.getAttribute("tickets")), document.baseURI));
      const ticket = begun ? begun.upload_id : await get_ticket(item, signal);
      this.begun = this.begun.filter((upload) => upload !== begun);
      own(ticket, this.owner);
      if (item.handle) remember(ticket, item.handle);
      return ticket;
    }
    // ---- adding files ----
    /** @param {import('../../queue.mjs').FileSource} source what was dropped, pasted or chosen */
    async add(source) {
      const found = files_of(source);
      const { queue, wanted } = this;
      const refused = (
        /** @type {Refusal[]} */
        []
      );
      this.wanted = null;
      this.is_reset = false;
      let began_ms = performance.now();
      for await (const { file, path, handle } of found) {
        const refusal = this.refusal_of(file, path, wanted);
        if (refusal) refused.push(refusal);
        else if (file) queue.add(file, { path, handle });
        if (performance.now() > began_ms + BUSY_MS2) {
          await new Promise((resolve) => setTimeout(resolve));
          began_ms = performance.now();
        }
        if (queue !== this.page_queue && queue !== this.own_queue) return;
      }
      this.refused = refused.map(({ path, message }) => `${path}: ${message}`);
      if (refused.length) this.tell("upload-refused", { refused });
      this.draw();
    }
    /** @param {File | null} file @param {string} path @param {Unfinished | null} wanted @returns {Refusal | null} */
    refusal_of(file, path, wanted) {
      const { all_texts: texts, queue } = this;
      if (!file) return { code: "unreadable", message: texts.unreadable, file, path };
      if (wanted && !incoming_default.matches(wanted, file)) return { code: "not_accepted", message: texts.wrong_file(wanted.filename), file, path };
      if (!this.is_multiple) queue.clear();
      return check_file(file, queue.restrictions, queue);
    }
    /** Uploads of earlier visits: the element offers those that were begun with it. @param {Unfinished[]} uploads */
    offer(uploads) {
      const ids = owned_by(this.owner);
      const here = this.queue.items.map(({ upload_id }) => upload_id);
      this.begun = uploads.filter(({ upload_id }) => ids.has(upload_id) && !here.includes(upload_id));
      this.draw();
    }
    /** @param {Unfinished} begun */
    async reopen(begun) {
      const { handle, upload_id } = begun;
      const file = handle && await reopen(handle);
      if (file && incoming_default.matches(begun, file)) await this.add([{ path: file.name, file, handle }]);
      else {
        this.begun = this.begun.map((upload) => upload.upload_id === upload_id ? { ...upload, handle: null } : upload);
        this.draw();
      }
    }
    // ---- what the user does ----
    /** @param {string} action @param {string} key of its row, or "" */
    act(action, key) {
      const { queue, inputs, panel } = this;
      const item = this.item(key);
      const begun = this.begun.find(({ upload_id }) => upload_id === key);
      this.asks = action === "cancel_all";
      if (action === "choose") this.choose(null);
      if (action === "choose_folder") inputs.folder.click();
      if (action === "take_photo") inputs.camera.click();
      if (action === "close") this.refused = [];
      if (action === "pause_all") queue.pause();
      if (action === "resume_all") queue.resume();
      if (action === "retry_all") queue.retry();
      if (action === "cancel_really") queue.cancel();
      if (action === "clear") queue.clear();
      if (action === "continue_all") this.begun.forEach((upload) => upload.handle && !upload.live && this.reopen(upload));
      if (item) {
        if (action === "pause") item.pause();
        if (action === "resume" && item.can_resume) item.resume();
        else if (action === "resume" && item.uploader) item.uploader.pause("unpause");
        if (action.startsWith("retry")) item.retry();
        if (action === "cancel") item.cancel();
        if (action === "dismiss") queue.remove(item);
      }
      if (begun) {
        if (action === "continue") this.reopen(begun);
        if (action === "find_file") this.choose(begun);
        if (action === "forget") {
          this.begun = this.begun.filter((upload) => upload !== begun);
          disown(key);
          forget(key, this.server_options);
        }
      }
      this.draw();
      if (action === "show_failed" && panel.view) panel.go_to(panel.view.index_of_failed());
    }
    /** Opens the dialog for files. @param {Unfinished | null} wanted the upload whose file is to be chosen */
    async choose(wanted) {
      this.wanted = wanted;
      if ("showOpenFilePicker" in window) {
        const files = await pick_files({ accept: this.inputs.files.accept, multiple: this.is_multiple && !wanted });
        if (files.length) this.add(files);
      } else {
        this.inputs.files.click();
      }
    }
    // ---- what is shown ----
    /** @param {number} ms */
    draw_in(ms) {
      this.timer = this.timer || setTimeout(() => this.draw(), ms);
    }
    draw() {
      clearTimeout(this.timer);
      this.timer = 0;
      if (!this.isConnected) return;
      const { queue } = this;
      if (this.is_reset) queue.clear();
      const { items, totals } = queue.snapshot();
      this.is_reset = this.is_reset && items.length > 0;
      const { trying_again = "", element: shared } = (
        /** @type {any} */
        incoming_default && incoming_default.texts || {}
      );
      if (this.shared_texts !== shared || this.all_texts === TEXTS) this.all_texts = { ...TEXTS, ...shared, ...this.own_texts };
      this.shared_texts = shared;
      const files = items.map(file_now);
      const near = this.closest("[lang]");
      this.compare(items);
      this.panel.draw(view({
        files,
        begun: this.begun.map(({ upload_id, filename, bytes_total, bytes_acked, handle, live }) => ({ key: upload_id, name: filename, size: bytes_total, bytes_acked, has_handle: handle !== null, live })),
        total: totals,
        refused: this.refused,
        trouble: this.trouble,
        trying_again,
        now_ms: Date.now(),
        disabled: this.is_disabled,
        multiple: this.is_multiple,
        directory: this.hasAttribute("directory"),
        camera: this.hasAttribute("capture") && matchMedia("(pointer: coarse)").matches,
        touch: matchMedia("(pointer: coarse) and (hover: none)").matches,
        max_bytes: this.number("max-bytes") || 0,
        asking_to_cancel: this.asks
      }, this.all_texts, near ? String(near.getAttribute("lang")) : ""), this.all_texts);
      this.update_form(items);
      const lost = files.find(({ state }) => state === "retrying");
      if (Boolean(lost) !== this.is_lost) this.speech.hear({ connection: lost ? lost.message : "" });
      this.is_lost = Boolean(lost);
      if (files.some(({ next_retry_at }) => next_retry_at !== null)) this.draw_in(COUNTDOWN_MS);
    }
    get texts() {
      return this.own_texts;
    }
    /** @param {Partial<Texts>} texts entries in place of those for all elements */
    set texts(texts) {
      this.own_texts = texts;
      this.all_texts = TEXTS;
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
      for (const { id, state, path, upload_id, message, reason } of items) {
        const old = before.get(id);
        if (!old) this.speech.hear({ added: 1 });
        if (!old || old.state === state) continue;
        const detail = { item: this.item(String(id)), upload_id, message, reason };
        if (state === "finished" || state === "cancelled") disown(upload_id);
        if (state === "finished") this.tell("upload-finished", detail);
        if (state === "failed") this.tell("upload-failed", detail);
        this.speech.hear({ [state]: [path, message] });
      }
      const value = tickets_of(items);
      const all_finished = value.length > 0 && items.every(({ state }) => state === "finished" || state === "cancelled");
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
      const is_busy2 = items.some(({ ended }) => !ended);
      const is_missing = this.hasAttribute("required") && !value.length;
      internals.setValidity(
        is_busy2 ? { customError: true } : { valueMissing: is_missing },
        is_busy2 ? texts.busy : is_missing ? texts.missing : "",
        this.panel.anchor()
      );
      if (value.join() === this.tickets_now.join()) return;
      this.tickets_now = value;
      const data = new FormData();
      value.forEach((ticket) => data.append(this.getAttribute("name") || "", ticket));
      internals.setFormValue(this.hasAttribute("name") ? data : null);
      this.tell("change");
    }
  };
  function tickets_of(items) {
    return items.filter(({ state }) => state === "finished").map(({ upload_id }) => upload_id);
  }
  var { prototype } = IncomingUpload;
  for (const name of [...VALUES, ...FLAGS]) {
    const is_flag = FLAGS.includes(name);
    Object.defineProperty(prototype, name.replace(/-/g, "_"), {
      configurable: true,
      /** @this {IncomingUpload} */
      get() {
        return is_flag ? this.hasAttribute(name) : this.getAttribute(name) || "";
      },
      /** @this {IncomingUpload} @param {any} value */
      set(value) {
        set(this, name, is_flag ? value ? "" : null : value === null || value === void 0 ? null : String(value));
      }
    });
  }
  for (const name of ["form", "labels", "validity", "validationMessage", "willValidate", "checkValidity", "reportValidity"]) {
    Object.defineProperty(prototype, name, {
      configurable: true,
      /** @this {IncomingUpload} */
      get() {
        const value = (
          /** @type {any} */
          this.internals[name]
        );
        return typeof value === "function" ? value.bind(this.internals) : value;
      }
    });
  }
  function define() {
    if (typeof customElements !== "undefined" && !customElements.get("incoming-upload")) {
      customElements.define("incoming-upload", IncomingUpload);
    }
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
