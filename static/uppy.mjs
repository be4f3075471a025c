/*! uppy.mjs 0.3.0: an uploader for Uppy. MIT license. */
// Built by scripts/build-library.mjs: make changes in static/src, which has the comments, too.
// src/frameworks/uppy.js
import { BasePlugin } from "@uppy/core";
import { Queue, ticket_from } from "./queue.mjs";

// src/storage.js
function with_storage(use) {
  try {
    return use(localStorage);
  } catch (error) {
    return null;
  }
}

// src/frameworks/ticket_memory.js
var KEEP_MS = 30 * 864e5;
var TicketMemory = class {
  /** @param {string} prefix of its keys */
  constructor(prefix) {
    this.prefix = prefix;
  }
  /** @param {string} file_id @param {string} upload_id */
  remember(file_id, upload_id) {
    with_storage((storage) => storage.setItem(this.prefix + file_id, JSON.stringify({ upload_id, at_ms: Date.now() })));
  }
  /** @param {string} file_id @returns {string} the ticket; "" if it has none */
  recall(file_id) {
    const { upload_id } = this.entry_at(this.prefix + file_id);
    return typeof upload_id === "string" ? upload_id : "";
  }
  /** @param {string} file_id */
  forget(file_id) {
    with_storage((storage) => storage.removeItem(this.prefix + file_id));
  }
  /** Removes what nobody has continued for long. */
  prune() {
    with_storage((storage) => {
      const keys = Array.from({ length: storage.length }, (_, i) => String(storage.key(i)));
      for (const key of keys.filter((name) => name.startsWith(this.prefix))) {
        if (!(this.entry_at(key).at_ms > Date.now() - KEEP_MS)) storage.removeItem(key);
      }
    });
  }
  /** @param {string} key @returns {{upload_id?: unknown, at_ms?: any}} */
  entry_at(key) {
    return with_storage((storage) => Object(JSON.parse(String(storage.getItem(key))))) || {};
  }
};

