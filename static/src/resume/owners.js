// Which part of a page an upload was begun with, so that after a reload each part offers its own. A part has a name.

import { with_storage } from '../storage.js';

const PREFIX = 'incoming-upload:';
const KEEP_DAYS = 30; // as long as the library remembers an upload

/** @param {string} upload_id @param {string} owner */
export function own(upload_id, owner) {
  with_storage((storage) => storage.setItem(PREFIX + upload_id, JSON.stringify({ owner, at_ms: Date.now() })));
}

/** @param {string} upload_id */
export function disown(upload_id) {
  with_storage((storage) => storage.removeItem(PREFIX + upload_id));
}

/** The uploads of an owner. It drops what nobody can continue. @param {string} owner @returns {Set<string>} */
export function owned_by(owner) {
  const ids = new Set();
  with_storage((storage) => {
    for (const key of Object.keys(storage).filter((name) => name.startsWith(PREFIX))) {
      const entry = parsed(storage.getItem(key));
      if (!(entry.at_ms > Date.now() - KEEP_DAYS * 86400e3)) storage.removeItem(key);
      else if (entry.owner === owner) ids.add(key.slice(PREFIX.length));
    }
  });
  return ids;
}

/** @param {string | null} text @returns {{owner?: string, at_ms?: any}} */
function parsed(text) {
  try {
    return Object(JSON.parse(String(text)));
  } catch (error) {
    return {};
  }
}
