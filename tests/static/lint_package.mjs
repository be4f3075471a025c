// What publint and arethetypeswrong say about a tarball of the package: one line for each problem.
//
//     node lint_package.mjs TARBALL

import { readFileSync } from 'node:fs';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const bytes = readFileSync(process.argv[2]);
const { messages, pkg } = await publint({ pack: { tarball: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) }, level: 'warning', strict: true });
for (const message of messages) console.log(`publint: ${formatMessage(message, pkg, { color: false })}`);

/** The resolver of 2012 (node10) knows no subpaths, and other entries than the library itself are for import. */
function is_known({ kind, entrypoint, resolutionKind }) {
  if (entrypoint === '.' || entrypoint === './incoming.js') return false;
  return kind === 'CJSResolvesToESM' || (['NoResolution', 'UntypedResolution'].includes(kind) && resolutionKind === 'node10');
}

const { problems } = await checkPackage(createPackageFromTarballData(new Uint8Array(bytes)));
for (const problem of problems) if (!is_known(problem)) console.log(`arethetypeswrong: ${JSON.stringify(problem)}`);
