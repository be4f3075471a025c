// The library itself, which is not a part of this bundle: a page has it once.

import '../../incoming.mjs';

/** The keys of localStorage, the locks and the channels of uploads begin with it: see `memory.js` of the library. */
export const KEY_PREFIX = 'incoming:';

/** @returns {typeof incoming} */
export function library() {
  return /** @type {any} */ (window).incoming;
}
