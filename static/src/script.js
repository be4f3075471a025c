// incoming.js: for pages that load a script.

import { install } from './library.js';

install();
