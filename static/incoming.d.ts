/**
 * Types of incoming.js, the JavaScript library of Incoming!!. The library is one plain script with one
 * global, `incoming`; tell TypeScript about it with
 *
 *     /// <reference path="incoming.d.ts" />
 *
 * (Who imports incoming.mjs gets incoming.d.mts.) The meaning of everything here, state by state, is in
 * docs/reference/javascript.md.
 */
declare namespace incoming {
  /** What `pause` is asked to do; `"toggle"` is `"unpause"` when paused, else `"pause"`. */
  type PauseRequest = "pause" | "unpause" | "toggle";

  /** Called with the uploader that has news. What a callback throws is reported, and stops no upload. */
  type Callback = (uploader: Uploader) => void;

  /** What an upload is doing. docs/reference/javascript.md says what holds in each state. */
  type State =
    | "new" | "connecting" | "checking" | "uploading" | "retrying" | "elsewhere" | "paused" | "waiting_for_app"
    | "cancelling" | "finished" | "cancelled" | "failed" | "disposed";

  /** Why a connection is missing, and what is tried again. */
  type RetryReason =
    | "offline" | "connection_lost" | "no_connection" | "server_restarting" | "server_busy" | "taken_over"
    | "file_unreadable" | "no_memory" | "worker_lost" | "websockets_blocked" | "too_many_connections" | "http_status"
    | "not_an_upload_server" | "invalid_response";

  /** Why an upload has failed: one name for each `error_code`. */
  type FailureReason =
    | "unknown_ticket" | "bad_message" | "bad_chunk" | "length_mismatch" | "upload_too_large" | "wrong_file" | "expired"
    | "handover_failed" | "refused" | "file_unreadable" | "file_changed" | "invalid_response" | "bad_address" | "not_taken"
    | "server_too_old" | "gave_up" | "not_retried" | "bad_folder" | "wrong_dest_type";

  /** Why the upload is in its state; `""` when there is nothing to explain. */
  type Reason =
    | "" | RetryReason | FailureReason | "listing" | "slow_read" | "app_silent" | "app_trouble" | "user" | "app";

  /** What can be read of an upload. All of it is read-only and changes by itself: see `onprogress`. */
  interface UploaderProperties {
    /** The file's name, or the folder's; `"upload"` when it has none. */
    readonly filename: string;
    /** The file's size in bytes. Of a folder: that of all files and of their list; 0 until they are listed. */
    readonly bytes_total: number;
    /** How many files a folder has, so far while they are listed; 1 for a file. */
    readonly files_total: number;
    /** How many of them the server has stored. */
    readonly files_acked: number;
    /** The path of the file that is being sent, or that an error is about. Show it with `textContent`. */
    readonly current_file: string;
    /** The paths of what could not be read and was left out: see `when_unreadable`. Show them with `textContent`. */
    readonly left_out: readonly string[];
    /** Bytes stored by the server or given to the browser to send. */
    readonly bytes_tx: number;
    /** Bytes that the server has stored and acknowledged. Survives everything that interrupts an upload. */
    readonly bytes_acked: number;
    /** Bytes given to send and not acknowledged yet: `bytes_tx - bytes_acked`. */
    readonly bytes_ahead: number;
    /** 0 to 1, acknowledged bytes only. An empty file is at 0 until it has arrived, then at 1. */
    readonly frac_complete: number;
    /** Acknowledged bytes a second, smoothed over some seconds; 0 while nothing is being sent. */
    readonly bytes_per_s: number;
    /** Seconds until all bytes are there, at `bytes_per_s`; null while that can't be told. */
    readonly seconds_left: number | null;
    /** Chunks given to send over this connection; 0 without a connection. */
    readonly chunks_tx_now: number;
    /** Chunks acknowledged over this connection; 0 without a connection. */
    readonly chunks_acked_now: number;
    /** Chunks given to send and not acknowledged yet: `chunks_tx_now - chunks_acked_now`. */
    readonly chunks_ahead: number;
    /** What the upload is doing, for programs. */
    readonly state: State;
    /** Why, for programs: a name, or `""`. */
    readonly reason: Reason;
    /** What is going on, in a sentence for users. Holds no `<`, `>` or `&`. */
    readonly state_msg: string;
    /** Why the upload failed, in a sentence for users, else `""`. Holds no `<`, `>` or `&`. */
    readonly error_msg: string;
    /** Number of the error (a table is in docs/reference/javascript.md); null as long as there is none. */
    readonly error_code: number | null;
    /** Why the upload was cancelled: the reason given to `cancel`, or the app's; else `""`. */
    readonly cancel_msg: string;
    /** A connection to the server is open. */
    readonly connected: boolean;
    /** The connection was lost, or could not be made, and it is tried again by itself. */
    readonly retrying: boolean;
    /** When the next try is made, in ms since 1970; null when none is waited for. */
    readonly next_retry_at: number | null;
    /** The user has paused the upload. */
    readonly paused: boolean;
    /** `pause` would have an effect now: the upload can be paused or, when paused, unpaused. */
    readonly can_pause: boolean;
    /** `cancel` would have an effect now. */
    readonly can_cancel: boolean;
    /** `retry_now` would have an effect now: the upload waits for its next try. */
    readonly can_retry: boolean;
    /** The upload is being cancelled, and the server has not confirmed yet. */
    readonly cancelling: boolean;
    /** The upload ended by being cancelled. Nothing changes any more. */
    readonly cancelled: boolean;
    /** The app has the file. Nothing changes any more. */
    readonly finished: boolean;
  }

