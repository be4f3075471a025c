/// <reference path="./incoming.d.ts" />
// Types of uppy.mjs (`incoming-uploads/uppy`). docs/how-to/uppy.md shows how to use it.

import { BasePlugin } from "@uppy/core";
import type { Body, Meta, PluginOpts, Uppy, UppyFile } from "@uppy/core";
import type { Queue } from "./queue.mjs";

/** A value, or a function that returns it for a file. */
export type OfFile<Value, M extends Meta, B extends Body> = Value | ((file: UppyFile<M, B>) => Value);

export interface IncomingUploaderOptions<M extends Meta, B extends Body> extends PluginOpts {
  /** The address of your app that issues tickets. It gets a POST request with a form for each file. */
  tickets?: string;
  /** A function in place of `tickets`. It returns the id of a ticket. */
  get_ticket?: (file: UppyFile<M, B>, signal: AbortSignal) => Promise<string>;
  /** Headers of the request to `tickets`. */
  headers?: OfFile<Record<string, string>, M, B>;
  /** Fields of the form, besides `name`, `size`, `type` and `path`; default: all that Uppy has in the file's `meta`. */
  fields?: OfFile<Record<string, string>, M, B>;
  /** Of the request to `tickets`; default `"same-origin"`. */
  credentials?: RequestCredentials;
  /** The URL of the upload server; default: the host of the page, or what `set_server_hostname` was given. */
  server?: string;
  /** How many files are uploaded at the same time; default 3. */
  at_once?: number;
  /** Whether a file that is added again after a reload resumes with its old ticket; default true. */
  resume?: boolean;
  /** For each uploader: the third argument of `incoming.Uploader`. */
  uploader_options?: OfFile<incoming.UploaderOptions | undefined, M, B>;
}

/** Uppy's files are uploaded to an Incoming!! server: `uppy.use(IncomingUploader, { tickets: "/request_upload" })`. */
export declare class IncomingUploader<M extends Meta, B extends Body> extends BasePlugin<IncomingUploaderOptions<M, B>, M, B> {
  /** @throws TypeError if it has neither `tickets` nor `get_ticket` */
  constructor(uppy: Uppy<M, B>, options: IncomingUploaderOptions<M, B>);
  /** The files that are being uploaded. */
  readonly queue: Queue;
}
export default IncomingUploader;

declare module "@uppy/core" {
  interface PluginTypeRegistry<M extends Meta, B extends Body> {
    IncomingUploader: IncomingUploader<M, B>;
  }
}
