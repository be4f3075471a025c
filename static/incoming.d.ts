/**
 * Types of incoming.js, the JavaScript library of Incoming!!. The library is one plain script with one
 * global, `incoming`; tell TypeScript about it with
 *
 *     /// <reference path="incoming.d.ts" />
 *
 * (A program that imports incoming.mjs gets incoming.d.mts.) docs/reference/javascript.md explains everything
 * here, state by state.
 */
declare namespace incoming {
  /** What `pause` is asked to do; `"toggle"` is `"unpause"` when paused, else `"pause"`. */
  type PauseRequest = "pause" | "unpause" | "toggle";

  /** Called with the uploader that has changed. An exception in a callback is reported, and stops no upload. */
  type Callback = (uploader: Uploader) => void;

  /** What an upload is doing. docs/reference/javascript.md says what each state means. */
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

  /** The properties of an upload. They are read-only, and change while it runs: see `onprogress`. */
  interface UploaderProperties {
    /** The file's name, or the folder's; `"upload"` when it has none. */
    readonly filename: string;
    /** The file's size in bytes. For a folder, that of all files and of their list; 0 until they are listed. */
    readonly bytes_total: number;
    /** How many files a folder has, so far while they are listed; 1 for a file. */
    readonly files_total: number;
    /** How many of them the server has stored. */
    readonly files_acked: number;
    /** The path of the file that is being sent, or that caused an error. Show it with `textContent`. */
    readonly current_file: string;
    /** The paths of what could not be read and was left out: see `when_unreadable`. Show them with `textContent`. */
    readonly left_out: readonly string[];
    /** Bytes stored by the server or given to the browser to send. */
    readonly bytes_tx: number;
    /** Bytes that the server has stored and acknowledged. Survives everything that interrupts an upload. */
    readonly bytes_acked: number;
    /** Bytes given to the browser to send, but not acknowledged yet: `bytes_tx - bytes_acked`. */
    readonly bytes_ahead: number;
    /** 0 to 1, acknowledged bytes only. An empty file is at 0 until it has arrived, then at 1. */
    readonly frac_complete: number;
    /** Acknowledged bytes a second, smoothed over some seconds; 0 while nothing is being sent. */
    readonly bytes_per_s: number;
    /** Seconds until all bytes are there, at `bytes_per_s`; null while it is unknown. */
    readonly seconds_left: number | null;
    /** Chunks given to send over this connection; 0 without a connection. */
    readonly chunks_tx_now: number;
    /** Chunks acknowledged over this connection; 0 without a connection. */
    readonly chunks_acked_now: number;
    /** Chunks given to the browser to send, but not acknowledged yet: `chunks_tx_now - chunks_acked_now`. */
    readonly chunks_ahead: number;
    /** What the upload is doing, for programs. */
    readonly state: State;
    /** Why, for programs: a name, or `""`. */
    readonly reason: Reason;
    /** The state, in a sentence for users. Holds no `<`, `>` or `&`. */
    readonly state_msg: string;
    /** Why the upload failed, in a sentence for users, else `""`. Holds no `<`, `>` or `&`. */
    readonly error_msg: string;
    /** Number of the error (a table is in docs/reference/javascript.md); null without an error. */
    readonly error_code: number | null;
    /** Why the upload was cancelled: the reason given to `cancel`, or the app's; else `""`. */
    readonly cancel_msg: string;
    /** A connection to the server is open. */
    readonly connected: boolean;
    /** The connection was lost or could not be opened, and the library tries again. */
    readonly retrying: boolean;
    /** The time of the next try, in ms since 1970; null if none is scheduled. */
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
    /** The upload was cancelled. Nothing changes after that. */
    readonly cancelled: boolean;
    /** The app has the file. Nothing changes after that. */
    readonly finished: boolean;
  }

  /** The events for `addEventListener`. */
  type EventName = "progress" | "finished" | "cancelled" | "error";

  /** An event of an uploader. */
  interface UploaderEvent extends Event {
    readonly type: EventName;
    readonly target: Uploader;
  }

