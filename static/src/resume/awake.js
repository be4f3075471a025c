// The screen stays on while something is being sent: phones suspend the page when it goes off.

const RETRY_MS = 60000; // a phone without a network does not stay awake for ever

/** @typedef {import('../../resume.d.mts').Sender} Sender */

/**
 * Does nothing where the browser has no Screen Wake Lock, or refuses one (at a low battery, for example).
 * @param {Sender} sender a queue, or one uploader @returns {() => void} ends it, and lets the screen go off
 */
export function keep_awake(sender) {
  const { wakeLock } = /** @type {{wakeLock: WakeLock}} */ (navigator);
  if (!wakeLock) return () => {};
  /** @type {WakeLockSentinel | null} */
  let sentinel = null;
  let is_asking = false;
  let is_refused = false; // until the page is shown again, or something new is sent
  let is_over = false;
  let retrying_since_ms = 0;
  let timer = 0;

  function wants() {
    if (is_over || document.visibilityState !== 'visible') return false;
    const busy = uploaders_of(sender).filter(is_busy);
    if (busy.some(({ retrying }) => !retrying)) {
      retrying_since_ms = 0;
      return true;
    }
    if (!busy.length) return false;
    retrying_since_ms = retrying_since_ms || Date.now();
    const left_ms = retrying_since_ms + RETRY_MS - Date.now();
    clearTimeout(timer);
    if (left_ms > 0) timer = setTimeout(check, left_ms);
    return left_ms > 0;
  }

  async function check() {
    if (!wants()) {
      is_refused = false;
      if (sentinel) sentinel.release();
      sentinel = null;
    } else if (!sentinel && !is_asking && !is_refused) {
      is_asking = true;
      try {
        sentinel = await wakeLock.request('screen');
        sentinel.onrelease = () => { sentinel = null; }; // by the browser, when the page is hidden
      } catch (error) {
        is_refused = true;
      }
      is_asking = false;
      if (sentinel && !wants()) check();
    }
  }

  function end() {
    is_over = true;
    clearTimeout(timer);
    stops.forEach((stop) => stop());
    check();
  }

  const stops = [listen(document, 'visibilitychange', check)];
  if ('items' in sender) {
    stops.push(sender.subscribe(check));
  } else {
    stops.push(listen(sender, 'progress', check));
    for (const ending of ['finished', 'cancelled', 'error']) stops.push(listen(sender, ending, end));
  }
  check();
  return end;
}

/** @param {Sender} sender @returns {incoming.UploaderProperties[]} */
function uploaders_of(sender) {
  if (!('items' in sender)) return [sender];
  return /** @type {incoming.Uploader[]} */ (sender.items.map(({ uploader }) => uploader).filter(Boolean));
}

/** Whether bytes are sent, or would be if there was a connection. @param {incoming.UploaderProperties} uploader */
function is_busy({ connected, retrying, paused, frac_complete }) {
  return (connected || retrying) && !paused && frac_complete < 1;
}

/** @param {EventTarget} target @param {string} name @param {() => void} listener @returns {() => void} ends it */
function listen(target, name, listener) {
  target.addEventListener(name, listener);
  return () => target.removeEventListener(name, listener);
}
