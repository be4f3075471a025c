// The right bytes: checksums of chunks and of the whole file, damaged chunks, comparisons (docs/reference/protocol.md, version 2).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page, crc32c } from './page.mjs';

/** The checksum that the page says at the end. */
const said_checksum = (page) => page.socket.last('MsgComplete')?.Crc32c;

test('checksums are right for every length around those at which the computation changes', async () => {
  for (const no_worker of [null, 'throws']) {
    const page = new Page({ no_worker });
    for (let size = 1; size <= 50; size++) {
      const file = new FakeFile(size);
      await page.uploading(file);
      const [chunk] = page.socket.said.filter((said) => !said.MsgType);
      assert.equal(chunk.crc, crc32c(file.bytes()), `${size} bytes`);
      assert.equal(said_checksum(page), chunk.crc, `${size} bytes`);
    }
  }
});

test('checksums of long parts are right for every length around those at which the computation changes', async () => {
  const near = 5275 * 4; // bytes: below it there is nothing to fold, and 8192 words are folded at a time
  const lengths = [near - 1, near, near + 4, near + 5, near + 4 * 8192, near + 4 * 8192 + 4, near + 2 * 4 * 8192 + 7];
  const file = new FakeFile(lengths.at(-1) + 1);
  const bytes = file.bytes();
  // With WebAssembly; without it, for one reason or the other; in the page's own thread, which does without.
  for (const [tries, kind] of [[1, {}], [1, { no_wasm: true }], [0, { firefox: true }], [0, { no_worker: 'throws' }]]) {
    const page = new Page(kind);
    page.uploader(file).start();
    await page.connects(file.size, { Compare: lengths.map((length) => [1, 1 + length]) });
    const found = page.socket.last('MsgAgree').Crc32c;
    assert.deepEqual([...found], lengths.map((length) => crc32c(bytes.subarray(1, 1 + length))));
    assert.equal(page.wasm_tries, tries);
  }
});

test('a checksum that goes on from that of earlier pieces is right, too', async () => {
  const page = new Page({ no_worker: 'throws' }); // which makes pieces of 256 KiB
  const file = new FakeFile(600 * KIB + 3);
  page.uploader(file).start();
  await page.connects(file.size, { Compare: [[0, file.size]] });
  assert.deepEqual([...page.socket.last('MsgAgree').Crc32c], [crc32c(file.bytes())]);
});

test('the checksum of the specification is ours', async () => {
  const page = new Page();
  const file = new FakeFile(9);
  file.byte_at = (i) => '123456789'.charCodeAt(i);
  await page.uploading(file);
  assert.equal(said_checksum(page), 3808858755);
});

test('the checksum of the whole file is put together from those of its chunks, of whatever sizes', async () => {
  for (const chunk_bytes of [1, 7, KIB, 3000]) {
    const page = new Page();
    const file = new FakeFile(10 * 300 + 1);
    page.uploader(file).start();
    await page.connects(0, { MaxChunkBytes: chunk_bytes, MaxWindowBytes: 64 * KIB });
    assert.equal(said_checksum(page), crc32c(file.bytes()), `${chunk_bytes}`);
    const sent_once = page.reads.filter(([, to]) => to <= 100).length;
    assert.equal(sent_once, Math.floor(100 / chunk_bytes), 'and nothing is read a second time');
  }
});

test('completion follows the last chunk at once, and is not said twice', async () => {
  const page = new Page();
  const file = new FakeFile(2 * KIB);
  await page.uploading(file);
  assert.equal(said_checksum(page), crc32c(file.bytes()));
  await page.stores(KIB);
  await page.stores(2 * KIB);
  assert.equal(page.socket.message_types.filter((type) => type === 'MsgComplete').length, 1);
});

test('completion is said again until the server has begun to hand over: it may have been spoilt', async () => {
  const page = new Page();
  await page.uploading(new FakeFile(KIB));
  const times = () => page.socket.message_types.filter((type) => type === 'MsgComplete').length;
  const wait = async (seconds) => {
    for (let i = 0; i < seconds; i++) {
      page.socket.hears('MsgPong', {});
      await page.pass(1);
    }
  };
  await page.stores(KIB);
  await wait(9);
  assert.equal(times(), 1);
  await wait(2);
  assert.equal(times(), 2);
  await wait(10);
  assert.equal(times(), 3);
  page.socket.news('handing_over');
  await wait(100);
  assert.equal(times(), 3);
});

// ---- damaged chunks

test('what was damaged is sent again from there, in the round that the server names', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.said.length = 0;
  page.socket.wants_again(KIB, 1);
  await page.pass(0);
  assert.deepEqual(page.socket.chunks, [[KIB, 2 * KIB], [2 * KIB, 3 * KIB], [3 * KIB, 4 * KIB], [4 * KIB, 5 * KIB]]);
  assert.deepEqual(page.socket.said.map((chunk) => chunk.round), [1, 1, 1, 1]);
  assert.deepEqual([uploader.bytes_acked, uploader.bytes_tx], [KIB, 5 * KIB]);
  assert.equal(uploader.chunks_ahead, 4);
  page.socket.wants_again(2 * KIB, 2);
  await page.pass(0);
  assert.equal(page.socket.said.at(-1).round, 2);
});

