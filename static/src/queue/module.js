// queue.mjs: many uploads, a few at a time.

export { files_of } from './files.js';
export { files_in } from './folders.js';
export { formats } from './format.js';
export { Queue, check_file } from './queue.js';
export { is_accepted } from './restrictions.js';
export { ticket_from } from './tickets.js';
