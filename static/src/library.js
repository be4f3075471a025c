// The global `incoming`: installed once in a page. Where pages are rendered without a window, there is no global.

import { noop } from './connection.js';
import { open_folder } from './folder/folder.js';
import { forget, matches, unfinished } from './memory.js';
import { Server, server_at, settings } from './server.js';
import { shares } from './share.js';
import { set_texts, texts } from './texts.js';
import { online_uploads } from './upload.js';
import { Uploader, check, check_address, tasks_of } from './uploader.js';

/** @param {string} hostname */
function set_server_hostname(hostname) {
  check_address(hostname);
  settings.server = new Server(hostname);
}

function wake_all() {
  online_uploads.forEach((upload) => upload.wake());
}

function listen() {
  window.addEventListener('online', wake_all);
  window.addEventListener('offline', () => online_uploads.forEach((upload) => upload.settle())); // a new state_msg
  window.addEventListener('pageshow', wake_all);
  window.addEventListener('pagehide', () => {
    online_uploads.forEach((upload) => upload.suspend());
    shares.forEach((share) => share.suspend()); // paused ones have one, too
  });
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') wake_all();
  });
}

/** @param {{live?: boolean, server?: string}} [options] @returns {any[]} */
function list_unfinished({ live, server = '' } = {}) {
  if (server) check_address(server);
  return unfinished(server_at(server), live ? [...shares].map(({ upload }) => upload.ticket_id) : undefined);
}

/** @type {typeof incoming} */
const library = {
  version: LIBRARY_VERSION,
  Uploader: /** @type {incoming.UploaderConstructor} */ (/** @type {unknown} */ (Uploader)),
  set_server_hostname,
  get transport() {
    return settings.transport;
  },
  set transport(transport) {
    check(['auto', 'websocket', 'http'].includes(transport), 'transport has to be "auto", "websocket" or "http"');
    settings.transport = transport;
  },
  get texts() {
    return texts.table;
  },
  set_texts(entries) {
    check(typeof entries === 'object' && entries !== null, 'set_texts takes an object');
    set_texts(entries);
    online_uploads.forEach((upload) => upload.settle());
  },
  async list_folder(files, { onprogress } = {}) {
    return open_folder(tasks_of(files), onprogress || noop);
  },
  unfinished: list_unfinished,
  matches,
  forget(upload_id, { server = '' } = {}) {
    if (server) check_address(server);
    forget(upload_id, server_at(server));
  },
};

/**
 * Returns the library of this page: the one that is there already, because it has the uploads, or this one, which
 * becomes the global. Without a window, only the modules of an app have it: they may set it up while they are loaded.
 */
export function install() {
  if (typeof window !== 'object') return library;
  const page = /** @type {any} */ (window);
  const { incoming: loaded } = page;
  if (loaded && loaded.version && loaded.Uploader) return loaded;
  listen();
  page.incoming = library;
  return library;
}
