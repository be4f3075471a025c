// One row of the list: a file that is uploaded, or one of an earlier visit.

import { h, put, set, show, style } from './dom.js';
import { icon, set_icon } from './icons.js';

/** @typedef {import('./view.js').Row} RowView */
/** @typedef {import('./texts.js').Texts} Texts */

const TAIL = 9; // characters of a name that stay when it is cut in the middle: a number and the extension
/** Actions whose buttons have a text, because an icon would not say enough. */
const IN_WORDS = ['retry_now', 'retry', 'continue', 'find_file'];

export class Row {
  /** @param {string} key */
  constructor(key) {
    this.key = key;
    this.icon = icon('file');
    this.mark = icon('', 'badge'); // at the picture, so that it moves no text when it appears
    this.picture = h('span.icon', {}, this.icon, this.mark);
    this.stem = h('span.stem');
    this.tail = h('span.tail');
    this.whole = h('span.heard');
    this.name = h('div.name', {}, h('span.cut', { dir: 'auto', 'aria-hidden': 'true' }, this.stem, this.tail), this.whole);
    this.facts = h('bdi.words'); // English in a page that is read from the right, too
    this.bar = new Bar();
    this.go = button('');
    this.stop = button('');
    this.root = h('li.row', { tabindex: '-1', 'data-key': key },
      this.picture, h('div.text', {}, this.name, h('div.facts', {}, this.facts)), this.go, this.stop, this.bar.root);
  }

  /** @param {RowView} row @param {Texts} texts */
  draw(row, texts) {
    const name = row.path.slice(row.path.lastIndexOf('/') + 1);
    const letters = [...name];
    put(this.stem, letters.slice(0, -TAIL).join(''));
    put(this.tail, letters.slice(-TAIL).join(''));
    put(this.whole, row.path);
    set(this.name, 'title', row.path);
    set_icon(this.icon, row.kind);

    const facts = row.facts.join(' · ');
    set_icon(this.mark, row.tone);
    put(this.facts, facts);
    set(this.facts, 'title', facts);
    set(this.root, 'data-tone', row.tone);
    set(this.root, 'class', `row${row.bar ? ' moving' : ''}${row.waits ? ' waits' : ''}${IN_WORDS.includes(row.go) ? ' worded' : ''}`);
    this.bar.draw(row.bar, row.fraction, texts.progress_of(name));

    set_button(this.go, row.go, name, texts);
    set_button(this.stop, row.stop, name, texts);
  }
}

/** A progress bar. */
export class Bar {
  constructor() {
    this.fill = h('div.fill');
    this.root = h('div.bar', { role: 'progressbar' }, this.fill);
  }

  /** @param {boolean} visible @param {number} fraction @param {string} label */
  draw(visible, fraction, label) {
    show(this.root, visible);
    set(this.root, 'aria-label', label);
    set(this.root, 'aria-valuenow', String(Math.floor(100 * fraction)));
    style(this.fill, 'transform', `scaleX(${fraction.toFixed(4)})`);
  }
}

/** @param {string} action @param {string} [look] @param {(Node | string)[]} children */
export function button(action, look = 'square', ...children) {
  return h('button.button', { type: 'button', class: look, 'data-action': action }, ...children);
}

/**
 * @param {HTMLElement} where @param {string} action "" hides it @param {string} name what it is about, for screen readers
 * @param {Texts} texts
 */
function set_button(where, action, name, texts) {
  show(where, action !== '');
  const label = String(/** @type {any} */ (texts)[action]);
  const aria_label = `${label}: ${name}`;
  if (!action || where.ariaLabel === aria_label) return;
  const in_words = IN_WORDS.includes(action);
  where.ariaLabel = aria_label;
  where.title = in_words ? '' : label;
  where.className = in_words ? `${action === 'continue' ? 'main' : 'quiet'} small` : 'square';
  set(where, 'data-action', action);
  where.replaceChildren(in_words ? label : icon(action));
}
