// Builds the files of Uppy for examples/5-uppy: its scripts, its styles and its licences, each in one file.
//
//   node scripts/build-uppy.mjs             writes them
//   node scripts/build-uppy.mjs --check     fails if one of them differs from what would be written
//
// They are committed, so that the example runs without Node and without the internet.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const TREE = dirname(dirname(fileURLToPath(import.meta.url)));
const EXAMPLE = join(TREE, 'examples', '5-uppy');
const CONTENTS = `
  export { BasePlugin, default as Uppy } from '@uppy/core';
  export { default as Dashboard } from '@uppy/dashboard';
  export { default as Tus } from '@uppy/tus';
  import '@uppy/core/css/style.min.css';
  import '@uppy/dashboard/css/style.min.css';
`;

/** @returns the folder of the package that a file is in, from the tree's root */
function package_of(file) {
  const parts = file.split('/');
  const at = parts.lastIndexOf('node_modules') + 1;
  return parts.slice(0, at + (parts[at].startsWith('@') ? 2 : 1)).join(sep);
}

/** @returns the licence of a package, below its name and version */
function licence_of(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(TREE, folder, 'package.json'), 'utf8'));
  const names = ['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'license', 'License'];
  const file = names.map((each) => join(TREE, folder, each)).find(existsSync);
  return `== ${name} ${version}, ${license}\n\n${file ? readFileSync(file, 'utf8').trim() : ''}\n`;
}

/** @returns the files by name */
function build() {
  const { outputFiles, metafile } = buildSync({
    absWorkingDir: TREE,
    bundle: true,
    charset: 'utf8',
    define: { 'process.env.NODE_ENV': '"production"' },
    format: 'esm',
    legalComments: 'none',
    logLevel: 'error',
    metafile: true,
    minify: true,
    outfile: 'uppy.mjs',
    platform: 'browser',
    stdin: { contents: CONTENTS, resolveDir: TREE },
    target: 'es2022',
    write: false,
  });
  const inputs = Object.keys(metafile.inputs).filter((name) => name.includes('node_modules/'));
  const packages = [...new Set(inputs.map(package_of))].sort();
  const text_of = (suffix) => outputFiles.find(({ path }) => path.endsWith(suffix)).text;
  return {
    'uppy.mjs': `/* Uppy, built by scripts/build-uppy.mjs. Licences: licences.txt */\n${text_of('.mjs')}`,
    'uppy.css': `/* Uppy, built by scripts/build-uppy.mjs. Licences: licences.txt */\n${text_of('.css')}`,
    'licences.txt': packages.map(licence_of).join('\n'),
  };
}

const is_check = process.argv.includes('--check');
for (const [name, text] of Object.entries(build())) {
  const file = join(EXAMPLE, name);
  const is_same = existsSync(file) && readFileSync(file, 'utf8') === text;
  if (is_check && !is_same) {
    console.error(`examples/5-uppy/${name} differs from what scripts/build-uppy.mjs builds. Run: make library`);
    process.exitCode = 1;
  } else if (!is_check && !is_same) writeFileSync(file, text);
}
