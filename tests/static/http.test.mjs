// Uploads over plain HTTP, where no WebSocket opens, request by request (docs/reference/protocol.md, "Version 2 over HTTP").

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page, crc32c, endings } from './page.mjs';

const ARRIVED = 'All data has arrived. Waiting for the app to accept the file.';
const LOST = 'The connection was lost. Trying again soon.';

/** Answers the first request of a session, which waits: in chunks of 1 KiB, 4 of them ahead, unless a test says otherwise. */
async function confirm(page, offset = 0, terms = {}) {
  const { request } = page;
  assert.equal(request.path, 'POST ticket-1/session');
  request.says('MsgUploadConf', {
    Version: 2, Offset: offset, MaxChunkBytes: KIB, MaxWindowBytes: 4 * KIB, SilenceS: 10, IdleSilenceS: 60, Compare: [],
    Arrived: false, FileName: 'holiday.mp4', FileLastModifiedMs: 0, ...terms,
  }, { 'Upload-Session': 'token-1' });
  await page.pass(0);
}

/** A started upload over HTTP, of 10 chunks unless the file is another. */
async function uploading(page, { file = new FakeFile(10 * KIB), offset = 0, terms = {} } = {}) {
  page.incoming.transport = 'http';
  const uploader = page.uploader(file).start();
  await page.pass(0);
  await confirm(page, offset, terms);
  return uploader;
}

const chunks = (page) => page.waiting.filter(({ method }) => method === 'PATCH');
const offsets = (page) => chunks(page).map(({ headers }) => Number(headers['Upload-Offset']));

/** The server stores the oldest chunk. */
async function store(page, members = {}) {
  const [{ headers, body }] = chunks(page);
  chunks(page)[0].says('MsgStored', { Offset: Number(headers['Upload-Offset']) + body.size, ...members });
  await page.pass(0);
}

async function store_all(page) {
  while (chunks(page).length) await store(page);
}

test('an upload goes chunk by chunk in requests, two of them at a time, until the app has the file', async () => {
  const page = new Page();
  page.incoming.transport = 'http';
  const file = new FakeFile(4.5 * KIB);
  const uploader = page.uploader(file).start();
  await page.pass(0);
  assert.equal(page.request.url, 'http://app.example:8000/incoming/frontend/uploads/ticket-1/session');
  const said = { Version: 2, Id: 'ticket-1', LengthBytes: 4.5 * KIB, Name: 'holiday.mp4', LastModifiedMs: 1700000000000 };
  assert.deepEqual(page.request.message, { MsgType: 'MsgUploadReq', MsgData: said });
  assert.deepEqual([page.request.headers, uploader.connected], [{}, false], 'no preflight, and no promise');
  await confirm(page);
  assert.equal(uploader.connected, true);
  assert.deepEqual(offsets(page), [0, KIB]);
  const [{ headers, body, path }] = chunks(page);
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32c(file.slice(0, KIB).bytes()));
  assert.equal(path, 'PATCH ticket-1/session');
  assert.deepEqual(headers, {
    'Upload-Session': 'token-1', 'Upload-Offset': '0', 'Upload-Checksum': `crc32c ${crc.toString('base64')}`,
  });
  assert.deepEqual(body.bytes(), file.slice(0, KIB).bytes());
  assert.equal(uploader.bytes_acked, 0);
  await store(page);
  assert.deepEqual([uploader.bytes_acked, offsets(page)], [KIB, [KIB, 2 * KIB]]);
  await store_all(page);
  assert.equal(page.request.path, 'POST ticket-1/session/complete?wait=25');
  assert.deepEqual(page.request.message.MsgData, { Crc32c: crc32c(file.bytes()), Round: 0 });
  assert.deepEqual([uploader.state_msg, uploader.can_cancel, uploader.finished], [ARRIVED, false, false]);
  page.request.says('MsgAllDone', { Success: true, Crc32c: 0 });
  assert.deepEqual([uploader.finished, endings(uploader), page.waiting.length], [true, ['finished'], 0]);
  assert.equal(page.sockets.length, 0);
});

