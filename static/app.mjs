// For the backend of an app in Node: asks the server for tickets, and answers its calls. docs/reference/app-helper.md.
//
//     import { IncomingServer, move_into_place, secret_in_file } from 'incoming-uploads/app';
//
// It needs Node 20 or newer and no package, so an app may also copy this one file with its types, app.d.mts.
// A call may come twice: see `answer`. The same for Python is incoming/app.py.

import { randomBytes, timingSafeEqual, createHash } from 'node:crypto';
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';

const ANSWER_TIMEOUT_MS = 10_000;
const SECRET_BYTES = 32;

// --- what can go wrong ---------------------------------------------------------------------------------------

/** What went wrong between the app and the server. Its text is for logs, and holds no secret. */
export class AppError extends Error {
  /** @param {string} message @param {ErrorOptions} [options] */
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The server did not answer, or not in time. Nothing is known of what it has done. */
export class ServerUnreachable extends AppError {}

/** What answered at this address is not an Incoming!! server. */
export class NotAnIncomingServer extends AppError {}

/** The server answered with an error of docs/reference/api.md. */
export class ServerRefused extends AppError {
  /** @param {number} status @param {string} code @param {string} reason @param {number | null} retry_after_s */
  constructor(status, code, reason, retry_after_s) {
    super(`${reason} (${code}, status ${status})`);
    Object.assign(this, { status, code, reason, retry_after_s });
  }
}

/** A call did not have the app's secret: it is not from the server. */
export class WrongSecret extends AppError {}

/** A call had the app's secret, and a form that is not a handover. */
export class BadCall extends AppError {}

/** Thrown by a function that does not accept a file. Its text says why. */
export class Refuse extends Error {}

// --- the call of the server: pure ----------------------------------------------------------------------------

/** @param {string} body @param {number} [status] @param {Record<string, string>} [headers] */
function answer_of(body, status = 200, headers = {}) {
  return { body, status, headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers } };
}

/** The answer "the app has the file". The user reads "finished". */
export const done = () => answer_of('done');

/** The answer "the app calls finish_upload later". */
export const wait = () => answer_of('wait');

/** The answer "the app does not accept this file". The reason is in the server's log. */
export const refuse = (reason = '') => answer_of(reason || 'The app refuses this file.', 422);

/** The answer "call again", after so many seconds. */
export const try_later = (after_s = 1) => answer_of('Call again later.', 503, { 'Retry-After': String(after_s) });

/** A name without folders and control characters: never empty, `.`, `..` or a hidden file. @param {string} name */
export function safe_file_name(name) {
  const bare = name.replace(/\\/g, '/').split('/').pop() ?? '';
  return bare.replace(/\p{C}/gu, '').replace(/^[. ]+/, '') || 'upload';
}

/**
 * What a call says. Throws WrongSecret if the call is not from the server, and BadCall if it makes no sense.
 * @param {string | Uint8Array | Record<string, any>} form its fields, or its body as it came @param {string} secret
 * @returns {import('./app.mjs').Upload}
 */
export function read_call(form, secret) {
  const fields = fields_of(form);
  if (!secret) throw new WrongSecret("The app has no secret, so it can't tell the server from a stranger.");
  if (!are_equal(fields.backendSecret || fields.secret || '', secret)) {
    throw new WrongSecret("The call does not have the app's secret.");
  }
  const id = fields.id || '';
  if (!id || id !== safe_file_name(id)) throw new BadCall('id: is missing, or is not an id.');
  if (!['yes', 'no'].includes(fields.cancelled)) throw new BadCall('cancelled: must be one of yes, no.');
  const is_cancelled = fields.cancelled === 'yes';
  if (!is_cancelled && !fields.filename) throw new BadCall('filename: is missing.');
  const { backendSecret: _, secret: __, ...others } = fields;
  const name = fields.filenameFromBrowser || '';
  return {
    id,
    state: is_cancelled ? 'cancelled' : 'arrived',
    is_cancelled,
    path: is_cancelled ? '' : fields.filename,
    name,
    safe_name: safe_file_name(name),
    size_bytes: number_in(fields, 'size'),
    crc32c: fields.crc32c || '',
    sha256: fields.sha256 || '',
    metadata: json_in(fields, 'metadata'),
    cancel_reason: fields.cancelReason || '',
    upload_metadata: fields.uploadMetadata || '',
    url: fields.url || '',
    bucket: fields.bucket || '',
    key: fields.key || '',
    dest_type: fields.destType || 'file',
    files: number_in(fields, 'files') ?? 0,
    files_bytes: number_in(fields, 'filesBytes') ?? 0,
    left_out: number_in(fields, 'leftOut') ?? 0,
    manifest: fields.manifest || '',
    fields: others,
  };
}

