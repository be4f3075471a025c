// All files that a page was given: a list of files, or of dropped entries, handles or items, whose folders are walked to their
// end. A folder may hold a hundred thousand files, so the page gets a turn every few milliseconds.

import { last_change_of } from '../files.js';

/** @typedef {import('./manifest.js').Entry} Entry */
/** @typedef {{path?: string, one: any}} Task what is to be looked at, and where it is, if that is not what it says itself */

const TURN_MS = 8; // at once, and what is begun by then; a frame has 16
const AT_ONCE = 64; // what the browser looks up at the same time
const RUN = 1024; // entries that are sorted at once

/**
 * Returns a function that waits for the page, if it has not had a turn for some time.
 * @returns {() => Promise<void> | void}
 */
export function make_rest() {
  let since_ms = performance.now();
  return () => (performance.now() - since_ms < TURN_MS ? undefined : next_turn().then(() => { since_ms = performance.now(); }));
}

/** Browsers delay timers that follow each other, and those of hidden pages even more. @returns {Promise<void>} */
function next_turn() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

/**
 * What was given, as a list. Call it in the event of a drop: the browser empties the list of the drop right after it.
 * @param {any} files @returns {Task[]}
 */
export function take(files) {
  const { items, kind, isFile, isDirectory, file } = files;
  const is_one = kind === 'directory' || isFile || isDirectory || file;
  const list = items && items.length ? items : files.files || files;
  const all = is_one ? [files] : list[Symbol.iterator] ? [...list] : [];
  return all.filter((one) => one && one.kind !== 'string')
    .map((one) => ({ one: one.webkitGetAsEntry ? one.webkitGetAsEntry() || one.getAsFile() : one }))
    .filter(({ one }) => one);
}

/** @param {any} one @returns {string} */
function path_of(one) {
  return (one.file && one.path) || (one.fullPath || '').slice(1) || one.webkitRelativePath || one.name || 'upload';
}

/**
 * Lists all files, sorted by their paths. A folder that has all of them gives its name to the list, and no part of the paths.
 * @param {Task[]} tasks @param {(files: number) => void} tell how many there are so far @param {() => Promise<void> | void} rest
 * @returns {Promise<{name: string, entries: Entry[], unreadable: string[]}>}
 */
export async function list(tasks, tell, rest) {
  /** @type {Entry[]} */
  const entries = [];
  /** @type {string[]} */
  const unreadable = [];
  const todo = tasks;
  /** @param {Task} task */
  const look = async ({ one, path = path_of(one) }) => {
    try {
      if (one.isDirectory || one.kind === 'directory') {
        const inside = await children(one);
        if (!inside.length) entries.push({ path: path + '/', file: null, size: 0, modified: 0 });
        for (const child of inside) todo.push({ path: path + '/' + child.name, one: child });
      } else {
        const file = await file_of(one);
        entries.push({ path, file, size: file.size, modified: last_change_of(file) });
      }
    } catch (error) { // it was moved, or may not be read
      unreadable.push(path);
    }
  };
  while (todo.length) {
    await Promise.all(todo.splice(-AT_ONCE).map(look));
    tell(entries.length);
    await rest();
  }
  const sorted = await sort(entries, rest);
  await rest();
  const name = common_folder(sorted);
  if (name) sorted.forEach((entry) => { entry.path = entry.path.slice(name.length + 1); });
  return { name, entries: sorted.filter(({ path }) => path), unreadable };
}

/** @param {any} one a file, an entry, a handle, or an object that has one of them @returns {Promise<File>} */
function file_of(one) {
  if (one.getFile) return one.getFile();
  if (typeof one.file === 'function') return new Promise((resolve, reject) => one.file(resolve, reject));
  return one.file ? file_of(one.file) : one;
}

/** @param {any} folder an entry or a handle @returns {Promise<any[]>} */
async function children(folder) {
  const all = [];
  if (folder.values) {
    for await (const child of folder.values()) all.push(child);
    return all;
  }
  const reader = folder.createReader();
  for (;;) { // Chromium gives a hundred at a time, and nothing when there are no more
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!batch.length) return all;
    all.push(...batch);
  }
}

/** @param {{path: string}} a @param {{path: string}} b */
const by_path = (a, b) => (a.path < b.path ? -1 : Number(a.path > b.path));

/**
 * Sorts by path. All at once would keep the page from drawing.
 * @param {Entry[]} entries @param {() => Promise<void> | void} rest
 */
async function sort(entries, rest) {
  let runs = [];
  for (let at = 0; at < entries.length; at += RUN) {
    runs.push(entries.slice(at, at + RUN).sort(by_path));
    await rest();
  }
  while (runs.length > 1) {
    const merged = [];
    for (let i = 0; i < runs.length; i += 2) merged.push(await merge(runs[i], runs[i + 1] || [], rest));
    runs = merged;
  }
  return runs[0] || [];
}

/** @param {Entry[]} a @param {Entry[]} b @param {() => Promise<void> | void} rest */
async function merge(a, b, rest) {
  const all = [];
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    all.push(j === b.length || (i < a.length && by_path(a[i], b[j]) <= 0) ? a[i++] : b[j++]);
    if (all.length % RUN === 0) await rest();
  }
  return all;
}

/** The folder that has all of them; "" if there is none. @param {Entry[]} entries sorted: so it has all if it has the first and the last */
function common_folder(entries) {
  if (!entries.length) return '';
  const [first, last] = [entries[0].path, entries[entries.length - 1].path];
  const folder = first.slice(0, first.indexOf('/') + 1);
  return folder && last.startsWith(folder) ? folder.slice(0, -1) : '';
}
