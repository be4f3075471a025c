// The sentences for users: every state and reason is reached and has one, in each language, and pages replace them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import GERMAN from '../../static/src/texts/de.js';
import { ENGLISH } from '../../static/src/texts.js';
import { Browser, FakeFile, KIB, Page, StreamedFile, pass } from './page.mjs';
import { SITUATIONS } from './situations.mjs';

const TYPES = readFileSync(new URL('../../static/incoming.d.ts', import.meta.url), 'utf8');
const DOCS = readFileSync(new URL('../../docs/reference/javascript.md', import.meta.url), 'utf8');
const MIB = 1024 * KIB;

/** The names in a union of the types. */
function union(name) {
  const [, text] = TYPES.match(new RegExp(`type ${name} =([^;]*);`));
  return [...text.matchAll(/"(\w*)"/g)].map(([, word]) => word).concat([...text.matchAll(/\b([A-Z]\w+)\b/g)].flatMap(([, other]) => union(other)));
}

async function uploads(page, uploader) {
  uploader.start();
  await page.connects(0);
}

/** A failed try to connect, and those before it. */
async function fails(page, times) {
  for (let i = 0; i < times; i++) {
    if (i) await page.seconds_until_dialled();
    else await page.pass(0);
    page.socket.breaks();
    await page.pass(0);
  }
}

/** The server's final errors, with what it says. */
const refused = (number, word, more) => async (page, uploader) => {
  uploader.start();
  await page.pass(0);
  for (let i = 0; i < 3 && uploader.state !== 'failed'; i++) { // the third one is believed
    if (i) await page.seconds_until_dialled();
    page.socket.open();
    page.socket.refuses(number, word, more);
  }
};

const found = (status, opens = false) => async (page, uploader) => {
  page.fetch_status = status;
  page.incoming.transport = 'websocket';
  uploader.start();
  for (let i = 0; i < 3; i++) {
    if (i) await page.seconds_until_dialled();
    else await page.pass(0);
    if (opens) page.socket.open();
    page.socket.breaks();
    await page.pass(0);
  }
};

