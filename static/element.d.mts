/// <reference path="./incoming.d.ts" />
// Types of element.mjs (`incoming-uploads/element`): <incoming-upload>. docs/reference/element.md explains it.

import type { FileSource, GetTicket, Item, Queue, Refusal } from "./queue.mjs";

/** The sentences of the element. A page replaces some by `element.texts`, or for all elements by `incoming.set_texts({ element: ... })`. */
export interface ElementTexts {
  drop_files: string;
  drop_file: string;
  drop_folders: string;
  drop_now: string;
  add_files: string;
  add_file: string;
  paste_files: string;
  paste_file: string;
  resumes: string;
  choose_files: string;
  choose_file: string;
  choose_folder: string;
  take_photo: string;
  limit: (size: string) => string;
  limit_folders: (size: string) => string;
  no_server: string;
  no_tickets: string;
  not_added: (count: number) => string;
  and_more: (count: number) => string;
  not_the_same: (name: string) => string;
  waiting: string;
  asking: string;
  elsewhere: string;
  paused: string;
  finished: string;
  cancelled: string;
  retry_in: (time: string) => string;
  left: (time: string) => string;
  part_of: (part: string, all: string) => string;
  /** @param digits the count, as the language writes it */
  files: (count: number, digits: string) => string;
  left_out: (count: string, names: string) => string;
  pause: string;
  resume: string;
  retry_now: string;
  retry: string;
  cancel: string;
  dismiss: string;
  pause_all: string;
  resume_all: string;
  retry_all: string;
  cancel_all: string;
  cancel_really: string;
  keep: string;
  clear: string;
  continue: string;
  continue_all: string;
  find_file: string;
  find_folder: string;
  forget: string;
  close: string;
  uploads: string;
  continue_title: string;
  progress_of: (name: string) => string;
  all_progress: string;
  files_done: (done: string, all: string) => string;
  files_failed: (count: number) => string;
  missing: string;
  busy: string;
  said_added: (count: number) => string;
  said_finished: (name: string) => string;
  said_finished_many: (count: number) => string;
  said_all_finished: (count: number) => string;
  said_failed: (name: string, why: string) => string;
  said_retrying: (why: string) => string;
  said_running: string;
  said_cancelled: (name: string) => string;
}

/** `detail` of `upload-finished` and `upload-failed`. */
export interface UploadEventDetail {
  readonly item: Item;
  /** The ticket. */
  readonly upload_id: string;
  /** Why it failed, in a sentence for users; else `""`. */
  readonly message: string;
  /** The same as a code. */
  readonly reason: string;
}

export interface IncomingUploadEventMap extends HTMLElementEventMap {
  "upload-finished": CustomEvent<UploadEventDetail>;
  "upload-failed": CustomEvent<UploadEventDetail>;
  "upload-refused": CustomEvent<{ readonly refused: readonly Refusal[] }>;
  "all-finished": CustomEvent<{ readonly value: readonly string[] }>;
}

/** A field of a form that uploads files. */
export declare class IncomingUpload extends HTMLElement {
  static readonly formAssociated: boolean;
  static readonly observedAttributes: string[];

  // The attributes, as properties.
  tickets: string;
  server: string;
  name: string;
  accept: string;
  get max_bytes(): string;
  set max_bytes(value: string | number);
  get max_files(): string;
  set max_files(value: string | number);
  get at_once(): string;
  set at_once(value: string | number);
  capture: string;
  multiple: boolean;
  directory: boolean;
  disabled: boolean;
  required: boolean;
  drop_anywhere: boolean;
  keep_awake: boolean;
  warn_before_unload: boolean;

  /** Asks the app for a ticket, in place of the attribute `tickets`. */
  get_ticket: GetTicket | null;
  /** Its own queue, or one that the page has set. Setting null gives it its own queue again. */
  get queue(): Queue;
  set queue(queue: Queue | null);
  /** Texts of this element alone. */
  texts: Partial<ElementTexts>;
  /** The tickets of the files that the app has. */
  readonly value: string[];

  /** Adds files, as a drop does. */
  add(source: FileSource): Promise<void>;

  readonly form: HTMLFormElement | null;
  readonly labels: NodeList;
  readonly validity: ValidityState;
  readonly validationMessage: string;
  readonly willValidate: boolean;
  checkValidity(): boolean;
  reportValidity(): boolean;

  addEventListener<K extends keyof IncomingUploadEventMap>(
    type: K,
    listener: (this: IncomingUpload, event: IncomingUploadEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "incoming-upload": IncomingUpload;
  }
}
