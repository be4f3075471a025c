// What is drawn into the element's shadow tree, from a view. It knows no upload: buttons say what was asked for.

import { h, put, set, show, style } from './dom.js';
import { icon } from './icons.js';
import { make_bar, make_button } from './row.js';
import { make_rows } from './rows.js';

/** @typedef {import('./view.js').View} View */
/** @typedef {import('./row.js').Row} Row */
/** @typedef {import('./texts.js').Texts} Texts */

const MANY = 60; // from here on, rows have one height, and only those in sight exist
const ROWS_OUT_OF_SIGHT = 8;
const MAX_ROWS_IN_SIGHT = 40;
const FEW = 6; // how many are in sight at the same time
const TOTAL_ACTIONS = ['retry_all', 'pause_all', 'resume_all', 'cancel_all', 'clear', 'keep', 'cancel_really'];

// What has `data-text` shows this entry of the table.

/** @param {string} action @param {string} look @param {string} [key] of its text */
const worded = (action, look, key = action) => h('button.button', { type: 'button', class: look, 'data-action': action, 'data-text': key });

/**
 * @param {ShadowRoot} shadow
 * @param {(action: string, key: string) => void} on a button was pressed; `key` is that of its row, or ""
 * @param {(row: Row) => void} on_new_row for its picture
 */