/** Ways into each reason, beside the situations. Each returns the uploader to look at, if it is another one. */
const WAYS = {
  offline: async (page, uploader) => {
    await uploads(page, uploader);
    page.navigator.onLine = false;
    page.socket.breaks();
  },
  no_connection: async (page, uploader) => {
    uploader.start();
    await fails(page, 1);
  },
  no_answer: async (page, uploader) => {
    uploader.start();
    await fails(page, 3);
  },
  server_restarting: async (page, uploader) => {
    await uploads(page, uploader);
    page.socket.news('stopping', 5);
    page.socket.breaks(1012);
  },
  server_busy: async (page, uploader) => {
    await uploads(page, uploader);
    page.socket.refuses(41, 'storage_full', { Retryable: true, Msg: 'The disk is full.' });
  },
  taken_over: async (page, uploader) => {
    await uploads(page, uploader);
    page.socket.breaks(4001);
  },
  'file_unreadable, for now': async (page, uploader) => {
    uploader.file.trouble = 'missing';
    uploader.start();
    await page.pass(0);
  },
  'file_unreadable, for good': async (page, uploader) => {
    await uploads(page, uploader);
    page.socket.breaks();
    uploader.file.trouble = 'missing';
    await page.pass(30);
  },
  'file_unreadable, from the beginning': async (page, uploader) => {
    uploader.file.trouble = 'missing';
    uploader.file.type = '';
    uploader.start();
    await page.pass(30);
  },
  file_changed: (page, uploader) => {
    uploader.file.size += 1;
    uploader.start();
  },
  websockets_blocked: found(426),
  too_many_connections: found(429),
  http_status: found(404),
  not_an_upload_server: found(404, true),
  'invalid_response, once': async (page, uploader) => {
    uploader.start();
    await page.pass(0);
    page.socket.open();
    page.socket.confirms(-1);
  },
  'invalid_response, three times': async (page, uploader) => {
    uploader.start();
    await page.pass(0);
    for (let i = 0; i < 3; i++) {
      if (i) await page.seconds_until_dialled();
      page.socket.open();
      page.socket.confirms(-1);
    }
  },
  unknown_ticket: refused(11, 'unknown_ticket'),
  bad_message: refused(20, 'bad_message'),
  bad_chunk: refused(21, 'bad_chunk'),
  length_mismatch: refused(22, 'length_mismatch'),
  upload_too_large: refused(23, 'upload_too_large'),
  wrong_file: refused(24, 'wrong_file', { FileName: 'a<b>.mp4', FileLengthBytes: 5 * MIB, FileLastModifiedMs: 1e12 }),
  handover_failed: refused(32, 'handover_failed'),
  refused: refused(18, 'bad_request'),
  bad_folder: refused(92, 'bad_folder'),
  wrong_dest_type: async (page, uploader) => {
    uploader.start();
    await page.connects(0, { DestType: 'folder' });
  },
  listing: (page) => page.uploader([new FakeFile(KIB)], 'ticket-2').start(),
  'file_unreadable, in a folder': async (page) => {
    const file = { path: 'a', file: new FakeFile(KIB) };
    const uploader = page.uploader([file], 'ticket-2').start();
    file.file.trouble = 'missing';
    for (let i = 0; i < 3; i++) {
      if (i) await page.seconds_until_dialled();
      await page.connects(0, { DestType: 'folder' });
      await page.pass(0.5);
    }
    return uploader;
  },
  bad_address: async (page, uploader) => {
    page.bad_address = true;
    uploader.start();
    await page.pass(0);
  },
  not_taken: async (page, uploader) => {
    await uploads(page, uploader);
    page.socket.hears('MsgAllDone', { Success: false });
  },
  server_too_old: async (page, uploader) => {
    uploader.start();
    await page.pass(0);
    page.socket.open();
    page.socket.hears('MsgUploadConf', { ChunkSizeKB: 4, FilePos: 0, SendAhead: 4 });
  },
  gave_up: async (page) => {
    const uploader = page.incoming.Uploader('ticket-2', new FakeFile(KIB), { give_up_after_s: 1.5 }).start();
    await fails(page, 2);
    await page.pass(5);
    return uploader;
  },
  not_retried: async (page) => {
    const uploader = page.incoming.Uploader('ticket-2', new FakeFile(KIB), { should_retry: () => false }).start();
    await fails(page, 1);
    return uploader;
  },
  'cancelled by the app': async (page, uploader) => {
    await uploads(page, uploader);
    page.socket.refuses(30, 'cancelled');
  },
  slow_read: async (page, uploader) => {
    uploader.file.trouble = 'stuck';
    uploader.start();
    await page.pass(9);
  },
  no_memory: async (page) => {
    const uploader = page.uploader(new StreamedFile(3000 * KIB), 'ticket-2').start();
    await page.pass(0);
    page.memory_bytes = 10;
    await page.connects(0, { MaxChunkBytes: 4 * MIB, MaxWindowBytes: 8 * MIB });
    return uploader;
  },
  worker_lost: async (page) => {
    const first = page.uploader(new FakeFile(KIB), 'ticket-2').start(); // which proves the worker
    await page.pass(0.1);
    const uploader = page.uploader(new FakeFile(4 * KIB), 'ticket-3').start();
    await page.pass(0.1);
    await page.connects(0);
    page.workers[0].fails();
    await page.pass(0);
    first.dispose();
    return uploader;
  },
  disposed: async (page, uploader) => {
    await uploads(page, uploader);
    uploader.dispose();
  },
  elsewhere: async (page, uploader, browser) => {
    await uploads(page, uploader);
    const other = browser.tab();
    const second = other.uploader(new FakeFile(2 * KIB)).start();
    await pass(0, page, other);
    return second;
  },
};

