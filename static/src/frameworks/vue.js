// vue.mjs: composables that show uploads.

import { computed, markRaw, onScopeDispose, shallowRef, toRaw, toValue, watch } from 'vue';
import { Queue } from '../../queue.mjs';
import { PER_FRAME, is_queue } from './source.js';

/** @typedef {import('../../queue.mjs').QueueOptions} QueueOptions */

/**
 * The properties of an upload as they are now; null without one.
 * @param {import('vue').MaybeRefOrGetter<incoming.Uploader | null | undefined>} source
 */
export function useUpload(source) {
  const state = shallowRef(/** @type {Readonly<incoming.UploaderProperties> | null} */ (null));
  const current = () => toRaw(toValue(source)) || null; // the methods of an EventTarget don't work on a proxy
  watch(current, (uploader, _, on_cleanup) => {
    const show = () => {
      state.value = uploader && uploader.snapshot();
    };
    if (uploader) on_cleanup(uploader.subscribe(show, PER_FRAME));
    show();
  }, { immediate: true, flush: 'sync' });
  return state;
}

/**
 * A queue, its items and its totals. Made of options, it belongs to the component (or the effect scope) and ends with it.
 * @param {import('../../queue.mjs').QueueOptions | Queue} source
 */
export function useQueue(source) {
  const given = is_queue(source) ? toRaw(source) : null;
  const queue = markRaw(given || new Queue(/** @type {QueueOptions} */ (source)));
  const state = shallowRef(queue.snapshot());
  const end = queue.subscribe(() => {
    state.value = queue.snapshot();
  }, PER_FRAME);
  onScopeDispose(() => {
    end();
    if (!given) queue.dispose();
  });
  return { queue, items: computed(() => state.value.items), totals: computed(() => state.value.totals) };
}
