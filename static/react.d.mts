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
  tickets?: string;
  /** A function in place of `tickets`. */
  getTicket?: GetTicket;
  server?: string;
  name?: string;
  accept?: string;
  capture?: string;
  maxBytes?: number | string;
  maxFiles?: number | string;
  atOnce?: number | string;
  multiple?: boolean;
  directory?: boolean;
  disabled?: boolean;
  required?: boolean;
  dropAnywhere?: boolean;
  keepAwake?: boolean;
  warnBeforeUnload?: boolean;
  /** A queue of the page, in place of its own. */
  queue?: Queue;
  texts?: Partial<ElementTexts>;
  id?: string;
  className?: string;
  style?: CSSProperties;
  lang?: string;
  dir?: string;
  children?: ReactNode;
  onChange?: (event: Event & { readonly target: IncomingUploadElement }) => void;
  onUploadFinished?: (event: IncomingUploadEventMap["upload-finished"]) => void;
  onUploadFailed?: (event: IncomingUploadEventMap["upload-failed"]) => void;
  onUploadRefused?: (event: IncomingUploadEventMap["upload-refused"]) => void;
  onAllFinished?: (event: IncomingUploadEventMap["all-finished"]) => void;
}

/** `<incoming-upload>`. It loads the code of the element when it is mounted. */
export declare const IncomingUpload: ForwardRefExoticComponent<IncomingUploadProps & RefAttributes<IncomingUploadElement>>;
