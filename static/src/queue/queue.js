// Many uploads, a few at a time. It knows nothing of the page.
//
// A list may have ten thousand items. So an event of an upload costs the same however long the list is: sums are kept up to
// date (totals.js), and nothing is looked for from the start.

import incoming from '../../incoming.mjs';
import { Subscribers, report } from '../subscribers.js';
import { files_of } from './files.js';
import { read_folder } from './folders.js';
import { Item } from './item.js';
import { path_of, refusal_of } from './restrictions.js';
import { Speed } from './speed.js';
import { text } from './texts.js';
import { Sums } from './totals.js';

/**
 * @typedef {import('../../queue.mjs').ItemState} ItemState
 * @typedef {import('../../queue.mjs').QueueOptions} Options
 * @typedef {import('../../queue.mjs').AddOptions} AddOptions
 * @typedef {import('../../queue.mjs').AddAllOptions} AddAllOptions
 * @typedef {import('../../queue.mjs').Refusal} Refusal
 * @typedef {import('../../queue.mjs').QueueSnapshot} QueueSnapshot
 * @typedef {File | incoming.Folder} Source
 */

const AT_ONCE = 3; // more would only share the same connection
const LOOK_AGAIN_MS = 1000; // speeds change without events, too
const BUSY_MS = 10; // that adding files may keep the page from drawing

/** @param {boolean} condition @param {string} complaint */
function check(condition, complaint) {
  if (!condition) throw new TypeError('incoming-uploads/queue: ' + complaint);
}

export class Queue {
  /** @param {Options} options */
  constructor({ get_ticket, at_once = AT_ONCE, restrictions = {}, uploader_options, Uploader, resume_unfinished = false, onchange = null }) {
    check(typeof get_ticket === 'function', 'get_ticket has to be a function that returns the id of a ticket');
    this.get_ticket = get_ticket;
    this.restrictions = restrictions;
    this.uploader_options = uploader_options;
    this.Uploader = Uploader;
    this.resume_unfinished = resume_unfinished;
    this.onchange = onchange;
    this.items = /** @type {Item[]} */ ([]);
    this.sums = new Sums();
    this.speed = new Speed();
    this.subscribers = new Subscribers();
    this.running = /** @type {Set<Item>} */ (new Set());
    this.by_file = /** @type {Map<string, Item>} */ (new Map()); // the newest of each
    this.first_waiting = 0; // nothing before this index waits
    this.last_id = 0;
    this.holds = 0; // nothing takes a place meanwhile
    this.is_filling = false;
    this.is_disposed = false;
    this.ticking = /** @type {ReturnType<typeof setInterval> | undefined} */ (undefined);
    this.seen = /** @type {QueueSnapshot | null} */ (null);
    this.places = AT_ONCE;
    this.at_once = at_once;
  }

  get at_once() {
    return this.places;
  }

  set at_once(count) {
    check(Number.isInteger(count) && count > 0, 'at_once has to be a whole number above 0');
    this.places = count;
    this.fill();
  }

  // ---- the list ----

  /** @param {Source} file @param {AddOptions} [options] */
  add(file, options = {}) {
    return this.add_checked(file, options, this.unfinished());
  }

  /**
   * Adds what `files_of` finds in it, without what is refused.
   * @param {import('../../queue.mjs').FileSource} source @param {AddAllOptions} [options]
   */
  async add_all(source, { folders = false, check: check_first, onlisting } = {}) {
    const found = files_of(source, { folders }); // the list of a drop is there for this moment only
    const [added, refused] = [/** @type {Item[]} */ ([]), /** @type {Refusal[]} */ ([])];
    const unfinished = this.unfinished();
    let began_ms = performance.now();
    for await (const { file, path, handle, folder } of found) {
      if (this.is_disposed) break;
      const listed = folder && await this.list(folder, path, onlisting);
      const one = listed ? listed.folder : file;
      if (listed) refused.push(...listed.refused);
      if (one) {
        const refusal = (check_first && check_first(one, path)) || this.refusal_of(one, path);
        if (refusal) refused.push(refusal);
        else added.push(this.add_checked(one, { path, handle }, unfinished));
      } else if (!listed) {
        refused.push(unreadable(path, 'unreadable'));
      }
      if (performance.now() > began_ms + BUSY_MS) {
        await new Promise((resolve) => setTimeout(resolve));
        began_ms = performance.now();
      }
    }
    return { added, refused };
  }

  /**
   * Adds all files that are in it as one item: one upload of a folder.
   * @param {any} source @param {AddOptions & {onprogress?: (files: number) => void}} [options]
   */
  async add_folder(source, options = {}) {
    return this.add(await incoming.list_folder(source, options), options);
  }

