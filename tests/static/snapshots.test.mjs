// How programs follow an uploader: snapshots that stay the same object, and subscriptions.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page, endings, look } from './page.mjs';

/** A subscription that counts its calls and keeps what it saw. */
function subscribe(uploader, options) {
  const seen = [];
  const end = uploader.subscribe(() => seen.push(uploader.snapshot()), options);
  return { seen, end };
}

test('a snapshot has all properties, is frozen, and is the same object until one of them changes', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  const first = uploader.snapshot();
  assert.equal(uploader.snapshot(), first);
  assert.ok(Object.isFrozen(first));
  const callbacks = { onprogress: null, onfinished: null, oncancelled: null, onerror: null };
  assert.deepEqual({ ...callbacks, ...look(uploader) }, { ...callbacks, ...JSON.parse(JSON.stringify(first)) });
  page.socket.hears('MsgPong', {}); // which changes nothing
  assert.equal(uploader.snapshot(), first);
  await page.stores(KIB);
  assert.notEqual(uploader.snapshot(), first);
  assert.deepEqual([first.bytes_acked, uploader.snapshot().bytes_acked], [0, KIB]);
});

test('a subscriber is called after every change, the end included, and finds a new snapshot each time', async () => {
  const page = new Page();
  const uploader = page.uploader(new FakeFile(2 * KIB));
  const { seen } = subscribe(uploader);
  uploader.start();
  await page.connects(0);
  await page.stores(KIB);
  await page.stores(2 * KIB);
  page.socket.finishes();
  assert.equal(seen.length, uploader.seen.length);
  assert.equal(new Set(seen).size, seen.length);
  assert.deepEqual([seen.at(-1).state, seen.at(-1).finished], ['finished', true]);
  assert.equal(uploader.snapshot(), seen.at(-1));
});

test('a subscription ends by itself, also when another subscriber ends it', async () => {
  const page = new Page();
  const uploader = page.uploader();
  const later = [];
  uploader.subscribe(() => ends.forEach((end) => end()));
  const ends = [0, 1].map(() => uploader.subscribe(() => later.push('called')));
  uploader.start();
  await page.pass(1);
  assert.deepEqual(later, []);
});

test('what a subscriber throws is reported, and the others and the upload get along', async () => {
  const page = new Page();
  const uploader = page.uploader(new FakeFile(KIB));
  uploader.subscribe(() => { throw new Error('oops'); });
  const { seen } = subscribe(uploader);
  uploader.start();
  await page.connects(0);
  assert.ok(seen.length > 1);
  assert.equal(page.reported.length, seen.length);
  assert.equal(uploader.state, 'uploading');
});

test('the same function can subscribe twice, and each subscription ends alone', () => {
  const uploader = new Page().uploader();
  let calls = 0;
  const listener = () => { calls += 1; };
  const end = uploader.subscribe(listener);
  uploader.subscribe(listener);
  uploader.pause('pause');
  assert.equal(calls, 2);
  end();
  end();
  uploader.pause('unpause');
  assert.equal(calls, 3);
});

test('with per_frame a subscriber is called once a frame, and with the newest snapshot', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  const { seen } = subscribe(uploader, { per_frame: true });
  for (let i = 1; i <= 8; i++) page.socket.stores(i * KIB / 4);
  assert.equal(seen.length, 0);
  await page.pass(0.016);
  assert.deepEqual(seen.map(({ bytes_acked }) => bytes_acked), [2 * KIB]);
  await page.pass(0.5);
  assert.equal(seen.length, 1, 'nothing has changed');
});

test('with per_frame a hidden page is called ten times a second at most, also when it is hidden in between', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  const { seen } = subscribe(uploader, { per_frame: true });
  page.document.visibilityState = 'hidden';
  for (let i = 1; i <= 8; i++) {
    page.socket.stores(i * KIB / 4);
    await page.pass(0.02);
  }
  assert.equal(seen.length, 1);
  await page.pass(0.1);
  assert.equal(seen.length, 2);
  assert.equal(seen.at(-1).bytes_acked, 2 * KIB);
});

test('a subscription per frame that has ended is not called for an older change', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  const { seen, end } = subscribe(uploader, { per_frame: true });
  page.socket.stores(KIB);
  end();
  await page.pass(1);
  assert.deepEqual(seen, []);
});

test('the methods need no this, and what is not a function is refused', () => {
  const { snapshot, subscribe: detached } = new Page().uploader();
  assert.equal(snapshot().state, 'new');
  assert.equal(typeof detached(() => {}), 'function');
  assert.throws(() => detached(), { name: 'TypeError' });
});

test('the end of an upload is shown before its callback is called', async () => {
  const page = new Page();
  const uploader = page.uploader(new FakeFile(KIB)).start();
  const heard = [];
  uploader.subscribe(() => heard.push(uploader.state));
  uploader.onfinished = () => heard.push('onfinished');
  await page.connects(0);
  page.socket.stores(KIB);
  page.socket.finishes();
  assert.deepEqual(heard.slice(-2), ['finished', 'onfinished']);
  assert.deepEqual(endings(uploader), []);
});