// src/frameworks/uppy.js
var AT_ONCE = 3;
var NEEDS_NEW_TICKET = ["unknown_ticket", "expired", "wrong_file", "length_mismatch"];
var TICKET_HAS_ENDED = [...NEEDS_NEW_TICKET, "handover_failed", "refused", "not_taken", "user", "app"];
var OWN_META = ["name", "type", "relativePath"];
var IncomingUploader = class extends BasePlugin {
  /** @param {Uppy} uppy @param {Options} options */
  constructor(uppy, options) {
    super(uppy, { at_once: AT_ONCE, resume: true, ...options });
    this.type = "uploader";
    this.id = this.opts.id || "IncomingUploader";
    this.defaultLocale = {
      strings: { fileRemoved: "The file was removed.", localFilesOnly: "Files from other services cannot be uploaded here." }
    };
    this.i18nInit();
    const { get_ticket, tickets, at_once } = (
      /** @type {Options} */
      this.opts
    );
    if (!get_ticket && !tickets) throw new TypeError("IncomingUploader: give it `tickets`, an address of your app, or `get_ticket`");
    this.jobs = /** @type {Map<string, Job>} */
    /* @__PURE__ */ new Map();
    this.ids = /** @type {WeakMap<Item, string>} */
    /* @__PURE__ */ new WeakMap();
    this.memory = new TicketMemory(`incoming-uppy:${tickets || ""}:`);
    this.queue = new Queue({
      get_ticket: (item, signal) => this.ticket_for(item, signal),
      uploader_options: (item) => this.uploader_options_for(item),
      at_once
    });
    this.handle_upload = (ids) => this.upload(ids);
    this.listeners = [
      ["file-removed", ({ id }) => this.cancel(id)],
      ["upload-pause", ({ id }, is_paused) => is_paused ? this.pause(id) : this.resume(id)],
      ["pause-all", () => this.jobs.forEach((_, id) => this.pause(id))],
      ["resume-all", () => this.jobs.forEach((_, id) => this.resume(id))]
    ];
  }
  install() {
    this.memory.prune();
    this.set_resumable(true);
    this.uppy.addUploader(this.handle_upload);
    this.listeners.forEach(([name, listener]) => this.uppy.on(name, listener));
    this.queue.subscribe(() => this.jobs.forEach((job, id) => this.look(id, job)), { per_frame: true });
  }
  /** Leaves the uploads as they are. Those that are being cancelled still tell the server. */
  uninstall() {
    this.listeners.forEach(([name, listener]) => this.uppy.off(name, listener));
    this.uppy.removeUploader(this.handle_upload);
    this.set_resumable(false);
    this.jobs.forEach((job, id) => this.leave(id, job));
    const cancelling = this.queue.items.filter(({ uploader }) => uploader && uploader.cancelling);
    this.queue.pause();
    Promise.all(cancelling.map(({ uploader }) => (
      /** @type {any} */
      uploader.done.catch(() => {
      })
    ))).then(() => this.queue.dispose());
  }
  /** @param {Partial<Options>} options */
  setOptions(options) {
    super.setOptions(options);
    if (options.at_once) this.queue.at_once = options.at_once;
  }
  /** @param {boolean} resumableUploads whether Uppy shows buttons for pausing */
  set_resumable(resumableUploads) {
    const { capabilities } = this.uppy.getState();
    this.uppy.setState({ capabilities: { ...capabilities, resumableUploads } });
  }
  // ---- what Uppy wants ----
  /** Uploads files, and returns when none of them is being uploaded. @param {string[]} ids */
  async upload(ids) {
    const files = this.uppy.getFilesByIds(ids).filter(({ error, progress }) => !error && !progress.uploadComplete);
    this.uppy.emit("upload-start", files.filter(({ isRestored, progress }) => !progress.uploadStarted || !isRestored));
    await Promise.all(files.map((file) => this.upload_one(file)));
  }
  /** @param {UppyFile} file @returns {Promise<void>} */
  upload_one(file) {
    if (file.isRemote || !file.data) {
      this.uppy.emit("upload-error", file, new Error(this.i18n("localFilesOnly")));
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const before = this.jobs.get(file.id);
      if (before) {
        before.end = resolve;
        before.item.retry();
        return;
      }
      const known = this.opts.resume ? this.memory.recall(file.id) : "";
      const begun = known ? (
        /** @type {any} */
        { upload_id: known, bytes_acked: 0 }
      ) : void 0;
      const path = String(file.meta.relativePath || file.meta.name);
      const job = { seen: null, said: "", resumes: Boolean(known), end: resolve };
      const item = this.queue.add(named(file), { path, begun });
      this.jobs.set(file.id, { ...job, item });
      this.ids.set(item, file.id);
      if (file.isPaused) item.pause();
    });
  }
  /** @param {string} id */
  pause(id) {
    const job = this.jobs.get(id);
    if (!job) return;
    if (job.item.can_pause) job.item.pause();
    else if (this.uppy.getFile(id).isPaused) this.uppy.setFileState(id, { isPaused: false });
  }
  /** @param {string} id */
  resume(id) {
    const job = this.jobs.get(id);
    if (job) job.item.resume();
  }
  /** @param {string} id of a file that was removed */
  cancel(id) {
    this.memory.forget(id);
    const job = this.jobs.get(id);
    if (!job) return;
    job.item.cancel();
    this.leave(id, job);
  }
  // ---- what happens to the files ----
  /** @param {string} id @param {Job} job */
  look(id, job) {
    const before = job.seen;
    const now = job.item.snapshot();
    const file = this.uppy.getFile(id);
    if (now === before || !file) return;
    job.seen = now;
    if (now.upload_id && (!before || before.upload_id !== now.upload_id)) this.memory.remember(id, now.upload_id);
    if (now.state === "finished") this.finish(file, job, now);
    else if (now.ended) this.fail(file, job, now);
    else this.show(file, job, now);
  }
  /** @param {UppyFile} file @param {Job} job @param {ItemSnapshot} now */
  show(file, job, now) {
    const { uploadStarted, bytesUploaded } = file.progress;
    if (bytesUploaded !== now.bytes_acked) {
      const progress = { uploadStarted: uploadStarted || Date.now(), bytesUploaded: now.bytes_acked, bytesTotal: now.file.size };
      this.uppy.emit("upload-progress", file, progress);
    }
    const message = trouble_of(now);
    const said = message && message + (now.upload ? now.upload.next_retry_at : "");
    if (message && said !== job.said) {
      this.uppy.emit("upload-stalled", { message }, [file]);
      this.say(message, "warning");
    }
    job.said = said;
  }
  /** @param {UppyFile} file @param {Job} job @param {ItemSnapshot} now */
  finish(file, job, { upload_id, file: { size } }) {
    this.memory.forget(file.id);
    this.leave(file.id, job);
    this.uppy.emit("upload-success", file, { status: 200, body: { upload_id }, bytesUploaded: size });
    job.end();
  }
  /** Failed, or cancelled by the app or in another window. @param {UppyFile} file @param {Job} job @param {ItemSnapshot} now */
  fail(file, job, { state, message, reason, upload }) {
    if (TICKET_HAS_ENDED.includes(reason)) this.memory.forget(file.id);
    if (job.resumes && NEEDS_NEW_TICKET.includes(reason)) {
      job.resumes = false;
      job.item.retry();
      return;
    }
    if (state === "cancelled") this.leave(file.id, job);
    const text = message || (upload ? upload.state_msg : "");
    const error = Object.assign(new Error(text), { name: "UploadError", reason, code: upload ? upload.error_code : null });
    this.uppy.emit("upload-error", file, error);
    this.say(text, "error");
    job.end();
  }
  /** Shows a sentence, unless it is there already. @param {string} text @param {'warning' | 'error'} type */
  say(text, type) {
    const { info } = this.uppy.getState();
    if (!info.some(({ message }) => message === text)) this.uppy.info(text, type, this.uppy.opts.infoTimeout);
  }
  /** Forgets a file: Uppy has nothing more to do with it. @param {string} id @param {Job} job */
  leave(id, job) {
    this.jobs.delete(id);
    job.end();
    const { uploader } = job.item;
    if (this.queue.remove(job.item) || !uploader) return;
    uploader.done.catch(() => {
    }).then(() => setTimeout(() => this.queue.remove(job.item)));
  }
  // ---- what the queue asks ----
  /** @param {Item} item @returns {UppyFile | undefined} undefined once it was removed */
  file_of(item) {
    return this.uppy.getFile(
      /** @type {string} */
      this.ids.get(item)
    );
  }
  /** @param {Item} item @param {AbortSignal} signal */
  async ticket_for(item, signal) {
    await void 0;
    const { get_ticket, tickets, headers, fields, credentials } = (
      /** @type {Options} */
      this.opts
    );
    const file = this.file_of(item);
    if (!file) throw new Error(this.i18n("fileRemoved"));
    if (get_ticket) return get_ticket(file, signal);
    const of_file = (value) => typeof value === "function" ? value(file) : value;
    const ask = ticket_from(
      /** @type {string} */
      tickets,
      {
        headers: of_file(headers),
        fields: fields ? of_file(fields) : meta_of(file),
        credentials
      }
    );
    return ask(item, signal);
  }
  /** @param {Item} item */
  uploader_options_for(item) {
    const { server, uploader_options } = (
      /** @type {Options} */
      this.opts
    );
    const file = (
      /** @type {UppyFile} */
      this.file_of(item)
    );
    const more = typeof uploader_options === "function" ? uploader_options(file) : uploader_options;
    return { ...server ? { server } : {}, ...more };
  }
};
var uppy_default = IncomingUploader;
function named({ data, meta, type }) {
  const { name, lastModified } = (
    /** @type {File} */
    data
  );
  if (data instanceof File && name === meta.name) return data;
  return new File([
    /** @type {Blob} */
    data
  ], String(meta.name), { type, lastModified });
}
function meta_of({ meta }) {
  const known = Object.entries(meta).filter(([key, value]) => !OWN_META.includes(key) && value !== null && value !== void 0);
  return Object.fromEntries(known.map(([key, value]) => [key, String(value)]));
}
function trouble_of({ message, state, upload }) {
  if (state !== "running") return "";
  if (!upload) return message;
  return upload.next_retry_at || upload.state === "waiting_for_app" && upload.reason ? upload.state_msg : "";
}
export {
  IncomingUploader,
  uppy_default as default
};
