// Every sentence that users of a page can see, in one table. No sentence holds `<`, `>` or `&`: some pages write
// them into innerHTML.

// One for each state.
export const NEW = 'Not started yet.';
export const PAUSED = 'Paused.';
export const RUNNING = 'Uploading.';
export const ARRIVED = 'All data has arrived. Waiting for the app to accept the file.';
export const CANCELLING = 'Cancelling.';
export const FINISHED = 'Finished.';
export const CANCELLED = 'Cancelled.';
export const FAILED = 'The upload failed.';

// In place of the sentence of a state.
export const CONNECTING = 'Connecting.';
export const CHECKING = 'Checking that it is the same file.';
export const READ_IS_SLOW = 'Reading the file is slow: its drive does not respond.';
export const APP_IS_SILENT = 'All data has arrived, but the app does not respond yet. The server is trying again.';
export const APP_TROUBLE = (/** @type {string} */ why) => `All data has arrived, but ${why}. The server is trying again.`;
export const CANCELLED_BY_USER = 'Cancelled by the user.';

// Why there is no connection. RETRY follows each of them.
export const RETRY = ' Trying again soon.';
export const OFFLINE = 'You are offline. The upload resumes when you are online again.';
export const LOST = 'The connection was lost.';
export const NO_CONNECTION = 'No connection to the server.';
export const RESTARTED = 'The server is being restarted.';
export const TAKEN_OVER = 'The upload continues in another window.';
export const NOT_READABLE_NOW = 'The file cannot be read at the moment.';
export const NO_MEMORY = 'The browser has too little memory at the moment.';
export const WORKER_LOST = 'The browser stopped the background worker of this page.';
export const NO_WEBSOCKETS = 'A proxy between you and the upload server blocks WebSockets.';
export const TOO_MANY_CONNECTIONS = 'Your network has too many connections to the upload server at the moment.';
export const HTTP_STATUS = (/** @type {number} */ status) => `The address of the upload server answered with HTTP status ${status}.`;
export const NOT_A_SERVER = (/** @type {string} */ host) => `The server at ${host} is not an upload server, or it is overloaded.`;
export const NO_ANSWER = (/** @type {string} */ host) => `No connection to the upload server at ${host}.`;

// Errors that this library finds: errors.js has their codes.
export const FILE_UNREADABLE = 'The file can no longer be read: it was changed, moved or deleted.';
export const NEVER_READABLE = 'The file cannot be read: it is a folder, or it was changed, moved or deleted.';
export const FILE_CHANGED = 'The file has changed since it was chosen.';
export const NOT_UNDERSTOOD = 'The upload server sent an invalid response.';
export const BAD_ADDRESS = 'The address of the upload server cannot be used from this page.';
export const NOT_TAKEN = 'The app did not accept the file.';
export const TOO_OLD = 'The upload server is older than the script of this page.';

// Which file an upload was started with, after an error of the server.
export const EXPECTED_FILE = (/** @type {string} */ name, /** @type {string} */ size, /** @type {string} */ changed) =>
  `The upload was started with "${name}" (${size}${changed && ', last changed ' + changed}).`;
export const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'];

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
