/// <reference path="./incoming.d.ts" />
// Types of queue.mjs (`incoming-uploads/queue`): many uploads, a few at a time. docs/reference/queue.md has the meaning.

/** A refused item was never uploaded: `restrictions` forbid it. */
export type ItemState = "waiting" | "running" | "paused" | "finished" | "failed" | "cancelled" | "refused";

/** Asks the app for a ticket, and returns its id. The signal is aborted when the ticket is no longer needed. */
export type GetTicket = (item: Item, signal: AbortSignal) => Promise<string>;

/** Which files are accepted. A missing restriction sets no limit. */
export interface Restrictions {
  readonly max_bytes?: number | null | undefined;
  readonly min_bytes?: number | null | undefined;
  /** As the attribute of a file input: `"image/*,.pdf"`. */
  readonly accept?: string | readonly string[] | null | undefined;
  /** In the list, without what was cancelled or refused. */
  readonly max_files?: number | null | undefined;
  readonly max_total_bytes?: number | null | undefined;
  /** Refuses a file that is already in the queue: the same path, size and time of the last change. */
  readonly disallow_duplicates?: boolean | undefined;
}

/** Why a file is not accepted. */
export interface Refusal {
  readonly code: "too_large" | "too_small" | "not_accepted" | "too_many" | "total_too_large" | "duplicate" | "unreadable";
  /** A sentence for users. Holds no `<`, `>` or `&`. */
  readonly message: string;
  /** null when it can't be read. */
  readonly file: File | incoming.Folder | null;
  readonly path: string;
}

export interface QueueOptions {
  /** An Error with `retry: true` makes the queue ask again, after `retry_after_s` if it has that; any other ends the item. */
  get_ticket: GetTicket;
  /** How many run at the same time; default 3. */
  at_once?: number | undefined;
  restrictions?: Restrictions | undefined;
  /** For each uploader: its third argument. */
  uploader_options?: object | ((item: Item) => object | undefined) | undefined;
  /** A class that extends `incoming.Uploader`, to be used in its place. */
  Uploader?: incoming.UploaderConstructor | undefined;
  /**
   * Whether a file whose upload began in an earlier visit resumes, with its old ticket; default false. A function
   * returns the uploads that may resume.
   */
  resume_unfinished?: boolean | (() => incoming.UnfinishedUpload[]) | undefined;
  /** Called after each change of an item; with null after one of the list or of the totals. */
  onchange?: ((item: Item | null) => void) | null | undefined;
}

export interface AddOptions {
  /** Default: the path in the folder that was chosen, or the name. */
  path?: string | undefined;
  /** The upload that this file resumes. */
  begun?: incoming.UnfinishedUpload | undefined;
  /** Kept in `item.handle`. */
  handle?: FileSystemHandle | null | undefined;
}

export interface AddAllOptions {
  /** Adds each folder as one item, without the files that `accept` refuses, and not each of its files; default false. */
  readonly folders?: boolean | undefined;
  /** Asked before the restrictions. Returns why it is refused, or null. */
  readonly check?: ((file: File | incoming.Folder, path: string) => Refusal | null) | undefined;
  /** Called while a folder is being listed: how many files there are so far, and null at the end. */
  readonly onlisting?: ((path: string, files: number | null) => void) | undefined;
}

/** Sums over the list. Cancelled and refused items are only in their own counts. */
export interface Totals {
  readonly files: number;
  readonly waiting: number;
  readonly running: number;
  readonly paused: number;
  readonly finished: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly refused: number;
  readonly bytes_total: number;
  readonly bytes_acked: number;
  /** 0 to 1; of empty files, how many have finished. */
  readonly frac_complete: number;
  /** Of all files together, over the last seconds; 0 while nothing moves. */
  readonly bytes_per_s: number;
  /** For the running and waiting items; null while it is unknown. */
  readonly seconds_left: number | null;
}