test('a chunk that is sent again is read again: the damage may have been in memory', async () => {
  const page = new Page();
  await page.uploading();
  page.reads.length = 0;
  page.socket.wants_again(0, 1);
  await page.pass(0);
  assert.deepEqual(page.reads[0], [0, KIB]);
});

test('a damaged chunk after the completion takes that back, and it is said again in its round', async () => {
  const page = new Page();
  const file = new FakeFile(3 * KIB);
  const uploader = await page.uploading(file);
  await page.stores(KIB);
  page.socket.wants_again(KIB, 1);
  await page.pass(0);
  assert.deepEqual(page.socket.last('MsgComplete'), { Crc32c: crc32c(file.bytes()), Round: 1 });
  assert.equal(page.socket.message_types.filter((type) => type === 'MsgComplete').length, 2);
  assert.equal(uploader.can_cancel, true);
  await page.stores(3 * KIB);
  assert.equal(uploader.can_cancel, false);
});

test('a demand for something again that lies behind what was sent, or before what was stored, makes no sense', async () => {
  for (const offset of [9 * KIB, 0]) {
    const page = new Page();
    const uploader = await page.uploading();
    await page.stores(2 * KIB);
    page.socket.wants_again(offset, 1);
    await page.pass(0);
    assert.deepEqual([uploader.connected, uploader.bytes_acked], [false, 2 * KIB]);
  }
});

test('of an acknowledgement that was spoilt to say too much the next one tells, whatever it is', async () => {
  for (const next of [(socket) => socket.wants_again(KIB, 1), (socket) => socket.stores(3 * KIB)]) {
    const page = new Page();
    const uploader = await page.uploading(new FakeFile(4 * KIB));
    await page.stores(4 * KIB);
    assert.equal(uploader.bytes_acked, 4 * KIB); // all of it: there is nothing left to send
    next(page.socket);
    await page.seconds_until_dialled();
    await page.connects(KIB);
    assert.deepEqual([uploader.bytes_acked, page.socket.chunks[0]], [KIB, [KIB, 2 * KIB]]);
  }
});

test('a new connection begins with round 0 again', async () => {
  const page = new Page();
  await page.uploading();
  page.socket.wants_again(0, 3);
  page.socket.breaks();
  await page.seconds_until_dialled();
  await page.connects(0);
  assert.equal(page.socket.said.at(-1).round, 0);
});

// ---- is it the same file?

test('the server is told the checksums that it asks for, read from the file, before a byte is sent', async () => {
  const page = new Page();
  const file = new FakeFile(10 * KIB);
  const uploader = page.uploader(file).start();
  await page.pass(0);
  page.socket.open();
  page.reads.length = 0;
  page.socket.confirms(6 * KIB, { Compare: [[0, 100], [4096, 5000], [6143, 6144], [7, 7]] });
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq']);
  assert.equal(uploader.state_msg, 'Checking that it is the same file.');
  await page.pass(0);
  const expected = [[0, 100], [4096, 5000], [6143, 6144], [7, 7]].map(([from, to]) => crc32c(file.slice(from, to).bytes()));
  assert.deepEqual(page.socket.last('MsgAgree'), { Crc32c: expected });
  assert.deepEqual(page.reads.slice(0, 3), [[0, 100], [4096, 5000], [6143, 6144]]);
  assert.equal(page.socket.said[1].MsgType, 'MsgAgree', 'and then the chunks');
  assert.deepEqual(page.socket.chunks[0], [6 * KIB, 7 * KIB]);
});

test('what was compared is read again each time: the file may have changed', async () => {
  const page = new Page();
  const file = new FakeFile(10 * KIB);
  await page.uploading(file);
  await page.stores(4 * KIB);
  page.socket.breaks();
  file.byte_at = () => 7;
  await page.seconds_until_dialled();
  await page.connects(4 * KIB, { Compare: [[0, 10]] });
  assert.deepEqual(page.socket.last('MsgAgree').Crc32c, [crc32c(new Uint8Array(10).fill(7))]);
});

test('long ranges are read piece by piece, and the server hears pings meanwhile', async () => {
  const page = new Page();
  const MIB = KIB * KIB;
  const file = new FakeFile(9 * MIB);
  const slow = [];
  page.uploader(file).start();
  await page.pass(0);
  page.socket.open();
  page.later = (callback) => slow.push(callback);
  page.socket.confirms(9 * MIB, { Compare: [[0, 9 * MIB]] });
  const answer_one = async () => {
    for (const callback of slow.splice(0)) callback();
    await page.pass(3);
    page.socket.hears('MsgPong', {});
  };
  for (let i = 0; i < 20 && !page.socket.last('MsgAgree'); i++) await answer_one();
  assert.deepEqual(page.reads.slice(1, 4), [[0, 4 * MIB], [4 * MIB, 8 * MIB], [8 * MIB, 9 * MIB]]);
  assert.equal(page.sockets.length, 1);
  assert.deepEqual(page.socket.last('MsgAgree').Crc32c, [said_checksum(page)], 'all was compared: no need to read it again');
});

