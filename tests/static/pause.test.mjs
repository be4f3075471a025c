// Pausing and going on, in every state.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page, endings } from './page.mjs';

test('pausing says so, closes, and is visible at once', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  await page.stores(KIB);
  uploader.pause('pause');
  assert.deepEqual([uploader.paused, uploader.connected, uploader.can_pause], [true, false, true]);
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgAgree']);
  assert.equal(page.socket.close_code, 1000);
  assert.deepEqual([uploader.bytes_tx, uploader.bytes_acked], [KIB, KIB]);
});

test('a paused upload resumes at the byte that the server names', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  await page.stores(KIB);
  uploader.pause('pause').pause('unpause');
  await page.connects(3 * KIB);
  assert.equal(uploader.bytes_acked, 3 * KIB);
  assert.deepEqual(page.socket.chunks[0], [3 * KIB, 4 * KIB]);
});

test('unpausing opens a new connection at once, while the old one is still closing', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  const old = page.socket;
  uploader.pause('pause').pause('unpause');
  await page.connects(0);
  assert.notEqual(page.socket, old);
  old.breaks(1000); // and what becomes of the old one is of no interest
  assert.deepEqual([uploader.connected, uploader.paused], [true, false]);
});

test('toggle pauses and unpauses', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  assert.equal(uploader.pause('toggle').paused, true);
  assert.equal(uploader.pause('toggle').paused, false);
});

test('pausing a paused upload and unpausing a running one change nothing', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  const before = uploader.events.length;
  uploader.pause('unpause');
  assert.equal(uploader.events.length, before);
  uploader.pause('pause');
  const paused = uploader.events.length;
  uploader.pause('pause');
  assert.equal(uploader.events.length, paused);
  await page.pass(100);
  assert.equal(page.sockets.length, 1);
});

test('an upload that is paused before its start waits for both the start and the unpause', async () => {
  const page = new Page();
  const uploader = page.uploader().pause('pause');
  assert.equal(uploader.paused, true);
  uploader.start();
  await page.pass(10);
  assert.equal(page.sockets.length, 0);
  uploader.pause('unpause');
  await page.pass(0);
  assert.equal(page.sockets.length, 1);

  const other = page.uploader().pause('pause').pause('unpause');
  await page.pass(10);
  assert.equal(page.sockets.length, 1);
  other.start();
  await page.pass(0);
  assert.equal(page.sockets.length, 2);
});

test('pausing while the file is looked at, while dialling, asking or comparing just hangs up', async () => {
  for (const stage of ['looking', 'dialling', 'asking', 'comparing']) {
    const page = new Page();
    const file = new FakeFile(10 * KIB);
    const uploader = page.uploader(file).start();
    if (stage !== 'looking') await page.pass(0);
    if (['asking', 'comparing'].includes(stage)) page.socket.open();
    if (stage === 'comparing') page.socket.confirms(5 * KIB, { Compare: [[0, 5 * KIB]] });
    uploader.pause('pause');
    await page.pass(100);
    assert.equal(uploader.paused, true, stage);
    assert.equal(page.sockets.length, stage === 'looking' ? 0 : 1, stage);
    if (stage !== 'looking') assert.equal(page.socket.close_code, 1000, stage);
    if (['asking', 'comparing'].includes(stage)) assert.deepEqual(page.socket.message_types, ['MsgUploadReq']);
  }
});

test('pausing while waiting for the next try stops the trying; unpausing tries at once', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.breaks();
  uploader.pause('pause');
  assert.deepEqual([uploader.retrying, uploader.next_retry_at], [false, null]);
  await page.pass(200);
  assert.equal(page.sockets.length, 1);
  uploader.pause('unpause');
  await page.pass(0);
  assert.equal(page.sockets.length, 2);
});

test('a paused upload can be cancelled, and the server hears of it', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  uploader.pause('pause').cancel('changed my mind');
  assert.deepEqual([uploader.paused, uploader.cancelling], [false, true]);
  await page.connects(2 * KIB);
  assert.deepEqual(page.socket.messages.at(-1), { MsgType: 'MsgCancel', MsgData: { Reason: 'changed my mind' } });
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.deepEqual(endings(uploader), ['cancelled']);
});

test('a pause request of another kind is a TypeError', () => {
  const uploader = new Page().uploader(new FakeFile(1));
  assert.throws(() => uploader.pause('perhaps'), { name: 'TypeError' });
  assert.equal(uploader.pause().paused, true);
});
