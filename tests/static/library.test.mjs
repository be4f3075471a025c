// The library as a thing in a page: its global, its arguments, its callbacks, its read-only properties.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FakeFile, KIB, Page, look } from './page.mjs';

test('the only global is incoming', () => {
  const page = new Page();
  const added = Object.keys(page.context).filter((name) => !page.globals_before.includes(name));
  assert.deepEqual(added, ['incoming']);
  const names = ['Uploader', 'forget', 'list_folder', 'matches', 'set_server_hostname', 'set_texts', 'texts', 'transport', 'unfinished', 'version'];
  assert.deepEqual(Object.keys(page.incoming).sort(), names);
});

test('it never alerts or writes HTML, and has one warning for the console', () => {
  const source = readFileSync(new URL('../../static/incoming.js', import.meta.url), 'utf8');
  const code = source.replace(/\/\*[^]*?\*\/|\/\/.*/g, '');
  assert.deepEqual(code.match(/console.\w+/g), ['console.warn']);
  for (const word of ['alert(', 'innerHTML', 'document.write', 'eval(']) {
    assert.equal(code.includes(word), false, word);
  }
});

test('an uploader is made with and without new', () => {
  const { Uploader } = new Page().incoming;
  for (const uploader of [new Uploader('id', new FakeFile(1)), Uploader('id', new FakeFile(1))]) {
    assert.ok(uploader instanceof Uploader);
    assert.equal(uploader.bytes_total, 1);
    assert.equal(uploader.start(), uploader);
    assert.equal(uploader.pause('toggle'), uploader);
    assert.equal(uploader.cancel('no'), uploader);
  }
});

test('a class may extend it: what it overrides wins, super and the callbacks work, and the rest is as ever', async () => {
  const page = new Page();
  const heard = [];
  class Base extends page.incoming.Uploader {
    constructor(id, file) {
      super(id, file);
      this.label = `upload of ${this.filename}`;
    }

    start(...more) {
      heard.push('start', ...more);
      return super.start();
    }

    get state_msg() {
      return `[${super.state_msg}]`;
    }

    set max_bytes_per_s(bytes_per_s) {
      super.max_bytes_per_s = 2 * bytes_per_s;
    }

    get max_bytes_per_s() {
      return super.max_bytes_per_s / 2;
    }

    onprogress(uploader) {
      heard.push(this === uploader ? uploader.state_msg : 'another');
    }
  }
  class Sub extends Base {
    onfinished = () => heard.push('finished');

    pause(what = 'toggle') {
      return super.pause(what);
    }

    percent() {
      return 100 * this.frac_complete;
    }
  }
  const uploader = new Sub('ticket-1', new FakeFile(2 * KIB));
  assert.ok(uploader instanceof Sub && uploader instanceof page.incoming.Uploader);
  assert.equal(uploader.label, 'upload of holiday.mp4');
  assert.equal(uploader.start('now'), uploader);
  assert.deepEqual(heard, ['start', 'now', '[Connecting.]']);
  assert.equal(uploader.pause().paused, true);
  assert.equal(uploader.pause().paused, false);
  uploader.max_bytes_per_s = 5000;
  assert.equal(uploader.max_bytes_per_s, 5000);
  assert.throws(() => { uploader.paused = true; }, { name: 'TypeError' });
  uploader.max_bytes_per_s = 0;
  await page.connects(0);
  await page.stores(2 * KIB);
  assert.equal(uploader.percent(), 100);
  page.socket.finishes();
  assert.equal(heard.at(-1), 'finished');
  assert.equal(await uploader.done, uploader);
  assert.equal(look(uploader).bytes_acked, 2 * KIB, 'and what it has not overridden is its own');
});

test('a function of an uploader needs no uploader: it can be a listener as it is', async () => {
  const page = new Page();
  const { start, pause, cancel } = page.uploader();
  start({ type: 'click' });
  pause('pause');
  assert.equal(cancel({ type: 'click' }).cancel_msg, 'Cancelled by the user.');
});

