// The CRC-32C of bytes, as fast as a script can compute it.
//
// Castagnoli's polynomial divides x^5275 + x^4508 + x^2751 + 1, and with it the square of that, which has the same
// terms with twice the exponents, and so on: also the one with 32 times the exponents. So a word may be removed from
// the front of a message if it is added (by exclusive or) to the words 767, 2524 and 5275 after it: the remainder
// stays the same. Only the last 5275 words have to be divided, with a table. That is two to three times as fast as
// tables alone. The views, all onto the same words, save engines the sums of indices.

export const NEAR = 5275 - 4508, MIDDLE = 5275 - 2751, FAR = 5275;
/** A page of WebAssembly memory: there is room for FAR + FOLD_WORDS words. */
export const PAGE_BYTES = 65536;
const FOLD_WORDS = 8192; // fits into the processor's first cache
const POLYNOMIAL = 0x82f63b78;

/** @typedef {{fold: (from: number, to_bytes: number) => void, memory: WebAssembly.Memory}} FoldModule */

/**
 * Returns a function that computes the checksum of a buffer after its first `from` bytes (a multiple of four). It
 * starts with `seed`, the checksum of what came before.
 * @param {FoldModule | null} module `fold` in WebAssembly, where there is any
 */
export function make_crc32c(module) {
  const folded = new Int32Array(module ? module.memory.buffer : new ArrayBuffer(PAGE_BYTES), 0, FAR + FOLD_WORDS);
  const [far, middle, near, now] = [FAR, MIDDLE, NEAR, 0].map((words) => folded.subarray(FAR - words));
  const added = module && new Int32Array(module.memory.buffer, PAGE_BYTES);
  const table = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    table[byte] = crc;
  }

  /** Time every change of this: engines are touchy (bench/notes/). @param {Int32Array} words */
  function fold(words) {
    const f = far, m = middle, n = near, to = now;
    for (let i = 0; i < words.length; i++) to[i] = words[i] ^ f[i] ^ m[i] ^ n[i];
  }

  /** @param {ArrayBuffer} buffer @param {number} from @param {number} seed */
  return function crc32c(buffer, from, seed) {
    const words = new Int32Array(buffer, from, (buffer.byteLength - from) >>> 2);
    const rest = new Uint8Array(buffer, from + words.byteLength);
    const last = Math.max(0, words.length - FAR);
    folded.fill(0, 0, FAR);
    folded[0] = ~seed;
    for (let at = 0; at < last; at += FOLD_WORDS) {
      const count = Math.min(FOLD_WORDS, last - at);
      if (module && added) {
        added.set(words.subarray(at, at + count));
        module.fold(0, 4 * count); // up to three words more, into what is not read
      } else {
        fold(words.subarray(at, at + count));
      }
      folded.copyWithin(0, count, count + FAR);
    }
    now.fill(0); // what was not removed must not be added
    let crc = words.length ? 0 : ~seed;
    for (let i = 0; last + i < words.length; i++) {
      crc ^= words[last + i] ^ far[i] ^ middle[i] ^ near[i];
      for (let byte = 0; byte < 4; byte++) crc = (crc >>> 8) ^ table[crc & 255];
    }
    for (let i = 0; i < rest.length; i++) crc = (crc >>> 8) ^ table[(crc ^ rest[i]) & 255];
    return ~crc >>> 0;
  };
}
