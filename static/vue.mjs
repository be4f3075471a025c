/*! vue.mjs 0.3.0: composables for Vue. MIT license. */
// Built by scripts/build-library.mjs: make changes in static/src, which has the comments, too.
// src/frameworks/vue.js
import { computed, markRaw, onScopeDispose, shallowRef, toRaw, toValue, watch } from "vue";
import { Queue } from "./queue.mjs";

// src/frameworks/source.js
var PER_FRAME = { per_frame: true };
function is_queue(source) {
  return "add_all" in source;
}

// src/frameworks/vue.js
function useUpload(source) {
  const state = shallowRef(
    /** @type {Readonly<incoming.UploaderProperties> | null} */
    null
  );
  const current = () => toRaw(toValue(source)) || null;
  watch(current, (uploader, _, on_cleanup) => {
    const show = () => {
      state.value = uploader && uploader.snapshot();
    };
    if (uploader) on_cleanup(uploader.subscribe(show, PER_FRAME));
    show();
  }, { immediate: true, flush: "sync" });
  return state;
}
function useQueue(source) {
  const given = is_queue(source) ? toRaw(source) : null;
  const queue = markRaw(given || new Queue(
    /** @type {QueueOptions} */
    source
  ));
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
export {
  useQueue,
  useUpload
};
