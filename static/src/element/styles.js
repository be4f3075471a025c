// The style sheet in a shadow tree: one object for all elements, which no Content Security Policy forbids.

/** @type {CSSStyleSheet} */
let sheet;

/** @param {ShadowRoot} shadow @param {string} css */
export function add_style(shadow, css) {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
  }
  shadow.adoptedStyleSheets = [sheet];
}
