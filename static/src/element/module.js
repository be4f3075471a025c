// element.mjs: <incoming-upload> for pages with modules.

import { define } from './incoming_upload.js';

export { IncomingUpload } from './incoming_upload.js';

define();