test('an empty file has no chunk', async () => {
  const page = new Page();
  await uploading(page, { file: new FakeFile(0) });
  assert.equal(page.request.path, 'POST ticket-1/session/complete?wait=25');
});

test('the answers of two chunks may overtake each other', async () => {
  const page = new Page();
  const uploader = await uploading(page);
  const [first, second] = chunks(page);
  second.says('MsgStored', { Offset: 2 * KIB });
  await page.pass(0);
  assert.equal(uploader.bytes_acked, 2 * KIB);
  first.says('MsgStored', { Offset: KIB });
  await page.pass(0);
  assert.deepEqual([uploader.bytes_acked, uploader.connected, offsets(page)], [2 * KIB, true, [2 * KIB, 3 * KIB]]);
});

/** Passes the time until this request is given up, and answers the others. */
async function wait_for_the_end_of(request, page) {
  for (let seconds = 0; seconds < 60 && page.waiting.includes(request); seconds += 5) {
    await page.pass(5);
    page.waiting.filter(({ method }) => method === 'GET').forEach((ping) => ping.says('MsgPong', {}));
  }
  await page.pass(5);
}

test('the answer to one chunk never comes, and that of the next one covers it: a new session completes the upload', async () => {
  const page = new Page();
  await uploading(page, { file: new FakeFile(2 * KIB) });
  const [first, second] = chunks(page);
  second.says('MsgStored', { Offset: 2 * KIB });
  await wait_for_the_end_of(first, page);
  await confirm(page, 2 * KIB);
  assert.equal(page.request.path, 'POST ticket-1/session/complete?wait=25');
});

test('a comparison whose answer never comes is made again, though all bytes are stored and the server lives', async () => {
  const page = new Page();
  await uploading(page, { file: new FakeFile(KIB), offset: KIB, terms: { Compare: [[0, KIB]] } });
  await page.pass(0);
  assert.equal(page.request.path, 'PUT ticket-1/session');
  await wait_for_the_end_of(page.request, page);
  assert.equal(page.request.path, 'POST ticket-1/session');
});

test('a completion that is asked for again gives the earlier request up: a browser has six connections for a host', async () => {
  const page = new Page();
  const uploader = await uploading(page, { file: new FakeFile(KIB) });
  await store_all(page);
  const asked = () => page.waiting.filter(({ method }) => method === 'POST').length;
  for (let seconds = 0; seconds < 90; seconds += 1) {
    await page.pass(1);
    page.waiting.filter(({ method }) => method === 'GET').forEach((ping) => ping.says('MsgPong', {})); // it verifies the file
    assert.equal(asked(), 1, `after ${seconds} s`);
  }
  assert.equal(uploader.connected, true);
  page.request.says('MsgAllDone', { Success: true });
  assert.deepEqual(endings(uploader), ['finished']);
});

for (const [what, answer] of Object.entries({
  'says nothing': (request) => request.answers(204),
  'acknowledges less': (request) => request.says('MsgStored', { Offset: 0 }),
  'is that of another request': (request) => request.says('MsgPong', {}),
})) {
  test(`a chunk whose answer ${what} is not taken for stored: a new session sends it again`, async () => {
    const page = new Page();
    const uploader = await uploading(page, { file: new FakeFile(KIB) });
    answer(chunks(page)[0]);
    assert.deepEqual([uploader.state_msg, page.waiting.length], [LOST, 0]);
    await page.pass(1);
    await confirm(page);
    assert.deepEqual(offsets(page), [0]);
  });
}

for (const [what, path, reach] of [
  ['the first request', 'POST ticket-1/session', async (page) => {
    page.incoming.transport = 'http';
    page.uploader().start();
    await page.pass(0);
  }],
  ['a chunk', 'PATCH ticket-1/session', (page) => uploading(page)],
  ['the completion', 'POST ticket-1/session/complete?wait=25', (page) => uploading(page, { file: new FakeFile(0) })],
  ['a look at the end', 'GET ticket-1/session?wait=25', (page) => uploading(page, { offset: 10 * KIB, terms: { Arrived: true } })],
  ['a cancel', 'POST ticket-1/session/cancel', async (page) => (await uploading(page)).cancel('no')],
]) {
  for (const [how, ends] of Object.entries({
    'an empty answer': (request) => request.answers(204),
    'nothing, because the browser has given it up': (request) => request.end('abort'),
  })) {
    test(`${what} gets ${how}: another session begins after a second`, async () => {
      const page = new Page();
      await reach(page);
      assert.equal(page.request.path, path);
      ends(page.request);
      assert.equal(page.waiting.length, 0);
      await page.pass(1.1);
      assert.equal(page.request.path, 'POST ticket-1/session');
    });
  }
}

