// CRC-32C of joined ranges. A checksum is a polynomial over two elements modulo Castagnoli's, with the lowest power
// in the highest bit. Bytes that follow shift it: CRC(a + b) = CRC(a) * x^(8 * length of b) + CRC(b).

const ONE = 1 << 31;
const POLYNOMIAL = 0x82f63b78;

/** @param {number} a @param {number} b */
function multiply(a, b) {
  let product = 0;
  for (let bit = ONE; bit; bit >>>= 1) {
    if (a & bit) product ^= b;
    b = b & 1 ? (b >>> 1) ^ POLYNOMIAL : b >>> 1; // b * x
  }
  return product;
}

/** x^8 (one byte), x^16, x^32 and so on: enough for any length that can be counted. */
const SHIFTS = [1 << 23];
while (SHIFTS.length < 53) SHIFTS.push(multiply(SHIFTS[SHIFTS.length - 1], SHIFTS[SHIFTS.length - 1]));

/** Returns the checksum of this many zeros. @param {number} bytes */
export function crc_of_zeros(bytes) {
  return combine(-1, -1, bytes);
}

/** Returns the checksum of a + b. @param {number} crc_a @param {number} crc_b @param {number} bytes_b */
export function combine(crc_a, crc_b, bytes_b) {
  let shifted = crc_a;
  for (let i = 0, left = bytes_b; left > 0; i++, left = Math.floor(left / 2)) {
    if (left % 2) shifted = multiply(shifted, SHIFTS[i]);
  }
  return (shifted ^ crc_b) >>> 0;
}