test('what wraps an uploader has its properties: a Proxy, and an object that inherits from it', () => {
  const page = new Page();
  const uploader = page.incoming.Uploader('ticket', new FakeFile(1000, 'file.bin'));
  for (const wrapped of [new Proxy(uploader, {}), Object.create(uploader)]) {
    wrapped.max_bytes_per_s = 500;
    assert.deepEqual([wrapped.filename, wrapped.state, wrapped.done], ['file.bin', 'new', uploader.done]);
    assert.equal(uploader.max_bytes_per_s, 500);
    assert.equal(wrapped.pause('pause').paused, true);
    uploader.pause('unpause').max_bytes_per_s = 0;
  }
});

test('a script that is loaded twice leaves the first one as it is, and its uploads go on', async () => {
  const page = new Page();
  page.incoming.set_server_hostname('uploads.example');
  const uploader = await page.uploading();
  page.load();
  assert.equal(page.context.incoming, page.incoming);
  assert.ok(uploader instanceof page.context.incoming.Uploader);
  await page.stores(KIB);
  page.socket.breaks();
  page.fire('online');
  await page.pass(0);
  assert.equal(page.sockets.length, 2, 'one answer to an event of the page, not two');
  assert.equal(page.socket.url, 'ws://uploads.example/incoming/frontend/upload_ws');
});

test('what else is called incoming in a page is replaced: an element with that id, the original library', () => {
  for (const incoming of [{ id: 'incoming' }, { Uploader() {} }, { version: '1' }, 7, null]) {
    assert.equal(typeof new Page({ has: { incoming } }).incoming.unfinished, 'function', JSON.stringify(incoming));
  }
});

test('wrong arguments are a TypeError that says what is wanted', () => {
  const { incoming } = new Page();
  for (const id of [undefined, null, 7, '', {}]) {
    assert.throws(() => incoming.Uploader(id, new FakeFile(1)), { name: 'TypeError', message: /upload_id/ });
  }
  for (const file of [undefined, null, 'name.txt', {}, [], [null]]) {
    assert.throws(() => incoming.Uploader('id', file), { name: 'TypeError', message: /a File, a Blob, or a list/ });
  }
  for (const host of [undefined, '', 'ftp://host:4000', 'http://', '/path', 'host/path?x', 'host/#x', 'user@host', 'a b']) {
    assert.throws(() => incoming.set_server_hostname(host), { name: 'TypeError', message: /host:port/ });
  }
});

test('the socket follows the scheme of the page, and the server is where the page is from unless it was set', async () => {
  const page = new Page({ protocol: 'https:', host: 'app.example' });
  page.uploader().start();
  await page.pass(0);
  assert.equal(page.socket.url, 'wss://app.example/incoming/frontend/upload_ws');
  page.incoming.set_server_hostname('[::1]:4000');
  page.uploader().start();
  await page.pass(0);
  assert.equal(page.socket.url, 'wss://[::1]:4000/incoming/frontend/upload_ws');
});

async function dialled(page) {
  page.uploader().start();
  await page.pass(0);
  return page.socket.url;
}

test('the server may be below a path of its host', async () => {
  const page = new Page({ protocol: 'https:', host: 'app.example' });
  for (const host of ['app.example:8443/up/loads', 'app.example:8443/up/loads/']) {
    page.incoming.set_server_hostname(host);
    assert.equal(await dialled(page), 'wss://app.example:8443/up/loads/incoming/frontend/upload_ws');
  }
  page.incoming.set_server_hostname('app.example/');
  assert.equal(await dialled(page), 'wss://app.example/incoming/frontend/upload_ws');
});

