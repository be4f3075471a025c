// Which way the connections of an upload take: a WebSocket, or plain HTTP where none opens.

import { settings } from './server.js';

/** @typedef {import('./connection.js').Connection} Connection */
/** @typedef {import('./upload.js').Upload} Upload */

export const SUSPICIOUS_TRIES = 3; // a server that is being restarted is back by then
const NEEDS_UPGRADE_STATUS = 426; // an upload server has this answer to plain HTTP, and so have proxies
const TOO_MANY_STATUS = 429;

/** A new upload tries a WebSocket first, and so does one that has found no server by HTTP. */
export class Transport {
  constructor() {
    this.found_http = false;
  }

  get is_http() {
    return settings.transport === 'auto' ? this.found_http : settings.transport === 'http';
  }

  /** The network may be another one. */
  forget() {
    this.found_http = false;
  }

  /**
   * A connection was lost. Returns whether plain HTTP should be asked why.
   * @param {Connection} connection @param {number} tries
   */
  on_lost({ is_http, confirmed, server }, tries) {
    if (confirmed) return false;
    if (is_http) this.found_http = false; // a WebSocket is next
    const is_suspicious = tries >= SUSPICIOUS_TRIES;
    const may_fall_back = settings.transport === 'auto' && (is_suspicious || !server.sockets_work);
    return !is_http && (may_fall_back || (is_suspicious && !server.was_reached));
  }

  /**
   * No WebSocket opened, and this is what plain HTTP answered. Returns whether to try HTTP now; it may be next anyway.
   * @param {number} status 0: no answer; -1: one that the page may not see @param {number} tries
   */
  on_status(status, tries) {
    if (settings.transport !== 'auto') return false;
    const is_blocked = status === NEEDS_UPGRADE_STATUS;
    this.found_http = is_blocked || (tries > 1 && status !== 0 && status !== TOO_MANY_STATUS);
    return is_blocked;
  }
}
