// What was dropped, chosen or pasted: files, and folders, whole or with all that is in them.

import { path_of } from './restrictions.js';

/**
 * @typedef {import('../../queue.mjs').FoundFile} FoundFile
 * @typedef {{entry: any, handle: Promise<any> | null, file: File | null}} Dropped one item of a drop
 */

/**
 * Yields the files of a drop or a paste (`event.dataTransfer`, `event.clipboardData`), of a file input (`input.files`),
 * of a File System Access handle, or of anything that holds files. A folder is walked to its end; its files have paths. `file` is null where it can't be read.
 * With `folders`, a folder is not walked, and `folder` is what `incoming.list_folder` takes.
 *
 * Call it in the event itself: the browser empties the list of a drop right after it. So the list is read here, and the
 * generator may be used later.
 * @param {import('../../queue.mjs').FileSource} source @param {{folders?: boolean}} [options]
 * @returns {AsyncGenerator<FoundFile>}
 */
export function files_of(source, { folders = false } = {}) {
  const { items, files } = /** @type {any} */ (source);
  if (items && !Array.isArray(items)) {
    const dropped = [...items].filter(({ kind = 'file' }) => kind === 'file').map(take);
    const some = dropped.filter(({ entry, file }) => entry || file);
    if (some.length || !files) return walk_dropped(some, folders);
  }
  return folders ? gather(walk_listed(files || source, true)) : walk_listed(files || source, false);
}

/** @param {any} item @returns {Dropped} */
function take(item) {
  const entry = item.webkitGetAsEntry ? item.webkitGetAsEntry() : null;
  const handle = item.getAsFileSystemHandle ? Promise.resolve(item.getAsFileSystemHandle()).catch(() => null) : null;
  return { entry, handle, file: !entry && item.getAsFile ? item.getAsFile() : null };
}

/** @param {any} list @param {boolean} folders @returns {AsyncGenerator<FoundFile>} */
async function* walk_listed(list, folders) {
  const all = list[Symbol.iterator] || list[Symbol.asyncIterator] ? list : [list];
  for await (const one of all) {
    const is_folder = one && one.values && one.kind === 'directory';
    if (is_folder && folders) yield whole(one, one);
    else if (is_folder || (one && one.getFile)) yield* walk_handle(one, '');
    else if (one && 'file' in one) yield { ...one, path: one.path || (one.file ? path_of(one.file) : '') };
    else if (one) yield { path: path_of(one), file: one };
  }
}

/**
 * Files at a place in a folder, as the dialog for folders gives them, become that folder.
 * @param {AsyncGenerator<FoundFile>} found @returns {AsyncGenerator<FoundFile>}
 */
async function* gather(found) {
  const folders = /** @type {Map<string, incoming.PlacedFile[]>} */ (new Map());
  for await (const one of found) {
    const { path, file } = one;
    const name = path.slice(0, path.indexOf('/') + 1).slice(0, -1);
    const inside = folders.get(name);
    if (!file || !name) yield one;
    else if (inside) inside.push({ path, file });
    else folders.set(name, [{ path, file }]);
  }
  for (const [path, folder] of folders) yield { path, file: null, folder };
}

/** @param {any} folder an entry or a handle @param {any} handle @returns {FoundFile} */
function whole(folder, handle) {
  return { path: folder.name, file: null, folder, handle };
}

/** @param {Dropped[]} dropped @param {boolean} folders @returns {AsyncGenerator<FoundFile>} */
async function* walk_dropped(dropped, folders) {
  for (const { entry, handle: promise, file } of dropped) {
    const handle = promise && (await promise);
    if (folders && entry && entry.isDirectory) yield whole(entry, handle);
    else if (handle) yield* walk_handle(handle, '', entry);
    else if (entry) yield* walk_entry(entry);
    else if (file) yield { path: path_of(file), file };
  }
}

/**
 * Files of File System Access: with their handles, a later visit can continue without asking for them.
 * @param {any} handle @param {string} folder @param {any} [entry] the same, in case that the handle does not open
 * @returns {AsyncGenerator<FoundFile>}
 */
async function* walk_handle(handle, folder, entry) {
  const path = folder + handle.name;
  try {
    if (handle.kind === 'directory') {
      const inside = [];
      for await (const child of handle.values()) inside.push(child);
      for (const child of inside.sort(by_name)) yield* walk_handle(child, `${path}/`);
    } else {
      yield { path, file: await handle.getFile(), handle };
    }
  } catch (error) {
    if (entry) yield* walk_entry(entry);
    else yield { path, file: null };
  }
}

/** @param {any} entry a FileSystemEntry @returns {AsyncGenerator<FoundFile>} */
async function* walk_entry(entry) {
  const path = entry.fullPath.slice(1);
  try {
    if (!entry.isDirectory) yield { path, file: await promised(entry, 'file') };
    else for (const child of await children(entry.createReader())) yield* walk_entry(child);
  } catch (error) { // it was moved, or may not be read
    yield { path, file: null };
  }
}

/** @param {any} reader @returns {Promise<any[]>} */
async function children(reader) {
  const all = [];
  for (;;) { // Chromium gives a hundred at a time, and nothing when there are no more
    const batch = await promised(reader, 'readEntries');
    if (!batch.length) return all.sort(by_name);
    all.push(...batch);
  }
}

const collator = new Intl.Collator(undefined, { numeric: true });

/** In the order that a person would expect. @param {{name: string}} a @param {{name: string}} b */
function by_name(a, b) {
  return collator.compare(a.name, b.name);
}

/** @param {any} object @param {string} method @returns {Promise<any>} */
function promised(object, method) {
  return new Promise((resolve, reject) => object[method](resolve, reject));
}
