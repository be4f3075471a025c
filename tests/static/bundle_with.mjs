// Bundles the script of an app, as the configuration of an app would have it.
//
//     node bundle_with.mjs TOOL APP OUTFILE '{"options": "of the tool"}'
//
// TOOL is esbuild, webpack, rollup or vite; the package is in node_modules beside APP. The options may have `terser`, which are options
// for that.

import { readFileSync, renameSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const [tool, app, outfile, words] = process.argv.slice(2);
const { terser, ...options } = JSON.parse(words);
const folder = join(dirname(app), 'node_modules', 'incoming-uploads');

/** Rollup has no resolver of its own. */
const resolver = {
  name: 'resolver',
  resolveId(source) {
    if (!source.startsWith('incoming-uploads')) return null;
    const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const { import: imported, default: file } = exports[source.replace('incoming-uploads', '.')];
    return join(folder, imported ? imported.default : file);
  },
};
const terse = {
  name: 'terse',
  async renderChunk(code) {
    const { minify } = await import('terser');
    return (await minify(code, terser)).code;
  },
};

const TOOLS = {
  async esbuild() {
    const { build } = await import('esbuild');
    const { mangleProps, ...more } = options;
    const mangle = mangleProps ? { mangleProps: new RegExp(mangleProps) } : {};
    await build({ entryPoints: [app], bundle: true, outfile, logLevel: 'error', ...mangle, ...more });
  },

  async webpack() {
    const { default: webpack } = await import('webpack');
    const { default: Minimizer } = await import('minimizer-webpack-plugin'); // webpack's own
    const output = { path: dirname(outfile), filename: basename(outfile) };
    const optimization = terser && { optimization: { minimizer: [new Minimizer({ terserOptions: terser })] } };
    const stats = await new Promise((resolve, reject) => {
      const performance = { hints: false };
      webpack({ mode: 'production', entry: app, output, performance, ...optimization, ...options }, (error, done) => (error ? reject(error) : resolve(done)));
    });
    if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString());
  },

  async rollup() {
    const { rollup } = await import('rollup');
    const onwarn = ({ message }) => { throw new Error(message); };
    const bundle = await rollup({ input: app, onwarn, plugins: [resolver], ...options });
    await bundle.write({ file: outfile, format: 'iife', plugins: terser ? [terse] : [] });
  },

  async vite() {
    const { build } = await import('vite');
    const lib = { entry: app, formats: ['iife'], name: 'app', fileName: () => 'vite-built.js' };
    const outDir = dirname(outfile);
    await build({ root: dirname(app), configFile: false, logLevel: 'error', build: { lib, outDir, emptyOutDir: false, ...options } });
    renameSync(join(outDir, 'vite-built.js'), outfile);
  },
};

await TOOLS[tool]();
