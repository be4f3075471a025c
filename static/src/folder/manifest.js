// The head of a folder's stream: what its files are called, how long they are, and when they were changed. Then the bytes of
// all files follow, in the same order. docs/reference/folders.md describes the format.

/**
 * A file, or an empty folder: its path ends with `/`, and `file` is null.
 * @typedef {{path: string, file: Blob | null, size: number, modified: number}} Entry `modified` in ms since 1970; 0: not known
 */

const MAGIC = [0x49, 0x6e, 0x63, 0x46, 0x6f, 0x6c, 0x64, 0x31]; // "IncFold1"
export const HEADER_BYTES = 32;
const CHECKED_BYTES = 28;
const LINES_AT_ONCE = 500;

/** @param {Entry} entry */
export function line_of({ path, file, size, modified }) {
  if (!file) return JSON.stringify({ path }) + '\n';
  return JSON.stringify(modified ? { path, size, 'modified_ms': modified } : { path, size }) + '\n'; // no short name for that
}

/**
 * Returns the head of a folder with these entries, in their order.
 * @param {Entry[]} entries
 * @param {(blob: Blob) => Promise<number>} checksum CRC-32C
 * @param {() => Promise<void> | void} rest is called often: the page may want to do something else
 */
export async function make_head(entries, checksum, rest) {
  const parts = [];
  for (let at = 0; at < entries.length; at += LINES_AT_ONCE) {
    parts.push(new Blob([entries.slice(at, at + LINES_AT_ONCE).map(line_of).join('')]));
    await rest();
  }
  const manifest = new Blob(parts);
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  MAGIC.forEach((byte, at) => header.setUint8(at, byte));
  header.setUint32(8, Math.floor(manifest.size / 2 ** 32));
  header.setUint32(12, manifest.size % 2 ** 32);
  header.setUint32(16, entries.length);
  header.setUint32(20, await checksum(manifest));
  header.setUint32(CHECKED_BYTES, await checksum(new Blob([header.buffer.slice(0, CHECKED_BYTES)])));
  return new Blob([header, manifest]);
}
