// How an upload goes when nothing happens to it, message by message (docs/reference/protocol.md, version 2).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page, crc32c, endings } from './page.mjs';

test('an upload asks, agrees, sends its chunks in order, completes and ends when the app has the file', async () => {
  const page = new Page();
  const file = new FakeFile(2 * KIB + 100, 'a "b" é.txt');
  const uploader = page.uploader(file).start();
  await page.pass(0);
  page.socket.open();
  const request = {
    Version: 2, Id: 'ticket-1', LengthBytes: 2 * KIB + 100, Name: 'a "b" é.txt', LastModifiedMs: 1700000000000,
  };
  assert.deepEqual(page.socket.said, [{ MsgType: 'MsgUploadReq', MsgData: request }]);
  page.socket.confirms(0);
  await page.pass(0);
  assert.deepEqual(page.socket.messages[1], { MsgType: 'MsgAgree', MsgData: { Crc32c: [] } });
  assert.deepEqual(page.socket.chunks, [[0, KIB], [KIB, 2 * KIB], [2 * KIB, 2 * KIB + 100]]);
  assert.deepEqual(page.socket.messages[2], {
    MsgType: 'MsgComplete', MsgData: { Crc32c: crc32c(file.bytes()), Round: 0 },
  });
  await page.stores(2 * KIB);
  await page.stores(2 * KIB + 100);
  page.socket.news('handing_over');
  assert.equal(uploader.finished, false);
  assert.equal(uploader.frac_complete, 1);
  page.socket.finishes();
  assert.equal(uploader.finished, true);
  assert.deepEqual(endings(uploader), ['finished']);
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgAgree', 'MsgComplete']);
  assert.equal(page.socket.close_code, 1000);
});

test('each chunk has its offset, its checksum and its bytes', async () => {
  const page = new Page();
  const file = new FakeFile(3 * KIB + 5);
  await page.uploading(file);
  const chunks = page.socket.said.filter((said) => !said.MsgType);
  assert.equal(chunks.length, 4);
  for (const { from, end, crc, round, bytes } of chunks) {
    assert.deepEqual(bytes, file.slice(from, end).bytes());
    assert.equal(crc, crc32c(bytes));
    assert.equal(round, 0);
  }
});

test('offsets beyond 4 GiB are written as they are', async () => {
  const page = new Page();
  const far = 5 * 2 ** 32 + 3 * KIB + 1;
  const file = new FakeFile(far + 10);
  file.trouble = 'huge';
  page.uploader(file).start();
  await page.connects(far);
  assert.deepEqual(page.socket.chunks, [[far, far + 10]]);
});

test('no more bytes are on their way than the window of the server, and each acknowledgement lets more go', async () => {
  const page = new Page();
  page.uploader(new FakeFile(10 * KIB)).start();
  await page.connects(0, { MaxWindowBytes: 3 * KIB + 1 });
  assert.equal(page.socket.chunks.length, 3);
  await page.stores(KIB);
  assert.equal(page.socket.chunks.length, 4);
  await page.stores(3 * KIB);
  assert.deepEqual(page.socket.chunks.at(-1), [5 * KIB, 6 * KIB]);
});

test('chunks are no longer than the server allows, and a window smaller than a chunk lets one go at a time', async () => {
  const page = new Page();
  page.uploader(new FakeFile(10 * KIB)).start();
  await page.connects(0, { MaxChunkBytes: 4 * KIB, MaxWindowBytes: 1 });
  assert.deepEqual(page.socket.chunks, [[0, 4 * KIB]]);
  await page.stores(4 * KIB);
  await page.stores(8 * KIB);
  assert.deepEqual(page.socket.chunks, [[0, 4 * KIB], [4 * KIB, 8 * KIB], [8 * KIB, 10 * KIB]]);
});

test('only acknowledged bytes count as progress', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  assert.equal(uploader.frac_complete, 0);
  assert.deepEqual([uploader.bytes_tx, uploader.bytes_acked, uploader.bytes_ahead], [4 * KIB, 0, 4 * KIB]);
  await page.stores(2 * KIB); // one acknowledgement for two chunks
  assert.equal(uploader.frac_complete, 0.2);
  assert.deepEqual([uploader.bytes_tx, uploader.bytes_acked, uploader.bytes_ahead], [6 * KIB, 2 * KIB, 4 * KIB]);
  assert.deepEqual([uploader.chunks_tx_now, uploader.chunks_acked_now, uploader.chunks_ahead], [6, 2, 4]);
});

test('an acknowledgement in the middle of a chunk counts its bytes, and not yet the chunk', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  await page.stores(KIB + 10);
  assert.deepEqual([uploader.bytes_acked, uploader.chunks_acked_now], [KIB + 10, 1]);
  await page.stores(2 * KIB);
  assert.deepEqual([uploader.bytes_acked, uploader.chunks_acked_now], [2 * KIB, 2]);
});