  /** What `addEventListener` hears of. */
  type EventName = "progress" | "finished" | "cancelled" | "error";

  /** An event of an uploader. */
  interface UploaderEvent extends Event {
    readonly type: EventName;
    readonly target: Uploader;
  }

  /** What `done` is rejected with. */
  interface UploadError extends Error {
    /** The same as `error_code`; null for a cancelled upload. */
    readonly code: number | null;
    readonly reason: "cancelled" | "error" | "disposed";
    readonly uploader: Uploader;
  }

  /** One upload: one file for one ticket. */
  interface Uploader extends UploaderProperties, EventTarget {
    /** Starts the upload. Calling it again does nothing. */
    start(): this;
    /**
     * Pauses, or goes on. Does nothing when `can_pause` is false.
     * @param what default `"pause"`
     * @throws TypeError if `what` is none of the three
     */
    pause(what?: PauseRequest): this;
    /**
     * Gives the upload up; its ticket is used up then. Does nothing when `can_cancel` is false.
     * @param reason for the app and for `cancel_msg`; default: a sentence that says the user did it
     */
    cancel(reason?: string): this;
    /** Tries again at once when the upload waits for its next try. Does nothing when `can_retry` is false. */
    retry_now(): this;
    /**
     * Leaves the upload without cancelling it: closes the connection, and gives everything free that the uploader holds.
     * No callback follows; `done` is rejected if the upload has not ended. Another uploader can continue the ticket.
     */
    dispose(): void;

    /** All properties as a frozen object. It is the same object until one of them changes. */
    snapshot(): Readonly<UploaderProperties>;
    /**
     * Calls `listener` after each change of a property; with `per_frame`, at most once for each frame of the screen.
     * @returns a function that ends the subscription
     */
    subscribe(listener: () => void, options?: { readonly per_frame?: boolean }): () => void;

    /** Called after every change of any property, those that the other callbacks tell about included. */
    onprogress: Callback | null;
    /** Called once, when the app has the file. */
    onfinished: Callback | null;
    /** Called once, when the upload has been cancelled, by whichever side. */
    oncancelled: Callback | null;
    /** Called once, when the upload has failed for good; see `error_msg` and `error_code`. */
    onerror: Callback | null;

    /** The same news as the callbacks have, for as many as want to hear them; `event.target` is the uploader. */
    addEventListener(
      type: EventName,
      listener: (this: Uploader, event: UploaderEvent) => void,
      options?: boolean | AddEventListenerOptions,
    ): void;
    addEventListener(
      type: string,
      listener: EventListenerOrEventListenerObject | null,
      options?: boolean | AddEventListenerOptions,
    ): void;

    /** Resolves when the app has the file; rejects with an UploadError. May be ignored. */
    readonly done: Promise<Uploader>;

    /** How many bytes a second may be sent; 0, the default, for no limit. Can be changed at any time. */
    max_bytes_per_s: number;
    /** Whether the browser asks the user before the page is left while this upload would stop; default false. */
    warn_before_unload: boolean;
  }

  /** What `should_retry` is asked about. */
  interface RetryQuestion {
    /** The number of the error, if it is one that is believed only after several tries; else null. */
    readonly code: number | null;
    readonly reason: Reason;
    /** The sentence for users. */
    readonly message: string;
    /** Failed tries in a row, 1 for the first. An acknowledged byte begins anew. */
    readonly tries: number;
  }