/** An item at one moment. Never changes. */
export interface ItemSnapshot {
  /** The item itself, which can be paused, resumed, cancelled and retried. */
  readonly item: Item;
  readonly id: number;
  readonly file: File | incoming.Folder;
  readonly path: string;
  readonly handle: FileSystemHandle | null;
  readonly state: ItemState;
  readonly message: string;
  readonly reason: string;
  readonly bytes_acked: number;
  /** 0 to 1. */
  readonly frac_complete: number;
  readonly upload_id: string;
  readonly ended: boolean;
  readonly can_pause: boolean;
  readonly can_resume: boolean;
  readonly can_cancel: boolean;
  readonly can_retry: boolean;
  /** The properties of its uploader; null before there is one. */
  readonly upload: incoming.UploaderProperties | null;
}

export interface QueueSnapshot {
  readonly items: readonly ItemSnapshot[];
  readonly totals: Totals;
}

/** One file of a queue, made by `queue.add`. */
export interface Item {
  /** Different for each item of a queue. */
  readonly id: number;
  readonly file: File | incoming.Folder;
  readonly path: string;
  readonly handle: FileSystemHandle | null;
  readonly state: ItemState;
  /** Why it ended, or what it waits for, in a sentence for users; else `""`. */
  readonly message: string;
  /** The same as a code; else `""`. */
  readonly reason: string;
  readonly bytes_acked: number;
  /** Its ticket; `""` before it has one. */
  readonly upload_id: string;
  /** null before it has a ticket. */
  readonly uploader: incoming.Uploader | null;
  /** Finished, failed, cancelled or refused. */
  readonly ended: boolean;
  readonly can_pause: boolean;
  readonly can_resume: boolean;
  readonly can_cancel: boolean;
  readonly can_retry: boolean;
  /** Gives its place to the next. Does nothing when `can_pause` is false. */
  pause(): void;
  /** Waits for a place again. Does nothing when `can_resume` is false. */
  resume(): void;
  /** Does nothing when `can_cancel` is false. */
  cancel(): void;
  /** Tries a failed item again, and retries at once if a retry is scheduled. Does nothing when `can_retry` is false. */
  retry(): void;
  /** The same object until something changes. */
  snapshot(): ItemSnapshot;
}

/** A list of files that are uploaded a few at a time. */
export declare class Queue {
  /** @throws TypeError if `get_ticket` or `at_once` can't be used */
  constructor(options: QueueOptions);
  /** In their order. */
  readonly items: readonly Item[];
  /** Can be changed at any time. */
  at_once: number;
  /** Can be changed at any time, and applies to files that are added later. */
  restrictions: Restrictions;
  onchange: ((item: Item | null) => void) | null;
  /** Adds a file. What the restrictions forbid becomes an item in the state `refused`. */
  add(file: File | incoming.Folder, options?: AddOptions): Item;
  /** Adds everything that `files_of` finds. Refused files are not in the list. For a drop, call it in the event itself. */
  add_all(source: FileSource, options?: AddAllOptions): Promise<{ added: Item[]; refused: Refusal[] }>;
  /**
   * Adds all files in it as one item: one upload of a folder. For a drop, call it in the event itself.
   * @param options `onprogress` is called with the number of files that are listed so far
   */
  add_folder(
    source: Exclude<incoming.Files, incoming.Folder>,
    options?: AddOptions & { readonly onprogress?: (files: number) => void },
  ): Promise<Item>;
  /** The newest item of this file, or null. */
  find(file: File | incoming.Folder, path?: string): Item | null;
  in_state(...states: ItemState[]): Item[];
  pause(): void;
  resume(): void;
  cancel(): void;
  /** Retries all items that can be retried. */
  retry(): void;
  /** Removes ended items from the list: all of them, or those in these states. Returns them. */
  clear(...states: ItemState[]): Item[];
  /** Removes an ended item from the list; returns false if it has not ended. */
  remove(item: Item): boolean;
  /** Moves an item to another place in the list. Waiting items start in the order of the list. */
  move(item: Item, index: number): void;
  totals(): Totals;
  /** Returns a function that ends it. With `per_frame`, the listener is called at most once per frame. */
  subscribe(listener: () => void, options?: { per_frame?: boolean }): () => void;
  /** The same object until something changes. */
  snapshot(): QueueSnapshot;
  /** Stops those that have not ended without cancelling, and takes them off the list: they can be continued with their tickets. */
  leave_unfinished(): void;
  /** Stops here without cancelling: the uploads can be continued with their tickets. */
  dispose(): void;
  readonly is_disposed: boolean;
}