test('a file that can not be read for the comparison has its three tries, too', async () => {
  const page = new Page();
  const file = new FakeFile(10 * KIB);
  const uploader = page.uploader(file).start();
  for (let i = 0; i < 3; i++) {
    await page.pass(0);
    page.socket.open();
    file.trouble = 'missing';
    page.socket.confirms(KIB, { Compare: [[0, KIB]] });
    await page.pass(0);
    file.trouble = null;
    if (i < 2) await page.seconds_until_dialled();
  }
  assert.equal(uploader.error_code, 100);
});

// ---- the checksum of what arrived otherwise

test('what had arrived before this page is read for the checksum while chunks are sent', async () => {
  const page = new Page();
  const file = new FakeFile(10 * KIB);
  page.uploader(file).start();
  await page.connects(8 * KIB, { Compare: [[0, 10]] });
  assert.deepEqual(page.socket.chunks, [[8 * KIB, 9 * KIB], [9 * KIB, 10 * KIB]]);
  assert.ok(page.reads.some(([from, to]) => from === 0 && to === 8 * KIB));
  assert.equal(said_checksum(page), crc32c(file.bytes()));
});

test('chunks whose acknowledgements got lost need not be read again', async () => {
  const page = new Page();
  const file = new FakeFile(10 * KIB);
  await page.uploading(file);
  await page.stores(KIB);
  page.socket.breaks();
  await page.seconds_until_dialled();
  page.reads.length = 0;
  await page.connects(4 * KIB);
  for (let i = 5; i <= 10; i++) await page.stores(i * KIB);
  assert.equal(page.reads.some(([from]) => from < 4 * KIB), false);
  assert.equal(said_checksum(page), crc32c(file.bytes()));
});

test('what a dead connection has stored in part is read for the checksum', async () => {
  const page = new Page();
  const file = new FakeFile(10 * KIB);
  await page.uploading(file);
  page.socket.breaks();
  await page.seconds_until_dialled();
  page.reads.length = 0;
  await page.connects(2 * KIB + 10);
  for (const stored of [4, 6, 8, 10]) await page.stores(Math.min(stored * KIB, 10 * KIB));
  assert.ok(page.reads.some(([from, to]) => from === 2 * KIB && to === 2 * KIB + 10));
  assert.equal(said_checksum(page), crc32c(file.bytes()));
});

test('a server that has lost bytes gets them again, and the checksum is right all the same', async () => {
  const page = new Page();
  const file = new FakeFile(10 * KIB);
  await page.uploading(file);
  await page.stores(4 * KIB);
  page.socket.breaks();
  await page.seconds_until_dialled();
  await page.connects(3 * KIB - 1);
  for (const stored of [4, 6, 8, 10]) await page.stores(stored * KIB - 1);
  assert.equal(said_checksum(page), crc32c(file.bytes()));
});

test('while the rest is read after the last byte the upload says so, and can still be cancelled', async () => {
  const page = new Page();
  const file = new FakeFile(2 * KIB * KIB + KIB);
  file.trouble = 'huge'; // what is there already takes its time
  const uploader = page.uploader(file).start();
  await page.connects(2 * KIB * KIB);
  await page.stores(2 * KIB * KIB + KIB);
  assert.deepEqual([uploader.frac_complete, uploader.can_pause, uploader.can_cancel], [1, true, true]);
  assert.equal(uploader.state_msg, 'Checking that it is the same file.');
  assert.equal(page.socket.last('MsgComplete'), undefined);
});

test('reading what is there goes on over the next connection where it was', async () => {
  const page = new Page();
  const MIB = KIB * KIB;
  const file = new FakeFile(9 * MIB);
  const held = [];
  page.uploader(file).start();
  await page.pass(0);
  page.socket.open();
  page.socket.confirms(9 * MIB);
  await page.pass(0);
  assert.equal(said_checksum(page) !== undefined, true);
  const first_reads = page.reads.length;

  const other = new Page();
  other.uploader(file).start();
  await other.pass(0);
  other.socket.open();
  other.later = (callback) => (other.reads.length > 2 ? held.push(callback) : queueMicrotask(callback));
  other.socket.confirms(9 * MIB);
  await other.pass(0); // the first piece is read, the second is not
  other.later = queueMicrotask;
  other.socket.breaks();
  await other.seconds_until_dialled();
  await other.connects(9 * MIB);
  assert.equal(said_checksum(other), said_checksum(page));
  assert.equal(other.reads.filter(([from, to]) => from === 0 && to === 4 * MIB).length, 1);
  assert.ok(first_reads > 0);
});
