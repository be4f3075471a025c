// Types of app.mjs, for backends in Node. docs/reference/app-helper.md explains it.

/** What went wrong between the app and the server. Its text is for logs, and holds no secret. */
export class AppError extends Error {
  constructor(message: string, options?: { cause?: unknown });
}
/** The server did not answer, or not in time. It is unknown whether it has done what was asked. */
export class ServerUnreachable extends AppError {}
/** Something other than an Incoming!! server answers at this address. */
export class NotAnIncomingServer extends AppError {}
/** The server answered with an error of docs/reference/api.md. */
export class ServerRefused extends AppError {
  constructor(status: number, code: string, reason: string, retry_after_s: number | null);
  /** The HTTP status. */
  readonly status: number;
  /** The stable word for programs. */
  readonly code: string;
  /** The sentence. */
  readonly reason: string;
  /** When another try can succeed, in seconds; null if it can't without a change. */
  readonly retry_after_s: number | null;
}
/** A call did not have the app's secret: it is not from the server. */
export class WrongSecret extends AppError {}
/** A call had the app's secret, but a form that is not a handover. */
export class BadCall extends AppError {}
/** Thrown by a function that does not accept a file. Its text says why. */
export class Refuse extends Error {}

/** What the app answers. */
export interface Answer {
  readonly body: string;
  readonly status: number;
  readonly headers: Record<string, string>;
}

/** What the server says in a call. */
export interface Upload {
  readonly id: string;
  readonly state: 'arrived' | 'cancelled';
  readonly is_cancelled: boolean;
  /** The file, or the folder, on a disk that both share; `s3://BUCKET/KEY` for a file in S3; "" if cancelled. */
  readonly path: string;
  /** The user's name of the file: a stranger's text. */
  readonly name: string;
  /** The user's name as the name of a file: see `safe_file_name`. */
  readonly safe_name: string;
  /** The length in bytes, if the call has it. */
  readonly size_bytes: number | null;
  readonly crc32c: string;
  /** "" unless the ticket asked for it. */
  readonly sha256: string;
  /** What `new_upload` was given. */
  readonly metadata: any;
  readonly cancel_reason: string;
  /** That of a tus client: a stranger's text. */
  readonly upload_metadata: string;
  readonly url: string;
  readonly bucket: string;
  readonly key: string;
  readonly dest_type: string;
  /** Of a folder: how many files it has. */
  readonly files: number;
  /** Of a folder: how many bytes its files have together. */
  readonly files_bytes: number;
  /** Of a folder: how many files the client could not read. */
  readonly left_out: number;
  /** Of a folder: where the list of its files is. */
  readonly manifest: string;
  /** All fields as they came, without the secret. */
  readonly fields: Readonly<Record<string, string>>;
}

/** The right to upload one file. */
export interface Ticket {
  /** For the page. */
  readonly id: string;
  /** The address for clients of plain HTTP. */
  readonly url: string;
}

/** The options of a ticket. docs/reference/api.md says what they mean. */
export interface NewUpload {
  remove_file_when_finished?: boolean;
  sha256?: boolean;
  /** Any value that JSON can represent. */
  metadata?: unknown;
  max_bytes?: number;
  max_bytes_per_s?: number;
  file_owner_uid?: number;
  length_bytes?: number;
  return_url?: string;
  storage?: string;
  destination_key?: string;
  dest_type?: string;
}

/** The fields of a call, as the framework has them, or its body as it came. */
export type Form = string | Uint8Array | URLSearchParams | Record<string, unknown>;

export interface ServerOptions {
  /** The server's address, as the app reaches it: `http(s)://HOST[:PORT][/PATH]`. Default: `http://localhost:4000`. */
  url?: string;
  /** What only this app and the server know. */
  secret: string;
  /** The server's setting `backend_token`, if the app is on another machine. */
  token?: string;
  /** For each call. Default: 10,000. */
  timeout_ms?: number;
}

/** The server that this app works with. Its calls reject with ServerUnreachable, NotAnIncomingServer or ServerRefused. */
export class IncomingServer {
  constructor(options: ServerOptions);
  readonly url: string;
  new_upload(signal_finish_url: string, options?: NewUpload): Promise<Ticket>;
  finish_upload(id: string): Promise<void>;
  cancel_upload(id: string): Promise<void>;
  retry_upload(id: string): Promise<void>;
  object_url(id: string): Promise<string>;
  read_call(form: Form): Upload;
  answer(
    form: Form,
    take: (upload: Upload) => unknown,
    on_cancelled?: (upload: Upload) => unknown,
  ): Promise<Answer>;
}

/** What a call says. Throws WrongSecret and BadCall. */
export function read_call(form: Form, secret: string): Upload;
export function done(): Answer;
export function wait(): Answer;
export function refuse(reason?: string): Answer;
export function try_later(after_s?: number): Answer;
/** A name without folders and control characters: never empty, `.`, `..` or a hidden file. */
export function safe_file_name(name: string): string;
/** The secret in a file that only its owner can read. Creates the file if there is none. */
export function secret_in_file(file: string): Promise<string>;
/** Moves a file or a folder of the server to `target`, which appears whole or not at all. Returns `target`. */
export function move_into_place(source: string, target: string): Promise<string>;
