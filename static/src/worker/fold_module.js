// The inner loop of crc32c.js in WebAssembly, four words at a time. Chromium checks at each access of a script whether
// the memory is still there, once any buffer was transferred; WebAssembly memory has no such check.

import { FAR, MIDDLE, NEAR, PAGE_BYTES } from './crc32c.js';

/** @type {(n: number) => number[]} LEB128, unsigned */
const number = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...number(n >>> 7)]);
const sized = (/** @type {number[]} */ ...body) => [...number(body.length), ...body];

/**
 * Returns null where policies or browsers have no WebAssembly, and where it is not faster (Firefox). The memory has one
 * page for the folded words and one for the words that are added. The module is assembled here, so that it can be read.
 * @returns {import('./crc32c.js').FoldModule | null}
 */
export function make_fold_module() {
  if (/ Firefox\//.test(navigator.userAgent)) return null;
  const load = (/** @type {number} */ bytes) => [0x20, 0, 0xfd, 0, 0, ...number(bytes)]; // v128.load, from + bytes
  const xor = [0xfd, 0x51];
  const code = [
    0x03, 0x40, 0x20, 0, // loop; from (for the store)
    ...load(PAGE_BYTES), ...load(0), ...xor, ...load(4 * (FAR - MIDDLE)), ...xor, ...load(4 * (FAR - NEAR)), ...xor,
    0xfd, 0x0b, 0, ...number(4 * FAR), // v128.store
    0x20, 0, 0x41, 16, 0x6a, 0x22, 0, 0x20, 1, 0x49, 0x0d, 0, 0x0b, // from += 16; again, if from < to_bytes; end
  ];
  const bytes = [
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // "\0asm", version 1
    1, ...sized(1, 0x60, 2, 0x7f, 0x7f, 0), 3, ...sized(1, 0), // types: a function of two i32; functions: one of that
    5, ...sized(1, 0, 2), 7, ...sized(2, 1, 0x66, 0, 0, 1, 0x6d, 2, 0), // memories: two pages; exports: "f" and "m"
    10, ...sized(1, ...sized(0, ...code, 0x0b)), // code: no more locals; end
  ];
  try {
    const { f, m } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes))).exports;
    return { fold: /** @type {() => void} */ (f), memory: /** @type {WebAssembly.Memory} */ (m) };
  } catch (error) {
    return null;
  }
}