/** Goes all ways with a table; returns the (state, reason, sentences) that were seen. */
async function walk(entries) {
  const seen = [];
  for (const [name, way] of Object.entries({ ...SITUATIONS, ...WAYS })) {
    const browser = new Browser();
    const page = browser.tab();
    const make_tab = browser.tab.bind(browser);
    browser.tab = () => {
      const tab = make_tab();
      tab.incoming.set_texts(entries);
      return tab;
    };
    page.incoming.set_texts(entries);
    const file = new FakeFile(2 * KIB);
    file.type = 'video/mp4';
    const made = page.uploader(file);
    Object.defineProperty(made, 'file', { value: file });
    const uploader = (await way(page, made, browser)) || made;
    const { state, reason, state_msg, error_msg } = uploader;
    seen.push({ name, state, reason, state_msg, error_msg });
    uploader.dispose();
  }
  return seen;
}

test('every state and every reason is reached, and no other', async () => {
  const seen = await walk({});
  assert.deepEqual([...new Set(seen.map(({ state }) => state))].sort(), union('State').sort());
  assert.deepEqual([...new Set(seen.map(({ reason }) => reason))].sort(), [...new Set(union('Reason'))].sort());
  for (const { name, reason } of seen) {
    const [wanted] = name.split(', ');
    if (union('Reason').includes(wanted)) assert.equal(reason, wanted, name);
  }
});

test('each has its sentence in German, without a word of English and without HTML', async () => {
  const [english, german] = [await walk({}), await walk(GERMAN)];
  for (const [i, { name, state, state_msg, error_msg }] of german.entries()) {
    for (const text of [state_msg, error_msg, english[i].state_msg, english[i].error_msg]) assert.doesNotMatch(text, /[<>&]/, name);
    assert.notEqual(state_msg, english[i].state_msg, name);
    assert.match(state_msg, /^[A-ZÄÖÜ].*\.$/, name);
    assert.equal(error_msg !== '', state === 'failed', name);
    assert.doesNotMatch(state_msg + error_msg, /\b(the|The|is|No|upload|and)\b/, name);
  }
});

const NUMBERS = ['units', 'per_second', 'seconds', 'minutes', 'hours']; // parts of sentences

test('both tables have the same entries, with the same parameters, and German has those of the server and the queue, too', () => {
  for (const [key, text] of Object.entries(ENGLISH)) assert.equal(typeof GERMAN[key], typeof text, key);
  for (const [key, text] of Object.entries({ ...GERMAN, element: 'A table of its own.' })) {
    for (const count of [1, 2]) {
      const sentences = NUMBERS.includes(key) ? [] : [typeof text === 'function' ? text(key === 'too_many' ? count : `${count}`, 'b', 'c') : text];
      for (const sentence of sentences) assert.match(sentence, /^[A-ZÄÖÜ][^<>&]*\.$/, key);
    }
  }
  const [, server] = TYPES.match(/interface ServerTexts {([^}]*)}/);
  for (const [, key] of server.matchAll(/(\w+)\?/g)) assert.equal(typeof GERMAN[key], 'string', key);
});

test('German sizes have a decimal comma', () => {
  const { expected_file, too_large, too_small, total_too_large } = GERMAN;
  const with_a_size = [too_large, too_small, total_too_large, (/** @type {string} */ size) => expected_file('a.txt', size, '')];
  for (const sentence of with_a_size) assert.match(sentence('12.6 MB'), / \(?12,6 MB\b/);
  assert.match(expected_file('a.txt', '1 kB', ''), /a\.txt/);
});

test('the docs explain every state, every reason and the name of every error', () => {
  const explained = new Set([...DOCS.matchAll(/`(\w+)`/g)].map(([, word]) => word));
  for (const name of [...union('State'), ...union('Reason')]) assert.ok(!name || explained.has(name), name);
});

// ---- replacing them

test('what a page replaces is used for every later sentence, and the rest stays', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  const before = page.incoming.texts;
  page.incoming.set_texts({ uploading: 'Läuft.', connection_lost: 'Weg.' });
  assert.deepEqual([uploader.state_msg, uploader.seen.at(-1).state_msg], ['Läuft.', 'Läuft.'], 'an upload that runs tells it at once');
  page.socket.breaks();
  assert.equal(uploader.state_msg, 'Weg. Trying again soon.');
  assert.deepEqual([before.uploading, page.incoming.texts.uploading, page.incoming.texts.paused], ['Uploading.', 'Läuft.', 'Paused.']);
  assert.ok(Object.isFrozen(page.incoming.texts));
  page.incoming.set_texts({ trying_again: 'Nochmal.' });
  assert.equal(uploader.state_msg, 'Weg. Nochmal.');
});

