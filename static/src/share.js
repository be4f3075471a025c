// One uploader for each ticket. Two tabs, or a page that is mounted twice, may have uploaders of the same ticket. The one
// that holds the ticket's lock is its owner, and uploads. The others follow it: they show the values that it posts to a
// channel, pass on the requests of their users, and take over when the lock is free. Without locks (a page over http, a
// browser of before 2022) each of them uploads, and the server gives the ticket to the newest.

import { TICK_S } from './clock.js';
import { noop } from './connection.js';

/** @typedef {import('./states.js').Event} Event */
/** @typedef {import('./states.js').State} State */
/** @typedef {import('./upload.js').Upload} Upload */

const OWNER_TIMEOUT_TICKS = 10; // iOS freezes hidden tabs without closing them

/** Those that have a channel. @type {Set<Share>} */
export const shares = new Set();

export class Share {
  /** @param {Upload} upload */
  constructor(upload) {
    this.upload = upload;
    this.owns = !navigator.locks;
    /** @type {BroadcastChannel | null} */
    this.channel = null;
    this.name = '';
    this.ticker = 0;
    this.silent_ticks = 0; // of the owner
    this.is_followed = false;
    this.has_lock = false;
    this.pending = {}; // a request that the owner may not have received yet; an empty one asks for its values
    /** @type {(value?: unknown) => void} */
    this.release = noop;
  }

  /** Becomes the owner, or follows the one that exists and asks it for what is wanted here. */
  join() {
    if (this.owns || this.channel) return;
    const { upload } = this;
    this.name = upload.memory.new_key();
    try {
      this.channel = new BroadcastChannel(this.name);
      this.channel.onmessage = ({ data }) => this.on_message(data);
      this.ticker = setInterval(() => this.tick(), TICK_S * 1000);
      shares.add(this);
      this.pending = upload.state === 'cancelling' ? { cancel: upload.cancel_msg } : { pause: 'unpause' };
      this.request_lock({ ifAvailable: true });
    } catch (error) {
      this.owns = true; // it is forbidden here
    }
  }

  /** @param {LockOptions} options */
  request_lock(options) {
    const { channel } = this;
    let has_lock = false;
    navigator.locks.request(this.name, options, (lock) => {
      if (this.owns || channel !== this.channel) return null; // the second: it has ended meanwhile
      if (!lock) {
        this.post(this.pending);
        return null;
      }
      this.has_lock = has_lock = true;
      this.set_owner(true);
      return new Promise((resolve) => { this.release = resolve; });
    }).then(() => {
      if (has_lock && channel) say_goodbye(channel);
    }, () => {
      this.has_lock = false;
      if (channel === this.channel) this.set_owner(!this.owns); // it was stolen, or is forbidden here
    });
  }

  /** @param {boolean} owns */
  set_owner(owns) {
    this.owns = owns;
    this.silent_ticks = 0;
    this.pending = {};
    this.upload.owner_values = null;
    this.upload.settle();
  }

  /** A silent owner is frozen, or the lock is stuck. */
  tick() {
    if (this.owns) {
      this.upload.memory.write();
      return;
    }
    this.silent_ticks += 1;
    if (this.silent_ticks >= 2 * OWNER_TIMEOUT_TICKS) this.set_owner(true);
    else this.request_lock(this.silent_ticks === OWNER_TIMEOUT_TICKS ? { steal: true } : { ifAvailable: true });
  }

  /** @param {object} message a request to the owner, or the owner's values */
  post(message) {
    if (this.channel) this.channel.postMessage(message);
  }

  /** Passes a user's request on to the owner. @param {{pause?: Event, cancel?: string}} request that was granted here */
  pass_on(request) {
    if (this.owns) return;
    this.upload.owner_values = null;
    this.pending = request;
    this.post(request);
  }

  /** @param {{pause?: incoming.PauseRequest, cancel?: string, retry?: boolean, left?: boolean, state: State, values?: Record<string, unknown>}} message */
  on_message({ pause, cancel, retry, left, state, values }) {
    if (!this.channel) return;
    if (values) {
      this.silent_ticks = 0;
      this.pending = {};
      if (!this.owns) this.upload.follow(state, values);
      return;
    }
    if (left && !this.owns) this.request_lock({ ifAvailable: true });
    if (!this.owns || left) return;
    this.is_followed = true;
    if (pause) this.upload.pause(pause);
    if (cancel) this.upload.cancel(cancel);
    if (retry) this.upload.retry_now();
    this.post_values();
  }

  post_values() {
    const { state, shown } = this.upload;
    if (this.owns && this.is_followed) this.post({ state, values: JSON.parse(shown) });
  }

  suspend() {
    this.leave();
    this.owns = !navigator.locks;
  }

  leave() {
    clearInterval(this.ticker);
    shares.delete(this);
    if (this.channel && !this.has_lock) this.channel.close();
    this.channel = null;
    this.release();
    this.upload.memory.write(); // as one that no tab uploads
  }
}

/** The lock is free: those who follow need not wait for their next tick. @param {BroadcastChannel} channel */
function say_goodbye(channel) {
  channel.postMessage({ left: true });
  channel.close();
}