test('an acknowledgement that says nothing new is ignored; nonsense is one of what was never sent, and less than before', async () => {
  for (const offset of [7 * KIB, KIB]) {
    const page = new Page();
    const uploader = await page.uploading();
    await page.stores(2 * KIB);
    const { length } = uploader.events;
    await page.stores(2 * KIB);
    assert.equal(uploader.events.length, length);
    await page.stores(offset);
    assert.deepEqual([uploader.connected, uploader.bytes_acked], [false, 2 * KIB]);
  }
});

test('an upload that is partly stored goes on where the server says', async () => {
  const page = new Page();
  const uploader = page.uploader().start();
  await page.connects(7 * KIB + 5);
  assert.deepEqual(page.socket.chunks, [[7 * KIB + 5, 8 * KIB + 5], [8 * KIB + 5, 9 * KIB + 5], [9 * KIB + 5, 10 * KIB]]);
  assert.equal(uploader.bytes_acked, 7 * KIB + 5);
  await page.stores(10 * KIB);
  page.socket.finishes();
  assert.equal(uploader.finished, true);
});

test('an empty file is at 0 until it has arrived, then at 1, and sends no chunk', async () => {
  const page = new Page();
  const uploader = page.uploader(new FakeFile(0)).start();
  await page.pass(0);
  page.socket.open();
  assert.equal(uploader.frac_complete, 0);
  page.socket.confirms(0);
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgAgree', 'MsgComplete']);
  assert.equal(page.socket.last('MsgComplete').Crc32c, 0);
  assert.deepEqual(page.socket.chunks, []);
  assert.deepEqual([uploader.can_cancel, uploader.frac_complete], [false, 1]);
  page.socket.finishes();
  assert.deepEqual([uploader.finished, uploader.frac_complete], [true, 1]);
});

test('a file that had arrived before hears its result again', async () => {
  const page = new Page();
  const uploader = page.uploader().start();
  await page.connects(10 * KIB, { Arrived: true });
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgAgree']);
  assert.equal(uploader.can_pause, false);
  assert.deepEqual(page.socket.chunks, []);
  page.socket.finishes();
  assert.deepEqual(endings(uploader), ['finished']);
});

test('when all bytes are there and only the completion is missing, it is said', async () => {
  const page = new Page();
  const file = new FakeFile(10 * KIB);
  const uploader = page.uploader(file).start();
  await page.connects(10 * KIB);
  assert.deepEqual(page.socket.chunks, []);
  assert.equal(page.socket.last('MsgComplete').Crc32c, crc32c(file.bytes()));
  assert.equal(uploader.can_cancel, false);
});

test('while the app takes the file nothing can be paused or cancelled', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(KIB));
  await page.stores(KIB);
  assert.deepEqual([uploader.can_pause, uploader.can_cancel], [false, false]);
  uploader.pause('pause').pause('toggle').cancel('no');
  assert.deepEqual([uploader.paused, uploader.cancelling, uploader.cancel_msg], [false, false, '']);
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgAgree', 'MsgComplete']);
  assert.match(uploader.state_msg, /Waiting for the app/);
});

test('the news that the file is handed over stand for acknowledgements that the server has left out', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(2 * KIB));
  page.socket.news('handing_over');
  assert.deepEqual([uploader.frac_complete, uploader.can_cancel], [1, false]);
});

test('the user hears that the app does not answer, and when it does again', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(KIB));
  await page.stores(KIB);
  page.socket.news('waiting_for_app');
  assert.equal(uploader.state_msg, 'All data has arrived, but the app does not respond yet. The server is trying again.');
  assert.equal(uploader.seen.at(-1).state_msg, uploader.state_msg);
  page.socket.news('waiting_for_app', 0, { Why: 'the app answered with status 500' });
  assert.equal(uploader.state_msg, 'All data has arrived, but the app answered with status 500. The server is trying again.');
  page.socket.news('handing_over');
  assert.match(uploader.state_msg, /Waiting for the app/);
});

test('messages and news of a kind that is not known are ignored, and so are members that are not', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.hears('MsgWeather', { Sun: true });
  page.socket.hears('toString', {});
  page.socket.news('rain');
  page.socket.hears('MsgStored', { Offset: KIB, Mood: 'fine' });
  assert.equal(uploader.bytes_acked, KIB);
  assert.equal(page.sockets.length, 1);
});

test('a second agreement over the same connection is ignored', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.confirms(5 * KIB);
  await page.pass(0);
  assert.equal(uploader.bytes_acked, 0);
  assert.equal(page.socket.chunks.length, 4);
});

test('many uploads go on at the same time, with one worker', async () => {
  const page = new Page();
  const uploaders = [1, 2, 3].map((n) => page.uploader(new FakeFile(KIB), `ticket-${n}`).start());
  await page.pass(0);
  assert.equal(page.sockets.length, 3);
  for (const socket of page.sockets) {
    socket.open();
    socket.confirms();
    await page.pass(0);
    socket.stores(KIB);
  }
  page.sockets[1].finishes();
  assert.deepEqual(uploaders.map((u) => u.finished), [false, true, false]);
  assert.equal(page.workers.length, 1);
});
