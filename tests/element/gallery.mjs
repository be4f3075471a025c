// Draws every state of the element: no network, no queue. `?show=a|b` draws only these scenes, `&dir=rtl` from the right,
// `&lang=de` in German.

import { make_panel } from '/static/src/element/panel.js';
import { add_style } from '/static/src/element/styles.js';
import { TEXTS } from '/static/src/element/texts.js';
import GERMAN from '/static/src/texts/de.js';
import { view } from '/static/src/element/view.js';
import { SCENES } from './scenes.mjs';

const asked = new URLSearchParams(location.search).get('show');
const css = await (await fetch('/static/src/element/style.css')).text();
const lang = new URLSearchParams(location.search).get('lang') || 'en';
const texts = lang === 'de' ? { ...GERMAN, ...GERMAN.element } : { trying_again: 'Trying again soon.', ...TEXTS };
const main = document.querySelector('main');
const params = new URLSearchParams(location.search);
for (const name of asked ? asked.split('|') : Object.keys(SCENES)) {
  const host = document.createElement('div');
  host.dir = params.get('dir') || 'ltr';
  const shadow = host.attachShadow({ mode: 'open' });
  add_style(shadow, css);
  const panel = make_panel(shadow, () => {}, () => {});
  const heading = document.createElement('h2');
  heading.textContent = name;
  main.append(heading, host);
  panel.draw(view(SCENES[name], texts, lang), texts);
  if (name === 'over') panel.show_drag(true, false);
}
document.body.dataset.ready = 'yes';
