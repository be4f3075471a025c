// What pages see of an upload: properties that are derived from its state and its counters.

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
  frac_complete: (upload) => (upload.bytes_total ? upload.bytes_acked / upload.bytes_total : Number(arrived(upload))),
  bytes_per_s: ({ sending }) => sending.bytes_per_s(),
  seconds_left: ({ sending }) => sending.seconds_left(),
  chunks_tx_now: ({ sending }) => sending.chunks_tx_now,
  chunks_acked_now: ({ sending }) => sending.chunks_acked_now,
  chunks_ahead: ({ sending }) => sending.chunks_tx_now - sending.chunks_acked_now,
  state_msg: (upload) => upload.state_msg(),
  error_msg: (upload) => upload.error_msg,
  error_code: (upload) => upload.error_code,
  cancel_msg: (upload) => (cancelled(upload) ? upload.cancel_msg : ''), // a cancel can come too late
  connected: ({ connection }) => connection !== null && connection.open,
  retrying: ({ retry }) => retry.note !== '',
  next_retry_at: ({ retry }) => retry.next_at,
  paused: in_state('held', 'paused'),
  can_pause: in_state('new', 'held', 'running', 'paused'),
  can_cancel: in_state('new', 'held', 'running', 'paused'),
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
