// What is drawn into the element's shadow tree, from a view. It knows no upload: buttons say what was asked for.

import { h, put, set, show, style } from './dom.js';
import { icon } from './icons.js';
import { Bar, Row, button } from './row.js';

/** @typedef {import('./view.js').View} View */
/** @typedef {import('./view.js').Row} RowView */
/** @typedef {import('./texts.js').Texts} Texts */

const MANY = 60; // from here on, rows have one height, and only those in sight exist
const ROWS_OUT_OF_SIGHT = 8;
const MAX_ROWS_IN_SIGHT = 40;
const FEW = 6; // so many are in sight at the same time
const TOTAL_ACTIONS = ['retry_all', 'pause_all', 'resume_all', 'cancel_all', 'clear', 'keep', 'cancel_really'];

/** An element whose text does not change: an entry of the table. @param {string} what @param {string} key @param {Record<string, string>} [more] */
const label = (what, key, more) => h(what, { 'data-text': key, ...more });

/** @param {string} action @param {string} look @param {string} [key] of its text */
const worded = (action, look, key = action) => {
  const made = button(action, look);
  if (key) set(made, 'data-text', key);
  return made;
};

export class Panel {
  /**
   * @param {ShadowRoot} shadow
   * @param {(action: string, key: string) => void} on a button was pressed; `key` is that of its row, or ""
   * @param {(row: Row) => void} on_new_row for its picture
   */
  constructor(shadow, on, on_new_row) {
    this.shadow = shadow;
    this.view = /** @type {View | null} */ (null);
    this.texts = /** @type {Texts | null} */ (null);
    this.row_px = 0; // the height of each, if there are many
    this.follows = true; // until a person scrolls
    this.is_over = false;
    this.parked = /** @type {Element | null | undefined} */ (null); // where the focus waits

    this.trouble_text = h('span', { dir: 'auto' });
    this.trouble = h('div.trouble', { role: 'alert', hidden: '' }, icon('bad', 'badge'), this.trouble_text);

    this.continue_all = worded('continue_all', 'quiet small');
    this.begun_list = h('ul.list', { role: 'list' });
    this.begun = h('div.begun', { class: 'card', role: 'group', 'aria-labelledby': 'begun' },
      h('div.head', {}, label('strong', 'continue_title', { id: 'begun' }), this.continue_all), this.begun_list);

    this.title = h('bdi.title');
    this.hint = h('bdi.hint');
    this.choose = button('choose', 'main');
    this.folder = worded('choose_folder', 'quiet');
    this.camera = worded('take_photo', 'quiet');
    this.zone = h('div.dropzone', {},
      h('span.sign', {}, icon('upload')), h('span.text', {}, this.title, this.hint),
      h('span.buttons', {}, this.choose, this.folder, this.camera));

    this.refused_title = h('strong');
    this.refused_list = h('ul');
    this.close = button('close', 'square', icon('cancel'));
    this.refused = h('div.refused', {}, icon('bad', 'badge'), h('div.text', {}, this.refused_title, this.refused_list), this.close);

    this.headline = h('bdi.headline');
    this.failed = h('bdi');
    this.show_failed = button('show_failed', 'link', this.failed);
    this.numbers = h('bdi');
    this.total_bar = new Bar();
    this.question = label('strong.question', 'cancel_really');
    /** @type {Record<string, HTMLElement>} */
    this.buttons = {};
    for (const name of TOTAL_ACTIONS) {
      const is_last = name === 'cancel_really';
      this.buttons[name] = worded(name, is_last ? 'danger small' : 'quiet small', is_last ? 'cancel_all' : name);
    }
    this.total = h('div.total', { tabindex: '-1', role: 'group' },
      h('div.sums', {}, this.headline, this.show_failed, h('div.facts', {}, this.numbers), this.question),
      h('div.buttons', {}, ...Object.values(this.buttons)), this.total_bar.root);
    this.list = h('ul.list', { role: 'list' });
    this.scroller = h('div.scroller', {}, this.list);
    this.card = h('div.files', { class: 'card' }, this.total, this.scroller);

    this.news = h('p.heard', { role: 'status' });
    this.curtain = h('div.curtain', { hidden: '' }, icon('upload'), label('strong', 'drop_now'));
    this.root = h('div.root', {}, this.trouble, this.begun, this.zone, this.refused, this.card, this.news, this.curtain);
    shadow.append(this.root);
    this.begun_rows = new Rows(this.begun_list, () => {});
    this.rows = new Rows(this.list, on_new_row);
    this.root.addEventListener('click', ({ target }) => {
      const pressed = /** @type {Element} */ (target).closest('[data-action]');
      if (pressed) on(String(pressed.getAttribute('data-action')), key_of(pressed));
    });
    this.scroller.addEventListener('scroll', () => this.draw_rows());
    for (const type of ['wheel', 'touchmove', 'keydown', 'pointerdown']) {
      this.scroller.addEventListener(type, () => { this.follows = false; }, { passive: true });
    }
  }

