// Where the upload server is, and why it may not be reached.

const SOCKET_PATH = 'upload_ws';
const UPLOADS_PATH = 'uploads/';
const MIN_BODY_BYTES = 8192;
const ENOUGH_BODIES = 20;

/** Why plain HTTP was refused. @type {Record<number, incoming.Reason>} */
const REFUSALS = { 426: 'websockets_blocked', 429: 'too_many_connections' };

// Browsers tell it only while the script runs for the first time. Where pages are rendered there is no document.
const { src: script_url } = /** @type {HTMLScriptElement} */ (
  (typeof document === 'object' && document.currentScript) || {});

/** Scheme, host and path. */
const ADDRESS = /^(?:(https?):\/\/)?([^\s/?#@\\]+(?:\/[^\s/?#\\]+)*)\/?$/;

/** Whether this is "host", "host:port", "host:port/prefix", or one of them after a scheme. @param {unknown} address */
export function is_address(address) {
  return typeof address === 'string' && ADDRESS.test(address);
}

/** The addresses that the console has warnings of. @type {Set<string>} */
const warned_of = new Set();

/** One upload server, and what the page has found out about the way there. */
export class Server {
  /** @param {string} address one that `is_address`; empty: the default */
  constructor(address) {
    const [, scheme = '', hostname = ''] = ADDRESS.exec(address) || [];
    this.scheme = scheme; // empty: the page's
    this.hostname = hostname;
    this.was_reached = false; // an upload server has answered
    this.sockets_work = false; // and it was over a WebSocket
    this.most_chunks = 2; // in flight in requests: the second one hides the time that an answer takes
    this.most_body_bytes = Infinity; // of a request that gets through
    this.stored_body_bytes = 0; // the largest that did
    this.has_lost_body = false; // a larger one was lost, and none has got through since
    this.good_bodies = 0; // of the most bytes, since that limit was only supposed
    this.enough_bodies = ENOUGH_BODIES; // of them to try larger ones
    this.has_tried_more = false; // than such a limit: if that fails, it is certain
  }

  /**
   * Returns "host:port", maybe with a path. The default is the page's host, below the same path as this script if the
   * script is from there: a proxy may have put both there.
   */
  host() {
    const { host } = window.location;
    const found = /^https?:\/\/([^/?#]+)([^?#]*)\/incoming\/(0\.1\/)?frontend\//.exec(script_url);
    return this.hostname || (found && found[1] === host ? host + found[2] : host);
  }

  url(scheme = 'ws', path = SOCKET_PATH) {
    const is_secure = (this.scheme || window.location.protocol).startsWith('https');
    return scheme + (is_secure ? 's' : '') + '://' + this.host() + '/incoming/frontend/' + path;
  }

  /** The address of all uploads over HTTP. */
  uploads_url() {
    return this.url('http', UPLOADS_PATH);
  }

  /**
   * Asks over plain HTTP why no WebSocket opens, because no browser tells.
   * @returns {Promise<number>} the status; 0: there is no answer; -1: there is one that the page may not see
   */
  async status() {
    const url = this.url('http');
    /** @type {RequestInit} */
    const options = { credentials: 'omit', cache: 'no-store' };
    try {
      return (await fetch(url, options)).status;
    } catch (error) {
      return fetch(url, { ...options, mode: 'no-cors' }).then(() => -1, () => 0);
    }
  }

  /** Names what a status means. @param {number} status */
  refusal(status) {
    return REFUSALS[status] || 'http_status';
  }

  /** A chunk in a request was stored. @param {number} bytes */
  note_stored(bytes) {
    if (bytes > this.stored_body_bytes) this.has_lost_body = false;
    this.stored_body_bytes = Math.max(this.stored_body_bytes, bytes);
    if (bytes < this.most_body_bytes) return;
    this.good_bodies += 1;
    if (this.good_bodies < this.enough_bodies) return;
    this.most_body_bytes *= 2;
    this.has_tried_more = true;
    this.good_bodies = 0;
  }

  /**
   * A chunk in a request did not get through. A proxy may have a limit. A page may not see the answers of a proxy of
   * another host, so it takes the second loss of what is larger than all before as one,
   * and tries larger ones once.
   * @param {number} bytes @param {boolean} is_certain
   */
  note_refused(bytes, is_certain) {
    if (is_certain || (this.has_lost_body && bytes > this.stored_body_bytes)) {
      // Halfway, in doublings, to what has got through: chunks may have grown a lot at once.
      const good_bytes = Math.max(MIN_BODY_BYTES, this.stored_body_bytes < bytes ? this.stored_body_bytes : bytes / 4);
      const most_bytes = 2 ** Math.floor(Math.log2(good_bytes * bytes) / 2);
      this.most_body_bytes = Math.max(MIN_BODY_BYTES, Math.min(most_bytes, bytes / 2));
      this.good_bodies = 0;
      this.enough_bodies = is_certain || this.has_tried_more ? Infinity : ENOUGH_BODIES;
    } else {
      this.has_lost_body = this.has_lost_body || bytes > this.stored_body_bytes;
    }
  }

  /** Tells the page's author, once for each address. @param {string} note */
  warn_of_address(note) {
    const url = this.url();
    if (warned_of.has(url)) return;
    warned_of.add(url);
    console.warn('incoming.js: ' + note + ' Is ' + url + ' right? incoming.set_server_hostname() sets it.');
  }
}

/** What the page has set for all uploads. */
export const settings = {
  server: new Server(''),
  /** Which way uploads take. @type {incoming.Transport} */
  transport: 'auto',
};

/** Those of single uploads. @type {Map<string, Server>} */
const servers = new Map();

/** @param {string} address one that `is_address`; empty: that of all uploads */
export function server_at(address) {
  if (!address) return settings.server;
  const server = servers.get(address) || new Server(address);
  servers.set(address, server);
  return server;
}

export function is_offline() {
  return navigator.onLine === false;
}
