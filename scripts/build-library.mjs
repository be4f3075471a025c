// Builds the JavaScript library: static/src becomes the files that pages load and the server serves.
//
//   node scripts/build-library.mjs [folder]     writes the built files, into static/ by default
//   node scripts/build-library.mjs --check      fails if one of static/ differs from what would be written
//
// The built files are committed, so that an installation from the tree needs no Node.
//
// esbuild bundles and terser minifies, because the result is 4 % smaller than that of esbuild alone.

import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import zlib from 'node:zlib';
import zopfli from '@gfx/zopfli';
import { build as bundle_with, transform } from 'esbuild';
import { minify as terse } from 'terser';

const STATIC = join(dirname(dirname(fileURLToPath(import.meta.url))), 'static');

const FIELD = 'a field that uploads files to an Incoming!! server';

/**
 * What is built, by name: a script (.js) or a module (.mjs), from an entry in static/src. `name.min.js` and its source map
 * are built beside each. The server serves what incoming/http/library.py lists.
 *
 * The core is there once in a page. So in the other bundles an import of a module of static/ (`../../incoming.mjs`,
 * `../../queue.mjs`) stays an import of the file beside the built one. A script has the core from the global `incoming`,
 * and includes all others. `external` names packages that the app has.
 */
export const BUNDLES = {
  'incoming.js': { entry: 'script.js', is_core: true },
  'incoming.mjs': { entry: 'module.js', is_core: true },
  'queue.mjs': { entry: 'queue/module.js', about: 'a queue of uploads to an Incoming!! server' },
  'resume.mjs': { entry: 'resume/module.js', about: 'continues uploads to an Incoming!! server after a reload' },
  'texts/de.js': { entry: 'texts/de_script.js', about: 'the sentences of the library in German' },
  'texts/de.mjs': { entry: 'texts/de.js', about: 'the sentences of the library in German' },
  'react.mjs': { entry: 'frameworks/react.js', about: 'hooks and a component for React', external: ['react'] },
  'vue.mjs': { entry: 'frameworks/vue.js', about: 'composables for Vue', external: ['vue'] },
  'svelte.mjs': { entry: 'frameworks/svelte.js', about: 'stores for Svelte', external: ['svelte'] },
  'uppy.mjs': { entry: 'frameworks/uppy.js', about: 'an uploader for Uppy', external: ['@uppy/core'] },
  'element.mjs': { entry: 'element/module.js', about: FIELD, mangles: true },
  'incoming-upload.js': { entry: 'element/script.js', about: FIELD, mangles: true },
};
const CORE = 'incoming.mjs';
const CORE_TARGET = 'es2018'; // docs/reference/javascript.md tells which browsers have it
const TARGET = 'es2020';
const FIELD_TARGET = 'es2022'; // all browsers that docs/reference/element.md names have it

/**
 * In the minified files of the core, all properties with an underscore get short names, except those that pages or other
 * versions of the library see: the ones in incoming.d.ts, and two more in localStorage. So a name that passes between page
 * and worker, or that is computed, must not have an underscore. The other bundles share objects, and keep all names: those
 * that are marked with `mangles` keep the names in all files of types. These also shorten the names in `OF_THE_FIELD`. Such a
 * name is used by the sources of the element alone, and never as a string.
 */
const PRIVATE = /^[a-z]+(_[a-z0-9]+)+$/;
const OF_THE_FIELD = ('act actions asks bar camera connect connection facts fraction headline hear inputs inside internals lacks '
  + 'leave news offer panel picture reopen root seen shadow speech stops take tell timer tone touch trouble waits wanted zone').split(' ');
const STORED = ['seen_at_ms', 'live_ms'];

/**
 * Short names in a fixed order. A minifier's own order depends on the whole file. With a fixed order, functions that both
 * page and worker have become the same text in both, and compress well.
 */
