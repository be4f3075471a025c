/**
 * Types of incoming.js, the JavaScript library of Incoming!!. The library is one plain script with one
 * global, `incoming`; tell TypeScript about it with
 *
 *     /// <reference path="incoming.d.ts" />
 *
 * The meaning of everything here, state by state, is in docs/javascript.md.
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
    /** Number of the error (a table is in docs/javascript.md); null as long as there is none. */
    readonly error_code: number | null;
    /** Why the upload was cancelled: the reason given to `cancel`, or the app's; else `""`. */
    readonly cancel_msg: string;
    /** A connection to the server is open. */
    readonly connected: boolean;
    /** The user has paused the upload. */
    readonly paused: boolean;
    /** `pause` would have an effect now: the upload can be paused or, when paused, unpaused. */
    readonly can_pause: boolean;
    /** `cancel` would have an effect now. */
    readonly can_cancel: boolean;
    /** The upload is being cancelled, and the other side has not confirmed yet. */
    readonly cancelling: boolean;
    /** The upload ended by being cancelled. Nothing changes any more. */
    readonly cancelled: boolean;
    /** The app has the file. Nothing changes any more. */
    readonly finished: boolean;
  }

  /** One upload: one file for one ticket. */
  interface Uploader extends UploaderProperties {
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
   * Says where the Incoming!! server is, for every connection made from now on. Without it: where the page is from.
   * @param hostname `"host"` or `"host:port"`
   * @throws TypeError if `hostname` is no string, or more than a host and a port
   */
  function set_server_hostname(hostname: string): void;
}
