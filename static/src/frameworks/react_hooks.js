// Hooks that show uploads.

import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { Queue } from '../../queue.mjs';
import { PER_FRAME, is_queue } from './source.js';

/** @typedef {import('../../queue.mjs').QueueOptions} QueueOptions */

const nothing = () => {};

/**
 * The properties of an upload as they are now; null without one.
 * @type {typeof import('../../react.mjs').useUpload}
 */
export function useUpload(/** @type {incoming.Uploader | null | undefined} */ uploader) {
  const subscribe = useCallback(
    (/** @type {() => void} */ listener) => (uploader ? uploader.subscribe(listener, PER_FRAME) : nothing),
    [uploader],
  );
  const snapshot = () => (uploader ? uploader.snapshot() : null);
  return /** @type {any} */ (useSyncExternalStore(subscribe, snapshot, snapshot));
}

/**
 * A queue, its items and its totals. Made of options, it belongs to the component and ends with it.
 * @param {QueueOptions | Queue} source
 */
export function useQueue(source) {
  const latest = useRef(source);
  const make = () => queue_of(() => /** @type {QueueOptions} */ (latest.current));
  const given = is_queue(source) ? source : null;
  const [own, set_own] = useState(() => (given ? null : make()));
  const queue = /** @type {Queue} */ (given || own);

  useEffect(() => {
    latest.current = source;
    if (own && !is_queue(source)) update(own, source);
  });
  useEffect(() => {
    if (given) return undefined;
    if (own && !own.is_disposed) return hold(own);
    set_own(make()); // the component was hidden, and is shown again
    return undefined;
  }, [own, given]);

  const subscribe = useCallback((/** @type {() => void} */ listener) => queue.subscribe(listener, PER_FRAME), [queue]);
  const snapshot = () => queue.snapshot();
  const { items, totals } = useSyncExternalStore(subscribe, snapshot, snapshot);
  return useMemo(() => ({ queue, items, totals }), [queue, items, totals]);
}

/**
 * A queue that asks for its options when it needs them, because each rendering may bring others.
 * @param {() => QueueOptions} latest
 */
function queue_of(latest) {
  return new Queue({
    ...latest(),
    get_ticket: (item, signal) => latest().get_ticket(item, signal),
    uploader_options: (item) => {
      const { uploader_options } = latest();
      return typeof uploader_options === 'function' ? uploader_options(item) : uploader_options;
    },
    onchange: (item) => {
      const { onchange } = latest();
      if (onchange) onchange(item);
    },
  });
}

/** @param {Queue} queue @param {QueueOptions} options */
function update(queue, { at_once, restrictions }) {
  if (at_once !== undefined && at_once !== queue.at_once) queue.at_once = at_once;
  queue.restrictions = restrictions || {};
}

/** How many components hold a queue. @type {WeakMap<Queue, number>} */
const holders = new WeakMap();

/**
 * Disposes of a queue a moment after its component was unmounted, and only if it was not mounted again: StrictMode mounts
 * each component twice.
 * @param {Queue} queue @returns {() => void} the unmount
 */
function hold(queue) {
  const count = (/** @type {number} */ more) => {
    const held = (holders.get(queue) || 0) + more;
    holders.set(queue, held);
    return held;
  };
  count(1);
  return () => {
    count(-1);
    queueMicrotask(() => count(0) || queue.dispose());
  };
}
