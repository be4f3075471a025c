// Reads the file of an upload for its checksums, and copes with a file that can't be read.

import { FILE_UNREADABLE, FOLDER_UNREADABLE, NEVER_READABLE } from './errors.js';
import { CHUNK_MAX_BYTES, CHUNK_MIN_BYTES, KIB } from './pace.js';
import { worker } from './worker/host.js';

/** @typedef {import('./errors.js').UploadError} UploadError */
/** @typedef {import('./folder/stream.js').FolderStream} FolderStream */
/** @typedef {import('./folder/stream.js').Part} Part */
/** @typedef {import('./upload.js').Upload} Upload */

export const SLOW_READ_S = 8; // then the page says what it waits for
export const READ_TIMEOUT_S = 30; // a network drive that is gone lets its readers wait for ever
const UNREADABLE_TRIES = 3; // a drive that was unplugged, a network share with a short failure
const PIECE_BYTES = 4096 * KIB; // of a long range that is read for its checksum

export class Reading {
  /** @param {Upload} upload */
  constructor(upload) {
    this.upload = upload;
    this.was_read = false;
    this.unreadable_tries = 0;
    this.most_bytes = CHUNK_MAX_BYTES; // at once, for which there was memory
  }

  /**
   * Computes the checksum of a range, which continues `seed`. Nothing is called if the connection is another one by then.
   * @param {number} from @param {number} to @param {number} seed
   * @param {boolean} keep the bytes, for the next argument, where they can be sent as they are
   * @param {(crc: number, buffer: ArrayBuffer | null, blob: Blob) => void} then
   */
  read(from, to, seed, keep, then) {
    const { upload } = this;
    const { bytes_total, connection, file } = upload;
    if (!connection) return;
    // Of an empty file only the whole shows whether it still exists; a slice of it can always be read.
    const blob = bytes_total ? file.slice(from, to) : /** @type {Blob} */ (file);
    connection.reading += 1;
    worker.read(blob, seed, keep && !connection.is_http, (crc, buffer) => {
      if (connection !== upload.connection) return;
      connection.reading -= 1;
      connection.reading_s = 0;
      if (crc === null || blob.size !== to - from) {
        this.on_unreadable(from, to);
      } else if (crc < 0) {
        this.on_no_memory(blob.size, keep);
      } else {
        this.was_read = true;
        then(crc, buffer, blob);
      }
      upload.settle();
    });
  }

  /** @param {number} from @param {number} to @param {number} seed @param {(crc: number) => void} then */
  read_range(from, to, seed, then) {
    const end = Math.min(to, from + this.piece_bytes);
    this.read(from, end, seed, false, (crc) => {
      if (end === to) then(crc);
      else this.read_range(end, to, crc, then);
    });
  }

  get piece_bytes() {
    return Math.min(PIECE_BYTES, this.most_bytes);
  }

  /** @param {number} from @param {number} to */
  on_unreadable(from, to) {
    const { connection, folder } = this.upload;
    if (!folder || !connection) {
      this.try_again(this.was_read || this.upload.file.type ? FILE_UNREADABLE : NEVER_READABLE);
      return;
    }
    const all = folder.parts(from, to);
    const parts = all.filter(({ index }) => index >= 0 && !folder.gone.has(index));
    if (!parts.length && all.some(({ index }) => index >= 0)) return; // left out since: this read was useless
    connection.reading += 1;
    this.look_at(folder, parts).then((found) => {
      if (connection !== this.upload.connection) return;
      connection.reading -= 1;
      this.on_looked(folder, found);
      this.upload.settle();
    });
  }

  /**
   * Which files can't be read.
   * @param {FolderStream} folder @param {Part[]} parts
   */
  async look_at(folder, parts) {
    const bad = [];
    for (const part of parts) if (!await can_read(folder, part)) bad.push(part.index);
    // Where nothing can be read, a drive may be gone for a while.
    let others = bad.length < parts.length;
    for (const part of bad.length ? folder.neighbours(parts) : []) others = others || await can_read(folder, part);
    return { bad, others };
  }

  /** @param {FolderStream} folder @param {{bad: number[], others: boolean}} found */
  on_looked(folder, found) {
    const { bytes_acked, connection, leaves_out, sending } = this.upload;
    const { others } = found;
    const bad = found.bad.filter((index) => !folder.gone.has(index));
    if (found.bad.length && !bad.length) return; // several reads of a file fail, and the first to be looked at has left it out
    const may_go = (/** @type {number} */ index) => folder.starts[index + 1] > bytes_acked; // the server has the others
    if (leaves_out && others && connection && !connection.is_http && bad.every(may_go)) {
      bad.forEach((index) => folder.gone.add(index));
      connection.filling = null; // it may have been that read
      if (connection.agreed) {
        sending.prepare_again();
        sending.fill_gaps();
      } else {
        sending.leave_out(connection); // it is stored in part, and can't be compared
      }
    } else {
      this.try_again({ ...FOLDER_UNREADABLE, index: bad[0] });
    }
  }

  /** @param {UploadError} error when it was tried often enough */
  try_again(error) {
    this.unreadable_tries += 1;
    const { state, retry } = this.upload;
    if (this.unreadable_tries >= UNREADABLE_TRIES && state !== 'cancelling') this.upload.fail(error);
    else retry.later('file_unreadable', { key: 'file_unreadable_now' });
  }

  /** @param {number} bytes that were to be read at once @param {boolean} keep it was to be a chunk */
  on_no_memory(bytes, keep) {
    this.most_bytes = Math.max(CHUNK_MIN_BYTES, Math.min(this.most_bytes, Math.floor(bytes / 2)));
    if (keep && bytes > CHUNK_MIN_BYTES) this.upload.sending.prepare_again();
    else this.upload.retry.later('no_memory');
  }
}

/** Also false if the file has become shorter. @param {FolderStream} folder @param {Part} part @returns {Promise<boolean>} */
function can_read(folder, part) {
  const blob = folder.piece(part);
  return new Promise((resolve) => worker.read(blob, 0, false, (crc) => resolve(crc !== null && blob.size === part.to - part.from)));
}