test('a script from below a path of the page\'s host talks to the server there', async () => {
  for (const [src, expected] of [
    ['http://app.example/up/incoming/frontend/incoming.js', 'app.example/up'],
    ['http://app.example/a/incoming/frontend/b/incoming/0.1/frontend/incoming.js?v=/3', 'app.example/a/incoming/frontend/b'],
    ['http://app.example/incoming/frontend/incoming.js', 'app.example'],
    ['http://app.example/assets/incoming.js?/incoming/frontend/', 'app.example'],
    ['http://cdn.example/up/incoming/frontend/incoming.js', 'app.example'], // the default is the page's host, as ever
    ['http://app.example:81/up/incoming/frontend/incoming.js', 'app.example'],
    ['', 'app.example'], // in the page itself
    [null, 'app.example'], // a module
  ]) {
    const page = new Page({ host: 'app.example', src });
    assert.equal(await dialled(page), `ws://${expected}/incoming/frontend/upload_ws`, `${src}`);
  }
});

test('starting twice is harmless', async () => {
  const page = new Page();
  const uploader = page.uploader().start().start();
  await page.pass(0);
  uploader.start();
  page.socket.open();
  page.socket.confirms();
  await page.pass(0);
  uploader.start();
  await page.pass(1);
  assert.equal(page.sockets.length, 1);
  assert.equal(page.socket.chunks.length, 4);
});

test('a blob without a name is called upload', () => {
  assert.equal(new Page().uploader(new FakeFile(1, '')).filename, 'upload');
});

test('properties are read-only, and all of them are there from the beginning', () => {
  const uploader = new Page().incoming.Uploader('id', new FakeFile(5, 'a.txt'));
  assert.deepEqual(look(uploader), {
    onprogress: null, onfinished: null, oncancelled: null, onerror: null,
    filename: 'a.txt', bytes_total: 5, bytes_tx: 0, bytes_acked: 0, bytes_ahead: 0, frac_complete: 0,
    bytes_per_s: 0, seconds_left: null, chunks_tx_now: 0, chunks_acked_now: 0, chunks_ahead: 0,
    files_total: 1, files_acked: 0, current_file: 'a.txt', left_out: [],
    state: 'new', reason: '', state_msg: 'Not started yet.', error_msg: '', error_code: null, cancel_msg: '',
    connected: false, retrying: false, next_retry_at: null, paused: false, can_pause: true, can_cancel: true,
    can_retry: false, cancelling: false, cancelled: false, finished: false,
  });
  for (const name of Object.keys(look(uploader)).filter((key) => !key.startsWith('on'))) {
    assert.throws(() => { uploader[name] = 'x'; }, { name: 'TypeError' }, name);
  }
});

test('a callback hears its uploader, as argument and as this', async () => {
  const page = new Page();
  const uploader = page.incoming.Uploader('id', new FakeFile(1));
  const heard = [];
  uploader.onprogress = function (argument) { heard.push(argument === uploader, this === uploader); };
  uploader.start();
  assert.ok(heard.length >= 2);
  assert.ok(heard.every(Boolean));
});

test('onprogress is called for every change, after it, and not without one', async () => {
  const page = new Page();
  const uploader = page.uploader(new FakeFile(3 * KIB));
  const steps = [
    () => uploader.start(),
    () => page.pass(0),
    () => page.socket.open(),
    () => page.socket.confirms(0),
    () => page.pass(0),
    () => page.stores(KIB),
    () => page.socket.breaks(),
    () => uploader.pause('pause'),
    () => uploader.pause('unpause'),
    () => page.connects(2 * KIB),
    () => page.stores(3 * KIB),
    () => page.socket.finishes(),
  ];
  let before = look(uploader);
  for (const [index, step] of steps.entries()) {
    const { length } = uploader.seen;
    await step();
    const after = look(uploader);
    const changed = JSON.stringify(before) !== JSON.stringify(after);
    assert.equal(uploader.seen.length > length, changed, `step ${index}`);
    assert.deepEqual(uploader.seen.at(-1), after, `step ${index}`);
    before = after;
  }
  for (const [a, b] of uploader.seen.slice(1).map((seen, i) => [uploader.seen[i], seen])) {
    assert.notDeepEqual(a, b, 'a call without a change');
  }
  assert.deepEqual(uploader.events.slice(-2), ['progress', 'finished']);
});

