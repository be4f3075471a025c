// Coming back after whatever happened to the connection, and how soon (docs/javascript.md).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page } from './page.mjs';

const LOWEST = 0; // of Math.random
const HIGHEST = 0.999999;

test('a lost connection is redone after about a second and goes on at the byte that the server names', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.acknowledges(KIB, 2);
  page.socket.breaks();
  assert.deepEqual([uploader.connected, uploader.bytes_tx, uploader.bytes_acked], [false, 2 * KIB, 2 * KIB]);
  assert.deepEqual([uploader.chunks_tx_now, uploader.chunks_acked_now], [0, 0]);
  assert.equal(uploader.state_msg, 'The connection was lost. Trying again soon.');
  assert.equal(await page.seconds_until_dialled(), 1);
  page.socket.open();
  page.socket.confirms(5 * KIB); // three acknowledgements were lost
  assert.deepEqual([uploader.connected, uploader.bytes_acked], [true, 5 * KIB]);
  assert.deepEqual(page.socket.chunks[0], [5 * KIB, 6 * KIB]);
});

test('progress goes back when the server has less than it had acknowledged: it is what the server has', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.acknowledges(KIB, 4);
  page.socket.breaks();
  await page.seconds_until_dialled();
  page.socket.open();
  page.socket.confirms(KIB);
  assert.equal(uploader.frac_complete, 0.1);
});

test('the pauses between tries double from a second to a minute, and it never gives up', async () => {
  const page = new Page();
  const uploader = page.uploader().start();
  await page.pass(0);
  const pauses_s = [];
  for (let i = 0; i < 10; i++) {
    page.socket.breaks();
    pauses_s.push(Math.round(await page.seconds_until_dialled()));
  }
  assert.deepEqual(pauses_s, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
  assert.equal(uploader.state_msg, 'Connecting.');
  await page.connects(0);
  assert.equal(uploader.state_msg, 'Uploading.');
});

test('the pauses are spread by 30 % to both sides, so that clients do not come back all at once', async () => {
  for (const [random, first_s, last_s] of [[LOWEST, 0.7, 42], [HIGHEST, 1.3, 78]]) {
    const page = new Page();
    page.random = random;
    page.uploader().start();
    await page.pass(0);
    const pauses_s = [];
    for (let i = 0; i < 8; i++) {
      page.socket.breaks();
      pauses_s.push(await page.seconds_until_dialled());
    }
    assert.ok(Math.abs(pauses_s[0] - first_s) < 0.15, `${pauses_s}`);
    assert.ok(Math.abs(pauses_s[7] - last_s) < 0.15, `${pauses_s}`);
  }
});

test('an acknowledgement makes the next pause short again; an agreement alone does not', async () => {
  const page = new Page();
  await page.uploading();
  for (const expected_s of [1, 2, 4]) {
    page.socket.breaks();
    assert.equal(Math.round(await page.seconds_until_dialled()), expected_s);
    page.socket.open();
    page.socket.confirms(0);
  }
  page.socket.acknowledges();
  page.socket.breaks();
  assert.equal(await page.seconds_until_dialled(), 1);
});

test('an agreement that names more bytes than were acknowledged makes the next pause short, too', async () => {
  const page = new Page();
  await page.uploading();
  for (const stored_kib of [1, 2, 3]) {
    page.socket.breaks();
    assert.equal(await page.seconds_until_dialled(), 1);
    page.socket.open();
    page.socket.confirms(stored_kib * KIB);
  }
});

test('coming online, showing the window and returning to the page try at once', async () => {
  for (const event of ['online', 'pageshow', 'visibilitychange']) {
    const page = new Page();
    page.uploader().start();
    await page.pass(0);
    for (let i = 0; i < 6; i++) {
      page.socket.breaks();
      await page.seconds_until_dialled();
    }
    page.socket.breaks();
    page.fire(event);
    await page.pass(0);
    assert.equal(page.sockets.length, 8, event);
    page.socket.breaks();
    assert.equal(await page.seconds_until_dialled(), 1, event);
  }
});

test('hiding the window is no reason to try', async () => {
  const page = new Page();
  page.uploader().start();
  await page.pass(0);
  page.socket.breaks();
  page.document.visibilityState = 'hidden';
  page.fire('visibilitychange');
  await page.pass(0.5);
  assert.equal(page.sockets.length, 1);
});

test('while the browser is offline the page says so and tries once a minute', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.navigator.onLine = false;
  page.fire('offline');
  page.socket.breaks();
  assert.equal(uploader.state_msg, 'You are offline. This will go on by itself.');
  assert.equal(await page.seconds_until_dialled(), 60);
  page.socket.breaks();
  page.navigator.onLine = true;
  page.fire('online');
  await page.pass(0);
  assert.equal(page.sockets.length, 3);
});

test('going offline while waiting changes the sentence, and the page is told', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.breaks();
  page.navigator.onLine = false;
  page.fire('offline');
  assert.equal(uploader.seen.at(-1).state_msg, 'You are offline. This will go on by itself.');
});

test('a connection on which nothing moves for 30 seconds is given up', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  const silent = page.socket;
  await page.pass(31);
  assert.equal(silent.close_code, null);
  await page.pass(5);
  assert.equal(silent.close_code, 1000);
  assert.equal(uploader.connected, false);
  await page.pass(1);
  assert.equal(page.sockets.length, 2);
});

test('a slow connection is not a dead one: acknowledgements and a shrinking queue keep it', async () => {
  const page = new Page();
  await page.uploading();
  page.socket.bufferedAmount = 4 * KIB;
  for (let i = 0; i < 20; i++) {
    await page.pass(30);
    page.socket.bufferedAmount -= 100;
  }
  for (let i = 0; i < 5; i++) {
    await page.pass(30);
    page.socket.acknowledges();
  }
  assert.equal(page.sockets.length, 1);
});

