/// <reference path="./incoming.d.ts" />
// Types of resume.mjs, which docs/reference/javascript.md explains.

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
  /** null if the browser has no File System Access. */
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
 * Keeps the handle of an upload's file or folder until the upload ends. It replaces an earlier one.
 * @param owner the name of the part of the page that began the upload: see `ListOptions`
 */
export function remember(upload_id: string, handle: FileSystemHandle | null, owner?: string): Promise<void>;

/** Drops the handle, and removes the upload from the list, as `incoming.forget` does. */
export function forget(upload_id: string, options?: { readonly server?: string | undefined }): Promise<void>;

/** Resolves with null if none is kept. */
export function recall(upload_id: string): Promise<FileSystemHandle | null>;

export interface ListOptions {
  /** Only uploads to this server; default: the server of all uploads. */
  readonly server?: string | undefined;
  /** Only those that were remembered with this name; default: all. */
  readonly owner?: string | undefined;
}

/** Lists what `incoming.unfinished` lists, and what other tabs are uploading; newest first. */
export function unfinished(options?: ListOptions): Promise<Unfinished[]>;

/**
 * Calls the listener with that list at once, and after each change. The progress of live uploads is up to date
 * within about a second.
 * @returns a function that ends it
 */
export function watch_unfinished(
  listener: (uploads: Unfinished[]) => void,
  options?: ListOptions,
): () => void;

/**
 * Returns the file of a handle. For a folder, returns the handle itself, which may then be read. Asks the user for permission
 * if necessary, so call it in a click. Resolves with null if the user denied it or the file is gone.
 */
export function reopen(handle: FileSystemFileHandle): Promise<File | null>;
export function reopen(handle: FileSystemHandle): Promise<File | FileSystemDirectoryHandle | null>;

/**
 * Opens the dialog to choose files, with handles if the browser provides them. Call it in a click.
 * Resolves with an empty list if the user chooses nothing.
 * @param options as the attributes of an `<input type="file">`
 */
export function pick_files(options?: { multiple?: boolean | undefined; accept?: string | undefined }): Promise<PickedFile[]>;

/** The same if the browser has handles. Otherwise it opens no dialog, and resolves with null. */
export function pick_with_handles(options: { readonly multiple?: boolean | undefined; readonly accept?: string | undefined }): Promise<PickedFile[] | null>;

/**
 * Keeps the screen on while data is being sent and the page is visible.
 * @returns a function that ends it; with an uploader, it also ends with the upload
 */
export function keep_awake(sender: Sender): () => void;
