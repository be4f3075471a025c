/// <reference path="./incoming.d.ts" />
// Types of resume.mjs. Its meaning is in docs/reference/javascript.md.

/** An unfinished upload of this browser. */
export interface Unfinished extends incoming.UnfinishedUpload {
  /** Of its file, if one is kept: give it to `reopen`. */
  readonly handle: FileSystemFileHandle | null;
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

/** Keeps the handle of an upload's file until the upload ends. Replaces the one that was kept for it. */
export function remember(upload_id: string, handle: FileSystemFileHandle): Promise<void>;

/** Drops the handle, and the upload from the list, as `incoming.forget` does. */
export function forget(upload_id: string, options?: { readonly server?: string }): Promise<void>;

/** Resolves with null if none is kept. */
export function recall(upload_id: string): Promise<FileSystemFileHandle | null>;

/** Lists what `incoming.unfinished` lists, and what other tabs upload now; newest first. */
export function unfinished(options?: { readonly server?: string }): Promise<Unfinished[]>;

/**
 * Calls the listener with that list at once, and whenever it has changed. The progress of live uploads is up to date
 * within about a second.
 * @returns a function that ends it
 */
export function watch_unfinished(
  listener: (uploads: Unfinished[]) => void,
  options?: { readonly server?: string },
): () => void;

/**
 * Reads a file again. Asks the user for the permission if it is needed: so call it in a click.
 * Resolves with null if it was denied, or the file is not there any more.
 */
export function reopen(handle: FileSystemFileHandle): Promise<File | null>;

/**
 * Opens the dialog to choose files, with handles where the browser gives them. Call it in a click.
 * Resolves with an empty list if the user has chosen nothing.
 * @param options as the attributes of an `<input type="file">`
 */
export function pick_files(options?: { multiple?: boolean; accept?: string }): Promise<PickedFile[]>;

/**
 * Keeps the screen on while something is being sent and the page is visible.
 * @returns a function that ends it; with an uploader, it ends by itself, too
 */
export function keep_awake(sender: Sender): () => void;
