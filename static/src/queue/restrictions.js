// Which files a page takes: checked before anybody is asked for a ticket.

import { readable_size, text } from './texts.js';

/**
 * @typedef {import('../../queue.mjs').Restrictions} Restrictions
 * @typedef {import('../../queue.mjs').Refusal} Refusal
 * @typedef {File | incoming.Folder} Source
 * @typedef {{files: number, bytes_total: number, has: (file: Source, path?: string) => boolean}} Listed what is in the list already
 */

/** @type {Listed} */
const NOTHING = { files: 0, bytes_total: 0, has: () => false };

/**
 * Returns why a file can't be taken, or null.
 * @param {Source} file @param {Restrictions} restrictions @param {Listed} [listed] @param {string} [path]
 * @returns {Refusal | null}
 */
export function refusal_of(file, restrictions, listed = NOTHING, path = path_of(file)) {
  const { max_bytes, min_bytes, accept, max_files, max_total_bytes, disallow_duplicates } = restrictions;
  /** @type {(code: Refusal['code'], message: string) => Refusal} */
  const refuse = (code, message) => ({ code, message, file, path });
  if (disallow_duplicates && listed.has(file, path)) return refuse('duplicate', text('duplicate'));
  if (!('files_total' in file) && !is_accepted(file, accept)) return refuse('not_accepted', text('not_accepted'));
  if (is_above(file.size, max_bytes)) return refuse('too_large', text('too_large')(readable_size(max_bytes)));
  if (min_bytes && file.size < min_bytes) return refuse('too_small', text('too_small')(readable_size(min_bytes)));
  if (is_above(listed.files + 1, max_files)) return refuse('too_many', text('too_many')(max_files));
  if (is_above(listed.bytes_total + file.size, max_total_bytes)) {
    return refuse('total_too_large', text('total_too_large')(readable_size(max_total_bytes)));
  }
  return null;
}

/**
 * Whether a number is above a limit; there may be none.
 * @param {number} number @param {number | null | undefined} limit
 * @returns {limit is number}
 */
function is_above(number, limit) {
  return typeof limit === 'number' && number > limit;
}

/**
 * Whether the file is of one of the types, as the attribute `accept` of a file input has them.
 * @param {File} file @param {string | readonly string[] | null | undefined} accept
 */
export function is_accepted(file, accept) {
  const wanted = (Array.isArray(accept) ? accept : String(accept || '').split(','))
    .map((/** @type {string} */ one) => one.trim().toLowerCase())
    .filter((/** @type {string} */ one) => one);
  if (!wanted.length) return true;
  const name = (file.name || '').toLowerCase();
  const type = (file.type || '').toLowerCase().split(';')[0].trim();
  return wanted.some((/** @type {string} */ one) => {
    if (one[0] === '.') return name.endsWith(one);
    if (one === '*' || one === '*/*') return true;
    return one.endsWith('/*') ? type.startsWith(one.slice(0, -1)) : type === one;
  });
}

/** A file's path in the folder that was chosen, or its name. @param {Source} file */
export function path_of(file) {
  return /** @type {any} */ (file).webkitRelativePath || file.name || '';
}
