// Reads the file of an upload for its checksums, and copes with a file that can't be read.

import { FILE_UNREADABLE, NEVER_READABLE } from './errors.js';
import { CHUNK_MAX_BYTES, CHUNK_MIN_BYTES, KIB } from './pace.js';
import * as TEXTS from './texts.js';
import { worker } from './worker/host.js';

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
   * Computes a checksum, which continues `seed`. Nothing is called if the connection is another one by then.
   * @param {Blob} blob @param {number} seed
   * @param {boolean} keep the bytes, for the next argument, where they can be sent as they are
   * @param {(crc: number, buffer: ArrayBuffer | null) => void} then
   */
  read(blob, seed, keep, then) {
    const { upload } = this;
    const { connection } = upload;
    if (!connection) return;
    connection.reading += 1;
    worker.read(blob, seed, keep && !connection.is_http, (crc, buffer) => {
      if (connection !== upload.connection) return;
      connection.reading -= 1;
      connection.reading_s = 0;
      if (crc === null) {
        this.on_unreadable();
      } else if (crc < 0) {
        this.on_no_memory(blob.size, keep);
      } else {
        this.was_read = true;
        then(crc, buffer);
      }
      upload.settle();
    });
  }

  /** @param {number} from @param {number} to @param {number} seed @param {(crc: number) => void} then */
  read_range(from, to, seed, then) {
    const end = Math.min(to, from + this.piece_bytes);
    this.read(this.upload.file.slice(from, end), seed, false, (crc) => {
      if (end === to) then(crc);
      else this.read_range(end, to, crc, then);
    });
  }

  get piece_bytes() {
    return Math.min(PIECE_BYTES, this.most_bytes);
  }

  on_unreadable() {
    this.unreadable_tries += 1;
    const { file, state, retry } = this.upload;
    const gives_up = this.unreadable_tries >= UNREADABLE_TRIES && state !== 'cancelling';
    if (gives_up) this.upload.fail(this.was_read || file.type ? FILE_UNREADABLE : NEVER_READABLE);
    else retry.later(TEXTS.NOT_READABLE_NOW);
  }

  /** @param {number} bytes that were to be read at once @param {boolean} keep it was to be a chunk */
  on_no_memory(bytes, keep) {
    this.most_bytes = Math.max(CHUNK_MIN_BYTES, Math.min(this.most_bytes, Math.floor(bytes / 2)));
    if (keep && bytes > CHUNK_MIN_BYTES) this.upload.sending.prepare_again();
    else this.upload.retry.later(TEXTS.NO_MEMORY);
  }
}
