// Small pictures of image files. The browser decodes them in the background, one at a time, and only the newest are kept.

import { h } from './dom.js';

const SIDE_PX = 80; // twice its size on the page, for sharp screens
const KEPT = 200;
const MAX_BYTES = 50e6;

/** @type {Map<Blob, Promise<HTMLCanvasElement | null>>} */
const kept = new Map();
let last = /** @type {Promise<unknown>} */ (Promise.resolve());

/**
 * @param {Blob} file @returns {Promise<HTMLCanvasElement | null>} a copy for one place in the page; null if it is not a picture
 */
export async function picture_of(file) {
  if (!file.type.startsWith('image/') || file.size > MAX_BYTES) return null;
  let made = kept.get(file);
  if (!made) {
    made = last.then(() => draw(file)).catch(() => null);
    last = made;
    kept.set(file, made);
    if (kept.size > KEPT) kept.delete(/** @type {Blob} */ (kept.keys().next().value));
  }
  return made;
}

/** @param {Blob} file */
async function draw(file) {
  const bitmap = await createImageBitmap(file, { resizeWidth: 2 * SIDE_PX, resizeQuality: 'medium' });
  const canvas = /** @type {HTMLCanvasElement} */ (h('canvas'));
  canvas.width = canvas.height = SIDE_PX;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const part = Math.min(bitmap.width, bitmap.height); // the middle of it, as a square
  context.drawImage(bitmap, (bitmap.width - part) / 2, (bitmap.height - part) / 2, part, part, 0, 0, SIDE_PX, SIDE_PX);
  bitmap.close();
  return canvas;
}
