// What scripts/build-library.mjs puts into the built files.

/** The source of the worker: `worker/main.js` and its imports, as one script. */
declare const WORKER_SOURCE: string;

/** The version in static/package.json. */
declare const LIBRARY_VERSION: string;
