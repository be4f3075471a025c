// Workers that end, hang or never were one: the upload goes on, and the page names the true cause.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page } from './page.mjs';

const PROVEN_WITHIN_S = 6; // a worker that has answered before is missed after five
const STARTED_WITHIN_S = 11; // one that never has, after ten
const WORKER_LOST = 'The browser stopped the background worker of this page. Trying again soon.';
const NO_CONNECTION = /No connection|proxy|address/;

/** Plays the server until the upload has ended. Returns what was sent over the last connection. */
async function finishes(page, uploader, from = 0) {
  await page.connects(from);
  const { socket } = page;
  while (uploader.bytes_acked < uploader.bytes_total) await page.stores(socket.chunks.at(-1)[1]);
  socket.finishes();
  assert.equal(uploader.finished, true);
}

/** All sentences that the page has shown. */
const sentences = (uploader) => [...new Set(uploader.seen.map((seen) => seen.state_msg))];

for (const no_worker of ['throws', 'fails', 'silent', 'inert']) {
  test(`where the browser's worker is no good (${no_worker}), the page's thread takes over within seconds`, async () => {
    const page = new Page({ no_worker });
    page.fetch_status = 426;
    const uploader = page.uploader().start();
    assert.ok(await page.seconds_until_dialled() <= STARTED_WITHIN_S);
    await finishes(page, uploader);
    const second = page.uploader(new FakeFile(KIB), 'ticket-2').start();
    assert.ok(await page.seconds_until_dialled() <= 0.1, 'the next upload loses no time');
    await finishes(page, second);
    assert.equal(page.workers.length, 1);
    assert.doesNotMatch(sentences(uploader).join(), NO_CONNECTION);
    assert.deepEqual(page.fetched, []);
  });
}

test('a worker that dies between two uploads is replaced, and the second one runs', async () => {
  const page = new Page();
  await finishes(page, await page.uploading());
  page.workers[0].dies();
  const uploader = page.uploader(new FakeFile(3 * KIB), 'ticket-2').start();
  assert.ok(await page.seconds_until_dialled() <= PROVEN_WITHIN_S);
  await finishes(page, uploader);
  assert.equal(page.workers.length, 2);
  assert.doesNotMatch(sentences(uploader).join(), NO_CONNECTION);
});

test('a worker that dies in the middle of an upload is replaced, the page says why, and the upload resumes', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  await page.stores(3 * KIB);
  page.workers[0].dies();
  assert.ok(await page.seconds_until_dialled() <= PROVEN_WITHIN_S + 1);
  assert.ok(sentences(uploader).includes(WORKER_LOST), sentences(uploader).join());
  assert.equal(page.sockets[0].readyState, 3, 'the sockets of the old one are closed');
  await finishes(page, uploader, 3 * KIB);
  assert.deepEqual(page.socket.chunks[0], [3 * KIB, 4 * KIB]);
});

test('a worker that dies while it dials is replaced, and nobody is blamed for it', async () => {
  const page = new Page();
  page.fetch_status = 426;
  const uploader = page.uploader().start();
  await page.pass(0);
  for (let i = 0; i < 3; i++) {
    page.workers.at(-1).dies();
    assert.ok(await page.seconds_until_dialled() <= PROVEN_WITHIN_S + 2 ** i);
  }
  await finishes(page, uploader);
  assert.deepEqual(page.fetched, []);
  assert.doesNotMatch(sentences(uploader).join(), NO_CONNECTION);
});

test('workers that die one after another are not replaced for ever: the page\'s thread takes over', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  for (let i = 0; i < 3; i++) {
    page.workers.at(-1).dies();
    await page.seconds_until_dialled();
    await page.connects(0);
  }
  assert.equal(page.workers.length, 3);
  assert.equal(uploader.state_msg, 'Uploading.');
  await page.stores(KIB);
  assert.equal(page.socket.said.at(-1).is_slice, true, 'as the page\'s thread does it');
});

test('a worker that had lived for a while is replaced as often as that happens: iOS ends those of hidden pages', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(100 * KIB));
  for (let round = 1; round <= 6; round++) {
    for (let i = 0; i < 10; i++) {
      await page.pass(7);
      await page.stores(uploader.bytes_acked + KIB);
    }
    page.workers.at(-1).dies();
    await page.seconds_until_dialled();
    await page.connects(uploader.bytes_acked);
    assert.equal(page.workers.length, round + 1);
  }
});

