// What a page may say about one upload: the third argument of an uploader.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeFile, KIB, Page, endings } from './page.mjs';

/** A watched uploader with options. */
function uploader_with(page, options, file = new FakeFile(10 * KIB)) {
  const uploader = page.incoming.Uploader('ticket-1', file, options);
  uploader.events = [];
  for (const name of ['onprogress', 'onfinished', 'oncancelled', 'onerror']) uploader[name] = () => uploader.events.push(name.slice(2));
  return uploader;
}

/** Each try fails for so long; returns how many there were. */
async function fails_for(page, seconds) {
  const before = page.sockets.length;
  for (let passed = 0; passed < seconds; passed += 0.5) {
    await page.pass(0.5);
    if (page.socket?.readyState === 0) page.socket.breaks();
  }
  return page.sockets.length - before;
}

test('what is not an option of the right kind is a TypeError, and no options are as good as empty ones', () => {
  const { incoming } = new Page();
  const file = new FakeFile(1);
  for (const [options, message] of [
    [7, /options/], ['x', /options/], [{ server: 'ftp://a' }, /http/], [{ server: 'https://a/?x' }, /http/],
    [{ server: 7 }, /host/], [{ signal: {} }, /AbortSignal/], [{ give_up_after_s: 0 }, /give_up_after_s/],
    [{ give_up_after_s: 'soon' }, /give_up_after_s/], [{ should_retry: true }, /should_retry/], [{ texts: 'de' }, /texts/],
    [{ texts: null }, /texts/], [{ max_bytes_per_s: -1 }, /max_bytes_per_s/], [{ max_bytes_per_s: '1' }, /max_bytes_per_s/],
  ]) {
    assert.throws(() => incoming.Uploader('id', file, options), { name: 'TypeError', message }, JSON.stringify(options));
  }
  for (const options of [undefined, null, {}, { of_tomorrow: 1 }]) assert.equal(incoming.Uploader('id', file, options).state, 'new');
});

test('max_bytes_per_s and warn_before_unload can be given from the beginning, and a class passes options on', () => {
  const page = new Page();
  class Card extends page.incoming.Uploader {}
  const uploader = new Card('id', new FakeFile(1), { max_bytes_per_s: 5000, warn_before_unload: true });
  assert.deepEqual([uploader.max_bytes_per_s, uploader.warn_before_unload], [5000, true]);
});

// ---- the server

test('an uploader has a server of its own beside that of all others, and its scheme is that of the address', async () => {
  const page = new Page({ protocol: 'http:', host: 'app.example' });
  page.incoming.set_server_hostname('uploads.example');
  for (const [server, url] of [
    ['https://eu.example:444/up/', 'wss://eu.example:444/up'], ['http://eu.example', 'ws://eu.example'], ['eu.example', 'ws://eu.example'],
    [undefined, 'ws://uploads.example'],
  ]) {
    uploader_with(page, { server }).start();
    await page.pass(0);
    assert.equal(page.socket.url, `${url}/incoming/frontend/upload_ws`);
  }
  page.incoming.set_server_hostname('https://all.example/up');
  uploader_with(page).start();
  await page.pass(0);
  assert.equal(page.socket.url, 'wss://all.example/up/incoming/frontend/upload_ws');
});

test('what is found out about one server does not count for another: HTTP where only that one lets no WebSocket through', async () => {
  const page = new Page();
  const [near, far] = [uploader_with(page, {}), uploader_with(page, { server: 'https://far.example' })];
  near.start();
  await page.connects(0);
  page.fetch_status = 426;
  far.start();
  await page.pass(0);
  page.socket.breaks();
  await page.pass(0);
  assert.equal(page.requests[0].url, 'https://far.example/incoming/frontend/uploads/ticket-1/session');
});

test('unfinished uploads of an own server are listed and forgotten by its address', async () => {
  const page = new Page({ host: 'app.example' });
  uploader_with(page, { server: 'https://far.example' }).start();
  await page.connects(0);
  const ids = (options) => page.incoming.unfinished(options).map(({ upload_id }) => upload_id).join();
  assert.deepEqual([ids(), ids({ server: 'https://far.example/' })], ['', 'ticket-1']);
  page.incoming.forget('ticket-1');
  assert.equal(ids({ server: 'https://far.example' }), 'ticket-1');
  page.incoming.forget('ticket-1', { server: 'https://far.example' });
  assert.equal(ids({ server: 'https://far.example' }), '');
});

// ---- the signal

const listeners_of = (signal) => {
  let count = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args) => { count += 1; addEventListener.apply(signal, args); };
  signal.removeEventListener = (...args) => { count -= 1; removeEventListener.apply(signal, args); };
  return () => count;
};

