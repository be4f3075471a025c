// <incoming-upload>: a field for files, which uploads them. docs/reference/element.md describes it.

import incoming from '../../incoming.mjs';
import { Queue, files_in, ticket_from } from '../../queue.mjs';
import { forget, keep_awake, pick_with_handles, remember, reopen, watch_unfinished } from '../../resume.mjs';
import { set } from './dom.js';
import { begun_now, file_now, reading_now } from './now.js';
import { make_panel } from './panel.js';
import { picture_of } from './pictures.js';
import { listen_to_page, make_inputs } from './sources.js';
import { make_speech, sentence } from './speech.js';
import css from './style.css';
import { add_style } from './styles.js';
import { TEXTS } from './texts.js';
import { view } from './view.js';

/**
 * @typedef {import('../../queue.mjs').Item} Item
 * @typedef {import('../../queue.mjs').ItemSnapshot} ItemSnapshot
 * @typedef {import('../../queue.mjs').GetTicket} GetTicket
 * @typedef {import('../../resume.mjs').Unfinished} Unfinished
 * @typedef {import('./texts.js').Texts} Texts
 */

const DRAW_MS = 200; // numbers that change more often can't be read
const COUNTDOWN_MS = 500;
const VALUES = ['tickets', 'server', 'name', 'accept', 'max-bytes', 'max-files', 'at-once', 'capture'];
const FLAGS = ['multiple', 'directory', 'disabled', 'required', 'drop-anywhere', 'keep-awake', 'warn-before-unload'];

/**
 * Where pages are rendered on a server, there is no HTMLElement. The attributes are properties, which are defined below.
 * @typedef {import('../../element.mjs').IncomingUpload} Described
 * @type {new () => HTMLElement & Pick<Described, 'tickets' | 'server' | 'name' | 'accept' | 'max_bytes' | 'max_files' | 'at_once'
 *   | 'capture' | 'multiple' | 'directory' | 'required' | 'drop_anywhere' | 'keep_awake' | 'warn_before_unload'>}
 */
const Base = /** @type {any} */ (globalThis.HTMLElement || class {});

export class IncomingUpload extends Base {
  static formAssociated = true;
  static observedAttributes = [...VALUES, ...FLAGS, 'lang'];

  own_texts = /** @type {Partial<Texts>} */ ({});
  all_texts = /** @type {Texts} */ ({ ...TEXTS });
  shared_texts = /** @type {object | null} */ (null);
  own_get_ticket = /** @type {GetTicket | null} */ (null);
  own_queue = /** @type {Queue | null} */ (null);
  page_queue = /** @type {Queue | null} */ (null);
  begun = /** @type {Unfinished[]} */ ([]);
  wanted = /** @type {Unfinished | null} */ (null); // the one whose file or folder is being chosen
  /** How many files of a folder are listed so far. @type {Map<string, number>} */
  reading = new Map();
  is_apart = false; // the app takes files only: each one of a folder is an upload
  refused = /** @type {string[]} */ ([]);
  seen = /** @type {Map<number, ItemSnapshot>} */ (new Map());
  tickets_now = '';
  name_now = ''; // the name that the form has for them
  is_disabled = false;
  asks = false; // whether everything is to be cancelled
  is_reset = false; // what is being cancelled leaves the list
  is_lost = false;
  was_all_finished = false;
  stops = /** @type {(() => void)[]} */ ([]);
  timer = 0;

  internals = this.attachInternals();
  shadow = this.attachShadow({ mode: 'open', delegatesFocus: true });
  panel = make_panel(this.shadow, (action, key) => this.act(action, key), async ({ key, picture }) => {
    const item = this.item(key);
    const canvas = item && await picture_of(/** @type {File} */ (item.file)); // a folder is none
    if (canvas) picture.replaceWith(canvas);
  });
  inputs = make_inputs(this.shadow, this);
  speech = make_speech((news) => sentence(news, this.queue.totals(), this.all_texts), this.panel.news);

  constructor() {
    super();
    this.internals.role = 'group'; // so that a label names it
    add_style(this.shadow, css);
  }

  // ---- in the page ----

  connectedCallback() {
    for (const name of ['queue', 'get_ticket', 'texts']) { // one that was set before this script was there hides the element's own
      if (!Object.hasOwn(this, name)) continue;
      const own = /** @type {any} */ (this);
      const value = own[name];
      delete own[name];
      own[name] = value;
    }
    this.connect();
  }

  /** An element that is moved is taken out and put in again: only one that stays away is left. */
  disconnectedCallback() {
    setTimeout(() => {
      if (this.isConnected) return;
      this.leave();
      this.speech.stop();
      this.stop_reading();
      this.own_queue?.leave_unfinished(); // another element, or the next visit, can continue them
    });
  }

  attributeChangedCallback() {
    this.connect();
  }