  /** The error with which `done` rejects. */
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
     * Pauses or resumes. Does nothing when `can_pause` is false.
     * @param what default `"pause"`
     * @throws TypeError if `what` is not one of the three
     */
    pause(what?: PauseRequest): this;
    /**
     * Cancels the upload and invalidates its ticket. Does nothing when `can_cancel` is false.
     * @param reason for the app and for `cancel_msg`; default: a sentence that says the user did it
     */
    cancel(reason?: string): this;
    /** Tries again at once when the upload waits for its next try. Does nothing when `can_retry` is false. */
    retry_now(): this;
    /**
     * Leaves the upload without cancelling it: closes the connection, and frees everything that the uploader holds.
     * No callback follows; `done` is rejected if the upload has not ended. Another uploader can continue with the same ticket.
     */
    dispose(): void;

    /** All properties as a frozen object. It is the same object until one of them changes. */
    snapshot(): Readonly<UploaderProperties>;
    /**
     * Calls `listener` after each change of a property; with `per_frame`, at most once for each frame of the screen.
     * @returns a function that ends the subscription
     */
    subscribe(listener: () => void, options?: { readonly per_frame?: boolean }): () => void;

    /** Called after every change of any property, including those that the other callbacks report. */
    onprogress: Callback | null;
    /** Called once, when the app has the file. */
    onfinished: Callback | null;
    /** Called once, when the upload has been cancelled, by whichever side. */
    oncancelled: Callback | null;
    /** Called once, when the upload has failed for good; see `error_msg` and `error_code`. */
    onerror: Callback | null;

