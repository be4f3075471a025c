/// <reference path="./incoming.d.ts" />
// Types of resume.mjs. Its meaning is in docs/reference/javascript.md.

/** An unfinished upload of this browser. */
export interface Unfinished extends incoming.UnfinishedUpload {
  /** Of its file or folder, if one is kept: give it to `reopen`. */
  readonly handle: FileSystemHandle | null;
  /** Another tab of this browser uploads it now: show its progress, and offer nothing. */
  readonly live: boolean;
}

/** A file that the user has chosen. */
export interface PickedFile {
  readonly path: string;
  readonly file: File;
  /** null where the browser has no File System Access. */
  readonly handle: FileSystemFileHandle | null;
}

/** What `keep_awake` watches: an uploader, or a queue. */
export type Sender =
  | incoming.Uploader
  | {
      readonly items: readonly { readonly uploader: incoming.Uploader | null }[];
      subscribe(listener: () => void): () => void;
    };

/**
 * Keeps the handle of an upload's file or folder until the upload ends. Replaces the one that was kept for it.
 * @param owner the name of the part of the page that has begun the upload: see `ListOptions`
 */
export function remember(upload_id: string, handle: FileSystemHandle | null, owner?: string): Promise<void>;

/** Drops the handle, and the upload from the list, as `incoming.forget` does. */
export function forget(upload_id: string, options?: { readonly server?: string }): Promise<void>;

/** Resolves with null if none is kept. */
export function recall(upload_id: string): Promise<FileSystemHandle | null>;

export interface ListOptions {
  /** Of which server; default: that of all uploads. */
  readonly server?: string;
  /** Only those that were remembered with this name; default: all. */
  readonly owner?: string;
}

/** Lists what `incoming.unfinished` lists, and what other tabs upload now; newest first. */
export function unfinished(options?: ListOptions): Promise<Unfinished[]>;

/**
 * Calls the listener with that list at once, and whenever it has changed. The progress of live uploads is up to date
 * within about a second.
 * @returns a function that ends it
 */
export function watch_unfinished(
  listener: (uploads: Unfinished[]) => void,
  options?: ListOptions,
): () => void;

/**
 * Reads a file again, and gives back the handle of a folder, which may be read then. Asks the user for the permission if it
 * is needed: so call it in a click. Resolves with null if it was denied, or the file is not there any more.
 */
export function reopen(handle: FileSystemFileHandle): Promise<File | null>;
export function reopen(handle: FileSystemHandle): Promise<File | FileSystemDirectoryHandle | null>;

/**
 * Opens the dialog to choose files, with handles where the browser gives them. Call it in a click.
 * Resolves with an empty list if the user has chosen nothing.
 * @param options as the attributes of an `<input type="file">`
 */
export function pick_files(options?: { multiple?: boolean; accept?: string }): Promise<PickedFile[]>;

/** The same where the browser has handles. Elsewhere it asks nothing, and resolves with null. */
export function pick_with_handles(options: { readonly multiple?: boolean; readonly accept?: string }): Promise<PickedFile[] | null>;

/**
 * Keeps the screen on while something is being sent and the page is visible.
 * @returns a function that ends it; with an uploader, it ends by itself, too
 */
export function keep_awake(sender: Sender): () => void;