  /** Listens to what it is about, and applies its attributes. */
  connect() {
    if (!this.isConnected) return;
    this.leave();
    const { queue } = this;
    if (queue === this.own_queue) {
      queue.at_once = limit(this.at_once) || 3;
      queue.restrictions = {
        accept: this.accept,
        max_bytes: limit(this.max_bytes),
        max_files: this.is_multiple ? limit(this.max_files) : 1,
        disallow_duplicates: true,
      };
    }
    this.inputs.update();
    this.stops = [listen_to_page(this), queue.subscribe(() => this.draw_in(DRAW_MS))];
    if (incoming) this.stops.push(watch_unfinished((uploads) => this.offer(uploads), { ...this.server_options, owner: this.owner }));
    if (this.keep_awake) this.stops.push(keep_awake(/** @type {any} */ (queue)));
    this.draw();
  }

  leave() {
    this.stops.splice(0).forEach((stop) => stop());
    clearTimeout(this.timer);
    this.timer = 0;
  }

  /** @param {boolean} disabled by its attribute or by a fieldset */
  formDisabledCallback(disabled) {
    this.is_disabled = disabled;
    this.draw();
  }

  /** The form is reset: the list is emptied. Running uploads are cancelled, since nobody would see them. */
  formResetCallback() {
    this.stop_reading();
    this.queue.cancel();
    this.is_reset = true;
    this.refused = [];
    this.draw();
  }

  // ---- the queue ----

  /** The queue of its uploads: its own, unless the page has set one. @returns {Queue} */
  get queue() {
    return this.page_queue || (this.own_queue ||= new Queue({
      get_ticket: (item, signal) => this.ticket_of(item, signal),
      resume_unfinished: () => this.begun.filter(({ live }) => !live),
      uploader_options: () => ({
        ...this.server_options,
        when_unreadable: 'leave_out', // the other files of a folder are worth having, and the row names those that are missing
        warn_before_unload: this.warn_before_unload,
      }),
    }));
  }

  /** @param {Queue | null} queue */
  set queue(queue) {
    this.own_queue?.dispose();
    this.own_queue = null;
    this.stop_reading();
    this.seen.clear();
    this.page_queue = queue;
    this.connect();
  }

  get is_multiple() {
    return this.multiple || this.directory;
  }

  get takes_folders() {
    return this.directory && !this.is_apart && 'list_folder' in incoming; // an older library has no folders
  }

  get takes_files() {
    return !this.is_disabled && !this.trouble;
  }

  /** Why nothing can be uploaded at all, in a sentence; else "". */
  get trouble() {
    if (!incoming) return this.all_texts.no_server;
    return this.page_queue || this.own_get_ticket || this.tickets ? '' : this.all_texts.no_tickets;
  }

  /** Where the server is, if the page has said so for this element. */
  get server_options() {
    return { server: this.server || undefined };
  }

  /** What an upload of this element is known by after a reload. */
  get owner() {
    return `${location.pathname} ${this.id || this.name}`;
  }

  /** @param {string} key */
  item(key) {
    return this.queue.items.find(({ id }) => String(id) === key);
  }

  /** @param {Item} item @param {AbortSignal} signal */
  async ticket_of(item, signal) {
    const get_ticket = this.own_get_ticket || ticket_from(new URL(this.tickets, document.baseURI));
    const ticket = await get_ticket(item, signal);
    remember(ticket, item.handle, this.owner);
    return ticket;
  }

  // ---- adding files ----

  /** @param {import('../../queue.mjs').FileSource} source what was dropped, pasted or chosen */
  add(source) {
    const { wanted } = this;
    this.wanted = null;
    return this.take(source, wanted);
  }

  /** @param {import('../../queue.mjs').FileSource} source @param {Unfinished | null} wanted the upload that it has to be of */
  async take(source, wanted) {
    const { queue, reading } = this;
    this.is_reset = false;
    const { refused } = await queue.add_all(source, {
      folders: this.takes_folders || Boolean(wanted?.files_total),
      onlisting: (path, files) => {
        if (files === null) reading.delete(path);
        else reading.set(path, files);
        this.draw_in(DRAW_MS);
      },
      check: (file, path) => {
        const message = wanted && !incoming.matches(wanted, file) ? this.all_texts.not_the_same(wanted.filename) : '';
        if (message || reading !== this.reading) return { code: 'not_accepted', message, file, path };
        if (!this.is_multiple) queue.clear(); // one that has ended gives its place to the next
        return null;
      },
    });
    if (reading !== this.reading) return; // all was cancelled
    this.refused = refused.map(({ path, message }) => `\u2068${path}\u2069: ${message}`);
    if (refused.length) this.tell('upload-refused', { refused });
    this.draw();
  }

