/*!
 * incoming.js for those who import modules. MIT license. The same script, and the same global `incoming`.
 * Imported where there is no window (pages are made there, not shown), everything is undefined and nothing happens.
 */
import './incoming.js';

const incoming = globalThis.incoming;

export default incoming;
export const { version, Uploader, set_server_hostname, unfinished, matches, forget } = incoming || {};