/** Why a file can't be taken, or null. With a queue, its number of files and bytes count, too. */
export declare function check_file(file: File | incoming.Folder, restrictions: Restrictions, queue?: Queue): Refusal | null;

/** Whether a file is of one of these types, written as in the attribute `accept` of a file input. */
export declare function is_accepted(file: File, accept?: string | readonly string[] | null): boolean;

/** A file in what was dropped, chosen or pasted. */
export interface FoundFile {
  readonly path: string;
  /** null when it can't be read, and for a folder. */
  readonly file: File | null;
  /** If the browser has File System Access. */
  readonly handle?: FileSystemHandle | null;
  /** With `folders`: a folder, as `incoming.list_folder` and `queue.add_folder` take it. */
  readonly folder?: Exclude<incoming.Files, incoming.Folder>;
}

/** What `files_of` looks into. */
export type FileSource =
  | DataTransfer
  | FileList
  | HTMLInputElement
  | FileSystemHandle
  | File
  | Iterable<File | FoundFile | FileSystemHandle>
  | AsyncIterable<File | FoundFile | FileSystemHandle>;

/** All files in it and in its folders; with `folders`, each folder as one. For a drop, call it in the event itself. */
export declare function files_of(source: FileSource, options?: { readonly folders?: boolean }): AsyncGenerator<FoundFile>;

/** The files of a folder with their paths in it, for uploading them one by one. */
export declare function files_in(folder: incoming.Folder): { path: string; file: File }[];

export interface TicketOptions {
  /** Of the request. */
  headers?: Record<string, string> | ((item: Item) => Record<string, string>) | undefined;
  /** More fields of the form. */
  fields?: Record<string, string> | ((item: Item) => Record<string, string>) | undefined;
  /** Default `"same-origin"`. */
  credentials?: RequestCredentials | undefined;
}

/**
 * A `get_ticket` that POSTs a form with `name`, `size`, `type` and `path` to this address of the app, and for a folder with
 * `destType=folder` and the number of its `files`. The answer is the id
 * of the ticket, as a text or as JSON: a string, `{"id": ...}` or `{"url": ...}`.
 */
export declare function ticket_from(url: string | URL, options?: TicketOptions): GetTicket;

declare global {
  namespace incoming {
    interface Texts extends Partial<QueueTexts> {}
  }
}

/** The sentences of the queue: entries of `incoming.texts`, which `incoming.set_texts` replaces. */
export interface QueueTexts {
  no_ticket: string;
  ticket_refused: string;
  not_a_ticket: string;
  too_large: (limit: string) => string;
  too_small: (limit: string) => string;
  not_accepted: string;
  too_many: (limit: number) => string;
  total_too_large: (limit: string) => string;
  unreadable: string;
  no_files: string;
  duplicate: string;
  units: readonly string[];
  per_second: (size: string) => string;
  seconds: (s: number) => string;
  minutes: (min: number) => string;
  hours: (h: number, min: number) => string;
}

/** Numbers as people read them. docs/reference/queue.md has examples. */
export interface Formats {
  /** Never rounded up: 100 % means that nothing is missing. */
  percent(fraction: number): string;
  count(number: number): string;
  size(bytes: number): string;
  speed(bytes_per_s: number): string;
  /** Rounded up. */
  time(seconds: number): string;
}

/**
 * How a language writes numbers.
 * @param lang a BCP 47 tag; the default is the browser's language
 * @param texts entries in place of those of `incoming.texts`
 */
export declare function formats(lang?: string, texts?: Partial<QueueTexts>): Formats;
