// The icons, drawn for this element: strokes on a grid of 24 by 24.

import { h, set, show } from './dom.js';

const SHEET = 'M6 3h8l5 5v13H6zM14 3v5h5';

/** @type {Record<string, string>} */
const PATHS = {
  // Kinds of files.
  file: SHEET,
  text: SHEET + 'M9 13h6M9 16h4',
  image: 'M3 5h18v14H3zM3 18l6-6 4 4 3-3 5 5M15 9h.01',
  video: 'M3 6h12v12H3zM15 11l6-4v10l-6-4',
  audio: 'M4 10v4h4l5 4V6l-5 4zM17 9q2 3 0 6M19 6q5 6 0 12',
  archive: 'M4 9v11h16V9M3 4h18v5H3zM10 13h4',
  folder: 'M3 5h6l3 3h9v11H3z',

  // What a button does.
  pause: 'M9 6v12M15 6v12',
  resume: 'M8 6v12l10-6z',
  cancel: 'M7 7l10 10M17 7L7 17',

  // How an upload has ended, and where files go.
  good: 'M5 12l5 5L19 7',
  bad: 'M12 4v9M12 20v.01',
  warn: 'M12 4v8l5 4',
  upload: 'M12 16V5M8 9l4-4 4 4M4 16v4h16v-4',
};
PATHS.dismiss = PATHS.forget = PATHS.cancel;

/** An icon without a name for screen readers: its meaning is in the text next to it. @param {string} name @param {string} [what] it is an `svg.badge`, for example */
export function icon(name, what = 'svg') {
  const svg = h(what, { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, h('path'));
  set_icon(svg, name);
  return svg;
}

/** @param {Element} svg @param {string} name one without an icon hides it */
export function set_icon(svg, name) {
  const path = PATHS[name] || '';
  set(/** @type {Element} */ (svg.firstElementChild), 'd', path);
  show(svg, path);
}
