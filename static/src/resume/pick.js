// The browser's dialog to choose files, with handles where it gives them.

/** @typedef {import('../../resume.d.mts').PickedFile} PickedFile */
/** @typedef {{multiple?: boolean, accept?: string}} PickOptions */

/**
 * Call it in a click.
 * @param {PickOptions} [options] as the attributes of an `<input type="file">`
 * @returns {Promise<PickedFile[]>} empty if the user has chosen nothing
 */
export async function pick_files(options = {}) {
  return await pick_with_handles(options) || pick_with_input(options);
}

/**
 * The same, where the browser has a dialog that gives handles.
 * @param {PickOptions} options @returns {Promise<PickedFile[] | null>} null: there is none here, and nothing was asked
 */
export async function pick_with_handles({ multiple = false, accept = '' }) {
  const { showOpenFilePicker } = /** @type {any} */ (window);
  try {
    /** @type {FileSystemFileHandle[]} */
    const handles = await showOpenFilePicker.call(window, { multiple, ...types_of(accept) });
    return await Promise.all(handles.map(async (handle) => {
      const file = await handle.getFile();
      return { path: file.name, file, handle };
    }));
  } catch (error) { // it is missing, may not be used in this frame, or doesn't understand `accept`
    return /** @type {Error} */ (error).name === 'AbortError' ? [] : null;
  }
}

/** @param {string} accept @returns {{types?: object[]}} for showOpenFilePicker */
export function types_of(accept) {
  /** @type {Record<string, string[]>} */
  const types = {};
  for (const wish of accept.split(',').map((part) => part.trim().toLowerCase()).filter(Boolean)) {
    if (wish.startsWith('.')) (types['*/*'] = types['*/*'] || []).push(wish);
    else types[wish] = types[wish] || [];
  }
  return Object.keys(types).length ? { types: [{ accept: types }] } : {};
}

/** @param {PickOptions} options @returns {Promise<PickedFile[]>} */
function pick_with_input({ multiple = false, accept = '' }) {
  return new Promise((resolve) => {
    const input = Object.assign(document.createElement('input'), { type: 'file', multiple, accept });
    const chosen = () => {
      input.remove();
      resolve(Array.from(input.files || [], (file) => ({ path: file.name, file, handle: null })));
    };
    input.hidden = true;
    input.addEventListener('change', chosen);
    input.addEventListener('cancel', chosen);
    document.body.append(input); // WebKit may collect one that is nowhere
    input.click();
  });
}
