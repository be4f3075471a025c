// What an upload shows of its situation: one state out of a closed set, the reason for it, and a sentence for users.
// docs/reference/javascript.md says what holds in each.

import { SLOW_READ_S } from './reading.js';
import { is_offline } from './server.js';
import { STATES } from './states.js';

/** @typedef {import('./states.js').State} State */
/** @typedef {import('./upload.js').Upload} Upload */

/** What a follower shows as `elsewhere`. */
const ACTIVE = ['connecting', 'checking', 'uploading'];

/** How far an upload that is `running` has come over its connection. @param {Upload} upload */
function phase_of({ bytes_acked, bytes_total, connection }) {
  if (!connection || !connection.confirmed) return 'connecting';
  return !connection.agreed || (bytes_acked === bytes_total && bytes_total > 0) ? 'checking' : 'uploading';
}

/** @param {Upload} upload */
function reads_slowly({ state, connection }) {
  return state === 'running' && connection !== null && connection.reading_s >= SLOW_READ_S;
}

/** It waits for the list of the files of a folder. @param {Upload} upload */
function is_listing({ listing, state }) {
  return listing && state === 'running';
}

/** @param {Upload} upload @returns {incoming.State} */
export function state_of(upload) {
  const { retry, state } = upload;
  if (retry.note && state !== 'cancelling') return 'retrying';
  return state === 'running' ? phase_of(upload) : STATES[state].shown;
}

/** @param {Upload} upload @returns {incoming.Reason} */
export function reason_of(upload) {
  const { app_is_silent, app_trouble, retry, state } = upload;
  if (retry.is_waiting && is_offline()) return 'offline';
  if (is_listing(upload)) return 'listing';
  if (!retry.is_waiting && reads_slowly(upload)) return 'slow_read';
  if (retry.note) return retry.note.reason;
  if (state === 'arrived' && app_is_silent) return app_trouble ? 'app_trouble' : 'app_silent';
  return state === 'failed' || state === 'cancelled' ? upload.end_reason : '';
}

/** @param {Upload} upload @returns {string} */
export function sentence_of(upload) {
  const { app_is_silent, app_trouble, retry, state } = upload;
  if (retry.is_waiting) return retry.text();
  if (state === 'arrived' && app_is_silent) {
    return app_trouble ? upload.text('app_trouble', [app_trouble]) : upload.text('app_silent');
  }
  if (is_listing(upload)) return upload.text('listing', [upload.files_listed]);
  if (reads_slowly(upload)) return upload.text('slow_read');
  return upload.text(state === 'running' ? phase_of(upload) : STATES[state].shown);
}

/**
 * The values of an owner, as those who follow it show them. Another tab may have an older library, which posts neither
 * state nor reason.
 * @param {State} state @param {Record<string, any>} values @param {boolean} was_cancelling
 * @returns {Record<string, any>}
 */
export function followed_values(state, values, was_cancelling) {
  const { retrying } = values;
  const shown = retrying && state !== 'cancelling' ? 'retrying' : STATES[state].shown;
  const by = was_cancelling ? 'user' : 'app';
  const derived = { state: shown, reason: retrying ? 'connection_lost' : state === 'cancelled' ? by : '', can_retry: false };
  const all = { ...derived, ...values };
  return ACTIVE.includes(all.state) ? { ...all, state: 'elsewhere' } : all;
}
