// After a reload: what a page remembers of uploads that it has begun, and what it forgets.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page } from './page.mjs';

const DAY_S = 86400;
const plain = (value) => JSON.parse(JSON.stringify(value)); // of the page's realm, so that it can be compared

test('nothing is remembered before the server has agreed', async () => {
  const page = new Page();
  page.uploader().start();
  await page.pass(0);
  page.socket.open();
  assert.deepEqual(plain(page.incoming.unfinished()), []);
  page.socket.confirms(0);
  assert.equal(page.incoming.unfinished().length, 1);
});

test('what was begun is listed with its file and how far it is', async () => {
  const page = new Page();
  const begun_at_ms = page.now_ms;
  await page.uploading();
  await page.pass(1);
  await page.stores(5 * KIB - 1024);
  assert.deepEqual(plain(page.incoming.unfinished()), [{
    upload_id: 'ticket-1', filename: 'holiday.mp4', bytes_total: 10 * KIB, bytes_acked: 4 * KIB, frac_complete: 0.4,
    last_modified_ms: 1700000000000, begun_at_ms,
  }]);
});

test('another page of the same origin sees it, and goes on with it', async () => {
  const first = new Page();
  await first.uploading();
  await first.stores(4 * KIB);
  first.socket.breaks();
  const second = new Page({ storage: first.storage });
  const [begun] = second.incoming.unfinished();
  assert.equal(begun.bytes_acked, 4 * KIB);
  const file = new FakeFile(10 * KIB);
  assert.equal(second.incoming.matches(begun, file), true);
  second.clock.now_ms += 5000;
  const uploader = second.uploader(file, begun.upload_id).start();
  await second.connects(4 * KIB);
  assert.equal(uploader.bytes_acked, 4 * KIB);
  assert.equal(second.incoming.unfinished()[0].begun_at_ms, begun.begun_at_ms, 'it was begun by the first page');
});

test('the newest comes first', async () => {
  const page = new Page();
  for (const id of ['a', 'b', 'c']) {
    page.uploader(new FakeFile(KIB), id).start();
    await page.connects(0);
    await page.pass(1);
  }
  assert.deepEqual(page.incoming.unfinished().map((begun) => begun.upload_id).join(), 'c,b,a');
});

test('progress is written once a second at most, and when the connection is lost or the upload is paused', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(100 * KIB));
  assert.equal(page.storage_writes, 1);
  for (let i = 1; i <= 5; i++) {
    await page.stores(i * KIB);
    await page.pass(0.1);
  }
  assert.equal(page.storage_writes, 1);
  await page.pass(0.6);
  await page.stores(6 * KIB);
  assert.equal(page.storage_writes, 2);
  await page.stores(7 * KIB);
  uploader.pause();
  assert.equal(page.incoming.unfinished()[0].bytes_acked, 7 * KIB);
  uploader.pause('unpause');
  await page.connects(8 * KIB);
  await page.stores(9 * KIB);
  page.socket.breaks();
  assert.equal(page.incoming.unfinished()[0].bytes_acked, 9 * KIB);
});

test('nothing is kept of what has arrived, was cancelled, or can never go on', async () => {
  const endings = {
    arrived: async (page) => page.stores(KIB),
    finished: async (page) => page.socket.finishes(),
    cancelled: async (page) => page.socket.refuses(30, 'cancelled'),
    unknown: async (page) => {
      for (let i = 0; i < 3; i++) {
        page.socket.refuses(11, 'unknown_ticket');
        await page.pass(4);
        if (i < 2) page.socket.open();
      }
    },
    too_large: async (page) => page.socket.refuses(23, 'upload_too_large'),
    expired: async (page) => page.socket.refuses(31, 'expired'),
    handover_failed: async (page) => page.socket.refuses(32, 'handover_failed'),
  };
  for (const [name, end] of Object.entries(endings)) {
    const page = new Page();
    await page.uploading(new FakeFile(KIB));
    assert.equal(page.storage.size, 1, name);
    await end(page);
    assert.equal(page.storage.size, 0, name);
  }
});

test('an upload whose ticket is still good stays on the list after an error', async () => {
  const errors = {
    wrong_file: async (page) => page.socket.refuses(24, 'wrong_file'),
    length_mismatch: async (page) => page.socket.refuses(22, 'length_mismatch'),
    bad_message: async (page) => {
      for (let i = 0; i < 3; i++) {
        page.socket.refuses(20, 'bad_message');
        await page.pass(4);
        if (i < 2) page.socket.open();
      }
    },
    unreadable: async (page, file) => {
      file.trouble = 'missing';
      page.socket.breaks();
      await page.pass(10);
    },
  };
  for (const [name, end] of Object.entries(errors)) {
    const page = new Page();
    const file = new FakeFile(10 * KIB);
    const uploader = await page.uploading(file);
    await end(page, file);
    assert.notEqual(uploader.error_code, null, name);
    assert.equal(page.incoming.unfinished().length, 1, name);
  }
});

