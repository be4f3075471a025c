// What becomes of an upload whose file can no longer be read, or is no longer the same.
//
// How browsers behave then was seen in real ones: test_incoming_js_in_chromium.py.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, StreamedFile, KIB, Page, crc32c, endings } from './page.mjs';

test('before the ticket is used the last byte of the file is read', async () => {
  const page = new Page();
  page.uploader().start();
  await page.pass(0);
  assert.deepEqual(page.reads, [[10 * KIB - 1, 10 * KIB]]);
  assert.equal(page.sockets.length, 1);
});

test('each chunk is read for its checksum before it is sent, and only a few of them ahead', async () => {
  const page = new Page();
  await page.uploading();
  const chunks = [0, 1, 2, 3, 4, 5, 6].map((i) => [i * KIB, (i + 1) * KIB]);
  assert.deepEqual(page.reads.slice(1), chunks);
  assert.equal(page.socket.chunks.length, 4);
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

test('what could never be read and has no type may be a folder, and the page says so', async () => {
  for (const size of [0, 96, 4096]) {
    const page = new Page();
    const folder = new FakeFile(size, 'holidays');
    Object.assign(folder, { type: '', trouble: 'missing' });
    const uploader = page.uploader(folder).start();
    await page.pass(4);
    assert.equal(uploader.error_code, 100);
    assert.equal(uploader.error_msg, 'The file cannot be read: it is a folder, or it was changed, moved or deleted.');
  }
});

test('what was read once is no folder', async () => {
  const page = new Page();
  const file = new FakeFile(10 * KIB, 'Makefile');
  file.type = '';
  const uploader = await page.uploading(file);
  file.trouble = 'missing';
  page.socket.breaks();
  await page.pass(8);
  assert.equal(uploader.error_msg, 'The file can no longer be read: it was changed, moved or deleted.');
});

// ---- memory

test('chunks for which there is no memory are read in smaller ones, over the same connection', async () => {
  for (const memory_bytes of [40 * KIB, 100 * KIB]) {
    const page = new Page();
    const file = new StreamedFile(3000 * KIB);
    const uploader = page.uploader(file).start();
    await page.pass(0);
    page.memory_bytes = memory_bytes;
    await page.connects(0, { MaxChunkBytes: 4096 * KIB, MaxWindowBytes: 8192 * KIB });
    for (let i = 0; i < 1000 && uploader.bytes_acked < uploader.bytes_total; i++) {
      await page.stores(page.socket.chunks.at(-1)?.[1] ?? 0);
    }
    page.socket.finishes();
    assert.equal(uploader.finished, true);
    assert.equal(page.sockets.length, 1);
    const largest = Math.max(...page.socket.chunks.map(([from, end]) => end - from));
    assert.ok(largest <= memory_bytes && largest >= memory_bytes / 4, `${largest}`);
    assert.equal(page.socket.last('MsgComplete').Crc32c, crc32c(file.bytes()));
  }
});

test('a comparison for which there is no memory is made in smaller pieces', async () => {
  const page = new Page();
  const file = new StreamedFile(3000 * KIB);
  page.memory_bytes = 500 * KIB;
  const uploader = page.uploader(file).start();
  const compare = { Compare: [[0, 2000 * KIB]] };
  for (let i = 0; i < 5 && uploader.state_msg !== 'Uploading.'; i++) {
    if (i) {
      assert.equal(uploader.state_msg, 'The browser has too little memory at the moment. Trying again soon.');
      await page.seconds_until_dialled();
    }
    await page.connects(2000 * KIB, compare);
    await page.pass(0);
  }
  assert.equal(uploader.state_msg, 'Uploading.');
});

test('without memory for the smallest chunk the page says so, and tries again', async () => {
  const page = new Page();
  const uploader = page.uploader(new StreamedFile(3000 * KIB)).start();
  await page.pass(0);
  page.memory_bytes = 10;
  await page.connects(0, { MaxChunkBytes: 4096 * KIB, MaxWindowBytes: 8192 * KIB });
  assert.equal(uploader.state_msg, 'The browser has too little memory at the moment. Trying again soon.');
  page.memory_bytes = Infinity;
  await page.seconds_until_dialled();
  await page.connects(0);
  assert.equal(uploader.state_msg, 'Uploading.');
});

test('an empty file that is gone is noticed, too', async () => {
  const page = new Page();
  const file = new FakeFile(0);
  file.trouble = 'missing';
  const uploader = page.uploader(file).start();
  await page.pass(4);
  assert.deepEqual([uploader.error_code, endings(uploader)], [100, ['error']]);
});

test('a file that disappears in the middle fails after three tries, and its ticket stays as it is', async () => {
  for (const trouble of ['missing', 'shorter']) {
    const page = new Page();
    const file = new FakeFile(10 * KIB);
    const uploader = await page.uploading(file);
    file.trouble = trouble;
    page.socket.breaks(); // what browsers do when a slice can't be read
    await page.pass(8);
    assert.deepEqual([uploader.error_code, endings(uploader)], [100, ['error']]);
    assert.equal(page.sockets.length, 1);
    await page.pass(1000);
    assert.equal(page.sockets.length, 1);
  }
});

test('a chunk that cannot be read hangs up at once, and says nothing that would end the ticket', async () => {
  const page = new Page();
  const file = new FakeFile(20 * KIB);
  const uploader = await page.uploading(file);
  file.trouble = 'missing';
  await page.stores(4 * KIB); // those that had been read go out, and the next is missed
  assert.deepEqual([uploader.connected, uploader.retrying, uploader.bytes_acked], [false, true, 4 * KIB]);
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgAgree']);
  await page.pass(8);
  assert.equal(uploader.error_code, 100);
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
    await page.connects(uploader.bytes_acked);
    await page.stores(uploader.bytes_acked + KIB);
  }
  assert.equal(uploader.bytes_acked, 3 * KIB);
});

test('a read before dialling that never ends is given up like a connection, and tried again', async () => {
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

test('a chunk whose reading never ends is tried again after half a minute, for as long as it takes', async () => {
  const page = new Page();
  const file = new FakeFile(20 * KIB);
  const uploader = await page.uploading(file);
  const pong = () => page.socket.readyState === 1 && page.socket.hears('MsgPong', {});
  file.trouble = 'stuck';
  await page.stores(3 * KIB);
  await page.stores(7 * KIB);
  for (let i = 0; i < 29; i++) await page.pass(1).then(pong);
  assert.equal(uploader.connected, true);
  await page.pass(1);
  assert.equal(uploader.state_msg, 'The file cannot be read at the moment. Trying again soon.');
  await page.pass(100);
  file.trouble = null;
  await page.seconds_until_dialled();
  await page.connects(7 * KIB);
  assert.equal(uploader.connected, true);
});

test('a look at the file that ends after the upload was paused dials nobody', async () => {
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

test('the file is not needed any more to cancel, or once it has arrived', async () => {
  const page = new Page();
  const file = new FakeFile(KIB);
  const uploader = await page.uploading(file);
  await page.stores(KIB);
  file.trouble = 'missing';
  file.size = 0;
  page.socket.breaks();
  await page.seconds_until_dialled();
  await page.connects(KIB, { Arrived: true });
  page.socket.finishes();
  assert.deepEqual(endings(uploader), ['finished']);
});

test('what the worker has read is sent as it is, except in Firefox and without a worker: there the browser reads, too', async () => {
  for (const [options, is_slice] of [[{}, false], [{ firefox: true }, true], [{ no_worker: 'throws' }, true]]) {
    const page = new Page(options);
    const file = new FakeFile(3 * KIB + 5);
    await page.uploading(file);
    const chunks = page.socket.said.filter((said) => !said.MsgType);
    assert.deepEqual(chunks.map((chunk) => chunk.is_slice), Array(4).fill(is_slice), JSON.stringify(options));
    assert.deepEqual(chunks.flatMap((chunk) => [...chunk.bytes]), [...file.bytes()]);
    assert.deepEqual(chunks.map((chunk) => chunk.crc), chunks.map((chunk) => crc32c(chunk.bytes)));
    assert.deepEqual(page.reads.slice(1).map(([from]) => from), [0, KIB, 2 * KIB, 3 * KIB], 'and nothing is read twice by us');
  }
});

test('where files can be streamed into a buffer their chunks are, whole or piece by piece, and come out right', async () => {
  for (const piece_bytes of [Infinity, 1000, 7]) {
    const page = new Page();
    const file = new StreamedFile(10 * KIB, 'holiday.mp4', null, 0, piece_bytes);
    await page.uploading(file);
    await page.stores(2 * KIB);
    const sent = page.socket.said.filter((said) => !said.MsgType);
    assert.equal(sent.length, 6);
    for (const { from, end, crc, bytes } of sent) {
      const expected = file.slice(from, end).bytes();
      assert.deepEqual([...bytes], [...expected]);
      assert.equal(crc, crc32c(expected));
    }
    assert.deepEqual(file.streamed.slice(0, 2), [[0, KIB], [KIB, 2 * KIB]]);
  }
});

test('Firefox streams what is long for its checksum, and long parts are streamed for a comparison', async () => {
  const page = new Page({ firefox: true });
  const file = new StreamedFile(700 * KIB);
  page.uploader(file).start();
  await page.connects(600 * KIB, { Compare: [[0, 600 * KIB], [0, KIB]] });
  assert.deepEqual(file.streamed, [[0, 600 * KIB]]);
  const expected = [600 * KIB, KIB].map((bytes) => crc32c(file.slice(0, bytes).bytes()));
  assert.deepEqual([...page.socket.last('MsgAgree').Crc32c], expected);
});

for (const trouble of ['missing', 'shorter']) {
  test(`a stream of a file that is ${trouble} by then hangs up, and its three tries follow`, async () => {
    const page = new Page();
    const file = new StreamedFile(10 * KIB);
    const uploader = await page.uploading(file);
    file.trouble = trouble;
    await page.stores(2 * KIB);
    assert.equal(uploader.connected, false);
    assert.equal(uploader.state_msg, 'The file cannot be read at the moment. Trying again soon.');
  });
}

test('without a worker the page computes the checksums itself, and the upload goes on as well', async () => {
  for (const no_worker of ['throws', 'fails']) {
    const page = new Page({ no_worker });
    const file = new FakeFile(3 * KIB);
    const uploader = await page.uploading(file);
    assert.equal(page.socket.chunks.length, 3, no_worker);
    await page.stores(3 * KIB);
    page.socket.finishes();
    assert.equal(uploader.finished, true, no_worker);
    assert.equal(page.workers.length, 1, 'and it does not try again');
    const other = new FakeFile(KIB);
    other.trouble = 'missing';
    const lost = page.uploader(other).start();
    await page.pass(4);
    assert.equal(lost.error_code, 100, no_worker);
  }
});

test('what the page reads itself it reads in small pieces', async () => {
  const page = new Page({ no_worker: 'throws' });
  const MIB = KIB * KIB;
  page.uploader(new FakeFile(MIB)).start();
  await page.connects(0, { MaxChunkBytes: MIB, MaxWindowBytes: 8 * MIB });
  page.reads.length = 0;
  page.socket.stores(page.socket.chunks.at(-1)[1]);
  await page.pass(0);
  assert.ok(page.reads.every(([from, to]) => to - from <= 256 * KIB));
});
