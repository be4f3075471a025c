// What the browser remembers of an upload for after a reload: an entry of localStorage.

import { now_ms } from './clock.js';
import { TICKET_ENDED_CODES } from './errors.js';
import { last_change_of, name_of } from './files.js';
import { with_storage } from './storage.js';

/** @typedef {import('./server.js').Server} Server */
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
    const { ticket_id, filename, bytes_total, bytes_acked, file, folder } = this.upload;
    const frac_complete = bytes_total ? bytes_acked / bytes_total : 0;
    /** @type {Entry} */
    const entry = {
      upload_id: ticket_id, filename, bytes_total, bytes_acked, frac_complete, last_modified_ms: last_change_of(file),
      begun_at_ms: this.begun_at_ms, seen_at_ms: Date.now(), live_ms, ...(folder && { files_total: folder.files_total }),
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
}

/** The keys of a server's uploads begin with it; locks and channels of their tickets use it, too. @param {Server} server */
export function memory_prefix(server) {
  return 'incoming:' + server.host() + ':';
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

/** @param {Entry} entry @param {{live: boolean}} [more] @returns {incoming.UnfinishedUpload} */
function without_dates({ seen_at_ms, live_ms, ...begun }, more) {
  return { ...begun, ...more };
}

/**
 * @param {Server} server
 * @param {string[]} [live] makes it list those that a tab uploads now, too, except for these: `live` tells them apart
 * @returns {incoming.UnfinishedUpload[]}
 */
export function unfinished(server, live) {
  return with_storage((storage) => {
    const prefix = memory_prefix(server);
    const keys = Array.from({ length: storage.length }, (_, i) => String(storage.key(i)));
    /** @type {incoming.UnfinishedUpload[]} */
    const found = [];
    for (const key of keys.filter((name) => name.startsWith(prefix))) {
      const entry = entry_at(storage, key);
      if (!entry) storage.removeItem(key);
      else if (key !== prefix + entry.upload_id) continue; // of "host:port", and this is "host"
      else if (entry.live_ms <= Date.now() - LIVE_MS) found.push(without_dates(entry, live && { live: false }));
      else if (live && !live.includes(entry.upload_id)) found.push(without_dates(entry, { live: true }));
    }
    return found.sort((a, b) => b.begun_at_ms - a.begun_at_ms);
  }) || [];
}

/** @param {incoming.UnfinishedUpload} upload @param {Blob | incoming.Folder} file */
export function matches(upload, file) {
  return upload.filename === name_of(file) && upload.bytes_total === file.size
    && upload.last_modified_ms === last_change_of(file);
}

/** Tells `incoming-uploads/resume`, too: it may have a handle of the file. @param {string} upload_id @param {string} key */
function drop(upload_id, key) {
  with_storage((storage) => storage.removeItem(key));
  window.dispatchEvent(new CustomEvent('incoming:ended', { detail: upload_id }));
}

/** @param {string} upload_id @param {Server} server */
export function forget(upload_id, server) {
  drop(upload_id, memory_prefix(server) + upload_id);
}
