// From what a page was given to a stream that can be uploaded.

import { worker } from '../worker/host.js';
import { list, make_rest } from './listing.js';
import { make_head } from './manifest.js';
import { FolderStream } from './stream.js';

/** CRC-32C, in the worker. @param {Blob} blob @returns {Promise<number>} */
function checksum(blob) {
  return new Promise((resolve, reject) => worker.read(blob, 0, false, (crc) => (
    crc === null || crc < 0 ? reject(new RangeError()) : resolve(crc))));
}

/**
 * Lists all files, and makes one stream of them.
 * @param {import('./listing.js').Task[]} tasks @param {(files: number) => void} tell how many there are so far
 * @returns {Promise<FolderStream>}
 */
export async function open_folder(tasks, tell) {
  const rest = make_rest();
  const { name, entries, unreadable } = await list(tasks, tell, rest);
  const head = await make_head(entries, checksum, rest);
  return new FolderStream(name || 'upload', head, entries, unreadable);
}
