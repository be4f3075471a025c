// <incoming-upload>: a field for files, which uploads them. docs/reference/element.md describes it.

import incoming from '../../incoming.mjs';
import { Queue, check_file, files_of, ticket_from } from '../../queue.mjs';
import { forget, keep_awake, pick_files, remember, reopen, watch_unfinished } from '../../resume.mjs';
import { set } from './dom.js';
import { file_now } from './now.js';
import { disown, own, owned_by } from './owner.js';
import { Panel } from './panel.js';
import { picture_of } from './pictures.js';
import { Inputs, listen_to_page } from './sources.js';
import { Speech, sentence } from './speech.js';
import css from './style.css';
import { add_style } from './styles.js';
import { TEXTS } from './texts.js';
import { view } from './view.js';

/**
 * @typedef {import('../../queue.mjs').Item} Item
 * @typedef {import('../../queue.mjs').ItemSnapshot} ItemSnapshot
 * @typedef {import('../../queue.mjs').Refusal} Refusal
 * @typedef {import('../../queue.mjs').GetTicket} GetTicket
 * @typedef {import('../../resume.mjs').Unfinished} Unfinished
 * @typedef {import('./texts.js').Texts} Texts
 */

const DRAW_MS = 200; // numbers that change more often can't be read
const COUNTDOWN_MS = 500;
const BUSY_MS = 10; // that adding files may keep the page from drawing
const VALUES = ['tickets', 'server', 'name', 'accept', 'max-bytes', 'max-files', 'at-once', 'capture'];
const FLAGS = ['multiple', 'directory', 'disabled', 'required', 'drop-anywhere', 'keep-awake', 'warn-before-unload'];

/** Where pages are rendered on a server, there is no HTMLElement. */
const Base = typeof HTMLElement === 'undefined' ? /** @type {typeof HTMLElement} */ (/** @type {unknown} */ (class {})) : HTMLElement;

export class IncomingUpload extends Base {
  static get formAssociated() {
    return true;
  }

