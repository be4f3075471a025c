/*! svelte.mjs 0.3.0: stores for Svelte. MIT license. */
// Built by scripts/build-library.mjs: make changes in static/src, which has the comments, too.
// src/frameworks/svelte.js
import { onDestroy } from "svelte";
import { Queue } from "./queue.mjs";

// src/frameworks/source.js
var PER_FRAME = { per_frame: true };
function is_queue(source) {
  return "add_all" in source;
}

// src/frameworks/svelte.js
function store_of(source) {
  return (run) => {
    run(source.snapshot());
    return source.subscribe(() => run(source.snapshot()), PER_FRAME);
  };
}
function upload_store(uploader) {
  return { subscribe: store_of(uploader) };
}
function queue_store(source) {
  const queue = is_queue(source) ? source : new Queue(source);
  if (queue !== source) onDestroy(() => queue.dispose());
  return { queue, subscribe: store_of(queue) };
}
export {
  queue_store,
  upload_store
};
