// Handles of the files and folders of uploads, kept over a reload. A handle is of the File System Access API: who chooses a
// file with its picker, or drops one, lets the page read the file again later.

import { with_rows } from './database.js';
import { KEY_PREFIX, library } from './core.js';
import { disown, own } from './owners.js';

const UNLISTED_DAYS = 1; // for which a handle is kept though its upload is not on the list: it waits for its first connection

/** @typedef {import('./database.js').Row} Row */

/** Changes, one after another: an upload may end before its handle is stored. @type {Promise<unknown>} */
let changes = Promise.resolve();

/** @param {(rows: IDBObjectStore) => IDBRequest<any>} act @returns {Promise<void>} */
function change(act) {
  const changed = changes.then(() => with_rows('readwrite', act)).then(() => undefined);
  changes = changed;
  return changed;
}

/** @param {string} upload_id @param {FileSystemHandle | null} handle @param {string} [owner] @returns {Promise<void>} */
export async function remember(upload_id, handle, owner) {
  if (owner) own(upload_id, owner);
  if (handle) await change((rows) => rows.put({ upload_id, handle, kept_at_ms: Date.now() }));
}

/** @param {string} upload_id @returns {Promise<void>} */
export function drop(upload_id) {
  disown(upload_id);
  return change((rows) => rows.delete(upload_id));
}

/** @param {string} upload_id @returns {Promise<FileSystemHandle | null>} */
export async function recall(upload_id) {
  await changes;
  const row = await with_rows('readonly', (rows) => rows.get(upload_id));
  return row ? row.handle : null;
}

/**
 * Also drops those that nobody can use.
 * @returns {Promise<Map<string, FileSystemHandle>>} all that are kept, by the ids of their uploads
 */
export async function all_handles() {
  await changes;
  /** @type {Row[]} */
  const rows = await with_rows('readonly', (store) => store.getAll()) || [];
  const listed = listed_ids();
  const oldest_ms = Date.now() - UNLISTED_DAYS * 86400e3;
  const is_kept = (/** @type {Row} */ row) => listed.has(row.upload_id) || row.kept_at_ms > oldest_ms;
  rows.filter((row) => !is_kept(row)).forEach(({ upload_id }) => drop(upload_id));
  return new Map(rows.filter(is_kept).map(({ upload_id, handle }) => [upload_id, handle]));
}

/** The uploads that the library remembers, of all servers. It drops what nobody has continued for 30 days. */
function listed_ids() {
  /** @type {Set<string>} */
  const ids = new Set();
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(KEY_PREFIX)) ids.add(JSON.parse(String(localStorage.getItem(key))).upload_id);
    }
  } catch (error) {
    // Storage is forbidden, or an entry is not the library's.
  }
  return ids;
}

/**
 * Asks the user for the permission to read, if it is needed: browsers allow the question in a click only.
 * @param {any} handle @returns {Promise<any>} the file, or the handle of a folder; null if it was denied, or the file is gone
 */
export async function reopen(handle) {
  try {
    const permission = handle.requestPermission ? await handle.requestPermission({ mode: 'read' }) : 'granted';
    if (permission !== 'granted') return null;
    return handle.getFile ? await handle.getFile() : handle;
  } catch (error) {
    return null;
  }
}

/** The library says which uploads no longer need a file. */
export function listen() {
  window.addEventListener('incoming:ended', (event) => drop(/** @type {CustomEvent<string>} */ (event).detail));
}

/** Removes an upload from the list of those that can be continued, and drops its handle. @param {string} upload_id @param {{server?: string}} [options] @returns {Promise<void>} */
export function forget(upload_id, options) {
  library().forget(upload_id, options);
  return drop(upload_id);
}
