// The rows of a list, one for each key, in the order of the view.

import { make_row } from './row.js';

/** @typedef {import('./row.js').Row} Row */

/** @param {HTMLElement} list @param {(row: Row) => void} on_new */
export function make_rows(list, on_new) {
  let all = /** @type {Map<string, Row>} */ (new Map());
  return {
    /** @param {string} key */
    get: (key) => all.get(key),

    /**
     * @param {number[]} indices of those that exist @param {(index: number) => import('./view.js').Row} row_at
     * @param {import('./texts.js').Texts} texts
     */
    draw(indices, row_at, texts) {
      const before = all;
      all = new Map();
      for (const index of indices) {
        const view = row_at(index);
        const row = before.get(view.key) || make_row(view.key);
        if (!before.delete(view.key)) on_new(row);
        all.set(view.key, row);
        row.draw(view, texts);
      }
      before.forEach(({ root }) => root.remove());
      let next = list.firstElementChild;
      for (const { root } of all.values()) {
        if (root === next) next = next.nextElementSibling;
        else list.insertBefore(root, next); // which keeps the focus of all others
      }
    },
  };
}
