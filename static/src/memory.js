// What the browser remembers of an upload for after a reload: an entry of localStorage.

import { now_ms } from './clock.js';
import { TICKET_ENDED_CODES } from './errors.js';
import { last_change_of, name_of } from './files.js';
import { server } from './server.js';

/** @typedef {import('./upload.js').Upload} Upload */
/** @typedef {incoming.UnfinishedUpload & {seen_at_ms: number, live_ms: number}} Entry */

const WRITE_INTERVAL_MS = 1000;
const KEEP_DAYS = 30;
const LIVE_MS = 5000; // since an upload was last marked as live: its tab may have crashed

/**
 * The entry of one upload. It exists from the server's terms until the file has arrived (then nobody has to choose it
 * again) or the ticket has ended.
 */
export class Memory {
  /** @param {Upload} upload */
  constructor(upload) {
    this.upload = upload;
    this.key = ''; // once the server knows the upload
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
    const has_arrived = ['arrived', 'finished', 'cancelled'].includes(state);
    const had_ended = this.has_ended;
    this.has_ended = has_arrived || TICKET_ENDED_CODES.includes(Number(error_code));
    // Without a connection this may be the last time.
    const is_due = now_ms() - this.written_ms >= WRITE_INTERVAL_MS || !connection;
    if (this.has_ended && !had_ended) this.end();
    if (is_due && bytes_acked !== this.written_bytes) this.write();
  }

  write(live_ms = this.upload.share.channel ? Date.now() : 0) {
    if (!this.key || this.has_ended) return;
    const { ticket_id, filename, bytes_total, bytes_acked, file } = this.upload;
    const frac_complete = bytes_total ? bytes_acked / bytes_total : 0;
    /** @type {Entry} */
    const entry = {
      upload_id: ticket_id, filename, bytes_total, bytes_acked, frac_complete, last_modified_ms: last_change_of(file),
      begun_at_ms: this.begun_at_ms, seen_at_ms: Date.now(), live_ms,
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
}

/** The keys of this server's uploads begin with it; locks and channels of their tickets use it, too. */
export function memory_prefix() {
  return 'incoming:' + server.host() + ':';
}

/**
 * Storage can be forbidden, full, or missing: no upload depends on it.
 * @template T @param {(storage: Storage) => T} use
 */
function with_storage(use) {
  try {
    return use(localStorage);
  } catch (error) {
    return null;
  }
}

/**
 * Returns null if there is no valid entry, or nobody continued its upload for too long.
 * @param {Storage} storage @param {string} key @returns {Entry | null}
 */
function entry_at(storage, key) {
  try {
    const entry = JSON.parse(String(storage.getItem(key)));
    return entry.seen_at_ms > Date.now() - KEEP_DAYS * 86400e3 ? entry : null;
  } catch (error) {
    return null;
  }
}

/** @param {Entry} entry @returns {incoming.UnfinishedUpload} */
function without_dates({ seen_at_ms, live_ms, ...begun }) {
  return begun;
}

/** @returns {incoming.UnfinishedUpload[]} */
export function unfinished() {
  const prefix = memory_prefix();
  return with_storage((storage) => {
    const keys = Array.from({ length: storage.length }, (_, i) => String(storage.key(i)));
    /** @type {incoming.UnfinishedUpload[]} */
    const found = [];
    for (const key of keys.filter((name) => name.startsWith(prefix))) {
      const entry = entry_at(storage, key);
      if (!entry) storage.removeItem(key);
      else if (entry.live_ms > Date.now() - LIVE_MS) continue; // another tab uploads it
      else if (key === prefix + entry.upload_id) found.push(without_dates(entry)); // not of "host:port" for "host"
    }
    return found.sort((a, b) => b.begun_at_ms - a.begun_at_ms);
  }) || [];
}

/** @param {incoming.UnfinishedUpload} upload @param {Blob} file */
export function matches(upload, file) {
  return upload.filename === name_of(file) && upload.bytes_total === file.size
    && upload.last_modified_ms === last_change_of(file);
}

/** @param {string} upload_id */
export function forget(upload_id) {
  with_storage((storage) => storage.removeItem(memory_prefix() + upload_id));
}