test('dialling and asking may take 15 seconds', async () => {
  for (const opens of [false, true]) {
    const page = new Page();
    const uploader = page.uploader().start();
    await page.pass(0);
    if (opens) page.socket.open();
    const first = page.socket;
    await page.pass(15);
    assert.equal(first.close_code, null);
    await page.pass(5.5);
    assert.equal(first.close_code, 1000);
    assert.equal(uploader.state_msg, 'No connection to the server. Trying again soon.');
    assert.equal(await page.seconds_until_dialled(), 0.5, 'one second after it was given up');
  }
});

test('after a wake-up a connection has ten to fifteen seconds to show that it lives', async () => {
  const page = new Page();
  await page.uploading();
  const probably_dead = page.socket;
  page.fire('online');
  await page.pass(9);
  assert.equal(probably_dead.close_code, null);
  await page.pass(6);
  assert.equal(probably_dead.close_code, 1000);
});

test('a wake-up does no harm to a connection that lives', async () => {
  const page = new Page();
  await page.uploading();
  page.fire('online');
  page.socket.acknowledges();
  await page.pass(20);
  assert.equal(page.socket.close_code, null);
});

test('an upload that went to another window says so and keeps out of its way, longer each time', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  for (const expected_s of [10, 20, 40, 60, 60]) {
    page.socket.acknowledges();
    page.socket.breaks(4001, 'A newer connection goes on with this upload.');
    assert.equal(uploader.state_msg, 'The upload goes on in another window. Trying again soon.');
    assert.equal(Math.round(await page.seconds_until_dialled()), expected_s);
    page.socket.open();
    page.socket.confirms(0);
  }
});

test('the reason for which a server sends everybody away is shown, without what HTML would take for markup', async () => {
  for (const code of [1012, 1013]) {
    const page = new Page();
    const uploader = await page.uploading();
    page.socket.breaks(code, 'The server <is> being restarted.');
    assert.equal(uploader.state_msg, 'The server (is) being restarted. Trying again soon.');
    assert.equal(await page.seconds_until_dialled(), 1);
  }
});

test('other close codes, and those without a reason, are lost connections', async () => {
  for (const [code, reason] of [[1000, ''], [1001, 'going away'], [1006, ''], [1008, 'no answer'], [1012, '']]) {
    const page = new Page();
    const uploader = await page.uploading();
    page.socket.breaks(code, reason);
    assert.equal(uploader.state_msg, 'The connection was lost. Trying again soon.', String(code));
    assert.equal(await page.seconds_until_dialled(), 1);
  }
});

test('an answer that is no message drops the connection, and it is tried again', async () => {
  for (const nonsense of ['', 'null', '[]', '{', '{"MsgType":"MsgChunkAck"}', '{"MsgType":"MsgUploadConf","MsgData":null}']) {
    const page = new Page();
    const uploader = await page.uploading();
    page.socket.hears_text(nonsense);
    if (['[]'].includes(nonsense)) continue; // an unknown message, as any other
    assert.equal(uploader.connected, false, nonsense);
    assert.equal(await page.seconds_until_dialled(), 1, nonsense);
  }
});

test('while the app takes the file a lost connection is redone, and the result comes with the next one', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(KIB));
  page.socket.acknowledges();
  page.socket.breaks();
  assert.deepEqual([uploader.can_cancel, uploader.connected], [false, false]);
  await page.seconds_until_dialled();
  page.socket.open();
  page.socket.confirms(KIB);
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgAck']);
  page.socket.hears('MsgAllDone', { Success: true });
  assert.equal(uploader.finished, true);
});

test('while the app takes its time the page asks again every two minutes: the connection may be dead', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(KIB));
  page.socket.acknowledges();
  await page.pass(120);
  assert.equal(page.sockets.length, 1);
  await page.pass(5);
  assert.equal(page.sockets.length, 2);
  assert.match(uploader.state_msg, /Waiting for the app/);
});

test('a connection that stood while the app took its time makes the next pause short: no acknowledgement could', async () => {
  const page = new Page();
  await page.uploading(new FakeFile(KIB));
  page.socket.acknowledges();
  for (const expected_s of [1, 2, 4]) {
    page.socket.breaks();
    assert.equal(await page.seconds_until_dialled(), expected_s);
    page.socket.open();
    page.socket.confirms(KIB);
  }
  await page.pass(6);
  page.socket.breaks();
  assert.equal(await page.seconds_until_dialled(), 1);
});

test('when the server turns out to lack bytes that had arrived, the upload goes on with them', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(2 * KIB));
  page.socket.acknowledges(KIB, 2);
  page.socket.breaks();
  await page.seconds_until_dialled();
  page.socket.open();
  page.socket.confirms(KIB);
  assert.deepEqual(page.socket.chunks, [[KIB, 2 * KIB]]);
  assert.deepEqual([uploader.can_cancel, uploader.frac_complete], [true, 0.5]);
});

test('news from a connection that was given up change nothing', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  const old = page.socket;
  await page.pass(36);
  assert.deepEqual([old.onopen, old.onmessage, old.onclose], [null, null, null]);
  assert.equal(uploader.bytes_acked, 0);
});

test('a server that was set later is used from the next connection on', async () => {
  const page = new Page();
  await page.uploading();
  assert.equal(page.socket.url, 'ws://app.example:8000/incoming/frontend/upload_ws');
  page.incoming.set_server_hostname('uploads.example:4000');
  page.socket.breaks();
  await page.seconds_until_dialled();
  assert.equal(page.socket.url, 'ws://uploads.example:4000/incoming/frontend/upload_ws');
});
