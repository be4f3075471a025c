// Elements of the page, made and changed without HTML: whatever a file is called, its name stays a text.

/**
 * Makes an element: `h('ul.list')` has the class and the part "list". @param {string} what @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children
 */
export function h(what, attributes = {}, ...children) {
  const [tag, name] = what.split('.');
  const made = /** @type {HTMLElement} */ (document.createElementNS(`http://www.w3.org/${/svg|path/.test(tag) ? '2000/svg' : '1999/xhtml'}`, tag));
  const all = /** @type {Record<string, string>} */ ({ ...(name && { class: name, part: name }), ...attributes });
  for (const key in all) set(made, key, all[key]);
  made.append(...children);
  return made;
}

// Only what differs is written: otherwise browsers lay the page out again, and WebKit loses clicks on a button.

/** @param {Element} where @param {string} name @param {string | null} value null removes it */
export function set(where, name, value) {
  if (where.getAttribute(name) === value) return;
  if (value === null) where.removeAttribute(name);
  else where.setAttribute(name, value);
}

/** @param {Element} where @param {string} text */
export function put(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

/** @param {Element} where @param {unknown} visible not if it is false, 0, "" or null */
export function show(where, visible) {
  set(where, 'hidden', visible ? null : '');
}

/** @param {HTMLElement} where @param {'transform' | 'height' | 'top'} name @param {string} value */
export function style({ style: all }, name, value) {
  if (all[name] !== value) all[name] = value;
}