test('an upload whose bytes the server has lost after they had arrived is listed again', async () => {
  const page = new Page();
  await page.uploading(new FakeFile(2 * KIB));
  await page.stores(2 * KIB);
  assert.equal(page.storage.size, 0);
  page.socket.breaks();
  await page.seconds_until_dialled();
  await page.connects(KIB);
  assert.equal(page.incoming.unfinished()[0].bytes_acked, KIB);
});

test('what the server knew of already is forgotten by this browser, too, when it ends', async () => {
  const first = new Page();
  await first.uploading();
  const second = new Page({ storage: first.storage });
  second.uploader().start();
  await second.pass(0);
  second.socket.open();
  second.socket.refuses(31, 'expired');
  assert.deepEqual(plain(second.incoming.unfinished()), []);
});

test('an upload can be dropped from the list, and the others stay', async () => {
  const page = new Page();
  for (const id of ['a', 'b']) {
    page.uploader(new FakeFile(KIB), id).start();
    await page.connects(0);
  }
  page.incoming.forget('a');
  page.incoming.forget('never seen');
  assert.deepEqual(page.incoming.unfinished().map((begun) => begun.upload_id).join(), 'b');
});

test('the page hears which uploads need their file no more, and so does who listens elsewhere in it', async () => {
  const page = new Page();
  const heard = [];
  page.listeners.add('incoming:ended', ({ detail }) => heard.push(detail));
  page.uploader(new FakeFile(KIB), 'a').start();
  await page.connects(0);
  assert.deepEqual(heard, []);
  await page.stores(KIB);
  assert.deepEqual(heard, ['a']);
  page.incoming.forget('b');
  assert.deepEqual(heard, ['a', 'b']);
});

test('a file matches by name, size and time of its last change', () => {
  const { matches } = new Page().incoming;
  const begun = { filename: 'a.txt', bytes_total: 5, last_modified_ms: 1700000000000 };
  assert.equal(matches(begun, new FakeFile(5, 'a.txt')), true);
  assert.equal(matches(begun, new FakeFile(6, 'a.txt')), false);
  assert.equal(matches(begun, new FakeFile(5, 'b.txt')), false);
  const changed = new FakeFile(5, 'a.txt');
  changed.lastModified += 1;
  assert.equal(matches(begun, changed), false);
  const blob = new FakeFile(5, '');
  delete blob.lastModified;
  assert.equal(matches({ filename: 'upload', bytes_total: 5, last_modified_ms: 0 }, blob), true);
});

test('uploads of another server are not listed', async () => {
  const page = new Page({ host: 'app.example' });
  await page.uploading();
  page.incoming.set_server_hostname('app.example:4000');
  assert.deepEqual(plain(page.incoming.unfinished()), []);
  page.uploader(new FakeFile(KIB), 'ticket-2').start();
  await page.connects(0);
  assert.equal(page.incoming.unfinished()[0].upload_id, 'ticket-2');
  page.incoming.set_server_hostname('app.example');
  assert.deepEqual(page.incoming.unfinished().map((begun) => begun.upload_id).join(), 'ticket-1');
  assert.equal(page.storage.size, 2, 'and nothing was lost by looking');
});

test('what was not touched for 30 days is dropped, and so is what makes no sense', async () => {
  const page = new Page();
  await page.uploading();
  page.storage.set('incoming:app.example:8000:x', '{"upload_id"');
  page.storage.set('incoming:app.example:8000:y', 'null');
  page.storage.set('incoming:app.example:8000:z', '7');
  page.storage.set('of the app', 'null');
  assert.equal(page.incoming.unfinished().length, 1);
  page.socket.breaks();
  page.clock.now_ms += 29 * DAY_S * 1000;
  assert.equal(page.incoming.unfinished().length, 1);
  page.clock.now_ms += 2 * DAY_S * 1000;
  assert.deepEqual(plain(page.incoming.unfinished()), []);
  assert.deepEqual([...page.storage.keys()], ['of the app']);
});

test('where storage is forbidden or full the list is empty, and uploads work as ever', async () => {
  for (const trouble of ['forbidden', 'full']) {
    const page = new Page();
    if (trouble === 'forbidden') page.storage = null;
    page.storage_is_full = true;
    const uploader = await page.uploading(new FakeFile(KIB));
    assert.deepEqual(plain(page.incoming.unfinished()), []);
    page.incoming.forget('ticket-1');
    await page.stores(KIB);
    page.socket.finishes();
    assert.equal(uploader.finished, true, trouble);
    assert.deepEqual(page.reported, []);
  }
});
