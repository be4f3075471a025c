// incoming-upload.js: <incoming-upload> for pages with scripts. It needs incoming.js before it.

import incoming from '../../incoming.mjs';
import { define } from './incoming_upload.js';
import { server_of } from './server.js';

const { src = '' } = /** @type {HTMLScriptElement} */ (document.currentScript || {});
const server = server_of(src);
// Scripts of another host come from the upload server. A page may name another one afterwards.
if (incoming && server && new URL(src).host !== location.host) incoming.set_server_hostname(server);
define();
