// What continues an upload after a reload, where the browser gives little: no database, no handles, no wake lock.
// What a browser does give is tested in browsers: tests/e2e/test_resume.py.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { keep_awake } from '../../static/src/resume/awake.js';
import { forget, recall, remember, reopen } from '../../static/src/resume/handles.js';
import { unfinished } from '../../static/src/resume/list.js';
import { types_of } from '../../static/src/resume/pick.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A page of which only what is named here exists. */
function page(globals = {}) {
  const listed = [{ upload_id: 'a', filename: 'a.txt', live: false }];
  const forgotten = [];
  const window = {
    incoming: { unfinished: () => listed, forget: (id) => forgotten.push(id) },
    addEventListener() {},
  };
  const all = { window, navigator: {}, document: new EventTarget(), localStorage: {}, indexedDB: undefined, ...globals };
  for (const [name, value] of Object.entries(all)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  return { forgotten };
}

// ---- no database

const answers = (name, result = { close() {} }) => () => {
  const request = { error: new Error(name), result };
  setImmediate(() => request['on' + name]?.({ preventDefault() {} }));
  return request;
};
const aborting = {
  close() {},
  transaction() {
    const transaction = { objectStore: () => ({ put() {}, get() {}, getAll() {}, delete() {} }), error: new Error('QuotaExceededError') };
    setImmediate(() => transaction.onabort({ preventDefault() {} }));
    return transaction;
  },
};
const DATABASES = {
  'missing': undefined,
  'forbidden': { open() { throw new Error('SecurityError'); } },
  'refused': { open: answers('error') },
  'blocked by another tab': { open: answers('blocked') },
  'silent': { open: () => ({}) },
  'of another version': { open: answers('success') }, // it has no such store
  'full': { open: answers('success', aborting) },
};

for (const [name, indexedDB] of Object.entries(DATABASES)) {
  test(`where the database is ${name}, nothing is kept and nothing fails`, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { forgotten } = page({ indexedDB });
    const all = Promise.all([remember('a', {}), recall('a'), unfinished(), forget('a')]);
    for (let i = 0; i < 20; i++) {
      await settled();
      t.mock.timers.tick(3000);
    }
    const [remembered, recalled, list] = await all;
    assert.deepEqual([remembered, recalled], [undefined, null]);
    assert.deepEqual(list, [{ upload_id: 'a', filename: 'a.txt', live: false, handle: null }]);
    assert.deepEqual(forgotten, ['a'], 'the list of the library works without it');
  });
}

// ---- handles

test('a file is read again if the user allows it, and else it is not there', async () => {
  const file = { name: 'a.txt' };
  const handle = (permission, getFile = async () => file) => ({ requestPermission: async () => permission, getFile });
  const fails = async () => { throw new Error('NotFoundError'); };
  assert.equal(await reopen(handle('granted')), file);
  assert.equal(await reopen(handle('denied')), null);
  assert.equal(await reopen(handle('prompt')), null);
  assert.equal(await reopen(handle('granted', fails)), null, 'it was moved');
  assert.equal(await reopen({ requestPermission: fails }), null, 'it was not asked in a click');
  assert.equal(await reopen({ getFile: async () => file }), file, 'some browsers have no permissions');
});

test('the attribute `accept` becomes what the picker understands', () => {
  assert.deepEqual(types_of(''), {});
  assert.deepEqual(types_of(' , '), {});
  assert.deepEqual(types_of('image/*, .PDF,.mov'), { types: [{ accept: { 'image/*': [], '*/*': ['.pdf', '.mov'] } }] });
});

// ---- the screen

/** Gives locks, and notes how many are held; `refuses` makes it refuse them. */
class FakeWakeLock {
  held = 0;
  asked = 0;
  refuses = false;
  sentinels = [];

  async request() {
    this.asked += 1;
    if (this.refuses) throw new Error('NotAllowedError');
    this.held += 1;
    const sentinel = { release: () => { this.held -= 1; }, onrelease: null };
    this.sentinels.push(sentinel);
    return sentinel;
  }

  /** The browser takes all. */
  takes() {
    this.held = 0;
    this.sentinels.forEach(({ onrelease }) => onrelease());
  }
}

