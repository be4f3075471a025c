// The table of states and flags in docs/reference/javascript.md, compared with what the library really shows.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FakeFile, KIB, Page, endings } from './page.mjs';

const DOCS = new URL('../../docs/reference/javascript.md', import.meta.url);
const FLAGS = ['connected', 'retrying', 'paused', 'can_pause', 'can_cancel', 'cancelling', 'cancelled', 'finished'];

/** Lets the library dial, and the server answer the request with nothing yet. */
async function asks(page) {
  await page.pass(0);
  page.socket.open();
}

async function uploads(page, uploader) {
  uploader.start();
  await asks(page);
  page.socket.confirms();
  await page.pass(0);
}

async function arrives(page, uploader) {
  await uploads(page, uploader);
  await page.stores(2 * KIB);
}

/** Every situation that the table has a row for, and the way there. */
const SITUATIONS = {
  'not started': () => {},
  'paused before its start': (page, uploader) => uploader.pause('pause'),
  'on its way to the server': (page, uploader) => uploader.start(),
  'asking the server': async (page, uploader) => {
    uploader.start();
    await asks(page);
  },
  'comparing what the server has': async (page, uploader) => {
    uploader.start();
    await asks(page);
    page.socket.confirms(KIB, { Compare: [[0, KIB]] });
  },
  'sending': uploads,
  'waiting for the next try': async (page, uploader) => {
    await uploads(page, uploader);
    page.socket.breaks();
  },
  'trying again': async (page, uploader) => {
    await uploads(page, uploader);
    page.socket.breaks();
    await page.seconds_until_dialled();
  },
  'paused': async (page, uploader) => {
    await uploads(page, uploader);
    uploader.pause('pause');
  },
  'arrived, the app takes it': arrives,
  'arrived, the app does not answer': async (page, uploader) => {
    await arrives(page, uploader);
    page.socket.news('waiting_for_app');
  },
  'arrived, the app does not answer, and the server says why': async (page, uploader) => {
    await arrives(page, uploader);
    page.socket.news('waiting_for_app', 0, { Why: 'the app could not be reached: it refuses connections' });
  },
  'arrived, connection lost': async (page, uploader) => {
    await arrives(page, uploader);
    page.socket.breaks();
  },
  'cancelled by the user, not confirmed': async (page, uploader) => {
    await uploads(page, uploader);
    uploader.cancel('enough');
  },
  'the same, connection lost': async (page, uploader) => {
    await uploads(page, uploader);
    uploader.cancel('enough');
    page.socket.breaks();
  },
  'finished': async (page, uploader) => {
    await arrives(page, uploader);
    page.socket.finishes();
  },
  'cancelled': async (page, uploader) => {
    await uploads(page, uploader);
    uploader.cancel('enough');
    page.socket.hears('MsgCancelAck', { Ack: true });
  },
  'failed': async (page, uploader) => {
    await uploads(page, uploader);
    page.socket.refuses(31, 'expired');
  },
};

async function row(situation) {
  const page = new Page();
  const uploader = page.uploader(new FakeFile(2 * KIB));
  await SITUATIONS[situation](page, uploader);
  const flags = FLAGS.map((flag) => (uploader[flag] ? 'yes' : '·'));
  const callback = endings(uploader).map((name) => `\`on${name}\``).join();
  return `| ${[situation, ...flags, callback || '·', uploader.state_msg].join(' | ')} |`;
}

test('the table in docs/reference/javascript.md shows each state as it is', async () => {
  const rows = await Promise.all(Object.keys(SITUATIONS).map(row));
  const head = ['the upload is', ...FLAGS.map((flag) => `\`${flag}\``), 'called', '`state_msg`'];
  const rule = head.map((_, i) => (i > 0 && i <= FLAGS.length ? ':-:' : '---'));
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
