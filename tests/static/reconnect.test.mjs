// Coming back after whatever happened to the connection, and how soon (docs/reference/javascript.md).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page } from './page.mjs';

const LOWEST = 0; // of Math.random
const HIGHEST = 0.999999;

test('a lost connection is redone after about a second and goes on at the byte that the server names', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  await page.stores(2 * KIB);
  page.socket.breaks();
  assert.deepEqual([uploader.connected, uploader.bytes_tx, uploader.bytes_acked], [false, 2 * KIB, 2 * KIB]);
  assert.deepEqual([uploader.chunks_tx_now, uploader.chunks_acked_now], [0, 0]);
  assert.equal(uploader.state_msg, 'The connection was lost. Trying again soon.');
  assert.equal(await page.seconds_until_dialled(), 1);
  await page.connects(5 * KIB); // three acknowledgements were lost
  assert.deepEqual([uploader.connected, uploader.bytes_acked], [true, 5 * KIB]);
  assert.deepEqual(page.socket.chunks[0], [5 * KIB, 6 * KIB]);
  assert.deepEqual([uploader.chunks_tx_now, uploader.chunks_acked_now], [4, 0]);
});

test('progress goes back when the server has less than it had acknowledged: it is what the server has', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  await page.stores(4 * KIB);
  page.socket.breaks();
  await page.seconds_until_dialled();
  await page.connects(KIB);
  assert.equal(uploader.frac_complete, 0.1);
});

test('bytes that the server lost in a power cut are sent again over the next connection', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  await page.stores(4 * KIB);
  page.socket.breaks();
  await page.seconds_until_dialled();
  page.socket.open();
  page.socket.confirms(4 * KIB, { Compare: [[0, KIB], [KIB, 4 * KIB]] });
  await page.pass(0);
  page.socket.refuses(26, 'bytes_lost', { Retryable: true });
  await page.seconds_until_dialled();
  await page.connects(KIB);
  assert.deepEqual([uploader.connected, uploader.bytes_acked, uploader.error_msg], [true, KIB, '']);
  assert.deepEqual(page.socket.chunks[0], [KIB, 2 * KIB]);
});

test('a page can show that it is tried again, and when', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  assert.deepEqual([uploader.retrying, uploader.next_retry_at], [false, null]);
  page.socket.breaks();
  assert.deepEqual([uploader.retrying, uploader.next_retry_at], [true, page.now_ms + 1000]);
  await page.seconds_until_dialled();
  assert.deepEqual([uploader.retrying, uploader.next_retry_at], [true, null], 'until the server has agreed');
  page.socket.open();
  assert.equal(uploader.retrying, true);
  page.socket.confirms(0);
  assert.equal(uploader.retrying, false);
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

test('a server that stops says when to come back, and each client comes at another time around that', async () => {
  for (const [random, expected_s] of [[LOWEST, 4], [0.5, 8], [HIGHEST, 12]]) {
    const page = new Page();
    page.random = random;
    const uploader = await page.uploading();
    page.socket.news('stopping', 8);
    assert.equal(uploader.connected, true, 'the close is for the server to say');
    page.socket.breaks(1012, 'The server is being restarted.');
    assert.equal(uploader.state_msg, 'The server is being restarted. Trying again soon.');
    assert.ok(Math.abs(await page.seconds_until_dialled() - expected_s) < 0.15);
    for (const grown_s of [1, 2]) {
      page.socket.breaks();
      const jitter = 0.3 * (2 * random - 1);
      const seconds = await page.seconds_until_dialled();
      assert.ok(Math.abs(seconds - grown_s * (1 + jitter)) < 0.1, `${seconds}: then as at a first loss`);
    }
  }
});

test('a server that stops and is gone before it closes is waited for as long', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.news('stopping', 8);
  page.socket.breaks();
  assert.equal(uploader.state_msg, 'The server is being restarted. Trying again soon.');
  assert.equal(await page.seconds_until_dialled(), 8);
});

test('an acknowledgement makes the next pause short again; an agreement alone does not', async () => {
  const page = new Page();
  await page.uploading();
  for (const expected_s of [1, 2, 4]) {
    page.socket.breaks();
    assert.equal(Math.round(await page.seconds_until_dialled()), expected_s);
    await page.connects(0);
  }
  await page.stores(KIB);
  page.socket.breaks();
  assert.equal(await page.seconds_until_dialled(), 1);
});

