// The unfinished uploads of this browser: those of earlier pages with the handles of their files, and those that other
// tabs upload now.

import { KEY_PREFIX, library } from './core.js';
import { all_handles } from './handles.js';
import { owned_by } from './owners.js';

/**
 * @typedef {import('../../resume.d.mts').Unfinished} Unfinished
 * @typedef {import('../../resume.d.mts').ListOptions} Options
 */

const LIVE_INTERVAL_MS = 1000; // a tab that crashes says nothing
const CHANGE_DELAY_MS = 50; // several entries change together

/** @param {Options} [options] @returns {Promise<Unfinished[]>} newest first */
export async function unfinished({ server, owner } = {}) {
  const owned = owner ? owned_by(owner) : null;
  const uploads = library().unfinished({ server, live: true }).filter(({ upload_id }) => !owned || owned.has(upload_id));
  const [held, handles] = await Promise.all([held_locks(), all_handles()]);
  return uploads.map((upload) => ({
    ...upload,
    handle: handles.get(upload.upload_id) || null,
    live: Boolean(upload.live) && (!held || held.some((name) => name.endsWith(':' + upload.upload_id))),
  }));
}

/** The locks of uploads that tabs of this browser hold; null if it doesn't tell. @returns {Promise<string[] | null>} */
async function held_locks() {
  try {
    const { held } = await navigator.locks.query();
    return (held || []).map(({ name }) => String(name)).filter((name) => name.startsWith(KEY_PREFIX));
  } catch (error) {
    return null;
  }
}

/**
 * @param {(uploads: Unfinished[]) => void} listener called with the list at once, and whenever it has changed
 * @param {Options} [options] @returns {() => void} ends it
 */
export function watch_unfinished(listener, options) {
  let shown = '';
  let timer = 0;
  let is_over = false;

  async function look() {
    timer = 0;
    const uploads = await unfinished(options);
    if (is_over) return;
    const now = JSON.stringify(uploads); // of a handle it has that there is one
    if (now !== shown) listener(uploads);
    shown = now;
    if (uploads.some(({ live }) => live)) look_in(LIVE_INTERVAL_MS);
  }

  /** @param {number} ms */
  function look_in(ms) {
    if (is_over) return;
    clearTimeout(timer);
    timer = setTimeout(look, ms);
  }

  /** @param {Event} event */
  function on_event(event) {
    const { key } = /** @type {StorageEvent} */ (event);
    if (!key || key.startsWith(KEY_PREFIX)) look_in(CHANGE_DELAY_MS); // all were cleared, or one has changed
  }

  const events = ['storage', 'pageshow', 'incoming:ended'];
  events.forEach((name) => window.addEventListener(name, on_event));
  look();
  return () => {
    is_over = true;
    clearTimeout(timer);
    events.forEach((name) => window.removeEventListener(name, on_event));
  };
}
