// Reads blobs into buffers that are used again, and computes their checksums: the worker's half of the work.

import { free, read_at_once } from './blobs.js';
import { make_crc32c } from './crc32c.js';
import { make_fold_module } from './fold_module.js';

const SHORT_BYTES = 256 * 1024; // below it a stream is slower; and a stream of an empty file does not show that it is gone
const SPARE_BUFFERS = 4;

const crc32c = make_crc32c(make_fold_module());

/** The streams that are being read: Chromium collects as garbage what only waits for its data. @type {Set<object>} */
const streams = new Set();

/** Buffers to use again: new memory is expensive, 1,024 pages for a chunk of 4 MiB. @type {ArrayBuffer[]} */
const spare = [];

/**
 * Fills a buffer after its first `from` bytes. In Chromium, it is 1.5 times as fast as FileReader.
 * @param {ReadableStreamBYOBReader} stream @param {ArrayBuffer} buffer @param {number} from
 */
async function fill(stream, buffer, from) {
  for (let at = from; at < buffer.byteLength;) {
    const view = new Uint8Array(buffer, at);
    const { done, value } = await stream.read(view, { min: view.length }); // all at once, where browsers support it
    if (done || !value) return null;
    at += value.byteLength;
    buffer = /** @type {ArrayBuffer} */ (value.buffer); // the same memory
  }
  stream.cancel();
  return buffer;
}

/** @param {Blob} blob @returns {ReadableStreamBYOBReader | null} null: not in this browser (WebKit has half of it) */
function open_stream(blob) {
  try {
    return blob.stream().getReader({ mode: 'byob' });
  } catch (error) {
    return null;
  }
}

/** @param {number} bytes */
function buffer_of(bytes) {
  const at = spare.findIndex((buffer) => buffer.byteLength === bytes);
  return at < 0 ? new ArrayBuffer(bytes) : spare.splice(at, 1)[0];
}

/** @param {Blob} blob @param {number} from @returns {Promise<ArrayBuffer | null>} */
async function fetch_bytes(blob, from) {
  const stream = from || blob.size > SHORT_BYTES ? open_stream(blob) : null;
  if (stream) {
    streams.add(stream);
    const buffer = await fill(stream, buffer_of(from + blob.size), from).catch(() => null);
    streams.delete(stream);
    return buffer;
  }
  const buffer = await read_at_once(blob);
  if (!buffer || !from) return buffer;
  const behind_room = buffer_of(from + buffer.byteLength);
  new Uint8Array(behind_room, from).set(new Uint8Array(buffer));
  free(buffer);
  return behind_room;
}

/** Keeps a buffer that is no longer needed. @param {ArrayBuffer} buffer */
export function recycle(buffer) {
  spare.push(buffer);
  if (spare.length > SPARE_BUFFERS) free(spare.shift());
}

/**
 * Reads a blob and computes the checksum of its bytes, which continues `seed`. `crc` is null if the blob can't be read,
 * and -1 if there is no memory for it. With room, `buffer` has the bytes after it; without, it is null.
 * @param {Blob} blob @param {number} seed @param {number} room in bytes
 * @returns {Promise<{crc: number | null, buffer: ArrayBuffer | null}>}
 */
export async function read(blob, seed, room) {
  try {
    const buffer = await fetch_bytes(blob, room);
    if (!buffer) return { crc: null, buffer };
    const crc = crc32c(buffer, room, seed);
    if (!room) recycle(buffer);
    return { crc, buffer: room ? buffer : null };
  } catch (error) {
    spare.length = 0;
    return { crc: -1, buffer: null }; // a RangeError
  }
}
