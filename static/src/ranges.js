// What the server has stored of a file, and its checksum.

import { combine } from './checksums.js';

/** @typedef {{from: number, bytes: number, known_bytes: number, crc: number}} Range `crc` is that of the first `known_bytes` */

/**
 * The stored part of a file as a row of ranges with their checksums. Those of acknowledged chunks are known. What was
 * stored otherwise (before a reload, or without an acknowledgement) has to be read again for its checksum.
 */
export class StoredRanges {
  constructor() {
    /** @type {Range[]} */
    this.list = [];
    this.bytes = 0;
  }

  /** @param {number} bytes @param {number} known_bytes @param {number} crc @param {boolean} [opens] a range that may be cut off again */
  add(bytes, known_bytes, crc, opens = false) {
    const last = this.list[this.list.length - 1];
    if (!opens && last && last.known_bytes === last.bytes && known_bytes === bytes) {
      last.crc = combine(last.crc, crc, bytes);
      last.bytes = last.known_bytes += bytes;
    } else if (bytes) {
      this.list.push({ from: this.bytes, bytes, known_bytes, crc });
    }
    this.bytes += bytes;
  }

  /** The server has this many bytes. @param {number} bytes */
  reach(bytes) {
    if (bytes < this.bytes) { // it lost some: a disaster on its disk
      this.list = [];
      this.bytes = 0;
    }
    this.add(bytes - this.bytes, 0, 0);
  }

  /** Drops everything after `bytes`. If this cuts a range, what was read of it has to be read again. @param {number} bytes */
  cut(bytes) {
    this.list = this.list.filter((range) => range.from + range.bytes <= bytes);
    const last = this.list[this.list.length - 1];
    this.bytes = last ? last.from + last.bytes : 0;
    this.reach(bytes);
  }

  /** The checksum of all of it is known now. @param {number} crc */
  know(crc) {
    const { bytes } = this;
    this.reach(0);
    this.add(bytes, bytes, crc);
  }

  /** Returns the first range that has to be read. */
  gap() {
    return this.list.find((range) => range.known_bytes < range.bytes);
  }

  /** Returns the checksum of all ranges and of the chunks after them. @param {{bytes: number, crc: number | null}[]} chunks */
  crc(chunks) {
    const sum = (/** @type {number} */ crc, /** @type {{crc: number | null, bytes: number}} */ range) =>
      combine(crc, Number(range.crc), range.bytes);
    return chunks.reduce(sum, this.list.reduce(sum, 0));
  }
}
