// svelte.mjs: stores that show uploads.

import { onDestroy } from 'svelte';
import { Queue } from '../../queue.mjs';
import { PER_FRAME, is_queue } from './source.js';

/**
 * A store of what something looks like now.
 * @template Snapshot
 * @param {{snapshot(): Snapshot, subscribe(listener: () => void, options: {per_frame: boolean}): () => void}} source
 */
function store_of(source) {
  return (/** @type {(value: Snapshot) => void} */ run) => {
    run(source.snapshot());
    return source.subscribe(() => run(source.snapshot()), PER_FRAME);
  };
}

/** A store with the properties of an upload. @param {incoming.Uploader} uploader */
export function upload_store(uploader) {
  return { subscribe: store_of(uploader) };
}

/**
 * A store with the items and totals of a queue. Made of options, the queue belongs to the component that is being
 * initialized, and ends with it.
 * @param {import('../../queue.mjs').QueueOptions | Queue} source
 */
export function queue_store(source) {
  const queue = is_queue(source) ? source : new Queue(source);
  if (queue !== source) onDestroy(() => queue.dispose());
  return { queue, subscribe: store_of(queue) };
}