test('entries of others are kept, and what is no table is refused', () => {
  const { incoming } = new Page();
  incoming.set_texts({ drop_here: 'Hierher.' });
  assert.equal(incoming.texts.drop_here, 'Hierher.');
  for (const wrong of [undefined, null, 'de']) assert.throws(() => incoming.set_texts(wrong), { name: 'TypeError' });
});

test('what the server says is shown, unless the page has a sentence for it', async () => {
  for (const [entries, text] of [[{}, 'The disk is full. Trying again soon.'], [{ server_busy: 'Voll.' }, 'Voll. Trying again soon.']]) {
    const page = new Page();
    page.incoming.set_texts(entries);
    const uploader = await page.uploading();
    page.socket.refuses(41, 'storage_full', { Retryable: true, Msg: 'The disk is full.' });
    assert.equal(uploader.state_msg, text);
  }
});

// ---- another tab with a library of before

const EARLIER = new URL('../e2e/yesterday/incoming.min.js', import.meta.url);

test('a follower of an owner with an earlier library derives state and reason, and can pause, cancel and take over', async () => {
  const browser = new Browser();
  const tabs = [browser.tab({ library: EARLIER }), browser.tab()];
  const first = await tabs[0].uploading();
  assert.equal('state' in first, false);
  const second = tabs[1].uploader().start();
  const shows = async (...expected) => {
    await pass(0, ...tabs);
    assert.deepEqual([second.state, second.reason, second.can_retry], expected);
  };
  await shows('elsewhere', '', false);
  tabs[0].socket.breaks();
  await shows('retrying', 'connection_lost', false);
  second.retry_now(); // which the other does not know
  await pass(2, ...tabs);
  await tabs[0].connects(0);
  await shows('elsewhere', '', false);
  second.pause('pause');
  await shows('paused', '', false);
  second.pause('unpause');
  await pass(0, ...tabs);
  await tabs[0].connects(0);
  for (const kib of [4, 8, 10]) await tabs[0].stores(kib * KIB);
  await shows('waiting_for_app', '', false);
  tabs[0].closes();
  await pass(2, ...tabs);
  await tabs[1].connects(10 * KIB, { Arrived: true });
  tabs[1].socket.finishes();
  await shows('finished', '', false);
});

test('the end in a tab with an earlier library is told with its reason', async () => {
  for (const [end, reason] of [
    [(page) => page.socket.refuses(30, 'cancelled', { Msg: 'by the app' }), 'app'],
    [async (page, second) => {
      second.cancel('enough');
      await page.pass(0);
      page.socket.hears('MsgCancelAck', { Ack: true });
    }, 'user'],
  ]) {
    const browser = new Browser();
    const tabs = [browser.tab({ library: EARLIER }), browser.tab()];
    await tabs[0].uploading();
    const second = tabs[1].uploader().start();
    await pass(0, ...tabs);
    await end(tabs[0], second);
    await pass(0, ...tabs);
    assert.deepEqual([second.state, second.reason], ['cancelled', reason]);
  }
});

test('a follower with an earlier library shows an owner of today, takes over when it is disposed of, and is followed', async () => {
  const browser = new Browser();
  const tabs = [browser.tab(), browser.tab({ library: EARLIER })];
  const first = await tabs[0].uploading();
  const second = tabs[1].uploader().start();
  await pass(0, ...tabs);
  await tabs[0].stores(KIB);
  await pass(0, ...tabs);
  assert.deepEqual([second.bytes_acked, second.state_msg], [KIB, 'Uploading.']);
  first.dispose();
  await pass(2, ...tabs);
  await tabs[1].connects(KIB);
  assert.equal(second.connected, true);
});