  /** @param {View} view @param {Texts} texts */
  draw(view, texts) {
    const restore_focus = focus_of(this);
    if (this.texts !== texts) this.draw_labels(texts);
    this.view = view;
    this.texts = texts;
    put(this.trouble_text, view.trouble);
    show(this.trouble, view.trouble !== '');

    show(this.begun, view.begun.length > 0);
    show(this.continue_all, view.continue_all);
    this.begun_rows.draw(view.begun.map((_, index) => index), (index) => view.begun[index], texts);

    set(this.zone, 'class', `dropzone ${view.zone}`);
    show(this.zone, view.zone !== '');
    put(this.title, view.title);
    put(this.hint, view.hint);
    put(this.choose, view.choose);
    set(this.choose, 'class', view.zone === 'large' ? 'main' : 'quiet');
    show(this.folder, view.directory);
    show(this.camera, view.camera);

    show(this.refused, view.refused.length > 0);
    put(this.refused_title, view.refused_title);
    if (this.refused_list.textContent !== view.refused.join('')) {
      this.refused_list.replaceChildren(...view.refused.map((line) => h('li', { dir: 'auto' }, line)));
    }

    show(this.card, view.count > 0);
    show(this.total, view.total !== null);
    if (view.total) this.draw_total(view.total, texts);
    this.draw_rows();
    this.follow(view);
    this.root.querySelectorAll('button').forEach((each) => { each.disabled = view.disabled; });
    this.draw_class();
    restore_focus();
  }

  /** @param {Texts} texts */
  draw_labels(texts) {
    const table = /** @type {any} */ (texts);
    this.root.querySelectorAll('[data-text]').forEach((each) => put(each, table[String(each.getAttribute('data-text'))]));
    this.list.ariaLabel = texts.uploads;
    this.begun_list.ariaLabel = texts.continue_title;
    this.total.ariaLabel = texts.all_progress;
    this.close.ariaLabel = this.close.title = texts.close;
  }

  /** @param {NonNullable<View['total']>} total @param {Texts} texts */
  draw_total({ headline, failed, facts, tone, actions, asks, fraction }, texts) {
    put(this.headline, headline);
    put(this.failed, failed);
    show(this.show_failed, failed !== '');
    put(this.numbers, facts.join(' · '));
    set(this.total, 'class', `total${asks ? ' asks' : ''}`);
    set(this.total, 'data-tone', tone);
    for (const name of TOTAL_ACTIONS) show(this.buttons[name], actions.includes(name));
    this.total_bar.draw(true, fraction, texts.all_progress);
  }

  draw_rows() {
    const { view, texts } = this;
    if (!view || !texts) return;
    const { count, row_at } = view;
    const is_many = count > MANY;
    set(this.list, 'class', `list${is_many ? ' many' : ''}`);
    const first = is_many ? Math.max(0, Math.floor(this.scroller.scrollTop / (this.row_px || 64)) - ROWS_OUT_OF_SIGHT) : 0;
    const length = Math.min(count - first, is_many ? MAX_ROWS_IN_SIGHT : MANY);
    const indices = Array.from({ length }, (_, index) => first + index);
    const focused = view.index_of(key_of(this.shadow.activeElement)); // it stays, wherever the list is scrolled to
    if (focused >= 0 && focused < first) indices.unshift(focused);
    if (focused >= first + length) indices.push(focused);
    this.rows.draw(indices, row_at, texts);
    // Measured once, since reading it makes the browser lay out the page.
    if (is_many && !this.row_px) this.row_px = /** @type {HTMLElement} */ (this.list.firstElementChild).offsetHeight;
    style(this.list, 'height', is_many ? `${this.row_px * count}px` : '');
    for (const index of indices) {
      const { root } = /** @type {Row} */ (this.rows.all.get(row_at(index).key));
      style(root, 'top', is_many ? `${index * this.row_px}px` : '');
      set(root, 'aria-setsize', is_many ? String(count) : null);
      set(root, 'aria-posinset', is_many ? String(index + 1) : null);
    }
  }

