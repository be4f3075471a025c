// What the view needs of a file: its item of the queue and its uploader, as one plain value.

/**
 * @param {import('../../queue.mjs').ItemSnapshot} item
 * @returns {import('./view.js').FileNow}
 */
export function file_now({ id, file, path, state, message, reason, bytes_acked, can_pause, can_resume, can_cancel, can_retry, upload }) {
  const common = { key: String(id), path, type: file.type, size: file.size, reason, bytes_acked, can_pause, can_cancel, can_retry };
  const idle = { bytes_per_s: 0, seconds_left: null, next_retry_at: null };
  if (state !== 'running') return { ...common, ...idle, state, message };
  if (!upload) return { ...common, ...idle, state: can_retry ? 'retrying' : 'asking', message };
  const { bytes_per_s, seconds_left, next_retry_at, state_msg } = upload;
  // Another window may have paused it.
  return { ...common, bytes_per_s, seconds_left, next_retry_at, state: upload.state, message: state_msg, can_pause: can_pause || can_resume };
}