  static get observedAttributes() {
    return [...VALUES, ...FLAGS, 'lang'];
  }

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: 'open', delegatesFocus: true });
    add_style(shadow, css);
    this.internals = this.attachInternals();
    this.panel = new Panel(shadow, (action, key) => this.act(action, key), async ({ key, icon }) => {
      const item = this.item(key);
      const canvas = item && await picture_of(/** @type {File} */ (item.file)); // it adds no folders
      if (canvas) icon.replaceWith(canvas);
    });
    this.inputs = new Inputs(shadow, this);
    this.own_texts = /** @type {Partial<Texts>} */ ({});
    this.all_texts = /** @type {Texts} */ (TEXTS);
    this.shared_texts = /** @type {object | undefined} */ (undefined);
    this.own_get_ticket = /** @type {GetTicket | null} */ (null);
    this.own_queue = /** @type {Queue | null} */ (null);
    this.page_queue = /** @type {Queue | null} */ (null);
    this.begun = /** @type {Unfinished[]} */ ([]);
    this.wanted = /** @type {Unfinished | null} */ (null); // the one whose file is being chosen
    this.refused = /** @type {string[]} */ ([]);
    this.seen = /** @type {Map<number, ItemSnapshot>} */ (new Map());
    this.tickets_now = /** @type {string[]} */ ([]);
    this.is_disabled = false;
    this.asks = false; // whether everything is to be cancelled
    this.is_reset = false; // what is being cancelled leaves the list
    this.is_lost = false;
    this.was_all_finished = false;
    this.stops = /** @type {(() => void)[]} */ ([]);
    this.timer = 0;
    this.speech = new Speech((news) => {
      const { files, finished, waiting, running, paused } = this.queue.totals();
      return sentence(news, { files, finished, open: waiting + running + paused }, this.all_texts);
    }, this.panel.news);
  }

  // ---- in the page ----

  connectedCallback() {
    for (const name of ['queue', 'get_ticket', 'texts']) { // one that was set before this script was there hides the element's own
      const values = Object.getOwnPropertyDescriptor(this, name);
      if (!values) continue;
      delete (/** @type {any} */ (this)[name]);
      /** @type {any} */ (this)[name] = values.value;
    }
    this.connect();
  }

  /** An element that is moved is taken out and put in again: only one that stays away is left. */
  disconnectedCallback() {
    setTimeout(() => {
      if (this.isConnected) return;
      this.leave();
      this.speech.stop();
      this.leave_queue();
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
      queue.at_once = this.number('at-once') || 3;
      queue.restrictions = {
        accept: this.getAttribute('accept'),
        max_bytes: this.number('max-bytes'),
        max_files: this.is_multiple ? this.number('max-files') : 1,
        disallow_duplicates: true,
      };
    }
    this.inputs.update(this);
    this.stops = [listen_to_page(this), queue.subscribe(() => this.draw_in(DRAW_MS))];
    if (incoming) this.stops.push(watch_unfinished((uploads) => this.offer(uploads), this.server_options));
    if (this.hasAttribute('keep-awake')) this.stops.push(keep_awake(/** @type {any} */ (queue)));
    this.draw();
  }

  leave() {
    this.stops.splice(0).forEach((stop) => stop());
    clearTimeout(this.timer);
    this.timer = 0;
  }

  /** Stops the uploads of its own queue without cancelling them: they can be continued. */
  leave_queue() {
    if (this.own_queue) this.own_queue.dispose();
    this.own_queue = null;
    this.seen.clear();
  }

  /** @param {boolean} disabled by its attribute or by a fieldset */
  formDisabledCallback(disabled) {
    this.is_disabled = disabled;
    this.draw();
  }

  /** The form is reset: the list is emptied. What runs is cancelled, since nobody would see it any more. */
  formResetCallback() {
    this.queue.cancel();
    this.is_reset = true;
    this.refused = [];
    this.draw();
  }

  // ---- the queue ----

  /** The queue of its uploads: its own, unless the page has set one. @returns {Queue} */
  get queue() {
    if (this.page_queue) return this.page_queue;
    if (!this.own_queue) {
      this.own_queue = new Queue({
        get_ticket: (item, signal) => this.ticket_of(item, signal),
        uploader_options: () => ({
          ...this.server_options,
          warn_before_unload: this.hasAttribute('warn-before-unload'),
        }),
      });
    }
    return this.own_queue;
  }

  /** @param {Queue | null} queue */
  set queue(queue) {
    this.leave_queue();
    this.page_queue = queue;
    this.connect();
  }

  /** @param {string} name @returns {number | null} a whole number above 0 */
  number(name) {
    return Math.max(0, Math.floor(Number(this.getAttribute(name)))) || null;
  }

  get is_multiple() {
    return this.hasAttribute('multiple') || this.hasAttribute('directory');
  }

  get takes_files() {
    return !this.is_disabled && !this.trouble;
  }

  /** Why nothing can be uploaded at all, in a sentence; else "". */
  get trouble() {
    if (!incoming) return this.all_texts.no_server;
    return this.page_queue || this.own_get_ticket || this.getAttribute('tickets') ? '' : this.all_texts.no_tickets;
  }

  /** Where the server is, if the page has said so for this element. */
  get server_options() {
    const server = this.getAttribute('server');
    return server ? { server } : {};
  }

  /** What an upload of this element is known by after a reload. */
  get owner() {
    return `${location.pathname} ${this.id || this.getAttribute('name') || ''}`;
  }

  /** @param {string} key */
  item(key) {
    return this.queue.items.find(({ id }) => String(id) === key);
  }

  /** @param {Item} item @param {AbortSignal} signal */
  async ticket_of(item, signal) {
    const begun = this.begun.find((upload) => !upload.live && incoming.matches(upload, item.file));
    const get_ticket = this.own_get_ticket || ticket_from(new URL(String(this.getAttribute('tickets')), document.baseURI));
    const ticket = begun ? begun.upload_id : await get_ticket(item, signal);
    this.begun = this.begun.filter((upload) => upload !== begun);
    own(ticket, this.owner);
    if (item.handle) remember(ticket, item.handle);
    return ticket;
  }

  // ---- adding files ----

  /** @param {import('../../queue.mjs').FileSource} source what was dropped, pasted or chosen */
  async add(source) {
    const found = files_of(source); // the list of a drop is there for this moment only
    const { queue, wanted } = this;
    const refused = /** @type {Refusal[]} */ ([]);
    this.wanted = null;
    this.is_reset = false;
    let began_ms = performance.now();
    for await (const { file, path, handle } of found) {
      const refusal = this.refusal_of(file, path, wanted);
      if (refusal) refused.push(refusal);
      else if (file) queue.add(file, { path, handle });
      if (performance.now() > began_ms + BUSY_MS) {
        await new Promise((resolve) => setTimeout(resolve));
        began_ms = performance.now();
      }
      if (queue !== this.page_queue && queue !== this.own_queue) return; // it was disposed of
    }
    this.refused = refused.map(({ path, message }) => `${path}: ${message}`);
    if (refused.length) this.tell('upload-refused', { refused });
    this.draw();
  }

  /** @param {File | null} file @param {string} path @param {Unfinished | null} wanted @returns {Refusal | null} */
  refusal_of(file, path, wanted) {
    const { all_texts: texts, queue } = this;
    if (!file) return { code: 'unreadable', message: texts.unreadable, file, path };
    if (wanted && !incoming.matches(wanted, file)) return { code: 'not_accepted', message: texts.wrong_file(wanted.filename), file, path };
    if (!this.is_multiple) queue.clear(); // one that has ended gives its place to the next
    return check_file(file, queue.restrictions, queue);
  }

  /** Uploads of earlier visits: the element offers those that were begun with it. @param {Unfinished[]} uploads */
  offer(uploads) {
    const ids = owned_by(this.owner);
    const here = this.queue.items.map(({ upload_id }) => upload_id);
    this.begun = uploads.filter(({ upload_id }) => ids.has(upload_id) && !here.includes(upload_id));
    this.draw();
  }

  /** @param {Unfinished} begun */
  async reopen(begun) {
    const { handle, upload_id } = begun;
    const file = handle && await reopen(handle);
    if (file && incoming.matches(begun, file)) await this.add([{ path: file.name, file, handle }]);
    else { // it was moved or changed, or the user has said no: the element asks for it by name
      this.begun = this.begun.map((upload) => (upload.upload_id === upload_id ? { ...upload, handle: null } : upload));
      this.draw();
    }
  }

  // ---- what the user does ----

  /** @param {string} action @param {string} key of its row, or "" */
  act(action, key) {
    const { queue, inputs, panel } = this;
    const item = this.item(key);
    const begun = this.begun.find(({ upload_id }) => upload_id === key);
    this.asks = action === 'cancel_all';
    if (action === 'choose') this.choose(null);
    if (action === 'choose_folder') inputs.folder.click();
    if (action === 'take_photo') inputs.camera.click();
    if (action === 'close') this.refused = [];
    if (action === 'pause_all') queue.pause();
    if (action === 'resume_all') queue.resume();
    if (action === 'retry_all') queue.retry();
    if (action === 'cancel_really') queue.cancel();
    if (action === 'clear') queue.clear();
    if (action === 'continue_all') this.begun.forEach((upload) => upload.handle && !upload.live && this.reopen(upload));
    if (item) {
      if (action === 'pause') item.pause();
      if (action === 'resume' && item.can_resume) item.resume();
      else if (action === 'resume' && item.uploader) item.uploader.pause('unpause'); // another window has paused it
      if (action.startsWith('retry')) item.retry();
      if (action === 'cancel') item.cancel();
      if (action === 'dismiss') queue.remove(item);
    }
    if (begun) {
      if (action === 'continue') this.reopen(begun);
      if (action === 'find_file') this.choose(begun);
      if (action === 'forget') {
        this.begun = this.begun.filter((upload) => upload !== begun);
        disown(key);
        forget(key, this.server_options);
      }
    }
    this.draw();
    if (action === 'show_failed' && panel.view) panel.go_to(panel.view.index_of_failed());
  }

  /** Opens the dialog for files. @param {Unfinished | null} wanted the upload whose file is to be chosen */
  async choose(wanted) {
    this.wanted = wanted;
    if ('showOpenFilePicker' in window) {
      const files = await pick_files({ accept: this.inputs.files.accept, multiple: this.is_multiple && !wanted });
      if (files.length) this.add(files);
    } else {
      this.inputs.files.click();
    }
  }

  // ---- what is shown ----

  /** @param {number} ms */
  draw_in(ms) {
    this.timer = this.timer || setTimeout(() => this.draw(), ms);
  }

  draw() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (!this.isConnected) return;
    const { queue } = this;
    if (this.is_reset) queue.clear();
    const { items, totals } = queue.snapshot();
    this.is_reset = this.is_reset && items.length > 0;
    const { trying_again = '', element: shared } = /** @type {any} */ (incoming && incoming.texts || {});
    if (this.shared_texts !== shared || this.all_texts === TEXTS) this.all_texts = { ...TEXTS, ...shared, ...this.own_texts };
    this.shared_texts = shared;
    const files = items.map(file_now);
    const near = this.closest('[lang]');
    this.compare(items);
    this.panel.draw(view({
      files,
      begun: this.begun.map(({ upload_id, filename, bytes_total, bytes_acked, handle, live }) => (
        { key: upload_id, name: filename, size: bytes_total, bytes_acked, has_handle: handle !== null, live })),
      total: totals,
      refused: this.refused,
      trouble: this.trouble,
      trying_again,
      now_ms: Date.now(),
      disabled: this.is_disabled,
      multiple: this.is_multiple,
      directory: this.hasAttribute('directory'),
      camera: this.hasAttribute('capture') && matchMedia('(pointer: coarse)').matches,
      touch: matchMedia('(pointer: coarse) and (hover: none)').matches,
      max_bytes: this.number('max-bytes') || 0,
      asking_to_cancel: this.asks,
    }, this.all_texts, near ? String(near.getAttribute('lang')) : ''), this.all_texts);
    this.update_form(items);

    const lost = files.find(({ state }) => state === 'retrying');
    if (Boolean(lost) !== this.is_lost) this.speech.hear({ connection: lost ? lost.message : '' });
    this.is_lost = Boolean(lost);
    if (files.some(({ next_retry_at }) => next_retry_at !== null)) this.draw_in(COUNTDOWN_MS);
  }

  get texts() {
    return this.own_texts;
  }

  /** @param {Partial<Texts>} texts entries in place of those for all elements */
  set texts(texts) {
    this.own_texts = texts;
    this.all_texts = TEXTS; // until it draws
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
    for (const { id, state, path, upload_id, message, reason } of items) {
      const old = before.get(id);
      if (!old) this.speech.hear({ added: 1 });
      if (!old || old.state === state) continue;
      const detail = { item: this.item(String(id)), upload_id, message, reason };
      if (state === 'finished' || state === 'cancelled') disown(upload_id);
      if (state === 'finished') this.tell('upload-finished', detail);
      if (state === 'failed') this.tell('upload-failed', detail);
      this.speech.hear({ [state]: [path, message] });
    }
    const value = tickets_of(items);
    const all_finished = value.length > 0 && items.every(({ state }) => state === 'finished' || state === 'cancelled');
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
    const is_busy = items.some(({ ended }) => !ended);
    const is_missing = this.hasAttribute('required') && !value.length;
    internals.setValidity(is_busy ? { customError: true } : { valueMissing: is_missing },
      is_busy ? texts.busy : is_missing ? texts.missing : '', this.panel.anchor());
    if (value.join() === this.tickets_now.join()) return;
    this.tickets_now = value;
    const data = new FormData();
    value.forEach((ticket) => data.append(this.getAttribute('name') || '', ticket));
    internals.setFormValue(this.hasAttribute('name') ? data : null);
    this.tell('change');
  }
}

