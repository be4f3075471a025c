// What was dropped, chosen or pasted: files, and whole folders with all that is in them.

import { path_of } from './restrictions.js';

/**
 * @typedef {import('../../queue.mjs').FoundFile} FoundFile
 * @typedef {{entry: any, handle: Promise<any> | null, file: File | null}} Dropped one item of a drop
 */

/**
 * Yields the files of a drop or a paste (`event.dataTransfer`, `event.clipboardData`), of a file input (`input.files`),
 * of a File System Access handle, or of anything that holds files. A folder is walked to its end; its files have paths. `file` is null where it can't be read.
 *
 * Call it in the event itself: the browser empties the list of a drop right after it. So the list is read here, and the
 * generator may be used later.
 * @param {import('../../queue.mjs').FileSource} source
 * @returns {AsyncGenerator<FoundFile>}
 */
export function files_of(source) {
  const { items, files } = /** @type {any} */ (source);
  if (items && !Array.isArray(items)) {
    const dropped = [...items].filter(({ kind = 'file' }) => kind === 'file').map(take);
    const some = dropped.filter(({ entry, file }) => entry || file);
    if (some.length || !files) return walk_dropped(some);
  }
  return walk_listed(files || source);
}

/** @param {any} item @returns {Dropped} */
function take(item) {
  const entry = item.webkitGetAsEntry ? item.webkitGetAsEntry() : null;
  const handle = item.getAsFileSystemHandle ? Promise.resolve(item.getAsFileSystemHandle()).catch(() => null) : null;
  return { entry, handle, file: !entry && item.getAsFile ? item.getAsFile() : null };
}

/** @param {any} list */
async function* walk_listed(list) {
  const all = list[Symbol.iterator] || list[Symbol.asyncIterator] ? list : [list];
  for await (const one of all) {
    if (one && one.getFile) yield* walk_handle(one, '');
    else if (one && one.values && one.kind === 'directory') yield* walk_handle(one, '');
    else if (one && 'file' in one) yield { ...one, path: one.path || (one.file ? path_of(one.file) : '') };
    else if (one) yield { path: path_of(one), file: one };
  }
}

/** @param {Dropped[]} dropped @returns {AsyncGenerator<FoundFile>} */
async function* walk_dropped(dropped) {
  for (const { entry, handle: promise, file } of dropped) {
    const handle = promise && (await promise);
    if (handle && handle.kind === 'file') yield* walk_handle(handle, '', entry);
    else if (entry) yield* walk_entry(entry, handle && handle.kind === 'directory' ? handle : null);
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
    if (entry) yield* walk_entry(entry, null);
    else yield { path, file: null };
  }
}

/**
 * @param {any} entry a FileSystemEntry @param {any} folder_handle the handle of the same folder, if there is one
 * @returns {AsyncGenerator<FoundFile>}
 */
async function* walk_entry(entry, folder_handle) {
  const path = entry.fullPath.slice(1);
  try {
    if (!entry.isDirectory) {
      yield { path, file: await promised(entry, 'file') };
      return;
    }
    for (const child of await children(entry.createReader())) {
      const handle = await handle_in(folder_handle, child);
      if (child.isDirectory) {
        yield* walk_entry(child, handle);
      } else {
        for await (const found of walk_entry(child, null)) yield handle ? { ...found, handle } : found;
      }
    }
  } catch (error) { // it was moved, or may not be read
    yield { path, file: null };
  }
}

/** @param {any} folder @param {any} entry of what is in it @returns {Promise<any>} null where there is none */
async function handle_in(folder, { name, isDirectory }) {
  try {
    return folder && (await (isDirectory ? folder.getDirectoryHandle(name) : folder.getFileHandle(name)));
  } catch (error) {
    return null;
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
