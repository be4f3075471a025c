// What becomes of an upload whose file can no longer be read, or is no longer the same.
//
// How browsers behave then was seen in real ones: test_incoming_js_in_chromium.py.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page, endings } from './page.mjs';

test('before each connection the next bytes and the last one are read', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  assert.deepEqual(page.reads, [[0, 1], [10 * KIB - 1, 10 * KIB]]);
  page.socket.acknowledges();
  page.reads.length = 0;
  page.socket.breaks();
  await page.seconds_until_dialled();
  // All that was on its way: if one of these bytes could not be read, that is why the connection broke.
  assert.deepEqual(page.reads, [[KIB, 5 * KIB], [10 * KIB - 1, 10 * KIB]]);
  assert.equal(uploader.bytes_acked, KIB);
});

test('bytes that were on their way stay suspect until there is progress, and no more than 8 MiB are read', async () => {
  const page = new Page();
  const MIB = KIB * KIB;
  const uploader = page.uploader(new FakeFile(100 * MIB)).start();
  await page.pass(0);
  page.socket.open();
  page.socket.confirms(0, 4 * KIB, 5);
  for (let i = 0; i < 3; i++) {
    page.socket.breaks();
    await page.seconds_until_dialled();
    assert.deepEqual(page.reads.at(-2), [0, 8 * MIB]);
  }
  page.socket.open();
  page.socket.confirms(0, KIB, 2);
  page.socket.acknowledges(MIB);
  uploader.pause('pause').pause('unpause');
  await page.pass(0);
  assert.deepEqual(page.reads.at(-2), [MIB, 3 * MIB]);
});

test('a file that cannot be read before anything was sent fails after three tries, and its ticket is untouched', async () => {
  const page = new Page();
  const file = new FakeFile(KIB);
  file.trouble = 'missing';
  const uploader = page.uploader(file).start();
  await page.pass(0);
  assert.equal(uploader.state_msg, 'The file cannot be read at the moment. Trying again soon.');
  await page.pass(4);
  assert.deepEqual([uploader.error_code, endings(uploader)], [100, ['error']]);
  assert.match(uploader.error_msg, /can no longer be read/);
  assert.equal(page.sockets.length, 0);
});

test('an empty file that is gone is noticed, too', async () => {
  const page = new Page();
  const file = new FakeFile(0);
  file.trouble = 'missing';
  const uploader = page.uploader(file).start();
  await page.pass(4);
  assert.deepEqual([uploader.error_code, endings(uploader)], [100, ['error']]);
});

test('a file that disappears in the middle fails after three tries, and the server is told', async () => {
  for (const trouble of ['missing', 'shorter']) {
    const page = new Page();
    const file = new FakeFile(10 * KIB);
    const uploader = await page.uploading(file);
    page.socket.acknowledges();
    file.trouble = trouble;
    page.socket.breaks(); // what browsers do when a slice can't be read
    await page.pass(8);
    assert.equal(uploader.error_code, 100);
    assert.deepEqual(endings(uploader), [], 'the server is told first');
    page.socket.open();
    page.socket.confirms(KIB);
    assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgError']);
    assert.deepEqual(page.socket.messages[1].MsgData, { ErrorCode: 100, Msg: uploader.error_msg });
    assert.deepEqual(page.socket.chunks, []);
    page.socket.hears('MsgCancelAck', { Ack: true });
    assert.deepEqual(endings(uploader), ['error']);
  }
});

test('a file that disappears fails even if the server cannot be told', async () => {
  for (const how of ['refused', 'silent']) {
    const page = new Page();
    const file = new FakeFile(10 * KIB);
    const uploader = await page.uploading(file);
    file.trouble = 'missing';
    page.socket.breaks();
    await page.pass(8);
    if (how === 'refused') page.socket.breaks();
    else await page.pass(21);
    assert.deepEqual(endings(uploader), ['error'], how);
    await page.pass(1000);
    assert.equal(page.sockets.length, 2, how);
  }
});

test('a file that can be read again goes on, and has its three tries again after progress', async () => {
  const page = new Page();
  const file = new FakeFile(10 * KIB);
  const uploader = await page.uploading(file);
  for (let round = 0; round < 3; round++) {
    file.trouble = 'missing';
    page.socket.breaks();
    await page.pass(2.5); // the second try has failed
    file.trouble = null;
    await page.seconds_until_dialled();
    page.socket.open();
    page.socket.confirms(uploader.bytes_acked);
    page.socket.acknowledges();
  }
  assert.equal(uploader.bytes_acked, 3 * KIB);
});

test('a read that never ends is given up like a connection, and tried again', async () => {
  const page = new Page();
  const file = new FakeFile(KIB);
  file.trouble = 'stuck';
  const uploader = page.uploader(file).start();
  await page.pass(100);
  assert.equal(page.sockets.length, 0);
  file.trouble = null;
  await page.seconds_until_dialled();
  await page.connects(0);
  assert.equal(uploader.connected, true);
});

test('a probe that ends after the upload was paused dials nobody', async () => {
  const page = new Page();
  const uploader = page.uploader().start().pause('pause');
  await page.pass(10);
  assert.equal(page.sockets.length, 0);
  assert.equal(uploader.paused, true);
});

test('a file whose size has changed fails at once', async () => {
  const page = new Page();
  const file = new FakeFile(KIB);
  const uploader = page.uploader(file);
  file.size = 2 * KIB;
  uploader.start();
  assert.deepEqual([uploader.error_code, endings(uploader)], [101, ['error']]);
});

test('a chunk that arrives shorter than it was sent is an error: the bytes after it would be in the wrong place', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.acknowledges();
  page.socket.acknowledges(KIB - 1);
  assert.equal(uploader.bytes_acked, KIB);
  assert.equal(uploader.error_code, 101);
  assert.deepEqual(page.socket.messages.at(-1).MsgType, 'MsgError');
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.deepEqual(endings(uploader), ['error']);
});

test('a chunk that arrives shorter while the upload is being cancelled does not matter any more', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  uploader.cancel('enough');
  page.socket.acknowledges(KIB - 1);
  assert.deepEqual([uploader.cancelling, uploader.bytes_acked], [true, 0]);
  page.socket.hears('MsgCancelAck', { Ack: true });
  assert.deepEqual(endings(uploader), ['cancelled']);
});

test('an acknowledgement of nothing that was sent is ignored', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(2 * KIB));
  page.socket.acknowledges(KIB, 5);
  page.socket.acknowledges(0);
  assert.deepEqual([uploader.bytes_acked, uploader.chunks_acked_now], [2 * KIB, 2]);
});

test('the file is not needed any more to cancel, or once it has arrived', async () => {
  const page = new Page();
  const file = new FakeFile(KIB);
  const uploader = await page.uploading(file);
  page.socket.acknowledges();
  file.trouble = 'missing';
  file.size = 0;
  page.socket.breaks();
  await page.seconds_until_dialled();
  page.socket.open();
  page.socket.confirms(KIB);
  page.socket.hears('MsgAllDone', { Success: true });
  assert.deepEqual(endings(uploader), ['finished']);
});