test('a signal that is aborted cancels the upload, with its reason', async () => {
  for (const [reason, text] of [
    [undefined, 'Cancelled by the user.'], ['changed my mind', 'changed my mind'], [new Error('too slow'), 'too slow'], [7, 'Cancelled by the user.'],
  ]) {
    const page = new Page();
    const controller = new AbortController();
    const uploader = uploader_with(page, { signal: controller.signal }).start();
    await page.connects(0);
    controller.abort(reason);
    assert.deepEqual([uploader.state, page.socket.last('MsgCancel')], ['cancelling', { Reason: text }]);
    page.socket.hears('MsgCancelAck', { Ack: true });
    assert.deepEqual([endings(uploader), uploader.reason, uploader.cancel_msg], [['cancelled'], 'user', text]);
  }
});

test('a signal that was aborted before cancels the upload as soon as the page has its callbacks, started or not', async () => {
  for (const starts of [true, false]) {
    const page = new Page();
    const uploader = uploader_with(page, { signal: AbortSignal.abort('never mind') });
    if (starts) uploader.start();
    await page.pass(0);
    assert.equal(uploader.cancelling, true);
    await page.connects(0);
    assert.deepEqual(page.socket.message_types, ['MsgUploadReq', 'MsgCancel']);
    page.socket.hears('MsgCancelAck', { Ack: true });
    assert.deepEqual(endings(uploader), ['cancelled']);
  }
});

test('a signal that is aborted too late changes nothing, and nothing listens to it after the end', async () => {
  for (const [end, state] of [
    [(page) => page.socket.finishes(), 'finished'], [(page) => page.socket.refuses(31, 'expired'), 'failed'],
    [(page, uploader) => uploader.dispose(), 'disposed'],
  ]) {
    const page = new Page();
    const controller = new AbortController();
    const listeners = listeners_of(controller.signal);
    const uploader = uploader_with(page, { signal: controller.signal }, new FakeFile(KIB)).start();
    await page.connects(0);
    await page.stores(KIB);
    if (state === 'finished') controller.abort('too late'); // all has arrived
    assert.equal(uploader.state, 'waiting_for_app');
    end(page, uploader);
    const { length } = uploader.events;
    controller.abort('too late');
    await page.pass(1);
    assert.deepEqual([uploader.state, uploader.events.length, listeners()], [state, length, 0]);
  }
});

// ---- how long it tries

test('an upload gives up when no byte was stored for so long, to the second', async () => {
  for (const give_up_after_s of [5, 30, 200]) {
    const page = new Page();
    const uploader = uploader_with(page, { give_up_after_s }).start();
    await page.connects(0);
    page.socket.breaks();
    await fails_for(page, give_up_after_s - 1);
    assert.equal(uploader.state, 'retrying');
    await fails_for(page, 1);
    assert.deepEqual([uploader.state, uploader.reason, uploader.error_code, endings(uploader)], ['failed', 'gave_up', 106, ['error']]);
    assert.match(uploader.error_msg, /^No connection to the (upload )?server.*\. The upload gave up after trying for too long\.$/);
    await page.pass(100);
    assert.equal(page.clock.timers.size, 0);
    assert.equal(page.incoming.unfinished().length, 1, 'the ticket can be resumed');
  }
});

test('a stored byte and a pause begin the time anew, and a connection without one only stops it', async () => {
  const page = new Page();
  const uploader = uploader_with(page, { give_up_after_s: 20 }).start();
  await page.connects(0);
  page.socket.breaks();
  await fails_for(page, 15);
  uploader.retry_now();
  await page.connects(0);
  await page.stores(KIB);
  page.socket.breaks();
  await fails_for(page, 15);
  uploader.pause('pause');
  await page.pass(1000);
  uploader.pause('unpause');
  await fails_for(page, 15);
  assert.equal(uploader.state, 'retrying');
  uploader.retry_now();
  await page.connects(KIB);
  await page.pass(8);
  assert.equal(uploader.state, 'uploading');
  page.socket.breaks();
  await fails_for(page, 6);
  assert.equal(uploader.reason, 'gave_up');
});

test('the sleep of a machine is not time in which an upload tries', async () => {
  const page = new Page();
  const uploader = uploader_with(page, { give_up_after_s: 600 }).start();
  await page.connects(0);
  page.socket.breaks();
  await fails_for(page, 10);
  page.clock.sleeps(8 * 3600);
  await fails_for(page, 100);
  assert.equal(uploader.state, 'retrying');
  await fails_for(page, 500);
  assert.equal(uploader.reason, 'gave_up');
});

test('an upload that has arrived, or is being cancelled, never gives up', async () => {
  for (const act of [(page) => page.stores(KIB), (page, uploader) => uploader.cancel('enough')]) {
    const page = new Page();
    const uploader = uploader_with(page, { give_up_after_s: 5 }, new FakeFile(KIB)).start();
    await page.connects(0);
    await act(page, uploader);
    page.socket.breaks();
    await fails_for(page, 100);
    assert.deepEqual(endings(uploader), []);
  }
});

