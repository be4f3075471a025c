/**
 * What was dropped on a page: files, and whole folders with all that is in them.
 */

/**
 * Call it in the drop event itself: the browser empties the list right after it.
 * @param {DataTransfer} data
 * @returns {AsyncGenerator<{path: string, file: File | null}>} `file` is null when it can't be read
 */
export function dropped_files(data) {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry());
  return walk(entries.filter((entry) => entry !== null));
}

/** @param {any[]} entries @returns {AsyncGenerator<{path: string, file: File | null}>} */
async function* walk(entries) {
  for (const entry of entries) {
    try {
      if (entry.isDirectory) yield* walk(await children(entry.createReader()));
      else yield { path: entry.fullPath.slice(1), file: await promised(entry, "file") };
    } catch (error) { // it was moved, or may not be read
      yield { path: entry.fullPath.slice(1), file: null };
    }
  }
}

/** @param {any} reader @returns {Promise<any[]>} */
async function children(reader) {
  const all = [];
  for (;;) { // Chromium gives a hundred at a time, and nothing when there are no more
    const batch = await promised(reader, "readEntries");
    if (!batch.length) return all.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    all.push(...batch);
  }
}

/** @param {any} object @param {string} method @returns {Promise<any>} */
function promised(object, method) {
  return new Promise((resolve, reject) => object[method](resolve, reject));
}
