// What the view needs of an upload, as one plain value: of an item of the queue, of a folder that is being read, or of an
// upload of an earlier visit.

/** @typedef {import('./view.js').FileNow} FileNow */

/** @param {import('../../queue.mjs').ItemSnapshot} item @returns {FileNow} */
export function file_now(item) {
  const { id, file, state, can_pause, can_resume, can_retry, upload } = item;
  const { type, size, files_total } = /** @type {incoming.Folder} */ (file);
  const now = { ...item, key: String(id), type, size, files_total, upload: upload || {} };
  if (state !== 'running') return now;
  if (!upload) return { ...now, state: can_retry ? 'retrying' : 'asking' };
  // Another window may have paused it.
  return { ...now, state: upload.state, message: upload.state_msg, can_pause: can_pause || can_resume };
}

/** @param {string} path @param {string} message how many files there are so far @returns {FileNow} */
export function reading_now(path, message) {
  return { key: `/${path}`, path, state: 'reading', message, size: 0, files_total: 1, bytes_acked: 0, can_cancel: true, upload: {} };
}

/** @param {import('../../resume.mjs').Unfinished} begun @returns {FileNow} */
export function begun_now({ upload_id, filename, bytes_total, files_total, bytes_acked, handle, live }) {
  const state = live ? 'elsewhere' : handle ? 'begun' : 'missing';
  return { key: upload_id, path: filename, state, message: '', size: bytes_total, files_total, bytes_acked, upload: {} };
}
