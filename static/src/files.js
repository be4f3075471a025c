// What a file says about itself.

/** @typedef {import('./folder/stream.js').FolderStream} FolderStream */

/** @param {Blob | FolderStream | incoming.Folder} file */
export function name_of(file) {
  return /** @type {File} */ (file).name || 'upload';
}

/** In ms since 1970; 0 for a Blob, which has no such time. @param {Blob | FolderStream | incoming.Folder} file */
export function last_change_of(file) {
  return Math.max(0, Math.floor(/** @type {File} */ (file).lastModified) || 0);
}

/** By its tag: a file of another frame is not an `instanceof Blob` here. @param {any} file */
export function is_blob(file) {
  return /^\[object (File|Blob)\]$/.test(Object.prototype.toString.call(file));
}
