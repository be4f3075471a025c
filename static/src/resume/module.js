// resume.mjs: uploads that continue after a reload without choosing their files again.

import { listen } from './handles.js';

export { keep_awake } from './awake.js';
export { forget, recall, remember, reopen } from './handles.js';
export { unfinished, watch_unfinished } from './list.js';
export { pick_files, pick_with_handles } from './pick.js';

if (typeof window !== 'undefined') listen();
