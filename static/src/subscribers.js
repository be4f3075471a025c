// Functions to call for each change, or once per frame.

const HIDDEN_FRAME_MS = 100; // a hidden page has no frames

/** Shows the page's author what a callback threw, and keeps it out of what the library does. @param {unknown} error */
export function report(error) {
  if (typeof reportError === 'function') reportError(error);
  else setTimeout(() => { throw error; });
}

export class Subscribers {
  constructor() {
    /** @type {Set<{notify: () => void, stop: () => void}>} */
    this.entries = new Set();
  }

  /** @param {() => void} listener @param {boolean} per_frame @returns {() => void} ends the subscription */
  add(listener, per_frame) {
    const call = () => {
      try {
        listener();
      } catch (error) {
        report(error);
      }
    };
    const entry = per_frame ? once_a_frame(call) : { notify: call, stop() {} };
    this.entries.add(entry);
    return () => {
      this.entries.delete(entry);
      entry.stop();
    };
  }

  notify() {
    [...this.entries].forEach((entry) => this.entries.has(entry) && entry.notify());
  }

  clear() {
    this.entries.forEach((entry) => entry.stop());
    this.entries.clear();
  }
}

/**
 * A page may be hidden while it waits for a frame: so a timer runs as well.
 * @param {() => void} call
 */
function once_a_frame(call) {
  let frame = 0;
  /** @type {ReturnType<typeof setTimeout> | null} */
  let timer = null;
  const stop = () => {
    if (timer === null) return;
    clearTimeout(timer);
    cancelAnimationFrame(frame);
    timer = null;
  };
  const run = () => {
    stop();
    call();
  };
  const notify = () => {
    if (timer !== null) return;
    timer = setTimeout(run, HIDDEN_FRAME_MS);
    frame = requestAnimationFrame(run);
  };
  return { notify, stop };
}
