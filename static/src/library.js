// The global `incoming`: installed once in a page, and not at all where pages are rendered without a window.

import { forget, matches, unfinished } from './memory.js';
import { server } from './server.js';
import { shares } from './share.js';
import { online_uploads } from './upload.js';
import { Uploader, check } from './uploader.js';

/** @param {string} hostname */
function set_server_hostname(hostname) {
  const fits = typeof hostname === 'string' && /^[^\s/?#@\\]+(\/[^\s/?#\\]+)*\/?$/.test(hostname);
  check(fits, 'the hostname of the server has to be "host", "host:port" or "host:port/prefix"');
  server.set_hostname(hostname);
}

function wake_all() {
  online_uploads.forEach((upload) => upload.wake());
}

function listen() {
  window.addEventListener('online', wake_all);
  window.addEventListener('offline', () => online_uploads.forEach((upload) => upload.settle())); // a new state_msg
  window.addEventListener('pageshow', wake_all);
  window.addEventListener('pagehide', () => shares.forEach(({ owns, upload }) => owns && upload.memory.write(0)));
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') wake_all();
  });
}

/** @type {typeof incoming} */
const library = {
  version: LIBRARY_VERSION,
  Uploader: /** @type {incoming.UploaderConstructor} */ (/** @type {unknown} */ (Uploader)),
  set_server_hostname,
  get transport() {
    return server.transport;
  },
  set transport(transport) {
    check(['auto', 'websocket', 'http'].includes(transport), 'transport has to be "auto", "websocket" or "http"');
    server.transport = transport;
  },
  unfinished,
  matches,
  forget,
};

/**
 * Returns the library of this page: the one that is there already, because it has the uploads, or this one, which
 * becomes the global. Returns undefined without a window.
 * @returns {typeof incoming | undefined}
 */
export function install() {
  if (typeof window === 'undefined') return undefined;
  const { incoming: loaded } = /** @type {any} */ (window);
  if (loaded && loaded.version && loaded.Uploader) return loaded;
  listen();
  Object.assign(window, { incoming: library });
  return library;
}
