// A folder of which only those files are uploaded that are accepted.

import incoming from '../../incoming.mjs';
import { refusal_of } from './restrictions.js';

/** @typedef {import('../../queue.mjs').Refusal} Refusal */

/**
 * Lists a folder, without the files that are not accepted.
 * @param {any} source as `incoming.list_folder` takes it @param {import('../../queue.mjs').Restrictions['accept']} accept
 * @param {(files: number) => void} [onprogress] called with how many there are so far
 * @returns {Promise<{folder: incoming.Folder | null, refused: Refusal[]}>} no folder: none of its files is accepted
 */
export async function read_folder(source, accept, onprogress) {
  const folder = await incoming.list_folder(source, { onprogress });
  const refused = /** @type {Refusal[]} */ ([]);
  if (!accept) return { folder, refused };
  const taken = files_in(folder).filter(({ path, file }) => {
    const refusal = refusal_of(file, { accept }, undefined, path);
    if (refusal) refused.push(refusal);
    return !refusal;
  });
  if (!refused.length) return { folder, refused };
  return { folder: taken.length ? await incoming.list_folder(taken) : null, refused };
}

/** The files of a folder, with their places in it. @param {incoming.Folder} folder */
export function files_in({ name, entries }) {
  return entries.filter(({ file }) => file).map(({ path, file }) => ({ path: `${name}/${path}`, file: /** @type {File} */ (file) }));
}
