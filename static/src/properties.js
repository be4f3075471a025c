// What pages see of an upload: properties that are derived from its state and its counters.

import { reason_of, sentence_of, state_of } from './situation.js';

/** @typedef {import('./states.js').State} State */
/** @typedef {import('./upload.js').Upload} Upload */

/** @type {(...states: State[]) => (upload: Upload) => boolean} */
const in_state = (...states) => (upload) => states.includes(upload.state);

const arrived = in_state('arrived', 'finished');
const cancelled = in_state('cancelling', 'cancelled');

/** @type {{[Name in keyof incoming.UploaderProperties]: (upload: Upload) => incoming.UploaderProperties[Name]}} */
export const PROPERTIES = {
  filename: (upload) => upload.filename,
  bytes_total: (upload) => upload.bytes_total,
  bytes_tx: ({ sending }) => sending.bytes_tx,
  bytes_acked: (upload) => upload.bytes_acked,
  bytes_ahead: (upload) => upload.sending.bytes_tx - upload.bytes_acked,
  files_total: ({ file, files_listed, folder }) => (folder ? files_listed || folder.files_total : 1),
  files_acked: (upload) => (upload.folder ? upload.folder.count(upload.bytes_acked) : Number(arrived(upload))),
  current_file: ({ bad_file, bytes_acked, filename, folder }) => bad_file || (folder ? folder.path(bytes_acked) : filename),
  left_out: ({ folder }) => (folder ? folder.missing() : []),
  frac_complete: (upload) => (upload.bytes_total ? upload.bytes_acked / upload.bytes_total : Number(arrived(upload))),
  bytes_per_s: ({ sending }) => sending.bytes_per_s(),
  seconds_left: ({ sending }) => sending.seconds_left(),
  chunks_tx_now: ({ sending }) => sending.chunks_tx_now,
  chunks_acked_now: ({ sending }) => sending.chunks_acked_now,
  chunks_ahead: ({ sending }) => sending.chunks_tx_now - sending.chunks_acked_now,
  state: state_of,
  reason: reason_of,
  state_msg: sentence_of,
  error_msg: (upload) => upload.error_msg,
  error_code: (upload) => upload.error_code,
  cancel_msg: (upload) => (cancelled(upload) ? upload.cancel_msg : ''), // a cancel can come too late
  connected: ({ connection }) => connection !== null && connection.open,
  retrying: ({ retry }) => retry.note !== null,
  next_retry_at: ({ retry }) => retry.next_at,
  paused: in_state('held', 'paused'),
  can_pause: in_state('new', 'held', 'running', 'paused'),
  can_cancel: in_state('new', 'held', 'running', 'paused'),
  can_retry: ({ retry }) => retry.is_waiting,
  cancelling: in_state('cancelling'),
  cancelled: in_state('cancelled'),
  finished: in_state('finished'),
};

export const NAMES = /** @type {(keyof incoming.UploaderProperties)[]} */ (Object.keys(PROPERTIES));

/** @param {Upload} upload @param {keyof incoming.UploaderProperties} name @returns {unknown} */
export function value_of(upload, name) {
  const { owner_values } = upload;
  return owner_values && name in owner_values ? owner_values[name] : PROPERTIES[name](upload);
}

/** Returns all properties, as JSON. @param {Upload} upload */
export function snapshot(upload) {
  /** @type {Record<string, unknown>} */
  const values = {};
  for (const name of NAMES) values[name] = value_of(upload, name);
  return JSON.stringify(values);
}