test('chunks wait until the server has compared what it has', async () => {
  const page = new Page();
  const file = new FakeFile(10 * KIB);
  const uploader = await uploading(page, { file, offset: 4 * KIB, terms: { Compare: [[0, KIB], [3 * KIB, 4 * KIB]] } });
  await page.pass(0);
  assert.equal(page.request.path, 'PUT ticket-1/session');
  const crcs = [file.slice(0, KIB), file.slice(3 * KIB, 4 * KIB)].map((slice) => crc32c(slice.bytes()));
  assert.deepEqual(page.request.message.MsgData, { Crc32c: crcs, Compare: [[0, KIB], [3 * KIB, 4 * KIB]] });
  assert.equal(page.waiting.length, 1);
  page.request.answers(204);
  await page.pass(0);
  assert.deepEqual(offsets(page), [4 * KIB, 5 * KIB]);
  await store_all(page);
  assert.equal(page.request.message.MsgData.Crc32c, crc32c(file.bytes()), 'that of the whole file');
  assert.equal(uploader.frac_complete, 1);
});

test('another file with the same length is refused, and the words name the right one', async () => {
  const page = new Page();
  const uploader = await uploading(page, { offset: KIB, terms: { Compare: [[0, KIB]] } });
  await page.pass(0);
  page.request.refuses(409, 'wrong_file', { ErrorCode: 24, Retryable: false, FileName: 'right.mp4', FileLengthBytes: 10240 });
  assert.deepEqual([endings(uploader), uploader.error_code], [['error'], 24]);
  assert.match(uploader.error_msg, /right\.mp4/);
});

test('while the app takes its time the server is asked again, and its words are shown', async () => {
  const page = new Page();
  const uploader = await uploading(page, { file: new FakeFile(KIB) });
  await store_all(page);
  await page.pass(5);
  assert.equal(page.request.path, 'GET ticket-1/session', 'a sign of life');
  page.request.says('MsgNews', { News: 'handing_over' });
  await page.pass(20);
  page.request.says('MsgNews', { News: 'handing_over' });
  await page.pass(0);
  assert.equal(page.request.path, 'GET ticket-1/session?wait=25');
  assert.deepEqual(page.request.headers, {});
  await page.pass(20);
  page.request.says('MsgNews', { News: 'waiting_for_app', Why: 'the app is down' });
  await page.pass(0);
  assert.equal(uploader.state_msg, 'All data has arrived, but the app is down. The server is trying again.');
  page.request.says('MsgNews', { News: 'waiting_for_app', Why: 'the app is down' }); // and does not wait
  await page.pass(0.2);
  assert.equal(page.waiting.length, 0);
  await page.pass(2);
  page.request.says('MsgAllDone', { Success: true, Crc32c: 0 });
  assert.equal(uploader.finished, true);
});

test('at most two requests of a page are held, because a browser has six connections for a host', async () => {
  const page = new Page();
  page.incoming.transport = 'http';
  for (let i = 0; i < 4; i++) {
    page.uploader(new FakeFile(0), `ticket-${i}`).start();
    await page.pass(0);
    page.request.says('MsgUploadConf', {
      Version: 2, Offset: 0, MaxChunkBytes: KIB, MaxWindowBytes: KIB, SilenceS: 10, IdleSilenceS: 60, Compare: [], Arrived: true,
    }, { 'Upload-Session': 'token' });
    await page.pass(0);
  }
  assert.deepEqual(page.waiting.map(({ path }) => path), [
    'GET ticket-0/session?wait=25', 'GET ticket-1/session?wait=25', 'GET ticket-2/session?wait=0', 'GET ticket-3/session?wait=0']);
  page.waiting[0].says('MsgAllDone', { Success: true });
  page.waiting[1].says('MsgNews', { News: 'handing_over' });
  await page.pass(0.3);
  assert.equal(page.request.path, 'GET ticket-2/session?wait=25', 'there is room');
});

