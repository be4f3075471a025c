// Builds the JavaScript library: static/src becomes the files that pages load and the server serves.
//
//   node scripts/build-library.mjs [folder]     writes the built files, into static/ by default
//   node scripts/build-library.mjs --check      fails if one of static/ differs from what would be written
//
// The built files are committed, so that an installation from the tree needs no Node.
//
// esbuild bundles and terser minifies, because the result is 4 % smaller than that of esbuild alone.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import zlib from 'node:zlib';
import zopfli from '@gfx/zopfli';
import { buildSync } from 'esbuild';
import { minify as terse } from 'terser';

const STATIC = join(dirname(dirname(fileURLToPath(import.meta.url))), 'static');
const TARGET = 'es2018'; // docs/reference/javascript.md tells which browsers have it

/**
 * In the minified files all properties with an underscore get short names, except those that pages or other versions of
 * the library see: the ones in incoming.d.ts, and two more in localStorage. So a name that passes between page and
 * worker, or that is computed, must not have an underscore.
 */
const PRIVATE = /^[a-z]+(_[a-z0-9]+)+$/;
const STORED = ['seen_at_ms', 'live_ms'];

/**
 * Short names in a fixed order. A minifier's own order depends on the whole file. With a fixed one the functions that
 * page and worker both have become the same text in both, which then compresses well.
 */
const LETTERS = [...'tesinrholacdufpgymbwkvxzjqTESINRHOLACDUFPGYMBWKVXZJQ_$'];
const PAIRS = LETTERS.flatMap((a) => [...LETTERS, ...'0123456789'].map((b) => a + b));
const SHORT_NAMES = [...LETTERS, ...PAIRS.filter((name) => !['as', 'do', 'if', 'in', 'is', 'of'].includes(name))];
const nth_identifier = { get: (n) => SHORT_NAMES[n] };

/** @returns the text of a bundle of static/src, and its source map */
function bundle(entry, outfile, options) {
  const { outputFiles } = buildSync({
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

/** @returns the minified text of a script or a module, and its source map */
async function minified({ text, map }, outfile, options) {
  const sourceMap = { content: map, filename: outfile, includeSources: true, url: outfile + '.map' };
  const { code, map: final_map } = await terse(text, {
    compress: { passes: 3 },
    ecma: 2018,
    mangle: { nth_identifier },
    sourceMap,
    ...options,
  });
  return { [outfile]: code + '\n', [outfile + '.map']: final_map + '\n' };
}

/** @returns the built text files, by name; `options` for esbuild are for tests */
export async function build(options = {}) {
  const { version } = JSON.parse(readFileSync(join(STATIC, 'package.json'), 'utf8'));
  const declared = readFileSync(join(STATIC, 'incoming.d.ts'), 'utf8').match(/\b[a-z]+(_[a-z0-9]+)+\b/g);
  const public_names = new RegExp(`^(${[...declared, ...STORED].join('|')})$`);
  const small = { minifySyntax: true, mangleProps: PRIVATE, reserveProps: public_names, ...options };
  const worker = { format: 'iife', ...options };
  const { text: worker_text } = bundle('worker/main.js', 'worker.js', worker);
  const small_worker = bundle('worker/main.js', 'worker.js', { ...worker, minifySyntax: true });
  const small_worker_text = (await minified(small_worker, 'worker.js', { sourceMap: false }))['worker.js'].trim();

  const built = {};
  for (const [name, entry, format] of [['incoming.js', 'script.js', 'iife'], ['incoming.mjs', 'module.js', 'esm']]) {
    const banner = `/*! ${name} ${version}: uploads to an Incoming!! server. MIT license. */`;
    const define = { LIBRARY_VERSION: JSON.stringify(version) };
    const { text } = bundle(entry, name, { define, format, ...options });
    const note = '// Built by scripts/build-library.mjs: make changes in static/src, which has the comments, too.\n';
    built[name] = `${banner}\n${note}${text.replace('WORKER_SOURCE', () => literal(worker_text))}`;

    const small_name = name.replace('.', '.min.');
    define.WORKER_SOURCE = JSON.stringify(small_worker_text);
    const whole = bundle(entry, small_name, { define, format, ...small });
    const terser_options = { format: { preamble: banner }, module: format === 'esm' };
    Object.assign(built, await minified(whole, small_name, terser_options));
  }
  return built;
}

/** A text as a template literal: readable, with its line breaks. */
function literal(text) {
  return '`' + text.replace(/[\\`]|\$\{/g, '\\$&') + '`';
}

/** What the server sends to browsers that accept an encoding. Compressors differ, so what counts is what comes out. */
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
