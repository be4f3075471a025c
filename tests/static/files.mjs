// Blobs and files of known content, whose reading a test can spoil, and a checksum that was made another way.

const CASTAGNOLI = 0x82f63b78;
const LONG_BYTES = 1024 * 1024;

/** CRC-32C, bit by bit: slow, and too simple to be wrong. */
export function crc32c(bytes, seed = 0) {
  let crc = ~seed;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CASTAGNOLI : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** What is at this place of every file here: no two neighbouring chunks are alike. */
const byte_at = (i) => (i * 31 + (i >>> 8) * 7 + (i >>> 16) * 13) & 255;

/** A Blob made of strings, buffers, other blobs and slices of files. */
export class FakeBlob {
  constructor(parts = []) {
    this.parts = parts.map((part) => {
      if (ArrayBuffer.isView(part)) return new Uint8Array(part.buffer, part.byteOffset, part.byteLength).slice();
      if (typeof part === 'string') return new TextEncoder().encode(part);
      return part.bytes ? part : new Uint8Array(part);
    });
  }

  get [Symbol.toStringTag]() {
    return 'Blob';
  }

  get size() {
    return this.parts.reduce((sum, part) => sum + (part.size ?? part.length), 0);
  }

  /** Of what it can't be read without. */
  get root() {
    const trouble = this.parts.map((part) => part.root && part.size && part.root.trouble).find((found) => found);
    return { trouble: trouble || null };
  }

  text() {
    return new TextDecoder().decode(this.bytes());
  }

  slice(from, to = this.size) {
    const parts = [];
    let start = 0;
    for (const part of this.parts) {
      const size = part.size ?? part.length;
      const [first, last] = [Math.max(0, from - start), Math.min(size, to - start)];
      if (first < last) parts.push(part.slice(first, last));
      start += size;
    }
    return new FakeBlob(parts);
  }

  bytes() {
    const bytes = new Uint8Array(this.size);
    let at = 0;
    for (const part of this.parts) {
      bytes.set(part.bytes ? part.bytes() : part, at);
      at += part.size ?? part.length;
    }
    return bytes;
  }
}

/** A file whose reading a test can spoil: `file.trouble` is null, 'missing', 'shorter', 'stuck' or 'huge' (long reads never end). */
export class FakeFile {
  constructor(size, name = 'holiday.mp4', root = null, start = 0) {
    Object.assign(this, { size, name, root: root || this, start });
    this.trouble = null;
    this.lastModified = 1700000000000;
    this.type = 'video/mp4';
    this.byte_at = byte_at;
  }

  get [Symbol.toStringTag]() {
    return 'File';
  }

  slice(from, to = this.size) {
    const first = from < 0 ? Math.max(0, this.size + from) : Math.min(from, this.size);
    return new FakeFile(Math.max(0, Math.min(to, this.size) - first), undefined, this.root, this.start + first);
  }

  get end() {
    return this.start + this.size;
  }

  bytes() {
    return Uint8Array.from({ length: this.size }, (_, i) => this.root.byte_at(this.start + i));
  }
}

/** A file whose streams fill buffers of the caller, as those of Chromium and Firefox do, in pieces of `piece_bytes`. */
export class StreamedFile extends FakeFile {
  constructor(size, name, root, start, piece_bytes = Infinity) {
    super(size, name, root, start);
    this.piece_bytes = root ? root.piece_bytes : piece_bytes;
    this.streamed = root ? root.streamed : []; // [from, to] of each stream
  }

  slice(from, to = this.size) {
    const { start, size } = super.slice(from, to);
    return new StreamedFile(size, undefined, this.root, start);
  }

  stream() {
    const { root } = this;
    root.streamed.push([this.start, this.end]);
    let at = this.start;
    const read = async (view) => {
      if (root.trouble === 'missing') throw new Error('NotFoundError');
      const bytes = Math.min(view.length, this.end - at, root.piece_bytes);
      if (root.trouble === 'shorter' || !bytes) return { done: true, value: view.subarray(0, 0) };
      for (let i = 0; i < bytes; i++) view[i] = root.byte_at(at + i);
      at += bytes;
      return { done: false, value: view.subarray(0, bytes) };
    };
    return { getReader: () => ({ read, cancel() {} }) };
  }
}

/** A large file of zeros, which costs no time to make. */
export class EmptyFile extends FakeFile {
  slice(from, to = this.size) {
    return new EmptyFile(Math.max(0, Math.min(to, this.size) - from), undefined, this.root, this.start + from);
  }

  bytes() {
    return new Uint8Array(this.size);
  }
}

/** FileReader, in the page as in its worker. What is read is noted in `page.reads`, as [from, to]. */
export function file_reader_of(page) {
  return class FileReader {
    readAsArrayBuffer(blob) {
      page.reads.push([blob.start, blob.end]);
      const { trouble } = blob.root;
      if (trouble === 'stuck' || (trouble === 'huge' && blob.size > LONG_BYTES)) return;
      // A slice without bytes can always be read, whatever happened to the file (seen in Chromium and Firefox).
      const fails = trouble === 'missing' && (blob.size > 0 || blob === blob.root);
      page.later(() => {
        if (fails) {
          this.error = new Error('NotFoundError');
          this.onerror();
        } else {
          this.result = trouble === 'shorter' ? new ArrayBuffer(0) : blob.bytes().buffer;
          this.onload();
        }
      });
    }
  };
}
