// `node tus_folder.mjs DIRECTORY URL AT_ONCE`: uploads each file below a directory with tus-js-client, so many at a
// time. Uppy does that with its limit of 20.

import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Upload } from 'tus-js-client';

const [, , folder, endpoint, atOnce] = process.argv;
const found = await readdir(folder, { recursive: true, withFileTypes: true });
const files = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name));

async function send(file) {
  const { size } = await stat(file);
  await new Promise((resolve, reject) => {
    new Upload(createReadStream(file), {
      endpoint, uploadSize: size, chunkSize: Math.max(size, 1), metadata: { filename: file }, retryDelays: [],
      onSuccess: resolve, onError: reject,
    }).start();
  });
}

async function sendSome() {
  for (let file = files.pop(); file; file = files.pop()) await send(file);
}

await Promise.all(Array.from({ length: Number(atOnce) }, sendSome));