test('an agreement that names more bytes than were acknowledged makes the next pause short, too', async () => {
  const page = new Page();
  await page.uploading();
  for (const stored_kib of [1, 2, 3]) {
    page.socket.breaks();
    assert.equal(await page.seconds_until_dialled(), 1);
    await page.connects(stored_kib * KIB);
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
  assert.equal(uploader.state_msg, 'You are offline. The upload resumes when you are online again.');
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
  assert.equal(uploader.seen.at(-1).state_msg, 'You are offline. The upload resumes when you are online again.');
});

// ---- connections that are silent

test('after half of the silence that the server admits it is asked once whether it is there', async () => {
  const page = new Page();
  await page.uploading();
  await page.pass(4.9);
  assert.equal(page.socket.last('MsgPing'), undefined);
  await page.pass(0.2);
  assert.deepEqual(page.socket.last('MsgPing'), {});
  page.socket.hears('MsgPong', {});
  await page.pass(4);
  assert.equal(page.socket.message_types.filter((type) => type === 'MsgPing').length, 1);
});

test('a connection on which nothing is heard for all of it is given up', async () => {
  for (const silence_s of [10, 30]) {
    const page = new Page();
    const uploader = page.uploader().start();
    await page.connects(0, { SilenceS: silence_s });
    const silent = page.socket;
    await page.pass(silence_s - 1.5);
    assert.equal(silent.close_code, null);
    await page.pass(1.6);
    assert.equal(silent.close_code, 1000);
    assert.equal(uploader.connected, false);
    assert.equal(await page.seconds_until_dialled() <= 1, true);
  }
});

test('while only the app is waited for, the server may be silent for as long as it has said that it may then', async () => {
  for (const [IdleSilenceS, patience_s] of [[90, 90], [undefined, 10], [3, 10]]) {
    const page = new Page();
    const uploader = page.uploader(new FakeFile(KIB)).start();
    await page.connects(0, { IdleSilenceS });
    await page.stores(KIB);
    const { socket } = page;
    socket.news('waiting_for_app');
    await page.pass(patience_s / 2 - 0.1);
    assert.equal(socket.last('MsgPing'), undefined);
    await page.pass(0.2);
    assert.deepEqual(socket.last('MsgPing'), {});
    await page.pass(patience_s / 2 - 0.6);
    assert.equal(socket.close_code, null);
    await page.pass(1.1);
    assert.equal(socket.close_code, 1000);
    assert.equal(uploader.connected, false);
  }
});

test('a connection that answers pings, and stores nothing of what is on its way, is given up as well', async () => {
  const page = new Page();
  await page.uploading();
  const first = page.socket;
  await page.pass(5.1);
  assert.deepEqual(first.last('MsgPing'), {});
  first.hears('MsgPong', {});
  await page.pass(4.8);
  assert.equal(first.close_code, null);
  await page.pass(0.3);
  assert.equal(first.close_code, 1000);
});

test('a server that says without being asked that it is at work may take long to store what is on its way', async () => {
  const page = new Page();
  await page.uploading();
  const first = page.socket;
  for (let i = 0; i < 50; i++) {
    await page.pass(2);
    first.hears('MsgPong', {});
  }
  assert.equal(first.close_code, null);
  await page.pass(9.8);
  assert.equal(first.close_code, null);
  await page.pass(0.3);
  assert.equal(first.close_code, 1000);
});

test('a slow connection is not a dead one', async () => {
  const page = new Page();
  await page.uploading();
  for (let i = 1; i <= 10; i++) {
    await page.pass(9);
    await page.stores(i * KIB);
  }
  assert.equal(page.sockets.length, 1);
});

test('with nothing on its way a connection lives as long as it answers', async () => {
  const page = new Page();
  await page.uploading(new FakeFile(KIB));
  await page.stores(KIB);
  for (let i = 0; i < 300; i++) {
    await page.pass(4);
    page.socket.hears('MsgPong', {});
  }
  assert.equal(page.sockets.length, 1);
  assert.ok(page.socket.message_types.filter((type) => type === 'MsgPing').length <= 300);
});

test('dialling and asking may take 15 seconds', async () => {
  for (const opens of [false, true]) {
    const page = new Page();
    const uploader = page.uploader().start();
    await page.pass(0);
    if (opens) page.socket.open();
    const first = page.socket;
    await page.pass(14);
    assert.equal(first.close_code, null);
    await page.pass(1);
    assert.equal(first.close_code, 1000);
    assert.equal(uploader.state_msg, 'No connection to the server. Trying again soon.');
    assert.equal(await page.seconds_until_dialled(), 1);
  }
});

test('after a wake-up a connection is asked at once, and has three seconds to show that it lives', async () => {
  for (const event of ['online', 'pageshow', 'visibilitychange']) {
    const page = new Page();
    await page.uploading();
    const probably_dead = page.socket;
    page.fire(event);
    assert.deepEqual(page.socket.last('MsgPing'), {}, event);
    await page.pass(2);
    page.fire(event); // once more: that gives no more time
    await page.pass(0.9);
    assert.equal(probably_dead.close_code, null, event);
    await page.pass(0.2);
    assert.equal(probably_dead.close_code, 1000, event);
  }
});

test('a wake-up does no harm to a connection that lives', async () => {
  const page = new Page();
  await page.uploading();
  page.fire('online');
  await page.pass(2);
  page.socket.hears('MsgPong', {});
  await page.stores(KIB);
  await page.pass(8);
  assert.equal(page.socket.close_code, null);
});

test('a machine that has slept comes back within seconds, though its connection looks alive', async () => {
  const page = new Page();
  await page.uploading();
  const dead = page.socket;
  page.clock.sleeps(3600);
  await page.pass(0);
  assert.equal(dead.close_code, null, 'what was said meanwhile can still be heard');
  await page.pass(3.1);
  assert.equal(dead.close_code, 1000);
  assert.equal(await page.seconds_until_dialled() <= 1, true);
});

test('a machine that has slept keeps a connection that has survived it', async () => {
  const page = new Page();
  await page.uploading();
  page.clock.sleeps(8);
  await page.pass(0);
  assert.deepEqual(page.socket.last('MsgPing'), {});
  await page.stores(KIB);
  await page.pass(5);
  assert.equal(page.sockets.length, 1);
});

test('in a hidden page whose timers fire once a minute, a dead connection is noticed by the second of them', async () => {
  const page = new Page();
  await page.uploading();
  page.clock.sleeps(60);
  await page.pass(0);
  page.clock.sleeps(60);
  await page.pass(0);
  assert.equal(page.sockets[0].close_code, 1000);
});

// ---- why it was lost

test('an upload that went to another window says so and keeps out of its way, longer each time', async () => {
  for (const how of ['close', 'error']) {
    const page = new Page();
    const uploader = await page.uploading();
    for (const expected_s of [10, 20, 40, 60, 60]) {
      await page.stores(KIB);
      const msg = 'A newer connection has taken over this upload.';
      if (how === 'close') page.socket.breaks(4001, msg);
      else page.socket.refuses(40, 'taken_over', { Msg: msg, Retryable: true });
      assert.equal(uploader.state_msg, 'The upload continues in another window. Trying again soon.');
      assert.equal(Math.round(await page.seconds_until_dialled()), expected_s);
      await page.connects(0);
    }
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

test('a server that has no room for it, again and again, is asked less and less often, and then it goes on', async () => {
  const page = new Page();
  const uploader = page.uploader().start();
  await page.pass(0);
  for (const expected_s of [1, 2, 4, 8, 16, 32, 60, 60]) {
    page.socket.open();
    page.socket.breaks(1013, 'Too many connections from this address at the same time: 100 are allowed.');
    assert.equal(
      uploader.state_msg,
      'Too many connections from this address at the same time: 100 are allowed. Trying again soon.');
    assert.deepEqual([uploader.retrying, uploader.error_msg, uploader.can_cancel], [true, '', true]);
    assert.equal(await page.seconds_until_dialled(), expected_s);
  }
  await page.connects(0);
  assert.equal(uploader.state_msg, 'Uploading.');
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
  for (const nonsense of ['', 'null', '{', '{"MsgType":"MsgStored"}', '{"MsgType":"MsgUploadConf","MsgData":null}']) {
    const page = new Page();
    const uploader = await page.uploading();
    page.socket.hears_text(nonsense);
    assert.equal(uploader.connected, false, nonsense);
    assert.equal(await page.seconds_until_dialled(), 1, nonsense);
  }
});

// ---- while the app takes the file

test('while the app takes the file a lost connection is redone, and the result comes with the next one', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(KIB));
  await page.stores(KIB);
  page.socket.breaks();
  assert.deepEqual([uploader.can_cancel, uploader.connected], [false, false]);
  await page.seconds_until_dialled();
  await page.connects(KIB, { Arrived: true });
  assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgAgree']);
  page.socket.finishes();
  assert.equal(uploader.finished, true);
});

test('a connection that stood while the app took its time makes the next pause short: no acknowledgement could', async () => {
  const page = new Page();
  await page.uploading(new FakeFile(KIB));
  await page.stores(KIB);
  for (const expected_s of [1, 2, 4]) {
    page.socket.breaks();
    assert.equal(await page.seconds_until_dialled(), expected_s);
    await page.connects(KIB, { Arrived: true });
  }
  await page.pass(6);
  page.socket.breaks();
  assert.equal(await page.seconds_until_dialled(), 1);
});

test('when the server turns out to lack bytes that had arrived, the upload goes on with them', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(2 * KIB));
  await page.stores(2 * KIB);
  page.socket.breaks();
  await page.seconds_until_dialled();
  await page.connects(KIB);
  assert.deepEqual(page.socket.chunks, [[KIB, 2 * KIB]]);
  assert.deepEqual([uploader.can_cancel, uploader.frac_complete], [true, 0.5]);
});

test('news from a connection that was given up change nothing', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  const old = page.socket;
  await page.pass(12);
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
