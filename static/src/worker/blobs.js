// The bytes of a blob, for the worker and for the page's own thread.

/** @param {Blob} blob @returns {Promise<ArrayBuffer | null>} null: it can't be read */
export function read_at_once(blob) {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => {
      const buffer = /** @type {ArrayBuffer} */ (reader.result);
      // Firefox reads a truncated file without an error: it just returns fewer bytes.
      resolve(buffer.byteLength === blob.size ? buffer : null);
    };
    reader.onerror = () => resolve(null);
    reader.readAsArrayBuffer(blob);
  });
}

/** Frees the memory of a buffer now: Firefox lets hundreds of MiB gather before it collects them. @param {any} buffer */
export function free(buffer) {
  if (buffer.transfer) buffer.transfer(0); // browsers since 2024
}