  /**
   * Lists a folder for `add_all`. @param {any} folder @param {string} path @param {AddAllOptions['onlisting']} tell
   * @returns {Promise<{folder: incoming.Folder | null, refused: Refusal[]}>} no folder: it has no files
   */
  async list(folder, path, tell = () => {}) {
    tell(path, 0);
    try {
      const read = await read_folder(folder, this.restrictions.accept, (files) => tell(path, files));
      if (read.refused.length || (read.folder && read.folder.files_total)) return read;
      return { folder: null, refused: [unreadable(path, 'no_files')] };
    } finally {
      tell(path, null);
    }
  }

  /** @param {Source} file @param {AddOptions} options @param {incoming.UnfinishedUpload[]} unfinished */
  add_checked(file, { path = path_of(file), begun, handle }, unfinished) {
    check(!this.is_disposed, 'the queue was disposed of');
    const refusal = this.refusal_of(file, path);
    const twin = this.find(file, path);
    if (!refusal && twin && twin.state !== 'finished' && this.restrictions.disallow_duplicates) {
      this.remove(twin);
      unfinished.push(...this.unfinished().filter(({ upload_id }) => upload_id === twin.upload_id));
    }
    const resumed = refusal ? undefined : begun || this.begun(file, unfinished);
    const item = new Item(this, ++this.last_id, file, { path, begun: resumed, handle });
    if (refusal) Object.assign(item, { state: 'refused', message: refusal.message, code: refusal.code });
    else this.by_file.set(key_of(file, path), item);
    this.items.push(item);
    this.sums.add(item, 1);
    this.tell(item);
    this.fill();
    return item;
  }

  /** Why this file can't be added, or null. @param {Source} file @param {string} path */
  refusal_of(file, path) {
    return refusal_of(file, this.restrictions, listed_in(this), path);
  }

  /** The item of this file, the newest one if there are several. @param {Source} file @param {string} [path] */
  find(file, path = path_of(file)) {
    return this.by_file.get(key_of(file, path)) || null;
  }

  unfinished() {
    const { resume_unfinished } = this;
    if (!resume_unfinished || !incoming) return [];
    const here = new Set(this.items.map(({ upload_id }) => upload_id));
    const all = typeof resume_unfinished === 'function' ? resume_unfinished() : incoming.unfinished();
    return all.filter(({ upload_id }) => !here.has(upload_id));
  }

  /** Takes the upload of this file off the list of unfinished ones. @param {Source} file @param {incoming.UnfinishedUpload[]} unfinished */
  begun(file, unfinished) {
    const at = unfinished.findIndex((upload) => incoming.matches(upload, file));
    return at < 0 ? undefined : unfinished.splice(at, 1)[0];
  }

  /** Takes an item that has ended off the list. @param {Item} item @returns {boolean} false if it has not ended */
  remove(item) {
    if (!item.ended || !this.items.includes(item)) return false;
    this.drop([item]);
    return true;
  }

  /** Takes those that have ended off the list: in these states, or in any. @param {...ItemState} states */
  clear(...states) {
    const wanted = (/** @type {Item} */ { state, ended }) => ended && (!states.length || states.includes(state));
    const dropped = this.items.filter(wanted);
    if (dropped.length) this.drop(dropped);
    return dropped;
  }

  /** @param {Item[]} dropped */
  drop(dropped) {
    const gone = new Set(dropped);
    this.items = this.items.filter((item) => !gone.has(item));
    this.first_waiting = 0;
    for (const item of dropped) {
      const key = key_of(item.file, item.path);
      if (this.by_file.get(key) === item) this.by_file.delete(key);
      this.sums.add(item, -1);
    }
    this.tell(null);
  }

  /** Moves an item to another place in the list: those that wait start in its order. @param {Item} item @param {number} index */
  move(item, index) {
    const from = this.items.indexOf(item);
    if (from < 0) return;
    this.items = this.items.filter((other) => other !== item);
    this.items.splice(index, 0, item);
    this.first_waiting = 0;
    this.tell(null);
  }

  /** @param {...ItemState} states */
  in_state(...states) {
    return this.items.filter((item) => states.includes(item.state));
  }

  // ---- all of them ----

  pause() {
    this.all('pause');
  }

  resume() {
    this.all('resume');
  }

  cancel() {
    this.all('cancel');
  }

  retry() {
    this.all('retry');
  }

  /**
   * Places that become free are taken afterwards, or those that wait would start for a moment.
   * @param {'pause' | 'resume' | 'cancel' | 'retry'} action
   */
  all(action) {
    this.holds += 1;
    try {
      this.items.forEach((item) => item[action]());
    } finally {
      this.holds -= 1;
    }
    this.fill();
  }

  /** Stops here what has not ended, and takes it off the list: another page can continue it. */
  leave_unfinished() {
    const left = this.items.filter(({ ended }) => !ended);
    left.forEach((item) => this.running.delete(item));
    this.drop(left);
    this.keep_time();
    left.forEach((item) => {
      item.state = 'cancelled'; // for its ticket, which may still come
      item.dispose();
    });
  }