/** The fields of a form; of a repeated one the last value. @param {any} form @returns {Record<string, string>} */
function fields_of(form) {
  if (typeof form === 'string') return Object.fromEntries(new URLSearchParams(form));
  if (form instanceof Uint8Array) return fields_of(Buffer.from(form).toString());
  const fields = Object.fromEntries(form instanceof URLSearchParams ? form : Object.entries(form ?? {}));
  if (Object.values(fields).some((value) => typeof value !== 'string')) {
    throw new BadCall('The form has something else than texts.');
  }
  return fields;
}

/** Whether two texts are equal; how long it takes tells nothing about them. @param {string} one @param {string} other */
function are_equal(one, other) {
  const [a, b] = [one, other].map((text) => createHash('sha256').update(text).digest());
  return timingSafeEqual(a, b);
}

/** @param {Record<string, string>} fields @param {string} name */
function number_in(fields, name) {
  if (!fields[name]) return null;
  if (!/^[0-9]+$/.test(fields[name])) throw new BadCall(`${name}: is not a number.`);
  return Number(fields[name]);
}

/** @param {Record<string, string>} fields @param {string} name @returns {any} */
function json_in(fields, name) {
  try {
    return fields[name] ? JSON.parse(fields[name]) : null;
  } catch (error) {
    throw new BadCall(`${name}: is not JSON.`, { cause: error });
  }
}

// --- calls to the server -------------------------------------------------------------------------------------

