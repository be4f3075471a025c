// The icons, drawn for this element: strokes on a grid of 24 by 24.

import { set, show } from './dom.js';

const SHEET = 'M6 3h8l5 5v13H6zM14 3v5h5';

/** @type {Record<string, string>} */
const PATHS = {
  // Kinds of files.
  file: SHEET,
  text: SHEET + 'M9.5 13h6M9.5 16.5h4',
  image: 'M3 5h18v14H3zM3.5 17.5 9 12l4 4 2.5-2.5 5 5M15.5 9.5h.01',
  video: 'M3 6h12v12H3zM15 11l6-3.5v9L15 13',
  audio: 'M4 9.5v5h4l5 4v-13l-5 4zM17 9q2.5 3 0 6M19.5 6.5q4.5 5.5 0 11',
  archive: 'M4 8.5V20h16V8.5M3 4h18v4.5H3zM10 12.5h4',
  folder: 'M3 5h6l2.5 3H21v11H3z',

  // What a button does.
  pause: 'M9 6v12M15 6v12',
  resume: 'M8 5.5v13L18.5 12z',
  cancel: 'M7 7l10 10M17 7 7 17',

  // How an upload has ended, and where files go.
  good: 'M5 12.5 10 17.5 19 7',
  bad: 'M12 4v9M12 20v.01',
  warn: 'M12 4v8l5 4',
  upload: 'M12 15.5v-11M7.5 9 12 4.5 16.5 9M4 15.5V20h16v-4.5',
};
PATHS.dismiss = PATHS.forget = PATHS.cancel;

const SVG = 'http://www.w3.org/2000/svg';

/** An icon without a name for screen readers: what it says is beside it. @param {string} name @param {string} [look] */
export function icon(name, look) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  if (look) svg.setAttribute('class', look);
  if (look) svg.setAttribute('part', look);
  svg.append(document.createElementNS(SVG, 'path'));
  set_icon(svg, name);
  return svg;
}

/** @param {Element} svg @param {string} name one without an icon hides it */
export function set_icon(svg, name) {
  const path = PATHS[name] || '';
  set(/** @type {Element} */ (svg.firstElementChild), 'd', path);
  show(svg, path);
}
