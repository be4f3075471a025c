// Which ticket a file had, for after a reload: an entry of localStorage for each.

import { with_storage } from '../storage.js';

const KEEP_MS = 30 * 86400e3;

export class TicketMemory {
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
    return typeof upload_id === 'string' ? upload_id : '';
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
}