const SENDING = { connected: true, retrying: false, paused: false, frac_complete: 0.5 };
let wakeLock, uploader;

async function has(properties, event = 'progress') {
  Object.assign(uploader, properties);
  uploader.dispatchEvent(new Event(event));
  await settled();
}

async function shows(visibilityState) {
  document.visibilityState = visibilityState;
  document.dispatchEvent(new Event('visibilitychange'));
  await settled();
}

beforeEach(() => {
  wakeLock = new FakeWakeLock();
  uploader = Object.assign(new EventTarget(), { ...SENDING, connected: false });
  page({ navigator: { wakeLock } });
  document.visibilityState = 'visible';
});

test('the screen stays on while something is sent, and only then', async () => {
  const end = keep_awake(uploader);
  await settled();
  assert.equal(wakeLock.held, 0, 'not before');
  for (const [change, held] of [
    [SENDING, 1], [{ bytes_acked: 7 }, 1], [{ paused: true, connected: false }, 0], [SENDING, 1], [{ frac_complete: 1 }, 0], [SENDING, 1],
  ]) {
    await has(change);
    assert.equal(wakeLock.held, held, JSON.stringify(change));
  }
  end();
  assert.equal(wakeLock.held, 0);
  await has(SENDING);
  assert.equal(wakeLock.held, 0, 'it has ended');
});

for (const ending of ['finished', 'cancelled', 'error']) {
  test(`with the end of an upload (${ending}) all ends`, async () => {
    keep_awake(uploader);
    await has(SENDING);
    await has({}, ending);
    await has(SENDING);
    assert.equal(wakeLock.held, 0);
  });
}

test('a lock that the browser took with the hidden page is taken again when it is shown', async () => {
  keep_awake(uploader);
  await has(SENDING);
  document.visibilityState = 'hidden';
  wakeLock.takes();
  await has({ bytes_acked: 7 });
  assert.deepEqual([wakeLock.held, wakeLock.asked], [0, 1], 'not while it is hidden');
  await shows('visible');
  assert.equal(wakeLock.held, 1);
});

test('a browser that refuses is not asked again with each byte', async () => {
  wakeLock.refuses = true;
  keep_awake(uploader);
  for (let i = 0; i < 5; i++) await has({ ...SENDING, bytes_acked: i });
  assert.equal(wakeLock.asked, 1);
  wakeLock.refuses = false;
  await shows('hidden');
  await shows('visible');
  assert.equal(wakeLock.held, 1);
});

test('an upload that ends while the lock is asked for holds none', async () => {
  const end = keep_awake(uploader);
  Object.assign(uploader, SENDING);
  uploader.dispatchEvent(new Event('progress'));
  end();
  await settled();
  assert.deepEqual([wakeLock.asked, wakeLock.held], [1, 0]);
});

test('without a network, the screen stays on for a minute only', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e12 });
  keep_awake(uploader);
  await has(SENDING);
  await has({ connected: false, retrying: true });
  t.mock.timers.tick(59_000);
  await has({ bytes_ahead: 0 });
  assert.equal(wakeLock.held, 1);
  t.mock.timers.tick(1000);
  await settled();
  assert.equal(wakeLock.held, 0);
  await has({ next_retry_at: 7 });
  assert.equal(wakeLock.held, 0);
  await has({ connected: true, retrying: false });
  assert.equal(wakeLock.held, 1);
});

test('of a queue, each upload that runs keeps it on', async () => {
  let listener;
  let is_left = false;
  const queue = {
    items: [{ uploader: null }, { uploader }],
    subscribe: (callback) => { listener = callback; return () => { is_left = true; }; },
  };
  const end = keep_awake(queue);
  Object.assign(uploader, SENDING);
  listener();
  await settled();
  assert.equal(wakeLock.held, 1);
  uploader.frac_complete = 1;
  listener();
  assert.equal(wakeLock.held, 0);
  end();
  assert.equal(is_left, true);
});

test('where there is no wake lock nothing happens', () => {
  page();
  assert.equal(keep_awake(uploader)(), undefined);
});
