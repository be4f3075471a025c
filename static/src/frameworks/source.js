// What `useQueue` and its relatives are given: a queue of the page, or the options of one of their own.

/** @typedef {import('../../queue.mjs').Queue} Queue @typedef {import('../../queue.mjs').QueueOptions} QueueOptions */

/** The rate at which a screen shows anything. */
export const PER_FRAME = { per_frame: true };

/** @param {Queue | QueueOptions} source @returns {source is Queue} also of another copy of queue.mjs */
export function is_queue(source) {
  return 'add_all' in source;
}