const LETTERS = [...'tesinrholacdufpgymbwkvxzjqTESINRHOLACDUFPGYMBWKVXZJQ_$'];
const PAIRS = LETTERS.flatMap((a) => [...LETTERS, ...'0123456789'].map((b) => a + b));
const SHORT_NAMES = [...LETTERS, ...PAIRS.filter((name) => !['as', 'do', 'if', 'in', 'is', 'of'].includes(name))];
const nth_identifier = { get: (n) => SHORT_NAMES[n] };

/** @returns the text of a bundle of static/src, and its source map */
async function bundle(entry, outfile, options) {
  const { outputFiles } = await bundle_with({
    absWorkingDir: STATIC,
    bundle: true,
    charset: 'utf8',
    entryPoints: [join('src', entry)],
    legalComments: 'none',
    logLevel: 'error',
    outfile,
    sourcemap: 'external',
    target: TARGET,
    tsconfigRaw: { compilerOptions: { strict: true } }, // 'use strict', and nothing that depends on the folder
    write: false,
    ...options,
  });
  const text_of = (suffix) => outputFiles.find(({ path }) => path.endsWith(suffix)).text;
  return { text: text_of(outfile), map: text_of('.map') };
}

/**
 * Where a bundle finds the modules of static/ that it imports.
 * @param {string} format 'esm' or 'iife' @param {string} folder of the built file, below static/
 */
function neighbours(format, folder) {
  return {
    name: 'neighbours',
    setup(build) {
      build.onResolve({ filter: /^\.\.?\/.*\.mjs$/ }, ({ path, resolveDir }) => {
        const name = relative(STATIC, resolve(resolveDir, path)).split(sep).join('/');
        if (!(name in BUNDLES)) return undefined;
        const from_here = relative(folder, name).split(sep).join('/');
        if (format === 'esm') return { path: from_here[0] === '.' ? from_here : './' + from_here, external: true };
        if (name === CORE) return { path: name, namespace: 'global' };
        return { path: join(STATIC, 'src', BUNDLES[name].entry) };
      });
      build.onLoad({ filter: /./, namespace: 'global' }, () => ({ contents: 'export default window.incoming;' }));
    },
  };
}

/** A style sheet that a bundle imports is a text, minified. Its private custom properties (`--_name`) get short names. */
const style_sheets = {
  name: 'style sheets',
  setup(build) {
    build.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(readFileSync(path, 'utf8'), { loader: 'css', minify: true });
      const names = [...new Set(code.match(/--_[\w-]+/g))];
      const contents = code.trim().replace(/--_[\w-]+/g, (name) => `--_${LETTERS[names.indexOf(name)]}`)
        .replace(/(--_\w:|,) /g, '$1');
      return { contents, loader: 'text' };
    });
  },
};

/** @returns the minified text of a script or a module, and its source map */
async function minified({ text, map }, outfile, options) {
  const url = outfile.split('/').pop() + '.map';
  const sourceMap = { content: map, filename: outfile, includeSources: true, url };
  const { code, map: final_map } = await terse(text, {
    compress: { passes: 3 },
    mangle: { nth_identifier },
    sourceMap,
    ...options,
  });
  return { [outfile]: code + '\n', [outfile + '.map']: final_map + '\n' };
}

