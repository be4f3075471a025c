// A folder as one stream of bytes: its head, then all files, one after the other. It is read like a file, with `slice`.

/** @typedef {import('./manifest.js').Entry} Entry */
/** @typedef {{index: number, from: number, to: number}} Part of a range: the bytes of an entry; -1: of the head */

const NEIGHBOURS = 4; // on each side

/**
 * A browser reads a Blob of many small files at more than twice the speed of the same files one by one. From a hundred
 * on it gains nothing, and making the Blob keeps the page from drawing.
 */
const FILES_AT_ONCE = 32;

/** @param {number} bytes a piece of a file, at most @returns {Blob} */
function zeros(bytes) {
  return new Blob([new ArrayBuffer(bytes)]);
}

export class FolderStream {
  /**
   * @param {string} name of the folder @param {Blob} head @param {Entry[]} entries in the order of the head
   * @param {string[]} unreadable paths of what could not be listed
   */
  constructor(name, head, entries, unreadable) {
    this.name = name;
    this.type = ''; // as a file of a kind that the browser does not know
    this.head = head;
    this.entries = entries;
    this.unreadable = unreadable;
    this.files_total = 0;
    this.lastModified = 0; // of the newest file
    /** The indices of the files that were left out: their bytes count as zeros. @type {Set<number>} */
    this.gone = new Set();
    this.starts = new Float64Array(entries.length + 1);
    this.counts = new Uint32Array(entries.length + 1); // of the files before an entry
    let size = head.size;
    entries.forEach((entry, index) => {
      this.starts[index] = size;
      this.counts[index] = this.files_total;
      size += entry.size;
      this.files_total += entry.file ? 1 : 0;
      this.lastModified = Math.max(this.lastModified, entry.modified);
    });
    this.starts[entries.length] = this.size = size;
    this.counts[entries.length] = this.files_total;
  }

  /** For an upload of its own, which may leave out other files. @returns {FolderStream} */
  copy() {
    return Object.assign(Object.create(this), { gone: new Set() });
  }

  /** The index of the entry that has the byte at `offset`; -1 within the head, and the number of entries at the end. @param {number} offset */
  index(offset) {
    let low = -1, high = this.entries.length;
    while (low < high) { // the last one that begins at or before it
      const middle = Math.ceil((low + high) / 2);
      if (this.starts[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** How many files are stored if all bytes before `offset` are. @param {number} offset */
  count(offset) {
    const index = this.index(offset);
    if (index < 0) return 0;
    return this.counts[index] - [...this.gone].filter((gone) => gone < index).length;
  }

  /** The path of the file at `offset`; "" where there is none. @param {number} offset */
  path(offset) {
    const entry = this.entries[this.index(offset)];
    return entry ? entry.path : '';
  }

  /** What a range consists of. @param {number} from @param {number} to @returns {Part[]} */
  parts(from, to) {
    const parts = [];
    for (let index = this.index(from), at = from; at < to; index++) {
      const end = Math.min(to, this.starts[index + 1]);
      if (end > at) parts.push({ index, from: at, to: end });
      at = Math.max(at, end);
    }
    return parts;
  }

  /** @param {number} from @param {number} [to] @returns {Blob} */
  slice(from, to = this.size) {
    return new Blob(this.parts(from, to).map((part) => this.piece(part)));
  }

  /** A few files next to a range. @param {Part[]} parts of it @returns {Part[]} */
  neighbours(parts) {
    const first = Math.max(0, parts[0].index - NEIGHBOURS);
    const last = Math.min(this.entries.length - 1, parts[parts.length - 1].index + NEIGHBOURS);
    const around = this.parts(this.starts[first], this.starts[last + 1]);
    return around.filter(({ index }) => index >= 0 && !this.gone.has(index) && parts.every((part) => part.index !== index));
  }

  /** @param {Part} part @returns {Blob} */
  piece({ index, from, to }) {
    if (index < 0) return this.head.slice(from, to);
    const start = this.starts[index];
    const { file, size } = this.entries[index];
    if (this.gone.has(index)) return zeros(to - from);
    const blob = /** @type {Blob} */ (file);
    // For a slice, Chromium would look at the file once more.
    return to - from === size && blob.size === size ? blob : blob.slice(from - start, to - start);
  }

  /**
   * Where a chunk ends that begins at `from` and has about this many bytes. Small files are complete in their chunk: what can't be
   * read can be left out then, before a byte of it was sent. A file that is left out ends a chunk, or leaves nothing of it.
   * @param {number} from @param {number} bytes @returns {{to: number, opens: boolean}} opens: it begins a file that it does not end
   */
  cut(from, bytes) {
    const index = this.index(from);
    const end = this.starts[index + 1];
    if (this.gone.has(index)) return { to: from, opens: false };
    if (index < 0) return { to: Math.min(this.head.size, from + bytes), opens: false };
    if (end - from > bytes) return { to: from + bytes, opens: from === this.starts[index] };
    let last = index;
    for (let files = 1; files < FILES_AT_ONCE && last + 1 < this.entries.length; last++) {
      if (this.starts[last + 2] - from > bytes || this.gone.has(last + 1)) break;
      if (this.entries[last + 1].size) files++;
    }
    return { to: this.starts[last + 1], opens: false };
  }

  /** The file at `offset`, if it was left out: where it begins and ends, and its index. @param {number} offset */
  hole(offset) {
    const index = this.index(offset);
    return this.gone.has(index) ? { index, from: this.starts[index], to: this.starts[index + 1] } : null;
  }

  /** What the server says is left out: everything before `offset` is as it says. @param {number[]} indices @param {number} offset */
  agree(indices, offset) {
    const later = [...this.gone].filter((index) => this.starts[index + 1] > offset);
    // The ticket may be that of another folder, with more files.
    this.gone = new Set(indices.concat(later).filter((index) => this.entries[index]));
  }

  /** The paths of what is missing. */
  missing() {
    return this.unreadable.concat([...this.gone].sort((a, b) => a - b).map((index) => this.entries[index].path));
  }
}

/** In the place of one whose files are not listed yet, or could not be. */
export const no_folder = () => new FolderStream('', new Blob(), [], []);
