// What pages have besides the callbacks: events, a promise, a question before the page is left.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FakeFile, KIB, Page } from './page.mjs';

const settled = () => new Promise((resolve) => setImmediate(resolve));

// ---- events

test('an uploader is an EventTarget, and whoever listens hears what the callbacks hear, after them', async () => {
  const page = new Page();
  const uploader = page.incoming.Uploader('id', new FakeFile(KIB));
  assert.ok(uploader instanceof EventTarget);
  const heard = [];
  for (const name of ['progress', 'finished', 'cancelled', 'error']) {
    uploader[`on${name}`] = () => heard.push(`on${name}`);
    uploader.addEventListener(name, (event) => heard.push(`${event.type} ${event.target === uploader}`));
  }
  uploader.start();
  assert.deepEqual(heard, ['onprogress', 'progress true']);
  await page.connects(0);
  await page.stores(KIB);
  page.socket.finishes();
  assert.deepEqual(heard.slice(-4), ['onprogress', 'progress true', 'onfinished', 'finished true']);
  assert.equal(heard.filter((name) => name === 'onprogress').length, heard.filter((name) => name === 'progress true').length);
});

test('each ending has its event', async () => {
  for (const [number, word, name] of [[30, 'cancelled', 'cancelled'], [11, 'unknown_ticket', 'error']]) {
    const page = new Page();
    const uploader = page.uploader().start();
    const heard = [];
    for (const type of ['finished', 'cancelled', 'error']) uploader.addEventListener(type, () => heard.push(type));
    await page.pass(0);
    page.socket.open();
    page.socket.refuses(number, word);
    assert.deepEqual(heard, [name]);
  }
});

test('a listener may pause, is called as often as it wants, and can be removed', async () => {
  const page = new Page();
  const uploader = page.uploader();
  let calls = 0;
  const listener = () => { calls += 1; };
  uploader.addEventListener('progress', (event) => event.target.pause('pause'), { once: true });
  uploader.addEventListener('progress', listener);
  uploader.start();
  assert.equal(uploader.paused, true);
  assert.equal(calls, 2);
  uploader.removeEventListener('progress', listener);
  uploader.pause('unpause');
  assert.equal(calls, 2);
});

// ---- the promise

test('done resolves with the uploader when the app has the file, and not before', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(KIB));
  let done = null;
  uploader.done.then((value) => { done = value; });
  await page.stores(KIB);
  await settled();
  assert.equal(done, null);
  page.socket.finishes();
  await settled();
  assert.equal(done, uploader);
  assert.equal(uploader.done, uploader.done);
});

test('done rejects with the reason, the code and the uploader', async () => {
  for (const [number, word, expected] of [
    [30, 'cancelled', { reason: 'cancelled', code: null, message: 'No.' }],
    [11, 'unknown_ticket', { reason: 'error', code: 11, message: 'No.' }],
  ]) {
    const page = new Page();
    const uploader = page.uploader().start();
    await page.pass(0);
    page.socket.open();
    page.socket.refuses(number, word);
    const error = await uploader.done.catch((reason) => reason);
    const { reason, code, message } = error;
    assert.deepEqual({ reason, code, message }, expected);
    assert.equal(error.uploader, uploader);
    assert.equal(Object.prototype.toString.call(error), '[object Error]');
  }
});

test('done is told after the callbacks', async () => {
  const page = new Page();
  const uploader = page.uploader(new FakeFile(KIB)).start();
  const heard = [];
  uploader.onfinished = () => heard.push('callback');
  uploader.done.then(() => heard.push('promise'));
  await page.connects(0);
  page.socket.stores(KIB);
  page.socket.finishes();
  await settled();
  assert.deepEqual(heard, ['callback', 'promise']);
});

test('nobody who leaves the promise alone hears of an unhandled rejection', async () => {
  const unhandled = [];
  const listener = (reason) => unhandled.push(reason);
  process.on('unhandledRejection', listener);
  const page = new Page();
  const uploader = page.uploader().start();
  await page.pass(0);
  page.socket.open();
  page.socket.refuses(11, 'unknown_ticket');
  assert.equal(uploader.error_code, 11);
  await settled();
  await settled();
  process.off('unhandledRejection', listener);
  assert.deepEqual(unhandled, []);
});

// ---- leaving the page

/** Whether the browser would ask the user now. */
function asks(page) {
  let prevented = false;
  const event = { type: 'beforeunload', preventDefault: () => { prevented = true; }, returnValue: 'untouched' };
  page.listeners.fire(event);
  assert.equal(event.returnValue, prevented ? '' : 'untouched', 'older browsers want the other way');
  return prevented;
}

const listens = (page) => page.listeners.map.get('beforeunload')?.size > 0;

test('the user is asked before the page is left while an upload would stop, if the page wants that', async () => {
  const page = new Page();
  const uploader = page.uploader(new FakeFile(KIB));
  assert.equal(uploader.warn_before_unload, false);
  uploader.warn_before_unload = true;
  assert.equal(uploader.warn_before_unload, true);
  assert.equal(asks(page), false, 'not started');
  uploader.start();
  assert.equal(asks(page), true, 'dialling');
  await page.connects(0);
  assert.equal(asks(page), true, 'sending');
  uploader.pause();
  assert.equal(asks(page), true, 'paused');
  uploader.pause('unpause');
  page.socket.breaks();
  await page.pass(0);
  assert.equal(asks(page), true, 'waiting for the next try');
  await page.connects(0);
  await page.stores(KIB);
  assert.equal(asks(page), false, 'arrived: nothing is lost');
});

test('a cancel that was not heard yet is worth the question, one that was is not', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  uploader.warn_before_unload = true;
  uploader.cancel('enough');
  assert.equal(asks(page), true);
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.equal(asks(page), false);
});

test('without the wish the user is not asked, and the page may go into the cache of the browser', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  assert.equal(asks(page), false);
  assert.equal(listens(page), false);
  uploader.warn_before_unload = true;
  assert.equal(listens(page), true);
  uploader.warn_before_unload = false;
  assert.equal(listens(page), false);
});

test('one of several uploads is enough for the question', async () => {
  const page = new Page();
  const first = await page.uploading(new FakeFile(KIB));
  const second = await page.uploading();
  first.warn_before_unload = second.warn_before_unload = true;
  page.sockets[0].stores(KIB);
  page.sockets[0].finishes();
  assert.equal(asks(page), true);
  second.warn_before_unload = false;
  assert.equal(asks(page), false);
});

// ---- the library itself

test('the version is that of the package', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../static/package.json', import.meta.url), 'utf8'));
  assert.equal(new Page().incoming.version, version);
});