  /** Stops here, and leaves all uploads as they are: another page can continue them. */
  dispose() {
    if (this.is_disposed) return;
    this.is_disposed = true;
    this.subscribers.clear();
    this.onchange = null;
    this.items.forEach((item) => item.dispose());
    clearInterval(this.ticking);
  }

  // ---- what it looks like ----

  totals() {
    const now_ms = performance.now();
    if (!this.is_moving()) this.speed.stop();
    return this.sums.totals(this.is_moving() ? this.speed.at(now_ms) : 0);
  }

  /** Whether an upload runs that has a connection, or is about to have one. */
  is_moving() {
    return [...this.running].some(({ uploader }) => !uploader || !uploader.retrying);
  }

  /** @returns {QueueSnapshot} the same object until something changes */
  snapshot() {
    if (!this.seen) {
      const items = Object.freeze(this.items.map((item) => item.snapshot()));
      this.seen = Object.freeze({ items, totals: this.totals() });
    }
    return this.seen;
  }

  /** @param {() => void} listener @param {{per_frame?: boolean}} [options] */
  subscribe(listener, { per_frame = false } = {}) {
    const end = this.subscribers.add(listener, per_frame);
    this.keep_time();
    return () => {
      end();
      this.keep_time();
    };
  }

  /** While somebody looks, and something moves, the totals change by themselves. */
  keep_time() {
    const wanted = this.running.size > 0 && this.subscribers.entries.size > 0 && !this.is_disposed;
    if (wanted && this.ticking === undefined) this.ticking = setInterval(() => this.tick(), LOOK_AGAIN_MS);
    if (wanted || this.ticking === undefined) return;
    clearInterval(this.ticking);
    this.ticking = undefined;
  }

  tick() {
    const { bytes_per_s } = this.totals();
    if (!this.seen || bytes_per_s !== this.seen.totals.bytes_per_s) this.tell(null);
  }

  // ---- for items ----

  /** @param {Item} item @param {Partial<Pick<Item, 'state' | 'message' | 'code' | 'upload_id' | 'bytes_acked'>>} values */
  change(item, values) {
    if (this.is_disposed) return;
    this.sums.add(item, -1);
    Object.assign(item, values);
    this.sums.add(item, 1);
    if (item.state === 'running') this.running.add(item);
    else this.running.delete(item);
    if (item.state === 'waiting') this.first_waiting = 0;
    if (!this.is_moving()) this.speed.stop();
    this.keep_time();
    this.tell(item);
    this.fill();
  }

  /** @param {Item} item @param {number} bytes_acked */
  progressed(item, bytes_acked) {
    const moved_bytes = Math.max(0, bytes_acked - item.bytes_acked); // a resumed upload starts at 0 for a moment
    if (moved_bytes) {
      this.sums.add(item, -1);
      item.bytes_acked = bytes_acked;
      this.sums.add(item, 1);
      this.speed.move(performance.now(), moved_bytes);
    }
    if (!this.is_moving()) this.speed.stop();
    this.tell(item);
  }

  /** @param {Item | null} item null for the list, and for sums that change by themselves */
  tell(item) {
    if (item) item.seen = null;
    this.seen = null;
    try {
      if (this.onchange) this.onchange(item);
    } catch (error) {
      report(error);
    }
    this.subscribers.notify();
  }

  /** Gives free places to those that wait. */
  fill() {
    if (this.is_filling) return; // the loop below continues by itself
    this.is_filling = true;
    while (!this.holds && !this.is_disposed && this.running.size < this.places) {
      while (this.first_waiting < this.items.length && this.items[this.first_waiting].state !== 'waiting') {
        this.first_waiting += 1;
      }
      if (this.first_waiting === this.items.length) break;
      this.items[this.first_waiting].run();
    }
    this.is_filling = false;
  }
}

/** @param {Source} file @param {string} path */
function key_of({ size, lastModified }, path) {
  return `${size} ${lastModified} ${path}`;
}

/** @param {string} path @param {'unreadable' | 'no_files'} why @returns {Refusal} */
function unreadable(path, why) {
  return { code: 'unreadable', message: text(why), file: null, path };
}

/** What counts for restrictions. @param {import('../../queue.mjs').Queue} queue */
function listed_in(queue) {
  const { files, bytes_total } = queue.totals();
  return {
    files,
    bytes_total,
    has(/** @type {Source} */ file, /** @type {string | undefined} */ path) {
      const twin = queue.find(file, path);
      return twin !== null && !twin.ended;
    },
  };
}

/**
 * Why a page can't take this file, or null.
 * @param {Source} file @param {import('../../queue.mjs').Restrictions} restrictions
 * @param {import('../../queue.mjs').Queue} [queue] that it would be added to
 */
export function check_file(file, restrictions, queue) {
  return refusal_of(file, restrictions, queue && listed_in(queue));
}