/** @returns the built text files, by name; `options` for esbuild are for tests */
export async function build(options = {}) {
  const { version } = JSON.parse(readFileSync(join(STATIC, 'package.json'), 'utf8'));
  const small_core = { minifySyntax: true, mangleProps: PRIVATE, reserveProps: names_in(['incoming.d.ts'], STORED) };
  const types = readdirSync(STATIC).filter((file) => /\.d\.m?ts$/.test(file));
  const small_element = { minifySyntax: true, mangleProps: new RegExp(`${PRIVATE.source}|^(${OF_THE_FIELD.join('|')})$`), reserveProps: names_in(types, []) };
  const worker = { format: 'iife', target: CORE_TARGET, ...options };
  const { text: worker_text } = await bundle('worker/main.js', 'worker.js', worker);
  const small_worker = await bundle('worker/main.js', 'worker.js', { ...worker, minifySyntax: true });
  const small_worker_text = (await minified(small_worker, 'worker.js', { ecma: 2018, sourceMap: false }))['worker.js'].trim();

  const built = {};
  for (const [name, { entry, is_core = false, about, external = [], mangles = false }] of Object.entries(BUNDLES)) {
    const format = name.endsWith('.mjs') ? 'esm' : 'iife';
    const banner = `/*! ${name} ${version}: ${about || 'uploads to an Incoming!! server'}. MIT license. */`;
    const define = { LIBRARY_VERSION: JSON.stringify(version) };
    const target = is_core ? CORE_TARGET : mangles ? FIELD_TARGET : TARGET;
    const shared = { format, target, external, plugins: is_core ? [] : [neighbours(format, dirname(name)), style_sheets] };
    const { text } = await bundle(entry, name, { ...shared, define, ...options });
    const note = '// Built by scripts/build-library.mjs: make changes in static/src, which has the comments, too.\n';
    built[name] = `${banner}\n${note}${text.replace('WORKER_SOURCE', () => literal(worker_text))}`;

    const small_name = small(name);
    define.WORKER_SOURCE = JSON.stringify(small_worker_text);
    const smaller = is_core ? small_core : mangles ? small_element : { minifySyntax: true };
    const whole = await bundle(entry, small_name, { ...shared, define, ...smaller, ...options });
    const ecma = Number(target.slice(2));
    const preamble = `/*! ${name} ${version}: MIT license. */`;
    const terser_options = { ecma, format: { preamble }, module: format === 'esm' };
    Object.assign(built, await minified(whole, small_name, terser_options));
  }
  return built;
}

/** @returns a pattern for the names with an underscore in these files of types, and for a few more */
function names_in(types, more) {
  const declared = types.flatMap((file) => readFileSync(join(STATIC, file), 'utf8').match(/\b[a-z]+(_[a-z0-9]+)+\b/g) || []);
  return new RegExp(`^(${[...declared, ...more].join('|')})$`);
}

/** @returns the name of the minified file */
function small(name) {
  return name.replace(/\.(m?js)$/, '.min.$1');
}

/** @returns a text as a template literal, which keeps its line breaks readable */
function literal(text) {
  return '`' + text.replace(/[\\`]|\$\{/g, '\\$&') + '`';
}

/** The files that the server sends to browsers that accept an encoding. Compressors differ, so the decompressed texts are compared. */
const ENCODINGS = [
  {
    suffix: '.gz',
    compress: (bytes) => zopfli.gzipAsync(bytes, { numiterations: 15 }),
    decompress: zlib.gunzipSync,
  },
  {
    suffix: '.br',
    compress: (bytes) => zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
    decompress: zlib.brotliDecompressSync,
  },
];
const SERVED = /\.min\.m?js$/;

async function write(folder) {
  for (const [name, text] of Object.entries(await build())) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
    if (!SERVED.test(name)) continue;
    for (const { suffix, compress } of ENCODINGS) {
      writeFileSync(join(folder, name + suffix), await compress(Buffer.from(text)));
    }
  }
}

/** @returns the names of files that differ from what would be written */
async function stale_files() {
  const stale = [];
  for (const [name, text] of Object.entries(await build())) {
    if (content_of(name) !== text) stale.push(name);
    if (!SERVED.test(name)) continue;
    for (const { suffix, decompress } of ENCODINGS) {
      if (content_of(name + suffix, decompress) !== text) stale.push(name + suffix);
    }
  }
  return stale;
}

function content_of(name, decompress = (bytes) => bytes) {
  const path = join(STATIC, name);
  try {
    return existsSync(path) ? decompress(readFileSync(path)).toString('utf8') : '';
  } catch {
    return ''; // not compressed data
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [argument] = process.argv.slice(2);
  if (argument === '--check') {
    const stale = await stale_files();
    if (stale.length) {
      console.error(`These files of static/ are not what static/src builds: ${stale.join(', ')}. Run: npm run build`);
      process.exitCode = 1;
    }
  } else {
    await write(argument ? resolve(argument) : STATIC);
  }
}
