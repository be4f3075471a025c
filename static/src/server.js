// Where the upload server is, and why it may not be reached.

import * as TEXTS from './texts.js';

const UPLOAD_PATH = '/incoming/frontend/upload_ws';

/** Why plain HTTP was refused. @type {Record<number, string>} */
const REFUSALS = { 426: TEXTS.NO_WEBSOCKETS, 429: TEXTS.TOO_MANY_CONNECTIONS };

// Browsers tell it only while the script runs for the first time. Where pages are rendered there is no document.
const { src: script_url } = /** @type {HTMLScriptElement} */ (
  (typeof document === 'object' && document.currentScript) || {});

export const server = {
  hostname: '', // that the page has set
  was_reached: false, // an upload server has answered
  warned_of: '', // an address, in the console

  /** @param {string} hostname */
  set_hostname(hostname) {
    this.hostname = hostname.replace(/\/$/, '');
    this.was_reached = false;
  },

  /**
   * Returns "host:port", maybe with a path. The default is the page's host, below the same path as this script if the
   * script is from there: a proxy may have put both there.
   */
  host() {
    const { host } = window.location;
    const found = /^https?:\/\/([^/?#]+)([^?#]*)\/incoming\/(0\.1\/)?frontend\//.exec(script_url);
    return this.hostname || (found && found[1] === host ? host + found[2] : host);
  },

  url() {
    const scheme = window.location.protocol === 'https:' ? 'wss' : 'ws';
    return scheme + '://' + this.host() + UPLOAD_PATH;
  },

  /** Asks over plain HTTP why no WebSocket opens, because no browser tells. @returns {Promise<string>} empty: unknown */
  async refusal() {
    try {
      const { status } = await fetch(this.url().replace('ws', 'http'), { credentials: 'omit', cache: 'no-store' });
      return REFUSALS[status] || TEXTS.HTTP_STATUS(status);
    } catch (error) {
      return '';
    }
  },

  /** Tells the page's author, once for each address. @param {string} note */
  warn_of_address(note) {
    if (this.warned_of === this.url()) return;
    this.warned_of = this.url();
    console.warn('incoming.js: ' + note + ' Is ' + this.warned_of + ' right? incoming.set_server_hostname() sets it.');
  },
};

export function is_offline() {
  return navigator.onLine === false;
}