  /** Turns to the first open upload once it is out of sight below: once for several files, since that is calmer. @param {View} view */
  follow({ count, index_of_open, row_at }) {
    const index = index_of_open();
    if (!this.follows || count < FEW || index < 0) return;
    const row = this.rows.all.get(row_at(index).key);
    const top = count > MANY || !row ? index * this.row_px : row.root.offsetTop;
    if (top > this.scroller.scrollTop + this.scroller.clientHeight - 32) this.scroll_to(top);
  }

  /** @param {number} top */
  scroll_to(top) {
    this.scroller.scrollTop = top;
    this.draw_rows();
  }

  /** Brings a row into sight, and gives it the focus. @param {number} index */
  go_to(index) {
    const { view } = this;
    if (!view || index < 0) return;
    if (view.count > MANY) this.scroll_to(index * this.row_px);
    const row = this.rows.all.get(view.row_at(index).key);
    if (row) row.go.focus();
  }

  /** @param {boolean} is_over files hang over the element, or over the page @param {boolean} anywhere */
  show_drag(is_over, anywhere) {
    show(this.curtain, is_over && anywhere);
    this.is_over = is_over && !anywhere;
    this.draw_class();
  }

  draw_class() {
    set(this.root, 'class', `root${this.view && this.view.disabled ? ' disabled' : ''}${this.is_over ? ' over' : ''}`);
  }

  /** What the browser points at when the form can't be submitted. */
  anchor() {
    return this.zone.hidden ? this.card : this.choose;
  }
}

/** The rows of a list, one for each key, in the order of the view. */
class Rows {
  /** @param {HTMLElement} list @param {(row: Row) => void} on_new */
  constructor(list, on_new) {
    this.list = list;
    this.on_new = on_new;
    this.all = /** @type {Map<string, Row>} */ (new Map());
  }

  /** @param {number[]} indices of those that exist @param {(index: number) => RowView} row_at @param {Texts} texts */
  draw(indices, row_at, texts) {
    const before = this.all;
    this.all = new Map();
    for (const index of indices) {
      const view = row_at(index);
      const row = before.get(view.key) || new Row(view.key);
      if (!before.delete(view.key)) this.on_new(row);
      this.all.set(view.key, row);
      row.draw(view, texts);
    }
    before.forEach(({ root }) => root.remove());
    let next = this.list.firstElementChild;
    for (const { root } of this.all.values()) {
      if (root === next) next = next.nextElementSibling;
      else this.list.insertBefore(root, next); // which keeps the focus of all others
    }
  }
}

/** The key of the row that something is in, or "". @param {Element | null} inside */
function key_of(inside) {
  const row = inside && inside.closest('[data-key]');
  return row ? String(row.getAttribute('data-key')) : '';
}

/**
 * Remembers where the focus is. The returned function brings it to a place near by, if that is gone then: to what is in its
 * row, to the row in its place, to what is about all files, or to the button that adds some.
 * @param {Panel} panel
 */
function focus_of(panel) {
  const { shadow, buttons, total, list, choose } = panel;
  const { activeElement: element } = shadow;
  const row = element && element.closest('[data-key]');
  const rows = row && row.parentElement ? row.parentElement.children : [];
  const index = [...rows].indexOf(/** @type {Element} */ (row));
  const is_there = (/** @type {Element | null | undefined} */ each) => Boolean(each && each.getClientRects().length);
  return () => {
    if (!element || is_there(element) && shadow.activeElement === element && element !== panel.parked) return;
    const near = [row, rows[index], rows[index - 1], ...Object.values(buttons), total, choose, list.firstElementChild].find(is_there);
    const inside = near && [...near.querySelectorAll('button')].find(is_there);
    const target = /** @type {HTMLElement | undefined} */ (inside || near);
    if (target) target.focus({ preventScroll: true });
    panel.parked = inside ? null : target; // a row without buttons, until it has one
  };
}
