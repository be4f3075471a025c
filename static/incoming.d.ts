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

  /** What can be read of an upload. All of it is read-only and changes by itself: see `onprogress`. */
  interface UploaderProperties {
    /** The file's name; `"upload"` when the file is a Blob without a name. */
    readonly filename: string;
    /** The file's size in bytes. */
    readonly bytes_total: number;
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
    readonly reason: "cancelled" | "error";
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

  /** Makes an uploader, with or without `new`. */
  interface UploaderConstructor {
    /**
     * @param upload_id id of the ticket that the app's backend got from the Incoming!! server
     * @param file the file, from an `<input type="file">`, a drop or made by the page
     * @throws TypeError if `upload_id` is no string or empty, or `file` is neither File nor Blob
     */
    new (upload_id: string, file: File | Blob): Uploader;
    (upload_id: string, file: File | Blob): Uploader;
    readonly prototype: Uploader;
  }

  const Uploader: UploaderConstructor;

  /**
   * Says where the Incoming!! server is, for every connection made from now on. Without it: where the page is from,
   * below the same path as this script.
   * @param hostname `"host"`, `"host:port"` or, behind a proxy that has the server below a path, `"host:port/prefix"`
   * @throws TypeError if `hostname` is no string, or more than a host, a port and a path
   */
  function set_server_hostname(hostname: string): void;

  /** `"websocket"` and `"http"` are the only one then; `"auto"` is a WebSocket, and plain HTTP where none opens. */
  type Transport = "auto" | "websocket" | "http";

  /**
   * Which way uploads take, for every connection made from now on. The default is `"auto"`.
   * Setting anything else is a TypeError.
   */
  let transport: Transport;

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
  }

  /** What was begun, has neither arrived nor ended, and is not live in any tab of this browser; newest first. */
  function unfinished(): UnfinishedUpload[];

  /** Whether this is probably the file: name, size and time of the last change are the same. The server checks the content. */
  function matches(unfinished: UnfinishedUpload, file: File | Blob): boolean;

  /** Drops an upload from the list. The server is not told: what it has expires there. */
  function forget(upload_id: string): void;

  /** The version of this library, as in package.json. */
  const version: string;
}
