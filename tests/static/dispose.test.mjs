// A page leaves an upload: nothing is called any more, everything is free, and another uploader resumes the ticket.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Browser, FakeFile, KIB, Page, pass } from './page.mjs';
import { SITUATIONS } from './situations.mjs';

const ENDED = ['finished', 'cancelled', 'failed'];

/** Counts whatever is called back from now on. */
function listen(uploader) {
  const calls = [];
  for (const name of ['progress', 'finished', 'cancelled', 'error']) {
    uploader[`on${name}`] = () => calls.push(`on${name}`);
    uploader.addEventListener(name, () => calls.push(name));
  }
  uploader.subscribe(() => calls.push('subscriber'));
  uploader.subscribe(() => calls.push('frame'), { per_frame: true });
  return calls;
}

for (const [situation, prepare] of Object.entries(SITUATIONS)) {
  test(`after dispose nothing is called and nothing is held, when the upload is ${situation}`, async () => {
    const browser = new Browser();
    const page = browser.tab();
    const uploader = page.uploader(new FakeFile(2 * KIB));
    await prepare(page, uploader);
    await page.pass(0);
    const before = uploader.state;
    const calls = listen(uploader);
    const unfinished = page.incoming.unfinished().length;
    assert.equal(uploader.dispose(), undefined);
    assert.equal(uploader.state, ENDED.includes(before) ? before : 'disposed');
    assert.equal(uploader.snapshot().state, uploader.state);
    assert.deepEqual([uploader.can_pause, uploader.can_cancel, uploader.can_retry, uploader.connected], [false, false, false, false]);
    await page.pass(0);
    assert.deepEqual([browser.held.size, browser.channels.size], [0, 0]);
    for (const socket of page.sockets) if (socket.readyState < 2) assert.fail('a connection is open');
    const dialled = page.sockets.length;
    uploader.start().pause('toggle').retry_now().cancel('enough');
    uploader.max_bytes_per_s = 1000;
    uploader.dispose();
    page.fire('online');
    page.navigator.onLine = false;
    page.fire('offline');
    await page.pass(100);
    assert.deepEqual([calls, page.sockets.length, page.clock.timers.size], [[], dialled, 0]);
    assert.ok(page.incoming.unfinished().length >= unfinished, 'what can be resumed is offered');
    const outcome = await uploader.done.then(() => 'finished', (error) => error.reason);
    assert.equal(outcome, { finished: 'finished', cancelled: 'cancelled', failed: 'error' }[before] ?? 'disposed');
  });
}

test('a new uploader of the same page resumes the ticket at once', async () => {
  for (const lock_ms of [0, 20]) {
    const browser = new Browser();
    browser.lock_ms = lock_ms;
    const page = browser.tab();
    const uploader = page.uploader().start();
    await page.pass(0.1);
    await page.connects(0);
    await page.stores(3 * KIB);
    uploader.dispose();
    const next = page.uploader().start();
    await page.pass(0.1);
    assert.equal(page.sockets.length, 2, 'it need not wait for its next tick');
    await page.connects(3 * KIB);
    assert.deepEqual([next.state, next.bytes_acked], ['uploading', 3 * KIB]);
  }
});

test('an uploader in another tab that follows takes over at once, and the upload is not cancelled', async () => {
  const browser = new Browser();
  const tabs = [browser.tab(), browser.tab()];
  const first = await tabs[0].uploading();
  const second = tabs[1].uploader().start();
  await pass(0, ...tabs);
  first.dispose();
  await pass(0, ...tabs);
  assert.equal(tabs[1].sockets.length, 1);
  assert.deepEqual([second.state, tabs[0].socket.message_types.includes('MsgCancel')], ['connecting', false]);
});

test('a follower that is disposed of leaves the owner alone', async () => {
  const browser = new Browser();
  const tabs = [browser.tab(), browser.tab()];
  const first = await tabs[0].uploading();
  const second = tabs[1].uploader().start();
  await pass(0, ...tabs);
  second.dispose();
  await tabs[0].stores(KIB);
  await pass(1, ...tabs);
  assert.deepEqual([first.state, first.bytes_acked, second.state], ['uploading', KIB, 'disposed']);
  assert.equal(browser.channels.size, 1);
});

for (const [name, hear] of Object.entries({
  'a callback': (uploader, act) => { uploader.onprogress = act; },
  'a listener': (uploader, act) => uploader.addEventListener('progress', act),
  'a subscriber': (uploader, act) => uploader.subscribe(act),
})) {
  test(`${name} may dispose, and those that would be called after it are not called`, async () => {
    const page = new Page();
    const uploader = await page.uploading(new FakeFile(KIB));
    uploader.onprogress = null;
    hear(uploader, () => uploader.dispose());
    const calls = [];
    uploader.addEventListener('progress', () => calls.push('listener'));
    uploader.subscribe(() => calls.push('subscriber'));
    uploader.onerror = uploader.onfinished = () => calls.push('ending');
    page.socket.stores(KIB);
    await page.pass(1);
    assert.deepEqual(calls, name === 'a subscriber' ? ['listener'] : []);
    assert.equal(uploader.state, 'disposed');
  });
}

test('dispose in the callback of the last change keeps the ending from being called, and done still tells it', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(KIB));
  const heard = [];
  uploader.onprogress = () => uploader.finished && uploader.dispose();
  uploader.onfinished = () => heard.push('onfinished');
  await page.stores(KIB);
  page.socket.finishes();
  await page.pass(0);
  assert.deepEqual([heard, uploader.state], [[], 'finished']);
  assert.equal(await uploader.done, uploader);
});

test('a page that leaves a disposed upload is not asked about it', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  uploader.warn_before_unload = true;
  uploader.dispose();
  let asked = false;
  page.fire('beforeunload', { preventDefault: () => { asked = true; } });
  assert.equal(asked, false);
});
