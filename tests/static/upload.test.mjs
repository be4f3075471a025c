// How an upload goes when nothing happens to it, message by message (CONTRACT 4 and 5).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page, endings } from './page.mjs';

test('an upload asks, agrees, sends its chunks in order and ends when the app has the file', async () => {
  const page = new Page();
  const uploader = page.uploader(new FakeFile(2 * KIB + 100, 'a "b" é.txt')).start();
  await page.pass(0);
  page.socket.open();
  assert.deepEqual(page.socket.said, [
    { MsgType: 'MsgUploadReq', MsgData: { Id: 'ticket-1', LengthBytes: 2 * KIB + 100, Name: 'a "b" é.txt' } },
  ]);
  page.socket.confirms(0);
  assert.deepEqual(page.socket.messages[1], { MsgType: 'MsgAck', MsgData: { Ack: true } });
  assert.deepEqual(page.socket.chunks, [[0, KIB], [KIB, 2 * KIB], [2 * KIB, 2 * KIB + 100]]);
  page.socket.acknowledges(KIB, 2);
  page.socket.acknowledges(100);
  assert.equal(uploader.finished, false);
  assert.equal(uploader.frac_complete, 1);
  page.socket.hears('MsgAllDone', { Success: true });
  assert.equal(uploader.finished, true);
  assert.deepEqual(endings(uploader), ['finished']);
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgAck']);
  assert.equal(page.socket.close_code, 1000);
});

test('no more chunks are on their way than the server allows, and each acknowledgement lets one more go', async () => {
  const page = new Page();
  page.uploader(new FakeFile(10 * KIB)).start();
  await page.pass(0);
  page.socket.open();
  page.socket.confirms(0, 1, 3);
  assert.equal(page.socket.chunks.length, 3);
  page.socket.acknowledges();
  assert.equal(page.socket.chunks.length, 4);
  page.socket.acknowledges(KIB, 2);
  assert.deepEqual(page.socket.chunks.at(-1), [5 * KIB, 6 * KIB]);
});

test('a window of one chunk is stop and wait, and chunks have the size that the server says', async () => {
  const page = new Page();
  page.uploader(new FakeFile(10 * KIB)).start();
  await page.pass(0);
  page.socket.open();
  page.socket.confirms(0, 4, 1);
  assert.deepEqual(page.socket.chunks, [[0, 4 * KIB]]);
  page.socket.acknowledges(4 * KIB);
  page.socket.acknowledges(4 * KIB);
  assert.deepEqual(page.socket.chunks, [[0, 4 * KIB], [4 * KIB, 8 * KIB], [8 * KIB, 10 * KIB]]);
});

test('only acknowledged bytes count as progress', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  assert.equal(uploader.frac_complete, 0);
  assert.deepEqual(
    [uploader.bytes_tx, uploader.bytes_acked, uploader.bytes_ahead], [4 * KIB, 0, 4 * KIB]);
  page.socket.acknowledges(KIB, 2);
  assert.equal(uploader.frac_complete, 0.2);
  assert.deepEqual(
    [uploader.bytes_tx, uploader.bytes_acked, uploader.bytes_ahead], [6 * KIB, 2 * KIB, 4 * KIB]);
  assert.deepEqual(
    [uploader.chunks_tx_now, uploader.chunks_acked_now, uploader.chunks_ahead], [6, 2, 4]);
});

test('an upload that is partly stored goes on where the server says, with chunks counted from there', async () => {
  const page = new Page();
  const uploader = page.uploader().start();
  await page.connects(7 * KIB + 5);
  assert.deepEqual(page.socket.chunks, [[7 * KIB + 5, 8 * KIB + 5], [8 * KIB + 5, 9 * KIB + 5], [9 * KIB + 5, 10 * KIB]]);
  assert.equal(uploader.bytes_acked, 7 * KIB + 5);
  page.socket.acknowledges(KIB, 2);
  page.socket.acknowledges(KIB - 5);
  page.socket.hears('MsgAllDone', { Success: true });
  assert.equal(uploader.finished, true);
});

test('an empty file is at 0 until it has arrived, then at 1, and sends no chunk', async () => {
  const page = new Page();
  const uploader = page.uploader(new FakeFile(0)).start();
  await page.pass(0);
  page.socket.open();
  assert.equal(uploader.frac_complete, 0);
  page.socket.confirms(0);
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgAck']);
  assert.deepEqual(page.socket.chunks, []);
  assert.equal(uploader.can_cancel, false);
  assert.equal(uploader.frac_complete, 1);
  page.socket.hears('MsgAllDone', { Success: true });
  assert.deepEqual([uploader.finished, uploader.frac_complete], [true, 1]);
});

test('a file that had arrived before hears its result again', async () => {
  const page = new Page();
  const uploader = page.uploader().start();
  await page.connects(10 * KIB);
  assert.equal(uploader.can_pause, false);
  assert.deepEqual(page.socket.chunks, []);
  page.socket.hears('MsgAllDone', { Success: true });
  assert.deepEqual(endings(uploader), ['finished']);
});

test('while the app takes the file nothing can be paused or cancelled', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(KIB));
  page.socket.acknowledges();
  assert.deepEqual([uploader.can_pause, uploader.can_cancel], [false, false]);
  uploader.pause('pause').pause('toggle').cancel('no');
  assert.deepEqual([uploader.paused, uploader.cancelling, uploader.cancel_msg], [false, false, '']);
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgAck']);
  assert.match(uploader.state_msg, /Waiting for the app/);
});

test('messages of a kind that is not known are ignored, and so are fields that are not', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.hears('MsgWeather', { Sun: true });
  page.socket.hears('toString', {});
  page.socket.hears('MsgChunkAck', { ChunkSize: KIB, Mood: 'fine' });
  assert.equal(uploader.bytes_acked, KIB);
});

test('a second agreement over the same connection is ignored', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.confirms(5 * KIB);
  assert.equal(uploader.bytes_acked, 0);
  assert.equal(page.socket.chunks.length, 4);
});

test('many uploads go on at the same time', async () => {
  const page = new Page();
  const uploaders = [1, 2, 3].map((n) => page.uploader(new FakeFile(KIB), `ticket-${n}`).start());
  await page.pass(0);
  assert.deepEqual(page.sockets.length, 3);
  for (const socket of page.sockets) {
    socket.open();
    socket.confirms();
    socket.acknowledges();
  }
  page.sockets[1].hears('MsgAllDone', { Success: true });
  assert.deepEqual(uploaders.map((u) => u.finished), [false, true, false]);
});