test('an upload that had arrived before a reload waits for its end', async () => {
  const page = new Page();
  const uploader = await uploading(page, { offset: 10 * KIB, terms: { Arrived: true } });
  assert.deepEqual([uploader.state_msg, page.request.path], [ARRIVED, 'GET ticket-1/session?wait=25']);
  page.request.refuses(422, 'handover_failed', { ErrorCode: 32, Retryable: false });
  assert.deepEqual([uploader.error_code, uploader.error_msg], [32, 'No.']);
});

test('a silent server is asked for a sign of life', async () => {
  const page = new Page();
  const uploader = await uploading(page);
  await page.pass(5);
  assert.equal(page.request.path, 'GET ticket-1/session');
  page.request.says('MsgPong');
  await page.pass(4);
  assert.equal(uploader.connected, true);
  await page.pass(1.5); // no chunk was stored for 10 s
  assert.deepEqual([uploader.connected, uploader.state_msg], [false, LOST]);
  assert.equal(page.waiting.length, 0, 'all requests were given up');
});

test('a pause gives all requests up, and goes on where the server is', async () => {
  const page = new Page();
  const uploader = await uploading(page);
  const sent = chunks(page);
  uploader.pause();
  assert.deepEqual([uploader.paused, sent.map((request) => request.is_aborted)], [true, [true, true]]);
  uploader.pause('unpause');
  await page.pass(0);
  await confirm(page, KIB);
  assert.deepEqual([uploader.bytes_acked, offsets(page)], [KIB, [KIB, 2 * KIB]]);
});

test('a cancel ends the chunks that are on their way, and tells the reason, however long', async () => {
  const page = new Page();
  const uploader = await uploading(page);
  uploader.cancel('ü & \ud800'.padEnd(100 * KIB, 'ü'));
  const [request, ...others] = page.waiting;
  assert.equal(others.length, 0);
  assert.equal(request.path, 'POST ticket-1/session/cancel', 'proxies block DELETE');
  const { MsgType, MsgData } = request.message;
  assert.deepEqual([MsgType, MsgData.Reason.slice(0, 6)], ['MsgCancel', 'ü & \ud800ü']);
  assert.ok(request.body.length < 64 * KIB, 'more is not a message for the server');
  assert.equal(request.headers['Upload-Session'], 'token-1');
  assert.equal(uploader.cancelling, true);
  request.says('MsgCancelAck', { Ack: true });
  assert.deepEqual(endings(uploader), ['cancelled']);
});

test('a cancel that comes too late lets the upload go to its end', async () => {
  const page = new Page();
  const uploader = await uploading(page, { file: new FakeFile(KIB) });
  uploader.cancel();
  page.request.says('MsgNews', { News: 'handing_over' });
  await page.pass(0);
  assert.deepEqual([page.request.path, uploader.cancelling], ['GET ticket-1/session?wait=25', false]);
  page.request.says('MsgAllDone', { Success: true });
  assert.deepEqual(endings(uploader), ['finished']);
});

for (const [what, happens] of Object.entries({
  'the network fails': (request) => request.breaks(),
  'a proxy answers': (request) => request.answers(502, '<html>Bad Gateway</html>'),
  'a chunk was damaged': (request) => request.refuses(460, 'checksum_mismatch'),
  'a chunk came too early': (request) => request.refuses(409, 'offset_mismatch'),
  'the server was started again': (request) => request.refuses(409, 'session_ended'),
  'the answer makes no sense': (request) => request.says('MsgStored', { Offset: 77 * KIB }),
})) {
  test(`another session begins after a second when ${what}`, async () => {
    const page = new Page();
    const uploader = await uploading(page);
    happens(chunks(page)[0]);
    assert.deepEqual([uploader.state_msg, uploader.connected, page.waiting.length], [LOST, false, 0]);
    await page.pass(1);
    await confirm(page, KIB);
    const next = what === 'a chunk came too early' ? [KIB] : [KIB, 2 * KIB];
    assert.deepEqual([uploader.bytes_acked, uploader.error_msg, offsets(page)], [KIB, '', next]);
  });
}