    /** The same as the callbacks, for any number of listeners; `event.target` is the uploader. */
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
    /** Whether the browser asks the user before leaving the page would stop this upload; default false. */
    warn_before_unload: boolean;
  }

  /** The argument of `should_retry`. */
  interface RetryQuestion {
    /** The number of the error, if the library accepts it only after several tries; else null. */
    readonly code: number | null;
    readonly reason: Reason;
    /** The sentence for users. */
    readonly message: string;
    /** Failed tries in a row, 1 for the first. An acknowledged byte resets it. */
    readonly tries: number;
  }

  /** What a page may say about one upload. All of it is optional. */
  interface UploaderOptions {
    /** Where this upload goes: `"https://host[:port][/prefix]"`, or without the scheme, which is then that of the page. */
    readonly server?: string | undefined;
    /** Aborting it cancels the upload, with the signal's reason if that is a string or the page's own error. */
    readonly signal?: AbortSignal | undefined;
    /**
     * After this many seconds of trying without a stored byte, the upload fails with code 106. Pauses do not count, nor does
     * the wait for the app. Default: never.
     */
    readonly give_up_after_s?: number | undefined;
    /** Asked before each new try. If it returns `false`, the upload fails with code 107. */
    readonly should_retry?: ((error: RetryQuestion) => boolean | void) | undefined;
    /** As the property. */
    readonly max_bytes_per_s?: number | undefined;
    /** As the property. */
    readonly warn_before_unload?: boolean | undefined;
    /** Sentences for this upload alone. */
    readonly texts?: Partial<Texts> | undefined;
    /**
     * What happens to a file of a folder that can't be read or has changed: it ends the upload (the default), or is left out
     * and named in `left_out`.
     */
    readonly when_unreadable?: "stop" | "leave_out" | undefined;
  }

  /** The list of the files of a folder. */
  interface Folder {
    /** The folder's name; `"upload"` if the files are from several ones, or from none. */
    readonly name: string;
    /** The bytes of all files and of their list. */
    readonly size: number;
    /** When the newest file was changed, in ms since 1970; 0 if it is unknown. */
    readonly lastModified: number;
    readonly type: string;
    readonly files_total: number;
    /** Its files and empty folders in the order of the upload: sorted by path. An empty folder has a path with `/` at its end, and no file. */
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

  /** Everything that can be uploaded as one folder. Folders in it are read at any depth. */
  type Files =
    | Folder | FileList | DataTransfer | DataTransferItemList | FileOrFolder | PlacedFile
    | Iterable<File | FileOrFolder | PlacedFile>;

  /** Makes an uploader, with or without `new`. */
  interface UploaderConstructor {
    /**
     * @param upload_id id of the ticket that the app's backend got from the Incoming!! server
     * @param file the file, from an `<input type="file">`, a drop, or made by the page; or the files of a folder, which need a ticket for a folder
     * @param options all optional
     * @throws TypeError if `upload_id` is empty or not a string, `file` is neither a File nor a Blob and has no files, or an option is invalid
     */
    new (upload_id: string, file: File | Blob | Files, options?: UploaderOptions): Uploader;
    (upload_id: string, file: File | Blob | Files, options?: UploaderOptions): Uploader;
    readonly prototype: Uploader;
  }

  const Uploader: UploaderConstructor;

  /**
   * Sets the address of the Incoming!! server for every later connection. The default is the host of the page,
   * below the same path as this script.
   * @param hostname `"host"`, `"host:port"` or, behind a proxy that has the server below a path, `"host:port/prefix"`;
   *   it may begin with `"http://"` or `"https://"`, else the scheme is that of the page
   * @throws TypeError if `hostname` is not a string, or more than a scheme, a host, a port and a path
   */
  function set_server_hostname(hostname: string): void;

  /** `"websocket"` and `"http"` allow only that one; `"auto"` is a WebSocket, or plain HTTP if none opens. */
  type Transport = "auto" | "websocket" | "http";

  /**
   * The transport of uploads, for every later connection. The default is `"auto"`.
   * Setting anything else is a TypeError.
   */
  let transport: Transport;

  /**
   * Every sentence that users can see, by name. Those with parameters are functions. Write them without `<`, `>` and `&`
   * if your page writes them into innerHTML. Sentences of the server can also have an entry: see `ServerTexts`.
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
    /** @param why what the server says about the app */
    app_trouble: (why: string) => string;
    /** The reason of a cancellation, if `cancel` was called without one. */
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
    /** It follows the sentences that say why there is no connection. */
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
    /** It follows an error about a wrong file. `changed` is a time, or empty. */
    expected_file: (name: string, size: string, changed: string) => string;
    /** The texts of `<incoming-upload>`: `ElementTexts` of element.d.mts. */
    element?: object;
  }

  /** Entries for errors of the server, which sends its own sentences in English. Those are shown if an entry is missing. */
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

  /** The current sentences. Change them with `set_texts`. */
  const texts: Readonly<Texts>;

  /**
   * Replaces some of the sentences, or all. It applies to every later sentence of all uploads. Entries that the library does
   * not know are kept: its queue and its element have some of their own.
   */
  function set_texts<Entries extends Partial<Texts>>(entries: Entries): void;

  /** An unfinished upload that this browser began on a page of this origin. */
  interface UnfinishedUpload {
    /** The ticket: give it to a new Uploader, together with the same file. */
    readonly upload_id: string;
    readonly filename: string;
    readonly bytes_total: number;
    /** As far as this browser knows; the server may have a little more. */
    readonly bytes_acked: number;
    readonly frac_complete: number;
    /** When the file was last changed, in ms since 1970; 0 if unknown. */
    readonly last_modified_ms: number;
    /** When it began, in ms since 1970. */
    readonly begun_at_ms: number;
    /** How many files it has, if it is a folder. */
    readonly files_total?: number;
  }

  /**
   * The uploads that have neither arrived nor ended, and are not live in any tab of this browser; newest first.
   * @param options `server`: only uploads to this server; default: the server of all uploads
   */
  function unfinished(options?: { readonly server?: string | undefined }): UnfinishedUpload[];

  /** Also lists those that another tab of this browser is uploading: they are `live`, and their progress is current to a second. */
  function unfinished(options: { readonly live: true, readonly server?: string | undefined }): (UnfinishedUpload & { readonly live: boolean })[];

  /** Whether this is probably the file: name, size and time of the last change are the same. The server checks the content. */
  function matches(unfinished: UnfinishedUpload, file: File | Blob | Folder): boolean;

  /**
   * Lists all files of a folder. An uploader does the same; this gives the size and the number before there is a ticket.
   * For a drop, call it in the event itself.
   * @param options `onprogress` is called with the number of files so far
   */
  function list_folder(files: Exclude<Files, Folder>, options?: { readonly onprogress?: (files: number) => void }): Promise<Folder>;

  /** Removes an upload from the list. The server is not told: what it has stored expires later. */
  function forget(upload_id: string, options?: { readonly server?: string | undefined }): void;

  /** The version of this library, as in package.json. */
  const version: string;
}
