// Where files come from: dropped on the element or anywhere on the page, pasted, chosen, or taken with the camera.

import { h, set } from './dom.js';

/** @typedef {import('./incoming_upload.js').IncomingUpload} IncomingUpload */

/** Listens to the page until the returned function is called. @param {IncomingUpload} element */
export function listen_to_page(element) {
  /** @param {any} event @returns {any} */
  const on = (event) => {
    const { type, clipboardData, dataTransfer = clipboardData } = event;
    const path = event.composedPath();
    const has_files = dataTransfer && dataTransfer.types.includes('Files');
    // Where a text is written, what is pasted belongs there.
    const is_free = has_files && !event.defaultPrevented && !path[0].matches?.(':read-write');
    const is_drag = type.startsWith('drag');
    const anywhere = element.drop_anywhere;
    // Files that are dropped on another element of this kind belong there. What is pasted has no place.
    const is_near = path.some((/** @type {Element} */ node) => node.localName === element.localName)
      ? path.includes(element) : anywhere || !is_drag && type !== 'drop';
    const is_here = is_free && is_near && element.takes_files;
    if (is_here) event.preventDefault();
    if (is_here && !is_drag) element.take(dataTransfer, null);
    if (type === 'dragleave' && event.relatedTarget) return;
    if (type !== 'paste') element.panel.show_drag(is_here && is_drag && type !== 'dragleave', anywhere);
  };

  /** Nobody takes these files. The browser would open them in place of the page, and the uploads would stop. @param {any} event */
  const guard = (event) => {
    if (event.defaultPrevented || !event.dataTransfer.types.includes('Files') || event.composedPath()[0].type === 'file') return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'none';
  };

  const page = new AbortController(); // has `signal`, as the options of a listener have it
  for (const type of ['dragenter', 'dragover', 'dragleave', 'drop', 'paste']) document.addEventListener(type, on, page);
  for (const type of ['dragover', 'drop']) window.addEventListener(type, guard, page);
  return () => page.abort();
}

/**
 * The browser's own dialogs for files, folders and the camera: hidden inputs that are clicked.
 * @param {ShadowRoot} shadow @param {IncomingUpload} element
 */
export function make_inputs(shadow, element) {
  const [files, folder, camera] = ['input', 'folder-input', 'camera-input'].map((part) => {
    const input = /** @type {HTMLInputElement} */ (h('input', { type: 'file', part, hidden: '' }));
    input.addEventListener('change', () => {
      const chosen = [...(input.files || [])];
      input.value = ''; // the same file may be chosen again
      if (chosen.length) element.add(chosen);
    });
    shadow.append(input);
    return input;
  });
  folder.webkitdirectory = true;
  camera.accept = 'image/*';
  /** Chooses by the present attributes of the element. */
  function update() {
    files.accept = element.accept;
    files.multiple = element.is_multiple;
    set(camera, 'capture', element.capture);
  }
  return { files, folder, camera, update };
}