  /** Its ticket is for a file, so the app takes no folders: each of its files becomes an upload. @param {Item} item */
  take_apart(item) {
    this.is_apart = true;
    this.queue.remove(item);
    forget(item.upload_id, this.server_options);
    this.take(files_in(/** @type {incoming.Folder} */ (item.file)), null);
  }

  /** Adds nothing more of what is being read. */
  stop_reading() {
    this.reading = new Map();
  }

  /** @param {Unfinished[]} uploads of earlier visits that were begun with it */
  offer(uploads) {
    this.begun = uploads;
    this.draw();
  }

  /** @param {Unfinished} begun */
  async reopen(begun) {
    const { handle, upload_id } = begun;
    if (handle && await reopen(handle)) await this.take([handle], begun);
    // If it is still there, it was moved or changed, or the user has said no: the element asks for it by name.
    this.begun = this.begun.map((upload) => (upload.upload_id === upload_id ? { ...upload, handle: null } : upload));
    this.draw();
  }

  // ---- what the user does ----

  /** @param {string} action @param {string} key of its row, or "" */
  act(action, key) {
    const { queue, inputs, panel } = this;
    const item = this.item(key);
    const begun = /** @type {Unfinished} */ (this.begun.find(({ upload_id }) => upload_id === key)); // only its row has such a button
    this.asks = action === 'cancel_all';
    /** @type {Record<string, (() => unknown) | undefined>} */
    const actions = {
      choose: () => this.choose(null),
      choose_folder: () => inputs.folder.click(),
      take_photo: () => inputs.camera.click(),
      close: () => { this.refused = []; },
      pause_all: () => queue.pause(),
      resume_all: () => queue.resume(),
      retry_all: () => queue.retry(),
      cancel_really: () => {
        queue.cancel();
        this.stop_reading();
      },
      clear: () => queue.clear(),
      continue_all: () => this.begun.forEach((upload) => upload.handle && !upload.live && this.reopen(upload)),
      continue: () => this.reopen(begun),
      find_file: () => this.choose(begun),
      find_folder: () => this.choose(begun),
      forget: () => {
        this.begun = this.begun.filter((upload) => upload !== begun);
        forget(key, this.server_options);
      },
      pause: () => item?.pause(),
      // Another window may have paused it.
      resume: () => (item?.can_resume ? item.resume() : item?.uploader?.pause('unpause')),
      retry: () => item?.retry(),
      retry_now: () => item?.retry(),
      cancel: () => (item ? item.cancel() : this.stop_reading()),
      dismiss: () => item && queue.remove(item),
    };
    actions[action]?.();
    this.draw();
    if (action === 'show_failed') panel.go_to_failed();
  }

  /** Opens the dialog for files. @param {Unfinished | null} wanted the upload whose file or folder is to be chosen */
  async choose(wanted) {
    this.wanted = wanted;
    const { files, folder } = this.inputs;
    if (wanted?.files_total) return folder.click();
    const picked = await pick_with_handles({ accept: files.accept, multiple: this.is_multiple && !wanted });
    if (!picked) files.click();
    else if (picked.length) this.add(picked);
  }

  // ---- what is shown ----

  /** @param {number} ms */
  draw_in(ms) {
    this.timer ||= setTimeout(() => this.draw(), ms);
  }

  draw() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (!this.isConnected) return;
    const { queue } = this;
    if (this.is_reset) queue.clear();
    const { items, totals } = queue.snapshot();
    this.is_reset = this.is_reset && items.length > 0;
    const texts = /** @type {Partial<incoming.Texts>} */ (incoming?.texts || TEXTS);
    if (this.shared_texts !== texts) this.all_texts = /** @type {Texts} */ ({ ...texts, ...TEXTS, ...texts.element, ...this.own_texts });
    this.shared_texts = texts;
    const { all_texts } = this;
    const files = items.map(file_now).concat([...this.reading].map(([path, count]) => reading_now(path, all_texts.listing(count))));
    const here = new Set(items.map(({ upload_id }) => upload_id));
    const has_coarse_pointer = matchMedia('(pointer: coarse)').matches;
    this.compare(items);
    this.panel.draw(view({
      files,
      begun: this.begun.filter(({ upload_id }) => !here.has(upload_id)).map(begun_now),
      total: totals,
      refused: this.refused,
      trouble: this.trouble,
      now_ms: Date.now(),
      disabled: this.is_disabled,
      multiple: this.is_multiple,
      directory: this.directory,
      camera: has_coarse_pointer && this.hasAttribute('capture'),
      touch: has_coarse_pointer && matchMedia('(hover: none)').matches,
      max_bytes: limit(this.max_bytes) || 0,
      asking_to_cancel: this.asks,
    }, all_texts, this.closest('[lang]')?.getAttribute('lang') || ''), all_texts);
    this.update_form(items);

