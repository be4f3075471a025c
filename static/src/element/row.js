// One row of the list: a file or a folder that is uploaded, or one of an earlier visit.

import { h, put, set, show, style } from './dom.js';
import { icon, set_icon } from './icons.js';

/** @typedef {ReturnType<typeof make_row>} Row */
/** @typedef {import('./texts.js').Texts} Texts */

/**
 * What stays of a name when it is cut in the middle: a number and the extension. Only before a letter of ASCII is it certain
 * that the cut parts nothing that is drawn together: joined letters, an emoji of several characters, an accent.
 */
const TAIL = /(?<=.{4}|$)[ -~]{0,9}$/s;
/** Whether the button of an action has a text, because an icon would not say enough. @param {string} action */
const is_in_words = (action) => /^(retry|continue|find)/.test(action);

/** @param {string} key */
export function make_row(key) {
  const picture = icon('file');
  const mark = icon('', 'svg.badge'); // at the picture, so that it moves no text when it appears
  const stem = h('span.stem');
  const tail = h('span.tail');
  const whole = h('span.heard');
  const name = h('div.name', {}, h('span.cut', { dir: 'auto', 'aria-hidden': 'true' }, stem, tail), whole);
  const words = h('bdi.words'); // English in a page that is read from the right, too
  const inside = h('bdi.inside');
  const bar = make_bar();
  const go = make_button('');
  const stop = make_button('');
  const root = h('li.row', { tabindex: '-1', 'data-key': key },
    h('span.icon', {}, picture, mark), h('div.text', {}, name, h('div.facts', {}, words, inside)), go, stop, bar.root);

  /** @param {import('./view.js').Row} row @param {Texts} texts */
  function draw(row, texts) {
    const { path } = row;
    const file = path.replace(/.*\//s, '');
    const cut = file.search(TAIL);
    put(stem, file.slice(0, cut));
    put(tail, file.slice(cut));
    put(whole, path);
    set(name, 'title', path);
    set_icon(picture, row.kind);

    set_icon(mark, row.tone);
    put_facts(words, row.facts);
    put_facts(inside, row.inside);
    set(inside, 'class', row.lacks ? 'inside lacks' : 'inside');
    set(root, 'data-tone', row.tone);
    set(root, 'class', `row${row.bar ? ' moving' : ''}${row.waits ? ' waits' : ''}${is_in_words(row.go) ? ' worded' : ''}`);
    bar.draw(row.bar, row.fraction, texts.progress_of(file));

    set_button(go, row.go, file, texts);
    set_button(stop, row.stop, file, texts);
  }

  return { key, root, go, picture, draw };
}

/** @param {HTMLElement} where @param {string[]} facts */
function put_facts(where, facts) {
  const text = facts.join(' · ');
  put(where, text);
  set(where, 'title', text);
}

/** A progress bar. */
export function make_bar() {
  const fill = h('div.fill');
  const root = h('div.bar', { role: 'progressbar' }, fill);
  /** @param {boolean} visible @param {number} fraction @param {string} label */
  function draw(visible, fraction, label) {
    show(root, visible);
    set(root, 'aria-label', label);
    set(root, 'aria-valuenow', String(Math.floor(100 * fraction)));
    style(fill, 'transform', `scaleX(${fraction.toFixed(4)})`);
  }
  return { root, draw };
}

/** @param {string} action @param {string} [look] @param {(Node | string)[]} children */
export function make_button(action, look = 'square', ...children) {
  return h('button.button', { type: 'button', class: look, 'data-action': action }, ...children);
}

/**
 * @param {HTMLElement} where @param {string} action "" hides it @param {string} name what it is about, for screen readers
 * @param {Texts} texts
 */
function set_button(where, action, name, texts) {
  show(where, action);
  const label = String(/** @type {any} */ (texts)[action]);
  const aria_label = `${label}: ${name}`;
  if (!action || where.ariaLabel === aria_label) return;
  const in_words = is_in_words(action);
  where.ariaLabel = aria_label;
  where.title = in_words ? '' : label;
  where.className = in_words ? `${action === 'continue' ? 'main' : 'quiet'} small` : 'square';
  set(where, 'data-action', action);
  where.replaceChildren(in_words ? label : icon(action));
}
