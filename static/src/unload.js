// Asks the user before a page is left whose uploads would stop.

/** @typedef {import('./upload.js').Upload} Upload */

/** The uploads that would stop if the page was left now, and whose page wants to ask. @type {Set<Upload>} */
const guarded_uploads = new Set();

/** Listens only when it has to: a page that listens can't come back from the browser's cache. @param {Upload} upload */
export function guard_unload(upload) {
  const would_stop = upload.share.owns && ['running', 'paused', 'cancelling'].includes(upload.state);
  if (upload.warns && would_stop) guarded_uploads.add(upload);
  else guarded_uploads.delete(upload);
  if (guarded_uploads.size) window.addEventListener('beforeunload', ask_user);
  else window.removeEventListener('beforeunload', ask_user);
}

/** @param {BeforeUnloadEvent} event */
function ask_user(event) {
  event.preventDefault();
  event.returnValue = ''; // browsers of before 2024 need it
}