/** @param {readonly ItemSnapshot[]} items */
function tickets_of(items) {
  return items.filter(({ state }) => state === 'finished').map(({ upload_id }) => upload_id);
}

const { prototype } = IncomingUpload;

// Attributes are properties, too: `max-bytes` is `max_bytes`.
for (const name of [...VALUES, ...FLAGS]) {
  const is_flag = FLAGS.includes(name);
  Object.defineProperty(prototype, name.replace(/-/g, '_'), {
    configurable: true,
    /** @this {IncomingUpload} */
    get() {
      return is_flag ? this.hasAttribute(name) : this.getAttribute(name) || '';
    },
    /** @this {IncomingUpload} @param {any} value */
    set(value) {
      set(this, name, is_flag ? (value ? '' : null) : value === null || value === undefined ? null : String(value));
    },
  });
}

// What every field of a form has.
for (const name of ['form', 'labels', 'validity', 'validationMessage', 'willValidate', 'checkValidity', 'reportValidity']) {
  Object.defineProperty(prototype, name, {
    configurable: true,
    /** @this {IncomingUpload} */
    get() {
      const value = /** @type {any} */ (this.internals)[name];
      return typeof value === 'function' ? value.bind(this.internals) : value;
    },
  });
}

/** Defines the element, unless this or another script has done it. */
export function define() {
  if (typeof customElements !== 'undefined' && !customElements.get('incoming-upload')) {
    customElements.define('incoming-upload', IncomingUpload);
  }
}
