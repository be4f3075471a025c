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

/**
 * All members of an uploader. Each works without its uploader, too: `button.onclick = uploader.cancel`.
 * @param {Upload} upload @param {incoming.Uploader} uploader @returns {Record<string, PropertyDescriptor>}
 */
function members_of(upload, uploader) {
  /** @type {Record<Settings | 'done', PropertyDescriptor>} */
  const settings = {
    max_bytes_per_s: {
      get: () => upload.sending.throttle.bytes_per_s,
      set: (bytes_per_s) => {
        check_limit(bytes_per_s);
        upload.limit(bytes_per_s);
      },
    },
    warn_before_unload: {
      get: () => upload.warns,
      set: (warns) => {
        upload.warns = Boolean(warns);
        guard_unload(upload);
      },
    },
    done: { value: upload.done },
  };
  /** @type {Omit<incoming.Uploader, keyof incoming.UploaderProperties | keyof EventTarget | Settings | 'done'>} */
  const controls = {
    start() {
      upload.start();
      return uploader;
    },
    pause(what = 'pause') {
      check(['pause', 'unpause', 'toggle'].includes(what), 'pause takes "pause", "unpause" or "toggle"');
      upload.pause(what);
      return uploader;
    },
    cancel(reason) {
      // Not a string: `button.onclick = uploader.cancel` passes an event.
      upload.cancel(typeof reason === 'string' && reason ? reason : upload.text('cancelled_by_user'));
      return uploader;
    },
    retry_now() {
      upload.retry_now();
      return uploader;
    },
    dispose() {
      upload.dispose();
    },
    snapshot: () => upload.snapshot(),
    subscribe(listener, { per_frame = false } = {}) {
      check(typeof listener === 'function', 'subscribe takes a function');
      return upload.subscribe(listener, per_frame);
    },
    onprogress: null,
    onfinished: null,
    oncancelled: null,
    onerror: null,
  };
  /** @type {Record<string, PropertyDescriptor>} */
  const members = { ...Object.getOwnPropertyDescriptors(controls), ...settings };
  for (const name of NAMES) members[name] = { get: () => value_of(upload, name), enumerable: true };
  return members;
}

/** @param {unknown} address */
export function check_address(address) {
  check(is_address(address), 'the server has to be "host", "host:port" or "host:port/prefix", maybe behind http:// or https://');
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

/** What `super` gives to uploaders of a page's own classes. @type {WeakMap<object, any>} */
const originals = new WeakMap();

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
  const members = members_of(upload, uploader);
  originals.set(uploader, Object.create(null, members));
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
Uploader.prototype = Object.create(EventTarget.prototype, { constructor: { value: Uploader } });
Object.setPrototypeOf(Uploader, EventTarget);
for (const name of ['start', 'pause', 'cancel', 'retry_now', 'dispose', 'snapshot', 'subscribe']) {
  Uploader.prototype[name] = function (/** @type {any[]} */ ...args) {
    return originals.get(this)[name](...args);
  };
}
for (const name of [...NAMES, 'done', 'max_bytes_per_s', 'warn_before_unload']) {
  Object.defineProperty(Uploader.prototype, name, {
    get() {
      return originals.get(this)[name];
    },
    set(value) {
      originals.get(this)[name] = value;
    },
  });
}

/**
 * Whether a class between an uploader and `Uploader` has this member.
 * @param {object} uploader @param {string} name @returns {boolean}
 */
function is_overridden(uploader, name) {
  const proto = Object.getPrototypeOf(uploader);
  return proto && proto !== Uploader.prototype && (proto.hasOwnProperty(name) || is_overridden(proto, name));
}