// ---- whether it tries

test('the page is asked before each new try, and its no ends the upload at once', async () => {
  const page = new Page();
  const asked = [];
  const should_retry = (error) => { asked.push(error); return error.tries < 3; };
  const uploader = uploader_with(page, { should_retry }).start();
  await page.connects(0);
  page.socket.breaks();
  await fails_for(page, 10);
  assert.deepEqual(asked.map(({ code, reason, tries }) => [code, reason, tries]), [
    [null, 'connection_lost', 1], [null, 'no_connection', 2], [null, 'no_connection', 3]]);
  assert.equal(asked[0].message, 'The connection was lost.');
  assert.deepEqual([uploader.state, uploader.reason, uploader.error_code], ['failed', 'not_retried', 107]);
  assert.equal(uploader.error_msg, 'No connection to the server. It was not tried again.');
  assert.equal(page.clock.timers.size, 0);
});

test('the page is asked once more when the library has found out why', async () => {
  const page = new Page();
  page.fetch_status = 404;
  page.incoming.transport = 'websocket';
  const should_retry = ({ reason }) => reason !== 'http_status';
  const uploader = uploader_with(page, { should_retry }).start();
  await fails_for(page, 20);
  assert.deepEqual([uploader.reason, page.sockets.length], ['not_retried', 3]);
  assert.match(uploader.error_msg, /^The address of the upload server answered with HTTP status 404\./);
});

test('only false is a no: not undefined, and not an exception, which is reported', async () => {
  for (const should_retry of [() => {}, () => { throw new Error('oops'); }, async () => false]) {
    const page = new Page();
    const uploader = uploader_with(page, { should_retry }).start();
    await page.connects(0);
    page.socket.breaks();
    await fails_for(page, 3);
    assert.equal(uploader.state, 'retrying');
  }
});

test('what the page does with the uploader while it is asked is done', async () => {
  for (const [act, state] of [['pause', 'paused'], ['cancel', 'cancelling'], ['dispose', 'disposed'], ['retry_now', 'failed']]) {
    const page = new Page();
    const uploader = uploader_with(page, { should_retry: () => { uploader[act](); return false; } }).start();
    await page.connects(0);
    page.socket.breaks();
    await page.pass(0);
    assert.equal(uploader.state, state, act);
    assert.ok(page.sockets.filter(({ readyState }) => readyState < 2).length <= Number(state === 'cancelling'), act);
  }
});

test('a cancelled upload is tried until the server knows, whatever the page says', async () => {
  const page = new Page();
  const uploader = uploader_with(page, { should_retry: () => false }).start();
  await page.connects(0);
  uploader.cancel('enough');
  page.socket.breaks();
  await fails_for(page, 5);
  assert.equal(uploader.state, 'cancelling');
});

// ---- trying now

for (const [name, prepare] of Object.entries({
  'between two tries': () => {},
  'while the browser says that it is offline': (page) => { page.navigator.onLine = false; page.fire('offline'); },
  'while plain HTTP is asked why': (page) => { page.context.fetch = () => new Promise(() => {}); },
})) {
  test(`retry_now tries at once ${name}, and once`, async () => {
    const page = new Page();
    prepare(page);
    const uploader = uploader_with(page, {}).start();
    await page.pass(0);
    page.socket.breaks();
    await page.pass(0.2);
    assert.deepEqual([uploader.state, uploader.can_retry, page.sockets.length], ['retrying', true, 1]);
    assert.equal(uploader.retry_now(), uploader);
    uploader.retry_now();
    assert.deepEqual([uploader.can_retry, uploader.next_retry_at], [false, null]);
    await page.pass(0.1);
    assert.equal(page.sockets.length, 2);
    await page.connects(0);
    assert.equal(uploader.state, 'uploading');
  });
}

test('retry_now of an upload that is being cancelled tells the server at once', async () => {
  const page = new Page();
  const uploader = uploader_with(page, {}).start();
  await page.connects(0);
  page.socket.breaks();
  uploader.cancel('enough');
  page.socket.breaks();
  await page.pass(0);
  uploader.retry_now();
  await page.connects(0);
  assert.equal(page.socket.message_types.at(-1), 'MsgCancel');
});

// ---- its texts

test('the texts of one upload count before those of all', async () => {
  const page = new Page();
  page.incoming.set_texts({ new: 'Neu.', paused: 'Angehalten.' });
  const [own, other] = [uploader_with(page, { texts: { new: 'Nouveau.' } }), uploader_with(page, {})];
  assert.deepEqual([own.state_msg, other.state_msg], ['Nouveau.', 'Neu.']);
  own.pause('pause');
  assert.equal(own.state_msg, 'Angehalten.');
});
