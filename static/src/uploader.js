// `incoming.Uploader`: what pages construct, with checked arguments.

import { NAMES, value_of } from './properties.js';
import { is_blob } from './files.js';
import * as TEXTS from './texts.js';
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
        check(bytes_per_s >= 0 && Number.isFinite(bytes_per_s), 'max_bytes_per_s has to be a number, 0 for no limit');
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
      upload.cancel(typeof reason === 'string' && reason ? reason : TEXTS.CANCELLED_BY_USER);
      return uploader;
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

/** What `super` gives to uploaders of a page's own classes. @type {WeakMap<object, any>} */
const originals = new WeakMap();

/**
 * A plain function, so that it works with and without `new`. A class may extend it: its methods win.
 * @param {string} upload_id @param {Blob} file @returns {incoming.Uploader}
 */
export function Uploader(upload_id, file) {
  check(typeof upload_id === 'string' && upload_id !== '', 'upload_id has to be the id of a ticket, a string');
  check(is_blob(file), 'file has to be a File or a Blob');
  /** @type {incoming.Uploader} */
  const uploader = Reflect.construct(EventTarget, [], new.target || Uploader);
  const members = members_of(new Upload(upload_id, file, uploader), uploader);
  originals.set(uploader, Object.create(null, members));
  for (const name of Object.keys(members)) {
    if (!is_overridden(uploader, name)) Object.defineProperty(uploader, name, members[name]);
  }
  return uploader;
}
Uploader.prototype = Object.create(EventTarget.prototype, { constructor: { value: Uploader } });
Object.setPrototypeOf(Uploader, EventTarget);
for (const name of ['start', 'pause', 'cancel']) {
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
