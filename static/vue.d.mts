/// <reference path="./incoming.d.ts" />
// Types of vue.mjs (`incoming-uploads/vue`). docs/how-to/vue.md shows how to use it.

import type { ComputedRef, MaybeRefOrGetter, ShallowRef } from "vue";
import type { ItemSnapshot, Queue, QueueOptions, Totals } from "./queue.mjs";

/** The properties of an upload as they are now; null without one. */
export declare function useUpload(
  uploader: MaybeRefOrGetter<incoming.Uploader | null | undefined>,
): Readonly<ShallowRef<Readonly<incoming.UploaderProperties> | null>>;

/** What `useQueue` returns. */
export interface QueueView {
  /** Adds, pauses, resumes, cancels and retries. */
  readonly queue: Queue;
  readonly items: ComputedRef<readonly ItemSnapshot[]>;
  readonly totals: ComputedRef<Totals>;
}

/**
 * A queue with its items and totals, which change at most once per frame.
 * @param source the options of a queue that belongs to the component: unmounting it leaves the uploads, without cancelling
 * them. Or a queue of your own, which lives on without the component.
 */
export declare function useQueue(source: QueueOptions | Queue): QueueView;
