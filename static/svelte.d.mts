/// <reference path="./incoming.d.ts" />
// Types of svelte.mjs (`incoming-uploads/svelte`). docs/how-to/svelte.md shows how to use it.

import type { Readable } from "svelte/store";
import type { Queue, QueueOptions, QueueSnapshot } from "./queue.mjs";

/** A store with the properties of an upload. */
export declare function upload_store(uploader: incoming.Uploader): Readable<Readonly<incoming.UploaderProperties>>;

/** A store with the items and totals of its queue. */
export interface QueueStore extends Readable<QueueSnapshot> {
  /** Adds, pauses, resumes, cancels and retries. */
  readonly queue: Queue;
}

/**
 * A store with the items and totals of a queue, which change at most once per frame.
 * @param source the options of a queue that belongs to the component: destroying it leaves the uploads, without cancelling
 * them. Call it while the component is initialized. Or a queue of your own, which lives on without the component.
 */
export declare function queue_store(source: QueueOptions | Queue): QueueStore;
