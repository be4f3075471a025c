/// <reference path="./incoming.d.ts" />
// Types of react.mjs (`incoming-uploads/react`). docs/how-to/react.md shows how to use it.

import type { CSSProperties, ForwardRefExoticComponent, ReactNode, RefAttributes } from "react";
import type { ElementTexts, IncomingUpload as IncomingUploadElement, IncomingUploadEventMap } from "./element.mjs";
import type { GetTicket, ItemSnapshot, Queue, QueueOptions, Totals } from "./queue.mjs";

/** The properties of an upload as they are now. A component that calls it is rendered again when they change. */
export declare function useUpload(uploader: incoming.Uploader): Readonly<incoming.UploaderProperties>;
/** The same, for an upload that may not be there yet. */
export declare function useUpload(
  uploader: incoming.Uploader | null | undefined,
): Readonly<incoming.UploaderProperties> | null;

/** What `useQueue` returns. */
export interface QueueView {
  /** Adds, pauses, resumes, cancels and retries. It stays the same object. */
  readonly queue: Queue;
  readonly items: readonly ItemSnapshot[];
  readonly totals: Totals;
}

/**
 * A queue with its items and totals. A component that calls it is rendered again when they change, at most once per frame.
 * @param source the options of a queue that belongs to the component: unmounting it leaves the uploads, without cancelling
 * them. Or a queue of your own, which lives on without the component.
 */
export declare function useQueue(source: QueueOptions | Queue): QueueView;

/** The attributes, properties and events of `<incoming-upload>`: docs/reference/element.md has their meaning. */
export interface IncomingUploadProps {
  tickets?: string | undefined;
  /** A function in place of `tickets`. */
  getTicket?: GetTicket | undefined;
  server?: string | undefined;
  name?: string | undefined;
  accept?: string | undefined;
  capture?: string | undefined;
  maxBytes?: number | string | undefined;
  maxFiles?: number | string | undefined;
  atOnce?: number | string | undefined;
  multiple?: boolean | undefined;
  directory?: boolean | undefined;
  disabled?: boolean | undefined;
  required?: boolean | undefined;
  dropAnywhere?: boolean | undefined;
  keepAwake?: boolean | undefined;
  warnBeforeUnload?: boolean | undefined;
  /** A queue of the page, in place of its own. */
  queue?: Queue | undefined;
  texts?: Partial<ElementTexts> | undefined;
  id?: string | undefined;
  className?: string | undefined;
  style?: CSSProperties | undefined;
  lang?: string | undefined;
  dir?: string | undefined;
  children?: ReactNode | undefined;
  onChange?: ((event: Event & { readonly target: IncomingUploadElement }) => void) | undefined;
  onUploadFinished?: ((event: IncomingUploadEventMap["upload-finished"]) => void) | undefined;
  onUploadFailed?: ((event: IncomingUploadEventMap["upload-failed"]) => void) | undefined;
  onUploadRefused?: ((event: IncomingUploadEventMap["upload-refused"]) => void) | undefined;
  onAllFinished?: ((event: IncomingUploadEventMap["all-finished"]) => void) | undefined;
}

/** `<incoming-upload>`. It loads the code of the element when it is mounted. */
export declare const IncomingUpload: ForwardRefExoticComponent<IncomingUploadProps & RefAttributes<IncomingUploadElement>>;