/** The server that this app works with. */
export class IncomingServer {
  /** @param {{url?: string, secret: string, token?: string, timeout_ms?: number}} options */
  constructor({ url = 'http://localhost:4000', secret, token = '', timeout_ms = ANSWER_TIMEOUT_MS }) {
    if (!/^https?:\/\/[^/?#]+(\/[^?#]*)?$/.test(url)) {
      throw new TypeError(`${url} is not the address of a server: http(s)://HOST[:PORT]`);
    }
    if (!secret) throw new TypeError('The secret is empty. Then a stranger could make the app move any file.');
    this.url = url.replace(/\/+$/, '');
    this._secret = secret;
    this._token = token;
    this._timeout_ms = timeout_ms;
  }

  /**
   * A new ticket: `id` is for the page.
   * @param {string} signal_finish_url where the server calls the app
   * @param {import('./app.mjs').NewUpload} [options]
   * @returns {Promise<import('./app.mjs').Ticket>}
   */
  async new_upload(signal_finish_url, options = {}) {
    const body = await this._call('new_upload', {
      signalFinishURL: signal_finish_url,
      backendSecret: this._secret,
      destType: options.dest_type ?? 'file',
      removeFileWhenFinished: options.remove_file_when_finished ?? true,
      digest: options.sha256 ? 'sha256' : null,
      metadata: options.metadata === undefined ? null : JSON.stringify(options.metadata),
      maxBytes: options.max_bytes || null,
      maxBytesPerS: options.max_bytes_per_s || null,
      fileOwnerUid: options.file_owner_uid ?? null,
      lengthBytes: options.length_bytes ?? null,
      returnURL: options.return_url ?? null,
      storage: options.storage ?? null,
      destinationKey: options.destination_key ?? null,
    });
    const { id, url } = Object(parsed(body));
    if (typeof id !== 'string' || typeof url !== 'string') throw this._stranger(200, body);
    return { id, url };
  }

  /** Says that the app has the file, after it answered "wait". May be repeated. @param {string} id */
  async finish_upload(id) {
    await this._expect_ok('finish_upload', id);
  }

  /** Cancels an upload. May be repeated. Throws ServerRefused once the file has arrived. @param {string} id */
  async cancel_upload(id) {
    await this._expect_ok('cancel_upload', id);
  }

  /** Repeats a handover that has failed. Throws ServerRefused for an upload that has not. @param {string} id */
  async retry_upload(id) {
    await this._expect_ok('retry_upload', id);
  }

  /** A new URL of a file in S3. Throws ServerRefused if there is none. @param {string} id */
  async object_url(id) {
    return this._call('object_url', { id, backendSecret: this._secret });
  }

  /** What a call says, with the secret of this app. @param {any} form */
  read_call(form) {
    return read_call(form, this._secret);
  }

  /**
   * The answer to a call of the server. Calls `take` with a file that has arrived, and `on_cancelled` with an upload
   * that was cancelled. An answer can get lost. Then the call comes twice, so both have to do no harm the second time.
   * Their other errors pass through: the framework answers 500, and the server calls again.
   * @param {any} form its fields, or its body as it came
   * @param {(upload: import('./app.mjs').Upload) => unknown} take
   * @param {(upload: import('./app.mjs').Upload) => unknown} [on_cancelled]
   * @returns {Promise<import('./app.mjs').Answer>}
   */
  async answer(form, take, on_cancelled) {
    let result;
    try {
      const upload = this.read_call(form);
      if (upload.is_cancelled) {
        await on_cancelled?.(upload);
        return done();
      }
      result = await take(upload);
    } catch (error) {
      if (error instanceof WrongSecret) return answer_of(error.message, 403);
      if (error instanceof BadCall) return answer_of(error.message, 400);
      if (error instanceof Refuse) return refuse(error.message);
      throw error;
    }
    if (result === undefined || result === null || result === 'done') return done();
    if (result === 'wait') return wait();
    throw new TypeError(`take returned ${String(result)}, which is neither undefined, 'done' nor 'wait'`);
  }

  /** @param {string} route @param {string} id */
  async _expect_ok(route, id) {
    const body = await this._call(route, { id, backendSecret: this._secret });
    if (body !== 'ok') throw this._stranger(200, body);
  }

  /** The body of a success. @param {string} route @param {Record<string, unknown>} parameters @returns {Promise<string>} */
  async _call(route, parameters) {
    /** @type {Record<string, string>} */
    const headers = { Accept: 'application/json', 'Content-Type': 'application/json' };
    if (this._token) headers.Authorization = `Bearer ${this._token}`;
    let response, body;
    try {
      const signal = AbortSignal.timeout(this._timeout_ms);
      response = await fetch(`${this.url}/incoming/backend/${route}`, {
        method: 'POST', headers, body: JSON.stringify(parameters), signal, redirect: 'manual',
      });
      body = await response.text();
    } catch (error) {
      const { name, message, cause } = /** @type {any} */ (error);
      if (name === 'TimeoutError') {
        throw new ServerUnreachable(`${this.url} did not answer within ${this._timeout_ms / 1000} s.`, { cause: error });
      }
      const why = cause?.code || cause?.message || message;
      throw new ServerUnreachable(`${this.url} can't be reached (${why}). Does the server run?`, { cause: error });
    }
    if (response.status === 200) return body;
    const { code, message } = Object(Object(parsed(body)).error);
    if (!code) throw this._stranger(response.status, body);
    const after_s = response.headers.get('Retry-After');
    throw new ServerRefused(response.status, code, message, after_s && /^[0-9]+$/.test(after_s) ? Number(after_s) : null);
  }

  /** @param {number} status @param {string} body */
  _stranger(status, body) {
    const start = JSON.stringify(body.slice(0, 60));
    return new NotAnIncomingServer(`${this.url} answered with status ${status} and ${start}. That is not an Incoming!! server.`);
  }
}

/** @param {string} text @returns {any} its JSON; undefined if it is none */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// --- files -----------------------------------------------------------------------------------------------------

/**
 * The secret in a file that only its owner can read. Makes the file if there is none: uploads that are under way need
 * the same secret after a restart of the app. Several processes may call this at the same time.
 * @param {string} file @returns {Promise<string>}
 */
export async function secret_in_file(file) {
  if (!(await exists(file))) {
    const made = path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}-${randomBytes(4).toString('hex')}`);
    try {
      await fs.writeFile(made, randomBytes(SECRET_BYTES).toString('hex'), { mode: 0o600, flag: 'wx' });
      await sync(made);
      await fs.link(made, file).catch(unless('EEXIST')); // another process was faster: its secret counts
    } finally {
      await fs.rm(made, { force: true });
    }
    await sync(path.dirname(file));
  }
  const secret = (await fs.readFile(file, 'utf8')).trim();
  if (secret.length < SECRET_BYTES) {
    throw new Error(`${file} has less than ${SECRET_BYTES} characters. Remove it to get a new secret.`);
  }
  return secret;
}

/** @type {Map<string, Promise<void>>} moves of this process, by their sources */
const moves = new Map();

/**
 * Moves a file or a folder of the server to `target`, makes the folders above it, and returns its path. It can be called
 * again after a kill at any moment, and by two calls of this process at the same time: `target` appears whole or not at all, and is
 * on the disk when the promise is kept. It copies to another file system. `target` has to be different for each upload,
 * so put the upload's id into it. Rejects with EEXIST if something else is there, with ENOENT if neither exists.
 * @param {string} source @param {string} target @returns {Promise<string>}
 */
export async function move_into_place(source, target) {
  const first_made = await fs.mkdir(path.dirname(target), { recursive: true });
  for (let made = path.dirname(path.resolve(target)); first_made && made.length >= path.resolve(first_made).length; ) {
    made = path.dirname(made);
    await sync(made);
  }
  await moves.get(source)?.catch(() => {}); // a second call waits here while the first one copies
  const move = move_once(source, target);
  moves.set(source, move);
  try {
    await move;
  } finally {
    if (moves.get(source) === move) moves.delete(source);
  }
  await sync_entry(target);
  return target;
}

/** @param {string} source @param {string} target */
async function move_once(source, target) {
  const [is_here, is_there] = [await exists(source), await exists(target)];
  if (!is_here && is_there) return; // an earlier call has moved it
  if (!is_here) {
    const lost = `neither ${source} nor ${target} exists. Does the app see the server's files?`;
    throw Object.assign(new Error(lost), { code: 'ENOENT' });
  }
  if (is_there) {
    // a kill between the copy and the removal, or another file
    if (!(await are_same(source, target))) throw Object.assign(new Error(`${target}: something else is there`), { code: 'EEXIST' });
  } else {
    try {
      return await fs.rename(source, target);
    } catch (error) {
      unless('EXDEV')(error);
    }
    const partial = path.join(path.dirname(target), `.${path.basename(source)}.part`);
    await fs.rm(partial, { recursive: true, force: true });
    await fs.cp(source, partial, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE });
    await sync_all(partial);
    await fs.rename(partial, target);
    await sync_entry(target);
  }
  await fs.rm(source, { recursive: true });
}

