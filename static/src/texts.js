// Every sentence that users of a page can see, in one table. A page may replace entries, for all uploads or for one of
// them. No sentence holds `<`, `>` or `&`: some pages write them into innerHTML.

/** @typedef {keyof incoming.Texts} TextKey */

/** @type {incoming.Texts} */
export const ENGLISH = {
  // One for each state; `retrying` has that of its reason, and `elsewhere` that of the other window.
  new: 'Not started yet.',
  connecting: 'Connecting.',
  checking: 'Checking that it is the same file.',
  uploading: 'Uploading.',
  paused: 'Paused.',
  waiting_for_app: 'All data has arrived. Waiting for the app to accept the file.',
  cancelling: 'Cancelling.',
  finished: 'Finished.',
  cancelled: 'Cancelled.',
  failed: 'The upload failed.',
  disposed: 'This page no longer uploads the file.',

  // In place of the sentence of a state.
  listing: (files) => `Reading the folder: ${files.toLocaleString()} files so far.`,
  slow_read: 'Reading the file is slow: its drive does not respond.',
  app_silent: 'All data has arrived, but the app does not respond yet. The server is trying again.',
  app_trouble: (why) => `All data has arrived, but ${why}. The server is trying again.`,
  cancelled_by_user: 'Cancelled by the user.',
  offline: 'You are offline. The upload resumes when you are online again.',

  // Why there is no connection, and what follows each of these.
  connection_lost: 'The connection was lost.',
  no_connection: 'No connection to the server.',
  no_answer: (host) => `No connection to the upload server at ${host}.`,
  server_restarting: 'The server is being restarted.',
  server_busy: 'The server cannot accept data at the moment.',
  taken_over: 'The upload continues in another window.',
  file_unreadable_now: 'The file cannot be read at the moment.',
  no_memory: 'The browser has too little memory at the moment.',
  worker_lost: 'The browser stopped the background worker of this page.',
  websockets_blocked: 'A proxy between you and the upload server blocks WebSockets.',
  too_many_connections: 'Your network has too many connections to the upload server at the moment.',
  http_status: (status) => `The address of the upload server answered with HTTP status ${status}.`,
  not_an_upload_server: (host) => `The server at ${host} is not an upload server, or it is overloaded.`,
  trying_again: 'Trying again soon.',

  // Errors that the library finds. The server sends its own sentences.
  file_unreadable: 'The file can no longer be read: it was changed, moved or deleted.',
  file_never_readable: 'The file cannot be read: it is a folder, or it was changed, moved or deleted.',
  folder_unreadable: 'A file of the folder can no longer be read: it was changed, moved or deleted.',
  file_changed: 'The file has changed since it was chosen.',
  invalid_response: 'The upload server sent an invalid response.',
  bad_address: 'The address of the upload server cannot be used from this page.',
  not_taken: 'The app did not accept the file.',
  server_too_old: 'The upload server is older than the script of this page.',
  gave_up: 'The upload gave up after trying for too long.', // it follows the reason of the last try
  not_retried: 'It was not tried again.',
  wrong_dest_type: 'This page expects a file and not a folder, or the other way round.',

  // Which file an upload was started with, after an error of the server.
  expected_file: (name, size, changed) => (
    `The upload was started with "${name}" (${size}${changed && ', last changed ' + changed}).`),
};

/** What pages see and replace: `texts.table`. */
export const texts = { table: Object.freeze(ENGLISH) };

/** @param {Partial<incoming.Texts>} entries */
export function set_texts(entries) {
  texts.table = Object.freeze({ ...texts.table, ...entries });
}

/**
 * A sentence: the name of an entry, the arguments of one that is a function, and what the server has said.
 * @typedef {{key: string, args?: (string | number)[], msg?: string}} Sentence
 */

/**
 * Returns the text of a sentence. What the server says is more precise than an English entry. It gives way to others,
 * because it is English.
 * @param {Sentence} sentence @param {Partial<incoming.Texts>} own entries of one upload @returns {string}
 */
export function text_of({ key, args = [], msg = '' }, own) {
  const name = /** @type {'new'} */ (key);
  const entry = /** @type {string | ((...args: (string | number)[]) => string) | undefined} */ (own[name] || texts.table[name]);
  if (!entry || (msg && entry === ENGLISH[name])) return msg;
  return typeof entry === 'function' ? entry(...args) : entry;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/**
 * Returns a text from elsewhere without the characters that mean something in HTML.
 * @param {any} text
 */
export function without_html(text) {
  return String(text === undefined ? '' : text).replace(/</g, '(').replace(/>/g, ')').replace(/&/g, '+');
}

/** @param {number} bytes */
export function readable_size(bytes) {
  const power = bytes < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return (power ? (bytes / 1000 ** power).toFixed(1) : bytes) + ' ' + UNITS[power];
}