test('where one chunk has overtaken another, a balancer sends them to several servers: from then on they go one by one', async () => {
  const page = new Page();
  const uploader = await uploading(page);
  assert.deepEqual(offsets(page), [0, KIB]);
  chunks(page)[1].refuses(409, 'offset_mismatch');
  await page.pass(1);
  await confirm(page, 0);
  for (const from of [0, KIB, 2 * KIB]) {
    assert.deepEqual(offsets(page), [from]);
    chunks(page)[0].says('MsgStored', { Offset: from + KIB });
    await page.pass(0);
  }
  assert.equal(uploader.bytes_acked, 3 * KIB);
});

test('a newer claim of the upload is not fought', async () => {
  const page = new Page();
  const uploader = await uploading(page);
  chunks(page)[0].refuses(400, 'taken_over');
  assert.equal(uploader.state_msg, 'The upload continues in another window. Trying again soon.');
  await page.pass(9.9);
  assert.equal(page.waiting.length, 0);
  await page.pass(0.2);
  assert.equal(page.request.path, 'POST ticket-1/session');
});

test('a server that stops is given the time that it asks for', async () => {
  const page = new Page();
  const uploader = await uploading(page);
  chunks(page)[0].refuses(503, 'stopping', { Msg: 'The server is being restarted.' }, { 'Retry-After': '5' });
  assert.equal(uploader.state_msg, 'The server is being restarted. Trying again soon.');
  await page.pass(4.9);
  assert.equal(page.waiting.length, 0);
  await page.pass(0.2);
  assert.equal(page.waiting.length, 1);
});

test('a full disk is told in the words of the server', async () => {
  const page = new Page();
  const uploader = await uploading(page);
  chunks(page)[0].refuses(503, 'storage_full', { Msg: 'There is no room.' });
  assert.deepEqual([uploader.state_msg, uploader.error_code], ['There is no room. Trying again soon.', null]);
});

const LARGE = { MaxChunkBytes: 64 * KIB, MaxWindowBytes: 256 * KIB };

/** Sessions in whose first chunk something happens, until `times` of them; then chunks are stored. @returns their sizes */
async function sizes_after(page, times, happens) {
  await uploading(page, { file: new FakeFile(1024 * KIB), terms: LARGE });
  const sizes = [];
  for (let i = 0; i < times; i++) {
    sizes.push(chunks(page)[0].body.size / KIB);
    happens(chunks(page)[0]);
    await page.pass(40);
    await confirm(page, 0, LARGE);
  }
  for (let i = 0; i < 8; i++) {
    sizes.push(chunks(page)[0].body.size / KIB);
    await store(page, { MaxChunkBytes: 64 * KIB, MaxWindowBytes: 256 * KIB });
  }
  return sizes;
}

test('a proxy that refuses large requests gets smaller ones from then on', async () => {
  const sizes = await sizes_after(new Page(), 1, (request) => request.answers(413, '<html>Too Large</html>'));
  assert.equal(sizes[0], 32);
  assert.equal(Math.max(...sizes.slice(1)), 16);
});

test('where the page may not see such an answer, the second loss of a chunk is taken for one, but not the first', async () => {
  assert.equal(Math.max(...await sizes_after(new Page(), 1, (request) => request.breaks())), 64);
  const page = new Page();
  const sizes = await sizes_after(page, 2, (request) => request.breaks());
  assert.deepEqual([sizes[0], sizes[1], Math.max(...sizes.slice(2))], [32, 16, 8]);
  for (let i = 0; i < 25; i++) {
    await page.pass(0.05);
    await store(page, { MaxChunkBytes: 64 * KIB, MaxWindowBytes: 256 * KIB });
  }
  assert.equal(chunks(page)[0].body.size, 16 * KIB, 'the network may just have been bad');
});

