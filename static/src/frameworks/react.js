'use client';
// react.mjs: hooks that show uploads, and `<incoming-upload>` as a component.

export { IncomingUpload } from './react_element.js';
export { useQueue, useUpload } from './react_hooks.js';
