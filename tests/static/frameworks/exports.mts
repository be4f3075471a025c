// Read by the compiler, and never run: what each bundle for a framework exports is what its types promise.

import * as react from '../../../static/react.mjs';
import * as react_source from '../../../static/src/frameworks/react.js';
import * as svelte from '../../../static/svelte.mjs';
import * as svelte_source from '../../../static/src/frameworks/svelte.js';
import * as uppy from '../../../static/uppy.mjs';
import * as uppy_source from '../../../static/src/frameworks/uppy.js';
import * as vue from '../../../static/vue.mjs';
import * as vue_source from '../../../static/src/frameworks/vue.js';

/** true if both have the same names. */
type Same<A, B> = [keyof A, keyof B] extends [keyof B, keyof A] ? true : false;

const as_promised: [typeof react, typeof svelte, typeof vue] = [react_source, svelte_source, vue_source];
const uploader: typeof uppy.IncomingUploader<any, any> = uppy_source.IncomingUploader;
const nothing_else: [
  Same<typeof react, typeof react_source>,
  Same<typeof svelte, typeof svelte_source>,
  Same<typeof uppy, typeof uppy_source>,
  Same<typeof vue, typeof vue_source>,
] = [true, true, true, true];
void [as_promised, uploader, nothing_else];