for (const action of ['read', 'dial', 'send', 'ping']) {
  test(`a worker that throws when it is told to ${action} does not stop an upload`, async () => {
    const page = new Page();
    const uploader = await page.uploading(new FakeFile(20 * KIB));
    page.workers[0].throws_at = action;
    page.socket.breaks();
    await page.pass(1);
    for (let i = 0; i < 40 && uploader.state_msg !== 'Uploading.'; i++) {
      if (page.socket.readyState === 0) page.socket.open();
      if (page.socket.readyState === 1 && !page.socket.chunks.length) page.socket.confirms(0);
      await page.pass(0.5);
    }
    await page.stores(KIB);
    assert.equal(uploader.bytes_acked, KIB);
    assert.doesNotMatch(sentences(uploader).join(), /proxy|address|file/);
  });
}

test('what a worker says that was given up changes nothing', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  const [first] = page.workers;
  first.dies();
  await page.seconds_until_dialled();
  await page.connects(0);
  const before = uploader.seen.length;
  first.onmessage({ data: { id: 1, crc: 7, buffer: null } });
  first.fails();
  await page.pass(0);
  assert.equal(uploader.seen.length, before);
  assert.equal(page.workers.length, 2);
});

test('a machine that sleeps, a page whose timers rest and one that is busy keep their worker', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(100 * KIB));
  for (let i = 0; i < 20; i++) {
    page.clock.sleeps(3600);
    await page.pass(0);
    await page.stores(uploader.bytes_acked + KIB);
    await page.pass(1);
    await page.stores(uploader.bytes_acked + KIB);
  }
  assert.deepEqual([page.workers.length, page.sockets.length], [1, 1]);
});

test('many uploads ask their worker once a second, not once each', async () => {
  const page = new Page();
  for (let i = 0; i < 5; i++) {
    page.uploader(new FakeFile(10 * KIB), `ticket-${i}`).start();
    await page.connects(0);
  }
  const [worker] = page.workers;
  let pings = 0;
  const { postMessage } = worker;
  worker.postMessage = (data) => {
    pings += data.action === 'ping';
    postMessage.call(worker, data);
  };
  await page.pass(4);
  assert.ok(pings >= 3 && pings <= 5, `${pings}`);
});

// ---- the file is at fault, and not the worker

test('a file whose reading hangs before the first connection is named, and no proxy is blamed', async () => {
  const page = new Page();
  page.fetch_status = 426;
  const file = new FakeFile(KIB);
  file.trouble = 'stuck';
  const uploader = page.uploader(file).start();
  await page.pass(9);
  assert.equal(uploader.state_msg, 'Reading the file is slow: its drive does not respond.');
  await page.pass(21.5);
  assert.equal(uploader.state_msg, 'The file cannot be read at the moment. Trying again soon.');
  await page.pass(600);
  assert.deepEqual([page.sockets.length, page.workers.length, page.fetched.length], [0, 1, 0]);
  assert.doesNotMatch(sentences(uploader).join(), NO_CONNECTION);
  file.trouble = null;
  await page.seconds_until_dialled();
  await page.connects(0);
  assert.equal(uploader.state_msg, 'Uploading.');
});

test('a file whose reading hangs in the middle is named after eight seconds', async () => {
  const page = new Page();
  const file = new FakeFile(20 * KIB);
  const uploader = await page.uploading(file);
  file.trouble = 'stuck';
  await page.stores(3 * KIB);
  await page.stores(7 * KIB);
  for (let i = 0; i < 9; i++) {
    await page.pass(1);
    page.socket.hears('MsgPong', {});
  }
  assert.equal(uploader.state_msg, 'Reading the file is slow: its drive does not respond.');
  assert.equal(page.workers.length, 1);
});

test('a slow read that ends in time is followed by a connection that has its whole time to open', async () => {
  const page = new Page();
  const later = page.later;
  page.later = (callback) => page.clock.set(callback, 20000);
  const uploader = page.uploader().start();
  await page.pass(1);
  page.later = later;
  page.fire('visibilitychange');
  assert.ok(await page.seconds_until_dialled() <= 20);
  await page.pass(14);
  assert.equal(page.socket.close_code, null);
  await page.connects(0);
  assert.equal(uploader.state_msg, 'Uploading.');
  assert.doesNotMatch(sentences(uploader).join(), NO_CONNECTION);
});