  /** What a page may say about one upload. All of it is optional. */
  interface UploaderOptions {
    /** Where this upload goes: `"https://host[:port][/prefix]"`, or without the scheme, which is that of the page then. */
    readonly server?: string;
    /** Aborting it cancels the upload, with the signal's reason if that is a string or an error of the page's own. */
    readonly signal?: AbortSignal;
    /**
     * After so many seconds of trying without a stored byte, the upload fails with code 106. Time in which it is paused does
     * not count, nor the wait for the app. Default: never.
     */
    readonly give_up_after_s?: number;
    /** Asked before each new try. If it returns `false`, the upload fails with code 107. */
    readonly should_retry?: (error: RetryQuestion) => boolean | void;
    /** As the property. */
    readonly max_bytes_per_s?: number;
    /** As the property. */
    readonly warn_before_unload?: boolean;
    /** Sentences for this upload alone. */
    readonly texts?: Partial<Texts>;
    /**
     * What becomes of a file of a folder that can't be read, or has changed: it ends the upload (the default), or is left out
     * and named in `left_out`.
     */
    readonly when_unreadable?: "stop" | "leave_out";
  }

  /** A folder whose files are listed. */
  interface Folder {
    /** The folder's name; `"upload"` if the files are from several ones, or from none. */
    readonly name: string;
    /** The bytes of all files and of their list. */
    readonly size: number;
    /** When the newest file was changed, in ms since 1970; 0 if no file tells. */
    readonly lastModified: number;
    readonly type: string;
    readonly files_total: number;
    /** What it consists of, in the order of the upload: sorted by path. An empty folder has a path with `/` at its end, and no file. */
    readonly entries: readonly { readonly path: string; readonly size: number; readonly file: Blob | null }[];
    /** The paths of what could not be listed. */
    readonly unreadable: readonly string[];
  }

  /** What a browser has for a file or a folder of a drop, or of File System Access. */
  interface FileOrFolder {
    readonly name: string;
    readonly isDirectory?: boolean;
    readonly kind?: "file" | "directory";
  }

  /** A file at a place in a folder. */
  interface PlacedFile {
    readonly path: string;
    readonly file: File | Blob;
  }

  /** All that can be uploaded as one folder. Folders in it are walked to their ends. */
  type Files =
    | Folder | FileList | DataTransfer | DataTransferItemList | FileOrFolder | PlacedFile
    | Iterable<File | FileOrFolder | PlacedFile>;

  /** Makes an uploader, with or without `new`. */
  interface UploaderConstructor {
    /**
     * @param upload_id id of the ticket that the app's backend got from the Incoming!! server
     * @param file the file, from an `<input type="file">`, a drop or made by the page; or the files of a folder, which need a ticket for a folder
     * @param options what else the page wants
     * @throws TypeError if `upload_id` is no string or empty, `file` is no File and no Blob and has none, or an option is not what it should be
     */
    new (upload_id: string, file: File | Blob | Files, options?: UploaderOptions): Uploader;
    (upload_id: string, file: File | Blob | Files, options?: UploaderOptions): Uploader;
    readonly prototype: Uploader;
  }

  const Uploader: UploaderConstructor;

  /**
   * Says where the Incoming!! server is, for every connection made from now on. Without it: where the page is from,
   * below the same path as this script.
   * @param hostname `"host"`, `"host:port"` or, behind a proxy that has the server below a path, `"host:port/prefix"`;
   *   maybe behind `"http://"` or `"https://"`, else the scheme is that of the page
   * @throws TypeError if `hostname` is no string, or more than a scheme, a host, a port and a path
   */
  function set_server_hostname(hostname: string): void;

  /** `"websocket"` and `"http"` are the only one then; `"auto"` is a WebSocket, and plain HTTP where none opens. */
  type Transport = "auto" | "websocket" | "http";

  /**
   * Which way uploads take, for every connection made from now on. The default is `"auto"`.
   * Setting anything else is a TypeError.
   */
  let transport: Transport;

