// What the view needs of an upload, as one plain value: of an item of the queue, of a folder that is being read, or of an
// upload of an earlier visit.

/** @typedef {import('./view.js').FileNow} FileNow */

/** @type {Omit<FileNow, 'key' | 'path' | 'state'>} */
const BLANK = {
  type: '', size: 0, reason: '', message: '', bytes_acked: 0, bytes_per_s: 0, seconds_left: null, next_retry_at: null,
  files_total: 0, files_acked: 0, current_file: '', left_out: [], can_pause: false, can_cancel: false, can_retry: false,
};

/** @param {import('../../queue.mjs').ItemSnapshot} item @returns {FileNow} */
export function file_now({ id, file, path, state, message, reason, bytes_acked, can_pause, can_resume, can_cancel, can_retry, upload }) {
  const { type, size, files_total = 0 } = /** @type {incoming.Folder} */ (file);
  const { bytes_per_s, seconds_left, next_retry_at, files_acked, current_file, left_out } = upload || BLANK;
  const now = {
    key: String(id), path, type, size, files_total, state, message, reason, bytes_acked, can_pause, can_cancel, can_retry,
    bytes_per_s, seconds_left, next_retry_at, files_acked, current_file, left_out,
  };
  if (state !== 'running') return now;
  if (!upload) return { ...now, state: can_retry ? 'retrying' : 'asking' };
  // Another window may have paused it.
  return { ...now, state: upload.state, message: upload.state_msg, can_pause: can_pause || can_resume };
}

/** @param {string} path @param {string} message how many files there are so far @returns {FileNow} */
export function reading_now(path, message) {
  return { ...BLANK, key: `/${path}`, path, state: 'reading', message, files_total: 1, can_cancel: true };
}

/** @param {import('../../resume.mjs').Unfinished} upload @returns {FileNow} */
export function begun_now({ upload_id, filename, bytes_total, files_total = 0, bytes_acked, handle, live }) {
  const state = live ? 'elsewhere' : handle ? 'begun' : 'missing';
  return { ...BLANK, key: upload_id, path: filename, state, size: bytes_total, files_total, bytes_acked };
}