// -- which transport is taken

/** A page whose WebSocket fails to open, `times` in a row. */
async function blocked(page, times = 1) {
  const uploader = page.uploader().start();
  await page.pass(0);
  for (let i = 0; i < times; i++) {
    if (i) await page.seconds_until_dialled();
    page.socket.breaks();
    await page.pass(0);
  }
  return uploader;
}

test('where a proxy lets no WebSocket through, HTTP takes over at once, and no trouble is shown', async () => {
  const page = new Page();
  page.fetch_status = 426;
  const uploader = await blocked(page);
  assert.deepEqual([page.request.path, uploader.state_msg], ['POST ticket-1/session', 'Connecting.']);
  await confirm(page);
  assert.deepEqual([uploader.connected, uploader.retrying, page.sockets.length], [true, false, 1]);
  assert.ok(uploader.seen.every(({ state_msg }) => ['Connecting.', 'Uploading.'].includes(state_msg)));
  assert.deepEqual(page.warned, []);
});

test('a lost upload over HTTP goes on over HTTP, and the next upload tries a WebSocket first', async () => {
  const page = new Page();
  page.fetch_status = 426;
  await blocked(page);
  await confirm(page);
  chunks(page)[0].breaks();
  await page.pass(2);
  await confirm(page);
  assert.equal(page.sockets.length, 1);
  page.uploader(undefined, 'ticket-2').start();
  await page.pass(0);
  assert.equal(page.sockets.length, 2);
});

test('an upload for which HTTP does not work either tries a WebSocket next, and so on, with growing pauses', async () => {
  const page = new Page();
  page.fetch_status = 426;
  page.http_status = 404;
  const uploader = await blocked(page, 2);
  assert.equal(page.requests.length, 2);
  assert.equal(uploader.next_retry_at - page.now_ms, 8000);
});

test('an upload that waits tries a WebSocket first when the network is back: it may be another one', async () => {
  const page = new Page();
  page.fetch_status = 426;
  await blocked(page);
  await confirm(page);
  chunks(page)[0].breaks();
  page.fire('online');
  await page.pass(0);
  assert.equal(page.sockets.length, 2);
});

test('a WebSocket that neither opens nor fails is not waited for where plain HTTP gets through', async () => {
  const page = new Page();
  page.fetch_status = 426;
  page.uploader().start();
  await page.pass(3);
  assert.equal(page.fetched.length, 0);
  await page.pass(2);
  assert.equal(page.request.path, 'POST ticket-1/session');
  const slow = new Page();
  slow.uploader().start();
  await slow.pass(14);
  assert.deepEqual([slow.sockets.length, slow.requests.length, slow.fetched.length], [1, 0, 2]);
});

test('in a page where WebSockets have worked, HTTP gets its chance from the third failed try on', async () => {
  const page = new Page();
  page.fetch_status = 426;
  await page.uploading();
  page.socket.breaks();
  for (let i = 0; i < 2; i++) {
    await page.seconds_until_dialled();
    page.socket.breaks();
    await page.pass(0);
    assert.equal(page.requests.length, Number(i === 1), `${i}`);
  }
});

test('an answer that the page may not see lets HTTP have its chance after the second failed try', async () => {
  const page = new Page();
  page.fetch_status = 403;
  page.hides_status = true;
  const uploader = await blocked(page, 2);
  assert.deepEqual([page.requests.length, uploader.retrying], [0, true]);
  await page.pass(2);
  assert.equal(page.request.path, 'POST ticket-1/session');
});

test('a page may allow one of the two only', async () => {
  const page = new Page();
  assert.equal(page.incoming.transport, 'auto');
  for (const value of ['', 'HTTP', null, 1]) {
    assert.throws(() => { page.incoming.transport = value; }, { name: 'TypeError', message: /"auto", "websocket" or "http"/ });
  }
  page.incoming.transport = 'websocket';
  page.fetch_status = 426;
  await blocked(page, 5);
  assert.equal(page.requests.length, 0);
  page.incoming.transport = 'http';
  page.fire('online');
  await page.pass(0);
  assert.equal(page.request.path, 'POST ticket-1/session');
});