  /**
   * Every sentence that users can see, by name. Those with parameters are functions. Write them without `<`, `>` and `&`
   * if your page puts them into innerHTML. Sentences of the server can have an entry, too: see `ServerTexts`.
   */
  interface Texts extends ServerTexts {
    new: string;
    connecting: string;
    checking: string;
    uploading: string;
    paused: string;
    waiting_for_app: string;
    cancelling: string;
    finished: string;
    cancelled: string;
    failed: string;
    disposed: string;
    /** While the files of a folder are listed. */
    listing: (files: number) => string;
    slow_read: string;
    app_silent: string;
    /** @param why what the server says of the app */
    app_trouble: (why: string) => string;
    /** The reason of a cancellation, if `cancel` was given none. */
    cancelled_by_user: string;
    offline: string;
    connection_lost: string;
    no_connection: string;
    no_answer: (host: string) => string;
    /** The server's own sentence is shown in its place, unless a page has replaced this one. */
    server_restarting: string;
    /** The server's own sentence is shown in its place, unless a page has replaced this one. */
    server_busy: string;
    taken_over: string;
    file_unreadable_now: string;
    no_memory: string;
    worker_lost: string;
    websockets_blocked: string;
    too_many_connections: string;
    http_status: (status: number) => string;
    not_an_upload_server: (host: string) => string;
    /** Follows each of the sentences that say why there is no connection. */
    trying_again: string;
    file_unreadable: string;
    /** It was never readable: it may be a folder. */
    file_never_readable: string;
    /** A file of a folder; its path is in `current_file`. */
    folder_unreadable: string;
    file_changed: string;
    invalid_response: string;
    bad_address: string;
    not_taken: string;
    server_too_old: string;
    /** Follows the sentence of the last try. */
    gave_up: string;
    /** Follows the sentence of the last try. */
    not_retried: string;
    wrong_dest_type: string;
    /** Follows an error about another file. `changed` is a time, or empty. */
    expected_file: (name: string, size: string, changed: string) => string;
    /** Those of `<incoming-upload>`: `ElementTexts` of element.d.mts. */
    element?: object;
  }

  /** Entries for errors of the server, which sends its own sentences in English. Those are shown where an entry is missing. */
  interface ServerTexts {
    unknown_ticket?: string;
    bad_message?: string;
    bad_chunk?: string;
    length_mismatch?: string;
    upload_too_large?: string;
    wrong_file?: string;
    expired?: string;
    handover_failed?: string;
    refused?: string;
    bad_folder?: string;
  }

  /** The sentences that are used now. Change them with `set_texts`. */
  const texts: Readonly<Texts>;

  /**
   * Replaces some of the sentences, or all. It applies to every later sentence of all uploads. Entries that the library does
   * not know are kept: its queue and its element have some of their own.
   */
  function set_texts<Entries extends Partial<Texts>>(entries: Entries): void;

  /** An upload that this browser has begun, on a page of this origin, and that waits for its file. */
  interface UnfinishedUpload {
    /** The ticket: give it to a new Uploader, together with the same file. */
    readonly upload_id: string;
    readonly filename: string;
    readonly bytes_total: number;
    /** As far as this browser knows; the server may have a little more. */
    readonly bytes_acked: number;
    readonly frac_complete: number;
    /** When the file was changed last, in ms since 1970; 0 if it does not tell. */
    readonly last_modified_ms: number;
    /** When it was begun, in ms since 1970. */
    readonly begun_at_ms: number;
    /** How many files it has, if it is a folder. */
    readonly files_total?: number;
  }

  /**
   * What was begun, has neither arrived nor ended, and is not live in any tab of this browser; newest first.
   * @param options `server`: of which server; default: that of all uploads
   */
  function unfinished(options?: { readonly server?: string }): UnfinishedUpload[];

  /** Lists those that another tab of this browser uploads now, too: they are `live`, and their progress is of this second. */
  function unfinished(options: { readonly live: true, readonly server?: string }): (UnfinishedUpload & { readonly live: boolean })[];

  /** Whether this is probably the file: name, size and time of the last change are the same. The server checks the content. */
  function matches(unfinished: UnfinishedUpload, file: File | Blob | Folder): boolean;

  /**
   * Lists all files of a folder. An uploader does the same; this tells the size and the number before there is a ticket.
   * Call it in the event of a drop itself.
   * @param options `onprogress` is called with the number of files so far
   */
  function list_folder(files: Exclude<Files, Folder>, options?: { readonly onprogress?: (files: number) => void }): Promise<Folder>;

  /** Drops an upload from the list. The server is not told: what it has expires there. */
  function forget(upload_id: string, options?: { readonly server?: string }): void;

  /** The version of this library, as in package.json. */
  const version: string;
}