/** A path and all below it, in a fixed order; links are not followed. @param {string} root @returns {AsyncGenerator<string>} */
async function* walk(root) {
  yield root;
  if (!(await fs.lstat(root)).isDirectory()) return;
  for (const name of (await fs.readdir(root)).sort()) yield* walk(path.join(root, name));
}

/** Whether two files, or two folders, have the same content. @param {string} one @param {string} other */
async function are_same(one, other) {
  return (await digest_of(one)) === (await digest_of(other));
}

/** A digest of the names and contents below a path. @param {string} root */
async function digest_of(root) {
  const hash = createHash('sha256');
  for await (const found of walk(root)) {
    const is_file = (await fs.lstat(found)).isFile();
    hash.update(`\0${path.relative(root, found)}\0${is_file}\0`);
    if (is_file) for await (const chunk of (await fs.open(found)).createReadStream()) hash.update(chunk);
  }
  return hash.digest('hex');
}

/** @param {string} root a file or a folder, which is on the disk afterwards */
async function sync_all(root) {
  for await (const found of walk(root)) if (!(await fs.lstat(found)).isSymbolicLink()) await sync(found);
}

/** Has the name on the disk, and that of its folder, which an earlier call may have made. @param {string} name */
async function sync_entry(name) {
  await sync(path.dirname(name));
  await sync(path.dirname(path.dirname(name)));
}

/** @param {string} name of a file or a folder */
async function sync(name) {
  const opened = await fs.open(name, 'r');
  try {
    await opened.sync();
  } finally {
    await opened.close();
  }
}

/** @param {string} name */
const exists = (name) => fs.access(name).then(() => true, () => false);

/** Throws any error but this one. @param {string} code @returns {(error: unknown) => void} */
function unless(code) {
  return (error) => {
    if (/** @type {any} */ (error).code !== code) throw error;
  };
}
