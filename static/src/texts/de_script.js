// texts/de.js: for pages that load scripts. It comes after incoming.js.

import incoming from '../../incoming.mjs';
import german from './de.js';

incoming.set_texts(german);
