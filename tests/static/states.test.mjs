// The table of states and flags in docs/reference/javascript.md, compared with what the library really shows.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FakeFile, KIB, Page, endings } from './page.mjs';
import { SITUATIONS } from './situations.mjs';

const DOCS = new URL('../../docs/reference/javascript.md', import.meta.url);
const FLAGS = ['connected', 'retrying', 'paused', 'can_pause', 'can_cancel', 'can_retry', 'cancelling', 'cancelled', 'finished'];

async function row(situation) {
  const page = new Page();
  const uploader = page.uploader(new FakeFile(2 * KIB));
  await SITUATIONS[situation](page, uploader);
  const flags = FLAGS.map((flag) => (uploader[flag] ? 'yes' : '·'));
  const callback = endings(uploader).map((name) => `\`on${name}\``).join();
  const state = [uploader.state, uploader.reason].filter(Boolean).map((name) => `\`${name}\``).join(': ');
  return `| ${[situation, state, ...flags, callback || '·', uploader.state_msg].join(' | ')} |`;
}

test('the table in docs/reference/javascript.md shows each state as it is', async () => {
  const rows = await Promise.all(Object.keys(SITUATIONS).map(row));
  const head = ['the upload is', '`state`: `reason`', ...FLAGS.map((flag) => `\`${flag}\``), 'called', '`state_msg`'];
  const rule = head.map((_, i) => (i > 1 && i <= FLAGS.length + 1 ? ':-:' : '---'));
  const table = [`| ${head.join(' | ')} |`, `|${rule.join('|')}|`, ...rows].join('\n');
  const docs = readFileSync(DOCS, 'utf8');
  assert.ok(docs.includes(table), `docs/reference/javascript.md should hold this table:\n\n${table}\n`);
});

test('every flag of the library has its column', () => {
  const uploader = new Page().uploader();
  const flags = Object.keys(uploader).filter((name) => typeof uploader[name] === 'boolean'); // and no settings
  assert.deepEqual(flags.sort(), [...FLAGS].sort());
});

test('pause and cancel have an effect exactly when can_pause and can_cancel say so', async () => {
  for (const [situation, prepare] of Object.entries(SITUATIONS)) {
    for (const [call, flag] of [['pause', 'can_pause'], ['cancel', 'can_cancel']]) {
      const page = new Page();
      const uploader = page.uploader(new FakeFile(2 * KIB));
      await prepare(page, uploader);
      const { length } = uploader.events;
      const expected = uploader[flag];
      uploader[call](call === 'pause' ? 'toggle' : 'enough');
      assert.equal(uploader.events.length > length, expected, `${call} when ${situation}`);
    }
  }
});