test('every ending is told to onprogress, too', async () => {
  for (const [flag, finish] of [
    ['finished', (socket) => socket.finishes()],
    ['cancelled', (socket) => socket.refuses(30, 'cancelled')],
    ['error_msg', (socket) => socket.refuses(31, 'expired')],
  ]) {
    const page = new Page();
    const uploader = await page.uploading();
    finish(page.socket);
    assert.ok(uploader.seen.at(-1)[flag], flag);
    assert.equal(uploader.seen.at(-1).connected, false, flag);
  }
});

test('a callback that throws is reported and does not disturb the upload', async () => {
  const page = new Page();
  const uploader = await page.uploading(new FakeFile(KIB));
  const trouble = new Error('in the page');
  uploader.onprogress = uploader.onfinished = () => { throw trouble; };
  await page.stores(KIB);
  page.socket.finishes();
  assert.equal(uploader.finished, true);
  assert.ok(page.reported.length >= 3);
  assert.ok(page.reported.every((error) => error === trouble));
});

test('in a browser without reportError what a callback throws reaches window.onerror through a timer', async () => {
  const page = new Page();
  delete page.context.reportError;
  const uploader = page.incoming.Uploader('id', new FakeFile(1));
  uploader.onprogress = () => { throw new Error('in the page'); };
  uploader.start();
  await assert.rejects(page.pass(0), { message: 'in the page' });
});

test('a callback may pause, cancel and start other uploads', async () => {
  const page = new Page();
  const uploader = page.uploader();
  const seen = [];
  uploader.onprogress = (u) => {
    seen.push([u.paused, u.cancelling]);
    if (u.bytes_acked && !u.paused && !u.cancelling) u.pause('pause');
    else if (u.paused) u.cancel('enough');
  };
  uploader.start();
  await page.connects(0);
  page.socket.stores(KIB);
  assert.deepEqual(seen.slice(-3), [[false, false], [true, false], [false, true]]);
  let next;
  uploader.oncancelled = () => { next = page.uploader(new FakeFile(1), 'ticket-2').start(); };
  await page.connects(KIB);
  page.socket.hears('MsgCancelAck', { Ack: true });
  await page.pass(0);
  assert.equal(next.state_msg, 'Connecting.');
  assert.equal(page.sockets.length, 3);
});

test('onprogress is not called from within itself: what it changes is told when it has returned', async () => {
  const page = new Page();
  const uploader = page.uploader();
  let depth = 0;
  let deepest = 0;
  uploader.onprogress = (u) => {
    depth += 1;
    deepest = Math.max(deepest, depth);
    if (!u.paused && !u.cancelling) u.pause('pause');
    else if (u.paused) u.cancel('enough');
    depth -= 1;
  };
  uploader.start();
  assert.equal(uploader.cancelling, true);
  assert.equal(deepest, 1);
});

test('a callback that is no function is ignored', async () => {
  const page = new Page();
  const uploader = page.incoming.Uploader('id', new FakeFile(1));
  uploader.onprogress = 'not a function';
  uploader.onfinished = undefined;
  uploader.start();
  await page.pass(0);
  assert.deepEqual(page.reported, []);
});

test('the sentences for users hold nothing that means something in HTML', async () => {
  const page = new Page();
  const uploader = await page.uploading();
  page.socket.breaks(1013, '<&>');
  page.fire('online');
  await page.connects(0);
  page.socket.refuses(41, 'storage_full', { Msg: '<&>', Retryable: true });
  await page.seconds_until_dialled();
  await page.connects(0);
  page.socket.refuses(22, 'wrong_file', { Msg: '<&>', FileName: '<b>&' });
  for (const seen of uploader.seen) assert.doesNotMatch(seen.state_msg + seen.error_msg, /[<>&]/);
});