    const lost = files.find(({ state }) => state === 'retrying');
    if (!lost === this.is_lost) this.speech.hear({ connection: lost ? lost.message : '' });
    this.is_lost = !!lost;
    if (files.some(({ upload }) => upload.next_retry_at)) this.draw_in(COUNTDOWN_MS);
  }

  get texts() {
    return this.own_texts;
  }

  /** @param {Partial<Texts>} texts entries in place of those for all elements */
  set texts(texts) {
    this.own_texts = texts;
    this.shared_texts = null; // so that they are gathered again
    this.draw();
  }

  get get_ticket() {
    return this.own_get_ticket;
  }

  /** @param {GetTicket | null} get_ticket */
  set get_ticket(get_ticket) {
    this.own_get_ticket = get_ticket;
    this.draw();
  }

  // ---- what others hear ----

  /** Tells of what has changed since it was drawn last. @param {readonly ItemSnapshot[]} items */
  compare(items) {
    const before = this.seen;
    this.seen = new Map(items.map((item) => [item.id, item]));
    for (const { id, item, file, state, path, upload_id, upload, message, reason } of items) {
      const old = before.get(id);
      if (!old) this.speech.hear({ added: /** @type {incoming.Folder} */ (file).files_total || 1 });
      if (!old || old.state === state) continue;
      if (reason === 'wrong_dest_type') {
        this.take_apart(item);
        continue;
      }
      const detail = { item, upload_id, message, reason };
      const left_out = upload?.left_out;
      if (left_out?.length && state === 'finished') this.speech.hear({ left_out: [path, left_out] });
      if (state === 'cancelled' && upload_id) forget(upload_id, this.server_options); // one that waited for its turn, too
      if (state === 'finished') this.tell('upload-finished', detail);
      if (state === 'failed') this.tell('upload-failed', detail);
      this.speech.hear({ [state]: [path, message] });
    }
    const value = tickets_of(items);
    const all_finished = value.length > 0 && !this.reading.size && items.every(({ state }) => state === 'finished' || state === 'cancelled');
    if (all_finished && !this.was_all_finished) this.tell('all-finished', { value });
    this.was_all_finished = all_finished;
  }

  /** @param {string} name @param {object} [detail] */
  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, detail }));
  }

  // ---- the form ----

  /** The tickets of the files that the app has. */
  get value() {
    return tickets_of(this.queue.snapshot().items);
  }

  /** @param {readonly ItemSnapshot[]} items */
  update_form(items) {
    const { all_texts: texts, internals } = this;
    const value = tickets_of(items);
    const is_busy = this.reading.size > 0 || items.some(({ ended }) => !ended);
    const is_missing = this.required && !value.length;
    internals.setValidity({ customError: is_busy, valueMissing: is_missing },
      is_busy ? texts.busy : is_missing ? texts.missing : '', this.panel.anchor());
    const { name, tickets_now } = this;
    this.tickets_now = String(value);
    const is_changed = this.tickets_now !== tickets_now;
    if (!is_changed && this.name_now === name) return;
    this.name_now = name;
    const data = new FormData();
    value.forEach((ticket) => data.append(name, ticket));
    internals.setFormValue(name ? data : null);
    if (is_changed) this.tell('change');
  }
}

/** @param {string} value of an attribute @returns {number | null} a whole number above 0 */
function limit(value) {
  return Math.max(0, Math.floor(Number(value))) || null;
}

/** @param {readonly ItemSnapshot[]} items */
function tickets_of(items) {
  return items.filter(({ state }) => state === 'finished').map(({ upload_id }) => upload_id);
}

const { prototype } = IncomingUpload;

/**
 * Defines a property of all elements.
 * @param {string} name @param {(this: IncomingUpload) => unknown} get @param {(this: IncomingUpload, value: any) => void} [set]
 */
const property = (name, get, set) => Object.defineProperty(prototype, name, { configurable: true, get, set });

// Attributes are properties, too: `max-bytes` is `max_bytes`.
for (const name of [...VALUES, ...FLAGS]) {
  const is_flag = FLAGS.includes(name);
  property(name.replace(/-/g, '_'), function () {
    return is_flag ? this.hasAttribute(name) : this.getAttribute(name) || '';
  }, function (value) {
    set(this, name, is_flag ? (value ? '' : null) : value == null ? null : String(value));
  });
}

// What every field of a form has.
for (const name of ['form', 'labels', 'validity', 'validationMessage', 'willValidate', 'checkValidity', 'reportValidity']) {
  property(name, function () {
    const value = /** @type {any} */ (this.internals)[name];
    return value?.bind?.(this.internals) || value; // a method, or a value
  });
}

/** Defines the element, unless this or another script has done it. */
export function define() {
  const { customElements: all } = globalThis;
  if (all && !all.get('incoming-upload')) all.define('incoming-upload', IncomingUpload);
}