export function make_panel(shadow, on, on_new_row) {
  let view = /** @type {View | null} */ (null);
  let texts = /** @type {Texts | null} */ (null);
  let row_px = 0; // the height of each, if there are many
  let follows = true; // until a person scrolls
  let is_over = false;
  let parked = /** @type {Element | null | undefined} */ (null); // where the focus waits

  const trouble_text = h('span', { dir: 'auto' });
  const trouble = h('div.trouble', { role: 'alert', hidden: '' }, icon('bad', 'svg.badge'), trouble_text);

  const continue_all = worded('continue_all', 'quiet small');
  const begun_list = h('ul.list', { role: 'list' });
  const begun = h('div.begun', { class: 'card', role: 'group' },
    h('div.head', {}, h('strong', { 'data-text': 'continue_title' }), continue_all), begun_list);

  const title = h('bdi.title');
  const hint = h('bdi.hint');
  const choose = make_button('choose', 'main');
  const folder = worded('choose_folder', 'quiet');
  const camera = worded('take_photo', 'quiet');
  const zone = h('div.dropzone', {},
    h('span.sign', {}, icon('upload')), h('span.text', {}, title, hint), h('span.buttons', {}, choose, folder, camera));

  const refused_title = h('strong');
  const refused_list = h('ul');
  const close = make_button('close', 'square', icon('cancel'));
  const refused = h('div.refused', {}, icon('bad', 'svg.badge'), h('div.text', {}, refused_title, refused_list), close);

  const headline = h('bdi.headline');
  const failed = h('bdi');
  const show_failed = make_button('show_failed', 'link', failed);
  const numbers = h('bdi');
  const total_bar = make_bar();
  const buttons = TOTAL_ACTIONS.map((name) => (
    name === 'cancel_really' ? worded(name, 'danger small', 'cancel_all') : worded(name, 'quiet small')));
  const total = h('div.total', { tabindex: '-1', role: 'group' },
    h('div.sums', {}, headline, show_failed, h('div.facts', {}, numbers), h('strong.question', { 'data-text': 'cancel_really' })),
    h('div.buttons', {}, ...buttons), total_bar.root);
  const list = h('ul.list', { role: 'list' });
  const scroller = h('div.scroller', {}, list);
  const card = h('div.files', { class: 'card' }, total, scroller);

  const news = h('p.heard', { role: 'status' });
  const curtain = h('div.curtain', { class: 'curtain dropzone large', hidden: '' }, icon('upload'), h('strong', { 'data-text': 'drop_now' }));
  const root = h('div.root', {}, trouble, begun, zone, refused, card, news, curtain);
  shadow.append(root);
  const begun_rows = make_rows(begun_list, () => {});
  const rows = make_rows(list, on_new_row);
  root.addEventListener('click', ({ target }) => {
    const pressed = /** @type {HTMLElement | null} */ (/** @type {Element} */ (target).closest('[data-action]'));
    if (pressed) on(String(pressed.dataset.action), key_of(pressed));
  });
  scroller.addEventListener('scroll', draw_rows);
  for (const type of ['wheel', 'keydown', 'pointerdown']) {
    scroller.addEventListener(type, () => { follows = false; }, { passive: true });
  }

  /** @param {View} now @param {Texts} table */
  function draw(now, table) {
    const restore_focus = remember_focus();
    if (texts !== table) draw_labels(table);
    view = now;
    texts = table;
    put(trouble_text, now.trouble);
    show(trouble, now.trouble);

    show(begun, now.begun.length);
    show(continue_all, now.continue_all);
    begun_rows.draw([...now.begun.keys()], (index) => now.begun[index], table);

    set(zone, 'class', `dropzone ${now.zone}`);
    show(zone, now.zone);
    put(title, now.title);
    put(hint, now.hint);
    put(choose, now.choose);
    set(choose, 'class', now.zone === 'large' ? 'main' : 'quiet');
    show(folder, now.directory);
    show(camera, now.camera);

    show(refused, now.refused.length);
    put(refused_title, now.refused_title);
    if (refused_list.textContent !== now.refused.join('')) {
      refused_list.replaceChildren(...now.refused.map((line) => h('li', { dir: 'auto' }, line)));
    }

    show(card, now.count);
    show(total, now.total);
    if (now.total) draw_total(now.total, table);
    draw_rows();
    follow(now);
    root.querySelectorAll('button').forEach((each) => { each.disabled = now.disabled; });
    draw_class();
    restore_focus();
  }

  /** @param {Texts} table */
  function draw_labels(table) {
    root.querySelectorAll('[data-text]').forEach((each) => (
      put(each, /** @type {any} */ (table)[String(/** @type {HTMLElement} */ (each).dataset.text)])));
    list.ariaLabel = table.uploads;
    begun.ariaLabel = begun_list.ariaLabel = table.continue_title;
    total.ariaLabel = table.all_progress;
    close.ariaLabel = close.title = table.close;
  }

  /** @param {NonNullable<View['total']>} sums @param {Texts} table */
  function draw_total(sums, table) {
    put(headline, sums.headline);
    put(failed, sums.failed);
    show(show_failed, sums.failed);
    put(numbers, sums.facts.join(' · '));
    set(total, 'class', `total${sums.asks ? ' asks' : ''}`);
    set(total, 'data-tone', sums.tone);
    TOTAL_ACTIONS.forEach((name, index) => show(buttons[index], sums.actions.includes(name)));
    total_bar.draw(true, sums.fraction, table.all_progress);
  }

  function draw_rows() {
    if (!view || !texts) return;
    const { count, row_at } = view;
    const is_many = count > MANY;
    set(list, 'class', `list${is_many ? ' many' : ''}`);
    const first = is_many ? scroller.scrollTop / (row_px || 64) - ROWS_OUT_OF_SIGHT : 0;
    const focused = view.index_of(key_of(shadow.activeElement)); // it stays, wherever the list is scrolled to
    const indices = [...Array(count).keys()].filter((index) => (
      index === focused || index >= first && index < first + (is_many ? MAX_ROWS_IN_SIGHT : MANY)));
    rows.draw(indices, row_at, texts);
    // Measured once, since reading it makes the browser lay out the page.
    if (is_many && !row_px) row_px = /** @type {HTMLElement} */ (list.firstElementChild).offsetHeight;
    style(list, 'height', is_many ? `${row_px * count}px` : '');
    for (const index of indices) {
      const { root: row } = /** @type {Row} */ (rows.get(row_at(index).key));
      style(row, 'top', is_many ? `${index * row_px}px` : '');
      set(row, 'aria-setsize', is_many ? String(count) : null);
      set(row, 'aria-posinset', is_many ? String(index + 1) : null);
    }
  }

  /** Turns to the first open upload once it is out of sight below: once for several files, since that is calmer. @param {View} now */
  function follow({ count, index_of_open, row_at }) {
    const index = index_of_open();
    if (!follows || count < FEW || index < 0) return;
    const row = rows.get(row_at(index).key);
    const top = count > MANY || !row ? index * row_px : row.root.offsetTop;
    if (top > scroller.scrollTop + scroller.clientHeight - 32) scroll_to(top);
  }

  /** @param {number} top */
  function scroll_to(top) {
    scroller.scrollTop = top;
    draw_rows();
  }

  /** Brings the first upload that has failed into sight, and gives it the focus. */
  function go_to_failed() {
    const index = view ? view.index_of_failed() : -1;
    if (!view || index < 0) return;
    if (view.count > MANY) scroll_to(index * row_px);
    rows.get(view.row_at(index).key)?.go.focus();
  }

  /** @param {boolean} over files hang over the element, or over the page @param {boolean} anywhere */
  function show_drag(over, anywhere) {
    show(curtain, over && anywhere);
    is_over = over && !anywhere;
    draw_class();
  }

  function draw_class() {
    set(root, 'class', `root${view?.disabled ? ' disabled' : ''}${is_over ? ' over' : ''}`);
  }

  /**
   * Remembers where the focus is. The returned function brings it to a place near by, if that is gone then: to what is in its
   * row, to the row in its place, to what is about all files, or to the button that adds some.
   */
  function remember_focus() {
    const { activeElement: element } = shadow;
    const row = element?.closest('[data-key]');
    const previous = row?.previousElementSibling;
    const next = row?.nextElementSibling;
    const is_there = (/** @type {Element | null | undefined} */ each) => each?.getClientRects().length;
    return () => {
      if (!element || is_there(element) && shadow.activeElement === element && element !== parked) return;
      const near = [row, next, previous, ...buttons, total, choose, list.firstElementChild].find(is_there);
      const inside = near && [...near.querySelectorAll('button')].find(is_there);
      const target = /** @type {HTMLElement | undefined} */ (inside || near);
      target?.focus({ preventScroll: true });
      parked = inside ? null : target; // a row without buttons, until it has one
    };
  }

  return {
    draw,
    show_drag,
    go_to_failed,
    /** Where screen readers look for news. */
    news,
    /** What the browser points at when the form can't be submitted. */
    anchor: () => (zone.hidden ? card : choose),
  };
}

/** The key of the row that something is in, or "". @param {Element | null} inside */
function key_of(inside) {
  return /** @type {HTMLElement | null | undefined} */ (inside?.closest('[data-key]'))?.dataset.key || '';
}
