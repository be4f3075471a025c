// `incoming.Uploader`: what pages construct, with checked arguments.

import { NAMES, value_of } from './properties.js';
import { is_blob } from './files.js';
import { take } from './folder/listing.js';
import { FolderStream, no_folder } from './folder/stream.js';
import { is_address, server_at } from './server.js';
import { guard_unload } from './unload.js';
import { Upload } from './upload.js';

/** @typedef {'max_bytes_per_s' | 'warn_before_unload'} Settings */

/** @param {boolean} condition @param {string} complaint */
export function check(condition, complaint) {
  if (!condition) throw new TypeError('incoming.js: ' + complaint);
}

/** Where an uploader keeps its upload: found through a Proxy and `Object.create`, too. @type {unique symbol} */
const UPLOAD = Symbol('upload');

/**
 * What uploaders share, so that a page can keep thousands: getters of their own would be most of their memory.
 * @type {PropertyDescriptorMap & ThisType<{ [UPLOAD]: Upload }>}
 */
const properties = {
  max_bytes_per_s: {
    get() {
      return this[UPLOAD].sending.throttle.bytes_per_s;
    },
    set(bytes_per_s) {
      check_limit(bytes_per_s);
      this[UPLOAD].limit(bytes_per_s);
    },
  },
  warn_before_unload: {
    get() {
      return this[UPLOAD].warns;
    },
    set(warns) {
      this[UPLOAD].warns = Boolean(warns);
      guard_unload(this[UPLOAD]);
    },
  },
  done: {
    get() {
      return this[UPLOAD].done;
    },
  },
};
for (const name of NAMES) {
  properties[name] = {
    /** @this {{ [UPLOAD]: Upload }} */
    get() {
      return value_of(this[UPLOAD], name);
    },
    enumerable: true,
  };
}

/** @typedef {Omit<incoming.Uploader, keyof incoming.UploaderProperties | keyof EventTarget | keyof Callbacks | Settings | 'done'>} Methods */
/** @typedef {Pick<incoming.Uploader, 'onprogress' | 'onfinished' | 'oncancelled' | 'onerror'>} Callbacks */

/** @type {Methods & ThisType<incoming.Uploader & { [UPLOAD]: Upload }>} */
const methods = {
  start() {
    this[UPLOAD].start();
    return this;
  },
  pause(what = 'pause') {
    check(['pause', 'unpause', 'toggle'].includes(what), 'pause takes "pause", "unpause" or "toggle"');
    this[UPLOAD].pause(what);
    return this;
  },
  cancel(reason) {
    const upload = this[UPLOAD];
    // Not a string: `button.onclick = uploader.cancel` passes an event.
    upload.cancel(typeof reason === 'string' && reason ? reason : upload.text('cancelled_by_user'));
    return this;
  },
  retry_now() {
    this[UPLOAD].retry_now();
    return this;
  },
  dispose() {
    this[UPLOAD].dispose();
  },
  snapshot() {
    return this[UPLOAD].snapshot();
  },
  subscribe(listener, { per_frame = false } = {}) {
    check(typeof listener === 'function', 'subscribe takes a function');
    return this[UPLOAD].subscribe(listener, per_frame);
  },
};

/**
 * The own members of an uploader. Its methods work without it, too: `button.onclick = uploader.cancel`.
 * @param {incoming.Uploader} uploader @returns {PropertyDescriptorMap}
 */
function members_of(uploader) {
  /** @type {Record<string, unknown>} */
  const members = { onprogress: null, onfinished: null, oncancelled: null, onerror: null };
  for (const [name, method] of Object.entries(methods)) members[name] = method.bind(uploader);
  return { ...Object.getOwnPropertyDescriptors(members), ...properties };
}

/** @param {unknown} address */
export function check_address(address) {
  check(is_address(address), 'the server has to be "host", "host:port" or "host:port/prefix", with or without http:// or https://');
}

/**
 * Takes the options of a page, or complains about them.
 * @param {Upload} upload @param {incoming.UploaderOptions} options
 */
function configure(upload, options) {
  check(typeof options === 'object', 'the options have to be an object');
  const { give_up_after_s = Infinity, max_bytes_per_s = 0, server, should_retry, signal, texts = {}, when_unreadable = 'stop' } = options;
  if (server) check_address(server);
  check(give_up_after_s > 0, 'give_up_after_s has to be a number of seconds above 0');
  check(!should_retry || typeof should_retry === 'function', 'should_retry has to be a function');
  check(!signal || typeof signal.addEventListener === 'function', 'signal has to be an AbortSignal');
  check(texts && typeof texts === 'object', 'texts has to be an object');
  check(['stop', 'leave_out'].includes(when_unreadable), 'when_unreadable has to be "stop" or "leave_out"');
  check_limit(max_bytes_per_s);
  upload.leaves_out = when_unreadable === 'leave_out';
  upload.own_server = server ? server_at(server) : null;
  upload.patience.limit_s = give_up_after_s;
  upload.should_retry = should_retry;
  upload.texts = texts;
  upload.warns = Boolean(options.warn_before_unload);
  if (max_bytes_per_s) upload.limit(max_bytes_per_s);
  if (signal) upload.obey(signal);
}

/** @param {number} bytes_per_s */
function check_limit(bytes_per_s) {
  check(bytes_per_s >= 0 && Number.isFinite(bytes_per_s), 'max_bytes_per_s has to be a number, 0 for no limit');
}

/**
 * A plain function, so that it works with and without `new`. A class may extend it: its methods win.
 * @param {string} upload_id @param {any} file a file, or all of a folder @param {incoming.UploaderOptions} [options]
 * @returns {incoming.Uploader}
 */
export function Uploader(upload_id, file, options) {
  check(typeof upload_id === 'string' && upload_id !== '', 'upload_id has to be the id of a ticket, a string');
  const is_listed = is_blob(file) || file instanceof FolderStream;
  const tasks = is_listed ? [] : tasks_of(file);
  /** @type {incoming.Uploader} */
  const uploader = Reflect.construct(EventTarget, [], new.target || Uploader);
  const upload = new Upload(upload_id, is_listed ? file : no_folder(), uploader);
  Object.defineProperty(uploader, UPLOAD, { value: upload });
  const members = members_of(uploader);
  for (const name of Object.keys(members)) {
    if (!is_overridden(uploader, name)) Object.defineProperty(uploader, name, members[name]);
  }
  configure(upload, options || {});
  if (!is_listed) upload.list(tasks);
  return uploader;
}

/** What a page says is a folder, or complains about it. @param {any} files */
export function tasks_of(files) {
  const tasks = Object(files) === files ? take(files) : [];
  check(tasks.length > 0, 'file has to be a File, a Blob, or a list of at least one file');
  return tasks;
}
// What `super` gives to uploaders of a page's own classes.
Uploader.prototype = Object.assign(Object.create(EventTarget.prototype, { ...properties, constructor: { value: Uploader } }), methods);
Object.setPrototypeOf(Uploader, EventTarget);

/**
 * Whether a class between an uploader and `Uploader` has this member.
 * @param {object} uploader @param {string} name @returns {boolean}
 */
function is_overridden(uploader, name) {
  const proto = Object.getPrototypeOf(uploader);
  return proto && proto !== Uploader.prototype && (proto.hasOwnProperty(name) || is_overridden(proto, name));
}
