// incoming.mjs: for those who import modules. It sets the global `incoming`, too.

import { install } from './library.js';

const library = install();

export default library;
export const { version, Uploader, set_server_hostname, set_texts, list_folder, unfinished, matches, forget } = library;
